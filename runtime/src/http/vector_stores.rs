//! `POST /v1/vector_stores/{id}/search`: OpenAI's search over files.
//!
//! There is one catalogue: every store id names it. Filters are OpenAI's `eq`, `in`, `and`, and `or` over one key, on the
//! metadata of documents; others are refused by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json as JsonResponse;
use axum::extract::{Path, State};
use quoin_retriever::{Filters, Hit, Metadata, OneOrMany, SearchRequest};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::body::Json;
use super::error::{ApiError, ErrorBody};
use super::identity::{Authorized, Searching};
use super::{Http, limits, search};

const DEFAULT_RESULTS: usize = 10;
const MAX_RESULTS: usize = 50;
const MAX_FILTER_DEPTH: usize = 16;

/// The body of a search over files.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct StoreSearch {
    /// A text, or several that are searched as one.
    #[schema(value_type = Object)]
    query: Value,
    /// Results, 1 to 50; 10 when left out.
    #[serde(default)]
    max_num_results: Option<usize>,
    /// `eq`, `in`, `and`, `or`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
    /// `score_threshold`.
    #[serde(default)]
    ranking_options: Option<RankingOptions>,
}

/// How good.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct RankingOptions {
    /// Least score.
    #[serde(default)]
    score_threshold: Option<f32>,
}

/// Finds passages, as OpenAI's vector stores do.
#[utoipa::path(
    post, path = "/v1/vector_stores/{id}/search", tag = "openai", request_body = StoreSearch,
    params(("id" = String, Path, description = "Any: there is one catalogue.")),
    responses(
        (status = 200, description = "Passages, best first.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn search(
    State(http): State<Http>,
    caller: Authorized<Searching>,
    Path(_store): Path<String>,
    Json(request): Json<StoreSearch>,
) -> Result<JsonResponse<Value>, ApiError> {
    let query = query(request.query)?;
    http.limits.question("query", &query)?;
    let top_k = limits::within(
        "max_num_results",
        request.max_num_results,
        DEFAULT_RESULTS,
        MAX_RESULTS,
    )?;
    let wanted = SearchRequest {
        filters: filters("filters", request.filters)?,
        ..SearchRequest::new(query.as_str(), top_k)
    };
    let least = request
        .ranking_options
        .and_then(|options| options.score_threshold)
        .unwrap_or(f32::NEG_INFINITY);
    let mut hits = search::run(&http, &caller, wanted).await?.hits;
    hits.retain(|hit| hit.score >= least);
    let data = with_attributes(&http, &caller, hits).await?;
    Ok(JsonResponse(json!({
        "object": "vector_store.search_results.page",
        "search_query": [query],
        "data": data,
        "has_more": false,
        "next_page": null,
    })))
}

fn query(query: Value) -> Result<String, ApiError> {
    match query {
        Value::String(text) => Ok(text),
        Value::Array(texts) if !texts.is_empty() && texts.iter().all(Value::is_string) => Ok(texts
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" ")),
        _ => Err(ApiError::invalid(
            "query",
            "`query` must be a string or a list of strings",
        )),
    }
}

/// Adds the metadata of each document, as far as the caller may read it.
async fn with_attributes(
    http: &Http,
    caller: &crate::caller::Caller,
    hits: Vec<Hit>,
) -> Result<Vec<Value>, ApiError> {
    let retriever = Arc::clone(http.quoin.retriever());
    let access = caller.access.clone();
    let data = tokio::task::spawn_blocking(move || {
        hits.into_iter()
            // A document that was deleted since the search is left out.
            .filter_map(|hit| {
                Some((
                    retriever.document(&hit.document, &access).ok()?.metadata,
                    hit,
                ))
            })
            .map(|(metadata, hit)| result(&metadata, &hit))
            .collect()
    })
    .await?;
    Ok(data)
}

fn result(metadata: &Metadata, hit: &Hit) -> Value {
    let filename = hit
        .title
        .clone()
        .unwrap_or_else(|| hit.document.to_string());
    json!({
        "file_id": hit.document,
        "filename": filename,
        "score": hit.score,
        "attributes": metadata,
        "content": [{"type": "text", "text": hit.text}],
        "passage": hit.passage,
        "start": hit.start,
        "end": hit.end,
    })
}

