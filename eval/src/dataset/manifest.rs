//! `dataset.toml`: what a data set says about itself, all of it optional.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::EvalError;

pub const MANIFEST: &str = "dataset.toml";
const MANIFEST_BYTES_MAX: u64 = 64 << 10;
/// Files below a folder of documents, and folders within folders.
const FILES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 32;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// A program wrote the questions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub generated: bool,
    /// The command that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
    /// A folder of documents instead of `corpus.jsonl`, relative to the data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<PathBuf>,
}

impl Manifest {
    /// Of a folder; empty where there is none.
    pub(super) fn read(folder: &Path) -> Result<Self, EvalError> {
        let path = folder.join(MANIFEST);
        if !path.is_file() {
            return Ok(Self::default());
        }
        let error = |reason: String| EvalError::Dataset {
            path: path.clone(),
            reason,
        };
        let length = fs::metadata(&path)
            .map_err(EvalError::io("open", &path))?
            .len();
        if length > MANIFEST_BYTES_MAX {
            return Err(error(format!(
                "has {length} bytes, at most {MANIFEST_BYTES_MAX}"
            )));
        }
        let text = fs::read_to_string(&path).map_err(EvalError::io("read", &path))?;
        let manifest: Self =
            toml::from_str(&text).map_err(|cause| error(format!("cannot be read: {cause}")))?;
        if let Some(documents) = &manifest.documents
            && (documents.is_absolute() || !lies_beside(folder, &folder.join(documents)))
        {
            return Err(error(format!(
                "names `documents = \"{}\"`, which must be a folder in or beside that of the data set",
                documents.display()
            )));
        }
        Ok(manifest)
    }
}

/// Whether a folder lies below the one that the data set lies in: a data set from elsewhere reads nothing else of the machine.
fn lies_beside(dataset: &Path, documents: &Path) -> bool {
    let (Ok(dataset), Ok(documents)) = (dataset.canonicalize(), documents.canonicalize()) else {
        return false;
    };
    let around = dataset.parent().unwrap_or(&dataset);
    documents.is_dir() && documents.starts_with(around) && documents != around
}

/// All files below a folder, sorted. Links are not followed.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>, EvalError> {
    let mut files = Vec::new();
    collect(folder, 0, &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), EvalError> {
    let refused = |reason: String| EvalError::Dataset {
        path: folder.to_owned(),
        reason,
    };
    if depth > DEPTH_MAX {
        return Err(refused(format!("is more than {DEPTH_MAX} folders deep")));
    }
    for entry in fs::read_dir(folder).map_err(EvalError::io("list", folder))? {
        let entry = entry.map_err(EvalError::io("list", folder))?;
        let kind = entry.file_type().map_err(EvalError::io("list", folder))?;
        if kind.is_dir() {
            collect(&entry.path(), depth + 1, files)?;
        } else if kind.is_file() {
            if files.len() == FILES_MAX {
                return Err(refused(format!("has more than {FILES_MAX} files")));
            }
            files.push(entry.path());
        }
    }
    Ok(())
}
