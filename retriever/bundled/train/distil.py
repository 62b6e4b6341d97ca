"""From the teacher's encodings to the bundled static table.

1. Start: each token's mean contextual state over the sample (its state in isolation counts as
   `--prior` occurrences), projected to the main directions of the teacher's sentence vectors,
   weighted down by frequency.
2. Train: mean of rows against the projected sentence vector, by cosine.
3. Quantise to int8 a row and write the folder.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from static_table import dead_rows, plain_tokenizer, save
from teacher import NAME, packaged_model


def principal_directions(vectors, dimensions, centre, whitening=0.0):
    """Columns: the `dimensions` directions of greatest variance (about the mean, or about zero), each divided by
    variance to the power `whitening`, so that a few broad directions do not decide every similarity."""
    centred = vectors - vectors.mean(axis=0) if centre else vectors
    variance, directions = np.linalg.eigh(centred.T @ centred / len(centred))
    kept, weights = directions[:, ::-1][:, :dimensions], variance[::-1][:dimensions] ** -whitening
    return np.ascontiguousarray(kept * weights)


def zipf_weights(size, smoothing=1e-4):
    """`a / (a + p)` (Arora et al. 2017), with p from the rank: WordPiece ids are ordered by frequency."""
    rank = np.arange(size) + 2.0
    probability = (1 / rank) / (1 / rank).sum()
    return smoothing / (smoothing + probability)


def untrained(isolated, dimensions):
    """The table from single-token states alone, for when there is no sample."""
    projected = (isolated - isolated.mean(axis=0)) @ principal_directions(isolated, dimensions, centre=True)
    return projected * zipf_weights(len(isolated))[:, None]


def start(isolated, sums, counts, directions, prior):
    contextual = (sums + prior * isolated) / (counts + prior)[:, None]
    rows = contextual @ directions * zipf_weights(len(isolated))[:, None]
    return rows / np.linalg.norm(rows, axis=1).mean()


class Sample:
    """Token bags and target vectors of the encoded texts."""

    def __init__(self, encoded, targets):
        self.offsets, self.tokens, self.targets = encoded["offsets"], encoded["tokens"], targets
        self.usable = np.flatnonzero(np.diff(self.offsets) > 0)

    def batch(self, indices):
        parts = [self.tokens[self.offsets[i] : self.offsets[i + 1]] for i in indices]
        starts = np.cumsum([0] + [len(p) for p in parts[:-1]])
        tokens = torch.from_numpy(np.concatenate(parts).astype(np.int64))
        return tokens, torch.from_numpy(starts), self.targets[torch.from_numpy(indices)]


def train(rows, sample, options):
    """Adam on the rows that a batch holds, with a linearly falling rate; returns the trained rows."""
    embedding = torch.nn.EmbeddingBag(*rows.shape, mode="mean", sparse=True)
    embedding.weight.data = torch.from_numpy(rows.astype(np.float32)).clone()
    optimiser = torch.optim.SparseAdam(embedding.parameters(), lr=options.learning_rate)
    random_source, started, step = np.random.default_rng(options.seed), time.time(), 0
    total = options.epochs * (len(sample.usable) // options.batch)
    for epoch in range(options.epochs):
        shuffled, losses = random_source.permutation(sample.usable), []
        for first in range(0, len(shuffled) - options.batch + 1, options.batch):
            for group in optimiser.param_groups:
                group["lr"] = options.learning_rate * max(0.02, 1 - step / total)
            tokens, starts, target = sample.batch(shuffled[first : first + options.batch])
            student = torch.nn.functional.normalize(embedding(tokens, starts), dim=1)
            loss = (1 - (student * target).sum(dim=1)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            step += 1
        print(f"epoch {epoch + 1}: cosine distance {np.mean(losses):.4f}, {time.time() - started:.0f} s", flush=True)
    return embedding.weight.detach().numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder that teacher.py filled")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="teacher folder; default: the installed package")
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=5e-3)
    parser.add_argument("--prior", type=float, default=5.0)
    parser.add_argument("--whitening", type=float, default=0.3, help="0: none, .5: full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    isolated = np.load(options.work / "isolated.npy")
    facts = {"teacher": NAME, "teacher_licence": "Apache-2.0"}
    if (options.work / "encoded.npz").exists():
        encoded = dict(np.load(options.work / "encoded.npz"))
        directions = principal_directions(encoded["vectors"], options.dimensions, centre=False, whitening=options.whitening)
        table = start(isolated, encoded["sums"], encoded["counts"], directions, options.prior)
        targets = torch.nn.functional.normalize(torch.from_numpy(encoded["vectors"] @ directions), dim=1)
        table = train(table, Sample(encoded, targets), options) if options.epochs else table
        facts |= {"method": "contextual token means, trained on sentence vectors", "texts": len(encoded["vectors"])}
    else:
        table = untrained(isolated, options.dimensions)
        facts |= {"method": "single-token states, PCA, zipf weights"}
    tokenizer = plain_tokenizer((options.model or packaged_model()) / "tokenizer.json")
    table[dead_rows(tokenizer)] = 0
    save(options.out, table / np.linalg.norm(table, axis=1).max(), tokenizer, facts)


if __name__ == "__main__":
    main()
