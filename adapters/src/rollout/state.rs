//! Where a rollout can be, and what is possible from there.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::guardrail::Guardrail;

/// Which of the two releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    Stable,
    Canary,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum State {
    Draft,
    Verified,
    Evaluated,
    Shadow,
    Canary {
        /// Index into the plan's steps, from 0.
        step: usize,
    },
    Baking,
    Promoted,
    Paused {
        why: PauseReason,
        resumes: Box<State>,
    },
    Aborted {
        why: AbortReason,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    Manual,
    /// Enough was seen, and the canary could still be worse by more than the margin.
    Inconclusive,
    /// Too little was seen: neither success nor failure.
    InsufficientTraffic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AbortReason {
    Guardrail { guardrail: Guardrail },
    HardFailure { failure: HardFailure },
    Manual,
}

/// What stops a rollout without statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HardFailure {
    EngineErrorsInARow,
    AccessViolation,
}

impl State {
    /// Whether the canary is at work: answering, or answering in the shadow.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Shadow | Self::Canary { .. } | Self::Baking)
    }

    /// Whether nothing can happen any more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Promoted | Self::Aborted { .. })
    }

    /// For people who asked for something that is not.
    pub(crate) fn possible(&self) -> &'static str {
        match self {
            Self::Promoted | Self::Aborted { .. } => "only a new rollout",
            Self::Paused { .. } => "to resume, promote or abort",
            _ => "to pause, promote or abort",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Draft => formatter.write_str("draft"),
            Self::Verified => formatter.write_str("verified"),
            Self::Evaluated => formatter.write_str("evaluated"),
            Self::Shadow => formatter.write_str("shadow"),
            Self::Canary { step } => write!(formatter, "canary (step {})", step + 1),
            Self::Baking => formatter.write_str("baking"),
            Self::Promoted => formatter.write_str("promoted"),
            Self::Paused { why, resumes } => write!(formatter, "paused ({why}) in {resumes}"),
            Self::Aborted { why } => write!(formatter, "aborted ({why})"),
        }
    }
}

impl fmt::Display for PauseReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Manual => "manual",
            Self::Inconclusive => "inconclusive",
            Self::InsufficientTraffic => "insufficient traffic",
        })
    }
}

impl fmt::Display for AbortReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guardrail { guardrail } => write!(formatter, "guardrail {guardrail}"),
            Self::HardFailure { failure } => match failure {
                HardFailure::EngineErrorsInARow => formatter.write_str("engine errors in a row"),
                HardFailure::AccessViolation => formatter.write_str("access violation"),
            },
            Self::Manual => formatter.write_str("manual"),
        }
    }
}
