//! Bounds the requests in flight. A place is held until the response's last byte, so that streams count.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Http;
use super::error::ApiError;

/// The places.
pub(super) struct Gate {
    places: Arc<Semaphore>,
    limit: usize,
}

impl Gate {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))),
            limit,
        }
    }
}

/// Lets the request pass, or answers 429.
pub(super) async fn admit(
    State(http): State<Http>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let permit = Arc::clone(&http.gate.places)
        .try_acquire_owned()
        .map_err(|_| ApiError::too_many(http.gate.limit))?;
    let place = Place::taken(permit);
    let response = next.run(request).await;
    Ok(response.map(|body| {
        Body::new(Held {
            body,
            _place: place,
        })
    }))
}

/// One place, counted while it is held.
struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn taken(permit: OwnedSemaphorePermit) -> Self {
        metrics::gauge!("quoin_http_requests_in_flight").increment(1);
        Self { _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("quoin_http_requests_in_flight").decrement(1);
    }
}

/// A body that holds a place until it ends or the client goes.
struct Held {
    body: Body,
    _place: Place,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
