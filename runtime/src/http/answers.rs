//! `POST /v1/answers`: one JSON document, or events `retrieval`, `delta`, `answer`, `error`, and `[DONE]`.

use axum::Json as JsonResponse;
use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};

use super::answering::Asked;
use super::body::Json;
use super::error::{ApiError, ErrorBody};
use super::identity::{Answering, Authorized};
use super::request_id::RequestId;
use super::stream::{self, EventFormat, done_event, json_event};
use super::{Http, headers};
use crate::answer::types::{Answer, AnswerRequest, Progress, Status};

const ENDPOINT: &str = "/v1/answers";

/// Answers a question from the documents, with verbatim quotes.
#[utoipa::path(
    post, path = "/v1/answers", tag = "native", request_body = AnswerRequest,
    responses(
        (status = 200, description = "The answer, or an abstention; with `stream`, server-sent events.", body = Answer),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(http): State<Http>,
    caller: Authorized<Answering>,
    request_id: RequestId,
    Json(request): Json<AnswerRequest>,
) -> Result<Response, ApiError> {
    http.limits.question("question", &request.question)?;
    let streamed = request.stream;
    let (asked, _) = Asked::new(http, caller.clone(), request_id, ENDPOINT, request);
    if streamed {
        return stream::respond(asked.start(), Native::default()).await;
    }
    let answer = asked.answer().await?;
    let mut response = JsonResponse(&answer).into_response();
    headers::name_release(&mut response, &answer.release);
    Ok(response)
}

/// The events of our own API.
#[derive(Default)]
struct Native {
    /// Whether a piece of the answer was sent.
    begun: bool,
}

impl EventFormat for Native {
    fn opening(&mut self) -> Vec<Event> {
        Vec::new()
    }

    fn progress(&mut self, progress: Progress) -> Vec<Event> {
        let name = match progress {
            Progress::Retrieval { .. } => "retrieval",
            Progress::Delta { .. } => {
                self.begun = true;
                "delta"
            }
        };
        vec![json_event(Some(name), &progress)]
    }

    fn answer(&mut self, answer: &Answer) -> Result<Vec<Event>, ApiError> {
        let mut events = Vec::new();
        if answer.status == Status::Answered && !self.begun {
            // An answer that was there all at once is one piece: clients that only add up pieces see it too.
            let text = answer
                .answer
                .as_str()
                .map_or_else(|| answer.answer.to_string(), str::to_owned);
            let of_string = answer.answer.is_string();
            events.extend(self.progress(Progress::Delta { text, of_string }));
        }
        events.extend([json_event(Some("answer"), answer), done_event()]);
        Ok(events)
    }

    fn failure(&mut self, error: &ApiError, request_id: &str) -> Vec<Event> {
        vec![
            json_event(Some("error"), &error.body(request_id)),
            done_event(),
        ]
    }

    fn shows_retrieval(&self) -> bool {
        true
    }
}
