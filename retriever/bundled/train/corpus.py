"""The text the table is distilled on: permissively licensed documentation, two open QA corpora and word lists.

Every source is a command-line argument; a source that is not named is left out. Output: jsonl of
{"source", "kind": "passage" | "short" | "words", "text"}, shuffled with a fixed seed.
"""

import argparse
import ast
import collections
import gzip
import html
import json
import random
import re
from pathlib import Path

from static_table import SPECIAL_TOKENS, plain_tokenizer, token_ids
from teacher import packaged_model

PERMISSIVE = re.compile(r"MIT|Apache|BSD|ISC|Zlib|Unlicense|Unicode-3")
COPYLEFT_ONLY = re.compile(r"^[^/]*(GPL|MPL)[^/]*$")
PASSAGE_WORDS = (30, 60, 100, 140)
WINDOWS_A_SECTION = 3
RARE = 12  # a passage that holds a token seen fewer times than this is always taken
BAG_WORDS = (2, 3, 4, 6, 8, 12, 16)


def squeeze(text):
    return re.sub(r"\s+", " ", text).strip()


def strip_html(text):
    text = re.sub(r"<(script|style|nav|pre)\b.*?</\1>", " ", text, flags=re.S)
    return squeeze(html.unescape(re.sub(r"<[^>]+>", " ", text)))


def strip_markup(text):
    """Markdown and reStructuredText down to prose."""
    text = re.sub(r"```.*?```", " ", text, flags=re.S)
    text = re.sub(r"^\s*(>>>|\.\.\.|\.\. ).*$", " ", text, flags=re.M)
    text = re.sub(r"!?\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])?", r"\1", text)
    text = re.sub(r":[a-z:]+:`([^`<]*)(<[^>]*>)?`", r"\1", text)
    return squeeze(re.sub(r"[`*|#=~^_-]{2,}|[`*|]", " ", strip_html(text)))


def is_prose(text):
    return len(text) >= 60 and sum(c.isalpha() or c == " " for c in text) >= 0.75 * len(text)


def markdown_sections(text):
    parts = re.split(r"^#{1,4} +(.*)$", re.sub(r"```.*?```", " ", text, flags=re.S), flags=re.M)
    yield "", strip_markup(parts[0])
    for heading, body in zip(parts[1::2], parts[2::2]):
        yield strip_markup(heading), strip_markup(body)


def rst_sections(text):
    parts = re.split(r"^(\S.*)\n[=\-~^\"*]{4,}\n", text, flags=re.M)
    yield "", strip_markup(parts[0])
    for heading, body in zip(parts[1::2], parts[2::2]):
        yield strip_markup(heading), strip_markup(body)


def rust_docs(folder):
    """Books, the error index and the standard library, as installed with `rust-docs` (MIT/Apache-2.0)."""
    books = ("book", "cargo", "clippy", "edition-guide", "embedded-book", "error_codes", "nomicon", "reference",
             "rust-by-example", "rustc", "rustdoc", "style-guide", "unstable-book", "std", "alloc", "core")
    for book in books:
        for path in sorted((folder / book).rglob("*.html")):
            if "print.html" in path.name or "/core/arch/" in str(path):
                continue
            text = path.read_text(errors="ignore")
            main = re.search(r"<main>(.*?)</main>", text, re.S) or re.search(r'id="main-content"[^>]*>(.*)', text, re.S)
            for part in re.split(r"(?=<h[1-4][ >])", main.group(1) if main else "")[:12]:
                heading = re.match(r"<h[1-4][^>]*>(.*?)</h[1-4]>", part, re.S)
                if heading:
                    yield strip_html(heading.group(1)), strip_html(part[heading.end():])


def crates(folder):
    """READMEs and `//!` module documentation of crates under a permissive licence."""
    for crate in sorted(folder.glob("*/")):
        manifest = crate / "Cargo.toml"
        licence = re.search(r'^license = "(.*)"', manifest.read_text(errors="ignore"), re.M) if manifest.exists() else None
        if not licence or not PERMISSIVE.search(licence.group(1)) or COPYLEFT_ONLY.match(licence.group(1)):
            continue
        for readme in sorted(crate.glob("README*.md"))[:1]:
            yield from markdown_sections(readme.read_text(errors="ignore")[:100_000])
        for source in sorted(crate.glob("src/**/*.rs"))[:60]:
            lines = re.findall(r"^//! ?(.*)$", source.read_text(errors="ignore")[:40_000], re.M)
            if lines:
                yield from markdown_sections("\n".join(lines))


