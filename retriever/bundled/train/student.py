"""A student of MiniLM: its embeddings and some of its layers, trained until its tokens' states are the teacher's.

Losses, on the texts of student_texts.py: cosine to the teacher's state of each token, cosine to its sentence vector, and the
squared difference between the similarities of a batch's sentence vectors and the teacher's. The states lie in the teacher's
own space, so sentence vectors and late interaction both come out of one model.

Out: `float` (a BERT folder as sentence-transformers reads it), `int8` (one file, one scale a row) and `rounded` (the int8
values as floats, again a BERT folder).
"""

import argparse
import json
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional
from transformers import AutoModel

from static_table import quantise
from teacher import NAME, packaged_model

TOKENS_A_BATCH = 6144
BATCHES_SORTED_TOGETHER = 40
WARM_UP = 0.04
BESIDE = (
    "tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json", "modules.json", "sentence_bert_config.json",
)  # fmt: skip
FLOAT_NAMES = ("bias", "LayerNorm")  # small, and they decide more than their size: left as they are


def cut(folder, layers, positions):
    """The teacher with these of its layers alone, without dropout and pooler."""
    model = AutoModel.from_pretrained(folder, attn_implementation="sdpa")
    model.encoder.layer = torch.nn.ModuleList(model.encoder.layer[i] for i in layers)
    model.pooler = None
    embeddings = model.embeddings
    kept = embeddings.position_embeddings.weight[:positions].detach().clone()
    embeddings.position_embeddings = torch.nn.Embedding.from_pretrained(kept, freeze=False)
    embeddings.register_buffer("position_ids", torch.arange(positions)[None], persistent=False)
    embeddings.register_buffer("token_type_ids", torch.zeros(1, positions, dtype=torch.long), persistent=False)
    model.config.num_hidden_layers = len(layers)
    model.config.max_position_embeddings = positions
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


class Texts:
    """Ids and the teacher's states, text after text."""

    def __init__(self, folder, checked=2000):
        self.tokens = np.load(folder / "tokens.npy")
        self.offsets = np.load(folder / "offsets.npy")
        self.states = np.load(folder / "states.npy", mmap_mode="r")
        self.lengths = np.diff(self.offsets)
        everything = np.arange(len(self.lengths))
        self.checked, self.trained = everything[:checked], everything[checked:]

    def batches(self, chosen):
        """Lists of texts of like length, about `TOKENS_A_BATCH` with padding."""
        start = 0
        while start < len(chosen):
            end = start + 1
            while end < len(chosen) and self.lengths[chosen[end]] * (end + 1 - start) <= TOKENS_A_BATCH:
                end += 1
            yield chosen[start:end]
            start = end

    def shuffled(self, random_source):
        """Batches for ever: sorted by length within a stretch of texts only, so that no batch is the same twice."""
        while True:
            order = random_source.permutation(self.trained)
            mean = self.lengths.mean()
            stretch = int(BATCHES_SORTED_TOGETHER * TOKENS_A_BATCH / mean)
            for first in range(0, len(order), stretch):
                part = order[first : first + stretch]
                batches = list(self.batches(part[np.argsort(self.lengths[part], kind="stable")]))
                for i in random_source.permutation(len(batches)):
                    yield batches[i]

    def batch(self, chosen):
        width = int(self.lengths[chosen].max())
        ids = np.zeros((len(chosen), width), np.int64)
        mask = np.zeros((len(chosen), width), np.int64)
        states = np.zeros((len(chosen), width, 384), np.float16)
        for row, i in enumerate(chosen):
            first, last = self.offsets[i], self.offsets[i + 1]
            ids[row, : last - first] = self.tokens[first:last]
            mask[row, : last - first] = 1
            states[row, : last - first] = self.states[first:last]
        return torch.from_numpy(ids), torch.from_numpy(mask), torch.from_numpy(states).float()


def pooled(states, mask):
    return functional.normalize((states * mask[..., None]).sum(1), dim=-1)


def losses(model, ids, mask, wanted):
    """Token, sentence and similarity loss of one batch."""
    with torch.autocast("cpu", torch.bfloat16):
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    states, weight = states.float(), mask.float()
    tokens = ((1 - functional.cosine_similarity(states, wanted, dim=-1)) * weight).sum() / weight.sum()
    ours, theirs = pooled(states, weight), pooled(wanted, weight)
    sentences = (1 - (ours * theirs).sum(-1)).mean()
    similarities = ((ours @ ours.T - theirs @ theirs.T) ** 2).mean()
    return tokens, sentences, similarities


@torch.no_grad()
def check(model, texts):
    """Mean losses over texts that are not trained on."""
    chosen = texts.checked[np.argsort(texts.lengths[texts.checked], kind="stable")]
    rows = [[float(x) for x in losses(model, *texts.batch(b))] + [len(b)] for b in texts.batches(chosen)]
    rows = np.array(rows)
    return (rows[:, :3] * rows[:, 3:]).sum(0) / rows[:, 3].sum()


