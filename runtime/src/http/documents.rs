//! Documents: put, list, show, read and delete. Ids may hold `/`, percent-encoded or not.
//!
//! What a caller may not see is not there: reading and deleting it is a 404. Replacing it is a 409, because a key that
//! cannot read a document must not be able to put its own text in that place.

use std::sync::Arc;

use axum::Json as JsonResponse;
use axum::extract::rejection::QueryRejection;
use axum::extract::{OriginalUri, Query, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use quoin_retriever::{
    Access, Content, DeletionReceipt, Document, DocumentChange, DocumentId, DocumentInput, Format,
    Metadata, Page, Retriever, RetrieverError, Stored, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::body::DocumentJson;
use super::error::{ApiError, ErrorBody};
use super::identity::{Authorized, Ingesting, Searching};
use super::{Http, limits};
use crate::erasure;

const PREFIX: &str = "/v1/documents/";
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// A document to put.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DocumentBody {
    /// The text; `content_type` says how it is written, plain text when left out.
    #[serde(default)]
    text: Option<String>,
    /// Or a file, in base64, with its `content_type`.
    #[serde(default)]
    content_base64: Option<String>,
    /// Such as `text/plain`, `text/markdown`, `text/html`, `text/csv`, `application/pdf` or `message/rfc822`.
    #[serde(default)]
    content_type: Option<String>,
    /// Shown beside quotes.
    #[serde(default)]
    title: Option<String>,
    /// Where it came from.
    #[serde(default)]
    uri: Option<String>,
    /// Access tokens that may read it; left out, the default of its source, and without one only `admin` reads it.
    #[serde(default)]
    acl: Option<Vec<String>>,
    /// The access list where neither `acl` nor the document's own front matter says one.
    #[serde(default)]
    default_acl: Option<Vec<String>>,
    /// For filters.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
    /// In force from this moment on: RFC 3339, or a date.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    effective_from: Option<Value>,
    /// In force until this moment: RFC 3339, or a date.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    effective_until: Option<Value>,
    /// The document that this one replaces.
    #[serde(default)]
    supersedes: Option<String>,
    /// The source it belongs to.
    #[serde(default)]
    source: Option<String>,
}

/// What to change, as a JSON merge patch: what is left out stays, and null removes.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::option_option,
    reason = "left out, null and a value are three things in a merge patch"
)]
pub(super) struct ChangeBody {
    /// Access tokens that may read it; null for the default of the settings, and without one only `admin` reads it.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<String>>)]
    acl: Option<Option<Vec<String>>>,
    /// Shown beside quotes, and searched.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    title: Option<Option<String>>,
    /// Where it came from.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    uri: Option<Option<String>>,
    /// For filters; merged into what is there.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Option<Metadata>>,
    /// In force from this moment on: RFC 3339, or a date.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    effective_from: Option<Option<Value>>,
    /// In force until this moment: RFC 3339, or a date.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    effective_until: Option<Option<Value>>,
}

/// Tells null from what is left out.
#[expect(
    clippy::option_option,
    reason = "left out, null and a value are three things in a merge patch"
)]
fn said<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// Which page of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Documents, 1 to 1000; 100 when left out.
    #[serde(default)]
    limit: Option<usize>,
    /// The last id of the page before.
    #[serde(default)]
    after: Option<String>,
}

/// A page of documents.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DocumentList {
    /// In the order of their ids.
    #[schema(value_type = Vec<Object>)]
    documents: Vec<Document>,
    /// Pass it as `after` for the next page; null on the last.
    next: Option<String>,
}