def docstrings(folder):
    """Docstrings and bundled .rst/.md pages of one Python package; the caller vouches for its licence."""
    for path in sorted(folder.rglob("*.py")):
        if "/tests/" in str(path):
            continue
        try:
            tree = ast.parse(path.read_text(errors="ignore"))
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                documentation = ast.get_docstring(node) or ""
                if len(documentation) > 60:
                    first, _, rest = documentation.partition("\n\n")
                    yield strip_markup(first), strip_markup(re.split(r"\n(?:Parameters|Examples?|References)\n", rest)[0])
    for path in sorted([*folder.rglob("*.rst"), *folder.rglob("*.md")]):
        yield from (rst_sections if path.suffix == ".rst" else markdown_sections)(path.read_text(errors="ignore")[:60_000])


def pages(folder):
    """A folder of Markdown, reStructuredText or HTML pages; the caller vouches for its licence."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".md", ".rst"):
            yield from (rst_sections if path.suffix == ".rst" else markdown_sections)(path.read_text(errors="ignore")[:60_000])
        elif path.suffix in (".html", ".htm"):
            for part in re.split(r"(?=<h[1-4][ >])", path.read_text(errors="ignore")[:200_000])[1:40]:
                heading, _, body = part.partition("</h")
                yield strip_html(heading), strip_html(body.partition(">")[2])


def service_models(folder):
    """Descriptions in botocore's service models (Apache-2.0): 400 services, from genomics to billing."""
    for path in sorted(folder.glob("*/*/service-2.json*")):
        text = (gzip.open(path, "rt") if path.suffix == ".gz" else path.open()).read()
        model = json.loads(text)
        yield model["metadata"].get("serviceFullName", ""), strip_html(model.get("documentation", ""))
        for shape in [*model.get("operations", {}).values(), *model.get("shapes", {}).values()]:
            documentation = strip_html(shape.get("documentation", ""))
            if len(documentation) > 150:
                yield "", documentation


def beir(folder):
    """Documents, and questions as short texts; relevance judgements are not read."""
    for line in (folder / "corpus.jsonl").open():
        document = json.loads(line)
        yield squeeze(document.get("title") or ""), squeeze(document["text"])
    for line in (folder / "queries.jsonl").open():
        yield squeeze(json.loads(line)["text"]), ""


def windows(body, random_source):
    words = body.split()
    size = random_source.choice(PASSAGE_WORDS)
    for first in range(0, min(len(words), WINDOWS_A_SECTION * size), size):
        text = " ".join(words[first : first + size])
        if is_prose(text):
            yield text


def collect(name, sections, random_source, everything):
    """All passages and short texts of one source, without repeats."""
    passages, shorts = {}, {}
    for heading, body in sections:
        if 2 <= len(heading.split()) <= 30 and len(heading) > 8:
            shorts.setdefault(heading.lower(), heading)
        if everything:  # tables too, and whole documents rather than a few windows
            words = body.split()
            size = random_source.choice(PASSAGE_WORDS[1:])
            for first in range(0, len(words), size):
                if len(words) - first >= 12 or first == 0:
                    passages.setdefault(" ".join(words[first : first + size]))
        else:
            for text in windows(body, random_source):
                passages.setdefault(text)
        sentences = [s for s in re.split(r"(?<=[.?!]) +", body) if 4 <= len(s.split()) <= 40 and is_prose(s)]
        if sentences and not everything:
            sentences = [random_source.choice(sentences)]
        for sentence in sentences:
            shorts.setdefault(sentence.lower(), sentence)
    return (
        [{"source": name, "kind": "passage", "text": t} for t in passages],
        [{"source": name, "kind": "short", "text": t} for t in shorts.values()],
    )


