//! Why an adapter cannot be added, found or trusted. Texts go to the operator as they are: they name the field, the limit
//! and what came, and hold paths but never weights.

use std::io;
use std::path::{Path, PathBuf};

use crate::name::AdapterId;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    #[error("`{text}` is not {kind}: {rule}")]
    Name {
        kind: &'static str,
        text: String,
        rule: &'static str,
    },
    /// The folder is not an adapter that would be served as it was trained.
    #[error("{file}: {field} is {found}, {limit}")]
    Refused {
        file: String,
        field: String,
        found: String,
        limit: String,
    },
    #[error("{path}: {reason}")]
    Base { path: PathBuf, reason: String },
    #[error(
        "adapter `{adapter}` was made for base `{expected}`, this one is `{found}`: register it for this base under \
         another version"
    )]
    BaseMismatch {
        adapter: AdapterId,
        expected: String,
        found: String,
    },
    #[error("adapter `{adapter}` is not registered: `quoin adapters list` shows what is")]
    NotFound { adapter: String },
    /// What is stored differs from what was registered.
    #[error("adapter `{adapter}` is damaged: `{file}` {reason}")]
    Damaged {
        adapter: AdapterId,
        file: String,
        reason: String,
    },
    /// A key of the configuration cannot be used.
    #[error("trusted key `{key}` {reason}")]
    Key { key: String, reason: &'static str },
    #[error(
        "`require_signature` is set and `trusted_keys` is empty: no adapter could ever be added"
    )]
    NoTrustedKeys,
    /// A signature is missing where one is required, or is by nobody who is trusted.
    #[error("{subject} is not signed by a trusted key: {reason}; trusted: {trusted}")]
    Untrusted {
        subject: String,
        reason: String,
        /// The ids of the keys.
        trusted: String,
    },
    #[error(
        "adapter `{adapter}` has no report `{digest}`: `quoin adapters show` lists its reports"
    )]
    ReportNotFound { adapter: AdapterId, digest: String },
    /// Somebody moved the alias first: read it again and decide again.
    #[error("alias `{alias}` is at `{found}`, not at `{expected}`: it was moved meanwhile")]
    AliasMoved {
        alias: String,
        expected: String,
        found: String,
    },
    #[error("cannot {doing} `{path}`")]
    Io {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl AdapterError {
    /// What [`AdapterError::Damaged`] says of a file that could not be read.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Io { source, .. } => format!("cannot be read: {source}"),
            other => other.to_string(),
        }
    }

    /// For `map_err`: what was being done to which path.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    pub(crate) fn refused(
        file: &str,
        field: impl Into<String>,
        found: impl Into<String>,
        limit: impl Into<String>,
    ) -> Self {
        Self::Refused {
            file: file.to_owned(),
            field: field.into(),
            found: found.into(),
            limit: limit.into(),
        }
    }
}
