//! Which release answers a request, and what is noted of the answer.

use quoin_adapters::rollout::{Arm, Input, Observation, Side, microseconds};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Rollouts;
use crate::answer::error::AnswerError;
use crate::answer::types::{Answer, Status};
use crate::caller::Caller;
use crate::storage::now_ms;

/// The arm of a rollout that a request belongs to.
#[derive(Clone)]
pub(crate) struct Assigned {
    rollouts: Rollouts,
    rollout: String,
    unit: String,
    /// Chosen by the caller, and kept out of the statistics.
    overridden: bool,
    pub(crate) arm: Arm,
    pub(crate) side: Side,
}

impl Rollouts {
    /// The arm of a unit; none while no rollout runs. One that has just ended counts until its alias has moved. A caller with the
    /// right to may choose.
    pub(crate) fn assign(&self, unit: &str, wish: Option<Arm>) -> Option<Assigned> {
        let running = self.lock();
        let rollout = running.as_ref()?.rollout();
        let arm = wish.unwrap_or_else(|| rollout.assign(unit));
        Some(Assigned {
            rollouts: self.clone(),
            rollout: rollout.id().to_owned(),
            unit: unit.to_owned(),
            overridden: wish.is_some(),
            arm,
            side: rollout.side(arm).clone(),
        })
    }
}

/// As [`Assigned::to_json`] writes it.
#[derive(Deserialize)]
struct Logged {
    rollout: String,
    arm: Arm,
    unit: String,
}

impl Rollouts {
    /// Notes feedback on an answer whose request had been assigned.
    pub(crate) fn judged(&self, assigned: &Value, negative: bool) {
        let Ok(Logged { rollout, arm, unit }) = Logged::deserialize(assigned) else {
            return;
        };
        let input = Input::Feedback {
            arm,
            unit,
            negative,
            at_ms: now_ms(),
        };
        self.happened(&rollout, input);
    }

    /// Whether the canary is to answer too what the champion answered this unit.
    pub(super) fn shadows(&self, unit: &str) -> bool {
        let running = self.lock();
        running
            .as_ref()
            .is_some_and(|live| live.rollout().shadows(unit))
    }
}

impl Assigned {
    /// Notes how the arm did. Waits for nothing.
    pub(crate) fn note(&self, observed: Observation) {
        let input = Input::Outcome {
            arm: self.arm,
            unit: self.unit.clone(),
            overridden: self.overridden,
            observed,
            at_ms: now_ms(),
        };
        self.rollouts.happened(&self.rollout, input);
    }

    /// The other arm, after this one could not answer. What that one does is not noted: the request was not assigned to it.
    pub(crate) fn stand_in(&self) -> Option<Side> {
        let (stable, _) = self.rollouts.sides()?;
        (self.arm == Arm::Canary).then_some(stable)
    }

    /// What the log keeps of it, so that feedback finds its arm; nothing of what is kept out of the statistics.
    pub(crate) fn to_json(&self) -> Option<Value> {
        (!self.overridden)
            .then(|| json!({ "rollout": self.rollout, "arm": self.arm, "unit": self.unit }))
    }

    pub(crate) const fn rollouts(&self) -> &Rollouts {
        &self.rollouts
    }

    pub(crate) fn rollout(&self) -> &str {
        &self.rollout
    }

    pub(crate) fn unit(&self) -> &str {
        &self.unit
    }
}

/// Who is assigned as one: a session of a subject, else the subject, else, where nobody had to say who they are, the request. A
/// digest, so that what is stored names nobody.
pub(crate) fn unit(caller: &Caller, session: Option<&str>, request: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(caller.subject.as_bytes());
    match session {
        Some(session) => digest.update(["\u{1f}s", session].concat()),
        None if caller.is_known() => {}
        None => digest.update(["\u{1f}r", request].concat()),
    }
    let digest: [u8; 32] = digest.finalize().into();
    let (half, _) = digest.as_chunks::<16>();
    format!("{:032x}", u128::from_be_bytes(half[0]))
}

/// What an answer, or the want of one, says about the release; nothing where the request or the load was at fault.
pub(crate) fn observation(result: &Result<Answer, AnswerError>) -> Option<Observation> {
    let failed = Observation::default();
    match result {
        Ok(answer) => Some(Observation {
            abstained: answer.status == Status::Abstained,
            quote_failure: answer.quote_failed,
            latency_us: microseconds(answer.timings_ms.total),
            ..failed
        }),
        Err(error) => match error {
            AnswerError::Engine(_)
            | AnswerError::Unavailable { .. }
            | AnswerError::Loading { .. }
            | AnswerError::Timeout { .. }
            | AnswerError::Task(_) => Some(Observation {
                engine_error: true,
                ..failed
            }),
            AnswerError::Malformed(_)
            | AnswerError::BrokenSchema(_)
            | AnswerError::Incomplete { .. } => Some(Observation {
                schema_failure: true,
                ..failed
            }),
            AnswerError::Unresolved(_) => Some(Observation {
                quote_failure: true,
                ..failed
            }),
            AnswerError::Invalid { .. }
            | AnswerError::Schema(_)
            | AnswerError::UnenforceableSchema { .. }
            | AnswerError::UnknownModel(_)
            | AnswerError::QueueFull { .. }
            | AnswerError::Retrieval(_) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_of_another_subject_is_another_unit_and_an_unknown_caller_is_one_for_each_request()
    {
        let local = Caller::local();
        let key = |id| Caller::with_key(id, std::collections::BTreeSet::new(), &[]);
        assert_eq!(
            unit(&key("a"), Some("s"), "1"),
            unit(&key("a"), Some("s"), "2")
        );
        assert_ne!(
            unit(&key("a"), Some("s"), "1"),
            unit(&key("b"), Some("s"), "1")
        );
        assert_eq!(unit(&key("a"), None, "1"), unit(&key("a"), None, "2"));
        assert_ne!(unit(&local, None, "1"), unit(&local, None, "2"));
        assert_eq!(unit(&local, Some("s"), "1"), unit(&local, Some("s"), "2"));
        // Neither a session nor a request can be taken for the other.
        assert_ne!(unit(&local, Some("x"), ""), unit(&local, None, "x"));
    }
}
