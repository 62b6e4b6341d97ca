//! Why there is no answer.
//!
//! Three kinds: what the caller can mend (`Invalid`, `UnenforceableSchema`, `UnknownModel`, `Incomplete`), what passes by
//! itself (`QueueFull`, `Unavailable`, `Loading`, `Timeout`), and defects (`Retrieval`, `Engine`, `Unresolved`, `BrokenSchema`).
//! An abstention is none of these: it is an answer.

use std::time::Duration;

use quoin_engine::EngineError;
use quoin_retriever::RetrieverError;

use crate::answer::draft::MalformedDraft;
use crate::answer::prompt::QuestionTooLong;
use crate::answer::schema::SchemaError;
use crate::answer::verify::Unresolved;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// A field of the request is outside its bounds.
    #[error("{message}")]
    Invalid {
        /// The field.
        param: &'static str,
        /// Field, limit and what came.
        message: String,
    },
    /// The schema is malformed.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The schema is valid but cannot be enforced while decoding.
    #[error("`schema` cannot be enforced: {reason}")]
    UnenforceableSchema {
        /// What in it, in the words of the grammar compiler.
        reason: String,
    },
    /// No such model or adapter version.
    #[error("unknown model `{0}`: use `quoin`, `base` or a registered `NAME@VERSION`")]
    UnknownModel(String),
    /// The model needed more tokens than it may generate.
    #[error(
        "the answer did not end within `max_tokens` = {max_tokens}: allow more, or ask for a smaller schema"
    )]
    Incomplete {
        /// The limit of the last attempt.
        max_tokens: usize,
    },
    /// The engine's queue is full.
    #[error("the engine's queue is full: try again in {} s", retry_after.as_secs().max(1))]
    QueueFull {
        /// When to try again.
        retry_after: Duration,
    },
    /// The model is not loaded and cannot be.
    #[error("no model can answer: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// It will be able to.
    #[error("`{model}` is being loaded: try again in {} s", retry_after.as_secs().max(1))]
    Loading {
        /// Which one.
        model: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// Longer than the limit.
    #[error("the answer took longer than {} ms", limit.as_millis())]
    Timeout {
        /// The limit.
        limit: Duration,
    },
    /// Retrieval failed.
    #[error("retrieval failed")]
    Retrieval(#[source] RetrieverError),
    /// The engine failed.
    #[error("generation failed")]
    Engine(#[source] EngineError),
    /// The output has not the form of its grammar.
    #[error("generation failed")]
    Malformed(#[from] MalformedDraft),
    /// A citation names nothing in the prompt.
    #[error("a citation could not be resolved")]
    Unresolved(#[from] Unresolved),
    /// The decoded answer does not satisfy the schema that it was decoded under.
    #[error("the answer does not satisfy the schema ({0})")]
    BrokenSchema(String),
    /// A background task ended early.
    #[error("internal task failed")]
    Task(#[from] tokio::task::JoinError),
}

impl AnswerError {
    /// The reason to name when extractive stands in for the model; `None` when it must not.
    #[must_use]
    pub const fn fallback_reason(&self) -> Option<&'static str> {
        match self {
            Self::QueueFull { .. } => Some("queue_full"),
            Self::Unavailable { .. } | Self::Loading { .. } | Self::Engine(_) => {
                Some("engine_down")
            }
            _ => None,
        }
    }
}

impl From<QuestionTooLong> for AnswerError {
    fn from(error: QuestionTooLong) -> Self {
        Self::Invalid {
            param: "question",
            message: error.to_string(),
        }
    }
}
