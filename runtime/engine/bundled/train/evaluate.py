"""Measures an exported model folder beside the word-overlap rule and the extractive rule, on the same questions.

Sets: held-out templates and pages, clozes on held-out documents, TAT-QA questions on held-out reports, SQuAD 2 questions
on held-out articles. Each prompt is rendered with the folder's chat template and decoded as under the runtime's grammar.
"""

import os

os.environ.setdefault("RAYON_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import json
import math
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

import pages
import templates
from corpus import is_held_out, sentences_of
from meaning import Table
from packing import Ids
from questions import cloze
from shortlist import Nearness, SentenceEncoder, rule_of, shortlist


THRESHOLD = 0.45  # `answers.extractive_threshold`


@dataclass
class Item:
    passages: list[tuple[str, list[str]]]  # title, sentences
    question: str
    gold: set[int] = field(default_factory=set)  # sentence numbers from 1 across passages; empty: nothing answers
    answers: list[str] = field(default_factory=list)
    scores: list[float] | None = None  # the shortlisting rule's

    def sentences(self):
        return [s for _, sentences in self.passages for s in sentences]


def build(r, ids, gold_passage, gold_sentences, others, question, answers, budget):
    """Windows of passages around the gold sentences, shuffled, within about `budget` tokens in all."""
    length = lambda s: len(ids.encode(" " + s)) + 1
    shown, left = [], budget

    def run(passage, need, room):
        title, sentences = passage
        first, last = min(need), max(need)
        used = sum(map(length, sentences[first : last + 1]))
        while True:
            sides = [n for n in (first - 1, last + 1) if 0 <= n < len(sentences) and used + length(sentences[n]) <= room]
            if not sides:
                return (title, sentences[first : last + 1]), first, used
            n = r.choice(sides)
            used, first, last = used + length(sentences[n]), min(first, n), max(last, n)

    if gold_passage:
        window, first, used = run(gold_passage, gold_sentences or [r.randrange(len(gold_passage[1]))], budget // 2)
        shown.append((window, {n - first for n in gold_sentences}))
        left -= used
    for other in others:
        if left < 30 or sum(len(w[1]) for w, _ in shown) > 50:
            break
        window, _, used = run(other, [r.randrange(len(other[1]))], min(left, budget // 2))
        if used <= left + 20:
            shown.append((window, set()))
            left -= used
    r.shuffle(shown)
    gold, number = set(), 0
    for window, marked in shown:
        gold |= {number + 1 + n for n in marked}
        number += len(window[1])
    total = sum(len(w[1]) for w, _ in shown)
    return Item([w for w, _ in shown], question, gold, answers) if 3 <= total <= 64 and budget - left < budget * 1.3 else None


def templated(r, ids, budget, missing, pair=False):
    made = [templates.facts(r, r.randint(3, 9), held_out=True) for _ in range(12)]
    passages = [(templates.title(r), [f.sentence for f in stated]) for stated, _ in made]
    stated, absent = made[0]
    if missing:
        return build(r, ids, passages[0], [], passages[1:], r.choice(absent), [], budget) if absent else None
    if pair:
        a, b = sorted(r.sample(range(len(stated)), 2))
        first, second = r.choice(stated[a].asked)[0].rstrip("?."), r.choice(stated[b].asked)[0]
        return build(r, ids, passages[0], [a, b], passages[1:], f"{first} and {second[:1].lower()}{second[1:]}", [], budget)
    n = r.randrange(len(stated))
    question, answer = r.choice(stated[n].asked)
    return build(r, ids, passages[0], [n], passages[1:], question, [answer], budget)


def paged(r, ids, budget, missing):
    made, used = [], set()
    for _ in range(12):
        group = pages.pages(r, held_out=True)
        if group[0].about not in used:
            used.add(group[0].about)
            made += [(page, n) for n, page in enumerate(group)]
    passages = [(page.title, [f.sentence for f in page.facts]) for page, _ in made]
    first = [page for page, _ in made if page.about == made[0][0].about]
    gold = r.randrange(len(first))
    others = [p for n, p in enumerate(passages) if n != gold]
    page = first[gold]
    if missing:
        return build(r, ids, passages[gold], [], others, r.choice(page.missing), [], budget) if page.missing else None
    found = [(n, q, a) for n, f in enumerate(page.facts) for q, a in f.asked]
    if not found:
        return None
    n, question, answer = r.choice(found)
    return build(r, ids, passages[gold], [n], others, question, [answer] if answer else [], budget)


def clozed(r, ids, rows, foreign, budget, missing):
    row = r.choice(rows)
    n = r.randrange(len(row["sentences"]))
    made = cloze(row["sentences"][n], r, foreign if missing else None)
    if not made or (made[1] is None) != missing:
        return None
    others = [(o["title"], o["sentences"]) for o in r.sample(rows, 12) if o is not row]
    return build(r, ids, (row["title"], row["sentences"]), [] if missing else [n], others, made[0], [made[1]] if made[1] else [], budget)


def asked(r, ids, rows, budget, missing):
    row = r.choice([x for x in rows if x["questions"]])
    q = r.choice(row["questions"])
    same = [x for x in rows if x["group"] == row["group"] and x is not row]
    others = [("", o["sentences"]) for o in same + r.sample(rows, 10)]
    gold = ("", row["sentences"])
    if missing:
        return build(r, ids, None, [], others, q["text"], [], budget)
    return build(r, ids, gold, [q["sentence"]], others, q["text"], [q["answer"]] if q["answer"] else [], budget)


def squad(r, ids, data, budget, kind):
    paragraphs, by_article, questions = data
    q = r.choice(questions["adversarial" if kind == "adversarial" else "answered"])
    article, sentences = paragraphs[q["context_id"]]
    same = [p for p in by_article[article] if p != q["context_id"]]
    others = [(paragraphs[p][0], paragraphs[p][1]) for p in r.sample(same, min(6, len(same)))]
    if kind == "answered":
        places = [n for n, s in enumerate(sentences) if any(a in s for a in q["answers"])]
        if len(places) != 1:
            return None
        return build(r, ids, (article, sentences), places, others, q["question"], q["answers"], budget)
    if kind == "removed":
        if any(a.lower() in s.lower() for a in q["answers"] for _, o in others for s in o):
            return None
        return build(r, ids, None, [], others, q["question"], [], budget)
    # the whole paragraph that the unanswerable question was written for is shown
    item = build(r, ids, (article, sentences), list(range(len(sentences))), others, q["question"], [], budget)
    if item:
        item.gold = set()
    return item


def load_squad(folder):
    """Paragraphs, paragraphs by article and questions of the articles that were not trained on."""
    paragraphs, by_article = {}, {}
    for row in map(json.loads, (folder / "corpus.jsonl").open()):
        if not is_held_out(row["title"].replace("_", " "), 0.5):
            continue
        paragraphs[row["_id"]] = (row["title"].replace("_", " "), sentences_of(re.sub(r"\s+", " ", row["text"])))
        by_article.setdefault(row["title"].replace("_", " "), []).append(row["_id"])
    questions = {"answered": [], "adversarial": []}
    for row in map(json.loads, (folder / "qa.jsonl").open()):
        if row["context_id"] in paragraphs:
            questions["adversarial" if row["is_impossible"] else "answered"].append(row)
    return paragraphs, by_article, questions


class Overlap:
    """The rule to beat: the sentence with the largest idf-weighted overlap of stemmed words with the question."""

    def __init__(self, rows):
        self.count, self.documents = Counter(), 0
        for row in rows:
            self.documents += 1
            self.count.update(set(self.words(" ".join(row["sentences"]))))

    @staticmethod
    def words(text):
        return [re.sub(r"(ing|ed|es|s|ly)$", "", w) if len(w) > 4 else w for w in re.findall(r"[a-z0-9]+", text.lower())]

    def weight(self, word):
        return math.log(1 + self.documents / (1 + self.count[word]))

    def choose(self, item):
        """Sentence number, and the share of the question's weight that it covers."""
        question = set(self.words(item.question))
        total = sum(map(self.weight, question)) or 1.0
        scores = [sum(map(self.weight, question & set(self.words(s)))) for s in item.sentences()]
        best = max(range(len(scores)), key=lambda n: scores[n])
        return best + 1, scores[best] / total


class Model:
    def __init__(self, folder, dtype, rule, shortlisting):
        self.rule, self.shortlisting = rule, shortlisting
        self.ids = Ids(folder / "tokenizer.json")
        self.net = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()

    def prompt(self, item):
        t, number = self.ids, 0
        ids = list(t.user)
        for title, sentences in item.passages:
            ids += [t.passage, *(t.encode(title) if title else [])]
            for s in sentences:
                number += 1
                ids += [t.marker0 + number, *t.encode(" " + s)]
        listed = [(n + 1, tenths) for n, tenths in shortlist(self.scores(item))] if self.shortlisting else []
        return [*ids, t.question, *t.encode(" " + item.question), *t.shortlisted(listed), *t.assistant, t.cite]

    def extract(self, item):
        """The shortlisting rule's best sentence, and its score."""
        scores = self.scores(item)
        best = max(range(len(scores)), key=lambda n: scores[n])
        return best + 1, scores[best]

    def scores(self, item):
        """The shortlisting rule's, one a sentence."""
        if item.scores is None:
            passages = [(self.rule.heading(title), self.rule.read(sentences)) for title, sentences in item.passages]
            question = self.rule.read([item.question])[0]
            item.scores = self.rule.scores(question, passages, Nearness(self.rule, [question], passages))
        return item.scores

    @torch.no_grad()
    def next(self, ids):
        return self.net(torch.tensor([ids]), logits_to_keep=1).logits[0, -1].float()

    def choose(self, item, with_end=True):
        """Best sentence if forced, probability of abstaining, sentences cited when free to end."""
        t, prompt = self.ids, self.prompt(item)
        last = len(item.sentences())
        shares = self.next(prompt)[t.marker0 : t.marker0 + last + 1].softmax(0)
        forced, chosen = int(shares[1:].argmax()) + 1, int(shares.argmax())
        cited = [chosen]
        while with_end and chosen and len(cited) < 3:
            logits = self.next([*prompt, *(t.marker0 + c for c in cited)])
            options = [t.close, *range(t.marker0 + 1, t.marker0 + last + 1)]
            best = options[int(logits[options].argmax())]
            if best == t.close:
                break
            cited.append(best - t.marker0)
        return forced, float(shares[0]), cited, len(prompt)

    def answer(self, item, forced):
        t, ids = self.ids, [*self.prompt(item), self.ids.marker0 + forced, self.ids.answer]
        out = []
        while len(out) < 24:
            best = int(self.next(ids + out).argmax())
            if best in (t.close, t.turn_end):
                break
            out.append(best)
        return t.full.decode(out).strip()


def auroc(positive, negative):
    return sum((p > n) + 0.5 * (p == n) for p in positive for n in negative) / (len(positive) * len(negative))


def f1(said, wanted):
    """SQuAD's: of the words, lower-case, without articles and signs."""
    said, wanted = ([w for w in re.sub(r"[^\w\s]", "", t.lower()).split() if w not in ("a", "an", "the")] for t in (said, wanted))
    same = sum((Counter(said) & Counter(wanted)).values())
    return 2 * same / (len(said) + len(wanted)) if same else 0.0


def measure(model, rule, items, answers):
    rules, extracted = [rule.choose(i) for i in items], [model.extract(i) for i in items]
    rows = [model.choose(i) for i in items]
    # As the runtime does: where no sentence scores enough, the model is not asked.
    rows = [(f, share, [0] if best < THRESHOLD else cited, size) for (f, share, cited, size), (_, best) in zip(rows, extracted)]
    n = len(items)
    result = {"n": n, "tokens": round(sum(r[3] for r in rows) / n), "sentences": round(sum(len(i.sentences()) for i in items) / n, 1)}
    result["abstained"] = sum(r[2] == [0] for r in rows) / n
    if items[0].gold:
        result["sentence"] = sum(r[0] in i.gold for r, i in zip(rows, items)) / n
        result["sentence_rule"] = sum(b[0] in i.gold for b, i in zip(rules, items)) / n
        result["abstained_extractive"] = sum(b[1] < THRESHOLD for b in extracted) / n
        result["sentence_extractive"] = sum(b[0] in i.gold for b, i in zip(extracted, items)) / n
        result["exactly"] = sum(set(r[2]) == i.gold for r, i in zip(rows, items)) / n
        result["more_than_needed"] = sum(len(r[2]) > len(i.gold) for r, i in zip(rows, items)) / n
        if answers:
            said = [(model.answer(i, r[0]), i.answers) for r, i in list(zip(rows, items))[:answers] if i.answers]
            result["answer_f1"] = sum(max(f1(a, w) for w in want) for a, want in said) / max(1, len(said))
            result["answer_exact"] = sum(any(a.lower() == w.lower() for w in want) for a, want in said) / max(1, len(said))
    return result, [r[1] for r in rows], [-b[1] for b in rules], [-b[1] for b in extracted]


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--model", type=Path, required=True)
    a.add_argument("--corpus", type=Path, required=True)
    a.add_argument("--table", type=Path, required=True, help="folder of the static token table")
    a.add_argument("--encoder", type=Path, required=True, help="folder of the sentence encoder")
    a.add_argument("--without-shortlist", action="store_true")
    a.add_argument("--squad", type=Path, help="folder with corpus.jsonl and qa.jsonl; measured on the articles that are held out")
    a.add_argument("--count", type=int, default=300)
    a.add_argument("--answers", type=int, default=60, help="questions a set whose copied answer is scored")
    a.add_argument("--budgets", type=int, nargs="+", default=[250, 500, 768])
    a.add_argument("--dtype", default="float32")
    a.add_argument("--out", type=Path)
    a = a.parse_args()
    torch.set_num_threads(1)
    model = Model(a.model, getattr(torch, a.dtype), rule_of(Table(a.table), SentenceEncoder(a.encoder, a.table), a.corpus), not a.without_shortlist)
    rows = [json.loads(line) for line in a.corpus.open()]
    held, seen = [x for x in rows if x["held_out"]], [x for x in rows if not x["held_out"]]
    rule, ids = Overlap(seen), model.ids
    words = [w.strip(".,;:()") for x in held for s in x["sentences"] for w in s.split() if len(w.strip(".,;:()")) > 3]
    foreign = {"capital": [w for w in words if w[0].isupper()], "digit": [w for w in words if w[0].isdigit()], "lower": [w for w in words if w[0].islower()]}
    reports = [x for x in held if x["source"] == "tatqa"]
    documents = [x for x in held if x["source"] in ("rust", "pubmed")]
    makers = {
        "templates": lambda r, b: templated(r, ids, b, False), "templates, two facts": lambda r, b: templated(r, ids, b, False, pair=True),
        "templates, missing": lambda r, b: templated(r, ids, b, True),
        "pages": lambda r, b: paged(r, ids, b, False), "pages, missing": lambda r, b: paged(r, ids, b, True),
        "documents": lambda r, b: clozed(r, ids, documents, foreign, b, False), "documents, missing": lambda r, b: clozed(r, ids, documents, foreign, b, True),
        "reports": lambda r, b: asked(r, ids, reports, b, False), "reports, missing": lambda r, b: asked(r, ids, reports, b, True),
    }  # fmt: skip
    if a.squad:
        data = load_squad(a.squad)
        for kind in ("answered", "removed", "adversarial"):
            makers[f"SQuAD 2, {kind}"] = lambda r, b, kind=kind: squad(r, ids, data, b, kind)
    table = {}
    for budget in a.budgets:
        scores = {}
        for name, make in makers.items():
            r, items, start = random.Random(11), [], time.time()
            for _ in range(a.count * 40):
                if len(items) < a.count and (item := make(r, budget)):
                    items.append(item)
            result, *scores[name] = measure(model, rule, items, 0 if "two" in name else a.answers)
            for answered in ("templates", "pages", "documents", "reports", "SQuAD 2, answered"):
                if name != answered and name.split(",")[0] == answered.split(",")[0] and "two" not in name and answered in scores:
                    result["auroc"] = auroc(scores[name][0], scores[answered][0])
                    result["auroc_rule"] = auroc(scores[name][1], scores[answered][1])
                    result["auroc_extractive"] = auroc(scores[name][2], scores[answered][2])
            table[f"{name} @{budget}"] = {k: round(v, 3) for k, v in result.items()}
            print(f"{name} @{budget}", json.dumps(table[f"{name} @{budget}"]), f"{time.time() - start:.0f} s", flush=True)
    if a.out:
        a.out.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
