//! `GET /v1/models`: what the `model` of a request may name.

use axum::Json as JsonResponse;
use axum::extract::{OriginalUri, State};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use utoipa::ToSchema;

use super::Http;
use super::error::{ApiError, ErrorBody};
use super::identity::{Anything, Authorized};
use crate::service::ModelCard;

/// A model, as OpenAI lists them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Model {
    /// `quoin`, `base` or `NAME@VERSION`.
    id: String,
    /// `model`.
    object: &'static str,
    /// Seconds since 1970.
    created: u64,
    /// `quoin`.
    owned_by: &'static str,
    /// The base model.
    root: String,
    /// What an adapter builds on.
    parent: Option<String>,
    /// Whether it is in memory.
    loaded: bool,
}

/// A list of models.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelList {
    /// `list`.
    object: &'static str,
    /// The models.
    data: Vec<Model>,
}

impl From<ModelCard> for Model {
    fn from(card: ModelCard) -> Self {
        Self {
            id: card.id,
            object: "model",
            created: card.created,
            owned_by: "quoin",
            root: card.root,
            parent: card.parent,
            loaded: card.loaded,
        }
    }
}

/// Lists the models.
#[utoipa::path(
    get, path = "/v1/models", tag = "openai",
    responses(
        (status = 200, description = "The models.", body = ModelList),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn list(
    State(http): State<Http>,
    _caller: Authorized<Anything>,
) -> Result<JsonResponse<ModelList>, ApiError> {
    let data = cards(http).await?.into_iter().map(Model::from).collect();
    Ok(JsonResponse(ModelList {
        object: "list",
        data,
    }))
}

/// Off the async threads: the adapters' manifests are read.
async fn cards(http: Http) -> Result<Vec<ModelCard>, ApiError> {
    Ok(tokio::task::spawn_blocking(move || http.quoin.models()).await?)
}

/// Shows one model.
#[utoipa::path(
    get, path = "/v1/models/{id}", tag = "openai",
    params(("id" = String, Path, description = "The model's id.")),
    responses(
        (status = 200, description = "The model.", body = Model),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn show(
    State(http): State<Http>,
    _caller: Authorized<Anything>,
    OriginalUri(uri): OriginalUri,
) -> Result<JsonResponse<Model>, ApiError> {
    let raw = uri.path().strip_prefix("/v1/models/").unwrap_or_default();
    let id = percent_decode_str(raw).decode_utf8_lossy();
    let card = cards(http).await?.into_iter().find(|card| card.id == id);
    card.map(|card| JsonResponse(card.into())).ok_or_else(|| {
        let id: String = id.chars().take(128).collect();
        ApiError::not_found(format!("unknown model `{id}`: `GET /v1/models` lists them"))
    })
}
