"""Trains the pointer model on one core: structured start, then random tokens, then templates, clozes and questions."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAYON_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import circuit
from meaning import Table, neighbours, token_meanings
from model import Pointer, Shape, block_mask
from packing import Ids, Packer
from shortlist import SentenceEncoder, rule_of

LOSS_WEIGHT = torch.tensor([0.0, 3.0, 1.0, 0.4])  # by loss kind: none, marker, end, answer token
# until this share of the training: tokens of context, tokens with the questions behind it, sequences a batch
STAGES = [(0.04, 192, 448, 10), (0.5, 384, 640, 8), (0.8, 512, 768, 6), (1.01, 736, 960, 5)]
VALIDATION = (480, 800)  # tokens of context, tokens in all


def mix_at(done):
    """Share of each kind of passage. Random tokens first, questions by people more towards the end."""
    random = max(0.02, 0.12 * (1 - done / 0.15))
    left = 1 - random
    return {"random": random, "templates": 0.2 * left, "pages": 0.38 * left, "cloze": 0.24 * left, "asked": 0.18 * left}


def rate_at(step, done, warm_up=60, floor=0.04):
    return min(1, (step + 1) / warm_up) * (1 if done < 0.35 else floor + (1 - floor) * (1 - (done - 0.35) / 0.65))


def loss_of(model, batch, split, hidden=None):
    """hidden: the model's, compiled, in bf16; without it, as it is, in f32."""
    ids, segments, positions, kinds = [torch.from_numpy(x) for x in batch]
    with torch.autocast("cpu", torch.bfloat16, enabled=hidden is not None):
        states = (hidden or model.hidden)(ids, positions, block_mask(segments, split)).float()
    wanted = kinds[:, 1:] > 0
    logits, target, kind = model.logits(states[:, :-1][wanted]), ids[:, 1:][wanted], kinds[:, 1:][wanted]
    weight = LOSS_WEIGHT[kind]
    return (F.cross_entropy(logits, target, reduction="none") * weight).sum() / weight.sum(), logits, target, kind


@torch.no_grad()
def validate(model, batches, ids):
    scores = {}
    for kind, batch in batches.items():
        loss, logits, target, kinds = loss_of(model, batch, VALIDATION[0])
        right, marker = (logits.argmax(-1) == target).float(), kinds == 1
        missing = marker & (target == ids.marker0)
        share = lambda chosen: round(right[chosen].mean().item(), 3) if chosen.any() else None
        scores[kind] = {"loss": round(loss.item(), 3), "found": share(marker & ~missing), "abstained": share(missing), "end": share(kinds == 2), "answer": share(kinds == 3)}
    return scores


def token_shares(packer, size):
    counts = np.zeros(size)
    for p in packer.passages:
        for s in p.sentences:
            np.add.at(counts, s, 1)
    return counts / counts.sum()


