//! Bodies: bounded, not too slow, UTF-8, JSON, and of the right shape, with an error that names what was wrong.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::Http;
use super::error::ApiError;
use super::limits::Limits;

/// A larger body is parsed off the async threads.
const PARSE_HERE_BYTES: usize = 64 << 10;
/// A body gets at most this much memory before it has come.
const ALLOCATED_AHEAD_BYTES: usize = 1 << 20;
/// A body that comes more slowly than this is given up, once it has been coming for longer than a client may be silent:
/// else a byte now and then would hold a place for ever.
const SLOWEST_BYTES_PER_SECOND: u64 = 1024;
/// Most values in a body: each takes about a hundred bytes once it is read, however short it is written.
const MAX_VALUES: usize = 200_000;
/// Of a body that is too large, at most this much is read and thrown away.
const DISCARD_BYTES: u64 = 256 << 20;

/// A JSON body of at most `max_body_bytes`.
pub(super) struct Json<T>(pub T);

/// A JSON body of at most `max_document_bytes`, with its share of the memory for bodies.
pub(super) struct DocumentJson<T>(pub T, pub Memory);

/// A share of the memory for bodies, until it is dropped. None for small bodies.
pub(super) struct Memory {
    _held: Option<OwnedSemaphorePermit>,
}

impl<T: DeserializeOwned + Send + 'static> FromRequest<Http> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, http: &Http) -> Result<Self, ApiError> {
        receive(request, http, "max_body_bytes", http.limits.max_body_bytes)
            .await
            .map(|(body, _memory)| Self(body))
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
        .map(|(body, memory)| Self(body, memory))
    }
}

async fn receive<T: DeserializeOwned + Send + 'static>(
    request: Request,
    http: &Http,
    limit_name: &str,
    limit: usize,
) -> Result<(T, Memory), ApiError> {
    let body = request.into_body();
    // A body that does not say how long it is may be as long as it may.
    let length = body.size_hint().exact().unwrap_or(limit as u64);
    let memory = http
        .body_memory
        .share(length.min(limit as u64), &http.limits)
        .await?;
    let bytes = read(body, limit_name, limit, http).await?;
    if bytes.len() <= PARSE_HERE_BYTES {
        return Ok((parse(&bytes)?, memory));
    }
    let parsed = tokio::task::spawn_blocking(move || parse(&bytes)).await??;
    Ok((parsed, memory))
}

/// What all bodies together may take, in KiB: a bound on requests in flight alone would let each of them bring the largest.
pub(super) struct BodyMemory {
    kib: Arc<Semaphore>,
    total_kib: u32,
}

impl BodyMemory {
    pub(super) fn new(limits: &Limits) -> Self {
        let total_kib = u32::try_from(limits.body_memory_bytes / 1024).unwrap_or(u32::MAX >> 3);
        Self {
            kib: Arc::new(Semaphore::new(total_kib as usize)),
            total_kib,
        }
    }

    /// Waits for a share, for as long as a client may be silent.
    async fn share(&self, bytes: u64, limits: &Limits) -> Result<Memory, ApiError> {
        if bytes <= PARSE_HERE_BYTES as u64 {
            return Ok(Memory { _held: None });
        }
        let kib = u32::try_from(bytes.div_ceil(1024))
            .unwrap_or(u32::MAX)
            .min(self.total_kib);
        let share = Arc::clone(&self.kib).acquire_many_owned(kib);
        match timeout(limits.body_silence, share).await {
            Ok(Ok(held)) => Ok(Memory { _held: Some(held) }),
            Ok(Err(_)) | Err(_) => Err(ApiError::no_memory_for_body(
                bytes,
                limits.body_memory_bytes,
            )),
        }
    }
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
    let begun = Instant::now();
    while let Some(data) = next(&mut body, silence).await? {
        let slowest = begun.elapsed().saturating_sub(silence).as_secs() * SLOWEST_BYTES_PER_SECOND;
        if ((received.len() + data.len()) as u64) < slowest {
            return Err(ApiError::slow_body(silence));
        }
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
/// Commas outside strings: one less than the values, at most.
fn commas(json: &str) -> usize {
    let (mut commas, mut in_string, mut escaped) = (0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' if !in_string => commas += 1,
            _ => {}
        }
    }
    commas
}

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
    // Else a list would be taken for the fields in their order.
    if text.trim_start().starts_with('[') {
        return Err(ApiError::malformed(
            "the body is a list: a JSON object is expected".to_owned(),
        ));
    }
    let values = commas(text);
    if values > MAX_VALUES {
        return Err(ApiError::too_large(format!(
            "the body must hold at most {MAX_VALUES} values, got {values}"
        )));
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
