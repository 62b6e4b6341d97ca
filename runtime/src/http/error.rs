//! Errors on the wire. `status` is the one place where an error of another part gets its status.
//!
//! They come from four sides. The request itself: body, field, key, scope, route (made where they are noticed, by the
//! constructors below). The answer (`AnswerError`), retrieval (`RetrieverError`) and storage (`StorageError`), whose
//! variants are mapped in `status`. And the process: a panic, a task that ended, a time limit. What the client reads never
//! holds the cause of a defect: the cause is kept beside the response and logged once, by `observe`.

mod status;

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, Uri, header};
use serde::Serialize;
use tower_http::catch_panic::ResponseForPanic;

/// An error as the client sees it, and its cause, which the client does not see.
#[derive(Clone, Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    param: Option<String>,
    retry_after: Option<Duration>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// The body of every error.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
    /// The `x-request-id` of the response.
    pub request_id: String,
}

/// What went wrong.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ErrorDetail {
    /// For people: what was wrong, the limit and what came.
    pub message: String,
    /// The kind, in the words of the OpenAI API.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// For programs.
    pub code: &'static str,
    /// The field at fault.
    pub param: Option<String>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            param: None,
            retry_after: None,
            cause: None,
        }
    }

    /// 400 for a value that breaks a rule.
    pub fn invalid(param: impl Into<String>, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_value", message).about(param)
    }

    /// 400 for a field that native endpoints do not have.
    pub(super) fn unknown_field(param: impl Into<String>, message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unknown_field", message).about(param)
    }

    /// 400 for a feature of a foreign API that is not served here.
    pub(super) fn unsupported(
        param: impl Into<String>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unsupported", message).about(param)
    }

    /// 400 for a body that is not JSON.
    pub(super) fn malformed(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed_json", message)
    }

    /// 401.
    pub(super) fn no_key(message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
    }

    /// 403 with a code of its own.
    pub(super) fn forbidden(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 404.
    pub(super) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 408 for a client that stops sending.
    pub(super) fn slow_body(limit: Duration) -> Self {
        let message = format!(
            "the request's body did not arrive within {} s",
            limit.as_secs_f64()
        );
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message)
    }

    /// 409.
    pub(super) fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// 413.
    pub(super) fn too_large(message: String) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// 429 for more requests at once than allowed.
    pub(super) fn too_many(limit: usize) -> Self {
        let message = format!(
            "{limit} requests are in flight, as many as `server.max_concurrent_requests` allows: try again in 1 s"
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message)
            .after(Duration::from_secs(1))
    }

    /// 429 for a body that waited too long for its share of the memory.
    pub(super) fn no_memory_for_body(bytes: u64, limit: usize) -> Self {
        let message = format!(
            "the bodies of other requests take the {limit} bytes that there are for them; this one has up to {bytes}: \
             try again in 1 s"
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message)
            .after(Duration::from_secs(1))
    }

    /// 500, with its cause for the log.
    pub(super) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let message = "internal error: the server's log has the cause under this request's id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message).because(cause)
    }

    /// 503 while the process cannot serve this.
    pub(super) fn not_ready(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message)
            .after(Duration::from_secs(2))
    }

    /// 504.
    pub(super) fn timeout(limit: Duration) -> Self {
        let message = format!("the request took longer than {} ms", limit.as_millis());
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message)
    }

    fn about(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same error about a field with another name, for endpoints that name it differently.
    pub(super) fn renamed(mut self, names: &[(&str, &str)]) -> Self {
        let renamed = self
            .param
            .as_deref()
            .and_then(|param| names.iter().find(|(native, _)| *native == param));
        if let Some((native, foreign)) = renamed {
            self.message = self
                .message
                .replace(&format!("`{native}`"), &format!("`{foreign}`"))
                .into();
            self.param = Some((*foreign).to_owned());
        }
        self
    }

    fn after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(Arc::from(cause.into()));
        self
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The code, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The message, for people.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// What is logged and not shown.
    pub(super) fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.cause.as_deref()
    }

    /// The body, with the id of the request.
    pub(super) fn body(&self, request_id: &str) -> ErrorBody {
        ErrorBody {
            error: self.detail(),
            request_id: request_id.to_owned(),
        }
    }

    /// The inner part of the body.
    pub(super) fn detail(&self) -> ErrorDetail {
        ErrorDetail {
            message: self.message.clone().into_owned(),
            kind: kind(self.status),
            code: self.code,
            param: self.param.clone(),
        }
    }

    /// The response, once the request's id is known.
    pub(super) fn response(self, request_id: &str) -> Response {
        let mut response = (self.status, Json(self.body(request_id))).into_response();
        let headers = response.headers_mut();
        if let Some(delay) = self.retry_after {
            let seconds = delay.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                headers.insert(header::RETRY_AFTER, value);
            }
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for ApiError {
    /// A stand-in: `request_id::assign` writes the body, because only it knows the request's id.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The kind of an error, in the words of the OpenAI API.
fn kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

/// A route that does not exist.
pub(super) async fn no_such_route(method: Method, uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::not_found(format!(
        "there is no `{method} {path}`: `GET /openapi.json` lists what there is"
    ))
}

/// A route that exists, with another method.
pub(super) async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("`{path}` does not take `{method}`: the `allow` header lists what it takes"),
    )
}

/// Answers 500 when a handler panics.
#[derive(Clone, Copy)]
pub(super) struct Panicked;

/// A panic's message, as an error.
#[derive(Debug, thiserror::Error)]
#[error("handler panicked: {0}")]
struct PanicMessage(String);

impl ResponseForPanic for Panicked {
    type ResponseBody = axum::body::Body;

    fn response_for_panic(&mut self, panic: Box<dyn Any + Send + 'static>) -> Response {
        let message = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "no message".to_owned());
        ApiError::internal(PanicMessage(message)).into_response()
    }
}
