//! Server-sent events from an answer that is being made. What the events look like is the format's business.
//!
//! The response begins once there is something to send beside what was retrieved, or shortly after retrieval: so that
//! what goes wrong at once (a full queue, a schema that cannot be enforced) is a status and not an event.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::answering::{Running, Step};
use super::error::ApiError;
use super::{headers, observe};
use crate::answer::types::{Answer, Progress, ReleaseInfo};

/// How long after retrieval the response waits for the first piece of the answer.
const GRACE: Duration = Duration::from_millis(500);
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How one API puts an answer into events.
pub(super) trait EventFormat: Send + 'static {
    /// Before everything else.
    fn opening(&mut self) -> Vec<Event>;
    /// On the way.
    fn progress(&mut self, progress: Progress) -> Vec<Event>;
    /// The answer, and the end; or that what was sent before is not its beginning.
    fn answer(&mut self, answer: &Answer) -> Result<Vec<Event>, ApiError>;
    /// What went wrong after the response had begun, and the end.
    fn failure(&mut self, error: &ApiError, request_id: &str) -> Vec<Event>;
    /// Whether `Progress::Retrieval` is shown at all; if not, the response waits for the answer's first piece.
    fn shows_retrieval(&self) -> bool;
}

/// An event with a JSON body.
pub(super) fn json_event(name: Option<&str>, data: &impl Serialize) -> Event {
    let text = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    let event = match name {
        Some(name) => Event::default().event(name),
        None => Event::default(),
    };
    event.data(text)
}

/// The last event of most APIs.
pub(super) fn done_event() -> Event {
    Event::default().data("[DONE]")
}

/// Begins the response, or fails with a status when the answer failed before its first piece.
pub(super) async fn respond(
    mut running: Running,
    format: impl EventFormat,
) -> Result<Response, ApiError> {
    let mut early = early_steps(&mut running, format.shows_retrieval()).await;
    if let Some(Step::Done(result)) = early.back_mut()
        && let Err(error) = result.as_mut()
    {
        return Err(error.clone());
    }
    let release = release(&early);
    let events = Events {
        ready: VecDeque::new(),
        early,
        running: Some(running),
        format,
        opened: false,
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(events.into_stream())
        .keep_alive(keep_alive)
        .into_response();
    if let Some(release) = release {
        headers::name_release(&mut response, &release);
    }
    Ok(response)
}

/// Waits for the first piece of the answer or its end, for `GRACE` after retrieval when that is shown.
async fn early_steps(running: &mut Running, retrieval_is_shown: bool) -> VecDeque<Step> {
    let mut steps = VecDeque::new();
    let mut deadline = None;
    loop {
        let step = match deadline {
            None => running.next().await,
            Some(deadline) => match timeout_at(deadline, running.next()).await {
                Ok(step) => step,
                Err(_late) => return steps,
            },
        };
        let is_retrieval = matches!(step, Step::Progress(Progress::Retrieval { .. }));
        steps.push_back(step);
        if !is_retrieval {
            return steps;
        }
        if retrieval_is_shown {
            deadline = Some(Instant::now() + GRACE);
        }
    }
}

/// The release for the headers: the answer's own, or the one that is to answer. A fallback later than the headers is named
/// by the answer alone. None only where nothing was searched and the answer is not there yet.
fn release(steps: &VecDeque<Step>) -> Option<ReleaseInfo> {
    let mut chosen = None;
    for step in steps {
        match step {
            Step::Done(result) => {
                let answer = result.as_ref().as_ref();
                return answer.ok().map(|answer| answer.release.clone());
            }
            Step::Progress(Progress::Retrieval { release, .. }) => chosen = Some(release.clone()),
            Step::Progress(Progress::Delta { .. }) => {}
        }
    }
    chosen
}

struct Events<F> {
    ready: VecDeque<Event>,
    early: VecDeque<Step>,
    running: Option<Running>,
    format: F,
    opened: bool,
}

impl<F: EventFormat> Events<F> {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures::stream::unfold(self, |mut events| async move {
            let event = events.next().await?;
            Some((Ok(event), events))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if !self.opened {
                self.opened = true;
                self.ready.extend(self.format.opening());
            }
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let running = self.running.as_mut()?;
            let step = match self.early.pop_front() {
                Some(step) => step,
                None => running.next().await,
            };
            match step {
                Step::Progress(progress) => self.ready.extend(self.format.progress(progress)),
                Step::Done(result) => self.end(*result),
            }
        }
    }

    fn end(&mut self, result: Result<Answer, ApiError>) {
        let Some(running) = self.running.take() else {
            return;
        };
        let request_id = running.request_id.as_str();
        match result.and_then(|answer| self.format.answer(&answer)) {
            Ok(events) => self.ready.extend(events),
            Err(error) => {
                let cause = error.cause().map(|cause| observe::chain(cause));
                tracing::warn!(request_id, code = error.code(), cause, "stream failed");
                self.ready.extend(self.format.failure(&error, request_id));
            }
        }
    }
}
