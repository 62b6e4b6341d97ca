//! `POST /retrieval`: Dify's external knowledge API.
//!
//! There is one catalogue: every `knowledge_id` names it.

use axum::Json as JsonResponse;
use axum::extract::State;
use quoin_retriever::{Filters, OneOrMany, SearchRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::body::Json;
use super::error::{ApiError, ErrorBody};
use super::identity::{Authorized, Searching};
use super::{Http, limits, search, vector_stores};

const DEFAULT_TOP_K: usize = 5;
const MAX_TOP_K: usize = 100;

/// The body of a retrieval request.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct RetrievalRequest {
    /// What to look for.
    query: String,
    /// How much, and how good.
    #[serde(default)]
    retrieval_setting: Option<RetrievalSetting>,
    /// What the metadata of a record must be: `{logical_operator, conditions: [{name, comparison_operator, value}]}` with `is`,
    /// `=` or `in`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata_condition: Option<MetadataCondition>,
}

/// What the metadata of a record must be.
#[derive(Debug, Deserialize)]
struct MetadataCondition {
    #[serde(default)]
    logical_operator: Option<String>,
    #[serde(default)]
    conditions: Vec<Condition>,
}

/// What one field must be.
#[derive(Debug, Deserialize)]
struct Condition {
    /// One name; Dify sends a list.
    name: OneOrMany<String>,
    comparison_operator: String,
    #[serde(default)]
    value: Value,
}

/// How much, and how good.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct RetrievalSetting {
    /// Records, 1 to 100.
    #[serde(default)]
    top_k: Option<usize>,
    /// Least score.
    #[serde(default)]
    score_threshold: Option<f32>,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Records {
    /// Best first.
    #[schema(value_type = Vec<Object>)]
    records: Vec<Value>,
}

/// Finds passages for Dify.
#[utoipa::path(
    post, path = "/retrieval", tag = "dify", request_body = RetrievalRequest,
    responses(
        (status = 200, description = "Records, best first.", body = Records),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn retrieve(
    State(http): State<Http>,
    caller: Authorized<Searching>,
    Json(request): Json<RetrievalRequest>,
) -> Result<JsonResponse<Records>, ApiError> {
    http.limits.question("query", &request.query)?;
    let setting = request.retrieval_setting.unwrap_or_default();
    let top_k = limits::within(
        "retrieval_setting.top_k",
        setting.top_k,
        DEFAULT_TOP_K,
        MAX_TOP_K,
    )?;
    let wanted = SearchRequest {
        filters: filters(request.metadata_condition)?,
        ..SearchRequest::new(request.query, top_k)
    };
    let least = setting.score_threshold.unwrap_or(f32::NEG_INFINITY);
    let found = search::run(&http, &caller, wanted).await?;
    let records = found
        .hits
        .into_iter()
        .filter(|hit| hit.score >= least)
        .map(|hit| {
            json!({
                "content": hit.text,
                "score": hit.score,
                "title": hit.title.unwrap_or_else(|| hit.document.to_string()),
                // Dify refuses a record whose metadata is null.
                "metadata": {
                    "document": hit.document,
                    "passage": hit.passage,
                    "uri": hit.uri,
                    "heading": hit.heading,
                    "start": hit.start,
                    "end": hit.end,
                    "page": hit.page,
                },
            })
        })
        .collect();
    Ok(JsonResponse(Records { records }))
}

/// The conditions as a filter of the vector store API says them.
fn filters(condition: Option<MetadataCondition>) -> Result<Filters, ApiError> {
    const AT: &str = "metadata_condition";
    let Some(MetadataCondition {
        logical_operator,
        conditions,
    }) = condition.filter(|condition| !condition.conditions.is_empty())
    else {
        return Ok(Filters::default());
    };
    let mut comparisons = Vec::with_capacity(conditions.len());
    for (index, condition) in conditions.into_iter().enumerate() {
        let at = format!("{AT}.conditions[{index}]");
        let names = match condition.name {
            OneOrMany::One(name) => vec![name],
            OneOrMany::Many(names) => names,
        };
        let [name] = names.as_slice() else {
            return Err(ApiError::unsupported(
                format!("{at}.name"),
                format!("`{at}.name` must be one name, got {}", names.len()),
            ));
        };
        let comparison = match condition.comparison_operator.as_str() {
            "is" | "=" => "eq",
            "in" => "in",
            other => {
                let other: String = other.chars().take(40).collect();
                return Err(ApiError::unsupported(
                    format!("{at}.comparison_operator"),
                    format!("`{at}.comparison_operator` must be is, = or in, got `{other}`"),
                ));
            }
        };
        comparisons.push(json!({"type": comparison, "key": name, "value": condition.value}));
    }
    let operator = logical_operator.as_deref().unwrap_or("and");
    vector_stores::filters(AT, Some(json!({"type": operator, "filters": comparisons})))
}
