"""The static token table: its arithmetic, its int8 form and its files.

A text's vector is the mean of its tokens' rows, then normalised to length 1. The weight of a
token is the length of its row. Special tokens and tokens that cannot occur have zero rows.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from tokenizers import Tokenizer

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def plain_tokenizer(path):
    """The teacher's tokenizer without the padding and truncation its file switches on."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def dead_rows(tokenizer):
    """Ids whose row is zero: the special tokens and BERT's `[unused…]` slots."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    return sorted(i for t, i in vocabulary.items() if t in SPECIAL_TOKENS or t.startswith("[unused"))


def token_ids(tokenizer, texts):
    return [e.ids for e in tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def unit(rows):
    """Rows scaled to length 1; a zero row stays zero."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-12)


def bag_matrix(ids, size):
    """Sparse [texts, vocabulary] matrix whose product with a table is each text's mean row."""
    counts = np.array([len(x) for x in ids])
    columns = np.concatenate([np.asarray(x, np.int64) for x in ids]) if counts.sum() else np.zeros(0, np.int64)
    rows = np.repeat(np.arange(len(ids)), counts)
    values = (1.0 / np.maximum(counts, 1))[rows].astype(np.float32)
    return csr_matrix((values, (rows, columns)), shape=(len(ids), size))


def quantise(table):
    """Row-wise symmetric int8: `table ≈ embedding * scale[:, None]`."""
    scale = (np.abs(table).max(axis=1) / 127).astype(np.float32)
    safe = np.where(scale > 0, scale, 1)
    embedding = np.clip(np.round(table / safe[:, None]), -127, 127).astype(np.int8)
    return embedding, scale


class StaticTable:
    def __init__(self, rows, tokenizer):
        self.rows = np.asarray(rows, np.float32)
        self.tokenizer = tokenizer

    @classmethod
    def load(cls, folder):
        folder = Path(folder)
        stored = load_file(folder / "model.safetensors")
        rows = stored["embedding"].astype(np.float32) * stored["scale"][:, None]
        return cls(rows, Tokenizer.from_file(str(folder / "tokenizer.json")))

    def means(self, ids):
        return np.asarray(bag_matrix(ids, len(self.rows)) @ self.rows)

    def encode(self, texts):
        return unit(self.means(token_ids(self.tokenizer, texts)))


def save(folder, table, tokenizer, facts):
    """Writes `model.safetensors`, `tokenizer.json` and `config.json`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    embedding, scale = quantise(table)
    save_file({"embedding": embedding, "scale": scale}, folder / "model.safetensors")
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {
        "kind": "static",
        "dimensions": int(embedding.shape[1]),
        "vocabulary": int(embedding.shape[0]),
        "quantisation": "int8 per row; row = embedding * scale",
        "pooling": "mean",
        "normalise": True,
        "special_tokens": False,
        **facts,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
