//! What is kept of deletions: when, from which places the document is gone, and digests to search for it. None of its text.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Catalogue;
use super::row::{id, instant};
use super::write::{Written, signed};
use crate::erasure::Trace;
use crate::{DocumentId, RetrieverError, Timestamp};

/// Places of the retriever; they are purged together.
pub(crate) const PLACES: [&str; 4] = ["catalogue", "text_index", "vectors", "generations"];

const READING: &str = "reading the deletions";

/// A deletion as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Deletion {
    pub document: DocumentId,
    pub generation: u64,
    pub deleted_at: Timestamp,
    /// Place, and when it was purged.
    pub places: Vec<(String, Option<Timestamp>)>,
    pub trace: Option<Trace>,
}

/// A backup that was made of this catalogue.
#[derive(Clone, Debug)]
pub(crate) struct Backup {
    pub path: String,
    pub made_at: Timestamp,
    pub generation: u64,
}

impl Written<'_> {
    /// Removes a document, and notes that its words must leave everything made from it as well: the places of the retriever, and
    /// `outer` ones.
    pub(crate) fn delete(
        &self,
        id: &DocumentId,
        at: Timestamp,
        salt: [u8; 32],
        outer: &[&'static str],
    ) -> Result<(), RetrieverError> {
        let failed = RetrieverError::storage("deleting a document");
        let connection = self.connection();
        let version: Option<i64> = connection
            .query_row(
                "SELECT version FROM documents WHERE id = ?1",
                [id.as_str()],
                |row| row.get(0),
            )
            .optional()
            .map_err(&failed)?;
        let Some(version) = version else {
            return Err(RetrieverError::NotFound(id.clone()));
        };
        let trace = trace(connection, id, salt).map_err(&failed)?;
        self.remove_rows(id)
            .and_then(|()| {
                connection.execute(
                    "INSERT INTO deletions (document, version, generation, deleted_at, trace) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![id.as_str(), version, signed(self.generation), at.as_milliseconds(), trace],
                )
            })
            .and_then(|_| {
                let deletion = connection.last_insert_rowid();
                let mut insert = connection
                    .prepare_cached("INSERT INTO purges (deletion, place) VALUES (?1, ?2)")?;
                for place in PLACES.iter().chain(outer) {
                    insert.execute(params![deletion, place])?;
                }
                Ok(())
            })
            .map_err(failed)
    }
}

/// A trace of a document's text, as far as it can be read.
fn trace(
    connection: &Connection,
    id: &DocumentId,
    salt: [u8; 32],
) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .query_row(
            "SELECT CAST(text AS BLOB) FROM document_texts WHERE document = (SELECT ordinal FROM documents WHERE id = ?1)",
            [id.as_str()],
            |row| {
                let text = String::from_utf8_lossy(row.get_ref(0)?.as_blob()?);
                Ok(Trace::of(&text, salt).to_bytes())
            },
        )
        .optional()
}

impl Catalogue {
    /// Notes that no file of the retriever holds what was deleted up to a generation.
    pub(crate) fn mark_purged(&self, generation: u64) -> Result<(), RetrieverError> {
        let failed = RetrieverError::storage("noting a purge");
        let now = Timestamp::now().as_milliseconds();
        let mut connection = self.writer();
        let transaction = connection.transaction().map_err(&failed)?;
        for place in PLACES {
            note(&transaction, place, generation, now).map_err(&failed)?;
        }
        transaction
            .execute(
                "UPDATE deletions SET purged_at = ?1 WHERE purged_at IS NULL AND generation <= ?2",
                params![now, signed(generation)],
            )
            .map_err(&failed)?;
        transaction.commit().map_err(failed)
    }

    /// Notes that an outer place holds nothing of what was deleted up to a generation.
    pub(crate) fn mark_place_purged(
        &self,
        place: &str,
        generation: u64,
    ) -> Result<(), RetrieverError> {
        let now = Timestamp::now().as_milliseconds();
        note(&self.writer(), place, generation, now)
            .map_err(RetrieverError::storage("noting a purge"))
    }

    /// The deletions that a place may still hold something of, oldest first.
    pub(crate) fn unpurged_of(
        &self,
        place: &str,
        most: usize,
    ) -> Result<Vec<Deletion>, RetrieverError> {
        self.deletions(
            "WHERE sequence IN (SELECT deletion FROM purges WHERE place = ?1 AND purged_at IS NULL) ORDER BY sequence LIMIT ?2",
            params![place, i64::try_from(most).unwrap_or(i64::MAX)],
        )
    }

    /// The last deletion of a document.
    pub(crate) fn deletion(&self, id: &DocumentId) -> Result<Option<Deletion>, RetrieverError> {
        let mut last = self.deletions(
            "WHERE document = ?1 ORDER BY sequence DESC LIMIT 1",
            [id.as_str()],
        )?;
        Ok(last.pop())
    }

    /// The last deletion of each document, in order of their ids.
    pub(crate) fn deletions_after(
        &self,
        after: Option<&DocumentId>,
        most: usize,
    ) -> Result<Vec<Deletion>, RetrieverError> {
        self.deletions(
            "WHERE document > ?1 AND sequence = (SELECT max(sequence) FROM deletions later WHERE later.document = deletions.document)
             ORDER BY document LIMIT ?2",
            params![
                after.map_or("", DocumentId::as_str),
                i64::try_from(most).unwrap_or(i64::MAX)
            ],
        )
    }

