//! `POST /v1/embeddings`: vectors of the retriever's own embedder, as numbers or in base64.
//!
//! There is one embedder: any `model` is accepted, and the response names the one that was used.

use std::sync::Arc;

use axum::Json as JsonResponse;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::Http;
use super::body::Json;
use super::error::{ApiError, ErrorBody};
use super::identity::{Authorized, Searching};

const MAX_INPUTS: usize = 2048;

/// The body of an embedding request.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct EmbeddingsRequest {
    /// A text, or a list of texts.
    #[schema(value_type = Object)]
    input: Value,
    /// `float` (the default) or `base64`: little-endian 32-bit floats.
    #[serde(default)]
    encoding_format: Option<String>,
    /// The embedder's own number of dimensions, or left out.
    #[serde(default)]
    dimensions: Option<usize>,
}

/// Embeds texts.
#[utoipa::path(
    post, path = "/v1/embeddings", tag = "openai", request_body = EmbeddingsRequest,
    responses(
        (status = 200, description = "One vector for each text, in order.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn create(
    State(http): State<Http>,
    _caller: Authorized<Searching>,
    Json(request): Json<EmbeddingsRequest>,
) -> Result<JsonResponse<Value>, ApiError> {
    let texts = texts(request.input)?;
    let as_base64 = match request.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => {
            return Err(ApiError::invalid(
                "encoding_format",
                "`encoding_format` must be float or base64",
            ));
        }
    };
    let retriever = Arc::clone(http.quoin.retriever());
    let words: usize = texts
        .iter()
        .map(|text| text.split_whitespace().count())
        .sum();
    let (vectors, embedder) = tokio::task::spawn_blocking(move || {
        let vectors = retriever.embed(&texts)?;
        Ok::<_, ApiError>((vectors, retriever.embedder()))
    })
    .await??;
    if let (Some(wanted), Some(vector)) = (request.dimensions, vectors.first())
        && wanted != vector.len()
    {
        return Err(ApiError::invalid(
            "dimensions",
            format!(
                "`dimensions` must be {}, the embedder's own, got {wanted}",
                vector.len()
            ),
        ));
    }
    let data: Vec<Value> = vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| {
            let embedding = if as_base64 {
                Value::from(base64_of(vector))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    Ok(JsonResponse(json!({
        "object": "list",
        "data": data,
        "model": embedder,
        // Words: the static embedder has no token budget that one could be billed by.
        "usage": {"prompt_tokens": words, "total_tokens": words},
    })))
}

fn texts(input: Value) -> Result<Vec<String>, ApiError> {
    let values = match input {
        Value::Array(values) => values,
        text @ Value::String(_) => vec![text],
        _ => {
            return Err(ApiError::invalid(
                "input",
                "`input` must be a string or a list of strings",
            ));
        }
    };
    if !(1..=MAX_INPUTS).contains(&values.len()) {
        return Err(ApiError::invalid(
            "input",
            format!(
                "`input` must hold 1 to {MAX_INPUTS} texts, got {}",
                values.len()
            ),
        ));
    }
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| match value {
            Value::String(text) if !text.is_empty() => Ok(text),
            Value::String(_) => Err(at(index, "must not be empty")),
            Value::Number(_) | Value::Array(_) => Err(at(
                index,
                "is a token id: send text, because token ids belong to another model's tokenizer (in LangChain: `check_embedding_ctx_length=False`)",
            )),
            _ => Err(at(index, "must be a string")),
        })
        .collect()
}

fn at(index: usize, rule: &str) -> ApiError {
    let param = format!("input[{index}]");
    let message = format!("`{param}` {rule}");
    ApiError::invalid(param, message)
}

fn base64_of(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    STANDARD.encode(bytes)
}
