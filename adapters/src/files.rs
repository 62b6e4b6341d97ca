//! Files that survive a crash at any moment: written beside, synced, renamed, and their folder synced.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::digest::{hash_file, hex};
use crate::error::AdapterError;
use crate::version::StoredFile;

const BUFFER_BYTES: usize = 1 << 20;

/// Copies a regular file of at most `limit` bytes to `target`, synced and read-only, and digests what it wrote, so that what
/// is checked later is what was stored.
pub(crate) fn copy(source: &Path, target: &Path, limit: u64) -> Result<StoredFile, AdapterError> {
    let name = name_of(target);
    check_size(source, &name, limit)?;
    let mut reader = File::open(source).map_err(AdapterError::io("open", source))?;
    let mut writer = File::create_new(target).map_err(AdapterError::io("create", target))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut bytes = 0;
    loop {
        let count = reader
            .read(&mut buffer)
            .map_err(AdapterError::io("read", source))?;
        if count == 0 {
            break;
        }
        bytes += count as u64;
        if bytes > limit {
            return Err(too_big(&name, bytes, limit));
        }
        hasher.update(&buffer[..count]);
        writer
            .write_all(&buffer[..count])
            .map_err(AdapterError::io("write", target))?;
    }
    finish(&writer, target)?;
    Ok(StoredFile {
        name,
        sha256: hex(hasher),
        bytes,
    })
}

/// What [`copy`] would store of a file.
pub(crate) fn digest(path: &Path, limit: u64) -> Result<StoredFile, AdapterError> {
    let name = name_of(path);
    check_size(path, &name, limit)?;
    let (sha256, bytes) = hash_file(path).map_err(AdapterError::io("read", path))?;
    Ok(StoredFile {
        name,
        sha256,
        bytes,
    })
}

/// Whether there is something under this name, if only a link to nothing.
pub(crate) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Refuses what is too big, and what is no regular file: a pipe or a device has no size, and may never end.
fn check_size(path: &Path, name: &str, limit: u64) -> Result<(), AdapterError> {
    let metadata = fs::metadata(path).map_err(AdapterError::io("open", path))?;
    if metadata.is_file() {
        return if metadata.len() > limit {
            Err(too_big(name, metadata.len(), limit))
        } else {
            Ok(())
        };
    }
    Err(AdapterError::refused(
        name,
        "its type",
        "not a regular file",
        "must be one",
    ))
}

fn too_big(name: &str, bytes: u64, limit: u64) -> AdapterError {
    AdapterError::refused(
        name,
        "its size",
        format!("{bytes} bytes"),
        format!("must be at most {limit}"),
    )
}

/// A new read-only file, synced.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> Result<(), AdapterError> {
    let mut file = File::create_new(path).map_err(AdapterError::io("create", path))?;
    file.write_all(content)
        .map_err(AdapterError::io("write", path))?;
    finish(&file, path)
}

fn finish(file: &File, path: &Path) -> Result<(), AdapterError> {
    let mut permissions = file
        .metadata()
        .map_err(AdapterError::io("read", path))?
        .permissions();
    permissions.set_readonly(true);
    file.set_permissions(permissions)
        .map_err(AdapterError::io("change", path))?;
    file.sync_all().map_err(AdapterError::io("sync", path))
}

/// Puts `content` in the place of the file, all or nothing.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), AdapterError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file =
        NamedTempFile::new_in(folder).map_err(AdapterError::io("create a file in", folder))?;
    file.write_all(content)
        .map_err(AdapterError::io("write", path))?;
    file.as_file()
        .sync_all()
        .map_err(AdapterError::io("sync", path))?;
    file.persist(path)
        .map_err(|error| error.error)
        .map_err(AdapterError::io("replace", path))?;
    sync_folder(folder)
}

/// Makes what was created or renamed in the folder outlive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), AdapterError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(AdapterError::io("sync", folder))
}

/// The lock file, open; locking it excludes other threads as well as other processes, and dropping it releases.
pub(crate) fn lock_file(path: &Path) -> Result<File, AdapterError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(AdapterError::io("open", path))
}

pub(crate) fn lock(path: &Path) -> Result<File, AdapterError> {
    let file = lock_file(path)?;
    file.lock().map_err(AdapterError::io("lock", path))?;
    Ok(file)
}

/// At most `limit` bytes of a file, or what it is too big by.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, AdapterError> {
    let file = File::open(path).map_err(AdapterError::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(AdapterError::io("read", path))?;
    if bytes.len() as u64 > limit {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        return Err(AdapterError::refused(
            &name,
            "its size",
            format!("more than {limit} bytes"),
            format!("must be at most {limit}"),
        ));
    }
    Ok(bytes)
}
