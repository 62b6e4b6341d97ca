//! The generations of the index: listed, rebuilt, verified, activated, rolled back.

use std::sync::Arc;

use axum::Json as JsonResponse;
use axum::extract::{Path, State};
use quoin_retriever::{Retriever, RetrieverError, VerifyReport};
use serde_json::{Value, json};

use crate::http::Http;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::identity::{Administering, Authorized};

/// Lists the generations that are kept.
#[utoipa::path(
    get, path = "/admin/v1/index", tag = "admin",
    responses(
        (status = 200, description = "`{generation, generations, pipeline, building}`; `building` is null, or `{pipeline, documents, goes_on}` of the pipeline of the settings while another one serves.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn list(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
) -> Result<JsonResponse<Value>, ApiError> {
    let (now, kept) = blocking(&http, |retriever| {
        Ok((retriever.statistics(), retriever.generations()?))
    })
    .await?;
    let kept: Vec<Value> = kept
        .into_iter()
        .map(|snapshot| {
            json!({
                "generation": snapshot.number,
                "active": snapshot.active,
                "created_at": snapshot.created_at,
                "passages": snapshot.passages,
                "pipeline": snapshot.pipeline,
            })
        })
        .collect();
    Ok(JsonResponse(json!({
        "generation": now.generation,
        "generations": kept,
        "pipeline": now.pipeline,
        "building": now.building,
    })))
}

/// Builds the index anew from the catalogue, and switches to it.
#[utoipa::path(
    post, path = "/admin/v1/index/rebuild", tag = "admin",
    responses(
        (status = 200, description = "`{generation}`.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn rebuild(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
) -> Result<JsonResponse<Value>, ApiError> {
    changed(&http, |retriever| retriever.rebuild().map(|_| ())).await
}

/// Switches back to the generation before.
#[utoipa::path(
    post, path = "/admin/v1/index/rollback", tag = "admin",
    responses(
        (status = 200, description = "`{generation}`.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn rollback(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
) -> Result<JsonResponse<Value>, ApiError> {
    changed(&http, |retriever| retriever.rollback().map(|_| ())).await
}

/// Switches to a generation that is kept.
#[utoipa::path(
    post, path = "/admin/v1/index/{generation}/activate", tag = "admin",
    params(("generation" = u64, Path, description = "The generation.")),
    responses(
        (status = 200, description = "`{generation}`.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn activate(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    Path(generation): Path<String>,
) -> Result<JsonResponse<Value>, ApiError> {
    let number: u64 = generation
        .parse()
        .map_err(|_| ApiError::invalid("generation", "`generation` must be a number"))?;
    changed(&http, move |retriever| {
        retriever.activate(number).map(|_| ())
    })
    .await
}

/// Compares the index with the catalogue, and its files with their digests.
#[utoipa::path(
    post, path = "/admin/v1/index/verify", tag = "admin",
    responses(
        (status = 200, description = "`{ok, problems}`.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn verify(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
) -> Result<JsonResponse<Value>, ApiError> {
    Ok(told(&blocking(&http, Retriever::verify).await?))
}

/// Verifies, and rebuilds from the catalogue what is damaged beside it.
#[utoipa::path(
    post, path = "/admin/v1/index/repair", tag = "admin",
    responses(
        (status = 200, description = "`{ok, problems, repaired}`; `problems` is what could not be rebuilt.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn repair(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
) -> Result<JsonResponse<Value>, ApiError> {
    Ok(told(&blocking(&http, Retriever::repair).await?))
}

fn told(report: &VerifyReport) -> JsonResponse<Value> {
    JsonResponse(json!({
        "ok": report.problems.is_empty(),
        "documents": report.documents,
        "passages": report.passages,
        "snapshots": report.snapshots,
        "problems": report.problems,
        "repaired": report.repaired,
    }))
}

async fn changed(
    http: &Http,
    change: impl FnOnce(&Retriever) -> Result<(), RetrieverError> + Send + 'static,
) -> Result<JsonResponse<Value>, ApiError> {
    let generation = blocking(http, |retriever| {
        change(retriever)?;
        Ok(retriever.generation())
    })
    .await?;
    Ok(JsonResponse(json!({"generation": generation})))
}

async fn blocking<T: Send + 'static>(
    http: &Http,
    work: impl FnOnce(&Retriever) -> Result<T, RetrieverError> + Send + 'static,
) -> Result<T, ApiError> {
    let retriever = Arc::clone(http.quoin.retriever());
    Ok(tokio::task::spawn_blocking(move || work(&retriever)).await??)
}
