"""Drives chat, streams, structured output and embeddings through LangChain's OpenAI package, by chat completions and by responses.

Run: `quoin serve &`, then `python langchain_client.py`, with requirements.txt installed. QUOIN_URL and QUOIN_API_KEY name another server.
"""

import asyncio
import enum
import json
import os
import sys
import urllib.parse
import urllib.request
from typing import Literal, Optional, Union

import openai
import tiktoken
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field

URL = os.environ.get("QUOIN_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("QUOIN_API_KEY", "none")
QUESTION = os.environ.get("QUOIN_QUESTION", "How long does a VPN session last?")
NONSENSE = "Qwzx vbnm plokij uhygtf?"
TALK = [SystemMessage("Be brief."), HumanMessage("Hello"), AIMessage("Hello."), HumanMessage(QUESTION)]
SERVER = {"base_url": f"{URL}/v1", "api_key": KEY, "timeout": 120}

chat = ChatOpenAI(model="quoin", stream_usage=True, **SERVER)
responses = ChatOpenAI(model="quoin", use_responses_api=True, **SERVER)
checks = 0


class Unit(enum.Enum):
    MINUTES = "minutes"
    HOURS = "hours"


class Limit(BaseModel):
    kind: Literal["limit"]
    amount: int = Field(ge=1, le=9999)
    unit: Unit


class Unlimited(BaseModel):
    kind: Literal["unlimited"]


class Step(BaseModel):
    number: int = Field(ge=1, le=9)
    then: Optional["Step"]


class Finding(BaseModel):
    """A union told apart by a field, an optional field, nested lists, and a type that holds itself."""

    duration: Union[Limit, Unlimited] = Field(discriminator="kind")
    certain: bool
    note: Optional[Literal["draft", "final"]]
    places: list[list[Unit]] = Field(max_length=2)
    first: Step


class Answer(BaseModel):
    answer: str


def check(name, condition, seen):
    """Counts and prints a check, or ends the run."""
    global checks
    if not condition:
        sys.exit(f"FAIL {name}: {seen!r}")
    checks += 1
    print(f"ok   {name}: {seen!r}")


def text_of(document):
    path = f"{URL}/v1/documents/{urllib.parse.quote(document, safe='')}/text"
    request = urllib.request.Request(path, headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["text"]


def refused(name, call, words):
    try:
        seen = call()
    except openai.BadRequestError as error:
        check(name, words in str(error), str(error)[:160])
    else:
        sys.exit(f"FAIL {name}: nothing was raised, but {seen!r} came")


def spoken(name, model):
    whole = model.invoke(TALK)
    check(f"{name}, invoke", whole.text and whole.usage_metadata["total_tokens"] > 0, whole.text)
    total = None
    for chunk in model.stream(TALK):
        total = chunk if total is None else total + chunk
    check(f"{name}, stream", total.text == whole.text and total.usage_metadata == whole.usage_metadata, total.text)
    alike = asyncio.run(model.abatch([TALK] * 6))
    check(f"{name}, 6 at once answer alike", {one.text for one in alike} == {whole.text}, len(alike))
    return whole, total


def cited(name, message):
    """LangChain keeps the citations of responses, and drops those of chat completions."""
    found = [annotation for part in message.content for annotation in part.get("annotations", [])]
    check(f"{name}, is cited", len(found) > 0, len(found))
    for quoted in found:
        check(f"{name}, quote in the document", text_of(quoted["document"])[quoted["start"] : quoted["end"]] == quoted["quote"], quoted["quote"])
        place = message.text[quoted["start_index"] : quoted["end_index"]]
        check(f"{name}, place in the message", place and place in (quoted["quote"], message.text), place)


def structured(name, model):
    for schema, strict in ((Finding, None), (Finding, True), (Finding.model_json_schema(), None)):
        found = model.with_structured_output(schema, method="json_schema", strict=strict).invoke(QUESTION)
        check(f"{name}, {type(found).__name__}, strict={strict}", Finding.model_validate(found), found)
    raw = model.with_structured_output(Finding, include_raw=True).invoke(QUESTION)
    check(f"{name}, raw beside parsed", raw["parsing_error"] is None and Finding.model_validate_json(raw["raw"].text), raw["parsed"])
    parts = list(model.with_structured_output(Finding).stream(QUESTION))
    check(f"{name}, streamed", isinstance(parts[-1], Finding), parts[-1])
    plain = model.with_structured_output(Answer, method="json_mode").invoke(QUESTION)
    check(f"{name}, json_mode", isinstance(plain, Answer), plain)


def embeddings():
    as_text = OpenAIEmbeddings(model="quoin", check_embedding_ctx_length=False, **SERVER)
    vectors = as_text.embed_documents(["annual leave", "holiday", "annual leave"])
    alike = vectors[0] == vectors[2] == as_text.embed_query("annual leave")
    check("embeddings", alike and vectors[0] != vectors[1], len(vectors[0]))
    # LangChain's default sends token ids of a tokenizer that it downloads; one of single bytes stands in for it.
    ranks = {bytes([byte]): byte for byte in range(256)}
    tiktoken.get_encoding = lambda _name: tiktoken.Encoding("bytes", pat_str=r"[\s\S]", mergeable_ranks=ranks, special_tokens={})
    as_tokens = OpenAIEmbeddings(model="quoin", **SERVER)
    refused("embeddings, token ids", lambda: as_tokens.embed_query("leave"), "is a token id: send text")


if __name__ == "__main__":
    for name, model in (("chat", chat), ("responses", responses)):
        messages = spoken(name, model)
        structured(name, model)
    for message in messages:
        cited("responses", message)
    abstained = chat.with_structured_output(Finding, include_raw=True).invoke(NONSENSE)
    check("no JSON without an answer", abstained["parsed"] is None and "refusal" in abstained["raw"].additional_kwargs, abstained["parsing_error"])
    # LangChain loses what is recursive on this way.
    by_tool = chat.with_structured_output(Answer, method="function_calling").invoke(QUESTION)
    check("a forced function", isinstance(by_tool, Answer), by_tool)
    embeddings()
    print(f"ok: {checks} checks")
