//! Every bound of the HTTP surface in one value, and the time limit of a request.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::Http;
use super::error::ApiError;
use crate::config::Config;

/// Bounds on what one client can make the server hold.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest body, bytes.
    pub max_body_bytes: usize,
    /// Largest body that carries documents, bytes.
    pub max_document_bytes: usize,
    /// Largest question or query, bytes.
    pub max_question_bytes: usize,
    /// What all bodies over 64 KiB may take together, bytes; the longest waits for its turn.
    pub body_memory_bytes: usize,
    /// Requests in flight.
    pub max_concurrent_requests: usize,
    /// Longest time to the response's head; also the longest time for a whole answer.
    pub request_time: Duration,
    /// Longest silence of a client that is sending a body.
    pub body_silence: Duration,
    /// How long a body that is too large is read on and thrown away, so that the client gets to read why.
    pub discard_time: Duration,
}

impl Limits {
    /// The limits that the configuration sets.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            max_body_bytes: config.server.max_body_bytes,
            max_document_bytes: config.server.max_document_bytes,
            max_question_bytes: config.server.max_question_bytes,
            body_memory_bytes: 4 * config
                .server
                .max_document_bytes
                .max(config.server.max_body_bytes),
            max_concurrent_requests: config.server.max_concurrent_requests,
            request_time: config.request_timeout(),
            body_silence: Duration::from_secs(15),
            discard_time: Duration::from_secs(10),
        }
    }

    /// Checks a question or query.
    pub(super) fn question(&self, param: &str, text: &str) -> Result<(), ApiError> {
        if text.trim().is_empty() {
            return Err(ApiError::invalid(
                param,
                format!("`{param}` must not be empty"),
            ));
        }
        if text.len() > self.max_question_bytes {
            return Err(ApiError::invalid(
                param,
                format!(
                    "`{param}` must be at most {} bytes, got {}",
                    self.max_question_bytes,
                    text.len()
                ),
            ));
        }
        Ok(())
    }
}

/// Answers 504 when no response came about in time. Work that is already on a blocking thread ends by itself.
pub(super) async fn limit_time(
    State(http): State<Http>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let limit = http.limits.request_time;
    tokio::time::timeout(limit, next.run(request))
        .await
        .map_err(|_| ApiError::timeout(limit))
}

/// Checks that a number is within its bounds, or takes the default.
pub(super) fn within(
    param: &str,
    got: Option<usize>,
    default: usize,
    most: usize,
) -> Result<usize, ApiError> {
    let value = got.unwrap_or(default);
    if (1..=most).contains(&value) {
        return Ok(value);
    }
    Err(ApiError::invalid(
        param,
        format!("`{param}` must be between 1 and {most}, got {value}"),
    ))
}
