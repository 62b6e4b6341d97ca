//! `POST /v1/answers/{id}/replay`: the same question again, under the release that the answer recorded, and what differs now.
//!
//! Adapter version, mode and every wish of the request are as they were; documents and settings are as they are. Where those have
//! changed, the releases differ, and that is said.

use axum::Json as JsonResponse;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Http;
use super::answering::Asked;
use super::error::{ApiError, ErrorBody};
use super::identity::{Answering, Authorized};
use super::request_id::RequestId;
use crate::answer::types::{Answer, AnswerRequest, Mode, ReleaseInfo};
use crate::caller::Scope;
use crate::storage::Logged;

const ENDPOINT: &str = "/v1/answers/{id}/replay";

/// An answer as the log has it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Recorded {
    /// `ans_…`.
    id: String,
    /// What answered then.
    release: ReleaseInfo,
    /// What it answered.
    answer: Value,
    /// What it cited.
    documents: Vec<String>,
}

/// An answer and the same question's answer now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Replayed {
    /// Then.
    recorded: Recorded,
    /// Now.
    now: Answer,
    /// Which of `release`, `generation`, `answer` and `documents` differ.
    differs: Vec<&'static str>,
}

/// What the log keeps of a request's content.
#[derive(Deserialize)]
struct Content {
    request: AnswerRequest,
    #[serde(default)]
    answer: Value,
}

/// Answers again under the recorded release.
#[utoipa::path(
    post, path = "/v1/answers/{id}/replay", tag = "native",
    params(("id" = String, Path, description = "`ans_…`.")),
    responses(
        (status = 200, description = "Both answers, and what differs.", body = Replayed),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(http): State<Http>,
    caller: Authorized<Answering>,
    request_id: RequestId,
    Path(id): Path<String>,
) -> Result<JsonResponse<Replayed>, ApiError> {
    let anyone = caller.may(Scope::Admin);
    let logged = http
        .quoin
        .storage()
        .logged_answer(id, caller.subject.clone(), anyone)
        .await?;
    let (request, recorded) = as_it_was(logged)?;
    let (asked, _) = Asked::new(http, caller.clone(), request_id, ENDPOINT, request);
    let replayed = asked.answer().await?;
    Ok(JsonResponse(Replayed {
        differs: differences(&recorded, &replayed),
        recorded,
        now: replayed,
    }))
}

fn as_it_was(logged: Logged) -> Result<(AnswerRequest, Recorded), ApiError> {
    let content = logged.content.ok_or_else(|| {
        ApiError::conflict(
            "the log has not kept this question: `log.content` was off, or a document that it cited was deleted",
        )
    })?;
    let Content {
        mut request,
        answer,
    } = serde_json::from_value(content).map_err(|_| {
        ApiError::conflict("an older version logged this question, without its request")
    })?;
    // What stood in for a model then does so now.
    if !matches!(
        logged.release.route.as_str(),
        "base" | "pinned" | "stable" | "canary" | "fallback:canary"
    ) {
        request.mode = Mode::Extractive;
    }
    request.model = Some(logged.release.adapter.clone());
    let recorded = Recorded {
        id: logged.id,
        release: logged.release,
        answer,
        documents: logged.documents,
    };
    Ok((request, recorded))
}

fn differences(recorded: &Recorded, replayed: &Answer) -> Vec<&'static str> {
    [
        ("release", recorded.release.id != replayed.release.id),
        (
            "generation",
            recorded.release.generation != replayed.release.generation,
        ),
        ("answer", recorded.answer != replayed.answer),
        ("documents", recorded.documents != replayed.documents()),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}
