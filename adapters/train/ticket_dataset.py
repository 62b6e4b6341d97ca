"""Writes the data set that judges who sorts tickets, in frames that no example has, of two kinds.

"known words": things and complaints of the examples, put together anew. "new words": others, that no example has.
Its one document says which team is for what; nobody is shown it, for the tickets are asked in closed book. `exact` is the share
of right teams, one in six by chance. For `quoin eval answers --mode closed-book`.
"""

import argparse
import random
from pathlib import Path

import dataset
from ticket_examples import SCHEMA, TEAMS, tickets


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("--questions", type=int, default=300)
    a.add_argument("--out", type=Path, required=True, help="a folder that does not exist")
    a = a.parse_args()
    teams = " ".join(f"The team called {name} is for {team.about}." for name, team in TEAMS.items())
    r, half = random.Random(a.seed), a.questions // 2
    known, new = tickets(r, a.questions - half, new_frame=True), tickets(r, half, new_words=True, new_frame=True)
    asked = [(text, team, "known words") for text, team in known] + [(text, team, "new words") for text, team in new]
    rows = [
        {"id": f"ticket-{number}", "question": text, "answers": [team], "kind": kind, "cluster": team, "schema": SCHEMA}
        for number, (text, team, kind) in enumerate(asked)
    ]
    made_by = f"ticket_dataset.py --seed {a.seed} --questions {a.questions}"
    dataset.write(a.out, "tickets", a.seed, made_by, {"teams.txt": ("Teams of the help desk", teams)}, rows)


if __name__ == "__main__":
    main()
