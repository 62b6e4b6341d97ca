"""Runs one phase of one system in Python on a collection, and appends its figures to a file of JSON lines.

    python measure.py SYSTEM ingest|serve|both COLLECTION FOLDER RESULTS

What is measured, and how, is as in `measure.rs`.
"""

import importlib
import json
import os
import sys
import threading
import time

import numpy as np

SEARCHES = 1000
SECONDS = 5
WARM = 100
HITS = 10
DEPTH = 200
BATCH = 4096
NARROWINGS = [("all", None), ("50%", ("half", 1)), ("1%", ("hundredth", 7)), ("0.01%", ("rare", 77))]


class Collection:
    def __init__(self, folder):
        self.folder = folder
        self.vectors = np.load(f"{folder}/passages.npy", mmap_mode="r")
        self.query_vectors = np.load(f"{folder}/queries.npy")
        self.nearest = np.load(f"{folder}/nearest.npy")
        with open(f"{folder}/queries.jsonl") as lines:
            self.queries = [json.loads(line)["text"] for line in lines]

    def __len__(self):
        return len(self.vectors)

    def batches(self, size=BATCH):
        """Passages as dicts and their vectors, which are read for each batch, so that the file is no part of the memory."""
        width = self.vectors.shape[1]
        with open(f"{self.folder}/passages.jsonl") as lines, open(f"{self.folder}/passages.npy", "rb") as rows:
            rows.seek(self.vectors.offset)
            batch = []
            for line in lines:
                batch.append(json.loads(line))
                if len(batch) == size:
                    yield batch, np.fromfile(rows, "<f4", size * width).reshape(size, width)
                    batch = []
            if batch:
                yield batch, np.fromfile(rows, "<f4", len(batch) * width).reshape(len(batch), width)


class Report:
    def __init__(self, system, passages, path):
        self.system, self.passages, self.path = system, passages, path

    def say(self, name, value):
        line = {"system": self.system, "passages": self.passages, "name": name, "value": value}
        with open(self.path, "a") as file:
            file.write(json.dumps(line) + "\n")

    def memory(self, phase):
        with open("/proc/self/status") as file:
            status = dict(line.split(":", 1) for line in file)
        for field, name in [("VmHWM", "peak"), ("VmRSS", "resident"), ("RssAnon", "anonymous")]:
            self.say(f"{phase}_{name}_mb", int(status[field].split()[0]) / 1000)

    def ingested(self, seconds, folder):
        self.say("ingest_s", seconds)
        self.say("ingest_per_s", self.passages / seconds)
        disk = sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)
        self.say("disk_mb", disk / 1e6)
        self.memory("ingest")

    def searches(self, name, queries, search):
        began = time.perf_counter()
        for number in range(min(WARM, queries)):
            search(number)
            if time.perf_counter() - began > SECONDS / 2:
                break
        for clients in (1, 8):
            times, seconds = run(clients, queries, search)
            times.sort()
            for share, percentile in ((0.5, "p50"), (0.99, "p99")):
                at = min(int(len(times) * share), len(times) - 1)
                self.say(f"{name}_{clients}_{percentile}_ms", times[at] * 1000)
            self.say(f"{name}_{clients}_per_s", len(times) / seconds)

    def recall(self, collection, nearest):
        found = 0
        for number, want in enumerate(collection.nearest):
            found += len(set(map(int, want)) & set(nearest(number)[:HITS]))
        self.say("vector_recall_at_10", found / collection.nearest.size)


def run(clients, queries, search):
    times, failed, lock, following = [], [], threading.Lock(), iter(range(SEARCHES * min(clients, 2)))
    began = time.perf_counter()

    def client():
        try:
            own = []
            while time.perf_counter() - began <= SECONDS:
                with lock:
                    number = next(following, None)
                if number is None:
                    break
                started = time.perf_counter()
                search(number % queries)
                own.append(time.perf_counter() - started)
            with lock:
                times.extend(own)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return times, time.perf_counter() - began


def main(name, phase, collection, folder, results):
    collection = Collection(collection)
    report = Report(name, len(collection), results)
    system = importlib.import_module(f"{name}_system").System(folder)
    if phase in ("ingest", "both"):
        started = time.perf_counter()
        system.ingest(collection.batches(), len(collection))
        report.ingested(time.perf_counter() - started, folder)
    if phase in ("serve", "both"):
        started = time.perf_counter()
        system.open()
        search = lambda number, narrowing: system.hybrid(
            collection.queries[number], collection.query_vectors[number], narrowing
        )
        search(0, None)
        if phase == "serve":
            report.say("start_ms", (time.perf_counter() - started) * 1000)
        for label, narrowing in NARROWINGS:
            report.searches(f"hybrid_{label}", len(collection.queries), lambda number: search(number, narrowing))
        report.memory("serve")
        report.recall(collection, lambda number: system.nearest(collection.query_vectors[number]))


if __name__ == "__main__":
    main(*sys.argv[1:])
