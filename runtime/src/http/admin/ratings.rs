//! What people said of answers whose text was kept: what data sets are made from.

use axum::Json as JsonResponse;
use axum::extract::State;
use serde_json::{Value, json};

use crate::http::Http;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::identity::{Administering, Authorized};

const RATINGS_MAX: usize = 100_000;

/// The newest ratings, oldest first, with question and answer. None where the text of answers is not kept (`log.content`).
#[utoipa::path(
    get, path = "/admin/v1/ratings", tag = "admin",
    responses(
        (status = 200, description = "`{ratings: [{id, status, content, metric, value, demonstration?}]}`.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn list(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
) -> Result<JsonResponse<Value>, ApiError> {
    let ratings = http.quoin.storage().rated_answers(RATINGS_MAX).await?;
    Ok(JsonResponse(json!({ "ratings": ratings })))
}
