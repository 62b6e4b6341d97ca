//! Everything that can go wrong in the engine. Messages name the limit, the value received and what to do next; they hold
//! paths and numbers, never text of a prompt.

use std::{path::PathBuf, time::Duration};

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A file of a base model is missing, cut short, corrupt or of a kind that is not supported.
    #[error("model file `{}`: {reason}", path.display())]
    ModelFile { path: PathBuf, reason: String },
    /// The adapter cannot be served on this base as it was trained.
    #[error("adapter `{}`: {reason}", path.display())]
    Adapter { path: PathBuf, reason: String },
    #[error("model `{name}` does not load: {reason}")]
    Load { name: String, reason: String },
    /// Checked before anything is loaded.
    #[error(
        "model `{name}` needs about {needed_mib} MiB of memory and {available_mib} MiB are free: unload others, quantise it, or shorten its context"
    )]
    Memory {
        name: String,
        needed_mib: u64,
        available_mib: u64,
    },
    #[error("a model named `{name}` is loaded already: unload it first or choose another name")]
    NameTaken { name: String },
    #[error("setting `{key}`: {reason}")]
    Setting { key: &'static str, reason: String },
    #[error(
        "model `{id}` is not in the model cache and the network is off: pull it first, or name a local folder"
    )]
    NetworkOff { id: String },
    #[error("pulling `{id}`: {reason}")]
    Hub { id: String, reason: String },
    #[error("the prompt has {tokens} tokens, more than the {limit} that this model can take")]
    PromptTooLong { tokens: usize, limit: usize },
    #[error("the queue is full: {waiting} of {limit} places taken, try again in {} s", retry_after.as_secs().max(1))]
    QueueFull {
        waiting: usize,
        limit: usize,
        retry_after: Duration,
    },
    #[error("the generation took longer than its limit of {} ms", limit.as_millis())]
    TimeLimit { limit: Duration },
    #[error("invalid generation request: {reason}")]
    InvalidRequest { reason: String },
    #[error("the constraint cannot be enforced: {reason}")]
    UnsupportedConstraint { reason: String },
    #[error("the schema cannot be enforced: {reason}")]
    UnsupportedSchema { reason: String },
    #[error("the model's chat template: {reason}")]
    Template { reason: String },
    #[error("the generation failed: {reason}")]
    Generation { reason: String },
    #[error("`{}`: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl EngineError {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers hand over errors and texts"
    )]
    pub(crate) fn file(path: &std::path::Path, reason: impl ToString) -> Self {
        Self::ModelFile {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers hand over errors and texts"
    )]
    pub(crate) fn adapter(path: &std::path::Path, reason: impl ToString) -> Self {
        Self::Adapter {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
