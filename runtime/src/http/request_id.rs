//! `x-request-id`: taken from the request when it is sane, else made; on every response, and in the body of every error.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use super::error::ApiError;

const NAME: HeaderName = HeaderName::from_static("x-request-id");
const MAX_BYTES: usize = 128;

/// The id of the request that is being served.
#[derive(Clone, Debug)]
pub(super) struct RequestId(String);

impl RequestId {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts
            .extensions
            .get::<Self>()
            .cloned()
            .unwrap_or_else(fresh))
    }
}

/// Gives the request its id, and the response too; writes the body of an error.
pub(super) async fn assign(mut request: Request, next: Next) -> Response {
    let id = incoming(request.headers()).unwrap_or_else(fresh);
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        response = with_headers(response.headers(), error.response(id.as_str()));
    }
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(NAME, value);
    }
    response
}

/// Keeps what layers further in have set, such as `allow`.
fn with_headers(inner: &HeaderMap, mut rendered: Response) -> Response {
    for (name, value) in inner {
        if !rendered.headers().contains_key(name) && *name != http::header::CONTENT_LENGTH {
            rendered.headers_mut().append(name, value.clone());
        }
    }
    rendered
}

fn incoming(headers: &HeaderMap) -> Option<RequestId> {
    let id = headers.get(NAME)?.to_str().ok()?;
    let sane = (1..=MAX_BYTES).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte));
    sane.then(|| RequestId(id.to_owned()))
}

fn fresh() -> RequestId {
    RequestId(format!("req_{}", Uuid::now_v7().simple()))
}
