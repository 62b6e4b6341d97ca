"""Reads openly licensed text and questions into one JSON-lines file of passages.

Sources: the Rust documentation of the installed toolchain (MIT or Apache-2.0), PubMedQA abstracts (MIT), TAT-QA
paragraphs, tables and questions (CC BY 4.0), half of the articles of SQuAD 2's development set (CC BY-SA 4.0).
Nothing else is read.
A passage: {"source", "group", "title", "sentences", "held_out", "questions": [{"text", "sentence", "answer"}]}.
`sentence` is null where the passage does not answer, `answer` where no words of the sentence are the answer.
"""

import argparse
import hashlib
import html
import itertools
import json
import re
from pathlib import Path

# embedded-book is left out: its prose is CC BY-SA.
RUST_BOOKS = [
    "book", "reference", "cargo", "rustc", "rustdoc", "nomicon", "rust-by-example", "edition-guide",
    "clippy", "error_codes", "style-guide", "unstable-book", "std", "core", "alloc", "proc_macro",
]  # fmt: skip
SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])")
ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Dr|St|vs|No|Jr|Sr|e\.g|i\.e|etc|Inc|Ltd|Co|U\.S|cf|al|Fig|approx|[A-Z]))\.$")


def sentences_of(text: str) -> list[str]:
    """Splits running text at sentence ends, leaving common abbreviations whole."""
    found, start = [], 0
    for match in SENTENCE_END.finditer(text):
        if ABBREVIATION.search(text[start : match.start()]):
            continue
        found.append(text[start : match.end()].strip())
        start = match.end()
    found.append(text[start:].strip())
    return [s for s in found if s]


def is_held_out(group: str, share: float) -> bool:
    """A stable coin toss by the group's name, so that a document is on one side only."""
    return int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 2**32 < share


