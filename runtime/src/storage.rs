//! API keys, the request log and feedback, in the same `quoin.db` as the catalogue but in tables of their own.
//!
//! One thread owns the connection. Keys are read from memory; log records are queued and never hold up an answer:
//! when the queue is full, the record is dropped and counted. Holds no text of questions or answers unless
//! `log.content` is on.

mod clock;
mod erase;
mod feedback;
mod keys;
mod requests;
mod rollouts;
mod schema;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use clock::{now_ms, rfc3339};
pub use erase::Erasure;
pub use feedback::{FeedbackInput, FeedbackRow, Rated};
pub use keys::{KeyInfo, Keys, NewKey};
pub use requests::{Logged, RequestRecord, Retention};
pub use rollouts::{Audit, Course, Happened, Running, Save, Saved};

use quoin_adapters::rollout::Rollout;
use writer::Writer;

/// What went wrong with the tables of keys, requests and feedback.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The database could not be opened or brought to the current schema.
    #[error("cannot open `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer program wrote the tables.
    #[error(
        "`{path}` has storage schema {found}, this program knows up to {known}: start the newer program, or restore a backup"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// What the file says.
        found: i64,
        /// What this program writes.
        known: i64,
    },
    /// A statement failed.
    #[error("storage statement failed")]
    Statement(#[from] rusqlite::Error),
    /// The thread that owns the connection could not be started.
    #[error("cannot start the storage thread")]
    Thread(#[source] std::io::Error),
    /// What is stored of a rollout is not what was written.
    #[error("what is stored of a rollout cannot be read")]
    Rollout {
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The storage was closed, at shutdown.
    #[error("the storage is closed")]
    Closed,
    /// A name or token outside its bounds.
    #[error("{0}")]
    Invalid(String),
    /// No such key.
    #[error("no key with the id `{0}`")]
    UnknownKey(String),
    /// No such answer, or one of another caller.
    #[error("no answer with the id `{0}`")]
    UnknownAnswer(String),
}

/// The tables of keys, requests and feedback of one data folder. Cheap to clone.
#[derive(Clone)]
pub struct Storage {
    writer: Arc<Writer>,
    keys: Arc<Keys>,
}

impl Storage {
    /// Opens the tables in `database`, making what is missing. Blocks for a few milliseconds.
    ///
    /// # Errors
    /// A file that is no database, was written by a newer program, or cannot be written.
    pub fn open(database: &Path) -> Result<Self, StorageError> {
        Self::open_with(database, Retention::default())
    }

    /// [`Storage::open`] with other bounds on the request log.
    ///
    /// # Errors
    /// As [`Storage::open`].
    pub fn open_with(database: &Path, retention: Retention) -> Result<Self, StorageError> {
        let connection = schema::open(database)?;
        let known = keys::load(&connection)?;
        let writer = Arc::new(Writer::start(connection, retention)?);
        let keys = Arc::new(Keys::new(known, Arc::clone(&writer)));
        Ok(Self { writer, keys })
    }

    /// The API keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Queues a record of a request. Never waits; a full queue drops the record and counts it.
    pub fn log(&self, record: RequestRecord) {
        self.writer.log(record);
    }

    /// Queues what happened to a rollout. Never waits.
    pub(crate) fn happened(&self, happened: Happened) {
        self.writer.happened(happened);
    }

    /// Saves where a rollout is, with the lines of the audit log that led there.
    ///
    /// # Errors
    /// A statement that failed: nothing was saved.
    pub async fn save_rollout(&self, save: Save) -> Result<(), StorageError> {
        self.writer
            .run(move |connection| rollouts::save(connection, &save))
            .await
    }

    /// The rollout that has not ended, as it was saved, and what happened to it since.
    ///
    /// # Errors
    /// A statement that failed, or a snapshot that cannot be read.
    pub async fn running_rollout(&self) -> Result<Option<Running>, StorageError> {
        self.writer
            .run(|connection| rollouts::running(connection))
            .await
    }

    /// A rollout as it was saved last; without an id, the one that began last.
    ///
    /// # Errors
    /// As [`Storage::running_rollout`].
    pub async fn rollout(&self, id: Option<String>) -> Result<Option<Rollout>, StorageError> {
        self.writer
            .run(move |connection| rollouts::find(connection, id.as_deref()))
            .await
    }

    /// The rollouts, the last first.
    ///
    /// # Errors
    /// As [`Storage::running_rollout`].
    pub async fn rollouts(&self) -> Result<Vec<Rollout>, StorageError> {
        self.writer
            .run(|connection| rollouts::list(connection))
            .await
    }

    /// The audit log of rollouts, checked.
    ///
    /// # Errors
    /// As [`Storage::running_rollout`].
    pub async fn rollout_audit(&self) -> Result<Audit, StorageError> {
        self.writer
            .run(|connection| rollouts::audit(connection))
            .await
    }

    /// The newest ratings of answers whose text was kept, oldest first.
    ///
    /// # Errors
    /// As [`Storage::running_rollout`].
    pub async fn rated_answers(&self, limit: usize) -> Result<Vec<Rated>, StorageError> {
        self.writer
            .run(move |connection| feedback::rated(connection, limit))
            .await
    }

    /// How a rollout stood over time.
    ///
    /// # Errors
    /// As [`Storage::running_rollout`].
    pub async fn rollout_course(&self, id: String) -> Result<Course, StorageError> {
        self.writer
            .run(move |connection| rollouts::course(connection, &id))
            .await
    }

    /// Stores feedback on an answer that `subject` was given.
    ///
    /// # Errors
    /// [`StorageError::UnknownAnswer`] also when the answer was another caller's; `anyone` lifts that check.
    pub async fn add_feedback(
        &self,
        subject: &str,
        anyone: bool,
        input: FeedbackInput,
    ) -> Result<FeedbackRow, StorageError> {
        let subject = subject.to_owned();
        self.writer
            .run(move |connection| feedback::add(connection, &subject, anyone, input))
            .await
    }

    /// An answer that `subject` was given, after everything queued so far is written.
    ///
    /// # Errors
    /// [`StorageError::UnknownAnswer`] also when the answer was another caller's; `anyone` lifts that check.
    pub async fn logged_answer(
        &self,
        id: String,
        subject: String,
        anyone: bool,
    ) -> Result<Logged, StorageError> {
        self.writer
            .run(move |connection| requests::answer(connection, &id, &subject, anyone))
            .await
    }

    /// Requests in the log, after everything queued so far is written.
    ///
    /// # Errors
    /// A statement that failed.
    pub async fn logged_requests(&self) -> Result<u64, StorageError> {
        self.writer
            .run(|connection| requests::count(connection))
            .await
    }

    /// Removes from the request log and from feedback what holds something of deleted documents, also from what is logged later by
    /// answers that began before. `false` while the database's log could not be emptied of it: call again.
    ///
    /// # Errors
    /// A statement that failed.
    pub async fn erase(&self, deleted: Vec<Erasure>) -> Result<bool, StorageError> {
        self.writer.erase(deleted).await
    }

    /// Writes a consistent copy of the whole database to `target`, which must not exist.
    ///
    /// # Errors
    /// A statement that failed, such as on a full disk.
    pub async fn copy_database(&self, target: PathBuf) -> Result<(), StorageError> {
        self.writer
            .run(move |connection| {
                connection.execute("VACUUM INTO ?1", [target.to_string_lossy()])?;
                Ok(())
            })
            .await
    }

    /// Writes what is queued and ends the thread. Later calls fail with [`StorageError::Closed`].
    pub async fn close(&self) {
        self.writer.close().await;
    }
}

#[cfg(test)]
mod tests;
