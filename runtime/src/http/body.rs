//! Bodies: bounded, not too slow, UTF-8, JSON, and of the right shape, with an error that names what was wrong.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};

use super::Http;
use super::error::ApiError;

/// A larger body is parsed off the async threads.
const PARSE_HERE_BYTES: usize = 64 << 10;
/// A body gets at most this much memory before it has come.
const ALLOCATED_AHEAD_BYTES: usize = 1 << 20;
/// Of a body that is too large, at most this much is read and thrown away.
const DISCARD_BYTES: u64 = 256 << 20;

/// A JSON body of at most `max_body_bytes`.
pub(super) struct Json<T>(pub T);

/// A JSON body of at most `max_document_bytes`.
pub(super) struct DocumentJson<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<Http> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, http: &Http) -> Result<Self, ApiError> {
        receive(request, http, "max_body_bytes", http.limits.max_body_bytes)
            .await
            .map(Self)
    }
}

impl<T: DeserializeOwned + Send + 'static> FromRequest<Http> for DocumentJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, http: &Http) -> Result<Self, ApiError> {
        receive(
            request,
            http,
            "max_document_bytes",
            http.limits.max_document_bytes,
        )
        .await
        .map(Self)
    }
}

async fn receive<T: DeserializeOwned + Send + 'static>(
    request: Request,
    http: &Http,
    limit_name: &str,
    limit: usize,
) -> Result<T, ApiError> {
    let bytes = read(request.into_body(), limit_name, limit, http).await?;
    if bytes.len() <= PARSE_HERE_BYTES {
        return parse(&bytes);
    }
    tokio::task::spawn_blocking(move || parse(&bytes)).await?
}

/// Reads the whole body, or says which limit it broke.
async fn read(
    mut body: Body,
    limit_name: &str,
    limit: usize,
    http: &Http,
) -> Result<Bytes, ApiError> {
    let announced = body.size_hint().lower();
    let silence = http.limits.body_silence;
    if announced > limit as u64 {
        discard(body, http.limits.discard_time).await;
        return Err(too_large(limit_name, limit, &announced.to_string()));
    }
    // What is announced need not come.
    let mut received = Vec::with_capacity(
        usize::try_from(announced)
            .unwrap_or(0)
            .min(ALLOCATED_AHEAD_BYTES),
    );
    while let Some(data) = next(&mut body, silence).await? {
        if received.len() + data.len() > limit {
            drop(received);
            discard(body, http.limits.discard_time).await;
            return Err(too_large(limit_name, limit, "more"));
        }
        received.extend_from_slice(&data);
    }
    Ok(received.into())
}

async fn next(body: &mut Body, silence: Duration) -> Result<Option<Bytes>, ApiError> {
    loop {
        let frame = timeout(silence, body.frame())
            .await
            .map_err(|_| ApiError::slow_body(silence))?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => {
                return Err(ApiError::malformed(format!("the body broke off: {error}")));
            }
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Reads on for a while, so that a client which sends first and reads later sees the error and not a reset.
async fn discard(mut body: Body, time: Duration) {
    let deadline = Instant::now() + time;
    let mut left = DISCARD_BYTES;
    while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        match left.checked_sub(bytes) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn too_large(limit_name: &str, limit: usize, got: &str) -> ApiError {
    ApiError::too_large(format!(
        "the body must be at most {limit} bytes (`server.{limit_name}`), got {got}"
    ))
}

/// Parses JSON; errors name line, column and field.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        ApiError::malformed(format!(
            "the body is not UTF-8: invalid byte at offset {}",
            error.valid_up_to()
        ))
    })?;
    if text.trim().is_empty() {
        return Err(ApiError::malformed(
            "the body is empty: JSON is expected".to_owned(),
        ));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        refused(&path, error.inner())
    })?;
    reader.end().map_err(|error| refused(".", &error))?;
    Ok(value)
}

/// Builds a value that is already JSON into its type, with errors that name the field below `param`.
pub(super) fn shape<T: DeserializeOwned>(
    param: &str,
    value: serde_json::Value,
) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let inner = error.path().to_string();
        let path = if inner == "." {
            param.to_owned()
        } else {
            format!("{param}.{inner}")
        };
        refused(&path, error.inner())
    })
}

fn refused(path: &str, error: &serde_json::Error) -> ApiError {
    let message = error.to_string();
    if error.is_syntax() || error.is_eof() || error.is_io() {
        return ApiError::malformed(format!("the body is not JSON: {message}"));
    }
    if let Some(field) = named(&message, "unknown field `") {
        return ApiError::unknown_field(below(path, field), message);
    }
    if let Some(field) = named(&message, "missing field `") {
        return ApiError::invalid(below(path, field), message);
    }
    if path == "." {
        return ApiError::invalid("body", format!("the body has the wrong type: {message}"));
    }
    ApiError::invalid(
        path,
        format!("`{path}` has the wrong type or value: {message}"),
    )
}

/// The name behind `prefix` in serde's message, copied.
fn named(message: &str, prefix: &str) -> Option<String> {
    let rest = message.strip_prefix(prefix)?;
    rest.split_once('`').map(|(name, _)| name.to_owned())
}

/// The path of a field of the object at `path`, which may name the field already.
fn below(path: &str, field: String) -> String {
    if path == "." {
        field
    } else if path.rsplit('.').next() == Some(field.as_str()) {
        path.to_owned()
    } else {
        format!("{path}.{field}")
    }
}