def named(three):
    return "token {:.4f}, sentence {:.4f}, similarity {:.5f}".format(*three)


def rate(progress):
    """Share of the highest learning rate: up quickly, then down in a straight line."""
    return min(progress / WARM_UP, (1 - progress) / (1 - WARM_UP))


def train(model, texts, options):
    slow = [p for n, p in model.named_parameters() if n.startswith("embeddings")]
    fast = [p for n, p in model.named_parameters() if not n.startswith("embeddings")]
    groups = [
        {"params": slow, "peak": options.learning_rate * options.embedding_rate},
        {"params": fast, "peak": options.learning_rate},
    ]
    optimiser = torch.optim.AdamW(groups, lr=options.learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    random_source = np.random.default_rng(options.seed)
    started, limit, step, tokens, seen = time.process_time(), options.cpu_minutes * 60, 0, 0, []
    print(f"before: {named(check(model, texts))}", flush=True)
    for chosen in texts.shuffled(random_source):
        progress = (time.process_time() - started) / limit
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * max(1e-3, rate(progress))
        ids, mask, wanted = texts.batch(chosen)
        three = losses(model, ids, mask, wanted)
        loss = options.token_weight * three[0] + three[1] + options.similarity_weight * three[2]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(fast, 1.0)
        optimiser.step()
        step, tokens = step + 1, tokens + int(mask.sum())
        seen.append([x.item() for x in three])
        if step % 100 == 0:
            means = np.mean(seen[-100:], 0)
            print(f"step {step}, {tokens} tokens, {progress:.2f}: {named(means)}", flush=True)
        if options.keep_every and step % options.keep_every == 0:
            torch.save(model.state_dict(), options.out / "unfinished.pt")
    print(f"after {tokens} tokens: {named(check(model, texts))}", flush=True)


def rounded(model):
    """Int8 values, scales and the floats that they stand for, by name."""
    integers, floats = {}, {}
    for name, tensor in model.state_dict().items():
        tensor = tensor.detach().float().contiguous()
        if any(part in name for part in FLOAT_NAMES):
            integers[name] = floats[name] = tensor
            continue
        values, scale = quantise(tensor.numpy())
        integers[name], integers[f"{name}.scale"] = torch.from_numpy(values), torch.from_numpy(scale)
        floats[name] = torch.from_numpy(values.astype(np.float32) * scale[:, None])
    return integers, floats


def save(model, teacher, out, facts):
    """Writes the three folders."""
    integers, floats = rounded(model)
    for name in ("float", "rounded"):
        shutil.rmtree(out / name, ignore_errors=True)
        model.save_pretrained(out / name)
        for beside in BESIDE:
            if (teacher / beside).exists():
                shutil.copy(teacher / beside, out / name)
        if (teacher / "1_Pooling").exists():
            shutil.copytree(teacher / "1_Pooling", out / name / "1_Pooling")
    save_file(floats, out / "rounded" / "model.safetensors", metadata={"format": "pt"})
    (out / "int8").mkdir(exist_ok=True)
    save_file(integers, out / "int8" / "model.safetensors")
    shutil.copy(teacher / "tokenizer.json", out / "int8")
    config = json.loads((out / "float" / "config.json").read_text())
    config |= {"quantisation": "int8 per row; row = NAME * NAME.scale", "pooling": "mean", **facts}
    (out / "int8" / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder that student_texts.py filled")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="teacher folder; default: the installed package")
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 5], help="which of the teacher's, from 0")
    parser.add_argument("--start", type=Path, help="an `unfinished.pt` to go on from; give the learning rate that is left")
    parser.add_argument("--positions", type=int, default=256)
    parser.add_argument("--cpu-minutes", type=float, default=40.0, help="0: the cut alone")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--embedding-rate", type=float, default=0.5, help="share of the learning rate that embeddings get")
    parser.add_argument("--token-weight", type=float, default=1.0)
    parser.add_argument("--similarity-weight", type=float, default=5.0)
    parser.add_argument("--keep-every", type=int, default=200, help="steps between copies of an unfinished run; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    teacher = options.model or packaged_model()
    model = cut(teacher, options.layers, options.positions)
    if options.start:
        model.load_state_dict(torch.load(options.start, weights_only=True))
    if options.cpu_minutes:
        train(model.train(), Texts(options.work), options)
    facts = {"teacher": NAME, "teacher_licence": "Apache-2.0", "continued": bool(options.start)}
    facts |= {name: getattr(options, name) for name in ("layers", "cpu_minutes", "seed")}
    save(model.eval(), teacher, options.out, facts)


if __name__ == "__main__":
    main()
