"""Serves an embedder or a cross-encoder with the program and has it read texts of 250 tokens: time, memory, and with
--reference how far the results are from those of sentence-transformers.

    python measure_encoders.py --program ../../../target/release/quoin --embedder out/bge-small-en --reference
    python measure_encoders.py --program ../../../target/release/quoin --reranker out/ms-marco-minilm-l6 --reference
"""

import argparse
import json
import random
import tempfile
import time
from pathlib import Path

from make import REPOSITORY
from measure import Server
from tokenizers import Tokenizer

QUERY = "How long does a VPN session last, and who approves it?"


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--program", type=Path, required=True, help="the built `quoin`")
    kind = a.add_mutually_exclusive_group(required=True)
    kind.add_argument("--embedder", type=Path)
    kind.add_argument("--reranker", type=Path)
    a.add_argument("--texts", type=int, default=50)
    a.add_argument("--tokens", type=int, default=250, help="of a text")
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--limit", type=int, default=600, help="seconds for the start or the request")
    a.add_argument("--reference", action="store_true", help="compare with sentence-transformers")
    a = a.parse_args()
    role, model = ("embedder", a.embedder) if a.embedder else ("reranker", a.reranker)
    texts = of_length(Tokenizer.from_file(str(model / "tokenizer.json")), a.texts, a.tokens)
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "quoin.toml"
        limit = f"[server]\nsamples = false\nrequest_timeout_ms = {a.limit * 1000}\n"
        settings.write_text(f"{limit}[retrieval]\n{role} = {json.dumps(str(model.resolve()))}\n")
        with Server(a, settings, Path(folder) / "data") as server:
            record = {role: model.name, "threads": a.threads} | server.start()
            if server.address:
                record |= embedded(server, texts) if a.embedder else judged(server, texts)
    results = record.pop("results", None)
    if a.reference and results:
        record |= compared(role, model, texts, results)
    print(json.dumps(record), flush=True)


def of_length(tokenizer: Tokenizer, count: int, tokens: int) -> list[str]:
    """Texts of the sample handbook's words, in an order of their own."""
    files = sorted((REPOSITORY / "runtime/samples/handbook").rglob("*.md"))
    words = " ".join(file.read_text() for file in files).split()
    source, texts = random.Random(0), []
    for _ in range(count):
        drawn = source.choices(words, k=tokens)
        while len(tokenizer.encode(" ".join(drawn), add_special_tokens=False).ids) > tokens:
            drawn.pop()
        texts.append(" ".join(drawn))
    return texts


def timed(server: Server, path: str, body: dict) -> tuple[dict, dict]:
    began, computed = time.monotonic(), server.cpu_s()
    status, answer = server.post(path, body)
    spent = {"wall_s": round(time.monotonic() - began, 3), "cpu_s": round(server.cpu_s() - computed, 2)}
    if status != 200:
        return spent | {"error": answer["error"]["message"]}, {}
    return spent | {"memory_after_asking": server.memory()}, answer


def embedded(server: Server, texts: list[str]) -> dict:
    timed(server, "/v1/embeddings", {"model": "quoin", "input": texts[:2]})
    spent, answer = timed(server, "/v1/embeddings", {"model": "quoin", "input": texts, "encoding_format": "float"})
    return spent | {"results": [item["embedding"] for item in answer.get("data", [])]}


def judged(server: Server, texts: list[str]) -> dict:
    timed(server, "/v1/rerank", {"query": QUERY, "documents": texts[:2]})
    spent, answer = timed(server, "/v1/rerank", {"query": QUERY, "documents": texts})
    scores = sorted(answer.get("results", []), key=lambda result: result["index"])
    return spent | {"results": [result["relevance_score"] for result in scores]}


def compared(role: str, model: Path, texts: list[str], results: list) -> dict:
    import numpy as np
    import torch
    from sentence_transformers import CrossEncoder, SentenceTransformer

    torch.set_num_threads(1)
    began = time.process_time()
    if role == "embedder":
        # The models of this family want it, and the program knows them by their name.
        prompt = "passage: " if "e5-" in model.name else None
        expected = SentenceTransformer(str(model), device="cpu").encode(texts, normalize_embeddings=True, prompt=prompt)
        cosines = (np.array(results) * expected).sum(1)
        return {"least_cosine": float(cosines.min()), "theirs_cpu_s": round(time.process_time() - began, 2)}
    encoder = CrossEncoder(str(model), device="cpu")
    expected = encoder.predict([(QUERY, text) for text in texts], activation_fn=torch.nn.Identity())
    difference = float(np.abs(np.array(results) - expected).max())
    seen = {"greatest_difference": difference, "spread_of_scores": float(np.ptp(expected))}
    return seen | {"theirs_cpu_s": round(time.process_time() - began, 2)}


if __name__ == "__main__":
    main()
