"""What a student is worth: the right sentence among a few passages, reranking of a first stage's runs, and speed.

Models are folders of the BERT family, the teacher's among them; the static table stands beside them. No weight is measured
on the queries that it was chosen on: two halves, each with the weight that is best on the other. `answering` in the questions
of `--choice` are positions over the sentences of all passages.
"""

import argparse
import collections
import json
import math
import re
import time
from pathlib import Path

import numpy as np
import torch

from evaluate import Collection
from static_table import StaticTable, token_ids, unit
from teacher import Teacher

STOP_WORDS = frozenset(
    "a an the of to in on at for and or is are was were be been do does did can may what which who whom whose when where why "
    "how i me my we you your it its this that with by from as if much many long not no there their they have has had".split()
)
WEIGHTS = (0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
MIXES = {
    "cosine": [(w, 0.0) for w in WEIGHTS],
    "late interaction": [(0.0, w) for w in WEIGHTS],
    "both": [(a, b) for a in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5) for b in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)],
}
LONGEST_TITLE = 32
UNKNOWN = 100
SENTENCE_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)


class Network:
    """A folder of the BERT family: sentence vectors, and unit vectors of the tokens without the special ones."""

    def __init__(self, folder, bfloat16, dimensions=None):
        self.teacher = Teacher(folder, dtype=torch.bfloat16 if bfloat16 else torch.float32)
        self.tokenizer = self.teacher.tokenizer
        self.projection = self.principal(dimensions) if dimensions else None

    def principal(self, dimensions):
        """Directions of greatest variance in the states of short random sequences of the vocabulary, as the program makes them."""
        random_source = np.random.default_rng(0)
        ids = [[101, *random_source.integers(1000, 30522, 8).tolist(), 102] for _ in range(512)]
        states = np.concatenate([x[1:-1] for _, x in self.teacher.hidden(ids)])
        _, directions = np.linalg.eigh(states.T @ states)
        return np.ascontiguousarray(directions[:, ::-1][:, :dimensions])

    def read(self, texts):
        """(ids, sentence vector, token vectors) of each text."""
        ids = self.teacher.ids(texts)
        found = [None] * len(ids)
        for i, states in self.teacher.hidden(ids):
            tokens = states[1:-1]
            if self.projection is not None:
                tokens = four_bits(tokens @ self.projection)
            found[i] = (ids[i][1:-1], unit(states.mean(axis=0)), unit(tokens).astype(np.float16))
        return found

    def read_sentences(self, title, sentences):
        """One pass over a passage: for each sentence the mean of its tokens' states, and its token vectors with the title's."""
        heading, *bodies = token_ids(self.tokenizer, [title, *sentences])
        heading, found = heading[: LONGEST_TITLE], [None] * len(sentences)
        for window in windows(bodies, self.teacher.longest - 2 - len(heading)):
            ids, ranges = [101, *heading], []
            for body in window.values():
                ranges.append((len(ids), len(ids) + len(body)))
                ids += body
            [(_, states)] = self.teacher.hidden([[*ids, 102]])
            tokens = states if self.projection is None else four_bits(states @ self.projection)
            tokens = unit(tokens).astype(np.float16)
            for i, (first, last) in zip(window, ranges):
                found[i] = (unit(states[first:last].mean(axis=0)), np.concatenate([tokens[1 : 1 + len(heading)], tokens[first:last]]))
        return found


class Static:
    """The static table in the same shape."""

    def __init__(self, folder):
        self.table = StaticTable.load(folder)
        self.tokenizer = self.table.tokenizer
        self.units = unit(self.table.rows)

    def read(self, texts):
        ids = token_ids(self.tokenizer, texts)
        return [(x, v, self.units[x].astype(np.float16)) for x, v in zip(ids, unit(self.table.means(ids)))]

    def read_sentences(self, title, sentences):
        """As of a network: here a sentence has no surroundings but its title."""
        return [(vector, tokens) for _, vector, tokens in self.read([f"{title} {sentence}".strip() for sentence in sentences])]


