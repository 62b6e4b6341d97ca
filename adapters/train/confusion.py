"""Prints how often each label was given for each: a table from the `questions.jsonl` of a run of `quoin eval answers`."""

import argparse
import json
from collections import Counter
from pathlib import Path


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("questions", type=Path, help="questions.jsonl of a run")
    rows = [json.loads(line) for line in a.parse_args().questions.open()]
    counts = Counter((row["gold"][0], row.get("answer")) for row in rows)
    labels = list(dict.fromkeys(row["gold"][0] for row in rows))
    given = labels + [label for label in dict.fromkeys(label for _, label in counts) if label not in labels]
    print("| is | " + " | ".join(map(str, given)) + " | right |\n|---|" + "---:|" * (len(given) + 1))
    for label in labels:
        row = [counts[label, g] for g in given]
        print(f"| {label} | " + " | ".join(map(str, row)) + f" | {100 * counts[label, label] / sum(row):.0f} % |")
    right = sum(counts[label, label] for label in labels)
    print(f"\n{right} of {len(rows)} right, {100 * right / len(rows):.1f} %")


if __name__ == "__main__":
    main()
