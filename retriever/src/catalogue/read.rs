//! Reading: documents for the roster, passages for the indexes and for hits.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, params};

use super::Catalogue;
use super::row::{
    DOCUMENTS, INDEXED, counter, entry, indexed, instant, json, passage_row, tokens_from_bytes,
    undamaged, words,
};
use crate::index::IndexedPassage;
use crate::index::roster::Entry;
use crate::read::Block;
use crate::{AccessList, DocumentId, RetrieverError, Timestamp, ingest};

/// A passage with what a hit shows, and the access list as it stands now.
#[derive(Clone, Debug)]
pub(crate) struct PassageRow {
    pub document: DocumentId,
    pub acl: AccessList,
    pub version: u64,
    pub title: Option<String>,
    pub uri: Option<String>,
    pub position: usize,
    pub start_char: usize,
    pub end_char: usize,
    pub page: Option<u32>,
    pub heading: Vec<String>,
    pub text: String,
}

/// A document's clean text with its outline.
pub(crate) struct StoredText {
    pub text: String,
    pub outline: Vec<Block>,
}

const READING: &str = "reading";

impl Catalogue {
    /// All documents with their passages of one pipeline, and the generation in which they stand so. One whose row is damaged is
    /// passed over: nobody could say who may read it.
    pub(crate) fn documents(&self, pipeline: u32) -> Result<(u64, Vec<Entry>), RetrieverError> {
        let mut entries = Vec::new();
        let generation = self.each_document(pipeline, |entry| entries.push(entry))?;
        Ok((generation, entries))
    }

    /// The same, one after another.
    pub(crate) fn each_document(
        &self,
        pipeline: u32,
        mut take: impl FnMut(Entry),
    ) -> Result<u64, RetrieverError> {
        let failed = RetrieverError::storage("reading the documents");
        self.with_reader("reading the documents", |connection| {
            let transaction = connection.transaction().map_err(&failed)?;
            let generation = counter(&transaction, "generation").map_err(&failed)?;
            let mut statement = transaction.prepare(DOCUMENTS).map_err(&failed)?;
            let mut rows = statement.query([pipeline]).map_err(&failed)?;
            while let Some(row) = rows.next().map_err(&failed)? {
                if let Some(entry) = undamaged(row, 0, entry(row)).map_err(&failed)? {
                    take(entry);
                }
            }
            Ok(generation)
        })
    }

    /// Whether no document is there.
    pub(crate) fn is_empty(&self) -> Result<bool, RetrieverError> {
        self.with_reader(READING, |connection| {
            connection
                .query_row("SELECT NOT EXISTS (SELECT 1 FROM documents)", [], |row| {
                    row.get(0)
                })
                .map_err(RetrieverError::storage(READING))
        })
    }

    /// What is said about some documents, without passages; damaged ones and those that are gone are left out.
    pub(crate) fn entries(
        &self,
        ids: &[DocumentId],
    ) -> Result<HashMap<DocumentId, Entry>, RetrieverError> {
        let failed = RetrieverError::storage(READING);
        self.with_reader(READING, |connection| {
            let mut statement = connection
                .prepare_cached(&format!("{DOCUMENTS} WHERE d.id = ?2"))
                .map_err(&failed)?;
            let mut found = HashMap::with_capacity(ids.len());
            for id in ids {
                let read = statement
                    .query_row(params![0, id.as_str()], |row| undamaged(row, 0, entry(row)))
                    .optional()
                    .map_err(&failed)?;
                found.extend(read.flatten().map(|entry| (id.clone(), entry)));
            }
            Ok(found)
        })
    }

    /// How many writes there were; 0 for a catalogue in which nothing was ever written.
    pub(crate) fn generation(&self) -> Result<u64, RetrieverError> {
        self.with_reader(READING, |connection| {
            counter(connection, "generation").map_err(RetrieverError::storage(READING))
        })
    }

    /// The generation of the last deletion whose words may still be in some file.
    pub(crate) fn unpurged(&self) -> Result<Option<u64>, RetrieverError> {
        self.with_reader(READING, |connection| {
            connection
                .query_row(
                    "SELECT max(generation) FROM deletions WHERE purged_at IS NULL",
                    [],
                    |row| row.get::<_, Option<i64>>(0),
                )
                .map(|value| value.map(i64::cast_unsigned))
                .map_err(RetrieverError::storage(READING))
        })
    }

    /// Gives every passage of a pipeline but damaged ones, in order of keys, to `take`, and returns the generation in which they stand so.
    pub(crate) fn each_passage(
        &self,
        pipeline: u32,
        dimensions: usize,
        begin: &mut dyn FnMut(u64) -> Result<(), RetrieverError>,
        take: &mut dyn FnMut(IndexedPassage) -> Result<(), RetrieverError>,
    ) -> Result<u64, RetrieverError> {
        let failed = RetrieverError::storage("reading the passages");
        self.with_reader("reading the passages", |connection| {
            let transaction = connection.transaction().map_err(&failed)?;
            let generation = counter(&transaction, "generation").map_err(&failed)?;
            begin(generation)?;
            let mut statement = transaction
                .prepare(&format!("{INDEXED} WHERE p.pipeline = ?1 ORDER BY p.key"))
                .map_err(&failed)?;
            let mut rows = statement.query([pipeline]).map_err(&failed)?;
            while let Some(row) = rows.next().map_err(&failed)? {
                let passage = undamaged(row, 6, indexed(row, dimensions)).map_err(&failed)?;
                passage.map_or(Ok(()), &mut *take)?;
            }
            Ok(generation)
        })
    }

