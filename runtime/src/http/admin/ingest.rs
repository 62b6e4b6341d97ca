//! Many documents in one request. Each is answered for: one that is refused costs no other.

use std::sync::Arc;

use axum::Json as JsonResponse;
use axum::extract::State;
use quoin_retriever::{DocumentId, DocumentInput, RetrieverError, Stored};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::Http;
use crate::http::body::{self, DocumentJson};
use crate::http::documents::DocumentBody;
use crate::http::error::{ApiError, ErrorBody};
use crate::http::identity::{Administering, Authorized};

const MAX_DOCUMENTS: usize = 10_000;

/// Documents to put.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct IngestBody {
    /// Each with its `id` and what `PUT /v1/documents/{id}` takes.
    #[schema(value_type = Vec<Object>)]
    documents: Vec<Value>,
}

/// What became of each, in order.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Ingested {
    /// `{id, version, passages, unchanged}`, or `{id, error: {code, message}}`.
    #[schema(value_type = Vec<Object>)]
    results: Vec<Value>,
    /// The generation that has them all.
    generation: u64,
}

/// Stores documents. When it answers, searches find those that were stored, also after a crash.
#[utoipa::path(
    post, path = "/admin/v1/ingest", tag = "admin", request_body = IngestBody,
    responses(
        (status = 200, description = "What became of each.", body = Ingested),
        (status = "default", description = "The error of the whole.", body = ErrorBody),
    )
)]
pub(in crate::http) async fn create(
    State(http): State<Http>,
    _caller: Authorized<Administering>,
    DocumentJson(body, _memory): DocumentJson<IngestBody>,
) -> Result<JsonResponse<Ingested>, ApiError> {
    if body.documents.len() > MAX_DOCUMENTS {
        let message = format!(
            "`documents` must hold at most {MAX_DOCUMENTS}, got {}",
            body.documents.len()
        );
        return Err(ApiError::invalid("documents", message));
    }
    let retriever = Arc::clone(http.quoin.retriever());
    let ingested = tokio::task::spawn_blocking(move || {
        let read: Vec<Read> = body
            .documents
            .into_iter()
            .enumerate()
            .map(Read::of)
            .collect();
        let (outcomes, inputs) = split(read);
        let mut stored = retriever.put_batch(inputs)?.into_iter();
        let results = outcomes
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|id| result(&id, stored.next())))
            .collect();
        Ok::<_, ApiError>(Ingested {
            results,
            generation: retriever.generation(),
        })
    })
    .await??;
    Ok(JsonResponse(ingested))
}

/// A document of the request, or why it is none.
struct Read {
    id: Value,
    input: Result<DocumentInput, ApiError>,
}

impl Read {
    fn of((index, mut document): (usize, Value)) -> Self {
        let at = format!("documents[{index}]");
        let id = document
            .as_object_mut()
            .and_then(|fields| fields.shift_remove("id"));
        let input = match &id {
            Some(Value::String(id)) => DocumentId::new(id.as_str())
                .map_err(ApiError::from)
                .and_then(|id| {
                    let body: DocumentBody = body::shape(&at, document)?;
                    body.into_input(id)
                }),
            _ => Err(ApiError::invalid(
                format!("{at}.id"),
                format!("`{at}.id` must be a string"),
            )),
        };
        Self {
            id: id.unwrap_or_default(),
            input,
        }
    }
}

/// What is known already (`Ok`), and the inputs for the rest (`Err` holds their ids), both in order.
fn split(read: Vec<Read>) -> (Vec<Result<Value, Value>>, Vec<DocumentInput>) {
    let mut inputs = Vec::with_capacity(read.len());
    let outcomes = read
        .into_iter()
        .map(|read| match read.input {
            Err(error) => Ok(refused(&read.id, &error)),
            Ok(input) => {
                inputs.push(input);
                Err(read.id)
            }
        })
        .collect();
    (outcomes, inputs)
}

fn result(id: &Value, stored: Option<Result<Stored, RetrieverError>>) -> Value {
    match stored {
        Some(Ok(stored)) => json!({
            "id": stored.id,
            "version": stored.version,
            "passages": stored.passages,
            "unchanged": stored.unchanged,
            "warnings": stored.warnings,
        }),
        Some(Err(error)) => {
            let error = ApiError::from(error);
            if let Some(cause) = error.cause() {
                tracing::error!(
                    cause = crate::http::observe::chain(cause),
                    "a document could not be stored"
                );
            }
            refused(id, &error)
        }
        None => refused(
            id,
            &ApiError::internal("the batch answered for fewer documents than it was given"),
        ),
    }
}

fn refused(id: &Value, error: &ApiError) -> Value {
    json!({"id": id, "error": {"code": error.code(), "message": error.message()}})
}
