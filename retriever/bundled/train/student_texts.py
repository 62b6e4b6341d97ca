"""The texts a student of MiniLM is distilled on, each with the teacher's states of its tokens.

In: the passages that `runtime/engine/bundled/train/corpus.py` writes, without those held out. Out, in the work folder:
`tokens.npy` and `offsets.npy` (ids with [CLS] and [SEP], text after text), `states.npy` (float16, one row a token), `kinds.json`.
"""

import argparse
import json
import random
import re
from pathlib import Path

import numpy as np
import torch

from corpus import nearest_tokens, word_bags
from static_table import SPECIAL_TOKENS, StaticTable
from teacher import Teacher

LONGEST = 256
OPENINGS = (
    "what is", "what are", "what is the", "how does", "how do I", "how many", "how much", "when does", "when was", "who",
    "where is", "which", "why does", "why is", "can I", "is there", "what happens to", "do I need",
)  # fmt: skip


def spans(sentence, random_source):
    """A run of words out of a sentence, as someone would type it into a search, at times as a question."""
    words = re.sub(r"[.,;:()\"]", " ", sentence).split()
    size = min(len(words), random_source.choice((1, 2, 3, 4, 6, 8, 12)))
    first = random_source.randrange(len(words) - size + 1)
    span = " ".join(words[first : first + size])
    if random_source.random() < 0.5:
        span = f"{random_source.choice(OPENINGS)} {span}" + random_source.choice(("?", ""))
    return span


def substituted(sentence, vocabulary, random_source):
    """The sentence with every third long word replaced by any word of the vocabulary: rare words between common ones."""
    swap = lambda word: random_source.choice(vocabulary) if len(word) > 3 and random_source.random() < 0.34 else word
    return " ".join(map(swap, sentence.split()))


def gather(rows, table, bags, random_source):
    """Yields (kind, text): each passage, its sentences, questions, and what is made of them."""
    vocabulary = [t for t in table.tokenizer.get_vocab() if t.isascii() and t.isalpha() and len(t) > 3 and t not in SPECIAL_TOKENS]
    vocabulary.sort()
    for row in rows:
        title, sentences = row["title"], row["sentences"]
        yield "passage", f"{title} {' '.join(sentences)}".strip()
        for question in row["questions"]:
            yield "question", question["text"]
        for sentence in sentences:
            if len(sentence.split()) < 2:
                continue
            yield "sentence", sentence
            if title and random_source.random() < 0.5:
                yield "titled sentence", f"{title} {sentence}"
            yield "span", spans(sentence, random_source)
            yield "substituted", substituted(sentence, vocabulary, random_source)
    for bag in word_bags(table.tokenizer, nearest_tokens(table.rows), bags, random_source):
        yield "words", bag["text"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=Path, required=True, help="jsonl of the language model's corpus.py")
    parser.add_argument("--table", type=Path, required=True, help="the static table: its neighbours make the word lists")
    parser.add_argument("--model", type=Path, help="teacher folder; default: the installed package")
    parser.add_argument("--word-bags", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    random_source = random.Random(options.seed)
    rows = [row for row in map(json.loads, options.passages.open()) if not row["held_out"]]
    texts = list(dict.fromkeys(gather(rows, StaticTable.load(options.table), options.word_bags, random_source)))
    random_source.shuffle(texts)

    teacher = Teacher(options.model, longest=LONGEST, dtype=torch.bfloat16)
    ids = teacher.ids([text for _, text in texts])
    offsets = np.cumsum([0] + [len(x) for x in ids])
    states = np.lib.format.open_memmap(options.work / "states.npy", "w+", np.float16, (int(offsets[-1]), 384))
    for i, contextual in teacher.hidden(ids):
        states[offsets[i] : offsets[i + 1]] = contextual
    np.save(options.work / "tokens.npy", np.concatenate([np.asarray(x, np.int32) for x in ids]))
    np.save(options.work / "offsets.npy", offsets)
    kinds = [kind for kind, _ in texts]
    (options.work / "kinds.json").write_text(json.dumps(kinds))
    for kind in sorted(set(kinds)):
        lengths = [len(x) for x, k in zip(ids, kinds) if k == kind]
        print(f"{kind}: {len(lengths)} texts, {sum(lengths)} tokens")


if __name__ == "__main__":
    main()
