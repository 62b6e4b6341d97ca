//! The followed folders: how each is, and a scan now.

use std::time::Duration;

use axum::Json as JsonResponse;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::Http;
use crate::http::body::Json;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::identity::{Administering, Authorized};
use crate::sources::SourceStatus;

/// Longest wait for a scan that was asked for.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How to scan.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ScanBody {
    /// Delete what is gone, however much it is.
    #[serde(default)]
    prune: bool,
}

/// Lists the followed folders.
#[utoipa::path(
    get, path = "/admin/v1/sources", tag = "admin",
    responses(
        (status = 200, description = "`{sources}`, by name.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn list(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
) -> JsonResponse<Value> {
    JsonResponse(json!({"sources": http.quoin.sources().list()}))
}

/// Scans a folder now, and answers when that is done, or after a minute while it goes on.
#[utoipa::path(
    post, path = "/admin/v1/sources/{name}/scan", tag = "admin", request_body = ScanBody,
    params(("name" = String, Path, description = "The source's name.")),
    responses(
        (status = 200, description = "How it is after the scan.", body = SourceStatus),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn scan(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    Path(name): Path<String>,
    Json(body): Json<ScanBody>,
) -> Result<JsonResponse<SourceStatus>, ApiError> {
    let source = http
        .quoin
        .sources()
        .get(&name)
        .ok_or_else(|| ApiError::not_found("there is no such source"))?;
    let before = source.status().scans;
    source.ask(body.prune);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while source.status().scans < before + 1 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(JsonResponse(source.status()))
}
