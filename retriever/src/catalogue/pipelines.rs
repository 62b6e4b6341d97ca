//! Which pipelines there are, which one serves, and what each has cut.

use rusqlite::{Connection, OptionalExtension, params};

use super::Catalogue;
use super::row::{counter, id};
use crate::{DocumentId, RetrieverError};

const READING: &str = "reading the pipelines";
const WRITING: &str = "writing the pipelines";

/// A pipeline as the catalogue knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredPipeline {
    /// From 1, in the order of their first use.
    pub number: u32,
    pub fingerprint: String,
    /// The settings that make it again, as JSON.
    pub made_by: String,
}

/// What serves, and what was left by going back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Serving {
    /// 0 for none.
    pub pipeline: u32,
    /// 0 for none.
    pub snapshot: u64,
    /// The pipeline that served before, to which one can go back; 0 for none.
    pub previous: u32,
    /// The pipeline from which the operator went back, and to which nothing goes by itself; 0 for none.
    pub left: u32,
}

impl Catalogue {
    /// The pipeline of a fingerprint; it gets a number if it has none, and its settings are brought up to date.
    pub(crate) fn register_pipeline(
        &self,
        fingerprint: &str,
        made_by: &str,
    ) -> Result<u32, RetrieverError> {
        self.writer()
            .query_row(
                "INSERT INTO pipelines (fingerprint, made_by) VALUES (?1, ?2)
                 ON CONFLICT (fingerprint) DO UPDATE SET made_by = excluded.made_by RETURNING number",
                params![fingerprint, made_by],
                |row| row.get(0),
            )
            .map_err(RetrieverError::storage(WRITING))
    }

    /// All that are known, by number.
    pub(crate) fn pipelines(&self) -> Result<Vec<StoredPipeline>, RetrieverError> {
        self.with_reader(READING, |connection| {
            connection
                .prepare("SELECT number, fingerprint, made_by FROM pipelines ORDER BY number")
                .and_then(|mut statement| {
                    let read = |row: &rusqlite::Row<'_>| {
                        Ok(StoredPipeline {
                            number: row.get(0)?,
                            fingerprint: row.get(1)?,
                            made_by: row.get(2)?,
                        })
                    };
                    statement.query_map([], read)?.collect()
                })
                .map_err(RetrieverError::storage(READING))
        })
    }

    /// What serves.
    pub(crate) fn serving(&self) -> Result<Serving, RetrieverError> {
        self.with_reader(READING, |connection| {
            serving(connection).map_err(RetrieverError::storage(READING))
        })
    }

    /// Chooses what serves, durably and as a whole.
    pub(crate) fn set_serving(&self, serving: Serving) -> Result<(), RetrieverError> {
        let snapshot = i64::try_from(serving.snapshot).unwrap_or(i64::MAX);
        self.writer()
            .execute(
                "INSERT OR REPLACE INTO retriever_meta (name, value)
                 VALUES ('active_snapshot', ?1), ('active_pipeline', ?2), ('previous_pipeline', ?3), ('left_pipeline', ?4)",
                params![snapshot, serving.pipeline, serving.previous, serving.left],
            )
            .map_err(RetrieverError::storage("choosing what serves"))?;
        Ok(())
    }

    /// Documents after one of them that a pipeline has not cut, by their places in the catalogue, at most `limit`.
    pub(crate) fn uncut(
        &self,
        pipeline: u32,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, DocumentId)>, RetrieverError> {
        self.with_reader(READING, |connection| {
            connection
                .prepare_cached(
                    "SELECT d.ordinal, d.id FROM documents d LEFT JOIN cuts c ON c.document = d.ordinal AND c.pipeline = ?1
                     WHERE c.document IS NULL AND d.ordinal > ?2 ORDER BY d.ordinal LIMIT ?3",
                )
                .and_then(|mut statement| {
                    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                    statement
                        .query_map(params![pipeline, after, limit], |row| {
                            Ok((row.get(0)?, id(row, 1)?))
                        })?
                        .collect()
                })
                .map_err(RetrieverError::storage(READING))
        })
    }

    /// How many documents a pipeline has cut.
    pub(crate) fn cut_documents(&self, pipeline: u32) -> Result<u64, RetrieverError> {
        self.with_reader(READING, |connection| {
            connection
                .query_row(
                    "SELECT count(*) FROM cuts WHERE pipeline = ?1",
                    [pipeline],
                    |row| row.get::<_, i64>(0),
                )
                .map(i64::cast_unsigned)
                .map_err(RetrieverError::storage(READING))
        })
    }

    /// Forgets a pipeline and what it cut, a piece at a time so that writers get their turn. `stop` ends it early.
    pub(crate) fn forget_pipeline(
        &self,
        pipeline: u32,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), RetrieverError> {
        const PIECE: i64 = 4000;
        let failed = RetrieverError::storage(WRITING);
        // Should this end half-way, what is left is no cut any more, and is replaced when the pipeline cuts again.
        self.writer()
            .execute("DELETE FROM cuts WHERE pipeline = ?1", [pipeline])
            .map_err(&failed)?;
        let last: i64 = self
            .writer()
            .query_row("SELECT coalesce(max(key), 0) FROM passages", [], |row| {
                row.get(0)
            })
            .map_err(&failed)?;
        let mut after = 0;
        while after < last && !stop() {
            self.writer()
                .execute(
                    "DELETE FROM passages WHERE pipeline = ?1 AND key > ?2 AND key <= ?3",
                    params![pipeline, after, after + PIECE],
                )
                .map_err(&failed)?;
            after += PIECE;
        }
        if after >= last {
            self.writer()
                .execute("DELETE FROM pipelines WHERE number = ?1", [pipeline])
                .map_err(&failed)?;
        }
        Ok(())
    }
}

fn serving(connection: &Connection) -> rusqlite::Result<Serving> {
    let number = |name| {
        counter(connection, name)
            .optional()
            .map(Option::unwrap_or_default)
    };
    let pipeline = |name| number(name).map(|value| u32::try_from(value).unwrap_or_default());
    Ok(Serving {
        pipeline: pipeline("active_pipeline")?,
        snapshot: number("active_snapshot")?,
        previous: pipeline("previous_pipeline")?,
        left: pipeline("left_pipeline")?,
    })
}
