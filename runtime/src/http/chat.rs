//! `POST /v1/chat/completions`: the last message of the user is the question, what came before is history.
//!
//! Fields that this API knows and we do not are ignored, as clients expect; what would change the meaning of the answer
//! (several choices, a choice among tools, images) is refused by name.

use axum::Json as JsonResponse;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::answering::Asked;
use super::body::Json;
use super::chat_stream::ChatEvents;
use super::chat_tools::{self, ForcedTool};
use super::error::{ApiError, ErrorBody};
use super::identity::{Answering, Authorized};
use super::message::{self, ABSTENTION};
use super::request_id::RequestId;
use super::{Http, documents, headers, stream};
use crate::answer::types::{Answer, AnswerRequest, Citation, Status, UsageInfo};
use crate::config::Config;
use crate::storage::now_ms;

const ENDPOINT: &str = "/v1/chat/completions";

/// The body of a chat completion, as far as it is looked at.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct ChatRequest {
    /// `quoin` (routed), `NAME@VERSION` (pinned) or `base`.
    #[serde(default)]
    pub(super) model: Option<String>,
    /// System, developer, user and assistant messages; content is text or a list of text parts.
    #[schema(value_type = Vec<Object>)]
    messages: Vec<Value>,
    /// Server-sent events.
    #[serde(default)]
    stream: Option<bool>,
    /// `include_usage`.
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    /// 0 to 2; greedy when left out.
    #[serde(default)]
    temperature: Option<f64>,
    /// Most generated tokens, the older name.
    #[serde(default)]
    max_tokens: Option<usize>,
    /// Most generated tokens.
    #[serde(default)]
    max_completion_tokens: Option<usize>,
    /// Seed of the sampler.
    #[serde(default)]
    seed: Option<i64>,
    /// Number of choices: 1.
    #[serde(default)]
    n: Option<u64>,
    /// `text`, `json_object` or `json_schema`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    response_format: Option<Value>,
    /// Functions; one that `tool_choice` forces gets the answer as its arguments.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    tools: Option<Value>,
    /// `none` or `auto`: nothing is called. One function by name, or `required` where there is one: it is called.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    tool_choice: Option<Value>,
}

/// What a stream holds besides.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct StreamOptions {
    /// A last chunk with the usage.
    #[serde(default)]
    include_usage: Option<bool>,
}

/// How the answer is put into the message.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// Whether it is JSON under a schema of the caller's.
    pub(super) structured: bool,
    /// The function whose arguments it is.
    pub(super) tool: Option<ForcedTool>,
}

/// A chat completion.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChatCompletion {
    /// `chatcmpl-…`; the part after it is the answer's id, to give feedback on.
    id: String,
    /// `chat.completion`.
    object: &'static str,
    /// Seconds since 1970.
    created: i64,
    /// The model that was asked.
    model: String,
    /// One choice.
    #[schema(value_type = Vec<Object>)]
    choices: [Value; 1],
    /// Tokens.
    #[schema(value_type = Object)]
    usage: Value,
    /// Changes with the release.
    system_fingerprint: String,
    /// The answer as `POST /v1/answers` gives it, without its text.
    #[schema(value_type = Object)]
    quoin: Value,
}

