//! What a rollout starts from and what happens to it. Whoever stores these in order can replay it.

use serde::{Deserialize, Serialize};

use super::guardrail::Observation;
use super::state::Arm;
use crate::name::AdapterId;

/// One of the two releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    pub adapter: Option<AdapterId>,
    /// Its digest.
    pub release: String,
}

/// Why the canary may be tried at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Gate {
    /// An evaluation passed.
    Passed {
        /// The report's digest.
        report: String,
    },
    /// Somebody answers for it.
    Forced {
        by: String,
        reason: String,
    },
    NotNeeded,
}

/// Times are milliseconds since 1970, UTC. A time before one that was seen already counts as that one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Input {
    /// An answer was given, or could not be. `arm` is the one that was asked first, whoever answered in the end.
    Outcome {
        arm: Arm,
        /// Who is assigned: subject, session or request id.
        unit: String,
        /// The caller chose the arm: of such a request only an access violation counts.
        overridden: bool,
        observed: Observation,
        at_ms: i64,
    },
    /// Somebody judged an answer that `arm` gave.
    Feedback {
        arm: Arm,
        unit: String,
        negative: bool,
        at_ms: i64,
    },
    /// Both releases answered the same request, the canary unseen.
    Pair {
        stable: Observation,
        canary: Observation,
        at_ms: i64,
    },
    /// Time passed.
    Tick { at_ms: i64 },
    Pause {
        by: String,
        reason: String,
        at_ms: i64,
    },
    Resume {
        by: String,
        reason: String,
        at_ms: i64,
    },
    /// All of the traffic at once, whatever is still to be shown.
    Promote {
        by: String,
        reason: String,
        at_ms: i64,
    },
    Abort {
        by: String,
        reason: String,
        at_ms: i64,
    },
}

impl Input {
    #[must_use]
    pub fn at_ms(&self) -> i64 {
        match self {
            Self::Outcome { at_ms, .. }
            | Self::Feedback { at_ms, .. }
            | Self::Pair { at_ms, .. }
            | Self::Tick { at_ms }
            | Self::Pause { at_ms, .. }
            | Self::Resume { at_ms, .. }
            | Self::Promote { at_ms, .. }
            | Self::Abort { at_ms, .. } => *at_ms,
        }
    }
}
