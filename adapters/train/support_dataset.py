"""Writes the data set that judges support adapters before any user meets them: the notes that traffic.py asks about, and questions.

Each question's answer is two sentences of one note. The notes tell of products that no adapter saw beside those of the
examples. For `quoin eval answers`.
"""

import argparse
import json
import random
from pathlib import Path

from support_examples import QUESTIONS
from traffic import notes


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--seed", type=int, default=0, help="of the notes; traffic.py has --notes-seed")
    a.add_argument("--questions", type=int, default=200, help="spread over the products, in other words each")
    a.add_argument("--out", type=Path, required=True, help="a folder that does not exist")
    a = a.parse_args()
    documents, wanted = notes(random.Random(a.seed))
    a.out.mkdir(parents=True)
    with open(a.out / "corpus.jsonl", "w") as corpus:
        for name, text in documents.items():
            corpus.write(json.dumps({"_id": name, "title": "Support notes", "text": text}) + "\n")
    asked = [(product, question) for question in QUESTIONS for product in wanted][: a.questions]
    with open(a.out / "qa.jsonl", "w") as questions:
        for number, (product, question) in enumerate(asked):
            document = next(name for name, text in documents.items() if wanted[product][0] in text)
            in_order = sorted(wanted[product], key=documents[document].index)
            row = {
                "id": f"support-{number}", "question": question.format(p=product), "cluster": product, "answers": [" ".join(in_order)],
                "gold": [{"document": document, "quote": sentence} for sentence in in_order],
            }  # fmt: skip
            questions.write(json.dumps(row) + "\n")
    (a.out / "dataset.toml").write_text(
        f'name = "support"\nversion = "{a.seed}"\ngenerated = true\nmade_by = "support_dataset.py --seed {a.seed} --questions {a.questions}"\n'
    )


if __name__ == "__main__":
    main()