    fn deletions(
        &self,
        which: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<Deletion>, RetrieverError> {
        let failed = RetrieverError::storage(READING);
        self.with_reader(READING, |connection| {
            let transaction = connection.transaction().map_err(&failed)?;
            let mut statement = transaction
                .prepare_cached(&format!(
                    "SELECT sequence, document, generation, deleted_at, purged_at, trace FROM deletions {which}"
                ))
                .map_err(&failed)?;
            statement
                .query_map(values, |row| deletion(&transaction, row))
                .and_then(Iterator::collect)
                .map_err(&failed)
        })
    }

    /// When the oldest deletion was made that some place may still hold something of.
    pub(crate) fn oldest_unpurged(&self) -> Result<Option<Timestamp>, RetrieverError> {
        self.with_reader(READING, |connection| {
            connection
                .query_row(
                    "SELECT min(deleted_at) FROM deletions d WHERE purged_at IS NULL
                     OR EXISTS (SELECT 1 FROM purges WHERE deletion = d.sequence AND purged_at IS NULL)",
                    [],
                    |row| instant(row, 0),
                )
                .map_err(RetrieverError::storage(READING))
        })
    }

    /// Notes a backup.
    pub(crate) fn note_backup(&self, backup: &Backup) -> Result<(), RetrieverError> {
        self.writer()
            .execute(
                "INSERT OR REPLACE INTO backups (path, made_at, generation) VALUES (?1, ?2, ?3)",
                params![
                    backup.path,
                    backup.made_at.as_milliseconds(),
                    signed(backup.generation)
                ],
            )
            .map_err(RetrieverError::storage("noting a backup"))?;
        Ok(())
    }

    /// The backups made before a generation, oldest first.
    pub(crate) fn backups_before(&self, generation: u64) -> Result<Vec<Backup>, RetrieverError> {
        self.with_reader(READING, |connection| {
            connection
                .prepare_cached(
                    "SELECT path, made_at, generation FROM backups WHERE generation < ?1 ORDER BY made_at, path",
                )
                .and_then(|mut statement| {
                    statement
                        .query_map([signed(generation)], |row| {
                            Ok(Backup {
                                path: row.get(0)?,
                                made_at: instant(row, 1)?.ok_or(rusqlite::Error::InvalidQuery)?,
                                generation: row.get::<_, i64>(2)?.cast_unsigned(),
                            })
                        })
                        .and_then(Iterator::collect)
                })
                .map_err(RetrieverError::storage(READING))
        })
    }

    /// Rows of any table of documents that a document's id still leads to.
    pub(crate) fn rows_of(&self, id: &DocumentId) -> Result<u64, RetrieverError> {
        self.with_reader(READING, |connection| {
            connection
                .query_row(
                    "SELECT (SELECT count(*) FROM documents WHERE id = ?1)
                     + (SELECT count(*) FROM document_texts WHERE document NOT IN (SELECT ordinal FROM documents))
                     + (SELECT count(*) FROM passages WHERE document NOT IN (SELECT ordinal FROM documents))
                     + (SELECT count(*) FROM token_vectors WHERE passage NOT IN (SELECT key FROM passages))",
                    [id.as_str()],
                    |row| row.get::<_, i64>(0),
                )
                .map(i64::cast_unsigned)
                .map_err(RetrieverError::storage(READING))
        })
    }

    /// Gives the texts of all documents to `take`, one at a time.
    pub(crate) fn each_text(&self, take: &mut dyn FnMut(&[u8])) -> Result<(), RetrieverError> {
        let failed = RetrieverError::storage(READING);
        self.with_reader(READING, |connection| {
            let mut statement = connection
                .prepare_cached("SELECT CAST(text AS BLOB) FROM document_texts")
                .map_err(&failed)?;
            let mut rows = statement.query([]).map_err(&failed)?;
            while let Some(row) = rows.next().map_err(&failed)? {
                let text = row.get_ref(0).map_err(&failed)?;
                take(text.as_blob().unwrap_or_default());
            }
            Ok(())
        })
    }
}

fn note(connection: &Connection, place: &str, generation: u64, now: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE purges SET purged_at = ?1 WHERE place = ?2 AND purged_at IS NULL
             AND deletion IN (SELECT sequence FROM deletions WHERE generation <= ?3)",
        )?
        .execute(params![now, place, signed(generation)])?;
    Ok(())
}

fn deletion(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Deletion> {
    let purged_at = instant(row, 4)?;
    let places: Vec<(String, Option<Timestamp>)> = connection
        .prepare_cached("SELECT place, purged_at FROM purges WHERE deletion = ?1 ORDER BY place")?
        .query_map([row.get::<_, i64>(0)?], |row| {
            Ok((row.get(0)?, instant(row, 1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    // Of a deletion before places were noted one by one.
    let all_at_once = || PLACES.map(|place| (place.to_owned(), purged_at)).to_vec();
    Ok(Deletion {
        document: id(row, 1)?,
        generation: row.get::<_, i64>(2)?.cast_unsigned(),
        deleted_at: instant(row, 3)?.ok_or(rusqlite::Error::InvalidQuery)?,
        places: if places.is_empty() {
            all_at_once()
        } else {
            places
        },
        trace: row
            .get::<_, Option<Vec<u8>>>(5)?
            .and_then(|trace| Trace::from_bytes(&trace)),
    })
}
