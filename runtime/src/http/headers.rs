//! The response headers that say which release answered.

use axum::response::Response;
use http::{HeaderName, HeaderValue};

use crate::answer::types::ReleaseInfo;

const RELEASE: HeaderName = HeaderName::from_static("x-quoin-release");
const ADAPTER: HeaderName = HeaderName::from_static("x-quoin-adapter");
const GENERATION: HeaderName = HeaderName::from_static("x-quoin-generation");
const ROUTE: HeaderName = HeaderName::from_static("x-quoin-route");

/// Names the release that answered.
pub(super) fn name_release(response: &mut Response, release: &ReleaseInfo) {
    set(response, RELEASE, &release.id);
    set(response, ADAPTER, &release.adapter);
    set(response, ROUTE, &release.route);
    name_generation(response, release.generation);
}

/// Names the generation that was searched, where no release was involved.
pub(super) fn name_generation(response: &mut Response, generation: u64) {
    set(response, GENERATION, &generation.to_string());
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
