"""The shortlist behind a question: the sentences that the runtime's extractive rule ranks first, best last, each with its score in tenths.

The rule is that of `runtime/src/answer/extractive.rs`: `0.70 · overlap + 0.20 · cosine + 0.10 / (1 + the passage's rank)`. What a search
ranked first is not known here: passages are ranked by how much of the question they hold.
"""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import snowballstemmer

LONGEST = 6
HEADING_SHARE, PASSAGE_SHARE = 0.6, 0.35
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


class Shortlister:
    def __init__(self, table, passages):
        """table: the static token table. passages: texts that inverse document frequencies are taken from."""
        self.table, self.stemmer, self.stems = table, snowballstemmer.stemmer("english"), {}
        self.holding, self.passages = Counter(), 0
        for text in passages:
            self.passages += 1
            self.holding.update(self.terms(text))

    def terms(self, text):
        found = set()
        for word in re.findall(r"[^\W_]+", text.lower()):
            if word not in STOP_WORDS:
                if word not in self.stems:
                    self.stems[word] = self.stemmer.stemWord(word)
                found.add(self.stems[word])
        return frozenset(found)

    def read(self, texts):
        return [Read(self.terms(text), vector) for text, vector in zip(texts, self.table.vectors(texts))] if texts else []

    def weight(self, term):
        n = self.holding[term]
        return math.log(1 + (self.passages - n + 0.5) / (n + 0.5))

    def scores(self, question: Read, passages, shaken=lambda weight: weight):
        """One number a sentence, in order. passages: (terms of the headings, what was read of each sentence). shaken: done to
        each term's weight."""
        weights = {t: shaken(self.weight(t)) for t in sorted(question.terms, key=str)}
        total = sum(weights.values()) or 1.0
        held = [frozenset().union(headings, *(s.terms for s in sentences)) & question.terms for headings, sentences in passages]
        order = sorted(range(len(passages)), key=lambda n: -sum(weights[t] for t in held[n]))
        rank = {n: place for place, n in enumerate(order)}
        found = []
        for n, (headings, sentences) in enumerate(passages):
            share = {t: weights[t] * (HEADING_SHARE if t in headings else PASSAGE_SHARE) for t in held[n]}
            for s in sentences:
                overlap = sum(weights[t] if t in s.terms else share[t] for t in held[n]) / total
                known = question.vector is not None and s.vector is not None
                cosine = min(1.0, max(0.0, float(question.vector @ s.vector))) if known else 0.0
                found.append(0.7 * overlap + 0.2 * cosine + 0.1 / (1 + rank[n]))
        return found


def rule_of(table, corpus):
    """The rule with the frequencies of a corpus file's training side."""
    rows = [row for row in map(json.loads, corpus.open()) if not row["held_out"]]
    return Shortlister(table, [" ".join([row["title"] or "", *row["sentences"]]) for row in rows])


def shortlist(scores):
    """(sentence from 0, score in tenths from 0 to 9), best last, at most LONGEST."""
    best = sorted(range(len(scores)), key=lambda n: -scores[n])[:LONGEST]
    return [(n, min(9, max(0, int(scores[n] * 10)))) for n in reversed(best)]
