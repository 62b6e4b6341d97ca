//! `POST /v1/responses`: the newer of OpenAI's two ways to ask. Nothing is kept between requests, so
//! `previous_response_id` is refused by name.

use axum::Json as JsonResponse;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::answering::Asked;
use super::body::Json;
use super::error::{ApiError, ErrorBody};
use super::identity::{Answering, Authorized};
use super::message::{self, ABSTENTION};
use super::request_id::RequestId;
use super::responses_stream::ResponseEvents;
use super::{Http, chat, headers, stream};
use crate::answer::types::{Answer, AnswerRequest, Status};
use crate::config::Config;
use crate::storage::now_ms;

const ENDPOINT: &str = "/v1/responses";

/// The body of a response request, as far as it is looked at.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct ResponsesRequest {
    /// `quoin` (routed), `NAME@VERSION` (pinned) or `base`.
    #[serde(default)]
    model: Option<String>,
    /// A question, or a list of messages.
    #[schema(value_type = Object)]
    input: Value,
    /// A system message.
    #[serde(default)]
    instructions: Option<String>,
    /// Server-sent events.
    #[serde(default)]
    stream: Option<bool>,
    /// `format`: `text`, `json_object` or `json_schema`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    text: Option<Value>,
    /// Most generated tokens.
    #[serde(default)]
    max_output_tokens: Option<usize>,
    /// 0 to 2; greedy when left out.
    #[serde(default)]
    temperature: Option<f64>,
    /// Not served.
    #[serde(default)]
    previous_response_id: Option<String>,
    /// Not served.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    conversation: Option<Value>,
    /// Not served.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    prompt: Option<Value>,
    /// Not served.
    #[serde(default)]
    background: Option<bool>,
    /// `none` or `auto`: tools are never called.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    tool_choice: Option<Value>,
    /// Given back as it came.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// What of the request is repeated in the response.
#[derive(Clone, Debug)]
pub(super) struct Echo {
    model: String,
    instructions: Option<String>,
    format: Value,
    max_output_tokens: Option<usize>,
    temperature: Option<f64>,
    metadata: Value,
    created_at: i64,
    pub(super) structured: bool,
}

/// Answers as OpenAI's responses API does.
#[utoipa::path(
    post, path = "/v1/responses", tag = "openai", request_body = ResponsesRequest,
    responses(
        (status = 200, description = "The response; with `stream`, its events.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(http): State<Http>,
    caller: Authorized<Answering>,
    request_id: RequestId,
    Json(request): Json<ResponsesRequest>,
) -> Result<Response, ApiError> {
    let streamed = request.stream.unwrap_or(false);
    let (request, echo) = request.into_request(http.quoin.config())?;
    let (asked, answer_id) = Asked::new(http, caller.clone(), request_id, ENDPOINT, request);
    if streamed {
        let events = ResponseEvents::new(response_id(&answer_id), echo);
        return stream::respond(asked.start(), events)
            .await
            .map_err(in_response_terms);
    }
    let answer = asked.answer().await.map_err(in_response_terms)?;
    let body = echo.completed(&response_id(&answer.id), &answer);
    let mut response = JsonResponse(body).into_response();
    headers::name_release(&mut response, &answer.release);
    Ok(response)
}

impl ResponsesRequest {
    fn into_request(self, config: &Config) -> Result<(AnswerRequest, Echo), ApiError> {
        let kept_elsewhere = [
            ("previous_response_id", self.previous_response_id.is_some()),
            ("conversation", self.conversation.is_some()),
            ("prompt", self.prompt.is_some()),
        ];
        if let Some((param, _)) = kept_elsewhere.iter().find(|(_, given)| *given) {
            return Err(ApiError::unsupported(
                *param,
                format!(
                    "`{param}` is not served: nothing is kept, send the conversation in `input`"
                ),
            ));
        }
        if self.background == Some(true) {
            return Err(ApiError::unsupported(
                "background",
                "`background` is not served",
            ));
        }
        chat::refuse_forced_tools(self.tool_choice.as_ref())?;
        let limit = config.server.max_question_bytes;
        let messages = messages(self.input, self.instructions.as_deref())?;
        let conversation = message::conversation("input", &messages, limit)?;
        message::check_question("input", &conversation.question, limit)?;
        let format = self
            .text
            .and_then(|mut text| text.get_mut("format").map(Value::take))
            .filter(|format| !format.is_null())
            .unwrap_or_else(|| json!({"type": "text"}));
        let schema = format_schema(&format)?;
        let max_tokens = self
            .max_output_tokens
            .map(|tokens| ("max_output_tokens", tokens));
        let echo = Echo {
            model: self.model.clone().unwrap_or_else(|| "quoin".to_owned()),
            instructions: self.instructions,
            format,
            max_output_tokens: self.max_output_tokens,
            temperature: self.temperature,
            metadata: self.metadata.unwrap_or_else(|| json!({})),
            created_at: now_ms() / 1000,
            structured: schema.is_some(),
        };
        let request = AnswerRequest {
            question: conversation.question,
            history: conversation.history,
            instructions: conversation.instructions,
            schema,
            model: self.model,
            max_tokens: chat::at_least_one(max_tokens, config)?,
            temperature: self.temperature,
            ..AnswerRequest::default()
        };
        Ok((request, echo))
    }
}

/// The input as messages: a string is a message of the user, and items of other types than messages are refused.
fn messages(input: Value, instructions: Option<&str>) -> Result<Vec<Value>, ApiError> {
    let mut items = match input {
        Value::String(text) => vec![json!({"role": "user", "content": text})],
        Value::Array(items) => items,
        _ => {
            return Err(ApiError::invalid(
                "input",
                "`input` must be a string or a list of messages",
            ));
        }
    };
    for (index, item) in items.iter().enumerate() {
        let kind = item
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or("message");
        if kind != "message" {
            let at = format!("input[{index}]");
            let kind: String = kind.chars().take(40).collect();
            let message = format!("`{at}` has the type `{kind}`: only messages are served");
            return Err(ApiError::unsupported(at, message));
        }
    }
    if let Some(instructions) = instructions {
        items.push(json!({"role": "system", "content": instructions}));
    }
    Ok(items)
}

/// The schema in `text.format`; none for text.
fn format_schema(format: &Value) -> Result<Option<Value>, ApiError> {
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(chat::any_object())),
        Some("json_schema") => format
            .get("schema")
            .filter(|schema| schema.is_object() || schema.is_boolean())
            .cloned()
            .map(Some)
            .ok_or_else(|| {
                ApiError::invalid(
                    "text.format.schema",
                    "`text.format.schema` must be a JSON Schema",
                )
            }),
        _ => Err(ApiError::invalid(
            "text.format.type",
            "`text.format.type` must be text, json_object or json_schema",
        )),
    }
}

