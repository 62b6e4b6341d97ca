"""A vector of meaning for each token, from the static table that the retriever carries (distilled from MiniLM, Apache-2.0)."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from tokenizers import Tokenizer


class Table:
    """Words to vectors: the mean of the table's rows, one a WordPiece."""

    def __init__(self, folder: Path):
        stored = load_file(folder / "model.safetensors")
        self.rows = stored["embedding"].astype(np.float32) * stored["scale"][:, None].astype(np.float32)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def vectors(self, texts):
        """One row a text, of length 1; zero where the table knows no part of it."""
        found = np.zeros((len(texts), self.rows.shape[1]), np.float32)
        for n, encoding in enumerate(self.tokenizer.encode_batch(texts, add_special_tokens=False)):
            if encoding.ids:
                found[n] = self.rows[encoding.ids].mean(0)
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def word_counts(corpus: Path):
    counts = Counter()
    for line in corpus.open():
        row = json.loads(line)
        if not row["held_out"]:
            for text in (row["title"], *row["sentences"], *(q["text"] for q in row["questions"])):
                counts.update(word.strip(".,;:()|?!\"'").lower() for word in text.split())
    return counts


def neighbours(table: Table, corpus: Path, least=0.55, most=5):
    """Words of the corpus to others of like meaning (cosine of at least `least`) that begin differently."""
    words = [word for word, count in word_counts(corpus).most_common(14_000) if word.isalpha() and len(word) > 3][:9000]
    vectors = table.vectors(words)
    vectors -= vectors.mean(0)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    found = {}
    for start in range(0, len(words), 1000):
        cosines = vectors[start : start + 1000] @ vectors.T
        for n, best in enumerate(np.argsort(-cosines, axis=1)[:, : 4 * most]):
            word = words[start + n]
            near = [words[m] for m in best if cosines[n, m] >= least and words[m][:4] != word[:4]][:most]
            if near:
                found[word] = near
    return found


def token_meanings(table: Table, corpus: Path, ids, width):
    """Rows of length 1 (zero for tokens without letters), tokens x width: the main directions of the words' vectors.

    A token that is a whole word has that word's vector; a piece of words has the mean of the words of the corpus that hold it.
    """
    counts = word_counts(corpus)
    words = [word for word, count in counts.most_common(40_000) if word.isalpha()]
    known = dict(zip(words, table.vectors(words)))
    sums, weights = np.zeros((ids.size, table.rows.shape[1]), np.float32), np.zeros(ids.size, np.float32)
    for word, encoding in zip(words, ids.encode_all([" " + word for word in words])):
        share = counts[word] ** 0.5 / len(encoding.ids)
        for token in encoding.ids:
            sums[token] += share * known[word]
            weights[token] += share
    vectors = sums / np.maximum(weights, 1e-9)[:, None]
    texts = [ids.full.decode([n], skip_special_tokens=False) for n in range(ids.size)]
    whole = [n for n, text in enumerate(texts) if text.startswith(" ") and text[1:].isalpha()]
    vectors[whole] = table.vectors([texts[n].strip().lower() for n in whole])
    seen = np.linalg.norm(vectors, axis=1) > 1e-6
    vectors[seen] -= vectors[whole].mean(0)
    _, _, directions = np.linalg.svd(vectors[whole], full_matrices=False)
    vectors[seen] = vectors[seen] @ directions[:width].T @ directions[:width]
    reduced = np.where(seen[:, None], vectors @ directions[:width].T, 0)
    return torch.from_numpy(reduced / np.maximum(np.linalg.norm(reduced, axis=1, keepdims=True), 1e-9))
