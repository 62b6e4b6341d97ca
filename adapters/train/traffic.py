"""Simulated users of a running Quoin: they ask about support notes and say whether the answer helped.

Each note tells of two products, a symptom and a remedy each (two sentences, as in support_examples.py); the products are
those of the examples and others that no adapter saw. A user asks about one, and is helped when the citations are exactly
its two sentences; that is sent as feedback. Which release answers whom is the server's doing; the table at the end, on
standard output, says what each one did. Ctrl-C or SIGTERM ends the traffic early and still prints it.
"""

import argparse
import http.client
import json
import random
import signal
import statistics
import sys
import threading
import time
import urllib.parse
from collections import Counter, defaultdict

from support_examples import PROBLEMS, PRODUCTS, QUESTIONS, REMEDIES, STEPS, SYMPTOMS, worded

UNSEEN = "coffee machine,fire alarm,parking gate,video wall,card terminal,loading dock,air purifier,desk lamp,water cooler,ticket kiosk,weather station,postage meter,document shredder,charging locker,intercom,barcode reader,smart board,ventilation unit,reception phone,key cabinet,fax gateway,cash drawer,queue display,lift panel".split(",")
FOLDER = "support-notes"
ATTEMPTS = 5  # of one request; a server that is started again is waited for longer, see --patience
TIMEOUT_S = 60
ERRORS_SHOWN = 5
PROGRESS_S = 5


class Refused(Exception):
    """The server answered, and not with success."""

    def __init__(self, status, message, retry_after):
        super().__init__(f"HTTP {status}: {message}")
        self.status, self.retry_after = status, retry_after


class Client:
    """One connection, kept open. Not for several threads."""

    def __init__(self, url, key):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise SystemExit(f"--url must be http://HOST:PORT, got `{url}`")
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=TIMEOUT_S)
        self.headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})

    def send(self, method, path, body):
        try:
            self.connection.request(method, path, json.dumps(body), self.headers)
            response = self.connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise
        if response.status >= 300:
            try:
                message = json.loads(text)["error"]["message"]
            except (ValueError, KeyError, TypeError):
                message = text[:200].decode("utf-8", "replace")
            retry_after = response.headers.get("retry-after", "")
            raise Refused(response.status, message, float(retry_after) if retry_after.isdigit() else None)
        return json.loads(text)


def persistently(client, method, path, body, again_on, patience_s):
    """Sends until it succeeds. Statuses in `again_on` are tried a few times, no connection at all for `patience_s` seconds.

    Gives the answer, and how often the connection was lost.
    """
    lost, started, attempt = 0, time.monotonic(), 1
    while True:
        try:
            return client.send(method, path, body), lost
        except Refused as refused:
            if refused.status not in again_on or attempt == ATTEMPTS:
                raise
            time.sleep(min(refused.retry_after or 0.05 * 2**attempt, 5))
            attempt += 1
        except (OSError, http.client.HTTPException):
            lost += 1
            if time.monotonic() - started > patience_s:
                raise
            time.sleep(0.2)


def notes(r):
    """Documents by id, and for each product the two sentences that answer questions about it."""
    products = PRODUCTS + UNSEEN
    r.shuffle(products)
    documents, wanted = {}, {}
    for number in range(0, len(products), 2):
        sentences = []
        for p in products[number : number + 2]:
            problem = r.choice(PROBLEMS).format(p=p, s=worded(r, r.choice(SYMPTOMS)))
            step = r.choice(STEPS).format(p=p, r=worded(r, r.choice(REMEDIES)))
            wanted[p] = sorted([problem, step])
            sentences += [problem, step]
        documents[f"{FOLDER}/{number // 2:02}.txt"] = " ".join(sentences)
    return documents, wanted


