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
        let rollout = &running.as_ref()?.rollout;
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
            .is_some_and(|saved| saved.rollout.shadows(unit))
    }
}

impl Assigned {
    /// The same, and no wish of a caller's.
    pub(super) fn counted(self) -> Self {
        Self {
            overridden: false,
            ..self
        }
    }

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
    let digest = digest.finalize();
    let half = &digest[..16];
    format!(
        "{:032x}",
        half.iter()
            .fold(0_u128, |all, byte| all << 8 | u128::from(*byte))
    )
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
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use quoin_adapters::rollout::{Gate, Plan, Rollout};
    use quoin_adapters::{Alias, Registry};

    use super::*;
    use crate::storage::{Saved, Storage};

    /// A rollout that gives one half of all units the canary.
    fn halved(folder: &std::path::Path) -> Rollouts {
        let registry = Arc::new(Registry::open(&folder.join("adapters")).unwrap());
        let storage = Storage::open(&folder.join("quoin.db")).unwrap();
        let side = |adapter: &str| Side {
            adapter: Some(adapter.parse().unwrap()),
            release: format!("sha256:{adapter}"),
        };
        let plan = Plan {
            shadow_pairs: 0,
            steps_basis_points: vec![5000, 10_000],
            units_per_arm: 40_000,
            settle_ms: 0,
            ..Plan::default()
        };
        let (stable, canary) = (side("support@1"), side("support@2"));
        let (id, alias) = ("rol_1".to_owned(), Alias::champion());
        let started = Rollout::start(id, alias, stable, canary, plan, Gate::NotNeeded, now_ms());
        let rollouts = Rollouts::new(storage, registry);
        *rollouts.lock() = Some(Saved {
            rollout: started.unwrap().0,
            sequence: 0,
        });
        rollouts
    }

    #[tokio::test]
    async fn to_assign_a_request_and_to_note_its_answer_take_less_than_a_millisecond() {
        let folder = tempfile::tempdir().unwrap();
        let rollouts = halved(folder.path());
        let (mut times, mut canary) = (Vec::new(), 0);
        for number in 0..5000 {
            let begun = Instant::now();
            let unit = unit(&Caller::local(), Some(&format!("session {number}")), "");
            let assigned = rollouts.assign(&unit, None).unwrap();
            assigned.note(Observation {
                latency_us: Some(70_000 + number % 100),
                ..Observation::default()
            });
            times.push(begun.elapsed());
            canary += u32::from(assigned.arm == Arm::Canary);
        }
        assert!((2300..2700).contains(&canary), "{canary} of 5000");
        times.sort_unstable();
        let (p50, p99) = (times[2500], times[4950]);
        eprintln!("routing: p50 {p50:?}, p99 {p99:?}");
        assert!(p99 < Duration::from_millis(1));
        let counted = rollouts.status().unwrap().arms.canary.requests_in_all;
        assert_eq!(counted, u64::from(canary));
    }

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