/// Lists the documents that the caller may read.
#[utoipa::path(
    get, path = "/v1/documents", tag = "native", params(ListQuery),
    responses(
        (status = 200, description = "A page of documents.", body = DocumentList),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn list(
    State(http): State<Http>,
    caller: Authorized<Searching>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<JsonResponse<DocumentList>, ApiError> {
    let Query(query) =
        query.map_err(|refused| ApiError::invalid("query string", refused.body_text()))?;
    let limit = limits::within("limit", query.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let after = query.after.map(DocumentId::new).transpose()?;
    let access = caller.access.clone();
    let retriever = Arc::clone(http.quoin.retriever());
    // One more than asked for tells whether there is a next page.
    let page = Page {
        after,
        limit: limit + 1,
    };
    let mut documents =
        tokio::task::spawn_blocking(move || retriever.documents(&access, &page)).await??;
    let more = documents.len() > limit;
    documents.truncate(limit);
    let next = documents
        .last()
        .filter(|_| more)
        .map(|last| last.id.to_string());
    Ok(JsonResponse(DocumentList { documents, next }))
}

/// Stores a document. When it answers, searches find it, also after a crash.
#[utoipa::path(
    put, path = "/v1/documents/{id}", tag = "native", request_body = DocumentBody,
    params(("id" = String, Path, description = "The document's id; may hold `/`.")),
    responses(
        (status = 200, description = "Stored.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn put(
    State(http): State<Http>,
    caller: Authorized<Ingesting>,
    OriginalUri(uri): OriginalUri,
    DocumentJson(body, _memory): DocumentJson<DocumentBody>,
) -> Result<JsonResponse<Stored>, ApiError> {
    let id = id_in(&uri)?;
    let access = caller.access.clone();
    let retriever = Arc::clone(http.quoin.retriever());
    let stored = tokio::task::spawn_blocking(move || {
        let input = body.into_input(id)?;
        refuse_hidden(&retriever, &input.id, &access)?;
        Ok::<_, ApiError>(retriever.put_as(input, &access)?)
    })
    .await??;
    Ok(JsonResponse(stored))
}

/// Shows a document, or its text at `…/text`.
#[utoipa::path(
    get, path = "/v1/documents/{id}", tag = "native",
    params(("id" = String, Path, description = "The document's id; may hold `/`.")),
    responses(
        (status = 200, description = "The document, without its text.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn show(
    State(http): State<Http>,
    caller: Authorized<Searching>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, ApiError> {
    let access = caller.access.clone();
    let retriever = Arc::clone(http.quoin.retriever());
    let of_text = uri
        .path()
        .strip_suffix("/text")
        .and_then(|path| path.strip_prefix(PREFIX));
    let of_text = of_text
        .filter(|id| !id.is_empty())
        .map(decoded)
        .transpose()?;
    // Not an id where `…/text` makes it too long for one, which matters only if there is no such text.
    let whole = id_in(&uri);
    tokio::task::spawn_blocking(move || {
        if let Some(id) = of_text {
            match retriever.text(&id, &access) {
                // There may be a document whose own id ends so.
                Err(RetrieverError::NotFound(_)) => {}
                text => return Ok(JsonResponse(json!({"id": id, "text": text?})).into_response()),
            }
        }
        Ok(JsonResponse(retriever.document(&whole?, &access)?).into_response())
    })
    .await?
}

/// Reads the text that citations point into.
#[utoipa::path(
    get, path = "/v1/documents/{id}/text", tag = "native",
    params(("id" = String, Path, description = "The document's id; may hold `/`.")),
    responses(
        (status = 200, description = "`{id, text}`.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
#[expect(dead_code, reason = "only documents the second form of `show`")]
pub(super) fn text() {}

/// Changes what is said about a document: the next request goes by it, and no passage is made again unless the title changes.
#[utoipa::path(
    patch, path = "/v1/documents/{id}", tag = "native", request_body = ChangeBody,
    params(("id" = String, Path, description = "The document's id; may hold `/`.")),
    responses(
        (status = 200, description = "Changed.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn change(
    State(http): State<Http>,
    caller: Authorized<Ingesting>,
    OriginalUri(uri): OriginalUri,
    DocumentJson(body, _memory): DocumentJson<ChangeBody>,
) -> Result<JsonResponse<Stored>, ApiError> {
    let id = id_in(&uri)?;
    let change = body.into_change()?;
    let access = caller.access.clone();
    let retriever = Arc::clone(http.quoin.retriever());
    let stored =
        tokio::task::spawn_blocking(move || retriever.change_as(&id, change, &access)).await??;
    Ok(JsonResponse(stored))
}

/// Deletes a document. When it answers, no search finds it, also after a crash.
#[utoipa::path(
    delete, path = "/v1/documents/{id}", tag = "native",
    params(("id" = String, Path, description = "The document's id; may hold `/`.")),
    responses(
        (status = 200, description = "A deletion receipt.", body = Object),
        (status = "default", description = "The error.", body = ErrorBody),
    )
)]
pub(super) async fn delete(
    State(http): State<Http>,
    caller: Authorized<Ingesting>,
    OriginalUri(uri): OriginalUri,
) -> Result<JsonResponse<DeletionReceipt>, ApiError> {
    let id = id_in(&uri)?;
    let access = caller.access.clone();
    let retriever = Arc::clone(http.quoin.retriever());
    let deleted = id.clone();
    let receipt =
        tokio::task::spawn_blocking(move || retriever.delete(&deleted, &access)).await??;
    // It is deleted whatever comes of this, which is tried again in the background.
    if let Err(error) = erasure::purge(&http.quoin).await {
        tracing::warn!(error = &*error, "the request log is not purged yet");
        return Ok(JsonResponse(receipt));
    }
    let retriever = Arc::clone(http.quoin.retriever());
    let receipt = tokio::task::spawn_blocking(move || retriever.receipt(&id)).await??;
    Ok(JsonResponse(receipt))
}

impl DocumentBody {
    /// Decodes the content; the retriever checks the rest. Blocking for large documents.
    pub(super) fn into_input(self, id: DocumentId) -> Result<DocumentInput, ApiError> {
        let content = content(self.text, self.content_base64, self.content_type)?;
        Ok(DocumentInput {
            id,
            content,
            title: self.title,
            uri: self.uri,
            acl: self.acl,
            default_acl: self.default_acl,
            metadata: self.metadata.unwrap_or_default(),
            effective_from: moment("effective_from", self.effective_from)?,
            effective_until: moment("effective_until", self.effective_until)?,
            supersedes: self.supersedes.map(DocumentId::new).transpose()?,
            source: self.source,
        })
    }
}

impl ChangeBody {
    fn into_change(self) -> Result<DocumentChange, ApiError> {
        let instant = |param, value: Option<Option<Value>>| {
            value.map(|value| moment(param, value)).transpose()
        };
        Ok(DocumentChange {
            acl: self.acl,
            title: self.title,
            uri: self.uri,
            metadata: self.metadata,
            effective_from: instant("effective_from", self.effective_from)?,
            effective_until: instant("effective_until", self.effective_until)?,
        })
    }
}

fn content(
    text: Option<String>,
    encoded: Option<String>,
    content_type: Option<String>,
) -> Result<Content, ApiError> {
    match (text, encoded) {
        (Some(text), None) => {
            let format = match content_type {
                None => Format::Text,
                Some(name) => {
                    Format::from_content_type(&name).ok_or_else(|| unknown_type(&name))?
                }
            };
            Ok(Content::Text { text, format })
        }
        (None, Some(encoded)) => {
            let content_type = content_type.ok_or_else(|| {
                ApiError::invalid(
                    "content_type",
                    "`content_base64` needs `content_type`, such as text/markdown",
                )
            })?;
            let bytes = STANDARD.decode(encoded.as_bytes()).map_err(|error| {
                ApiError::invalid(
                    "content_base64",
                    format!("`content_base64` is not base64: {error}"),
                )
            })?;
            Ok(Content::Bytes {
                bytes,
                content_type,
            })
        }
        (Some(_), Some(_)) => Err(ApiError::invalid(
            "content_base64",
            "`text` and `content_base64` exclude each other",
        )),
        (None, None) => Err(ApiError::invalid(
            "text",
            "a document needs `text`, or `content_base64` with `content_type`",
        )),
    }
}

fn unknown_type(name: &str) -> ApiError {
    let name: String = name.chars().take(80).collect();
    ApiError::invalid(
        "content_type",
        format!(
            "`content_type` must be a media type that a reader knows, such as text/markdown or application/pdf, got `{name}`"
        ),
    )
}

fn moment(param: &str, value: Option<Value>) -> Result<Option<Timestamp>, ApiError> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let text = value.as_str().ok_or_else(|| {
        ApiError::invalid(
            param,
            format!("`{param}` must be a string: RFC 3339, or a date"),
        )
    })?;
    text.parse().map(Some).map_err(|_| {
        let text: String = text.chars().take(40).collect();
        ApiError::invalid(
            param,
            format!("`{param}` must be `2026-01-31T08:00:00Z` or `2026-01-31`, got {text:?}"),
        )
    })
}

/// Refuses to replace a document that the caller may not read.
fn refuse_hidden(retriever: &Retriever, id: &DocumentId, access: &Access) -> Result<(), ApiError> {
    if retriever.may_replace(id, access) {
        return Ok(());
    }
    Err(ApiError::conflict(format!(
        "the id `{id}` is taken by a document that this key may not read: take another id, or a key with one of that \
         document's access tokens"
    )))
}

/// The id behind the prefix, as it stands in the request line.
fn id_in(uri: &Uri) -> Result<DocumentId, ApiError> {
    decoded(uri.path().strip_prefix(PREFIX).unwrap_or_default())
}

fn decoded(raw: &str) -> Result<DocumentId, ApiError> {
    let id = percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| ApiError::invalid("id", "`id` is not UTF-8 after percent-decoding"))?;
    Ok(DocumentId::new(id.into_owned())?)
}

/// Where a document is served.
pub(super) fn path_of(id: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'~')
        .remove(b'.')
        .remove(b'/');
    format!("{PREFIX}{}", utf8_percent_encode(id, KEPT))
}
