"""Turns passages and questions into packed training sequences: one shared context, several questions behind it."""

import json
import math
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

import pages
import templates
from layout import ANSWER_JSON, ANSWER_STRING, CITE, CLOSE, LAST_MARKER, MARKERS, PASSAGE, QUESTION, TURN_END, TURN_START
from questions import cloze
from shortlist import Nearness, Read, Shortlister, shortlist
from tokenizer import plain

WITHOUT_SHORTLIST = 0.12  # share of questions that come without one
SHAKEN = [0.15, 0.3, 0.3, 0.5]  # standard deviations of a term's weight, as a power of e: every index has its own


class Ids:
    """Token ids of the frame. Text is encoded without added tokens, as the runtime does."""

    def __init__(self, tokenizer_file: Path):
        self.full = Tokenizer.from_file(str(tokenizer_file))
        self.text = plain(tokenizer_file)
        one = self.full.token_to_id
        self.size = self.full.get_vocab_size()
        self.marker0 = one(MARKERS[0])
        assert one(MARKERS[-1]) == self.marker0 + LAST_MARKER
        self.passage, self.question, self.cite, self.close = map(one, (PASSAGE, QUESTION, CITE, CLOSE))
        self.answer, self.answer_json = one(ANSWER_STRING), one(ANSWER_JSON)
        self.turn_end = one(TURN_END)
        self.digits = [one(str(n)) for n in range(10)]
        self.user = [one(TURN_START), *self.encode("user\n")]
        self.assistant = [self.turn_end, one(TURN_START), *self.encode("assistant\n")]

    def encode(self, text):
        return self.text.encode(text, add_special_tokens=False).ids

    def encode_all(self, texts):
        return self.text.encode_batch(texts, add_special_tokens=False)

    def shortlisted(self, listed):
        """Ids of a shortlist: (marker, tenths) each."""
        return [i for marker, tenths in listed for i in (self.marker0 + marker, self.digits[tenths])]


NO_HEADING = Read(frozenset())


@dataclass
class Ask:
    text: str | Read
    question: list[int]
    sentences: tuple[int, ...]  # empty: nothing answers
    answer: list[int] | None = None


@dataclass
class Passage:
    source: str
    group: str
    title: list[int]
    sentences: list[list[int]]
    asks: list[Ask] = field(default_factory=list)
    needs_title: bool = False
    headings: Read = field(default_factory=lambda: NO_HEADING)
    read: list[Read] = field(default_factory=list)


def answer_ids(encoding, sentence, answer):
    """The sentence's own tokens that cover the answer, so that copying them is exact. None: the answer is not there."""
    at = sentence.lower().find(answer.lower())
    if at < 0 or not answer:
        return None
    first, last = at + 1, at + 1 + len(answer)  # the sentence was encoded with a leading space
    covered = [i for i, (a, b) in enumerate(encoding.offsets) if b > first and a < last]
    return encoding.ids[covered[0] : covered[-1] + 1] if covered else None


def load_passages(corpus: Path, ids: Ids, rule: Shortlister, held_out: bool, seed: int, variants: int, near=None):
    """Corpus passages with clozes (`asks`), and those that people asked about (second list)."""
    r = random.Random(seed)
    rows = [row for row in map(json.loads, corpus.open()) if row["held_out"] == held_out]
    r.shuffle(rows)
    foreign = {"capital": [], "digit": [], "lower": []}
    for row in rows[:4000]:
        for word in " ".join(row["sentences"]).split():
            word = word.strip(".,;:()|")
            if len(word) > 3:
                foreign["capital" if word[0].isupper() else "digit" if word[0].isdigit() else "lower"].append(word)
    passages, asked = [], []
    for row in rows:
        encodings = ids.encode_all([" " + s for s in row["sentences"]])
        title = ids.encode(row["title"]) if row["title"] else []
        base = Passage(row["source"], row["group"], title, [e.ids for e in encodings], headings=rule.heading(row["title"]), read=rule.read(row["sentences"]))
        made = [(n, c) for n, s in enumerate(row["sentences"]) for _ in range(variants) if (c := cloze(s, r, foreign, near))]
        for (n, (text, answer)), question in zip(made, ids.encode_all([" " + c[0] for _, c in made])):
            if answer is None:
                base.asks.append(Ask(text, question.ids, ()))
            elif (copied := answer_ids(encodings[n], row["sentences"][n], answer)) and len(copied) <= 14:
                base.asks.append(Ask(text, question.ids, (n,), copied))
        if base.asks:
            passages.append(base)
        if row["questions"]:
            own = Passage(base.source, base.group, base.title, base.sentences, headings=base.headings, read=base.read)
            for q in row["questions"]:
                if q["sentence"] is None:
                    own.asks.append(Ask(q["text"], ids.encode(" " + q["text"]), ()))
                    continue
                if not q["answer"]:
                    own.asks.append(Ask(q["text"], ids.encode(" " + q["text"]), (q["sentence"],)))
                    continue
                copied = answer_ids(encodings[q["sentence"]], row["sentences"][q["sentence"]], q["answer"])
                own.asks.append(Ask(q["text"], ids.encode(" " + q["text"]), (q["sentence"],), copied if copied and len(copied) <= 24 else None))
            asked.append(own)
    return passages, asked


