"""A model from a folder in this crate and in sentence-transformers, on the same texts and the same cores: speed and cosines.

    pip install torch==2.15.0 sentence-transformers==6.2.0
    python retriever/benches/embedding.py MODEL_FOLDER CORPUS.jsonl

The corpus is a BEIR collection's: its first 1,000 texts are compared as they are, and again joined to passages of 250 tokens.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

TEXTS, LONG, QUERIES, TOKENS = 1000, 200, 200, 250


def texts(model, corpus):
    documents = [json.loads(line) for line in Path(corpus).read_text().splitlines()[: 2 * TEXTS]]
    whole = [f"{d.get('title', '')} {d['text']}".strip() for d in documents]
    queries = [text.split(". ")[0][:120] for text in whole[:QUERIES]]
    joined = model.tokenizer(" ".join(whole), add_special_tokens=False)["input_ids"]
    passages = [model.tokenizer.decode(joined[at : at + TOKENS]) for at in range(0, LONG * TOKENS, TOKENS)]
    return whole[:TEXTS], passages, queries


def theirs(model, passages, queries):
    model.encode(passages[:8])
    start = time.perf_counter()
    vectors = model.encode(passages, batch_size=32, normalize_embeddings=True)
    seconds = time.perf_counter() - start
    times = []
    for query in queries:
        start = time.perf_counter()
        model.encode(query)
        times.append((time.perf_counter() - start) * 1000)
    times.sort()
    result = {
        "passages_per_second": len(passages) / seconds,
        "query_p50_ms": statistics.median(times),
        "query_p99_ms": times[len(times) * 99 // 100],
    }
    return vectors, result


def ours(folder, passages, queries):
    with tempfile.TemporaryDirectory() as work:
        given, vectors = Path(work, "texts.json"), Path(work, "vectors")
        given.write_text(json.dumps({"passages": passages, "queries": queries}))
        command = ["cargo", "bench", "-q", "-p", "quoin-retriever", "--bench", "embedding", "--"]
        done = subprocess.run([*command, folder, given, vectors], stdout=subprocess.PIPE, check=True)
        return np.fromfile(vectors, dtype=np.float32).reshape(len(passages), -1), json.loads(done.stdout)


def main():
    folder, corpus = sys.argv[1:]
    folder = str(Path(folder).resolve())
    model = SentenceTransformer(folder, device="cpu")
    whole, passages, queries = texts(model, corpus)
    for name, some in [(f"{TEXTS} texts", whole), (f"{LONG} passages of {TOKENS} tokens", passages)]:
        want, slow = theirs(model, some, queries)
        got, fast = ours(folder, some, queries)
        cosines = (want * got).sum(axis=1)
        print(f"{name}: least cosine {cosines.min():.7f}")
        print("  sentence-transformers", json.dumps({k: round(v, 2) for k, v in slow.items()}))
        print("  this crate           ", json.dumps({k: round(v, 2) for k, v in fast.items()}))


if __name__ == "__main__":
    main()
