//! How a command fails: what went wrong, its causes, what to do next, and the exit code.
//!
//! A failure is printed once, by [`super::run`]; commands only return it.

use std::error::Error;
use std::fmt;

/// The exit codes of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Success,
    /// It failed.
    Error,
    /// The command was called in a way that cannot work.
    Usage,
    /// A gate failed.
    GateFailed,
    /// Whether a gate holds cannot be told.
    Inconclusive,
}

impl Exit {
    /// The number for the shell.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::GateFailed => 100,
            Self::Inconclusive => 101,
        }
    }
}

/// A command that failed. Errors become one with `?`.
#[derive(Debug)]
pub struct Failure {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    exit: Exit,
    not_found: bool,
}

impl Failure {
    /// It failed: `message` in lower case, without a full stop.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            exit: Exit::Error,
            not_found: false,
        }
    }

    /// It was called in a way that cannot work.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            ..Self::new(message)
        }
    }

    /// A gate does not hold, or nobody can say.
    pub fn gate(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            ..Self::new(message)
        }
    }

    /// Whoever read stdout has gone: nothing is left to do, and nothing to say.
    #[must_use]
    pub fn reader_gone() -> Self {
        Self {
            exit: Exit::Success,
            ..Self::new("")
        }
    }

    /// All that matters was printed already; only the exit code is left.
    #[must_use]
    pub fn already_told() -> Self {
        Self::new("")
    }

    /// What was asked for is not there.
    #[must_use]
    pub fn not_found(mut self) -> Self {
        self.not_found = true;
        self
    }

    /// Whether it failed because what was asked for is not there.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        self.not_found
    }

    /// What to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts what was being done before what went wrong.
    #[must_use]
    pub fn during(mut self, what: impl Into<String>) -> Self {
        let cause = std::mem::replace(&mut self.message, what.into());
        self.causes.insert(0, cause);
        self
    }

    /// What went wrong and why, in one line.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        let mut line = self.message.clone();
        for cause in &self.causes {
            line.push_str(": ");
            line.push_str(cause);
        }
        line
    }

    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    /// The lines for stderr; nothing when all was told.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            return Ok(());
        }
        writeln!(formatter, "error: {}", self.message)?;
        for cause in &self.causes {
            writeln!(formatter, "  caused by: {cause}")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(formatter, "hint: {hint}")?;
        }
        Ok(())
    }
}

impl Failure {
    /// An error with its causes.
    pub fn of(error: &dyn Error) -> Self {
        let mut failure = Self::new(error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Some errors already hold the words of their source.
            if !failure.message.contains(&cause_text) {
                failure.causes.push(cause_text);
            }
            source = cause.source();
        }
        failure
    }
}

/// Named one by one: for every `E: Error` at once, a crate below us has an implementation that would overlap.
macro_rules! failures {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::of(&error)
            }
        }
    )+};
}

failures! {
    std::io::Error,
    serde_json::Error,
    toml::de::Error,
    toml::ser::Error,
    http::Error,
    hyper::Error,
    axum::Error,
    tokio::task::JoinError,
    tracing_subscriber::filter::ParseError,
    rusqlite::Error,
    quoin_adapters::AdapterError,
    quoin_engine::EngineError,
    quoin_eval::EvalError,
    quoin_retriever::RetrieverError,
    reqwest::Error,
    crate::answer::error::AnswerError,
    crate::config::ConfigError,
    crate::service::OpenError,
    crate::storage::StorageError,
    crate::telemetry::TelemetryError,
}

/// Adds what was being done to the error of a result.
pub trait Context<T> {
    /// `what`, then the error as its cause.
    ///
    /// # Errors
    /// The error of the result.
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> Context<T> for Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| error.into().during(what()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Context, Exit, Failure};

    #[test]
    fn a_failure_prints_its_causes_and_its_hint() {
        let failure = Err::<(), _>(std::io::Error::other("disk on fire"))
            .context(|| "cannot write `a`".to_owned())
            .expect_err("it is an error")
            .hint("use another disk");
        assert_eq!(
            failure.to_string(),
            "error: cannot write `a`\n  caused by: disk on fire\nhint: use another disk\n"
        );
        assert_eq!(failure.exit(), Exit::Error);
    }

    #[test]
    fn a_reader_that_has_gone_is_a_quiet_end() {
        let failure = Failure::reader_gone();
        assert_eq!(failure.to_string(), "");
        assert_eq!(failure.exit().code(), 0);
    }
}
