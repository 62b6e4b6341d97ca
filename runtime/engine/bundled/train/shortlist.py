"""The shortlist behind a question: the sentences that the runtime's extractive rule ranks first, best last, each with its score in tenths.

The rule is that of `runtime/src/answer/sentences.rs`: `0.70 · overlap + 0.20 · cosine + 0.10 / (1 + the passage's rank)`, then for the best of
them `0.25 · that + 0.375 · cosine + 0.375 · late interaction` by the sentence encoder. What a search ranked first is not known here: passages are
ranked by how much of the question they hold.
"""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import snowballstemmer
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

LONGEST = 6
HEADING_SHARE, PASSAGE_SHARE = 0.6, 0.35
ENCODED, FIRST_SHARE = 8, 0.25
HEADING_TOKENS, SENTENCE_TOKENS, QUESTION_TOKENS = 24, 64, 64
WORD = re.compile(r"[^\W_]+")
# As in `retriever/src/index/analysis.rs`.
STOP_WORDS = frozenset(
    "a about above after again all also am an and any are as at be because been before being below between both but by can could did do does "
    "doing down during each few for from further had has have having he her here hers him his how i if in into is it its itself just me more "
    "most my no nor not of off on once only or other our ours out over own same she should so some such than that the their theirs them then "
    "there these they this those through to too under until up very was we were what when where which while who whom whose why will with "
    "would you your yours".split()
)


@dataclass
class Read:
    """What the rule reads of a text: its terms, and its vector of length 1 or none."""

    terms: frozenset
    vector: np.ndarray | None = None
    text: str = ""


class SentenceEncoder:
    """The encoder that the retriever carries, `retriever/bundled/encoder`, with the tokenizer of the static table."""

    def __init__(self, folder: Path, table: Path):
        config = json.loads((folder / "config.json").read_text())
        self.model = BertModel(BertConfig(**config), add_pooling_layer=False).eval()
        tensors = load_file(folder / "model.safetensors")
        scaled = lambda name: tensors[name].float() * tensors[f"{name}.scale"][:, None] if f"{name}.scale" in tensors else tensors[name]
        self.model.load_state_dict({name: scaled(name) for name in tensors if not name.endswith(".scale")})
        self.tokenizer = Tokenizer.from_file(str(table / "tokenizer.json"))

    def tokens(self, text, most):
        """Ids, and the byte of the text where each starts, as characters."""
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        return encoding.ids[:most], [start for start, _ in encoding.offsets[:most]]

    @torch.no_grad()
    def encode(self, sequences):
        """(mean, rows of tokens without special ones), both of length 1, of each list of ids."""
        order = sorted(range(len(sequences)), key=lambda n: len(sequences[n]))
        found = [None] * len(order)
        while order:
            batch = [order.pop()]
            width = len(sequences[batch[0]]) + 2
            while order and width * (len(batch) + 1) <= 1024:
                batch.append(order.pop())
            ids, mask = torch.zeros(len(batch), width, dtype=torch.long), torch.zeros(len(batch), width)
            for row, n in enumerate(batch):
                one = [101, *sequences[n], 102]
                ids[row, : len(one)], mask[row, : len(one)] = torch.tensor(one), 1
            with torch.autocast("cpu", torch.bfloat16):
                states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
            states = states.float()
            means = torch.nn.functional.normalize((states * mask[..., None]).sum(1), dim=-1).numpy()
            rows = torch.nn.functional.normalize(states, dim=-1).numpy()
            for row, n in enumerate(batch):
                found[n] = means[row], rows[row, 1 : len(sequences[n]) + 1]
        return found


class Nearness:
    """What the encoder made of one context and its questions."""

    def __init__(self, rule, questions, passages):
        encoder, self.rule = rule.encoder, rule
        self.questions = {q.text: encoder.tokens(q.text, QUESTION_TOKENS) for q in questions if q.text}
        places = [(n, m) for n, (_, sentences) in enumerate(passages) for m, s in enumerate(sentences) if s.text]
        sentence = lambda n, m: encoder.tokens(passages[n][0].text, HEADING_TOKENS)[0] + encoder.tokens(passages[n][1][m].text, SENTENCE_TOKENS)[0]
        outputs = encoder.encode([sentence(*place) for place in places] + [ids for ids, _ in self.questions.values()])
        self.sentences = dict(zip(places, outputs))
        self.asked = dict(zip(self.questions, outputs[len(places) :]))

    def of(self, question, place, weights):
        """(cosine, late interaction) of a question and a sentence by its place; none if either has no text."""
        if place not in self.sentences or question.text not in self.asked:
            return None
        (mean, rows), (asked, asked_rows) = self.sentences[place], self.asked[question.text]
        worth = self.rule.token_weights(question.text, self.questions[question.text][1], weights)
        late = float((asked_rows @ rows.T).max(1) @ worth / worth.sum()) if len(rows) and worth.sum() > 0 else 0.0
        return max(0.0, float(asked @ mean)), max(0.0, late)