fn in_response_terms(error: ApiError) -> ApiError {
    error.renamed(&[
        ("question", "input"),
        ("history", "input"),
        ("instructions", "input"),
        ("schema", "text.format.schema"),
        ("max_tokens", "max_output_tokens"),
    ])
}

impl Echo {
    /// A response that is not complete yet, or failed.
    pub(super) fn unfinished(&self, id: &str, status: &str, error: &Value) -> Value {
        self.response(id, status, error, &json!([]), &Value::Null)
    }

    /// The complete response.
    pub(super) fn completed(&self, id: &str, answer: &Answer) -> Value {
        let usage = json!({
            "input_tokens": answer.usage.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": answer.usage.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": answer.usage.prompt_tokens + answer.usage.completion_tokens,
        });
        let item = message_item(
            &item_id(id),
            "completed",
            &[content_part(answer, self.structured)],
        );
        let mut response = self.response(id, "completed", &Value::Null, &json!([item]), &usage);
        response["quoin"] = chat::beside(answer);
        response
    }

    fn response(
        &self,
        id: &str,
        status: &str,
        error: &Value,
        output: &Value,
        usage: &Value,
    ) -> Value {
        json!({
            "id": id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "error": error,
            "incomplete_details": null,
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "model": self.model,
            "output": output,
            "parallel_tool_calls": false,
            "previous_response_id": null,
            "store": false,
            "temperature": self.temperature.unwrap_or(0.0),
            "text": {"format": self.format},
            "tool_choice": "none",
            "tools": [],
            "top_p": 1.0,
            "truncation": "auto",
            "usage": usage,
            "metadata": self.metadata,
        })
    }
}

fn response_id(answer_id: &str) -> String {
    format!("resp_{answer_id}")
}

/// The id of the one message of a response.
pub(super) fn item_id(response_id: &str) -> String {
    format!("msg_{}", response_id.trim_start_matches("resp_"))
}

/// The one message of a response.
pub(super) fn message_item(id: &str, status: &str, content: &[Value]) -> Value {
    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content})
}

/// The text with its citations, or the refusal where JSON was asked for and there is none.
pub(super) fn content_part(answer: &Answer, structured: bool) -> Value {
    if structured && answer.status == Status::Abstained {
        return json!({"type": "refusal", "refusal": ABSTENTION});
    }
    let text = chat::text(answer, structured);
    json!({"type": "output_text", "text": text, "annotations": annotations(answer, &text), "logprobs": []})
}

/// Citations as flat `url_citation` objects: this API does not nest them.
pub(super) fn annotations(answer: &Answer, text: &str) -> Vec<Value> {
    answer
        .citations
        .iter()
        .map(|citation| {
            let mut annotation = chat::url_citation(citation, text);
            annotation["type"] = Value::from("url_citation");
            annotation
        })
        .collect()
}
