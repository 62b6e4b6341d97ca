//! `/admin/v1/…`: what the command line does, for keys with the scope `admin` and for the local socket.

pub(super) mod adapters;
pub(super) mod backup;
pub(super) mod deletions;
pub(super) mod index;
pub(super) mod ingest;
pub(super) mod keys;
pub(super) mod ratings;
pub(super) mod rollouts;
pub(super) mod sources;
pub(super) mod status;

use axum::Router;
use axum::routing::{delete, get, post, put};

use super::Http;

/// The routes below `/admin/v1`. None has a time limit: a rebuild takes as long as it takes.
pub(super) fn routes() -> Router<Http> {
    Router::new()
        .route("/ingest", post(ingest::create))
        .route("/keys", get(keys::list).post(keys::create))
        .route("/keys/{id}", delete(keys::revoke))
        .route("/index", get(index::list))
        .route("/index/rebuild", post(index::rebuild))
        .route("/index/verify", post(index::verify))
        .route("/index/repair", post(index::repair))
        .route("/index/rollback", post(index::rollback))
        .route("/index/{generation}/activate", post(index::activate))
        .route("/receipt-key", get(deletions::key))
        .route("/deletions", get(deletions::list))
        .route("/deletions/{*id}", get(deletions::show))
        .route("/verify-erased/{*id}", post(deletions::verify))
        .route("/adapters", get(adapters::list).post(adapters::add))
        .route("/adapters/{version}", get(adapters::show))
        .route("/adapters/{version}/verify", post(adapters::verify))
        .route("/adapters/message", post(adapters::message))
        .route("/adapters/{version}/reports", post(adapters::attach_report))
        .route("/aliases", get(adapters::aliases))
        .route("/aliases/{alias}", put(adapters::set_alias))
        .route("/rollouts", get(rollouts::history).post(rollouts::start))
        .route("/rollouts/{id}", get(rollouts::status))
        .route("/rollouts/{id}/plot", get(rollouts::picture))
        .route("/rollouts/{id}/{word}", post(rollouts::tell))
        .route("/ratings", get(ratings::list))
        .route("/sources", get(sources::list))
        .route("/sources/{name}/scan", post(sources::scan))
        .route("/config", get(status::config))
        .route("/status", get(status::status))
        .route("/backup", post(backup::create))
}
