//! `GET /health`: the process is alive. `GET /ready`: it can answer, or what is missing.

use axum::Json as JsonResponse;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::Http;
use crate::service::Readiness;

/// Whether it can answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ready {
    /// `ready` or `not_ready`.
    status: &'static str,
    /// Each part.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    readiness: Readiness,
}

/// Says that the process is alive.
#[utoipa::path(get, path = "/health", tag = "operations", responses((status = 200, description = "Alive.", body = Object)))]
pub(super) async fn alive() -> JsonResponse<Value> {
    JsonResponse(json!({"status": "ok"}))
}

/// Says whether the process can answer, and what is missing.
#[utoipa::path(
    get, path = "/ready", tag = "operations",
    responses(
        (status = 200, description = "It can answer.", body = Ready),
        (status = 503, description = "It cannot answer yet, or not any more.", body = Ready),
    )
)]
pub(super) async fn ready(State(http): State<Http>) -> Response {
    let readiness = http.quoin.readiness();
    if readiness.ready {
        let status = "ready";
        return JsonResponse(Ready { status, readiness }).into_response();
    }
    let status = "not_ready";
    let body = JsonResponse(Ready { status, readiness });
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [(header::RETRY_AFTER, "2")],
        body,
    )
        .into_response()
}
