"""Texts with the vectors they must get, for checking another implementation against this one: of the table, or of the encoder as `student.py`
wrote it with its int8 values as floats."""

import argparse
import json
import re
from pathlib import Path

import numpy as np

from static_table import StaticTable, token_ids, unit

TEXTS = [
    "",
    " \t\n ",
    "pump",
    "How do I reset the pump after error ERR-4012?",
    "ERR-4012",
    "The warranty lasts twenty-four months from the date of delivery.",
    "naïve café — Ångström, Zürich; El Niño",
    "量子计算和机器学习",
    "Привет, мир! Γειά σου Κόσμε",
    "🚀 launch 🙂",
    "e\u0301te\u0301 versus été",
    "[CLS] literal markers [SEP] in text [MASK]",
    "SELECT name FROM users WHERE id = 42 AND created_at >= '2024-01-31';",
    "std::collections::HashMap<String, Vec<u8>>::with_capacity(1_024)",
    "https://example.com/a/b?c=d&e=f#g",
    "Dr. Smith's co-workers don't (can't!) re-use $1,234.56 or 12.5%.",
    "UPPER lower MiXeD",
    "pneumonoultramicroscopicsilicovolcanoconiosis",
    "x" * 150,
    "The quarterly report covers revenue, cost of sales and operating margin by segment. " * 60,
]


def of_encoder(folder, out):
    """The first 64 dimensions: a text's mean over its tokens, special ones included, scaled to length 1."""
    from sentence_transformers import SentenceTransformer

    texts = [text for text in TEXTS if text.strip() and "[CLS]" not in text]
    vectors = SentenceTransformer(str(folder), device="cpu").encode(texts, normalize_embeddings=True)
    entries = [{"text": text, "vector": [round(float(x), 5) for x in vector[:64]]} for text, vector in zip(texts, vectors)]
    document = {"about": "first 64 dimensions of the vector, in floats", "texts": entries}
    (out / "reference.json").write_text(compact_lists(json.dumps(document, ensure_ascii=False, indent=1)) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--encoder", type=Path, nargs=2, metavar=("ROUNDED", "OUT"))
    options = parser.parse_args()
    if options.encoder:
        of_encoder(*options.encoder)
    if options.table:
        of_table(options.table)


def of_table(folder):
    table = StaticTable.load(folder)
    ids = token_ids(table.tokenizer, TEXTS)
    means = table.means(ids)
    entries = [
        {
            "text": text,
            "ids": tokens,
            "mean": [round(float(x), 6) for x in mean[:16]],
            "mean_norm": round(float(np.linalg.norm(mean)), 6),
            "vector": [round(float(x), 6) for x in vector[:16]],
        }
        for text, tokens, mean, vector in zip(TEXTS, ids, means, unit(means))
    ]
    document = {
        "about": "ids without special tokens; mean of dequantised rows; first 16 dimensions of mean and of mean / |mean|",
        "texts": entries,
    }
    text = json.dumps(document, ensure_ascii=False, indent=1)
    (folder / "reference.json").write_text(compact_lists(text) + "\n")


def compact_lists(text):
    """Puts each list of numbers on one line."""
    return re.sub(r"\[[\s\d.,e-]*\]", lambda m: re.sub(r"\s+", " ", m.group(0)).replace("[ ", "[").replace(" ]", "]"), text)


if __name__ == "__main__":
    main()
