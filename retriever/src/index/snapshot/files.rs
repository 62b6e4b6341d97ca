//! Files of a snapshot: digests, syncing, and the form of the vector rows.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::RetrieverError;
use crate::index::vector::Block;

/// SHA-256 of every file below a folder, by its path in it; lock files are removed first.
pub(super) fn digests(folder: &Path) -> Result<BTreeMap<String, String>, RetrieverError> {
    let failed = RetrieverError::io("digest", folder);
    let mut digests = BTreeMap::new();
    for path in tree(folder).map_err(&failed)? {
        if path
            .extension()
            .is_some_and(|extension| extension == "lock")
        {
            fs::remove_file(&path).map_err(&failed)?;
            continue;
        }
        let name = path.strip_prefix(folder).unwrap_or(&path);
        let name = name.to_string_lossy().replace('\\', "/");
        digests.insert(name, digest(&path).map_err(&failed)?);
    }
    Ok(digests)
}

/// Compares files with their digests, and says what is wrong with the first that differs.
pub(super) fn verify(folder: &Path, files: &BTreeMap<String, String>) -> Result<(), String> {
    if files.is_empty() {
        return Err("the manifest names no files".to_owned());
    }
    for (name, want) in files {
        match digest(&folder.join(name)) {
            Ok(got) if got == *want => {}
            Ok(_) => return Err(format!("`{name}` has changed")),
            Err(error) => return Err(format!("`{name}`: {error}")),
        }
    }
    Ok(())
}

/// Syncs every file and folder below, and the folder itself.
pub(super) fn sync_tree(folder: &Path) -> Result<(), RetrieverError> {
    let failed = RetrieverError::io("sync", folder);
    for path in tree(folder).map_err(&failed)? {
        File::open(&path)
            .and_then(|file| file.sync_all())
            .map_err(&failed)?;
    }
    for entry in fs::read_dir(folder).map_err(&failed)? {
        let path = entry.map_err(&failed)?.path();
        if path.is_dir() {
            sync_folder(&path)?;
        }
    }
    sync_folder(folder)
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), RetrieverError> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(RetrieverError::io("sync", folder))
}

/// Keys, scales and rows, each as a run of little-endian numbers after their count.
pub(super) fn block_to_bytes(block: &Block) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + block.len() * 8 + block.rows().len());
    bytes.extend((block.len() as u64).to_le_bytes());
    bytes.extend(block.keys().iter().flat_map(|key| key.to_le_bytes()));
    bytes.extend(block.scales().iter().flat_map(|scale| scale.to_le_bytes()));
    bytes.extend(block.rows().iter().map(|value| value.cast_unsigned()));
    bytes
}

/// The reverse of [`block_to_bytes`]; `None` when the bytes are not that.
pub(super) fn block_from_bytes(bytes: &[u8], dimensions: usize) -> Option<Block> {
    let (count, rest) = bytes.split_first_chunk::<8>()?;
    let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
    let (keys, rest) = rest.split_at_checked(count.checked_mul(4)?)?;
    let (scales, rows) = rest.split_at_checked(count.checked_mul(4)?)?;
    let keys = keys
        .as_chunks::<4>()
        .0
        .iter()
        .map(|key| u32::from_le_bytes(*key));
    let scales = scales
        .as_chunks::<4>()
        .0
        .iter()
        .map(|scale| f32::from_le_bytes(*scale));
    let rows = rows.iter().map(|byte| byte.cast_signed());
    Block::from_parts(dimensions, keys.collect(), scales.collect(), rows.collect())
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(crate::hex(&digest.finalize())),
            read => digest.update(&buffer[..read]),
        }
    }
}

fn tree(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::vector::Vector;

    #[test]
    fn rows_survive_the_disk_and_a_cut_file_is_refused() {
        let mut block = Block::with_capacity(3, 2);
        block.push(4, &Vector::quantise(&[0.6, 0.0, 0.8]));
        block.push(9, &Vector::quantise(&[0.0, -1.0, 0.0]));
        let bytes = block_to_bytes(&block);
        let read = block_from_bytes(&bytes, 3).unwrap();
        assert_eq!(read.keys(), block.keys());
        assert_eq!(read.rows(), block.rows());
        for end in 0..bytes.len() {
            assert!(block_from_bytes(&bytes[..end], 3).is_none(), "{end}");
        }
    }
}
