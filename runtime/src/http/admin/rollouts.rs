//! Rollouts: start one, see how it stands, and have the last word.

use axum::Json as JsonResponse;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use quoin_adapters::AdapterId;
use quoin_adapters::rollout::{Input, Rollout, Status, plot};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::Http;
use crate::http::body::Json;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::identity::{Administering, Authorized};
use crate::rollouts::{RolloutRefusal, StartRequest};
use crate::storage::now_ms;

const REASON_BYTES_MAX: usize = 1000;

/// Why, in words.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Word {
    /// Stands in the audit log.
    #[serde(default)]
    reason: Option<String>,
}

/// Starts a rollout on `champion`. Answers once the new release is loaded and has answered a question.
#[utoipa::path(
    post, path = "/admin/v1/rollouts", tag = "admin", request_body = StartRequest,
    responses(
        (status = 201, description = "How it stands.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn start(
    State(http): State<Http>,
    caller: Authorized<Administering>,
    Json(request): Json<StartRequest>,
) -> Result<(StatusCode, JsonResponse<Status>), ApiError> {
    let status = http.quoin.start_rollout(&caller, request).await?;
    Ok((StatusCode::CREATED, JsonResponse(status)))
}

/// All rollouts, the last first, with the audit log, checked.
#[utoipa::path(
    get, path = "/admin/v1/rollouts", tag = "admin",
    responses(
        (status = 200, description = "`{rollouts, audit, intact, problem}`.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn history(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
) -> Result<JsonResponse<Value>, ApiError> {
    let storage = http.quoin.storage();
    let rollouts = storage.rollouts().await?;
    let audit = storage.rollout_audit().await?;
    Ok(JsonResponse(json!({
        "rollouts": rollouts.iter().map(shown).collect::<Vec<_>>(),
        "audit": audit.lines,
        "intact": audit.problem.is_none(),
        "problem": audit.problem,
    })))
}

fn shown(rollout: &Rollout) -> Value {
    let status = rollout.status(now_ms());
    json!({
        "id": status.id,
        "adapter": AdapterId::or_base(status.canary.adapter.as_ref()),
        "state": status.state.to_string(),
        "weight_basis_points": status.weight_basis_points,
    })
}

/// How a rollout stands: `current` is the running one, or else the last.
#[utoipa::path(
    get, path = "/admin/v1/rollouts/{id}", tag = "admin",
    params(("id" = String, Path, description = "`rol_…`, or `current`.")),
    responses(
        (status = 200, description = "State, shares, counts, e-values.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn status(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    Path(id): Path<String>,
) -> Result<JsonResponse<Status>, ApiError> {
    Ok(JsonResponse(find(&http, id).await?))
}

/// The running rollout as it stands in memory, any other as it ended.
async fn find(http: &Http, id: String) -> Result<Status, ApiError> {
    let running = http.quoin.rollouts().status();
    if let Some(status) = running.filter(|status| id == "current" || status.id == id) {
        return Ok(status);
    }
    let wanted = (id != "current").then(|| id.clone());
    let found = http.quoin.storage().rollout(wanted.clone()).await?;
    let missing = || match wanted {
        Some(id) => RolloutRefusal::Unknown(id),
        None => RolloutRefusal::NoneRunning,
    };
    Ok(found.ok_or_else(missing)?.status(now_ms()))
}

/// A picture of a rollout: shares, e-values and events over time.
#[utoipa::path(
    get, path = "/admin/v1/rollouts/{id}/plot", tag = "admin",
    params(("id" = String, Path, description = "`rol_…`, or `current`.")),
    responses(
        (status = 200, description = "SVG.", content_type = "image/svg+xml"),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn picture(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let status = find(&http, id).await?;
    let mut course = http
        .quoin
        .storage()
        .rollout_course(status.id.clone())
        .await?;
    if status.live {
        course.points.push(status);
    }
    let svg = plot(&course.points, &course.transitions);
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], svg).into_response())
}

/// Pauses, resumes, promotes or aborts the running rollout. It holds for the next request.
#[utoipa::path(
    post, path = "/admin/v1/rollouts/{id}/{word}", tag = "admin", request_body = Word,
    params(
        ("id" = String, Path, description = "`rol_…`, or `current`."),
        ("word" = String, Path, description = "`pause`, `resume`, `promote` or `abort`."),
    ),
    responses(
        (status = 200, description = "How it stands.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn tell(
    State(http): State<Http>,
    caller: Authorized<Administering>,
    Path((id, word)): Path<(String, String)>,
    Json(body): Json<Word>,
) -> Result<JsonResponse<Status>, ApiError> {
    let reason = body.reason.unwrap_or_default();
    if reason.len() > REASON_BYTES_MAX {
        let message = format!(
            "`reason` must be at most {REASON_BYTES_MAX} bytes, got {}",
            reason.len()
        );
        return Err(ApiError::invalid("reason", message));
    }
    let running = http.quoin.rollouts().status();
    if id != "current" && running.is_none_or(|status| status.id != id) {
        return Err(RolloutRefusal::NoneRunning.into());
    }
    let by = caller.subject.clone();
    let reason = if reason.is_empty() {
        "no reason was given".to_owned()
    } else {
        reason
    };
    let input = match word.as_str() {
        "pause" => |by, reason, at_ms| Input::Pause { by, reason, at_ms },
        "resume" => |by, reason, at_ms| Input::Resume { by, reason, at_ms },
        "promote" => |by, reason, at_ms| Input::Promote { by, reason, at_ms },
        "abort" => |by, reason, at_ms| Input::Abort { by, reason, at_ms },
        _ => {
            let message = "a rollout is told to `pause`, `resume`, `promote` or `abort`";
            return Err(ApiError::invalid("word", message));
        }
    };
    let told = http.quoin.rollouts().told(|at_ms| input(by, reason, at_ms));
    Ok(JsonResponse(told.await?))
}
