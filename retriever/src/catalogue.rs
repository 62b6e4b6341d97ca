//! The catalogue: SQLite holds the truth, and the indexes are derived from it.
//!
//! An acknowledged write is on disk (WAL, `synchronous = FULL`). Deleted rows are overwritten (`secure_delete`, and `wipe.rs`). The file is
//! shared with the runtime's own tables: ours are `documents`, `document_texts`, `pipelines`, `cuts`,
//! `passages`, `deletions`, `purges`, `backups` and `retriever_meta`. Passages are of one pipeline each; deletions and access lists of none.

mod check;
mod deletions;
mod pipelines;
mod read;
mod row;
mod schema;
mod wipe;
mod write;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OpenFlags};

use crate::RetrieverError;

pub(crate) use self::deletions::{Backup, Deletion};
pub(crate) use self::pipelines::{Serving, StoredPipeline};
pub(crate) use self::read::PassageRow;
pub(crate) use self::row::is_damage;
pub(crate) use self::write::{NewContent, NewPassage, Written};

/// Connections kept open for reading.
const IDLE_READERS: usize = 8;

/// The open file: one connection that writes, and some that read.
pub(crate) struct Catalogue {
    path: PathBuf,
    /// Made at random when the catalogue was, and never changed.
    id: String,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

impl Catalogue {
    /// Opens or creates the file and brings its tables up to date.
    pub(crate) fn open(path: &Path) -> Result<Self, RetrieverError> {
        let failed = RetrieverError::storage("opening it");
        let mut writer = Connection::open(path).map_err(&failed)?;
        configure(&writer).map_err(&failed)?;
        schema::migrate(&mut writer)?;
        let id = row::counter(&writer, "catalogue_id").map_err(&failed)?;
        Ok(Self {
            path: path.to_owned(),
            id: format!("{id:016x}"),
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
        })
    }

    /// What its snapshots know it by.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on a connection that only reads.
    fn with_reader<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, RetrieverError>,
    ) -> Result<T, RetrieverError> {
        let idle = self.readers().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self
                .open_reader()
                .map_err(RetrieverError::storage(action))?,
        };
        let result = work(&mut connection);
        let mut readers = self.readers();
        if readers.len() < IDLE_READERS {
            readers.push(connection);
        }
        result
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_reader(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "query_only", true)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(connection)
    }
}

const BUSY: std::time::Duration = std::time::Duration::from_secs(10);

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}
