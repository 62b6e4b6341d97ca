//! A rollout: one release taking over from another, step by step, as a deterministic function of how it started and of what
//! happened to it. No storage, no clock, no chance: times come in with the inputs, and who gets the canary is a hash.
//!
//! Whoever keeps a rollout stores each input in order, and the rollout itself now and then. The same inputs applied to the same
//! stored rollout give the same state and the same transitions; an input that was refused changed nothing. The one caveat: `ln`
//! and `exp` come from the system's mathematical library, whose last digit may differ on another system.
//!
//! `draft → verified → evaluated → shadow → canary (step) → baking → promoted`, from every live state also to `paused` and
//! `aborted`, from `paused` back, on to `promoted`, or to `aborted`.

mod apply;
mod assignment;
mod audit;
mod duration;
mod e_process;
mod error;
mod evidence;
mod guardrail;
mod input;
mod interval;
mod judge;
mod plan;
mod plot;
mod state;
mod status;
mod transition;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use audit::{AuditLine, read_chain, verify_chain};
pub use error::RolloutError;
pub use guardrail::{Guardrail, Observation, microseconds};
pub use input::{Gate, Input, Side};
pub use plan::{EventGuardrail, Guardrails, LatencyGuardrail, Plan, SplitGuardrail};
pub use plot::plot;
pub use state::{AbortReason, Arm, HardFailure, PauseReason, State};
pub use status::{ArmStatus, ArmsStatus, GuardrailStatus, RateStatus, RatesStatus, Status};
pub use transition::{Action, Transition};

use crate::name::Alias;
use evidence::Evidence;
use plan::FULL;
use transition::ITSELF;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    id: String,
    alias: Alias,
    stable: Side,
    canary: Side,
    plan: Plan,
    gate: Gate,
    state: State,
    clock: Clock,
    evidence: Evidence,
}

/// Milliseconds since 1970. What counts time without pauses is moved on by each pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Clock {
    /// The latest that was seen.
    now: i64,
    /// When the rollout started.
    started: i64,
    /// When the state before a pause, or this one, was entered.
    entered: i64,
    /// From when on answers count.
    settled: i64,
    paused: i64,
}

impl Rollout {
    /// Starts after both releases were found whole and the canary was loaded: who gets it may get it from the next request on.
    /// The transitions lead from draft to the first live state.
    pub fn start(
        id: String,
        alias: Alias,
        stable: Side,
        canary: Side,
        plan: Plan,
        gate: Gate,
        at_ms: i64,
    ) -> Result<(Self, Vec<Transition>), RolloutError> {
        plan.check()?;
        check_start(&id, &stable, &canary, &gate)?;
        let mut rollout = Self {
            id,
            alias,
            stable,
            canary,
            plan,
            gate,
            state: State::Draft,
            clock: Clock {
                now: at_ms,
                started: at_ms,
                entered: at_ms,
                settled: at_ms,
                paused: at_ms,
            },
            evidence: Evidence::default(),
        };
        let transitions = rollout.begin();
        Ok((rollout, transitions))
    }

    fn begin(&mut self) -> Vec<Transition> {
        let sides = json!({"stable": self.stable, "canary": self.canary});
        let (actor, reason) = match &self.gate {
            Gate::Passed { report } => (ITSELF.to_owned(), format!("report {report} passed")),
            Gate::Forced { by, reason } => (by.clone(), format!("forced: {reason}")),
            Gate::NotNeeded => (ITSELF.to_owned(), "no evaluation is asked for".to_owned()),
        };
        let gate = json!({"gate": self.gate});
        let (action, first, why) = if self.plan.shadow_pairs > 0 {
            let why = format!("until {} pairs", self.plan.shadow_pairs);
            (Action::Shadow, State::Shadow, why)
        } else {
            let why = "the plan has no shadow".to_owned();
            (Action::Advance, State::Canary { step: 0 }, why)
        };
        let itself = || ITSELF.to_owned();
        vec![
            self.enter(
                Action::Verify,
                State::Verified,
                "both releases are whole".to_owned(),
                sides,
                itself(),
            ),
            self.enter(Action::Evaluate, State::Evaluated, reason, gate, actor),
            self.enter(action, first, why, Value::Null, itself()),
        ]
    }

    /// Goes to another state now, and says so.
    fn enter(
        &mut self,
        action: Action,
        to: State,
        reason: String,
        evidence: Value,
        actor: String,
    ) -> Transition {
        let before = self.weight();
        let from = std::mem::replace(&mut self.state, to);
        let weight = self.weight();
        if weight != before {
            self.clock.settled = later(self.clock.now, self.plan.settle_ms);
        }
        if weight > 0 && self.state.is_live() {
            self.evidence.weight = weight;
        }
        Transition {
            action,
            from,
            to: self.state.clone(),
            weight_basis_points: weight,
            reason,
            evidence,
            actor,
            at_ms: self.clock.now,
        }
    }

    /// Who answers this unit now. It is the canary also once it is promoted, until the alias has moved.
    #[must_use]
    pub fn assign(&self, unit: &str) -> Arm {
        let weight = self.weight();
        if weight > 0 && assignment::place(&self.id, unit).bucket < weight {
            Arm::Canary
        } else {
            Arm::Stable
        }
    }

    /// Whether the canary should answer this request too, unseen.
    #[must_use]
    pub fn shadows(&self, unit: &str) -> bool {
        self.state == State::Shadow
            && assignment::shadow_bucket(&self.id, unit) < self.plan.shadow_basis_points
    }

    /// The canary's share of the traffic, in basis points; 0 while nothing is live.
    #[must_use]
    pub fn weight(&self) -> u16 {
        match &self.state {
            State::Canary { step } => {
                let steps = &self.plan.steps_basis_points;
                steps.get(*step).copied().unwrap_or_default()
            }
            State::Baking | State::Promoted => FULL,
            _ => 0,
        }
    }

    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    #[must_use]
    pub fn alias(&self) -> &Alias {
        &self.alias
    }

    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    #[must_use]
    pub fn side(&self, arm: Arm) -> &Side {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Canary => &self.canary,
        }
    }
}

fn later(at_ms: i64, by_ms: u64) -> i64 {
    at_ms.saturating_add(i64::try_from(by_ms).unwrap_or(i64::MAX))
}

fn check_start(id: &str, stable: &Side, canary: &Side, gate: &Gate) -> Result<(), RolloutError> {
    const ID_BYTES_MAX: usize = 128;
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        let limit = format!("must have 1 to {ID_BYTES_MAX} bytes");
        return Err(RolloutError::setting("id", &id, limit));
    }
    if stable.release == canary.release {
        let limit = "must differ from the stable release: there is nothing to roll out";
        return Err(RolloutError::setting(
            "canary.release",
            &canary.release,
            limit,
        ));
    }
    if let Gate::Forced { by, reason } = gate
        && (by.trim().is_empty() || reason.trim().is_empty())
    {
        let limit = "must name who and why";
        return Err(RolloutError::setting(
            "gate",
            &format!("forced by `{by}`: {reason}"),
            limit,
        ));
    }
    Ok(())
}
