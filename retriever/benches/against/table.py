"""The figures of a folder of results as a Markdown table: `python3 table.py RESULTS`."""

import glob
import json
import os
import sys

NAMES = {
    "quoin": "**Quoin**",
    "tantivy": "tantivy alone (words)",
    "usearch": "usearch alone (vectors)",
    "lancedb": "LanceDB, 200 candidates",
    "lancedb10": "LanceDB, 10 candidates",
    "chroma": "Chroma, vectors + `$contains`",
    "chromavector": "Chroma, vectors alone",
    "haystack": "Haystack in memory",
}
COLUMNS = [
    ("ingestion, passages/s", "ingest_per_s", "{:,.0f}"),
    ("p50 ms", "hybrid_all_1_p50_ms", "{:.2f}"),
    ("p99 ms", "hybrid_all_1_p99_ms", "{:.2f}"),
    ("8 clients: p50", "hybrid_all_8_p50_ms", "{:.1f}"),
    ("p99", "hybrid_all_8_p99_ms", "{:.1f}"),
    ("searches/s", "hybrid_all_8_per_s", "{:,.0f}"),
    ("50 %: p50/p99", ("hybrid_50%_1_p50_ms", "hybrid_50%_1_p99_ms"), "{:.2f}/{:.2f}"),
    ("1 %", ("hybrid_1%_1_p50_ms", "hybrid_1%_1_p99_ms"), "{:.2f}/{:.2f}"),
    ("0.01 %", ("hybrid_0.01%_1_p50_ms", "hybrid_0.01%_1_p99_ms"), "{:.2f}/{:.2f}"),
    ("recall@10", "vector_recall_at_10", "{:.3f}"),
    ("start, ms", "start_ms", "{:,.0f}"),
    ("resident, MB", "serve_resident_mb", "{:,.0f}"),
    ("disk, MB", "disk_mb", "{:,.0f}"),
]


def read(results):
    figures = {}
    for path in sorted(glob.glob(os.path.join(results, "*.jsonl"))):
        with open(path) as lines:
            for line in map(json.loads, lines):
                figures.setdefault(line["system"], {})[line["name"]] = line["value"]
    return figures


def cell(figures, names, form):
    values = [figures.get(name) for name in ([names] if isinstance(names, str) else names)]
    return form.format(*values) if None not in values else "–"


def table(results):
    figures = read(results)
    lines = ["| | " + " | ".join(head for head, *_ in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    rows = [(name, system, figures[system], "hybrid") for system, name in NAMES.items() if system in figures]
    for name, system, own, kind in rows:
        lines.append(f"| {name} | " + " | ".join(cell(own, names, form) for _, names, form in COLUMNS) + " |")
        if any(key.startswith("access_") for key in own):
            lists = {key.replace("access_", "hybrid_"): value for key, value in own.items() if key.startswith("access_")}
            lines.append(f"| {name}, by access list | " + " | ".join(cell(lists, n, f) for _, n, f in COLUMNS) + " |")
    for path in sorted(glob.glob(os.path.join(results, "*.problem"))):
        with open(path) as note:
            lines.append(f"\n{note.read().strip()}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(sys.argv[1]))