    /// Passages by key, in the order of `keys`; those that are gone or damaged are left out.
    pub(crate) fn indexed_passages(
        &self,
        keys: impl Iterator<Item = u32>,
        dimensions: usize,
    ) -> Result<Vec<IndexedPassage>, RetrieverError> {
        let failed = RetrieverError::storage("reading the passages");
        self.with_reader("reading the passages", |connection| {
            let mut statement = connection
                .prepare_cached(&format!("{INDEXED} WHERE p.key = ?1"))
                .map_err(&failed)?;
            let mut found = Vec::new();
            for key in keys {
                let passage = statement
                    .query_row([key], |row| undamaged(row, 6, indexed(row, dimensions)))
                    .optional()
                    .map_err(&failed)?;
                found.extend(passage.flatten());
            }
            Ok(found)
        })
    }

    /// Rows for hits, one for each key, `None` for a passage that is gone or damaged. All of one moment.
    pub(crate) fn passage_rows(
        &self,
        keys: &[u32],
    ) -> Result<Vec<Option<PassageRow>>, RetrieverError> {
        let failed = RetrieverError::storage("reading the hits");
        self.with_reader("reading the hits", |connection| {
            let transaction = connection.transaction().map_err(&failed)?;
            let mut statement = transaction
                .prepare_cached(
                    "SELECT d.id, d.acl, d.version, d.title, d.uri, p.position, p.start_char, p.end_char, p.page, p.heading,
                     p.text FROM passages p JOIN documents d ON d.ordinal = p.document WHERE p.key = ?1",
                )
                .map_err(&failed)?;
            keys.iter()
                .map(|key| {
                    let row = statement.query_row([key], |row| undamaged(row, 0, passage_row(row)));
                    row.optional().map(Option::flatten).map_err(&failed)
                })
                .collect()
        })
    }

    /// The tokens of passages, one list for each key; empty for a passage that is gone.
    pub(crate) fn passage_tokens(&self, keys: &[u32]) -> Result<Vec<Vec<u32>>, RetrieverError> {
        let sql = "SELECT tokens FROM passages WHERE key = ?1";
        self.for_each_key(keys, sql, |row| {
            Ok(tokens_from_bytes(row.get_ref(0)?.as_blob()?))
        })
    }

    /// The stored vectors of the tokens of passages, one list for each key; empty for a passage that is gone, or has none.
    pub(crate) fn token_vectors(&self, keys: &[u32]) -> Result<Vec<Vec<u8>>, RetrieverError> {
        let sql = "SELECT vectors FROM token_vectors WHERE passage = ?1";
        self.for_each_key(keys, sql, |row| row.get(0))
    }

    /// Passages with their titles and headings, one for each key; empty for one that is gone or damaged.
    pub(crate) fn passage_words(&self, keys: &[u32]) -> Result<Vec<String>, RetrieverError> {
        let sql = format!("{INDEXED} WHERE p.key = ?1");
        self.for_each_key(keys, &sql, |row| {
            let read = undamaged(row, 6, words(row, ingest::words))?;
            Ok(read.unwrap_or_default())
        })
    }

    /// What a statement reads of each key; a default where it finds nothing.
    fn for_each_key<T: Default>(
        &self,
        keys: &[u32],
        sql: &str,
        mut read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, RetrieverError> {
        let failed = RetrieverError::storage("reading passages to rerank");
        self.with_reader("reading passages to rerank", |connection| {
            let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
            keys.iter()
                .map(|key| {
                    let found = statement.query_row([key], &mut read).optional();
                    found.map(Option::unwrap_or_default).map_err(&failed)
                })
                .collect()
        })
    }

    /// A document's text, if its access list and the start of its time are such that `may_see`. That is asked before the text
    /// is loaded: what is refused costs what is missing costs.
    pub(crate) fn text(
        &self,
        id: &DocumentId,
        may_see: impl FnOnce(&AccessList, Option<Timestamp>) -> bool,
    ) -> Result<Option<StoredText>, RetrieverError> {
        let failed = RetrieverError::storage("reading a text");
        self.with_reader("reading a text", |connection| {
            let transaction = connection.transaction().map_err(&failed)?;
            let listed: Option<(i64, AccessList, Option<Timestamp>)> = transaction
                .prepare_cached("SELECT ordinal, acl, effective_from FROM documents WHERE id = ?1")
                .and_then(|mut statement| {
                    statement
                        .query_row([id.as_str()], |row| {
                            Ok((row.get(0)?, json(row, 1)?, instant(row, 2)?))
                        })
                        .optional()
                })
                .map_err(&failed)?;
            let Some((ordinal, ..)) = listed.filter(|(_, acl, from)| may_see(acl, *from)) else {
                return Ok(None);
            };
            transaction
                .prepare_cached("SELECT text, outline FROM document_texts WHERE document = ?1")
                .and_then(|mut statement| {
                    statement
                        .query_row([ordinal], |row| {
                            Ok(StoredText {
                                text: row.get(0)?,
                                outline: json(row, 1)?,
                            })
                        })
                        .optional()
                })
                .map_err(&failed)
        })
    }
}
