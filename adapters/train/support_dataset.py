"""Writes the data set that judges support adapters before any user meets them: the notes that traffic.py asks about, and questions.

Each question's answer is two sentences of one note. It is about a product that no adapter saw, though the notes tell of those
of the examples as well: what an adapter was trained on proves nothing. For `quoin eval answers`.
"""

import argparse
import random
from pathlib import Path

import dataset
from support_examples import QUESTIONS
from traffic import UNSEEN, notes


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--seed", type=int, default=0, help="of the notes; traffic.py has --notes-seed")
    a.add_argument("--questions", type=int, default=120, help="at most; spread over the products, in other words each")
    a.add_argument("--out", type=Path, required=True, help="a folder that does not exist")
    a = a.parse_args()
    documents, wanted = notes(random.Random(a.seed))
    asked = [(product, question) for question in QUESTIONS for product in wanted if product in UNSEEN][: a.questions]
    rows = []
    for number, (product, question) in enumerate(asked):
        document = next(name for name, text in documents.items() if wanted[product][0] in text)
        in_order = sorted(wanted[product], key=documents[document].index)
        rows.append({
            "id": f"support-{number}", "question": question.format(p=product), "cluster": product, "answers": [" ".join(in_order)],
            "gold": [{"document": document, "quote": sentence} for sentence in in_order],
        })  # fmt: skip
    made_by = f"support_dataset.py --seed {a.seed} --questions {a.questions}"
    dataset.write(a.out, "support", a.seed, made_by, {name: ("Support notes", text) for name, text in documents.items()}, rows)


if __name__ == "__main__":
    main()
