"""Drives chat, streams, JSON, embeddings, rerank and vector stores through LiteLLM, by each provider of it that fits.

Run: `quoin serve &`, then `python litellm_client.py`, with requirements.txt installed. QUOIN_URL and QUOIN_API_KEY name another server.
"""

import asyncio
import json
import math
import os
import sys
import urllib.parse
import urllib.request

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else the import fetches a price list

import litellm
from pydantic import BaseModel, Field

URL = os.environ.get("QUOIN_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("QUOIN_API_KEY", "none")
QUESTION = os.environ.get("QUOIN_QUESTION", "How long does a VPN session last?")
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
NONSENSE = [{"role": "user", "content": "Qwzx vbnm plokij uhygtf?"}]
TEXTS = ["Bananas are yellow.", "A VPN session lasts 600 minutes.", "Leave is 28 days."]
CHAT = ["openai", "hosted_vllm", "litellm_proxy"]
litellm.suppress_debug_info = True
checks = 0


class Finding(BaseModel):
    """What is asked for as JSON."""

    minutes: int = Field(ge=1, le=9999)
    certain: bool


def check(name, condition, seen):
    """Counts and prints a check, or ends the run."""
    global checks
    if not condition:
        sys.exit(f"FAIL {name}: {seen!r}")
    checks += 1
    print(f"ok   {name}: {seen!r}")


def target(provider, model="quoin"):
    return {"model": f"{provider}/{model}", "api_base": f"{URL}/v1", "api_key": KEY, "timeout": 120}


def text_of(document):
    path = f"{URL}/v1/documents/{urllib.parse.quote(document, safe='')}/text"
    request = urllib.request.Request(path, headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["text"]


def verbatim(name, content, annotations):
    """Each quote stands letter by letter in its document; its place is that quote in the message, else the whole message."""
    check(f"{name}, is cited", len(annotations or []) > 0, len(annotations or []))
    for annotation in annotations:
        quoted = annotation["url_citation"]
        check(f"{name}, quote in the document", text_of(quoted["document"])[quoted["start"] : quoted["end"]] == quoted["quote"], quoted["quote"])
        place = content[quoted["start_index"] : quoted["end_index"]]
        check(f"{name}, place in the message", place and place in (quoted["quote"], content), place)


def chat(provider):
    completion = litellm.completion(messages=MESSAGES, **target(provider))
    message = completion.choices[0].message
    check(f"{provider}, chat", completion.choices[0].finish_reason == "stop" and message.content, message.content)
    check(f"{provider}, usage", completion.usage.prompt_tokens > 0, completion.usage.total_tokens)
    verbatim(f"{provider}, chat", message.content, message.annotations)
    return message.content


def streamed(provider, expected):
    chunks = list(litellm.completion(messages=MESSAGES, stream=True, stream_options={"include_usage": True}, **target(provider)))
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    annotations = [found for delta in deltas for found in getattr(delta, "annotations", None) or []]
    check(f"{provider}, streamed text", "".join(delta.content or "" for delta in deltas) == expected, len(chunks))
    verbatim(f"{provider}, streamed", expected, annotations)
    usage = [chunk.usage for chunk in chunks if getattr(chunk, "usage", None)]
    check(f"{provider}, streamed usage", len(usage) == 1 and usage[0].total_tokens > 0, usage[0].total_tokens)
    whole = litellm.stream_chunk_builder(chunks, messages=MESSAGES)
    check(f"{provider}, chunks put together", whole.choices[0].message.content == expected, whole.choices[0].finish_reason)


def structured(provider):
    schema = Finding.model_json_schema() | {"additionalProperties": False}
    named = {"type": "json_schema", "json_schema": {"name": "finding", "strict": True, "schema": schema}}
    for kind, wanted in (("pydantic", Finding), ("json_schema", named)):
        message = litellm.completion(messages=MESSAGES, response_format=wanted, **target(provider)).choices[0].message
        finding = Finding.model_validate_json(message.content)
        check(f"{provider}, {kind}", set(json.loads(message.content)) == {"minutes", "certain"}, finding)
        verbatim(f"{provider}, {kind}", message.content, message.annotations)
    refused = litellm.completion(messages=NONSENSE, response_format=named, **target(provider)).choices[0].message
    check(f"{provider}, no JSON without an answer", not refused.content and not refused.annotations, refused.content)


def embeddings(provider):
    response = litellm.embedding(input=["annual leave", "holiday", "annual leave"], **target(provider))
    vectors = [item["embedding"] for item in sorted(response.data, key=lambda item: item["index"])]
    check(f"{provider}, embeddings", len(vectors) == 3 and vectors[0] == vectors[2] != vectors[1], len(vectors[0]))
    check(f"{provider}, unit length", all(abs(math.hypot(*vector) - 1) < 1e-3 for vector in vectors), math.hypot(*vectors[0]))


def rerank(provider, base):
    call = {"model": f"{provider}/rerank-v3.5", "api_base": base, "api_key": KEY, "query": "How long is a VPN session?", "documents": TEXTS}
    results = litellm.rerank(return_documents=True, **call).results
    scores = [result["relevance_score"] for result in results]
    check(f"{provider}, rerank", results[0]["index"] == 1 and scores == sorted(scores, reverse=True) and len(results) == 3, scores)
    check(f"{provider}, texts given back", all(result["document"]["text"] == TEXTS[result["index"]] for result in results), len(results))
    check(f"{provider}, top_n", len(litellm.rerank(top_n=2, **call).results) == 2, 2)


def vector_store():
    store = {"vector_store_id": "quoin", "custom_llm_provider": "openai", "api_base": f"{URL}/v1", "api_key": KEY}
    found = litellm.vector_stores.search(query=QUESTION, max_num_results=3, **store)["data"]
    verbatim_hits = all(hit["content"][0]["text"] in text_of(hit["file_id"]) for hit in found)
    check("vector store", len(found) == 3 and verbatim_hits, [hit["file_id"] for hit in found])


def errors():
    cases = [(litellm.NotFoundError, "no-such-model", MESSAGES), (litellm.BadRequestError, "quoin", [{"role": "user", "content": ""}])]
    for kind, model, messages in cases:
        try:
            litellm.completion(messages=messages, **target("openai", model))
        except kind as error:
            check(f"error, {kind.__name__}", "quoin" in str(error) or "messages" in str(error), str(error)[:120])
        else:
            sys.exit(f"FAIL error, {kind.__name__}: nothing was raised")


async def asynchronous(expected):
    answers = await asyncio.gather(*(litellm.acompletion(messages=MESSAGES, **target("openai")) for _ in range(8)))
    check("8 at once answer alike", {answer.choices[0].message.content for answer in answers} == {expected}, len(answers))


if __name__ == "__main__":
    for provider in CHAT:
        streamed(provider, chat(provider))
        structured(provider)
        embeddings(provider)
    for provider, base in (("cohere", URL), ("jina_ai", URL), ("hosted_vllm", f"{URL}/v1"), ("litellm_proxy", URL)):
        rerank(provider, base)
    vector_store()
    errors()
    asyncio.run(asynchronous(chat("openai")))
    print(f"ok: {checks} checks")
