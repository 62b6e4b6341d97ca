//! Content digests of model files.

use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::EngineError;

/// `sha256:<hex>` of bytes.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    written(&Sha256::digest(bytes))
}

/// `sha256:<hex>` over names and contents of files, in the order of their names: the same wherever the folder lies.
pub(crate) fn of_files(files: &[PathBuf]) -> Result<String, EngineError> {
    let mut files: Vec<_> = files
        .iter()
        .map(|path| (path.file_name().unwrap_or_default(), path))
        .collect();
    files.sort();
    let mut whole = Sha256::new();
    for (name, path) in files {
        whole.update(name.as_encoded_bytes());
        whole.update([0]);
        whole.update(read(path).map_err(EngineError::io(path))?);
    }
    Ok(written(&whole.finalize()))
}

/// `sha256:<hex>` of a file's content.
pub(crate) fn of_file(path: &Path) -> std::io::Result<String> {
    read(path).map(|digest| written(&digest))
}

fn read(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(digest.finalize().into());
        }
        digest.write_all(&buffer[..read])?;
    }
}

fn written(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
