"""Makes a collection if it is not there, runs every system on it, each phase in a process of its own, and prints a table.

    python3 retriever/benches/against/run.py --passages 10000 --work /tmp/against [--python PYTHON] [--systems quoin,tantivy]
"""

import argparse
import os
import shutil
import subprocess
import sys
import time

import table

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
RUST = ["quoin", "tantivy", "usearch"]
PYTHON = {
    "lancedb": ["ingest", "serve"],
    "lancedb10": ["serve"],
    "chroma": ["ingest", "serve"],
    "chromavector": ["serve"],
    "haystack": ["both"],
}
# What another system ingested.
SHARED = {"lancedb10": "lancedb", "chromavector": "chroma"}
SECONDS = 15 * 60


def binary():
    build = ["cargo", "bench", "-q", "--no-run", "-p", "quoin-retriever", "--bench", "against", "--message-format", "json"]
    lines = subprocess.run(build, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = [line for line in lines.splitlines() if '"against"' in line and '"executable":"' in line]
    return found[-1].split('"executable":"')[1].split('"')[0]


def documentation():
    root = subprocess.run(["rustc", "--print", "sysroot"], cwd=ROOT, check=True, capture_output=True, text=True)
    return os.path.join(root.stdout.strip(), "share", "doc", "rust", "html")


def phases(system):
    return ["ingest", "serve"] if system in RUST else PYTHON[system]


def run(command, note, limit):
    # Exclusive where the machine is shared: `--lock` names a file.
    started = time.monotonic()
    try:
        done = subprocess.run(command, timeout=limit, capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        return f"{note}: did not finish in {limit // 60} min"
    print(f"{note}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    if done.returncode:
        return f"{note}: ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"
    return None


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--passages", type=int, default=10_000)
    options.add_argument("--work", default="/tmp/quoin-against", help="folder for collection, indexes and results")
    options.add_argument("--python", default=sys.executable, help="one with systems/requirements.txt installed")
    options.add_argument("--systems", default=",".join([*RUST, *PYTHON]))
    options.add_argument("--phases", default="ingest,serve,both")
    options.add_argument("--text", default=None, help="the HTML documentation of Rust; default: the toolchain's own")
    options.add_argument("--lock", default=None, help="a file to lock while a phase runs, for a machine that others use")
    options.add_argument("--binary", default=None, help="the benchmark's program, when it is built already")
    options.add_argument("--limit", type=int, default=SECONDS, help="seconds that a phase may take")
    chosen = options.parse_args()
    program = chosen.binary or binary()
    lock = ["flock", "-x", chosen.lock] if chosen.lock else []
    work = os.path.join(chosen.work, str(chosen.passages))
    collection = os.path.join(work, "collection")
    os.makedirs(work, exist_ok=True)
    if not os.path.exists(collection):
        making = collection + ".making"
        make = [program, "make", str(chosen.passages), chosen.text or documentation(), making]
        problem = run(make, "making the collection", 3600)
        if problem:
            sys.exit(problem)
        os.rename(making, collection)
    results = os.path.join(work, "results")
    os.makedirs(results, exist_ok=True)
    for system in chosen.systems.split(","):
        folder = os.path.join(work, "index", SHARED.get(system, system))
        for phase in phases(system):
            if phase not in chosen.phases.split(","):
                continue
            if phase != "serve":
                shutil.rmtree(folder, ignore_errors=True)
                os.makedirs(folder)
            file = os.path.join(results, f"{system}.{phase}.jsonl")
            if os.path.exists(file):
                os.remove(file)
            start = [program] if system in RUST else [chosen.python, os.path.join(HERE, "systems", "measure.py")]
            command = [*lock, *start, system, phase, collection, folder, file]
            problem = run(command, f"{system} {phase}", chosen.limit)
            if problem:
                print(problem, file=sys.stderr)
                with open(os.path.join(results, f"{system}.{phase}.problem"), "w") as note:
                    note.write(problem + "\n")
    print(table.table(results))


if __name__ == "__main__":
    main()
