"""Reads permissively licensed text and questions into one JSON-lines file of passages.

Sources: the Rust documentation of the installed toolchain (MIT or Apache-2.0), PubMedQA abstracts (MIT),
TAT-QA paragraphs, tables and questions (CC BY 4.0). Nothing else is read.
A passage: {"source", "group", "title", "sentences", "held_out", "questions": [{"text", "sentence", "answer"}]}.
"""

import argparse
import hashlib
import html
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
        if row["answer_type"] != "span" or len(row["answer"]) != 1:
            continue
        answer = row["answer"][0]
        places = [
            (d, n) for d in row["context_ids"] if d in documents for n, s in enumerate(documents[d][2]) if answer.lower() in s.lower()
        ]
        if len(places) == 1:  # an answer found twice would teach a guess
            asked.setdefault(places[0][0], []).append({"text": row["question"], "sentence": places[0][1], "answer": answer})
    for key, (group, _table, split) in documents.items():
        if len(split) > 1:
            yield {
                "source": "tatqa", "group": group, "title": "", "sentences": split,
                "held_out": is_held_out(group, 0.5), "questions": asked.get(key, []),
            }  # fmt: skip


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rust-doc", type=Path, required=True, help="<sysroot>/share/doc/rust/html")
    arguments.add_argument("--pubmedqa", type=Path, required=True)
    arguments.add_argument("--tatqa", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    chosen = arguments.parse_args()
    counts = {}
    with chosen.out.open("w") as out:
        for row in (*rust_documentation(chosen.rust_doc), *pubmedqa(chosen.pubmedqa), *tatqa(chosen.tatqa)):
            out.write(json.dumps(row) + "\n")
            key = (row["source"], row["held_out"])
            had = counts.get(key, (0, 0, 0))
            counts[key] = (had[0] + 1, had[1] + len(row["sentences"]), had[2] + len(row["questions"]))
    print("passages, sentences, questions:", counts)


if __name__ == "__main__":
    main()
