//! The language model inside this program: for the first run, tests and demonstrations without a network.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{EngineError, digest};

macro_rules! bundled_files {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_bytes!(concat!("../bundled/pointer/", $name)) as &[u8])),+]
    };
}

const FILES: [(&str, &[u8]); 6] = bundled_files![
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "CARD.md",
    "model.safetensors",
];

/// Writes the bundled model below `into` and returns its folder. The folder's name tells the model's content: another
/// version of this program gets another folder. A file that is there with the right content is left alone, anything else
/// is written anew; each appears whole or not at all.
///
/// # Errors
/// [`EngineError::Io`], also for a full disk.
pub fn unpack(into: &Path) -> Result<PathBuf, EngineError> {
    let contents: Vec<u8> = FILES
        .iter()
        .flat_map(|(name, bytes)| format!("{name} {}\n", digest::of_bytes(bytes)).into_bytes())
        .collect();
    let digest = digest::of_bytes(&contents);
    let folder = into.join(format!(
        "pointer-{}",
        digest
            .trim_start_matches("sha256:")
            .get(..12)
            .unwrap_or_default()
    ));
    fs::create_dir_all(&folder).map_err(EngineError::io(&folder))?;
    for (name, bytes) in FILES {
        let path = folder.join(name);
        let is_there = fs::read(&path).is_ok_and(|present| present == bytes);
        if !is_there {
            write_whole(&path, bytes).map_err(EngineError::io(&path))?;
        }
    }
    Ok(folder)
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn unpacking_twice_changes_nothing_and_repairs_damage() {
        let folder = tempfile::tempdir().unwrap();
        let model = unpack(folder.path()).unwrap();
        let weights = model.join("model.safetensors");
        let written = fs::metadata(&weights).unwrap().modified().unwrap();
        fs::write(model.join("config.json"), "damaged").unwrap();
        assert_eq!(unpack(folder.path()).unwrap(), model);
        assert_eq!(fs::metadata(&weights).unwrap().modified().unwrap(), written);
        assert_eq!(fs::read(model.join("config.json")).unwrap(), FILES[0].1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = unpack(file.path()).unwrap_err().to_string();
        assert!(
            error.contains(&file.path().display().to_string()),
            "{error}"
        );
    }
}
