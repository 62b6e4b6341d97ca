//! Everything that can go wrong in the retriever.
//!
//! Errors arise in four places: the caller's input (`Invalid`, `Unreadable`, `TooLarge`, `NotFound`, `UnknownGeneration`),
//! the catalogue (`Storage`, `LogInUse`, `NewerCatalogue`, `CatalogueLost`), files (`Io`), and the indexes and models (`TextIndex`, `VectorIndex`,
//! `Embedder`). Those of the first kind are safe to show to the client; the others are logged where they are handled.

use std::path::PathBuf;

use crate::DocumentId;

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetrieverError {
    /// A field of the input breaks a rule.
    #[error("`{field}` {problem}")]
    Invalid {
        /// The field, by its name in the API.
        field: &'static str,
        /// The rule, and the value received where it helps.
        problem: String,
    },
    /// The document's content is not what its format says.
    #[error("cannot read the document as {format}: {problem}")]
    Unreadable {
        /// The format that was tried.
        format: &'static str,
        /// What is wrong, and at which byte where that is known.
        problem: String,
    },
    /// A document, a query or the catalogue as a whole exceeds its limit; for a single field it is `Invalid`.
    #[error("{what} may have at most {limit} {unit}, got {got}")]
    TooLarge {
        /// What was measured.
        what: &'static str,
        /// The most that is allowed.
        limit: u64,
        /// What came; a reader that stops early reports what it had seen.
        got: u64,
        /// Of what `limit` and `got` count.
        unit: &'static str,
    },
    /// There is no such document, or the caller may not see it.
    #[error("there is no document `{0}`")]
    NotFound(DocumentId),
    /// No document of that id was deleted.
    #[error("no document `{0}` was deleted")]
    NotDeleted(DocumentId),
    /// A reader needs the catalogue's write-ahead log, which may hold what was deleted.
    #[error("a reader keeps the catalogue's log from being emptied; try again")]
    LogInUse,
    /// No snapshot of that generation is kept.
    #[error("there is no snapshot of generation `{wanted}`; kept: {kept:?}")]
    UnknownGeneration {
        /// The one asked for.
        wanted: u64,
        /// Those that are kept.
        kept: Vec<u64>,
    },
    /// There is nothing to roll back to.
    #[error("there is no snapshot before the one that serves; kept: {kept:?}")]
    NoEarlierSnapshot {
        /// Those that are kept.
        kept: Vec<u64>,
    },
    /// The catalogue was written by a newer version of this program.
    #[error(
        "the catalogue has schema version {found}, this program knows up to {known}: use a newer `quoin`"
    )]
    NewerCatalogue {
        /// In the file.
        found: i64,
        /// In this program.
        known: i64,
    },
    /// Snapshots are there, but not the catalogue that they were made from.
    #[error(
        "`{catalogue}` is missing or was never written to, but `{generations}` holds a snapshot of generation `{newest}`: \
         put the copy of `quoin.db` back, or remove `{generations}` to begin anew"
    )]
    CatalogueLost {
        /// Where it should be.
        catalogue: PathBuf,
        /// Where the snapshots are.
        generations: PathBuf,
        /// The generation of the newest.
        newest: u64,
    },
    /// SQLite refused. Nothing of the write that failed is kept.
    #[error("the catalogue failed while {action}")]
    Storage {
        /// What was being done.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: rusqlite::Error,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was being done.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The text index refused.
    #[error("the text index failed while {action}")]
    TextIndex {
        /// What was being done.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: Box<tantivy::TantivyError>,
    },
    /// The vector index refused, or holds what it must not.
    #[error("the vector index failed: {problem}")]
    VectorIndex {
        /// What happened.
        problem: String,
    },
    /// A snapshot on disk is damaged, or was made by another pipeline.
    #[error("the snapshot of generation `{generation}` cannot be used: {problem}")]
    Snapshot {
        /// Which.
        generation: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The embedder's files are wrong.
    #[error("the embedder cannot be used: {problem}")]
    Embedder {
        /// What is wrong.
        problem: String,
    },
}

impl RetrieverError {
    /// Whether the caller's input is at fault, so that the message may be shown to the client.
    #[must_use]
    pub fn is_input(&self) -> bool {
        matches!(
            self,
            Self::Invalid { .. }
                | Self::Unreadable { .. }
                | Self::TooLarge { .. }
                | Self::NotFound(_)
                | Self::NotDeleted(_)
                | Self::UnknownGeneration { .. }
                | Self::NoEarlierSnapshot { .. }
        )
    }

    pub(crate) fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            problem: problem.into(),
        }
    }

    /// A field that is longer than it may be.
    pub(crate) fn too_long(field: &'static str, limit: usize, got: usize, unit: &str) -> Self {
        Self::invalid(field, format!("has at most {limit} {unit}, got {got}"))
    }

    pub(crate) fn storage(action: &'static str) -> impl Fn(rusqlite::Error) -> Self {
        move |source| Self::Storage { action, source }
    }

    pub(crate) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl Fn(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path: path.clone(),
            source,
        }
    }

    pub(crate) fn text_index(action: &'static str) -> impl Fn(tantivy::TantivyError) -> Self {
        move |source| Self::TextIndex {
            action,
            source: Box::new(source),
        }
    }

    pub(crate) fn vector_index(problem: impl std::fmt::Display) -> Self {
        Self::VectorIndex {
            problem: problem.to_string(),
        }
    }
}