def strip_tags(fragment: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", fragment))).strip().rstrip("§").strip()


def rust_documentation(root: Path):
    """Passages under each heading of each page; titles are `Page > Heading`."""
    seen = set()
    for book in RUST_BOOKS:
        for page in sorted((root / book).rglob("*.html")):
            if page.name in {"print.html", "all.html", "toc.html"} or page.stat().st_size > 2_000_000:
                continue
            if "/arch/" in str(page) or book in {"std", "core", "alloc"} and not re.match(r"(index|struct|trait|macro|fn|enum|keyword|primitive)\b", page.name):
                continue
            body = page.read_text(errors="ignore")
            body = re.sub(r"(?s)<(pre|script|style|nav)\b.*?</\1>", " ", body)
            name, heading, kept = book.replace("-", " ").capitalize(), "", []
            for tag, inner in re.findall(r"(?s)<(h[1-4]|p|li|td)\b[^>]*>(.*?)</\1>", body):
                text = strip_tags(inner)
                if tag[0] == "h":
                    yield from passage("rust", f"{book}/{page.relative_to(root / book)}", f"{name} > {heading}", kept, 0.1)
                    heading, kept = text[:60], []
                    continue
                letters = sum(c.isalpha() or c == " " for c in text) / max(1, len(text))
                if len(text) >= 40 and text.isascii() and letters > 0.82 and text[0].isupper() and text[:120] not in seen:
                    seen.add(text[:120])
                    kept += sentences_of(text)
            yield from passage("rust", f"{book}/{page.relative_to(root / book)}", f"{name} > {heading}", kept, 0.1)


def passage(source, group, title, sentences, share, held_out=None, questions=()):
    for start in range(0, len(sentences), 14):
        part = sentences[start : start + 14]
        if sum(map(len, part)) >= 80:
            yield {
                "source": source, "group": group, "title": title.strip(" >"), "sentences": part,
                "held_out": is_held_out(group, share) if held_out is None else held_out, "questions": list(questions),
            }  # fmt: skip


def lines(path: Path):
    return [json.loads(line) for line in path.open()]


def pubmedqa(folder: Path):
    for row in lines(folder / "corpus.jsonl"):
        yield from passage("pubmed", row["_id"], row["title"], sentences_of(re.sub(r"\s+", " ", row["text"])), 0.1)


def tatqa(folder: Path):
    """Half of the report pages (by metadata.group) are held out. A table's rows are its sentences."""
    documents, asked = {}, {}
    for row in lines(folder / "corpus.jsonl"):
        table = row["metadata"].get("kind") == "table"
        split = [re.sub(r"\s+", " ", r).strip() for r in row["text"].split("\n")] if table else sentences_of(re.sub(r"\s+", " ", row["text"]))
        documents[row["_id"]] = (row["metadata"]["group"], table, [s for s in split if s][:24])
    for row in lines(folder / "qa.jsonl"):
        for key, number, answer in places_of(row, documents):
            asked.setdefault(key, []).append({"text": row["question"], "sentence": number, "answer": answer})
    for key, (group, _table, split) in documents.items():
        if len(split) > 1:
            yield {
                "source": "tatqa", "group": group, "title": "", "sentences": split,
                "held_out": is_held_out(group, 0.5), "questions": asked.get(key, []),
            }  # fmt: skip


def places_of(row, documents):
    """Where a TAT-QA question is answered: at most one (document, sentence, answer or None); none where it is in doubt."""
    rows = [(d, n, s) for d in row["context_ids"] if d in documents for n, s in enumerate(documents[d][2])]
    if row["answer_type"] == "span" and len(row["answer"]) == 1:
        answer = row["answer"][0]
        found = [(d, n, s) for d, n, s in rows if answer.lower() in s.lower()]
        if len(found) > 1:  # the row whose name the question says, if there is one
            found = [(d, n, s) for d, n, s in found if documents[d][1] and row_is_named(s, row["question"])]
        return [(d, n, answer) for d, n, _ in found] if len(found) == 1 else []
    if row["answer_type"] == "multi-span":
        found = [(d, n) for d, n, s in rows if all(a and a.lower() in s.lower() for a in row["answer"])]
        return [(*found[0], None)] if len(found) == 1 else []
    numbers = [n for n in re.findall(r"\d[\d,.]*\d", row["derivation"])]
    found = [(d, n) for d, n, s in rows if documents[d][1] and len(numbers) > 1 and all(m in s for m in numbers)]
    return [(*found[0], None)] if len(found) == 1 and row["answer_type"] == "arithmetic" else []


def row_is_named(table_row, question):
    name = re.findall(r"[a-z]{3,}", table_row.split("|")[0].lower())
    return bool(name) and sum(word in question.lower() for word in name) >= 0.7 * len(name)


def squad(folder: Path):
    """Half of the articles are held out. Questions whose answer stands in several sentences are left out."""
    paragraphs, asked = {}, {}
    for row in lines(folder / "corpus.jsonl"):
        paragraphs[row["_id"]] = (row["title"].replace("_", " "), sentences_of(re.sub(r"\s+", " ", row["text"])))
    for row in lines(folder / "qa.jsonl"):
        _, split = paragraphs[row["context_id"]]
        question = {"text": row["question"], "sentence": None, "answer": None}
        if not row["is_impossible"]:
            places = [n for n, s in enumerate(split) if any(a in s for a in row["answers"])]
            if len(places) != 1:
                continue
            answers = [a for a in row["answers"] if a in split[places[0]]]
            question |= {"sentence": places[0], "answer": min(answers, key=len)}
        asked.setdefault(row["context_id"], []).append(question)
    for key, (title, split) in paragraphs.items():
        if len(split) > 1:
            yield {
                "source": "squad", "group": "squad " + title, "title": title, "sentences": split[:24],
                "held_out": is_held_out(title, 0.5), "questions": [q for q in asked.get(key, []) if (q["sentence"] or 0) < 24],
            }  # fmt: skip


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rust-doc", type=Path, required=True, help="<sysroot>/share/doc/rust/html")
    arguments.add_argument("--pubmedqa", type=Path, required=True)
    arguments.add_argument("--tatqa", type=Path, required=True)
    arguments.add_argument("--squad", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    chosen = arguments.parse_args()
    counts = {}
    with chosen.out.open("w") as out:
        sources = (rust_documentation(chosen.rust_doc), pubmedqa(chosen.pubmedqa), tatqa(chosen.tatqa), squad(chosen.squad))
        for row in itertools.chain(*sources):
            out.write(json.dumps(row) + "\n")
            key = (row["source"], row["held_out"])
            had = counts.get(key, (0, 0, 0))
            counts[key] = (had[0] + 1, had[1] + len(row["sentences"]), had[2] + len(row["questions"]))
    print("passages, sentences, questions:", counts)


if __name__ == "__main__":
    main()