def windows(bodies, room):
    """Runs of sentences, by position, that fit in one pass; a sentence that does not fit alone loses its end."""
    window, used = {}, 0
    for i, body in enumerate(bodies):
        body = body[:room] or [UNKNOWN]
        if used + len(body) > room:
            yield window
            window, used = {}, 0
        window[i], used = body, used + len(body)
    yield window


def four_bits(rows):
    """Rows as they come back from four bits a component."""
    scale = np.abs(rows).max(axis=1, keepdims=True) / 7
    return np.round(rows / np.maximum(scale, 1e-12))


def max_similarity(query, weights, passage):
    """Σ weight · max cosine / Σ weight over the query's tokens."""
    if not len(passage) or weights.sum() == 0:
        return 0.0
    most = (query.astype(np.float32) @ passage.astype(np.float32).T).max(axis=1)
    return float((most * weights).sum() / weights.sum())


class Rarity:
    """Inverse document frequency of tokens; none for stop words."""

    def __init__(self, tokenizer, documents):
        counts = collections.Counter(token for ids in documents for token in set(ids))
        self.total = len(documents)
        self.counts = counts
        self.stopped = {tokenizer.token_to_id(word) for word in STOP_WORDS}
        self.stopped |= {tokenizer.token_to_id(sign) for sign in ".,;:?!'\"()-"}

    def __call__(self, ids):
        weight = lambda t: 0.0 if t in self.stopped else math.log(1 + (self.total - self.counts[t] + 0.5) / (self.counts[t] + 0.5))
        return np.array([weight(t) for t in ids], np.float32)


def min_max(scores):
    span = scores.max() - scores.min()
    return (scores - scores.min()) / span if span > 1e-9 else np.ones_like(scores)


