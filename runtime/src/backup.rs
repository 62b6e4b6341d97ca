//! What a backup is made of: the copy of the database, the adapters, the key of receipts, and a manifest with the digest of each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

use crate::storage::now_ms;

/// The manifest's file.
pub(crate) const MANIFEST: &str = "manifest.json";
/// The database's file.
pub(crate) const DATABASE: &str = "quoin.db";
/// The file of the key that signs receipts.
pub(crate) const RECEIPT_KEY: &str = "receipt.key";
const FORMAT: u32 = 1;

/// What a backup says about itself. The documents in it are those of its database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    format: u32,
    /// Milliseconds since 1970.
    pub(crate) made_at_ms: i64,
    /// The catalogue that it is a copy of.
    pub(crate) catalogue: i64,
    /// The generation of the catalogue that it holds.
    pub(crate) generation: u64,
    /// Documents in it.
    pub(crate) documents: u64,
    /// SHA-256 of every file, by its path in the folder.
    files: BTreeMap<String, String>,
}

impl Manifest {
    /// Describes the files in a folder, and writes that beside them.
    pub(crate) fn write(folder: &Path) -> io::Result<Self> {
        let manifest = Self {
            format: FORMAT,
            made_at_ms: now_ms(),
            catalogue: number(folder, CATALOGUE)?,
            generation: number(folder, GENERATION)?.cast_unsigned(),
            documents: number(folder, "SELECT count(*) FROM documents")?.cast_unsigned(),
            files: digests(folder)?,
        };
        let path = folder.join(MANIFEST);
        std::fs::write(&path, serde_json::to_vec_pretty(&manifest)?)?;
        File::open(&path)?.sync_all()?;
        Ok(manifest)
    }

    /// Reads a backup's manifest and holds every file against it.
    ///
    /// # Errors
    /// In words: there is none, it is of a newer program, or a file is missing, changed or not named.
    pub(crate) fn verified(folder: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(folder.join(MANIFEST))
            .map_err(|error| format!("`{MANIFEST}` cannot be read: {error}"))?;
        let manifest: Self = serde_json::from_str(&text)
            .map_err(|error| format!("`{MANIFEST}` is not one of a backup: {error}"))?;
        if manifest.format != FORMAT {
            return Err(format!(
                "it has format {}, this program knows {FORMAT}",
                manifest.format
            ));
        }
        let found = digests(folder).map_err(|error| format!("it cannot be read: {error}"))?;
        for (name, digest) in &manifest.files {
            match found.get(name) {
                None => return Err(format!("`{name}` is missing")),
                Some(got) if got != digest => return Err(format!("`{name}` has changed")),
                Some(_) => {}
            }
        }
        match found
            .keys()
            .find(|name| !manifest.files.contains_key(*name))
        {
            Some(name) => Err(format!("`{name}` is not in its manifest")),
            None => Ok(manifest),
        }
    }
}

const CATALOGUE: &str = "SELECT value FROM retriever_meta WHERE name = 'catalogue_id'";
const GENERATION: &str = "SELECT value FROM retriever_meta WHERE name = 'generation'";

/// The catalogue that a folder's database is of; `None` where there is none that can be read.
pub(crate) fn catalogue_of(folder: &Path) -> Option<i64> {
    number(folder, CATALOGUE).ok()
}

fn number(folder: &Path, sql: &str) -> io::Result<i64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(folder.join(DATABASE), flags)
        .and_then(|connection| connection.query_row(sql, [], |row| row.get(0)))
        .map_err(io::Error::other)
}

fn digests(folder: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut digests = BTreeMap::new();
    for entry in WalkDir::new(folder) {
        let entry = entry?;
        let relative = entry
            .path()
            .strip_prefix(folder)
            .map_err(io::Error::other)?;
        let name = relative.to_string_lossy().into_owned();
        if entry.file_type().is_file() && name != MANIFEST {
            let mut digest = Sha256::new();
            io::copy(&mut File::open(entry.path())?, &mut digest)?;
            digests.insert(name, format!("{:x}", digest.finalize()));
        }
    }
    Ok(digests)
}

/// Copies regular files; half-added adapters and lock files stay behind. What is not there is not copied.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.')
    };
    for entry in WalkDir::new(from).into_iter().filter_entry(visible) {
        let entry = entry?;
        let relative = entry.path().strip_prefix(from).map_err(io::Error::other)?;
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(to.join(relative))?;
        } else if entry.file_type().is_file() {
            copy_file(entry.path(), &to.join(relative))?;
        }
    }
    Ok(())
}

/// Copies a file and syncs it.
pub(crate) fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::copy(from, to)?;
    File::open(to)?.sync_all()
}
