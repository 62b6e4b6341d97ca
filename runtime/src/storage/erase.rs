//! Deleted documents leave the request log and feedback: of an answer that cites one, only what says nothing of it stays.

use std::collections::VecDeque;

use rusqlite::{Connection, params};

use super::StorageError;
use super::requests::RequestRecord;

/// A document that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Its id.
    pub document: String,
    /// The first generation without it.
    pub generation: u64,
}

/// Rows that cite a document, or may do.
const CITES: &str =
    "(documents IS NULL OR EXISTS (SELECT 1 FROM json_each(documents) WHERE value = ?1))";

/// Removes what is there. `false` when a reader kept the database's log from being emptied of it.
pub(super) fn erase(
    connection: &mut Connection,
    deleted: &[Erasure],
) -> Result<bool, StorageError> {
    let transaction = connection.transaction()?;
    for erasure in deleted {
        transaction
            .prepare_cached(&format!(
                "UPDATE feedback SET comment = NULL, demonstration = NULL, citation = NULL, documents = '[]' WHERE {CITES}"
            ))?
            .execute([&erasure.document])?;
        let generation = i64::try_from(erasure.generation).unwrap_or(i64::MAX);
        // What is of its generation or a later one cites another document of the same id.
        transaction
            .prepare_cached(&format!(
                "UPDATE request_log SET content = NULL, documents = '[]' WHERE {CITES} AND coalesce(generation, 0) < ?2"
            ))?
            .execute(params![erasure.document, generation])?;
    }
    transaction.commit()?;
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}

/// Takes the content from records of answers that began before a deletion and cite what was deleted.
pub(super) fn redact(records: &mut [RequestRecord], erased: &VecDeque<Erasure>) {
    for record in records {
        let generation = record.generation.unwrap_or(0);
        let cites = erased.iter().any(|erasure| {
            generation < erasure.generation && record.documents.contains(&erasure.document)
        });
        if cites {
            record.content = None;
            record.documents.clear();
        }
    }
}