def halves(count, seed=0):
    order = np.random.default_rng(seed).permutation(count)
    return order[: count // 2], order[count // 2 :]


# Reranking


def gain(relevant, ideal, order):
    found = sum(relevant.get(int(d), 0) / math.log2(i + 2) for i, d in enumerate(order[:10]))
    best = sorted(ideal.values(), reverse=True)[:10]
    return found / sum(g / math.log2(i + 2) for i, g in enumerate(best))


def first_stage(folder, run, depth, most_queries):
    """The collection, and for each query the positions and scores of its best documents."""
    collection = Collection(folder, most_queries)
    names = [json.loads(line)["_id"] for line in (folder / "corpus.jsonl").open()]
    position = {name: i for i, name in enumerate(names)}
    texts = {}
    for line in (folder / "queries.jsonl").open():
        query = json.loads(line)
        texts[query["_id"]] = query["text"]
    listed = collections.defaultdict(list)
    for line in run.open():
        query, _, document, _, score, _ = line.split()
        if len(listed[texts[query]]) < depth:
            listed[texts[query]].append((position[document], float(score)))
    return collection, [listed.get(q, []) for q in collection.queries]


def rerank_scores(model, collection, candidates):
    """For each query the cosine, and the late interaction, with each of its candidates."""
    wanted = sorted({d for listed in candidates for d, _ in listed})
    documents = dict(zip(wanted, model.read([collection.documents[d] for d in wanted])))
    rarity = Rarity(model.tokenizer, [ids for ids, _, _ in documents.values()])
    scores = []
    for (ids, vector, tokens), listed in zip(model.read(collection.queries), candidates):
        weights = rarity(ids)
        cosine = np.array([float(vector @ documents[d][1]) for d, _ in listed])
        late = np.array([max_similarity(tokens, weights, documents[d][2]) for d, _ in listed])
        scores.append((cosine, late))
    return scores


def gains_by_mix(collection, candidates, judged, mixes):
    """nDCG@10 of every query at every mix of (cosine, late interaction): [mixes, queries]. The first stage has what is left."""
    table = np.zeros((len(mixes), len(candidates)))
    for i, (listed, signals) in enumerate(zip(candidates, judged)):
        if not listed:
            continue
        keys = np.array([d for d, _ in listed])
        first, *others = (min_max(np.array(x)) for x in ([s for _, s in listed], *signals))
        for m, weights in enumerate(mixes):
            order = np.argsort(-((1 - sum(weights)) * first + sum(w * x for w, x in zip(weights, others))), kind="stable")
            table[m, i] = gain(collection.relevant[i], collection.grades[i], keys[order])
    return table


def crossed(tables, mixes):
    """Mean nDCG@10 of each collection, each half at the one mix that is best on the other halves of all together."""
    totals, chosen = np.zeros(len(tables)), []
    for side in (0, 1):
        split = [halves(t.shape[1]) for t in tables]
        best = int(np.argmax(np.mean([t[:, s[1 - side]].mean(axis=1) for t, s in zip(tables, split)], axis=0)))
        chosen.append(mixes[best])
        totals += [t[best, s[side]].sum() for t, s in zip(tables, split)]
    return totals / [t.shape[1] for t in tables], chosen


def rerank(models, options):
    stages = [first_stage(f, options.runs / f.name / "run.fused.trec", options.depth, options.most_queries) for f in options.collections]
    print(f"{'nDCG@10':60s}" + "".join(f"{f.name[:9]:>10s}" for f in options.collections) + "      mean  weights")
    plain = [gains_by_mix(c, l, [()] * len(l), [()])[0].mean() for c, l in stages]
    print_row("first stage", plain)
    for name, model in models:
        judged = [rerank_scores(model, *stage) for stage in stages]
        for kind, mixes in MIXES.items():
            tables = [gains_by_mix(*stage, scores, mixes) for stage, scores in zip(stages, judged)]
            print_row(f"{name}: {kind}", *crossed(tables, mixes))


def print_row(name, figures, chosen=""):
    print(f"{name[-60:]:60s}" + "".join(f"{x:10.4f}" for x in figures) + f"{np.mean(figures):10.4f}  {chosen}", flush=True)


# The right sentence


CHOICE_KINDS = ("cosine", "late", "cosine in passage", "late in passage")
CHOICE_SUMS = ((1, 0, 0, 0), (0, 1, 0, 0), (1, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0, 0, 1, 1))


def stems(text):
    found = [w for w in re.findall(r"[a-z0-9]+", text.lower()) if w not in STOP_WORDS]
    return {re.sub(r"(ing|ed|es|s|ly)$", "", w) if len(w) > 4 else w for w in found}


def overlap(item, weight_of):
    """Share of the question's words, by rarity, that a sentence has; words of its title and passage count less."""
    asked = stems(item["question"])
    total = sum(map(weight_of, asked)) or 1.0
    scores = []
    for passage in item["passages"]:
        sentences, title = [stems(s) for s in passage["sentences"]], stems(passage["title"])
        around = set().union(*sentences)
        for own in sentences:
            worth = lambda w: 1.0 if w in own else 0.6 if w in title else 0.35 if w in around else 0.0
            scores.append(sum(weight_of(w) * worth(w) for w in asked) / total)
    return np.array(scores)


def choice_scores(model, items):
    """One row a sentence, one column a kind of `CHOICE_KINDS`, question by question."""
    titled = sorted({f"{p['title']} {s}".strip() for item in items for p in item["passages"] for s in p["sentences"]})
    together = dict(zip(titled, model.read(titled)))
    rarity = Rarity(model.tokenizer, [ids for ids, _, _ in together.values()])
    within, found = {}, []
    for item, (ids, vector, tokens) in zip(items, model.read([item["question"] for item in items])):
        weights, rows = rarity(ids), []
        for passage in item["passages"]:
            key = (passage["title"], *passage["sentences"])
            if key not in within:
                within[key] = model.read_sentences(passage["title"], passage["sentences"])
            for sentence, (in_context, context_rows) in zip(passage["sentences"], within[key]):
                _, of_title, token_rows = together[f"{passage['title']} {sentence}".strip()]
                late = [max_similarity(tokens, weights, r) for r in (token_rows, context_rows)]
                rows.append((vector @ of_title, late[0], vector @ in_context, late[1]))
        found.append(np.array(rows, np.float64))
    return found


def right(items, scores):
    return np.array([float(int(np.argmax(s)) in item["answering"]) for item, s in zip(items, scores)])


def choice(models, options):
    sets = {path.stem: [json.loads(line) for line in path.open()][: options.most_questions] for path in options.choice}
    overlaps = {}
    for name, items in sets.items():
        passages = [stems(" ".join(p["sentences"])) for item in items for p in item["passages"]]
        counts, total = collections.Counter(w for p in passages for w in p), len(passages)
        weight_of = lambda w: math.log(1 + (total - counts[w] + 0.5) / (counts[w] + 0.5))
        overlaps[name] = [overlap(item, weight_of) for item in items]
    print(f"{'right sentence':60s}" + "".join(f"{f'{n} ({len(i)})':>17s}" for n, i in sets.items()))
    line = lambda label, figures: print(f"{label[-60:]:60s}" + "".join(f"{x:>17s}" for x in figures), flush=True)
    line("overlap with titles", [f"{right(sets[n], overlaps[n]).mean():.3f}" for n in sets])
    for label, model in models:
        scores = {n: choice_scores(model, items) for n, items in sets.items()}
        for column, kind in enumerate(CHOICE_KINDS):
            line(f"{label}: {kind}", [f"{right(sets[n], [s[:, column] for s in scores[n]]).mean():.3f}" for n in sets])
        for columns in CHOICE_SUMS:
            kind = " + ".join(["overlap", *(kind for kind, used in zip(CHOICE_KINDS, columns) if used)])
            tables = {}
            for n, items in sets.items():
                added = [s @ np.array(columns, float) for s in scores[n]]
                tables[n] = np.array([right(items, [o + w * a for o, a in zip(overlaps[n], added)]) for w in SENTENCE_WEIGHTS])
            line(f"{label}: {kind}", crossed_choice(tables))


def crossed_choice(tables):
    """As `crossed`: one weight for all sets, chosen on the other half."""
    figures, chosen = {n: 0.0 for n in tables}, []
    for side in (0, 1):
        best = int(np.argmax(np.mean([t[:, halves(t.shape[1])[1 - side]].mean(axis=1) for t in tables.values()], axis=0)))
        chosen.append(SENTENCE_WEIGHTS[best])
        for n, t in tables.items():
            figures[n] += t[best, halves(t.shape[1])[side]].sum() / t.shape[1]
    return [f"{x:.3f}" for x in figures.values()] + [f"  {chosen}"]


# Speed


def speed(models):
    """Texts a second on one thread, of 250 and of 25 tokens."""
    random_source = np.random.default_rng(0)
    for name, model in models:
        if not isinstance(model, Network):
            continue
        figures = []
        for length, count in ((250, 48), (25, 480)):
            ids = random_source.integers(1000, 30522, (count, length)).tolist()
            list(model.teacher.hidden(ids[:8]))
            times = []
            for _ in range(3):
                started = time.process_time()
                list(model.teacher.hidden(ids))
                times.append(time.process_time() - started)
            figures.append(f"{count / min(times):.0f} texts/s of {length} tokens")
        print(f"{name[-60:]:60s}" + ", ".join(figures), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, help="folder of the static table")
    parser.add_argument("--model", type=Path, action="append", default=[], help="repeatable: folders of the BERT family")
    parser.add_argument("--choice", type=Path, nargs="+", default=[], help="jsonl: question, passages {title, sentences}, answering")
    parser.add_argument("--collections", type=Path, nargs="+", default=[], help="folders in BEIR layout to rerank")
    parser.add_argument("--runs", type=Path, help="has NAME/run.fused.trec for each, of `quoin eval retrieval --out`")
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--most-queries", type=int, default=300)
    parser.add_argument("--most-questions", type=int, default=400)
    parser.add_argument("--token-dimensions", type=int, help="store token vectors in so many principal components of four bits")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    models = [("static", Static(options.table))] if options.table else []
    models += [("/".join(f.parts[-2:]), Network(f, options.bfloat16, options.token_dimensions)) for f in options.model]
    if options.choice:
        choice(models, options)
    if options.collections:
        rerank(models, options)
    if options.speed:
        speed(models)


if __name__ == "__main__":
    main()
