"""Trains the byte-level BPE vocabulary on the training side of the corpus, on invented pages, and on common words.

The common words are those of the static table's vocabulary, which lists frequent words first.
"""

import argparse
import itertools
import json
import random
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

import pages
import templates
from layout import ADDED, CONTROL


def common_words(table: Path):
    words = [w for w in json.loads((table / "tokenizer.json").read_text())["model"]["vocab"] if w.isascii() and w.isalpha() and len(w) > 2]
    for rank, word in enumerate(words[:14_000]):
        yield from [" " + word] * (40 if rank < 3000 else 15 if rank < 8000 else 4)


def training_text(corpus: Path):
    r = random.Random(0)
    for line in corpus.open():
        row = json.loads(line)
        if row["held_out"]:
            continue
        for sentence in row["sentences"]:
            if row["source"] != "rust" or r.random() < 0.6:
                yield " " + sentence
        for question in row["questions"]:
            yield " " + question["text"]
        if r.random() < 0.2:
            yield row["title"]
    for _ in range(1500):
        stated, missing = templates.facts(r, 5, held_out=False)
        for fact in stated:
            yield " " + fact.sentence
            yield from (" " + question for question, _ in fact.asked)
        yield templates.title(r)
    for _ in range(1500):
        for page in pages.pages(r, held_out=False):
            yield page.title
            for fact in page.facts:
                yield " " + fact.sentence
                yield from (" " + question for question, _ in fact.asked)
    yield from ["user", "assistant"] * 3000  # whole tokens: they stand in every prompt


def plain(tokenizer_file: Path) -> Tokenizer:
    """The same vocabulary without added tokens: text that looks like a marker stays text."""
    raw = json.loads(Path(tokenizer_file).read_text())
    raw["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(raw))


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--corpus", type=Path, required=True)
    arguments.add_argument("--table", type=Path, required=True, help="folder of the static token table")
    arguments.add_argument("--vocabulary", type=int, default=12288, help="size, added tokens included")
    arguments.add_argument("--out", type=Path, required=True)
    chosen = arguments.parse_args()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=chosen.vocabulary - len(ADDED), special_tokens=CONTROL, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), min_frequency=3,
    )  # fmt: skip
    tokenizer.train_from_iterator(itertools.chain(training_text(chosen.corpus), common_words(chosen.table)), trainer)
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=False) for token in ADDED])
    tokenizer.save(str(chosen.out))
    print("vocabulary", tokenizer.get_vocab_size())


if __name__ == "__main__":
    main()