class Shortlister:
    def __init__(self, table, encoder, passages):
        """table: the static token table. encoder: a SentenceEncoder. passages: texts that inverse document frequencies are taken from."""
        self.table, self.encoder, self.stemmer, self.stems = table, encoder, snowballstemmer.stemmer("english"), {}
        self.holding, self.passages = Counter(), 0
        for text in passages:
            self.passages += 1
            self.holding.update(self.terms(text))

    def term(self, word):
        """The term of a lower-case word; none of a stop word."""
        if word in STOP_WORDS:
            return None
        if word not in self.stems:
            self.stems[word] = self.stemmer.stemWord(word)
        return self.stems[word]

    def terms(self, text):
        return frozenset(map(self.term, WORD.findall(text.lower()))) - {None}

    def read(self, texts):
        return [Read(self.terms(text), vector, text) for text, vector in zip(texts, self.table.vectors(texts))] if texts else []

    def heading(self, title):
        return Read(self.terms(title or ""), None, title or "")

    def token_weights(self, text, starts, weights):
        """What each token of a question is worth, by where it starts: its share of its word's weight. weights: of terms."""
        words = [(m.start(), m.end(), weights.get(self.term(m[0].lower()), 0.0)) for m in WORD.finditer(text)]
        within = [next((n for n, (first, last, _) in enumerate(words) if first <= start < last), None) for start in starts]
        pieces = Counter(within)
        return np.array([0.0 if n is None else words[n][2] / pieces[n] for n in within], np.float32)

    def weight(self, term):
        n = self.holding[term]
        return math.log(1 + (self.passages - n + 0.5) / (n + 0.5))

    def scores(self, question: Read, passages, near: Nearness, shaken=lambda weight: weight):
        """One number a sentence, in order. passages: (what was read of the headings, and of each sentence). near: of this question and
        these passages. shaken: done to each term's weight."""
        weights = {t: shaken(self.weight(t)) for t in sorted(question.terms, key=str)}
        total = sum(weights.values()) or 1.0
        held = [frozenset().union(headings.terms, *(s.terms for s in sentences)) & question.terms for headings, sentences in passages]
        order = sorted(range(len(passages)), key=lambda n: -sum(weights[t] for t in held[n]))
        rank = {n: place for place, n in enumerate(order)}
        first, places = [], []
        for n, (headings, sentences) in enumerate(passages):
            share = {t: weights[t] * (HEADING_SHARE if t in headings.terms else PASSAGE_SHARE) for t in held[n]}
            for m, s in enumerate(sentences):
                overlap = sum(weights[t] if t in s.terms else share[t] for t in held[n]) / total
                known = question.vector is not None and s.vector is not None
                cosine = min(1.0, max(0.0, float(question.vector @ s.vector))) if known else 0.0
                first.append(0.7 * overlap + 0.2 * cosine + 0.1 / (1 + rank[n]))
                places.append((n, m))
        looked_at = set(sorted(range(len(first)), key=lambda i: -first[i])[:ENCODED])
        found = []
        for i, score in enumerate(first):
            both = near.of(question, places[i], weights) if i in looked_at else (0.0, 0.0)
            found.append(score if both is None else FIRST_SHARE * score + (1 - FIRST_SHARE) * sum(both) / 2)
        return found


def rule_of(table, encoder, corpus):
    """The rule with the frequencies of a corpus file's training side."""
    rows = [row for row in map(json.loads, corpus.open()) if not row["held_out"]]
    return Shortlister(table, encoder, [" ".join([row["title"] or "", *row["sentences"]]) for row in rows])


def shortlist(scores):
    """(sentence from 0, score in tenths from 0 to 9), best last, at most LONGEST."""
    best = sorted(range(len(scores)), key=lambda n: -scores[n])[:LONGEST]
    return [(n, min(9, max(0, int(scores[n] * 10)))) for n in reversed(best)]
