"""Writes a data set for `quoin eval answers`: documents, questions, and how it was made."""

import json
from pathlib import Path


def write(out: Path, name: str, version: int, made_by: str, documents: dict[str, tuple[str, str]], questions: list[dict]):
    """documents: title and text by id. questions: lines of qa.jsonl. `out` must not exist."""
    out.mkdir(parents=True)
    with open(out / "corpus.jsonl", "w") as corpus:
        for document, (title, text) in documents.items():
            corpus.write(json.dumps({"_id": document, "title": title, "text": text}) + "\n")
    with open(out / "qa.jsonl", "w") as asked:
        for question in questions:
            asked.write(json.dumps(question) + "\n")
    (out / "dataset.toml").write_text(f'name = "{name}"\nversion = "{version}"\ngenerated = true\nmade_by = "{made_by}"\n')
