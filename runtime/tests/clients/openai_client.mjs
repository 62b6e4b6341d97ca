// Drives chat, streams, `.parse()` with zod, responses, embeddings, models and vector stores with OpenAI's own JavaScript client.
//
// Run: `npm install --no-save openai zod` here, `quoin serve &`, `node openai_client.mjs`. QUOIN_URL and QUOIN_API_KEY name another server.

import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const url = process.env.QUOIN_URL ?? "http://127.0.0.1:8080";
const apiKey = process.env.QUOIN_API_KEY ?? "none";
const question = process.env.QUOIN_QUESTION ?? "How long does a VPN session last?";
const nonsense = [{ role: "user", content: "Qwzx vbnm plokij uhygtf?" }];
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 2, timeout: 120_000 });
const request = { model: "quoin", messages: [{ role: "developer", content: "Be brief." }, { role: "user", content: question }] };

const Finding = z.object({
  duration: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("limit"), amount: z.number().int().min(1).max(9999), unit: z.enum(["minutes", "hours"]) }),
    z.object({ kind: z.literal("unlimited") }),
  ]),
  certain: z.boolean(),
  note: z.enum(["draft", "final"]).nullable(),
  places: z.array(z.array(z.enum(["office", "home"])).max(2)).max(2),
});
let checks = 0;

function check(name, condition, seen) {
  if (!condition) {
    throw new Error(`FAIL ${name}: ${JSON.stringify(seen)}`);
  }
  checks += 1;
  console.log(`ok   ${name}: ${JSON.stringify(seen)}`);
}

async function textOf(document) {
  const response = await fetch(`${url}/v1/documents/${encodeURIComponent(document)}/text`, { headers: { authorization: `Bearer ${apiKey}` } });
  check("document, text", response.ok, response.status);
  return (await response.json()).text;
}

// Positions count code points, and JavaScript's strings do not.
const slice = (text, start, end) => [...text].slice(start, end).join("");

async function verbatim(name, content, citations) {
  check(`${name}, is cited`, citations.length > 0, citations.length);
  for (const quoted of citations) {
    const source = await textOf(quoted.document);
    check(`${name}, quote in the document`, slice(source, quoted.start, quoted.end) === quoted.quote, quoted.quote);
    const place = slice(content, quoted.start_index, quoted.end_index);
    check(`${name}, place in the message`, place && [quoted.quote, content].includes(place), place);
  }
}

const nested = (annotations) => (annotations ?? []).map((annotation) => annotation.url_citation);

async function chat() {
  const completion = await client.chat.completions.create(request);
  const { message, finish_reason } = completion.choices[0];
  check("chat", message.content && finish_reason === "stop", message.content);
  check("chat, usage", completion.usage.total_tokens > completion.usage.completion_tokens, completion.usage);
  await verbatim("chat", message.content, nested(message.annotations));

  const stream = await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } });
  let text = "";
  let usage = null;
  const annotations = [];
  for await (const chunk of stream) {
    usage = chunk.usage ?? usage;
    text += chunk.choices[0]?.delta.content ?? "";
    annotations.push(...(chunk.choices[0]?.delta.annotations ?? []));
  }
  check("chat, streamed", text === message.content, text);
  check("chat, streamed usage", usage?.total_tokens === completion.usage.total_tokens, usage);
  await verbatim("chat, streamed", text, nested(annotations));
}

async function parsed() {
  const format = { response_format: zodResponseFormat(Finding, "finding") };
  const { message } = (await client.chat.completions.parse({ ...request, ...format })).choices[0];
  check("chat, parsed", Finding.safeParse(message.parsed).success, message.parsed);
  await verbatim("chat, parsed", message.content, nested(message.annotations));
  const streamed = await client.chat.completions.stream({ ...request, ...format }).finalChatCompletion();
  check("chat, streamed and parsed", Finding.safeParse(streamed.choices[0].message.parsed).success, streamed.choices[0].message.parsed);
  const none = (await client.chat.completions.parse({ ...request, ...format, messages: nonsense })).choices[0].message;
  check("chat, no JSON without an answer", none.parsed === null && none.content === null && none.refusal, none.refusal);
}

async function responses() {
  const asked = { model: "quoin", input: question, instructions: "Be brief." };
  const response = await client.responses.create(asked);
  check("responses", response.status === "completed" && response.output_text, response.output_text);
  await verbatim("responses", response.output_text, response.output[0].content[0].annotations);

  const kinds = [];
  const stream = client.responses.stream(asked);
  for await (const event of stream) {
    kinds.push(event.type);
  }
  const final = await stream.finalResponse();
  check("responses, streamed", final.output_text === response.output_text, final.output_text);
  check("responses, events", kinds[0] === "response.created" && kinds.at(-1) === "response.completed", kinds);
  await verbatim("responses, streamed", final.output_text, final.output[0].content[0].annotations);
  const structured = await client.responses.parse({ ...asked, text: { format: zodTextFormat(Finding, "finding") } });
  check("responses, parsed", Finding.safeParse(structured.output_parsed).success, structured.output_parsed);
}

async function embeddings() {
  const input = ["annual leave", "Grüße aus Çeşme 🎉"];
  const packed = await client.embeddings.create({ model: "quoin", input }); // in base64, which the client asks for unasked
  const floats = await client.embeddings.create({ model: "quoin", input, encoding_format: "float" });
  const length = Math.hypot(...floats.data[0].embedding);
  const near = packed.data.every(({ embedding }, at) => embedding.every((value, place) => Math.abs(value - floats.data[at].embedding[place]) < 1e-6));
  check("embeddings, base64 and numbers agree", packed.data.length === 2 && near, packed.data[0].embedding.length);
  check("embeddings, unit length", Math.abs(length - 1) < 1e-3, length);
}

async function catalogue() {
  const models = [];
  for await (const model of client.models.list()) {
    models.push(model.id);
  }
  check("models", models.includes("quoin") && models.includes("base"), models);
  check("model", (await client.models.retrieve("quoin")).id === "quoin", "quoin");
  const hits = (await client.vectorStores.search("quoin", { query: question, max_num_results: 3 })).data;
  check("vector store", hits.length === 3 && hits[0].score >= hits[2].score, hits.map((hit) => [hit.file_id, hit.score]));
  check("vector store, verbatim", (await textOf(hits[0].file_id)).includes(hits[0].content[0].text), hits[0].filename);
}

async function refused(kind, change, code) {
  const error = await client.chat.completions.create({ ...request, ...change }).catch((caught) => caught);
  check(`error, ${kind.name}`, error instanceof kind && error.code === code && error.requestID, [error.code, error.message]);
}

await chat();
await parsed();
await responses();
await embeddings();
await catalogue();
await refused(OpenAI.NotFoundError, { model: "gpt-none" }, "model_not_found");
await refused(OpenAI.BadRequestError, { messages: [] }, "invalid_value");
await refused(OpenAI.BadRequestError, { n: 2 }, "unsupported");
console.log(`ok: ${checks} checks`);
