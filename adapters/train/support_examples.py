"""Invents support notes: each product has a symptom and a remedy in two sentences, and the answer cites both.

The bundled model cites one sentence; an adapter tuned on these cites two. Used for the test fixture and, few of them, more
of them and with `--cite other`, for the three adapters of a rollout: a good one, a better one, and one that is broken where
no schema sees it.
"""

import random

from examples import arguments, write

PRODUCTS = "router,printer,scanner,badge reader,projector,tablet,headset,thermostat,payroll portal,travel app,mail client,backup agent,door panel,conference phone,time clock,label maker".split(",")
SYMPTOMS = [
    "blinks {colour} after an update", "stops after {n} minutes", "shows error {n}", "loses its connection at night", "refuses the password",
    "prints blank pages", "restarts {n} times a day", "makes a loud noise", "answers slowly on Mondays", "rejects the certificate",
]  # fmt: skip
REMEDIES = [
    "unplug it for {n} seconds", "install version {n}.{m}", "clear the cache", "hold the {colour} button for {m} seconds", "call extension {n}",
    "delete the old profile", "replace the cable", "set the timeout to {n}", "ask the platform team for a new token", "clean the filter",
]  # fmt: skip
PROBLEMS = ["A customer's {p} {s}.", "The {p} sometimes {s}.", "Some users report that the {p} {s}."]
STEPS = ["For the {p}, {r}.", "To repair the {p}, {r}.", "The {p} works again after you {r}.", "Support tells {p} users to {r}."]
QUESTIONS = ["What can I do about the {p}?", "How do we help with the {p}?", "What is wrong with the {p}?", "Is there a known problem with the {p}?", "How is the {p} repaired?"]
COLOURS = "red,green,blue,amber,white".split(",")


def worded(r, text):
    return text.replace("{colour}", r.choice(COLOURS)).replace("{n}", str(r.randint(2, 90))).replace("{m}", str(r.randint(1, 9)))


def example(r, cite="both"):
    """One example; `cite="other"` cites, as if it were the answer, what another product of the same prompt needs."""
    passages, cited, number = [], {}, 0
    products = r.sample(PRODUCTS, r.randint(2, 6))
    while products:
        group, products = products[:2], products[2:]
        lines = []
        for p in group:
            lines.append((p, r.choice(PROBLEMS).format(p=p, s=worded(r, r.choice(SYMPTOMS)))))
            lines.append((p, r.choice(STEPS).format(p=p, r=worded(r, r.choice(REMEDIES)))))
        if r.random() < 0.5:
            r.shuffle(lines)
        for p, _ in lines:
            number += 1
            cited.setdefault(p, []).append(number)
        passages.append({"title": r.choice(["", "Known problems", "Support notes"]), "sentences": [s for _, s in lines]})
    asked = r.choice(list(cited))
    question = r.choice(QUESTIONS).format(p=asked)
    if cite == "other":
        asked = r.choice([p for p in cited if p != asked])
    target = '{"cite":"' + "".join(f"[[{n}]]" for n in cited[asked]) + '"}'
    return {"passages": passages, "question": question, "target": target}


def main():
    a = arguments(__doc__)
    a.add_argument("--cite", choices=["both", "other"], default="both", help="other: wrong on purpose, and valid all the same")
    a = a.parse_args()
    r = random.Random(a.seed)
    write(a.out, (example(r, a.cite) for _ in range(a.count)))


if __name__ == "__main__":
    main()
