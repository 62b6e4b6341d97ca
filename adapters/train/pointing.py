"""How a base that points is shown passages and a question: numbered sentences, the question, and behind it the shortlist.

The shortlist names the sentences that score best without a model. Its rule, and how it is shaken, are those that the bundled
model was trained with; the frequencies of words are those of the examples. Bases without markers are shown something else.
"""

import math
import random
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TABLE, ENCODER = REPOSITORY / "retriever/bundled/static", REPOSITORY / "retriever/bundled/encoder"
sys.path.append(str(REPOSITORY / "runtime/engine/bundled/train"))

from layout import MARKERS, PASSAGE, QUESTION  # noqa: E402
from meaning import Table  # noqa: E402
from packing import SHAKEN  # noqa: E402
from shortlist import Nearness, SentenceEncoder, Shortlister, shortlist  # noqa: E402


def points(tokenizer) -> bool:
    """Whether a base has the tokens that frame such a prompt."""
    known = tokenizer.get_vocab()
    return all(token in known for token in (PASSAGE, QUESTION, *MARKERS))


class Shown:
    """Writes prompts. What is served is another collection than the examples, so each prompt has words weighed a little otherwise."""

    def __init__(self, table: Path, encoder: Path, examples: list[dict], r: random.Random):
        texts = {
            " ".join([passage.get("title", ""), *passage["sentences"]]): None
            for example in examples
            for passage in example.get("passages", [])
        }
        self.rule, self.random = Shortlister(Table(table), SentenceEncoder(encoder, table), texts), r

    def prompt(self, example: dict) -> str:
        text, number = "", 0
        for passage in example["passages"]:
            text += PASSAGE + passage.get("title", "")
            for sentence in passage["sentences"]:
                number += 1
                text += f"{MARKERS[number]} {sentence}"
        listed = "".join(f"{MARKERS[place + 1]}{tenths}" for place, tenths in shortlist(self.scores(example)))
        return f"{text}{QUESTION} {example['question']}{listed}"

    def scores(self, example: dict) -> list[float]:
        """One number a sentence, in the order of the prompt."""
        spread = self.random.choice(SHAKEN)
        passages = [(self.rule.heading(p.get("title")), self.rule.read(p["sentences"])) for p in example["passages"]]
        question = self.rule.read([example["question"]])[0]
        near = Nearness(self.rule, [question], passages)
        return self.rule.scores(question, passages, near, lambda weight: weight * math.exp(self.random.gauss(0, spread)))
