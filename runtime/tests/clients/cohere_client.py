"""Drives rerank with Cohere's own Python package, by its first and its second API, blocking and asynchronous.

Run: `quoin serve &`, then `python cohere_client.py`, with requirements.txt installed. QUOIN_URL and QUOIN_API_KEY name another server.
"""

import asyncio
import os
import sys

import cohere

URL = os.environ.get("QUOIN_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("QUOIN_API_KEY", "none")
MODEL = "rerank-v3.5"
QUERY = "How long is a VPN session?"
TEXTS = ["Bananas are yellow.", "A VPN session lasts 600 minutes.", "Grüße aus Çeşme 🎉: leave is 28 days.", ""]
BEST = 1

first = cohere.Client(api_key=KEY, base_url=URL, timeout=60)
second = cohere.ClientV2(api_key=KEY, base_url=URL, timeout=60)
checks = 0


def check(name, condition, seen):
    """Counts and prints a check, or ends the run."""
    global checks
    if not condition:
        sys.exit(f"FAIL {name}: {seen!r}")
    checks += 1
    print(f"ok   {name}: {seen!r}")


def pairs(response):
    return [(result.index, result.relevance_score) for result in response.results]


def order(name, client):
    ranked = pairs(client.rerank(model=MODEL, query=QUERY, documents=TEXTS))
    scores = [score for _, score in ranked]
    check(f"{name}, every document once", sorted(index for index, _ in ranked) == list(range(len(TEXTS))), ranked)
    check(f"{name}, best first", ranked[0][0] == BEST and scores == sorted(scores, reverse=True), ranked[0])
    check(f"{name}, the best by far", scores[0] > 2 * scores[1], scores[:2])
    check(f"{name}, scores from 0 to 1", all(0 <= score <= 1 for score in scores), scores)
    for top_n in (1, 2, len(TEXTS), len(TEXTS) + 5):
        cut = pairs(client.rerank(model=MODEL, query=QUERY, documents=TEXTS, top_n=top_n))
        check(f"{name}, top_n={top_n}", cut == ranked[:top_n], len(cut))
    shuffled = client.rerank(model=MODEL, query=QUERY, documents=TEXTS[::-1])
    same = {TEXTS[index]: score for index, score in ranked}
    check(f"{name}, the order sent does not matter", {TEXTS[::-1][i]: s for i, s in pairs(shuffled)} == same, shuffled.results[0].index)
    return ranked


def envelope(name, client, version):
    response = client.rerank(model=MODEL, query=QUERY, documents=TEXTS)
    check(f"{name}, an id", response.id, response.id)
    check(f"{name}, version in meta", response.meta.api_version.version == version, response.meta.api_version.version)
    check(f"{name}, billed units", response.meta.billed_units.search_units == 1, response.meta.billed_units.search_units)


def documents():
    """The first API sends texts or objects, and gives the texts back when asked."""
    bare = first.rerank(model=MODEL, query=QUERY, documents=TEXTS)
    check("v1, no texts unless asked for", all(result.document is None for result in bare.results), len(bare.results))
    for kind, sent in (("texts", TEXTS), ("objects", [{"text": text} for text in TEXTS])):
        full = first.rerank(model=MODEL, query=QUERY, documents=sent, return_documents=True)
        verbatim = all(result.document.text == TEXTS[result.index] for result in full.results)
        check(f"v1, {kind} given back verbatim", verbatim, [result.document.text for result in full.results])
        check(f"v1, {kind} scored alike", pairs(full) == pairs(bare), pairs(full)[0])


async def asynchronous(expected):
    async with cohere.AsyncClientV2(api_key=KEY, base_url=URL, timeout=60) as client:
        calls = [client.rerank(model=MODEL, query=QUERY, documents=TEXTS) for _ in range(16)]
        answers = await asyncio.gather(*calls)
    check("v2, 16 at once answer alike", all(pairs(answer) == expected for answer in answers), len(answers))


def many():
    texts = [f"Paragraph {number} is about harbours." for number in range(999)] + [TEXTS[BEST]]
    ranked = second.rerank(model=MODEL, query=QUERY, documents=texts, top_n=3)
    check("v2, the best of 1000", ranked.results[0].index == 999 and len(ranked.results) == 3, pairs(ranked)[0])


def errors():
    cases = {
        "no documents": ("documents", {"documents": []}),
        "too many documents": ("documents", {"documents": ["x"] * 1001}),
        "an empty query": ("query", {"query": " "}),
        "top_n of 0": ("top_n", {"top_n": 0}),
    }
    for name, client in (("v1", first), ("v2", second)):
        for label, (param, change) in cases.items():
            try:
                client.rerank(**{"model": MODEL, "query": QUERY, "documents": TEXTS, **change})
            except cohere.BadRequestError as error:
                detail = error.body["error"]
                check(f"{name}, {label} is refused by name", detail["param"] == param and param in detail["message"], detail["message"])
                check(f"{name}, {label} has a request id", error.headers["x-request-id"] == error.body["request_id"], error.body["request_id"])
            else:
                sys.exit(f"FAIL {name}, {label}: nothing was raised")
    try:
        first.rerank(model=MODEL, query=QUERY, documents=[{"title": "no text"}])
    except cohere.BadRequestError as error:
        check("v1, an object without a text is named", error.body["error"]["param"] == "documents[0]", error.body["error"]["message"])
    else:
        sys.exit("FAIL v1, an object without a text: nothing was raised")


if __name__ == "__main__":
    ranked = order("v1", first)
    check("v2 scores as v1 does", order("v2", second) == ranked, ranked[0])
    envelope("v1", first, "1")
    envelope("v2", second, "2")
    documents()
    asyncio.run(asynchronous(ranked))
    many()
    errors()
    print(f"ok: {checks} checks")
