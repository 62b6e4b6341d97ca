//! `POST /v1/feedback`: a rating of an answer that the caller was given.

use axum::Json as JsonResponse;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Http;
use super::body::Json;
use super::error::{ApiError, ErrorBody};
use super::identity::{Authorized, Rating};
use crate::caller::Scope;
use crate::storage::{FeedbackInput, rfc3339};

const MAX_METRIC_BYTES: usize = 64;
const MAX_COMMENT_BYTES: usize = 8 << 10;
const MAX_DEMONSTRATION_BYTES: usize = 64 << 10;

/// A rating.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedbackBody {
    /// `ans_…`, or the id of the chat completion or response that brought it.
    answer_id: String,
    /// What is rated, such as `helpful`.
    metric: String,
    /// A number or a truth value.
    #[schema(value_type = Object)]
    value: Value,
    /// In words.
    #[serde(default)]
    comment: Option<String>,
    /// What the answer should have been.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    demonstration: Option<Value>,
    /// Index of the citation that is meant.
    #[serde(default)]
    citation: Option<u32>,
}

/// What was stored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FeedbackStored {
    /// `fb_…`.
    id: String,
    /// The answer.
    answer_id: String,
    /// RFC 3339.
    created_at: String,
}

/// Rates an answer.
#[utoipa::path(
    post, path = "/v1/feedback", tag = "native", request_body = FeedbackBody,
    responses(
        (status = 201, description = "Stored.", body = FeedbackStored),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(http): State<Http>,
    caller: Authorized<Rating>,
    Json(body): Json<FeedbackBody>,
) -> Result<(StatusCode, JsonResponse<FeedbackStored>), ApiError> {
    let input = body.checked()?;
    let anyone = caller.may(Scope::Admin);
    let negative = is_negative(&input.value);
    let row = http
        .quoin
        .storage()
        .add_feedback(&caller.subject, anyone, input)
        .await?;
    if let Some(assigned) = &row.assigned {
        http.quoin.rollouts().judged(assigned, negative);
    }
    let stored = FeedbackStored {
        id: row.id,
        answer_id: row.answer_id,
        created_at: rfc3339(row.at_ms),
    };
    Ok((StatusCode::CREATED, JsonResponse(stored)))
}

/// Completions and responses have the answer's id behind a prefix.
fn bare(id: &str) -> &str {
    ["chatcmpl-", "resp_"]
        .iter()
        .find_map(|prefix| id.strip_prefix(prefix))
        .unwrap_or(id)
}

/// A thumb down: `false`, or a number that is not above 0.
fn is_negative(value: &Value) -> bool {
    match value {
        Value::Bool(good) => !good,
        other => other.as_f64().is_some_and(|number| number <= 0.0),
    }
}

impl FeedbackBody {
    fn checked(self) -> Result<FeedbackInput, ApiError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if !(1..=MAX_METRIC_BYTES).contains(&self.metric.len()) || !self.metric.chars().all(plain) {
            return Err(ApiError::invalid(
                "metric",
                format!(
                    "`metric` must be 1 to {MAX_METRIC_BYTES} letters, digits, `_`, `-` or `.`"
                ),
            ));
        }
        if !self.value.is_boolean() && !self.value.is_number() {
            return Err(ApiError::invalid(
                "value",
                "`value` must be a number, true or false",
            ));
        }
        let demonstration_bytes = self
            .demonstration
            .as_ref()
            .map_or(0, |value| value.to_string().len());
        for (param, got, limit) in [
            (
                "comment",
                self.comment.as_ref().map_or(0, String::len),
                MAX_COMMENT_BYTES,
            ),
            (
                "demonstration",
                demonstration_bytes,
                MAX_DEMONSTRATION_BYTES,
            ),
        ] {
            if got > limit {
                return Err(ApiError::invalid(
                    param,
                    format!("`{param}` must be at most {limit} bytes, got {got}"),
                ));
            }
        }
        Ok(FeedbackInput {
            answer_id: bare(&self.answer_id).to_owned(),
            metric: self.metric,
            value: self.value,
            comment: self.comment,
            demonstration: self.demonstration,
            citation: self.citation.map(Value::from),
        })
    }
}
