//! Rows of the catalogue's tables as our types, and what to do with one that is damaged.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::read::PassageRow;
use crate::document::{Document, Format};
use crate::index::IndexedPassage;
use crate::index::roster::Entry;
use crate::index::vector::Vector;
use crate::{Access, DocumentId, RetrieverError, Timestamp};

/// Of one pipeline; a document that it has not cut yet has no passages.
pub(super) const DOCUMENTS: &str =
    "SELECT d.id, d.version, d.generation, d.updated_at, d.content_hash, d.format, d.title, d.uri, d.source, d.acl, d.metadata,
    d.effective_from, d.effective_until, d.supersedes, coalesce(c.first_passage, 0), coalesce(c.passages, 0), d.supersedes_as,
    d.warnings
    FROM documents d LEFT JOIN cuts c ON c.document = d.ordinal AND c.pipeline = ?1";

pub(super) const INDEXED: &str =
    "SELECT p.key, d.title, p.heading, p.context, p.text, p.vector, d.id
    FROM passages p JOIN documents d ON d.ordinal = p.document";

/// What was read of a row, or `None` and a line in the log when what is stored there cannot be what was written: one damaged
/// document must not take the others with it.
pub(super) fn undamaged<T>(
    row: &Row<'_>,
    id: usize,
    read: rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if is_damage(&error) => {
            let document = match row.get_ref(id)? {
                ValueRef::Text(id) => String::from_utf8_lossy(id),
                _ => std::borrow::Cow::default(),
            };
            tracing::error!(%document, %error, "passed over: it is damaged in the catalogue; delete it and put it again");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether a value is not of the form that it was written in.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidQuery
            | rusqlite::Error::Utf8Error(..)
    )
}

pub(super) fn indexed(row: &Row<'_>, dimensions: usize) -> rusqlite::Result<IndexedPassage> {
    let heading: Vec<String> = json(row, 2)?;
    let title: Option<String> = row.get(1)?;
    let context: Option<String> = row.get(3)?;
    let text: String = row.get(4)?;
    let vector = row.get_ref(5)?.as_blob()?;
    Ok(IndexedPassage {
        key: row.get(0)?,
        words: crate::ingest::words(title.as_deref(), &heading, context.as_deref(), &text),
        vector: Vector::from_bytes(vector, dimensions).unwrap_or_else(|| Vector::none(dimensions)),
    })
}

pub(super) fn passage_row(row: &Row<'_>) -> rusqlite::Result<PassageRow> {
    Ok(PassageRow {
        document: id(row, 0)?,
        acl: json(row, 1)?,
        version: row.get::<_, i64>(2)?.cast_unsigned(),
        title: row.get(3)?,
        uri: row.get(4)?,
        position: size(row, 5)?,
        start_char: size(row, 6)?,
        end_char: size(row, 7)?,
        page: row.get(8)?,
        heading: json(row, 9)?,
        text: row.get(10)?,
    })
}

pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let format: String = row.get(5)?;
    let first: u32 = row.get(14)?;
    let passages: u32 = row.get(15)?;
    let supersedes: Option<String> = row.get(13)?;
    let document = Document {
        id: id(row, 0)?,
        version: row.get::<_, i64>(1)?.cast_unsigned(),
        generation: row.get::<_, i64>(2)?.cast_unsigned(),
        updated_at: instant(row, 3)?.ok_or(rusqlite::Error::InvalidQuery)?,
        format: Format::from_name(&format)
            .ok_or_else(|| broken(5, RetrieverError::invalid("format", "is of no reader")))?,
        title: row.get(6)?,
        uri: row.get(7)?,
        source: row.get(8)?,
        acl: json(row, 9)?,
        metadata: json(row, 10)?,
        effective_from: instant(row, 11)?,
        effective_until: instant(row, 12)?,
        supersedes: supersedes
            .map(DocumentId::new)
            .transpose()
            .map_err(|e| broken(13, e))?,
        supersedes_as: access(row, 16)?,
        passages: passages as usize,
        warnings: json(row, 17)?,
    };
    Ok(Entry {
        document,
        keys: first..first.saturating_add(passages),
        content_hash: row.get(4)?,
    })
}

pub(super) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<DocumentId> {
    DocumentId::new(row.get::<_, String>(column)?).map_err(|error| broken(column, error))
}

fn access(row: &Row<'_>, column: usize) -> rusqlite::Result<Access> {
    let tokens = match row.get_ref(column)? {
        ValueRef::Null => None,
        _ => Some(json(row, column)?),
    };
    Ok(Access::from_stored(tokens))
}

fn size(row: &Row<'_>, column: usize) -> rusqlite::Result<usize> {
    usize::try_from(row.get::<_, i64>(column)?).map_err(|error| broken(column, error))
}

pub(super) fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    row.get::<_, Option<i64>>(column)?
        .map(Timestamp::from_milliseconds)
        .transpose()
        .map_err(|error| broken(column, error))
}

pub(super) fn json<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| broken(column, error))
}

fn broken(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

pub(super) fn counter(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    connection
        .query_row(
            "SELECT value FROM retriever_meta WHERE name = ?1",
            [name],
            |row| row.get::<_, i64>(0),
        )
        .map(i64::cast_unsigned)
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
pub(super) fn tokens_to_bytes(tokens: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(tokens.len() * 2);
    for token in tokens {
        let mut rest = *token;
        while rest >= 0x80 {
            bytes.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push((rest & 0x7f) as u8);
    }
    bytes
}

pub(super) fn tokens_from_bytes(bytes: &[u8]) -> Vec<u32> {
    let mut tokens = Vec::with_capacity(bytes.len() / 2);
    let (mut token, mut shift) = (0_u32, 0);
    for byte in bytes {
        token |= u32::from(byte & 0x7f).wrapping_shl(shift);
        shift += 7;
        if byte & 0x80 == 0 {
            tokens.push(token);
            (token, shift) = (0, 0);
        }
    }
    tokens
}

pub(super) fn signed_to_bytes(values: &[i8]) -> Vec<u8> {
    values.iter().map(|value| value.cast_unsigned()).collect()
}

pub(super) fn signed_from_bytes(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|byte| byte.cast_signed()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_survive_the_catalogue(tokens: Vec<u32>) {
            prop_assert_eq!(tokens_from_bytes(&tokens_to_bytes(&tokens)), tokens);
        }
    }
}