/// `at` is where the filter stands, for errors.
pub(super) fn filters(at: &str, filter: Option<Value>) -> Result<Filters, ApiError> {
    let mut metadata = BTreeMap::new();
    if let Some(filter) = filter.filter(|filter| !filter.is_null()) {
        narrow(at, &filter, 0, &mut metadata)?;
    }
    Ok(Filters {
        metadata: metadata
            .into_iter()
            .map(|(key, values)| (key, OneOrMany::Many(values)))
            .collect(),
        ..Filters::default()
    })
}

/// Adds what one filter demands to the values that each key may have.
fn narrow(
    at: &str,
    filter: &Value,
    depth: usize,
    metadata: &mut BTreeMap<String, Vec<Value>>,
) -> Result<(), ApiError> {
    if depth > MAX_FILTER_DEPTH {
        return Err(ApiError::invalid(
            at,
            format!("`{at}` is nested deeper than {MAX_FILTER_DEPTH}"),
        ));
    }
    let kind = filter
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match kind {
        "and" => {
            for (index, inner) in parts(at, filter)?.iter().enumerate() {
                narrow(
                    &format!("{at}.filters[{index}]"),
                    inner,
                    depth + 1,
                    metadata,
                )?;
            }
            Ok(())
        }
        "or" => {
            let (key, values) = one_key(at, filter)?;
            demand(at, metadata, key, values)
        }
        "eq" | "in" => {
            let (key, values) = comparison(at, filter)?;
            demand(at, metadata, key, values)
        }
        _ => {
            let kind: String = kind.chars().take(40).collect();
            let message =
                format!("`{at}.type` must be eq, in, and, or `or` over one key, got `{kind}`");
            Err(ApiError::unsupported(format!("{at}.type"), message))
        }
    }
}

/// A key that two filters of an `and` demand must satisfy both.
fn demand(
    at: &str,
    metadata: &mut BTreeMap<String, Vec<Value>>,
    key: String,
    values: Vec<Value>,
) -> Result<(), ApiError> {
    match metadata.get_mut(&key) {
        None => {
            metadata.insert(key, values);
            Ok(())
        }
        Some(allowed) => {
            allowed.retain(|value| values.contains(value));
            if allowed.is_empty() {
                return Err(ApiError::invalid(
                    at,
                    format!("`{at}` demands two values of `{key}` at once"),
                ));
            }
            Ok(())
        }
    }
}

fn parts<'a>(at: &str, filter: &'a Value) -> Result<&'a Vec<Value>, ApiError> {
    filter
        .get("filters")
        .and_then(Value::as_array)
        .filter(|filters| !filters.is_empty())
        .ok_or_else(|| {
            ApiError::invalid(
                format!("{at}.filters"),
                format!("`{at}.filters` must be a list of filters"),
            )
        })
}

/// An `or` whose parts all compare the same key is that key with any of their values.
fn one_key(at: &str, filter: &Value) -> Result<(String, Vec<Value>), ApiError> {
    let mut found: Option<(String, Vec<Value>)> = None;
    for (index, inner) in parts(at, filter)?.iter().enumerate() {
        let (key, values) = comparison(&format!("{at}.filters[{index}]"), inner)?;
        match &mut found {
            None => found = Some((key, values)),
            Some((first, all)) if *first == key => all.extend(values),
            Some(_) => {
                return Err(ApiError::unsupported(
                    at,
                    format!("`{at}`: `or` is served over one key only"),
                ));
            }
        }
    }
    found.ok_or_else(|| ApiError::invalid(at, format!("`{at}` is empty")))
}

fn comparison(at: &str, filter: &Value) -> Result<(String, Vec<Value>), ApiError> {
    let kind = filter.get("type").and_then(Value::as_str);
    let key = filter.get("key").and_then(Value::as_str);
    match (kind, key, filter.get("value")) {
        (Some("eq"), Some(key), Some(value)) => Ok((key.to_owned(), vec![value.clone()])),
        (Some("in"), Some(key), Some(Value::Array(values))) if !values.is_empty() => {
            Ok((key.to_owned(), values.clone()))
        }
        _ => Err(ApiError::invalid(
            at,
            format!("`{at}` must be {{type: eq, key, value}} or {{type: in, key, value: [...]}}"),
        )),
    }
}
