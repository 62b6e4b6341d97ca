//! Writing: one transaction is one generation.

use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::Catalogue;
use crate::document::Document;
use crate::index::vector::Vector;
use crate::passage::Passage;
use crate::read::Block;
use crate::{DocumentId, RetrieverError, Timestamp};

/// A passage that has no key yet.
#[derive(Clone, Debug)]
pub(crate) struct NewPassage {
    pub passage: Passage,
    pub tokens: Vec<u32>,
    pub vector: Vector,
    /// See [`crate::PassageVectors::tokens`].
    pub token_vectors: Vec<i8>,
}

/// A document's content, read, cut and embedded.
#[derive(Clone, Copy)]
pub(crate) struct NewContent<'a> {
    pub text: &'a str,
    pub outline: &'a [Block],
    pub content_hash: &'a [u8],
    pub passages: &'a [NewPassage],
}

/// An open write.
pub(crate) struct Written<'a> {
    transaction: Transaction<'a>,
    pub generation: u64,
}

const WRITING: &str = "writing a document";

impl Catalogue {
    /// Runs `work` in a transaction that is durable when this returns, and counts as one generation.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&Written<'_>) -> Result<T, RetrieverError>,
    ) -> Result<T, RetrieverError> {
        self.transact(
            work,
            |connection| Ok(next(connection, "generation", 1)? + 1),
        )
    }

    /// Runs `work` as [`Self::write`] does, for what no search sees: the generation stays.
    pub(crate) fn write_unseen<T>(
        &self,
        work: impl FnOnce(&Written<'_>) -> Result<T, RetrieverError>,
    ) -> Result<T, RetrieverError> {
        self.transact(work, |connection| {
            super::row::counter(connection, "generation")
        })
    }

    fn transact<T>(
        &self,
        work: impl FnOnce(&Written<'_>) -> Result<T, RetrieverError>,
        generation: impl FnOnce(&Connection) -> rusqlite::Result<u64>,
    ) -> Result<T, RetrieverError> {
        let failed = RetrieverError::storage("committing a write");
        let mut connection = self.writer();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        let written = Written {
            generation: generation(&transaction).map_err(&failed)?,
            transaction,
        };
        let done = work(&written)?;
        written.transaction.commit().map_err(failed)?;
        Ok(done)
    }

    /// Empties the write-ahead log, which may still hold what was deleted. `false` while a reader needs it.
    pub(crate) fn empty_log(&self) -> Result<bool, RetrieverError> {
        empty_log(&self.writer()).map_err(RetrieverError::storage("emptying its log"))
    }
}

fn empty_log(connection: &Connection) -> rusqlite::Result<bool> {
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}

/// Adds to a counter, and returns what it was.
fn next(connection: &Connection, counter: &str, by: u64) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(
            "UPDATE retriever_meta SET value = value + ?2 WHERE name = ?1 RETURNING value - ?2",
        )?
        .query_row(params![counter, signed(by)], |row| row.get::<_, i64>(0))
        .map(i64::cast_unsigned)
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn size(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Written<'_> {
    pub(super) fn connection(&self) -> &Connection {
        &self.transaction
    }

    /// The version that a document's next put gets, also after a deletion.
    pub(crate) fn next_version(&self, id: &DocumentId) -> Result<u64, RetrieverError> {
        let last: Option<i64> = self
            .transaction
            .prepare_cached(
                "SELECT max(version) FROM (SELECT version FROM documents WHERE id = ?1
                 UNION ALL SELECT version FROM deletions WHERE document = ?1)",
            )
            .and_then(|mut statement| statement.query_row([id.as_str()], |row| row.get(0)))
            .map_err(RetrieverError::storage(WRITING))?;
        Ok(last.unwrap_or(0).cast_unsigned() + 1)
    }

    /// Replaces a document's row, text and passages, and returns the keys of the passages. Those of other pipelines are gone.
    pub(crate) fn put(
        &self,
        document: &Document,
        new: NewContent<'_>,
        pipeline: u32,
    ) -> Result<Range<u32>, RetrieverError> {
        let ordinal = self
            .remove_rows(&document.id)
            .and_then(|()| self.insert_document(document, new))
            .and_then(|ordinal| {
                self.transaction
                    .prepare_cached(
                        "INSERT INTO document_texts (document, text, outline) VALUES (?1, ?2, ?3)",
                    )?
                    .execute(params![ordinal, new.text, json(&new.outline)])?;
                Ok(ordinal)
            })
            .map_err(RetrieverError::storage(WRITING))?;
        self.insert_cut(ordinal, new, pipeline)
    }

    /// Puts the passages that a pipeline makes of a stored document in the place of those that it made before; `false` when the
    /// document is gone, or its content is another by now.
    pub(crate) fn put_cut(
        &self,
        id: &DocumentId,
        new: NewContent<'_>,
        pipeline: u32,
    ) -> Result<bool, RetrieverError> {
        let ordinal: Option<i64> = self
            .transaction
            .prepare_cached("SELECT ordinal FROM documents WHERE id = ?1 AND content_hash = ?2")
            .and_then(|mut statement| {
                let found = params![id.as_str(), new.content_hash];
                statement.query_row(found, |row| row.get(0)).optional()
            })
            .map_err(RetrieverError::storage(WRITING))?;
        let Some(ordinal) = ordinal else {
            return Ok(false);
        };
        self.transaction
            .prepare_cached("DELETE FROM passages WHERE document = ?1 AND pipeline = ?2")
            .and_then(|mut statement| statement.execute(params![ordinal, pipeline]))
            .map_err(RetrieverError::storage(WRITING))?;
        self.insert_cut(ordinal, new, pipeline)?;
        Ok(true)
    }

    fn insert_cut(
        &self,
        ordinal: i64,
        new: NewContent<'_>,
        pipeline: u32,
    ) -> Result<Range<u32>, RetrieverError> {
        let count = new.passages.len() as u64;
        let first = next(&self.transaction, "next_passage", count)
            .map_err(RetrieverError::storage(WRITING))?;
        let key = |number: u64| {
            u32::try_from(number).map_err(|_| RetrieverError::TooLarge {
                what: "the catalogue",
                limit: u64::from(u32::MAX),
                got: number,
                unit: "passages over its lifetime",
            })
        };
        let keys = key(first)?..key(first + count)?;
        self.insert_passages(ordinal, new, pipeline, &keys)
            .map_err(RetrieverError::storage(WRITING))?;
        Ok(keys)
    }

    fn insert_passages(
        &self,
        ordinal: i64,
        new: NewContent<'_>,
        pipeline: u32,
        keys: &Range<u32>,
    ) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO cuts (document, pipeline, first_passage, passages) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![ordinal, pipeline, keys.start, size(keys.len())])?;
        let mut insert = self.transaction.prepare_cached(
            "INSERT INTO passages (key, document, pipeline, position, start_byte, end_byte, start_char, end_char, page,
             heading, context, text, tokens, vector) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?;
        let mut insert_tokens = self
            .transaction
            .prepare_cached("INSERT INTO token_vectors (passage, vectors) VALUES (?1, ?2)")?;
        for (position, (key, part)) in keys.clone().zip(new.passages).enumerate() {
            let passage = &part.passage;
            insert.execute(params![
                key,
                ordinal,
                pipeline,
                size(position),
                size(passage.bytes.start),
                size(passage.bytes.end),
                size(passage.chars.start),
                size(passage.chars.end),
                passage.page,
                json(&passage.heading),
                passage.context,
                new.text.get(passage.bytes.clone()).unwrap_or_default(),
                super::row::tokens_to_bytes(&part.tokens),
                part.vector.to_bytes(),
            ])?;
            if !part.token_vectors.is_empty() {
                let bytes = super::row::signed_to_bytes(&part.token_vectors);
                insert_tokens.execute(params![key, bytes])?;
            }
        }
        Ok(())
    }

    fn insert_document(&self, document: &Document, new: NewContent<'_>) -> rusqlite::Result<i64> {
        self.transaction
            .prepare_cached(
                "INSERT INTO documents (id, version, generation, updated_at, content_hash, format, title, uri,
                 source, acl, metadata, effective_from, effective_until, supersedes, supersedes_as, warnings)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
                 RETURNING ordinal",
            )?
            .query_row(
                params![
                    document.id.as_str(),
                    signed(document.version),
                    signed(document.generation),
                    document.updated_at.as_milliseconds(),
                    new.content_hash,
                    document.format.name(),
                    document.title,
                    document.uri,
                    document.source,
                    json(&document.acl),
                    json(&document.metadata),
                    document.effective_from.map(Timestamp::as_milliseconds),
                    document.effective_until.map(Timestamp::as_milliseconds),
                    document.supersedes.as_ref().map(DocumentId::as_str),
                    document.supersedes_as.stored().map(json),
                    json(&document.warnings),
                ],
                |row| row.get(0),
            )
    }

    /// Changes what is said about a document whose content and title stay.
    pub(crate) fn set_attributes(&self, document: &Document) -> Result<(), RetrieverError> {
        self.transaction
            .prepare_cached(
                "UPDATE documents SET version = ?2, generation = ?3, updated_at = ?4, uri = ?5, source = ?6, acl = ?7,
                 metadata = ?8, effective_from = ?9, effective_until = ?10, supersedes = ?11, supersedes_as = ?12,
                 warnings = ?13 WHERE id = ?1",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    document.id.as_str(),
                    signed(document.version),
                    signed(document.generation),
                    document.updated_at.as_milliseconds(),
                    document.uri,
                    document.source,
                    json(&document.acl),
                    json(&document.metadata),
                    document.effective_from.map(Timestamp::as_milliseconds),
                    document.effective_until.map(Timestamp::as_milliseconds),
                    document.supersedes.as_ref().map(DocumentId::as_str),
                    document.supersedes_as.stored().map(json),
                    json(&document.warnings),
                ])
            })
            .map_err(RetrieverError::storage(WRITING))?;
        Ok(())
    }

    pub(super) fn remove_rows(&self, id: &DocumentId) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached("DELETE FROM documents WHERE id = ?1")?
            .execute([id.as_str()])?;
        Ok(())
    }
}

/// These values have no form that JSON lacks.
fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
