//! Why a data set, a run or a report cannot be read or written: always with the file, and with the line where there is one.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    #[error("cannot {doing} `{path}`")]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Lines count from 1.
    #[error("{path}:{line}: {reason}")]
    Line {
        path: PathBuf,
        line: u64,
        reason: String,
    },
    #[error("`{path}` {reason}")]
    Dataset { path: PathBuf, reason: String },
    /// Two runs whose questions cannot be paired.
    #[error("these runs cannot be compared: {reason}")]
    Pairing { reason: String },
    #[error("gates: {reason}")]
    Gates { reason: String },
    #[error("query `{query}`: {reason}")]
    Run { query: String, reason: String },
    /// `id` is empty when it is about all of them.
    #[error("observation `{id}`: {reason}")]
    Observation { id: String, reason: String },
    #[error(
        "`{text}` is no metric: write one of `nDCG@k`, `R@k`, `P@k`, `RR@k`, `RR`, `AP`, `Success@k`"
    )]
    Metric { text: String },
}

impl EvalError {
    /// For `map_err`: what was being done to which path.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}