/// Answers a conversation as OpenAI's API does.
#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "openai", request_body = ChatRequest,
    responses(
        (status = 200, description = "The completion; with `stream`, chunks and `[DONE]`.", body = ChatCompletion),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(http): State<Http>,
    caller: Authorized<Answering>,
    request_id: RequestId,
    Json(chat): Json<ChatRequest>,
) -> Result<Response, ApiError> {
    let model = chat.model.clone().unwrap_or_else(|| "quoin".to_owned());
    let streamed = chat.stream.unwrap_or(false);
    let with_usage = chat
        .stream_options
        .as_ref()
        .and_then(|options| options.include_usage)
        .unwrap_or(false);
    let tool = chat_tools::forced(chat.tool_choice.as_ref(), chat.tools.as_ref())?;
    let request = chat.into_request(tool.as_ref(), http.quoin.config())?;
    let form = Form {
        structured: request.schema.is_some(),
        tool,
    };
    let (asked, answer_id) = Asked::new(http, caller.clone(), request_id, ENDPOINT, request);
    if streamed {
        let events = ChatEvents::new(completion_id(&answer_id), model, form, with_usage);
        return stream::respond(asked.start(), events)
            .await
            .map_err(in_chat_terms);
    }
    let answer = asked.answer().await.map_err(in_chat_terms)?;
    let mut response = JsonResponse(completion(&answer, model, &form)).into_response();
    headers::name_release(&mut response, &answer.release);
    Ok(response)
}

impl ChatRequest {
    fn into_request(
        self,
        tool: Option<&ForcedTool>,
        config: &Config,
    ) -> Result<AnswerRequest, ApiError> {
        if let Some(n) = self.n.filter(|n| *n != 1) {
            return Err(ApiError::unsupported(
                "n",
                format!("`n` must be 1, got {n}: there is one answer"),
            ));
        }
        let limit = config.server.max_question_bytes;
        let conversation = message::conversation("messages", &self.messages, limit)?;
        message::check_question("messages", &conversation.question, limit)?;
        let format = self.response_format.filter(|format| !format.is_null());
        let schema = match (tool, format) {
            (None, None) => None,
            (None, Some(format)) => response_schema(format)?,
            (Some(tool), None) => Some(tool.parameters.clone()),
            (Some(_), Some(_)) => {
                return Err(ApiError::unsupported(
                    "response_format",
                    "`response_format` and a forced function cannot both say what the answer is",
                ));
            }
        };
        let max_tokens = self
            .max_completion_tokens
            .map(|tokens| ("max_completion_tokens", tokens))
            .or_else(|| self.max_tokens.map(|tokens| ("max_tokens", tokens)));
        Ok(AnswerRequest {
            question: conversation.question,
            history: conversation.history,
            instructions: conversation.instructions,
            schema,
            model: self.model,
            max_tokens: at_least_one(max_tokens, config)?,
            temperature: self.temperature,
            seed: self.seed.map(i64::cast_unsigned),
            ..AnswerRequest::default()
        })
    }
}

/// Clients ask for round numbers that suit other models: more than this one has is as much as it has.
pub(super) fn at_least_one(
    wanted: Option<(&str, usize)>,
    config: &Config,
) -> Result<Option<usize>, ApiError> {
    match wanted {
        None => Ok(None),
        Some((param, 0)) => Err(ApiError::invalid(
            param,
            format!("`{param}` must be at least 1, got 0"),
        )),
        Some((_, tokens)) => Ok(Some(tokens.min(config.model.context_length / 2))),
    }
}

/// `tool_choice` may say that tools are not needed, not that one is.
pub(super) fn refuse_forced_tools(choice: Option<&Value>) -> Result<(), ApiError> {
    match choice {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(word)) if word == "none" || word == "auto" => Ok(()),
        Some(_) => Err(ApiError::unsupported(
            "tool_choice",
            "`tool_choice` must be none, auto or one function: nothing is chosen among several",
        )),
    }
}

/// The schema behind `json_object`, which says only that the answer is an object.
pub(super) fn any_object() -> Value {
    json!({"type": "object"})
}

/// The schema in `response_format`; none for text.
fn response_schema(mut format: Value) -> Result<Option<Value>, ApiError> {
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(any_object())),
        Some("json_schema") => {
            let schema = format
                .get_mut("json_schema")
                .and_then(|outer| outer.get_mut("schema"))
                .map(Value::take)
                .filter(|schema| schema.is_object() || schema.is_boolean());
            schema.map(Some).ok_or_else(|| {
                let param = "response_format.json_schema.schema";
                ApiError::invalid(param, format!("`{param}` must be a JSON Schema"))
            })
        }
        _ => Err(ApiError::invalid(
            "response_format.type",
            "`response_format.type` must be text, json_object or json_schema",
        )),
    }
}