def templated_passage(r, ids: Ids, rule: Shortlister, held_out: bool, low=2, high=8):
    stated, missing = templates.facts(r, r.randint(low, high), held_out)
    encodings = ids.encode_all([" " + f.sentence for f in stated])
    title = templates.title(r)
    p = Passage("templates", "", ids.encode(title), [e.ids for e in encodings], headings=rule.heading(title), read=rule.read([f.sentence for f in stated]))
    texts = [(n, q, a) for n, f in enumerate(stated) for q, a in f.asked]
    for (n, text, a), q in zip(texts, ids.encode_all([" " + q for _, q, _ in texts])):
        p.asks.append(Ask(text, q.ids, (n,), answer_ids(encodings[n], stated[n].sentence, a)))
    p.asks += [Ask(text, q.ids, ()) for text, q in zip(missing, ids.encode_all([" " + q for q in missing]))]
    if len(stated) > 1 and r.random() < 0.8:  # one question on two facts
        a, b = sorted(r.sample(range(len(stated)), 2))
        first, second = r.choice(stated[a].asked)[0].rstrip("?."), r.choice(stated[b].asked)[0]
        if r.random() < 0.5:
            first, second = r.choice(stated[b].asked)[0].rstrip("?."), r.choice(stated[a].asked)[0]
        joined = first + r.choice([" and ", ", and ", "? "]) + second[:1].lower() + second[1:]
        p.asks.append(Ask(joined, ids.encode(" " + joined), (a, b)))
    return p


def paged_passages(r, ids: Ids, rule: Shortlister, held_out: bool, used: set):
    """Passages that belong together, on something that is not in `used`, where it is then put; none if that takes many tries."""
    made = next((m for _ in range(50) if (m := pages.pages(r, held_out))[0].about not in used), [])
    if not made:
        return
    used.add(made[0].about)
    for page in made:
        encodings = ids.encode_all([" " + f.sentence for f in page.facts])
        p = Passage("pages", page.about, ids.encode(page.title), [e.ids for e in encodings], needs_title=page.needs_title)
        p.headings, p.read = rule.heading(page.title), rule.read([f.sentence for f in page.facts])
        texts = [(n, q, a) for n, f in enumerate(page.facts) for q, a in f.asked]
        for (n, text, a), q in zip(texts, ids.encode_all([" " + q for _, q, _ in texts])):
            p.asks.append(Ask(text, q.ids, (n,), answer_ids(encodings[n], page.facts[n].sentence, a) if a else None))
        p.asks += [Ask(text, q.ids, ()) for text, q in zip(page.missing, ids.encode_all([" " + q for q in page.missing]))]
        yield p


def random_passage(r, ids: Ids):
    """Sentences of random tokens: nothing to learn but matching, voting and copying."""
    low, high = 260, ids.marker0 - 8
    p = Passage("random", "", [r.randint(low, high) for _ in range(r.randint(1, 4))], [])
    for n in range(r.randint(2, 8)):
        tokens = [r.randint(low, high) for _ in range(r.randint(4, 14))]
        p.sentences.append(tokens)
        p.read.append(Read(frozenset(tokens)))
        for _ in range(2):
            start = r.randrange(len(tokens) - 1)
            cut = tokens[start : start + r.randint(1, 3)]
            near = [t for t in tokens if t not in cut]
            words = r.sample(near, min(len(near), r.randint(1, 5))) + [r.randint(low, high) for _ in range(r.randint(0, 3))]
            if near:
                r.shuffle(words)
                p.asks.append(Ask(Read(frozenset(words)), words, (n,), cut))
    for _ in range(3):
        words = [r.randint(low, high) for _ in range(r.randint(3, 8))]
        p.asks.append(Ask(Read(frozenset(words)), words, ()))
    return p


