//! Who asks: a subject, what its key may do (scopes), and what it may read (access tokens).
//!
//! Identity comes from the bearer key or from the local socket, never from a request's body.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use quoin_adapters::rollout::Arm;
use quoin_retriever::Access;
use serde::{Deserialize, Serialize};

/// What a key may do. `Admin` includes all others and lifts the access check on documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Ask questions.
    Answer,
    /// Search, read documents, embed and rerank.
    Search,
    /// Write and delete documents.
    Ingest,
    /// Rate answers.
    Feedback,
    /// Everything, on every document.
    Admin,
}

impl Scope {
    /// Every scope, in the order of the documentation.
    pub const ALL: [Self; 5] = [
        Self::Answer,
        Self::Search,
        Self::Ingest,
        Self::Feedback,
        Self::Admin,
    ];

    /// The word for it in requests and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Search => "search",
            Self::Ingest => "ingest",
            Self::Feedback => "feedback",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A scope that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("unknown scope `{0}`: use answer, search, ingest, feedback or admin")]
pub struct UnknownScope(pub String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == word)
            .ok_or_else(|| UnknownScope(word.to_owned()))
    }
}

/// Whoever needs no key.
const LOCAL: &str = "local";

/// The principal of one request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Stable name for assignment and the log: `key:<id>`, or `local` for the owner of the data folder.
    pub subject: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// What it may read.
    pub access: Access,
    /// The arm of a running rollout that it wants to be answered by, outside of its statistics.
    pub arm: Option<Arm>,
    /// Keeps a conversation on one release, where the request itself names no session.
    pub session: Option<String>,
}

impl Caller {
    /// The owner of the data folder: the local socket, or loopback while no key exists.
    #[must_use]
    pub fn local() -> Self {
        Self {
            subject: LOCAL.to_owned(),
            scopes: Scope::ALL.into_iter().collect(),
            access: Access::admin(),
            arm: None,
            session: None,
        }
    }

    /// The caller behind a key. The `admin` scope lifts the access check; any other key reads by its tokens.
    #[must_use]
    pub fn with_key(key_id: &str, scopes: BTreeSet<Scope>, tokens: &[String]) -> Self {
        let access = if scopes.contains(&Scope::Admin) {
            Access::admin()
        } else {
            Access::of(tokens.iter().cloned())
        };
        Self {
            subject: format!("key:{key_id}"),
            scopes,
            access,
            arm: None,
            session: None,
        }
    }

    /// The same caller, reading only what `tokens` may read. Narrows: only a caller with `admin` may take it.
    #[must_use]
    pub fn reading_as(&self, tokens: &[String]) -> Self {
        Self {
            access: Access::of(tokens.iter().cloned()),
            ..self.clone()
        }
    }

    /// Whether it said who it is: the owner of the folder need not.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.subject != LOCAL
    }

    /// Whether the caller holds `scope`, directly or through `admin`.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}
