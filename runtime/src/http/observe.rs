//! One log line and one measurement for each request; the cause of a defect is logged here and nowhere else.
//!
//! Labels are bounded: the matched route and not the path, the status and not the message.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;

use super::error::ApiError;
use super::request_id::RequestId;

/// Logs and measures one request. A streamed response is measured to its first byte.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or_else(
        || "unmatched".to_owned(),
        |matched| matched.as_str().to_owned(),
    );
    let id = request.extensions().get::<RequestId>().cloned();
    let response = next.run(request).await;
    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    metrics::histogram!(
        "quoin_request_duration_seconds",
        "route" => route.clone(), "status" => status.to_string()
    )
    .record(elapsed.as_secs_f64());
    let error = response.extensions().get::<ApiError>();
    let request_id = id.as_ref().map_or("", RequestId::as_str);
    let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let code = error.map(ApiError::code);
    tracing::info!(%method, route, status, ms, request_id, code, "request");
    if let Some(cause) = error.and_then(ApiError::cause) {
        let cause = chain(cause);
        tracing::error!(request_id, code, cause, "request failed");
    }
    response
}

/// An error and its sources, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