def window(p: Passage, r, budget, need):
    """A run of sentences around `need` that fits the budget, or None."""
    first = last = need
    total = len(p.sentences[need])
    while total <= budget:
        sides = [n for n in (first - 1, last + 1) if 0 <= n < len(p.sentences) and total + len(p.sentences[n]) <= budget]
        if not sides:
            return first, last
        n = r.choice(sides)
        total += len(p.sentences[n])
        first, last = min(first, n), max(last, n)
    return None


class Packer:
    def __init__(self, corpus: Path, ids: Ids, rule: Shortlister, held_out=False, seed=0, variants=3, near=None):
        self.ids, self.rule, self.held_out, self.r = ids, rule, held_out, random.Random(seed)
        self.passages, self.asked = load_passages(corpus, ids, rule, held_out, seed, variants, near)
        self.by_group = {}
        for p in (*self.passages, *self.asked):
            self.by_group.setdefault(p.group, []).append(p)
        self.missing_share = 0.4

    def passages_like(self, kind):
        """Endless passages of a kind: half of them from the first one's document, so that they resemble each other."""
        r = self.r
        if kind == "random":
            while True:
                yield random_passage(r, self.ids)
        if kind == "templates":
            while True:
                mixed = r.random() < 0.12
                yield r.choice(self.passages) if mixed else templated_passage(r, self.ids, self.rule, self.held_out)
        if kind == "pages":
            used = set()
            while True:
                draw = r.random()
                if draw < 0.7 or not used:
                    yield from paged_passages(r, self.ids, self.rule, self.held_out, used)
                else:
                    yield r.choice(self.passages) if draw < 0.8 else templated_passage(r, self.ids, self.rule, self.held_out)
        first = r.choice(self.asked if kind == "asked" else self.passages)
        near = self.by_group[first.group]
        yield first
        while True:
            draw = r.random()
            if draw < 0.12:
                yield templated_passage(r, self.ids, self.rule, self.held_out)
            else:
                yield r.choice(near) if draw < 0.5 else r.choice(self.passages)

    def windows(self, kind, tokens):
        """Runs of sentences from several passages that fill about `tokens`, in random order."""
        r, chosen, total, sentences = self.r, [], 0, 0
        largest = tokens // r.choice([1, 2, 2, 3, 3, 4, 5]) + 1
        for tries, p in enumerate(self.passages_like(kind)):
            if tries > 30 or total > tokens - 25:
                break
            if any(p.sentences is c.sentences for c, _, _ in chosen):
                continue
            answered = [s for a in p.asks for s in a.sentences]
            need = r.choice(answered) if answered else r.randrange(len(p.sentences))
            if w := window(p, r, min(largest, tokens - total), need):
                size = sum(len(p.sentences[s]) + 1 for s in range(w[0], w[1] + 1))
                if sentences + w[1] - w[0] + 1 > LAST_MARKER:
                    break
                chosen.append((p, *w))
                total, sentences = total + size, sentences + w[1] - w[0] + 1
        if kind != "pages" or r.random() < 0.5:
            r.shuffle(chosen)
        return chosen

    def context(self, windows):
        """Ids of the shared context, {(passage, sentence): marker}, and what the rule reads of it."""
        r, ids = self.r, list(self.ids.user)
        total = sum(b - a + 1 for _, a, b in windows)
        if total > LAST_MARKER:
            return None
        shown = list(range(1, total + 1))
        if r.random() < 0.25:  # other numbers too, so that every marker is learnt
            shown = sorted(r.sample(range(1, LAST_MARKER + 1), total))
        titled, markers, read = r.random() < 0.6, {}, []
        for n, (p, first, last) in enumerate(windows):
            ids.append(self.ids.passage)
            if shows_title := p.title and (p.needs_title or titled and r.random() < 0.85):
                ids += p.title[:24]
            read.append((p.headings if shows_title else NO_HEADING, p.read[first : last + 1]))
            for s in range(first, last + 1):
                marker = shown[len(markers)]
                markers[n, s] = marker
                ids += [self.ids.marker0 + marker, *p.sentences[s]]
        return ids, markers, read

    def shortlist(self, question: Read, markers, read, near):
        """(marker, tenths) of the sentences that the rule ranks first. markers: of all sentences, in order."""
        if self.r.random() < WITHOUT_SHORTLIST:
            return []
        spread = self.r.choice(SHAKEN)
        scores = self.rule.scores(question, read, near, lambda weight: weight * math.exp(self.r.gauss(0, spread)))
        return [(markers[n], tenths) for n, tenths in shortlist(scores)]

    def number(self, ask: Ask):
        """Of answers that begin with a number half are given as JSON has it: its ids, without commas, and the closing brace."""
        found = re.fullmatch(r"[$€£]?(\d[\d,]{0,8}(?:\.\d+)?)( ?%| [a-z ]+)?", self.ids.full.decode(ask.answer).strip())
        if not found or self.r.random() < 0.5:
            return None
        return self.ids.encode((found[1].replace(",", "").lstrip("0") or "0") + "}")

    def block(self, ask: Ask, markers, listed, with_answer):
        """A question with its target: ids and the loss kind of each (0 none, 1 marker choice, 2 end, 3 answer token)."""
        t = self.ids
        prompt = [t.question, *ask.question[:40], *t.shortlisted(listed), *t.assistant, t.cite]
        target, kinds = [t.marker0 + m for m in (markers or [0])], [1] * max(1, len(markers))
        copies = with_answer and ask.answer and len(markers) == 1
        if copies and (number := self.number(ask)):
            target += [t.answer_json, *number, t.turn_end]
            kinds += [0, *[3] * len(number), 2]
        elif copies:
            target += [t.answer, *ask.answer, t.close, t.turn_end]
            kinds += [0, *[3] * len(ask.answer), 3, 2]
        else:
            target += [t.close, t.turn_end]
            kinds += [2, 2]
        return prompt + target, [0] * len(prompt) + kinds

    def sequence(self, kind, split, length, context_tokens, answers):
        r = self.r
        windows = self.windows(kind, context_tokens)
        made = self.context(windows) if windows else None
        if made is None or len(made[0]) > split:
            return None
        ids, markers, read = made
        blocks = []
        for n, (p, first, last) in enumerate(windows):
            for ask in p.asks:
                places = [markers[n, s] for s in ask.sentences if first <= s <= last]
                if len(places) == len(ask.sentences):
                    blocks.append((ask, places))
                elif not places and r.random() < 0.3:  # the sentence that answers was cut away
                    blocks.append((ask, []))
        if kind != "random":
            for _ in range(2):
                other = r.choice(self.asked if kind == "asked" else self.passages)
                if not any(other.sentences is p.sentences for p, _, _ in windows):
                    blocks.append((r.choice(other.asks), []))
        if kind != "random":
            blocks += self.pairs(blocks)
        r.shuffle(blocks)
        return self.lay_out(ids, list(markers.values()), read, blocks, split, length, answers)

    def pairs(self, blocks):
        """Two clozes asked at once cite two sentences."""
        single = [b for b in blocks if len(b[1]) == 1]
        if len(single) < 2 or self.r.random() > 0.35:
            return []
        (a, x), (b, y) = self.r.sample(single, 2)
        if x == y:
            return []
        joint = self.r.choice([" and", ", and", " as well as"])
        text = f"{a.text[:-1]}{joint} {b.text}"
        return [(Ask(text, a.question[:-1] + self.ids.encode(joint) + b.question, (0, 0)), sorted(x + y))]

    def lay_out(self, ids, markers, read, blocks, split, length, answers):
        context = len(ids)
        padding = split - context
        ids, kinds = ids + [0] * padding, [0] * split
        segments, positions = [0] * context + [-1] * padding, [*range(context), *[0] * padding]
        answered = sum(1 for _, places in blocks if places)
        missing = packed = 0
        questions = [ask.text if isinstance(ask.text, Read) else self.rule.read([ask.text])[0] for ask, _ in blocks]
        near = Nearness(self.rule, questions, read)
        for (ask, places), question in zip(blocks, questions):
            if not places:
                if missing >= max(1, answered * self.missing_share):
                    continue
                missing += 1
            block, block_kinds = self.block(ask, places, self.shortlist(question, markers, read, near), self.r.random() < answers)
            if len(ids) + len(block) > length:
                continue
            packed += 1
            ids, kinds = ids + block, kinds + block_kinds
            segments += [packed] * len(block)
            positions += range(context, context + len(block))
        if not packed:
            return None
        padding = length - len(ids)
        return ids + [0] * padding, segments + [-1] * padding, positions + [0] * padding, kinds + [0] * padding

    def batch(self, size, split, length, mix, answers):
        """Arrays (ids, segments, positions, loss kinds), each size x length: contexts end by `split`, questions follow. mix: {kind: share}."""
        rows = []
        while len(rows) < size:
            row = self.sequence(self.r.choices(list(mix), mix.values())[0], split, length, int(split * self.r.uniform(0.6, 0.97)), answers)
            if row:
                rows.append(row)
        return [np.array(column, dtype=np.int64) for column in zip(*rows)]
