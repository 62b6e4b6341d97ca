//! Why a rollout cannot start, do what was asked, or be believed.

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RolloutError {
    /// A field of a plan or of what a rollout starts from.
    #[error("`{key}` is `{found}`: {limit}")]
    Setting {
        key: String,
        limit: String,
        found: String,
    },
    /// The rollout is as it was before the request.
    #[error("cannot {request}: the rollout is {state}; possible is {possible}")]
    NotPossible {
        request: &'static str,
        state: String,
        possible: &'static str,
    },
    /// What is stored of the audit is not what was written.
    #[error("audit line {line}: {reason}")]
    Chain {
        /// From 1, by position.
        line: usize,
        reason: String,
    },
}

impl RolloutError {
    pub(crate) fn setting(
        key: impl Into<String>,
        found: &impl ToString,
        limit: impl Into<String>,
    ) -> Self {
        Self::Setting {
            key: key.into(),
            limit: limit.into(),
            found: found.to_string(),
        }
    }
}
