"""Moves the readiness to abstain, by one number, to where answered and unanswerable questions are told apart best.

[[0]] never stands in a prompt, so its tied embedding only serves as an output: taking a share of the mean state at the
answer position away from it lowers its logit by about the same amount everywhere. Documents are those held out from
training, with other questions than evaluate.py asks.
"""

import argparse
from pathlib import Path

import torch

from meaning import Table
from model import Pointer, Shape, block_mask
from packing import Ids, Packer
from shortlist import SentenceEncoder, rule_of


@torch.no_grad()
def margins(model, ids, packer, kind):
    """By how much [[0]] leads the best marker, and whether nothing answers, for each packed question."""
    found = [], [], []
    for _ in range(3):
        tokens, segments, positions, _ = map(torch.from_numpy, packer.batch(8, 480, 800, {kind: 1}, 0.0))
        states = model.hidden(tokens, positions, block_mask(segments, 480))[:, :-1]
        here = tokens[:, :-1] == ids.cite
        logits = model.logits(states[here])[:, ids.marker0 : ids.marker0 + 65]
        for column, values in zip(found, (logits[:, 0] - logits[:, 1:].max(1).values, tokens[:, 1:][here] == ids.marker0, states[here])):
            column.append(values)
    return [torch.cat(column) for column in found]


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--checkpoint", type=Path, required=True)
    a.add_argument("--corpus", type=Path, required=True)
    a.add_argument("--tokenizer", type=Path, required=True)
    a.add_argument("--table", type=Path, required=True, help="folder of the static token table")
    a.add_argument("--encoder", type=Path, required=True, help="folder of the sentence encoder")
    a.add_argument("--out", type=Path, required=True)
    a.add_argument("--answering", type=float, default=0.55, help="weight of not abstaining wrongly, against abstaining rightly")
    a = a.parse_args()
    torch.set_num_threads(1)
    saved = torch.load(a.checkpoint)
    model = Pointer(Shape(**saved["shape"]))
    model.load_state_dict(saved["weights"])
    ids = Ids(a.tokenizer)
    packer = Packer(a.corpus, ids, rule_of(Table(a.table), SentenceEncoder(a.encoder, a.table), a.corpus), held_out=True, seed=7, variants=1)
    rows = [margins(model, ids, packer, kind) for kind in ("templates", "pages", "cloze", "asked")]

    def score(shift):
        each = [(((m - shift)[~none] < 0).float().mean(), ((m - shift)[none] > 0).float().mean()) for m, none, _ in rows]
        return sum(a.answering * kept + (1 - a.answering) * left for kept, left in each).item() / len(each), each

    shift = max((n / 10 for n in range(-20, 61)), key=lambda s: score(s)[0])
    for name, value in (("before", 0.0), ("after", shift)):
        print(name, [f"answered {kept:.3f}, abstained {left:.3f}" for kept, left in score(value)[1]])
    mean = torch.cat([states for *_, states in rows]).mean(0)
    saved["weights"]["embedding.weight"][ids.marker0] -= shift * mean / mean.dot(mean)
    torch.save(saved, a.out)
    print(f"shift {shift:.1f}")


if __name__ == "__main__":
    main()
