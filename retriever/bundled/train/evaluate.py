"""nDCG@10 and R@100 of the static table, and of its teacher, on folders in BEIR layout; exact search."""

import argparse
import json
import math
from pathlib import Path

import numpy as np

from static_table import StaticTable


class Collection:
    """Documents (title and text joined), judged queries, and the relevant documents of each by position."""

    def __init__(self, folder, most_queries=None, seed=0):
        self.name = folder.name
        documents = [json.loads(line) for line in (folder / "corpus.jsonl").open()]
        self.documents = [f"{d.get('title') or ''} {d['text']}".strip() for d in documents]
        position = {d["_id"]: i for i, d in enumerate(documents)}
        queries = {q["_id"]: q["text"] for q in map(json.loads, (folder / "queries.jsonl").open())}
        judged = {}
        for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
            query, document, grade = line.split("\t")
            if int(grade) > 0:
                judged.setdefault(query, {})[document] = int(grade)
        names = list(judged)
        if most_queries and len(names) > most_queries:
            chosen = np.random.default_rng(seed).choice(len(names), most_queries, replace=False)
            names = [names[i] for i in sorted(chosen)]
        self.queries = [queries[q] for q in names]
        self.grades = [judged[q] for q in names]
        self.relevant = [{position[d]: g for d, g in judged[q].items() if d in position} for q in names]


def search(queries, documents, depth=100):
    scores = queries @ documents.T
    depth = min(depth, scores.shape[1])
    top = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
    return np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable"), 1)


def measure(collection, runs):
    """Mean nDCG@10 (gain = grade) and mean recall at 100."""
    gains, recalls = [], []
    for relevant, grades, run in zip(collection.relevant, collection.grades, runs):
        found = sum(relevant.get(int(d), 0) / math.log2(i + 2) for i, d in enumerate(run[:10]))
        best = sorted(grades.values(), reverse=True)[:10]
        gains.append(found / sum(g / math.log2(i + 2) for i, g in enumerate(best)))
        recalls.append(len(relevant.keys() & {int(d) for d in run[:100]}) / len(grades))
    return float(np.mean(gains)), float(np.mean(recalls))


def encode_with(encoder, collection, cache):
    """Query and document vectors; kept under `cache` when given, for the slow teacher."""
    stored = cache / f"{collection.name}.npz" if cache else None
    if stored and stored.exists():
        vectors = np.load(stored)
        if len(vectors["queries"]) == len(collection.queries):
            return vectors["queries"], vectors["documents"]
    queries, documents = encoder.encode(collection.queries), encoder.encode(collection.documents)
    if stored:
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(stored, queries=queries, documents=documents)
    return queries, documents


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True, action="append", help="repeatable: folders to compare")
    parser.add_argument("--teacher", action="store_true", help="also measure the teacher (minutes a collection)")
    parser.add_argument("--bfloat16", action="store_true", help="run the teacher in bfloat16")
    parser.add_argument("--teacher-cache", type=Path, help="folder that keeps the teacher's vectors")
    parser.add_argument("--most-queries", type=int, help="measure on a seeded sample of each collection's queries")
    parser.add_argument("collections", type=Path, nargs="+", help="folders in BEIR layout")
    options = parser.parse_args()
    systems = {str(folder): (StaticTable.load(folder), None) for folder in options.table}
    if options.teacher:
        import torch

        from teacher import Teacher

        torch.set_num_threads(1)
        systems["teacher"] = (Teacher(longest=256, dtype=torch.bfloat16 if options.bfloat16 else torch.float32), options.teacher_cache)
    collections = [Collection(folder, options.most_queries) for folder in options.collections]
    print(f"{'nDCG@10 / R@100':32s}" + "".join(f"{c.name:>14s}" for c in collections))
    for name, (encoder, cache) in systems.items():
        figures = []
        for collection in collections:
            queries, documents = encode_with(encoder, collection, cache)
            figures.append("{:.3f} / {:.3f}".format(*measure(collection, search(queries, documents))))
        print(f"{name[-32:]:32s}" + "".join(f"{f:>14s}" for f in figures), flush=True)


if __name__ == "__main__":
    main()
