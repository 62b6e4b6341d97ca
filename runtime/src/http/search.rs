//! `POST /v1/search`: passages with the rank and score that each stage gave them.

use std::sync::Arc;

use axum::Json as JsonResponse;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quoin_retriever::{Filters, Hit, SearchRequest, SearchResult, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{self, Json};
use super::error::{ApiError, ErrorBody};
use super::identity::{Authorized, Searching};
use super::{Http, headers, limits};
use crate::answer::ask;
use crate::answer::standalone::standalone;
use crate::answer::types::Turn;
use crate::caller::Caller;

const DEFAULT_TOP_K: usize = 10;
const MAX_TOP_K: usize = 100;

/// The body of a search.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchBody {
    /// What to look for, in natural language or words.
    query: String,
    /// Passages, 1 to 100; 10 when left out.
    #[serde(default)]
    top_k: Option<usize>,
    /// Narrows the search.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
    /// Whether to rerank; the default is the retriever's.
    #[serde(default)]
    rerank: Option<bool>,
    /// Say how the hits came about.
    #[serde(default)]
    explain: bool,
    /// The moment to search as of, RFC 3339 or a date: which documents are in force. Now when left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    at: Option<Value>,
    /// What was said before, oldest first: a query that leans on it is made to stand alone.
    #[serde(default)]
    history: Vec<Turn>,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Found {
    /// Generation of the index that was searched.
    generation: u64,
    /// What was searched for, where `history` made it another than `query`.
    #[serde(skip_serializing_if = "Option::is_none")]
    standalone: Option<String>,
    /// How likely it is that the first hit answers the query, 0 to 1.
    confidence: f32,
    /// Best first.
    #[schema(value_type = Vec<Object>)]
    hits: Vec<Hit>,
    /// Where the time went, milliseconds.
    #[schema(value_type = Object)]
    timings_ms: Value,
    /// With `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    explanation: Option<Value>,
}

/// Finds passages.
#[utoipa::path(
    post, path = "/v1/search", tag = "native", request_body = SearchBody,
    responses(
        (status = 200, description = "Passages, best first.", body = Found),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn search(
    State(http): State<Http>,
    caller: Authorized<Searching>,
    Json(body): Json<SearchBody>,
) -> Result<Response, ApiError> {
    http.limits.question("query", &body.query)?;
    ask::check_history(&body.history, http.quoin.config())?;
    let query = standalone(&body.query, &body.history);
    let rewritten = (query != body.query.trim()).then(|| query.clone());
    let request = SearchRequest {
        top_k: limits::within("top_k", body.top_k, DEFAULT_TOP_K, MAX_TOP_K)?,
        query,
        filters: filters(body.filters)?,
        rerank: body.rerank,
        explain: body.explain,
        at: body
            .at
            .map(|at| body::shape::<Timestamp>("at", at))
            .transpose()?,
    };
    let result = run(&http, &caller, request).await?;
    let generation = result.generation;
    let found = Found {
        generation,
        standalone: rewritten,
        confidence: result.confidence,
        hits: result.hits,
        timings_ms: serde_json::to_value(result.timings).unwrap_or_default(),
        explanation: result
            .explanation
            .and_then(|explanation| serde_json::to_value(explanation).ok()),
    };
    let mut response = JsonResponse(found).into_response();
    headers::name_generation(&mut response, generation);
    Ok(response)
}

/// Filters in their own words; an error names the field below `filters`.
fn filters(filters: Option<Value>) -> Result<Filters, ApiError> {
    filters.map_or_else(
        || Ok(Filters::default()),
        |filters| body::shape("filters", filters),
    )
}

/// One search, off the async threads.
pub(super) async fn run(
    http: &Http,
    caller: &Caller,
    request: SearchRequest,
) -> Result<SearchResult, ApiError> {
    let retriever = Arc::clone(http.quoin.retriever());
    let access = caller.access.clone();
    let started = std::time::Instant::now();
    let result = tokio::task::spawn_blocking(move || retriever.search(&request, &access)).await??;
    metrics::histogram!("quoin_stage_duration_seconds", "stage" => "search")
        .record(started.elapsed().as_secs_f64());
    Ok(result)
}