def optimisers(model, rate):
    first = [p for p in model.blocks[0].parameters() if p.dim() == 2]
    others = [p for block in model.blocks[1:] for p in block.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    muon = torch.optim.Muon(
        [{"params": first, "share": 0.25}, {"params": others, "share": 1.0}], lr=rate, momentum=0.95, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"
    )
    adam = torch.optim.AdamW(
        [{"params": [model.embedding.weight], "share": 0.4}, {"params": vectors, "share": 1.0}], lr=rate, betas=(0.9, 0.98), weight_decay=0.0
    )
    return muon, adam


def hold_structure(model):
    """Drops gradients of what the structured start laid down: embeddings, layer 0, the queries and keys of layers 1 and 2."""
    model.embedding.weight.grad = None
    for p in model.blocks[0].parameters():
        p.grad = None
    shape = model.shape
    for matching in model.blocks[1:3]:
        matching.qkv.weight.grad[: (shape.heads + shape.key_value_heads) * shape.head_width] = 0
        matching.query_norm.weight.grad = matching.key_norm.weight.grad = None


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--corpus", type=Path, required=True)
    a.add_argument("--tokenizer", type=Path, required=True)
    a.add_argument("--table", type=Path, required=True, help="folder of the static token table")
    a.add_argument("--encoder", type=Path, required=True, help="folder of the sentence encoder")
    a.add_argument("--out", type=Path, required=True, help="checkpoint; a .log.jsonl is written beside it")
    a.add_argument("--cpu-minutes", type=float, default=45)
    a.add_argument("--wall-minutes", type=float, default=75)
    a.add_argument("--rate", type=float, default=1e-3)
    a.add_argument("--hold", type=float, default=0.04, help="share of the training during which the structure is held")
    a.add_argument("--answers", type=float, default=0.35, help="share of questions that also copy an answer")
    a.add_argument("--layers", type=int, default=6)
    a.add_argument("--inner-width", type=int, default=320)
    a.add_argument("--start", type=Path, help="continue from this checkpoint: longer contexts, no holding")
    a.add_argument("--seed", type=int, default=0)
    a = a.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    ids = Ids(a.tokenizer)
    table = Table(a.table)
    rule = rule_of(table, SentenceEncoder(a.encoder, a.table), a.corpus)
    packer, unseen = Packer(a.corpus, ids, rule, seed=a.seed, near=neighbours(table, a.corpus)), Packer(a.corpus, ids, rule, held_out=True, seed=99, variants=1)
    batches = {}
    for kind in ("templates", "pages", "cloze", "asked"):
        unseen.r.seed(5)
        batches[kind] = unseen.batch(10, *VALIDATION, {kind: 1}, 0.3)
    model = Pointer(Shape(vocabulary=ids.size, layers=a.layers, inner_width=a.inner_width))
    if a.start:
        model.load_state_dict(torch.load(a.start)["weights"])
    else:
        texts = [ids.full.decode([n], skip_special_tokens=False) for n in range(ids.size)]
        meanings = token_meanings(table, a.corpus, ids, model.shape.width - 4 - circuit.TAG_WIDTH - circuit.LEXICAL_WIDTH)
        circuit.initialise(model, ids.full, texts, token_shares(packer, ids.size), meanings, a.seed)
    hidden = torch.compile(model.hidden, dynamic=False)
    muon, adam = optimisers(model, a.rate)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {len(packer.passages)} passages", flush=True)

    def save(extra):
        torch.save({"weights": model.state_dict(), "shape": model.shape.as_dict(), **extra}, a.out)

    cpu, wall, step, tokens, questions, shown, mean = time.process_time(), time.time(), 0, 0, 0, 0.0, None
    log = a.out.with_suffix(".log.jsonl").open("w")
    while True:
        done = max((time.process_time() - cpu) / 60 / a.cpu_minutes, (time.time() - wall) / 60 / a.wall_minutes)
        if done >= 1:
            break
        place = 0.5 + 0.5 * done if a.start else done
        split, length, size = next(stage for until, *stage in STAGES if place < until)
        packer.missing_share = 0.2 if place < 0.04 else 0.45
        batch = packer.batch(size, split, length, mix_at(place), a.answers)
        for optimiser in (muon, adam):
            for group in optimiser.param_groups:
                group["lr"] = a.rate * group["share"] * rate_at(step, done)
        loss, *_ = loss_of(model, batch, split, hidden)
        loss.backward()
        if done < a.hold and not a.start:
            hold_structure(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in (muon, adam):
            optimiser.step()
            optimiser.zero_grad()
        step, tokens, questions = step + 1, tokens + batch[0].size, questions + int(batch[1].max(1).sum())
        mean = loss.item() if mean is None else 0.97 * mean + 0.03 * loss.item()
        if time.time() - shown > 150 or step == 30:
            shown = time.time()
            line = {"step": step, "cpu_minutes": round((time.process_time() - cpu) / 60, 2), "wall_minutes": round((shown - wall) / 60, 1), "tokens": tokens, "questions": questions, "loss": round(mean, 3), "unseen": validate(model, batches, ids)}
            print(json.dumps(line), flush=True)
            log.write(json.dumps(line) + "\n")
            log.flush()
            save({"tokens": tokens})
    save({"tokens": tokens, "questions": questions, "cpu_minutes": (time.process_time() - cpu) / 60})
    print("done", step, tokens, questions, json.dumps(validate(model, batches, ids)))


if __name__ == "__main__":
    main()
