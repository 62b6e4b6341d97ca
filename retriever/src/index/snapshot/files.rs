//! Files of a snapshot: digests, syncing, and the form of the vector rows.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
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

/// How many rows, then keys, scales and rows, each as a run of little-endian numbers; in `order`, where there is one.
pub(super) fn write_block(path: &Path, block: &Block, order: Option<&[u32]>) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 18, File::create(path)?);
    let at = |place: usize| order.map_or(place, |order| order[place] as usize);
    file.write_all(&(block.len() as u64).to_le_bytes())?;
    for place in 0..block.len() {
        file.write_all(&block.keys()[at(place)].to_le_bytes())?;
    }
    for place in 0..block.len() {
        file.write_all(&block.scales()[at(place)].to_le_bytes())?;
    }
    let mut bytes = Vec::new();
    for place in 0..block.len() {
        bytes.clear();
        let row = block.row(at(place)).iter();
        bytes.extend(row.map(|value| value.cast_unsigned()));
        file.write_all(&bytes)?;
    }
    file.flush()
}

/// The reverse of [`write_block`]; `None` when the file is not that.
pub(super) fn read_block(path: &Path, dimensions: usize) -> io::Result<Option<Block>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut count = [0; 8];
    if length < 8 {
        return Ok(None);
    }
    file.read_exact(&mut count)?;
    let count = u64::from_le_bytes(count);
    let of_row = 8 + dimensions as u64;
    // Before anything of that size is reserved.
    if count
        .checked_mul(of_row)
        .and_then(|bytes| bytes.checked_add(8))
        != Some(length)
    {
        return Ok(None);
    }
    let Ok(count) = usize::try_from(count) else {
        return Ok(None);
    };
    let mut read = |bytes: usize| -> io::Result<Vec<u8>> {
        let mut part = vec![0; bytes];
        file.read_exact(&mut part)?;
        Ok(part)
    };
    let (keys, scales) = (read(count * 4)?, read(count * 4)?);
    let keys = keys.as_chunks::<4>().0.iter();
    let scales = scales.as_chunks::<4>().0.iter();
    let rows = read(count * dimensions)?.into_iter();
    Ok(Block::from_parts(
        dimensions,
        keys.map(|key| u32::from_le_bytes(*key)).collect(),
        scales.map(|scale| f32::from_le_bytes(*scale)).collect(),
        rows.map(u8::cast_signed).collect(),
    ))
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
    fn rows_survive_the_disk_in_any_order_and_a_cut_file_is_refused() {
        let mut block = Block::with_capacity(3, 2);
        block.push(4, &Vector::quantise(&[0.6, 0.0, 0.8]));
        block.push(9, &Vector::quantise(&[0.0, -1.0, 0.0]));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        for order in [[0, 1], [1, 0]] {
            write_block(&path, &block, Some(&order)).unwrap();
            let read = read_block(&path, 3).unwrap().unwrap();
            for (place, from) in order.iter().map(|from| *from as usize).enumerate() {
                assert_eq!(read.keys()[place], block.keys()[from]);
                assert_eq!(
                    read.scales()[place].to_bits(),
                    block.scales()[from].to_bits()
                );
                assert_eq!(read.row(place), block.row(from));
            }
        }
        let bytes = fs::read(&path).unwrap();
        for end in 0..bytes.len() {
            fs::write(&path, &bytes[..end]).unwrap();
            assert!(read_block(&path, 3).unwrap().is_none(), "{end}");
        }
    }
}
