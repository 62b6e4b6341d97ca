"""Writes the data set that judges a house's form: pages on things that no example tells of, and questions under its schema.

`exact` is then the share of answers that are right in every field, phrase and unit, `field_f1` that of right fields, and where
a page does not say, abstaining is right. For `quoin eval answers`.
"""

import argparse
import random
from pathlib import Path

import dataset
from house_examples import SCHEMA, SORTS, in_json, page


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("--questions", type=int, default=200, help="at most; spread over the things")
    a.add_argument("--out", type=Path, required=True, help="a folder that does not exist")
    a = a.parse_args()
    r = random.Random(a.seed)
    documents, questions = {}, []
    for sort in SORTS:
        for number, thing in enumerate(sort.things(held_out=True)):
            name = f"house/{sort.basis.replace(' ', '-')}-{number}.txt"
            sentences, stated = page(r, sort, thing)
            documents[name] = ("The house book", " ".join(sentences))
            for fact in stated:
                # What is left out is asked once, so that abstaining stays the exception.
                for question in fact.questions if fact.sentence else fact.questions[:1]:
                    row = {"question": question, "cluster": thing, "kind": sort.basis, "schema": SCHEMA}
                    if fact.sentence is None:
                        row |= {"is_impossible": True, "kind": "not said"}
                    else:
                        row |= {"answers": [in_json(fact.answer)], "fields": fact.answer, "gold": [{"document": name, "quote": fact.sentence}]}
                    questions.append(row)
    r.shuffle(questions)
    rows = [{"id": f"house-{number}"} | row for number, row in enumerate(questions[: a.questions])]
    dataset.write(a.out, "house", a.seed, f"house_dataset.py --seed {a.seed} --questions {a.questions}", documents, rows)


if __name__ == "__main__":
    main()