class Users:
    """All users together: who asks next, and what came of it."""

    def __init__(self, a, wanted, r):
        self.a, self.wanted, self.random = a, wanted, r
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.asked, self.lost, self.errors, self.rows = 0, 0, Counter(), defaultdict(list)

    def next(self):
        """A question, its product and the session of who asks; None when all was asked."""
        with self.lock:
            if self.asked == self.a.requests or self.stop.is_set():
                return None
            user = self.asked if self.a.users >= self.a.requests else self.random.randrange(self.a.users)
            self.asked += 1
            product = self.random.choice(list(self.wanted))
            return self.random.choice(QUESTIONS).format(p=product), product, f"{self.a.seed}-{user}"

    def ask(self, client, question, product, session):
        body = {
            "question": question, "mode": "grounded", "session": session, "max_citations": 3,
            "filters": {"id_prefix": FOLDER + "/"}, "top_k": self.a.passages,
        }  # fmt: skip
        started = time.monotonic()
        answer, lost = persistently(client, "POST", "/v1/answers", body, {429, 503}, self.a.patience)
        took_ms = (time.monotonic() - started) * 1000
        right = sorted(citation["quote"] for citation in answer["citations"]) == self.wanted[product]
        rating = {"answer_id": answer["id"], "metric": "helpful", "value": right}
        # The log is written behind the answers: an answer may not be in it yet.
        try:
            _, lost_rating = persistently(client, "POST", "/v1/feedback", rating, {404, 429, 503}, self.a.patience)
        except Refused as refused:
            # What was not in the log yet when the server was killed never comes into it.
            if refused.status != 404:
                raise
            lost_rating = 0
            with self.lock:
                self.errors["feedback: the answer is not in the log (not counted as failed)"] += 1
        with self.lock:
            self.lost += lost + lost_rating
            row = (right, answer["status"] == "abstained", took_ms if not lost else None)
            self.rows[answer["release"]["adapter"], answer["release"]["route"]].append(row)

    def work(self):
        client = Client(self.a.url, self.a.key)
        while asked := self.next():
            try:
                self.ask(client, *asked)
            except (Refused, OSError, http.client.HTTPException, KeyError, ValueError) as error:
                with self.lock:
                    self.errors[f"{type(error).__name__}: {error}"] += 1

    def failed(self):
        return sum(count for error, count in self.errors.items() if not error.startswith("feedback: "))

    def progress(self):
        with self.lock:
            counts = {adapter: len(rows) for (adapter, _), rows in self.rows.items()}
            text = ", ".join(f"{adapter} {count}" for adapter, count in sorted(counts.items()))
            print(f"{self.asked} asked, {self.failed()} failed: {text}", file=sys.stderr, flush=True)

    def table(self):
        yield "| adapter | route | answers | right | share right | abstained | p50 | p95 |"
        yield "|---|---|---:|---:|---:|---:|---:|---:|"
        for (adapter, route), rows in sorted(self.rows.items()):
            right, abstained = sum(row[0] for row in rows), sum(row[1] for row in rows)
            times = sorted(row[2] for row in rows if row[2] is not None) or [0.0]
            p95 = times[min(len(times) - 1, int(len(times) * 0.95))]
            yield (
                f"| {adapter} | {route} | {len(rows)} | {right} | {100 * right / len(rows):.1f} % | {abstained} "
                f"| {statistics.median(times):.0f} ms | {p95:.0f} ms |"
            )


def bounded(low, high):
    def number(text):
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be between {low} and {high}, got {value}")
        return value

    return number


def parsed():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--url", default="http://127.0.0.1:8080")
    a.add_argument("--users", type=bounded(1, 1_000_000), default=1_000_000, help="sessions; as many as requests or more: one each")
    a.add_argument("--requests", type=bounded(1, 1_000_000), default=1000)
    a.add_argument("--concurrency", type=bounded(1, 16), default=2, help="questions at the same time")
    a.add_argument("--passages", type=bounded(1, 16), default=3, help="passages that the model is shown")
    a.add_argument("--patience", type=bounded(0, 600), default=30, help="seconds to wait for a server that is started again")
    a.add_argument("--seed", type=int, default=0, help="of products and questions; part of the names of the users")
    a.add_argument("--notes-seed", type=int, default=0, help="of the notes: the same for all traffic of one server")
    a.add_argument("--key", help="with the scopes ingest, answer and feedback; none needed where no keys are made")
    return a.parse_args()


def main():
    a = parsed()
    documents, wanted = notes(random.Random(a.notes_seed))
    client = Client(a.url, a.key)
    for name, text in documents.items():
        body = {"text": text, "title": "Support notes", "acl": ["public"]}
        path = "/v1/documents/" + urllib.parse.quote(name)
        try:
            persistently(client, "PUT", path, body, {429, 503}, a.patience)
        except (Refused, OSError, http.client.HTTPException) as error:
            raise SystemExit(f"cannot store `{name}` at {a.url}: {error}") from None
    users = Users(a, wanted, random.Random(a.seed))
    # Set, not raised: a thread whose join() was interrupted counts as ended while its question is still out.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: users.stop.set())
    threads = [threading.Thread(target=users.work) for _ in range(a.concurrency)]
    for thread in threads:
        thread.start()
    while running := [thread for thread in threads if thread.is_alive()]:
        running[0].join(PROGRESS_S)
        users.progress()
    print("\n".join(users.table()))
    print(f"\n{users.asked} asked, {users.failed()} failed; the connection was lost {users.lost} times and the request sent again")
    for error, count in users.errors.most_common(ERRORS_SHOWN):
        print(f"{count} times: {error}", file=sys.stderr)
    raise SystemExit(1 if users.failed() else 0)


if __name__ == "__main__":
    main()
