//! `GET /metrics`: the Prometheus page.

use axum::extract::State;
use http::header;

use super::Http;
use crate::telemetry;

/// The Prometheus page.
#[utoipa::path(
    get, path = "/metrics", tag = "operations",
    responses((status = 200, description = "Prometheus text.", body = String, content_type = "text/plain"))
)]
pub(super) async fn page(
    State(http): State<Http>,
) -> ([(header::HeaderName, &'static str); 1], String) {
    let statistics = http.quoin.retriever().statistics();
    telemetry::set_gauge("quoin_documents", statistics.documents as u64);
    telemetry::set_gauge("quoin_passages", statistics.passages);
    telemetry::set_gauge(
        "quoin_index_generation",
        http.quoin.retriever().generation(),
    );
    telemetry::set_gauge(
        "quoin_requests_waiting",
        http.quoin.loaded().waiting() as u64,
    );
    telemetry::set_gauge("quoin_ready", u64::from(http.quoin.readiness().ready));
    // A database that cannot be read says so in the log, and the page goes on.
    let retriever = std::sync::Arc::clone(http.quoin.retriever());
    let pending = tokio::task::spawn_blocking(move || retriever.deletion_pending_seconds()).await;
    match pending {
        Ok(Ok(seconds)) => telemetry::set_gauge("quoin_deletion_pending_seconds", seconds),
        Ok(Err(error)) => tracing::warn!(%error, "cannot read which deletions are pending"),
        Err(error) => tracing::warn!(%error, "cannot read which deletions are pending"),
    }
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        telemetry::page(),
    )
}
