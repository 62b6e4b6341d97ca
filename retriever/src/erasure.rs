//! What stays of a deleted document: a receipt that says what was purged and when, and salted digests of some of its text, with
//! which the files of the data folder can be searched for it later. Neither holds any of its text.

mod key;
mod receipt;
mod trace;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub(crate) use self::key::{ReceiptKey, random as salt};
pub(crate) use self::receipt::holding;
pub use self::receipt::{BackupHolding, DeletionReceipt, PlacePurge};
pub(crate) use self::trace::{Search, Trace};
use crate::{DocumentId, RetrieverError, Timestamp};

/// Folders of the data folder that no document's text is ever written to.
const SKIPPED: [&str; 2] = ["models", "adapters"];
/// Read at once.
const CHUNK: usize = 1 << 20;

/// Where something of a deleted document still stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A file, by its path in the data folder.
    pub file: String,
    /// Where in it, bytes from its beginning.
    pub offset: u64,
    /// What was found: `text` by its digest, or `phrase`.
    pub what: &'static str,
}

/// What a search for a deleted document found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErasureReport {
    /// The document.
    pub id: DocumentId,
    /// Whether nothing of it is left anywhere.
    pub erased: bool,
    /// When it was deleted; `None` when it never was.
    pub deleted_at: Option<Timestamp>,
    /// What is wrong, apart from what is in `findings`.
    pub problems: Vec<String>,
    /// Where its text stands.
    pub findings: Vec<Finding>,
    /// Pieces of its text that were searched for by digest; 0 for a text too short or too uniform to keep digests of.
    pub pieces: usize,
    /// Those of them, and phrases, that stand in a document that is still there, so that finding them says nothing.
    pub shared: usize,
    /// Files that were searched.
    pub files: usize,
    /// Their size, bytes.
    pub bytes: u64,
    /// Folders that were not searched, as no document's text is written there.
    pub skipped: Vec<String>,
}

/// The files of the data folder that may hold text, in order of their paths.
pub(crate) fn files(data: &Path) -> Result<Vec<PathBuf>, RetrieverError> {
    let mut files = Vec::new();
    let visit = |entry: &walkdir::DirEntry| {
        !(entry.depth() == 1 && SKIPPED.iter().any(|name| entry.file_name() == *name))
    };
    for entry in walkdir::WalkDir::new(data).into_iter().filter_entry(visit) {
        match entry {
            Ok(entry) if entry.file_type().is_file() => files.push(entry.into_path()),
            Ok(_) => {}
            // Snapshots come and go while this looks.
            Err(error)
                if error
                    .io_error()
                    .is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound) => {}
            Err(error) => {
                return Err(RetrieverError::io("search", data)(error.into()));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Folders of the data folder that [`files`] leaves out, of those that are there.
pub(crate) fn skipped(data: &Path) -> Vec<String> {
    let there = SKIPPED.iter().filter(|name| data.join(name).exists());
    there.map(|name| (*name).to_owned()).collect()
}

/// Searches a file; its size, or `None` when it is gone.
pub(crate) fn search_file(
    path: &Path,
    search: &Search,
    found: &mut dyn FnMut(u64, usize),
) -> Result<Option<u64>, RetrieverError> {
    let failed = RetrieverError::io("search", path);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let overlap = search.longest().saturating_sub(1);
    let mut buffer = Vec::with_capacity(CHUNK + overlap);
    let mut start = 0_u64;
    let mut size = 0_u64;
    loop {
        let kept = buffer.len();
        let read = (&mut file)
            .take(CHUNK as u64)
            .read_to_end(&mut buffer)
            .map_err(&failed)?;
        size += read as u64;
        // What lies wholly in the part that was kept has been reported.
        search.find(&buffer, &mut |offset, length, piece| {
            if offset + length > kept {
                found(start + offset as u64, piece);
            }
        });
        if read == 0 {
            return Ok(Some(size));
        }
        let drop = buffer.len().saturating_sub(overlap);
        buffer.drain(..drop);
        start += drop as u64;
    }
}
