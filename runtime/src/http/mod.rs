//! The HTTP surface: wire types and handlers, one file a resource; errors get their status in `error` alone.
//!
//! Nothing here decides what a caller may read or how an answer comes about. It refuses what is too large, malformed,
//! unauthenticated or too much at once, before any of it reaches the service.

mod admin;
mod answering;
mod answers;
mod body;
mod chat;
mod chat_stream;
mod chat_tools;
mod dify;
mod documents;
mod embeddings;
mod error;
mod feedback;
mod gate;
mod guard;
mod headers;
mod health;
mod identity;
mod limits;
mod message;
mod metrics;
mod models;
mod observe;
mod openapi;
mod replay;
mod request_id;
mod rerank;
mod responses;
mod responses_stream;
mod search;
pub mod serve;
mod stream;
mod timed_io;
mod vector_stores;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

pub use error::ApiError;
pub use identity::Peer;
pub use limits::Limits;

use crate::service::Quoin;
use crate::telemetry;

/// How a request is told who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// By its bearer key; while no key exists, loopback peers are the owner.
    Keys,
    /// The transport vouches for it: the local socket in the data folder, or this process itself.
    LocalOwner,
}

/// What a router serves, and to whom.
#[derive(Clone)]
pub struct AppState {
    /// The service.
    pub quoin: Arc<Quoin>,
    /// How its callers are known.
    pub identity: Identity,
}

impl AppState {
    /// A state for [`router`].
    #[must_use]
    pub const fn new(quoin: Arc<Quoin>, identity: Identity) -> Self {
        Self { quoin, identity }
    }
}

/// What every handler may look at.
#[derive(Clone)]
struct Http {
    quoin: Arc<Quoin>,
    identity: Identity,
    limits: Arc<Limits>,
    gate: Arc<gate::Gate>,
    body_memory: Arc<body::BodyMemory>,
}

impl FromRef<Http> for Arc<Quoin> {
    fn from_ref(http: &Http) -> Self {
        Self::clone(&http.quoin)
    }
}

/// The whole surface, under the limits of the configuration.
pub fn router(state: AppState) -> Router {
    let limits = Limits::of(state.quoin.config());
    router_with(state, limits)
}

/// The whole surface, under other limits.
pub fn router_with(state: AppState, limits: Limits) -> Router {
    telemetry::init_metrics();
    let http = Http {
        quoin: state.quoin,
        identity: state.identity,
        gate: Arc::new(gate::Gate::new(limits.max_concurrent_requests)),
        body_memory: Arc::new(body::BodyMemory::new(&limits)),
        limits: Arc::new(limits),
    };
    // Read from below: a request passes the last layer first.
    Router::new()
        .merge(service_routes().route_layer(from_fn_with_state(http.clone(), limits::limit_time)))
        .nest("/admin/v1", admin::routes())
        .route_layer(from_fn_with_state(http.clone(), gate::admit))
        .merge(operation_routes())
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(from_fn_with_state(
            http.clone(),
            guard::refuse_foreign_pages,
        ))
        .layer(CatchPanicLayer::custom(error::Panicked))
        .layer(from_fn(observe::observe))
        .layer(from_fn(request_id::assign))
        .with_state(http)
}

/// What may be refused for load: everything that does work.
fn service_routes() -> Router<Http> {
    Router::new()
        .route("/v1/answers", post(answers::create))
        .route("/v1/answers/{id}/replay", post(replay::create))
        .route("/v1/search", post(search::search))
        .route("/v1/documents", get(documents::list))
        .route(
            "/v1/documents/{*id}",
            get(documents::show)
                .put(documents::put)
                .patch(documents::change)
                .delete(documents::delete),
        )
        .route("/v1/feedback", post(feedback::create))
        .route("/v1/chat/completions", post(chat::create))
        .route("/v1/responses", post(responses::create))
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/rerank", post(rerank::v1))
        .route("/v2/rerank", post(rerank::v2))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::show))
        .route("/v1/vector_stores/{id}/search", post(vector_stores::search))
        .route("/retrieval", post(dify::retrieve))
}

/// What must answer also under load, and needs no key.
fn operation_routes() -> Router<Http> {
    Router::new()
        .route("/health", get(health::alive))
        .route("/ready", get(health::ready))
        .route("/metrics", get(metrics::page))
        .route("/openapi.json", get(openapi::document))
}