def choose(items, limit, tokenizer, random_source):
    """At most `limit` items: those that hold rare tokens first, then any."""
    random_source.shuffle(items)
    seen, rare, others = collections.Counter(), [], []
    for item, ids in zip(items, token_ids(tokenizer, [x["text"] for x in items])):
        is_rare = len(rare) < limit and any(seen[t] < RARE for t in ids)
        (rare if is_rare else others).append(item)
        if is_rare:
            seen.update(set(ids))
    return (rare + others)[:limit]


def word_bags(tokenizer, neighbours, limit, random_source):
    """Short lists of vocabulary words, half of them near one topic word: every word is met in several contexts."""
    words = [t for t, i in sorted(tokenizer.get_vocab().items(), key=lambda x: x[1])
             if t not in SPECIAL_TOKENS and t.isascii() and t.isalpha() and len(t) > 2]
    vocabulary = tokenizer.get_vocab()
    known = set(words)
    topics = []
    while len(topics) < limit:
        topics += random_source.sample(words, len(words))
    for topic in topics[:limit]:
        near = [w for w in (tokenizer.id_to_token(int(i)) for i in neighbours[vocabulary[topic]]) if w in known]
        size = random_source.choice(BAG_WORDS)
        chosen = random_source.sample(near, min(len(near), size // 2)) if near else []
        chosen += random_source.choices(words, k=size - 1 - len(chosen))
        chosen.append(topic)
        random_source.shuffle(chosen)
        yield {"source": "vocabulary", "kind": "words", "text": " ".join(chosen)}


def nearest_tokens(isolated, count=24):
    """Ids of the tokens nearest to each token in the teacher's single-token space."""
    import numpy as np

    centred = isolated - isolated.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    nearest = np.zeros((len(centred), count), np.int32)
    for first in range(0, len(centred), 1024):
        scores = centred[first : first + 1024] @ centred.T
        nearest[first : first + 1024] = np.argpartition(-scores, count, axis=1)[:, :count]
    return nearest


def main():
    import numpy as np

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rust-docs", type=Path, help="…/share/doc/rust/html")
    parser.add_argument("--crates", type=Path, help="a registry's source folder, one folder a crate")
    parser.add_argument("--python-package", type=Path, action="append", default=[], help="repeatable")
    parser.add_argument("--pages", type=Path, action="append", default=[], help="repeatable: folder of md, rst or html")
    parser.add_argument("--service-models", type=Path, help="botocore/data")
    parser.add_argument("--beir", type=Path, action="append", default=[], help="repeatable: folder in BEIR layout")
    parser.add_argument("--isolated", type=Path, help="isolated.npy from teacher.py; adds the word lists")
    parser.add_argument("--word-bags", type=int, default=40_000)
    parser.add_argument("--passages-a-source", type=int, default=2_500)
    parser.add_argument("--shorts-a-source", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    random_source = random.Random(options.seed)
    tokenizer = plain_tokenizer(packaged_model() / "tokenizer.json")
    sources = [(f"python:{p.name}", docstrings(p), False) for p in options.python_package]
    sources += [(f"pages:{p.name}", pages(p), False) for p in options.pages]
    sources += [(f"beir:{p.name}", beir(p), True) for p in options.beir]
    if options.rust_docs:
        sources.append(("rust-docs", rust_docs(options.rust_docs), False))
    if options.crates:
        sources.append(("crates", crates(options.crates), False))
    if options.service_models:
        sources.append(("service-models", service_models(options.service_models), False))

    texts = []
    for name, sections, everything in sources:
        passages, shorts = collect(name, sections, random_source, everything)
        most = (len(passages), len(shorts)) if everything else (options.passages_a_source, options.shorts_a_source)
        taken = choose(passages, most[0], tokenizer, random_source)
        taken_short = choose(shorts, most[1], tokenizer, random_source)
        print(f"{name}: {len(taken)} of {len(passages)} passages, {len(taken_short)} of {len(shorts)} short texts", flush=True)
        texts += taken + taken_short
    if options.isolated:
        neighbours = nearest_tokens(np.load(options.isolated))
        texts += word_bags(tokenizer, neighbours, options.word_bags, random_source)
    random_source.shuffle(texts)
    with options.out.open("w") as out:
        for item in texts:
            out.write(json.dumps(item, ensure_ascii=False) + "\n")
    print(f"{len(texts)} texts, {sum(len(x['text'].split()) for x in texts)} words")


if __name__ == "__main__":
    main()
