//! `POST /v1/rerank` and `/v2/rerank`: Cohere's and Jina's API over the retriever's reranker.
//!
//! There is one reranker: any `model` is accepted. Without `top_n` all documents come back.

use std::sync::Arc;

use axum::Json as JsonResponse;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Http;
use super::body::Json;
use super::error::{ApiError, ErrorBody};
use super::identity::{Authorized, Searching};

const MAX_DOCUMENTS: usize = 1000;

/// The body of a rerank request.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct RerankRequest {
    /// What the documents are compared with.
    query: String,
    /// Texts, or objects with a `text`.
    #[schema(value_type = Vec<Object>)]
    documents: Vec<Value>,
    /// Results, best first; all when left out.
    #[serde(default)]
    top_n: Option<usize>,
    /// Give the texts back.
    #[serde(default)]
    return_documents: Option<bool>,
}

/// Orders documents by relevance.
#[utoipa::path(
    post, path = "/v1/rerank", tag = "cohere", request_body = RerankRequest,
    responses(
        (status = 200, description = "Indexes and scores, best first.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn v1(
    http: State<Http>,
    caller: Authorized<Searching>,
    request: Json<RerankRequest>,
) -> Result<JsonResponse<Value>, ApiError> {
    rerank(http, caller, request, "1").await
}

/// Orders documents by relevance.
#[utoipa::path(
    post, path = "/v2/rerank", tag = "cohere", request_body = RerankRequest,
    responses(
        (status = 200, description = "Indexes and scores, best first.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn v2(
    http: State<Http>,
    caller: Authorized<Searching>,
    request: Json<RerankRequest>,
) -> Result<JsonResponse<Value>, ApiError> {
    rerank(http, caller, request, "2").await
}

async fn rerank(
    State(http): State<Http>,
    caller: Authorized<Searching>,
    Json(request): Json<RerankRequest>,
    version: &str,
) -> Result<JsonResponse<Value>, ApiError> {
    http.limits.question("query", &request.query)?;
    let texts = texts(request.documents)?;
    let top_n = request.top_n.unwrap_or(texts.len());
    if top_n == 0 {
        return Err(ApiError::invalid(
            "top_n",
            "`top_n` must be at least 1, got 0",
        ));
    }
    let with_documents = request.return_documents.unwrap_or(false);
    let (query, retriever) = (request.query, Arc::clone(http.quoin.retriever()));
    let access = caller.access.clone();
    let (texts, scores) = tokio::task::spawn_blocking(move || {
        let scores = retriever.rerank(&query, &texts, &access)?;
        Ok::<_, quoin_retriever::RetrieverError>((texts, scores))
    })
    .await??;
    let mut order: Vec<(usize, f32)> = scores.into_iter().enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let results: Vec<Value> = order
        .into_iter()
        .take(top_n)
        .map(|(index, score)| {
            let mut result = json!({"index": index, "relevance_score": score});
            if with_documents {
                result["document"] = json!({"text": texts[index]});
            }
            result
        })
        .collect();
    Ok(JsonResponse(json!({
        "id": Uuid::now_v7().to_string(),
        "model": "quoin",
        "results": results,
        "meta": {"api_version": {"version": version}, "billed_units": {"search_units": 1}},
    })))
}

fn texts(documents: Vec<Value>) -> Result<Vec<String>, ApiError> {
    if !(1..=MAX_DOCUMENTS).contains(&documents.len()) {
        return Err(ApiError::invalid(
            "documents",
            format!(
                "`documents` must hold 1 to {MAX_DOCUMENTS} texts, got {}",
                documents.len()
            ),
        ));
    }
    documents
        .into_iter()
        .enumerate()
        .map(|(index, document)| match document {
            Value::String(text) => Ok(text),
            Value::Object(mut fields) => match fields.remove("text") {
                Some(Value::String(text)) => Ok(text),
                _ => Err(not_a_text(index)),
            },
            _ => Err(not_a_text(index)),
        })
        .collect()
}

fn not_a_text(index: usize) -> ApiError {
    let param = format!("documents[{index}]");
    let message = format!("`{param}` must be a string, or an object with a string `text`");
    ApiError::invalid(param, message)
}