/// Errors of the answer, with the names that this API has for the fields.
pub(super) fn in_chat_terms(error: ApiError) -> ApiError {
    error.renamed(&[
        ("question", "messages"),
        ("history", "messages"),
        ("instructions", "messages"),
        ("schema", "response_format.json_schema.schema"),
    ])
}

fn completion(answer: &Answer, model: String, form: &Form) -> ChatCompletion {
    let text = text(answer, form.structured);
    let refused = form.structured && answer.status == Status::Abstained;
    let tool = form.tool.as_ref().filter(|_| !refused);
    let id = completion_id(&answer.id);
    let mut message = json!({
        "role": "assistant",
        "content": if refused || tool.is_some() { Value::Null } else { Value::from(text.as_str()) },
        "refusal": if refused { Value::from(ABSTENTION) } else { Value::Null },
        "annotations": annotations(answer, &text),
    });
    if let Some(tool) = tool {
        message["tool_calls"] = json!([tool.call(&id, &text)]);
    }
    ChatCompletion {
        id,
        object: "chat.completion",
        created: now_ms() / 1000,
        model,
        choices: [json!({
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": tool.map_or("stop", |tool| tool.finish_reason),
        })],
        usage: usage(answer.usage),
        system_fingerprint: fingerprint(answer),
        quoin: beside(answer),
    }
}

/// The part after the prefix is the answer's id.
fn completion_id(answer_id: &str) -> String {
    format!("chatcmpl-{answer_id}")
}

/// What the message says: the answer's text, its JSON, or that there is none.
pub(super) fn text(answer: &Answer, structured: bool) -> String {
    match (&answer.answer, answer.status) {
        (_, Status::Abstained) => ABSTENTION.to_owned(),
        (Value::String(text), _) if !structured => text.clone(),
        (value, _) => value.to_string(),
    }
}

/// Citations as nested `url_citation` objects, with our own fields beside.
pub(super) fn annotations(answer: &Answer, text: &str) -> Vec<Value> {
    answer
        .citations
        .iter()
        .map(|citation| json!({"type": "url_citation", "url_citation": url_citation(citation, text)}))
        .collect()
}

/// One citation. `start_index` and `end_index` count code points of the message: of the quote where the message holds it,
/// else of the whole message, which it supports.
pub(super) fn url_citation(citation: &Citation, text: &str) -> Value {
    let (start, end) = match text
        .find(&citation.quote)
        .filter(|_| !citation.quote.is_empty())
    {
        Some(at) => {
            let start = text[..at].chars().count();
            (start, start + citation.quote.chars().count())
        }
        None => (0, text.chars().count()),
    };
    json!({
        "start_index": start,
        "end_index": end,
        "url": citation.uri.clone().unwrap_or_else(|| documents::path_of(&citation.document)),
        "title": citation.title.clone().unwrap_or_else(|| citation.document.clone()),
        "quote": citation.quote,
        "document": citation.document,
        "start": citation.start,
        "end": citation.end,
    })
}

pub(super) fn usage(usage: UsageInfo) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    })
}

/// Changes whenever anything that decides an answer does.
pub(super) fn fingerprint(answer: &Answer) -> String {
    let digest = answer.release.id.trim_start_matches("sha256:");
    format!("fp_{}", digest.get(..16).unwrap_or(digest))
}

/// The answer in our own terms, for clients that know them.
pub(super) fn beside(answer: &Answer) -> Value {
    json!({
        "id": answer.id,
        "status": answer.status,
        "citations": answer.citations,
        "confidence": answer.confidence,
        "release": answer.release,
        "timings_ms": answer.timings_ms,
    })
}
