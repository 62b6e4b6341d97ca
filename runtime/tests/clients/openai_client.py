"""Drives a running server with OpenAI's own Python client, as an application would.

    python3 -m venv .venv && .venv/bin/pip install -r runtime/tests/clients/requirements.txt
    target/release/quoin serve &
    .venv/bin/python runtime/tests/clients/openai_client.py

The server needs the sample documents and no keys, or a key with the scopes `answer` and `search` in QUOIN_API_KEY.
Each check prints one line; the first that fails ends the run with its traceback and exit code 1.
"""

import base64
import os
import struct
import sys

import openai
from pydantic import BaseModel

BASE_URL = os.environ.get("QUOIN_URL", "http://127.0.0.1:8080") + "/v1"
QUESTION = os.environ.get("QUOIN_QUESTION", "How many days of annual leave do employees have?")
ABSTENTION = "The documents do not answer this question."

client = openai.OpenAI(base_url=BASE_URL, api_key=os.environ.get("QUOIN_API_KEY", "none"), max_retries=2, timeout=120)
messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]


class Finding(BaseModel):
    """What is asked for as JSON."""

    answer: str


def check(name, condition, seen):
    """Prints a line, or ends the run."""
    if not condition:
        sys.exit(f"FAIL {name}: {seen!r}")
    print(f"ok   {name}: {seen!r}")


def chat_plain():
    completion = client.chat.completions.create(model="quoin", messages=messages)
    message = completion.choices[0].message
    check("chat, plain", completion.choices[0].finish_reason == "stop" and message.content, message.content)
    check("chat, usage", completion.usage.total_tokens >= 0, completion.usage.total_tokens)
    if message.content != ABSTENTION:
        citation = message.annotations[0].url_citation
        check("chat, citation", citation.title and citation.quote, (citation.title, citation.url, citation.quote))
    return message.content


def chat_streamed(expected):
    stream = client.chat.completions.create(
        model="quoin", messages=messages, stream=True, stream_options={"include_usage": True}
    )
    text, usage, annotations = "", None, 0
    for chunk in stream:
        if chunk.usage:
            usage = chunk.usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            annotations += len((choice.delta.model_extra or {}).get("annotations") or [])
    check("chat, streamed", text == expected, text)
    check("chat, streamed usage", usage is not None, usage and usage.total_tokens)
    check("chat, streamed annotations", annotations > 0 or text == ABSTENTION, annotations)


def chat_parsed():
    completion = client.chat.completions.parse(model="quoin", messages=messages, response_format=Finding)
    message = completion.choices[0].message
    check("chat, parsed", isinstance(message.parsed, Finding) or message.refusal == ABSTENTION, message.parsed or message.refusal)


def chat_streamed_and_parsed():
    with client.chat.completions.stream(model="quoin", messages=messages, response_format=Finding) as stream:
        for _event in stream:
            pass
        message = stream.get_final_completion().choices[0].message
    check("chat, streamed and parsed", isinstance(message.parsed, Finding) or message.refusal == ABSTENTION, message.parsed or message.refusal)


def chat_abstains():
    completion = client.chat.completions.create(
        model="quoin", messages=[{"role": "user", "content": "Qwzx vbnm plokij uhygtf?"}]
    )
    check("chat, nonsense", completion.choices[0].message.content is not None, completion.choices[0].message.content)


def responses_plain_and_streamed():
    response = client.responses.create(model="quoin", input=QUESTION, instructions="Be brief.")
    check("responses, plain", response.status == "completed" and response.output_text, response.output_text)
    kinds, text = [], ""
    for event in client.responses.create(model="quoin", input=QUESTION, stream=True):
        kinds.append(event.type)
        if event.type == "response.output_text.delta":
            text += event.delta
    check("responses, streamed", text == response.output_text, text)
    check("responses, events", kinds[0] == "response.created" and kinds[-1] == "response.completed", sorted(set(kinds)))


def responses_parsed():
    response = client.responses.parse(model="quoin", input=QUESTION, text_format=Finding)
    content = response.output[0].content[0]
    check("responses, parsed", isinstance(response.output_parsed, Finding) or content.type == "refusal", response.output_parsed or content)
    with client.responses.stream(model="quoin", input=QUESTION, text_format=Finding) as stream:
        for _event in stream:
            pass
        final = stream.get_final_response()
    check("responses, streamed and parsed", final.status == "completed", final.output_parsed or final.output[0].content[0])


def embeddings():
    packed = client.embeddings.create(model="quoin", input=["annual leave", "holiday"])
    check("embeddings, base64 under the hood", len(packed.data) == 2 and isinstance(packed.data[0].embedding[0], float), len(packed.data[0].embedding))
    floats = client.embeddings.create(model="quoin", input="annual leave", encoding_format="float")
    near = all(abs(a - b) < 1e-5 for a, b in zip(packed.data[0].embedding, floats.data[0].embedding))
    check("embeddings, as numbers", near, floats.model)
    raw = client.embeddings.with_raw_response.create(model="quoin", input="annual leave", encoding_format="base64").http_response.json()
    data = base64.b64decode(raw["data"][0]["embedding"])
    values = struct.unpack(f"<{len(data) // 4}f", data)
    check("embeddings, base64", abs(values[0] - floats.data[0].embedding[0]) < 1e-5, len(data))


def models_and_vector_store():
    models = [model.id for model in client.models.list()]
    check("models", "quoin" in models and "base" in models, models)
    check("model", client.models.retrieve("quoin").id == "quoin", "quoin")
    page = client.vector_stores.search("quoin", query=QUESTION, max_num_results=3)
    check("vector store", 0 < len(page.data) <= 3 and page.data[0].content[0].text, [hit.file_id for hit in page.data])


def errors():
    cases = [
        (openai.NotFoundError, lambda: client.chat.completions.create(model="gpt-none", messages=messages)),
        (openai.BadRequestError, lambda: client.chat.completions.create(model="quoin", messages=[])),
        (openai.UnprocessableEntityError, lambda: client.chat.completions.create(
            model="quoin", messages=messages,
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {
                "type": "object", "properties": {"a": {"$ref": "https://example.com/x.json"}}, "required": ["a"]}}},
        )),
    ]
    for kind, call in cases:
        try:
            call()
        except kind as error:
            check(f"error, {kind.__name__}", error.request_id and error.code, (error.code, error.param, error.message[:120]))
        else:
            sys.exit(f"FAIL error, {kind.__name__}: nothing was raised")


if __name__ == "__main__":
    chat_streamed(chat_plain())
    chat_parsed()
    chat_streamed_and_parsed()
    chat_abstains()
    responses_plain_and_streamed()
    responses_parsed()
    embeddings()
    models_and_vector_store()
    errors()
    print(f"all passed with openai {openai.__version__}")
