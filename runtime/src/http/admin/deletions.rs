//! Deletions: their receipts as they stand, and the search for what is left of a document.

use std::sync::Arc;

use axum::Json as JsonResponse;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use quoin_retriever::{DeletionReceipt, DocumentId, ErasureReport, Page};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::http::Http;
use crate::http::body::Json;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::identity::{Administering, Authorized};
use crate::http::limits;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// Which page of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct DeletionsQuery {
    /// Receipts, 1 to 1000; 100 when left out.
    #[serde(default)]
    limit: Option<usize>,
    /// The last id of the page before.
    #[serde(default)]
    after: Option<String>,
}

/// What else to search for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct VerifyBody {
    /// Texts to search the files for, letter by letter; at most 100 of 64 KiB each.
    #[serde(default)]
    phrases: Vec<String>,
}

/// Shows the public key that signs receipts.
#[utoipa::path(
    get, path = "/admin/v1/receipt-key", tag = "admin",
    responses(
        (status = 200, description = "`{algorithm, key}`; the key in hexadecimal.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn key(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
) -> JsonResponse<Value> {
    let key = http.quoin.retriever().receipt_key();
    JsonResponse(json!({"algorithm": "ed25519", "key": key}))
}

/// Lists the receipts of deletions, the last of each document.
#[utoipa::path(
    get, path = "/admin/v1/deletions", tag = "admin", params(DeletionsQuery),
    responses(
        (status = 200, description = "`{deletions, next}`, in the order of ids.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn list(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    query: Result<Query<DeletionsQuery>, QueryRejection>,
) -> Result<JsonResponse<Value>, ApiError> {
    let Query(query) =
        query.map_err(|refused| ApiError::invalid("query string", refused.body_text()))?;
    let limit = limits::within("limit", query.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let after = query.after.map(DocumentId::new).transpose()?;
    let retriever = Arc::clone(http.quoin.retriever());
    let page = Page { after, limit };
    let receipts = tokio::task::spawn_blocking(move || retriever.receipts(&page)).await??;
    let next = receipts
        .last()
        .filter(|_| receipts.len() == limit)
        .map(|last| last.id.clone());
    Ok(JsonResponse(json!({"deletions": receipts, "next": next})))
}

/// Shows what the last deletion of a document has purged until now.
#[utoipa::path(
    get, path = "/admin/v1/deletions/{id}", tag = "admin",
    params(("id" = String, Path, description = "The document's id; may hold `/`.")),
    responses(
        (status = 200, description = "The receipt, signed anew.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn show(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    Path(id): Path<String>,
) -> Result<JsonResponse<DeletionReceipt>, ApiError> {
    let id = DocumentId::new(id)?;
    let retriever = Arc::clone(http.quoin.retriever());
    let receipt = tokio::task::spawn_blocking(move || retriever.receipt(&id)).await??;
    Ok(JsonResponse(receipt))
}

/// Searches tables, index and the raw files of the data folder for what is left of a deleted document.
#[utoipa::path(
    post, path = "/admin/v1/verify-erased/{id}", tag = "admin", request_body = VerifyBody,
    params(("id" = String, Path, description = "The document's id; may hold `/`.")),
    responses(
        (status = 200, description = "`{erased, problems, findings, pieces, shared, files, bytes, skipped}`.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn verify(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    Path(id): Path<String>,
    Json(VerifyBody { phrases }): Json<VerifyBody>,
) -> Result<JsonResponse<ErasureReport>, ApiError> {
    let id = DocumentId::new(id)?;
    let retriever = Arc::clone(http.quoin.retriever());
    let report =
        tokio::task::spawn_blocking(move || retriever.verify_erased(&id, &phrases)).await??;
    Ok(JsonResponse(report))
}
