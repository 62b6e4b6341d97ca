//! API keys: made, listed and revoked. A key's text is in the response that made it and nowhere else.

use std::collections::BTreeSet;

use axum::Json as JsonResponse;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::caller::Scope;
use crate::http::Http;
use crate::http::body::Json;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::identity::{Administering, Authorized};
use crate::storage::KeyInfo;

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct KeyBody {
    /// For people.
    name: String,
    /// `answer`, `search`, `ingest`, `feedback`, `admin`.
    #[schema(value_type = Vec<String>)]
    scopes: BTreeSet<Scope>,
    /// Access tokens, beside `public`.
    #[serde(default)]
    tokens: Vec<String>,
}

/// A new key.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct CreatedKey {
    /// The bearer key; it is not stored and cannot be shown again.
    key: String,
    /// What it is.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    info: KeyInfo,
}

/// Makes a key.
#[utoipa::path(
    post, path = "/admin/v1/keys", tag = "admin", request_body = KeyBody,
    responses(
        (status = 201, description = "The key, this once.", body = CreatedKey),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn create(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    Json(body): Json<KeyBody>,
) -> Result<(StatusCode, JsonResponse<CreatedKey>), ApiError> {
    let made = http
        .quoin
        .storage()
        .keys()
        .create(&body.name, body.scopes, body.tokens)
        .await?;
    let created = CreatedKey {
        key: made.key,
        info: made.info,
    };
    Ok((StatusCode::CREATED, JsonResponse(created)))
}

/// Lists keys, revoked ones too.
#[utoipa::path(
    get, path = "/admin/v1/keys", tag = "admin",
    responses(
        (status = 200, description = "`{keys}`, oldest first.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn list(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
) -> JsonResponse<Value> {
    JsonResponse(json!({"keys": http.quoin.storage().keys().list()}))
}

/// Ends a key.
#[utoipa::path(
    delete, path = "/admin/v1/keys/{id}", tag = "admin",
    params(("id" = String, Path, description = "The key's id.")),
    responses(
        (status = 200, description = "The key, revoked.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn revoke(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    Path(id): Path<String>,
) -> Result<JsonResponse<KeyInfo>, ApiError> {
    Ok(JsonResponse(http.quoin.storage().keys().revoke(&id).await?))
}
