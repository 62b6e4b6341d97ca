//! What the process is set to, and how it is.

use axum::Json as JsonResponse;
use axum::extract::State;
use serde_json::{Value, json};

use crate::http::Http;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::identity::{Administering, Authorized};

/// The configuration in force.
#[utoipa::path(
    get, path = "/admin/v1/config", tag = "admin",
    responses(
        (status = 200, description = "Every setting.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn config(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
) -> Result<JsonResponse<Value>, ApiError> {
    serde_json::to_value(http.quoin.config())
        .map(JsonResponse)
        .map_err(ApiError::internal)
}

/// Readiness, counts and versions.
#[utoipa::path(
    get, path = "/admin/v1/status", tag = "admin",
    responses(
        (status = 200, description = "How the process is.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn status(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
) -> Result<JsonResponse<Value>, ApiError> {
    let quoin = &http.quoin;
    let keys = quoin.storage().keys().list();
    let live = keys.iter().filter(|key| key.revoked_at.is_none()).count();
    Ok(JsonResponse(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "readiness": quoin.readiness(),
        "generation": quoin.retriever().generation(),
        "index": quoin.retriever().statistics(),
        "keys": {"live": live, "revoked": keys.len() - live},
        "logged_requests": quoin.storage().logged_requests().await?,
        "data": quoin.config().data(),
    })))
}
