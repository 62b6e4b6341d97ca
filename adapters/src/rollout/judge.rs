//! Whether to abort, advance, wait or give up: what a rollout does by itself.

use serde_json::{Value, json};

use super::duration::{humane_of, short};
use super::evidence::Changed;
use super::guardrail::Guardrail;
use super::interval::Ratio;
use super::plan::FULL;
use super::state::{AbortReason, PauseReason, State};
use super::transition::{Action, ITSELF, Transition, rounded};
use super::{Rollout, later};

/// By how much the canary could still be worse.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison {
    pub stable: Ratio,
    pub canary: Ratio,
    /// The canary's upper confidence limit minus the stable release's lower one; each holds with 1 − α/2.
    pub difference_at_most: f64,
}

impl Rollout {
    /// After counts have changed.
    pub(super) fn judge(&mut self, changed: Changed) -> Vec<Transition> {
        if let Some(abort) = self.tripped(changed) {
            return vec![abort];
        }
        let moved = if changed.canary {
            self.move_on()
        } else {
            Vec::new()
        };
        if moved.is_empty() {
            self.run_out().into_iter().collect()
        } else {
            moved
        }
    }

    pub(super) fn ticked(&mut self) -> Vec<Transition> {
        if !self.state.is_live() {
            return Vec::new();
        }
        self.judge(Changed {
            events: true,
            units: true,
            canary: true,
        })
    }

    /// The first guardrail whose evidence has reached the limit.
    fn tripped(&mut self, changed: Changed) -> Option<Transition> {
        let limit = self.plan.limit();
        let split = changed.units && self.plan.watches(Guardrail::TrafficSplit);
        let (guardrail, e_value) = Guardrail::EVENTS
            .into_iter()
            .filter(|guardrail| changed.events && self.plan.watches(*guardrail))
            .chain(split.then_some(Guardrail::TrafficSplit))
            .map(|guardrail| {
                let e_value = self.evidence.e_value(guardrail, &self.plan);
                (guardrail, e_value)
            })
            .find(|(_, e_value)| *e_value >= limit)?;
        let why = AbortReason::Guardrail { guardrail };
        let reason = format!(
            "{guardrail}: e-value {}, limit {}",
            short(rounded(e_value)),
            short(limit)
        );
        Some(self.decide(Action::Abort, State::Aborted { why }, reason))
    }

    /// As far as what was seen allows.
    fn move_on(&mut self) -> Vec<Transition> {
        let mut transitions = Vec::new();
        while let Some((action, to, reason)) = self.next_state() {
            let ends = self.weight();
            transitions.push(self.decide(action, to, reason));
            self.clock.entered = self.clock.now;
            // Baking goes on counting what the last step began: the share is the same.
            if self.weight() != ends {
                self.evidence.begin_step(ends);
            }
        }
        transitions
    }

    fn next_state(&self) -> Option<(Action, State, String)> {
        match &self.state {
            State::Shadow if self.evidence.pairs >= self.plan.shadow_pairs => {
                let reason = format!("{} pairs, no guardrail reached", self.evidence.pairs);
                Some((Action::Advance, State::Canary { step: 0 }, reason))
            }
            State::Canary { step } if self.has_units() => self.after_step(*step),
            State::Baking if self.clock.now >= later(self.clock.entered, self.plan.baking_ms) => {
                let reason = format!("baked for {}", humane_of(self.plan.baking_ms));
                Some((Action::Promote, State::Promoted, reason))
            }
            _ => None,
        }
    }

    fn after_step(&self, step: usize) -> Option<(Action, State, String)> {
        if self.weight() == FULL {
            let units = self.evidence.arms.canary.units;
            let reason = format!("{units} units on the canary, no guardrail reached");
            return Some((Action::Bake, State::Baking, reason));
        }
        if self.undecided().is_some() {
            return None;
        }
        let to = State::Canary { step: step + 1 };
        let reason = "no rate is higher by its margin".to_owned();
        Some((Action::Advance, to, reason))
    }

    /// Whether each arm with traffic has seen as many units as the plan asks for.
    pub(super) fn has_units(&self) -> bool {
        let arms = &self.evidence.arms;
        let wanted = u64::from(self.plan.units_per_arm);
        arms.canary.units >= wanted && (self.weight() == FULL || arms.stable.units >= wanted)
    }

    /// The first guardrail on which the canary could still be worse by more than the margin.
    pub(super) fn undecided(&self) -> Option<(Guardrail, Comparison)> {
        self.plan
            .watched_events()
            .iter()
            .map(|guardrail| (guardrail, self.compare(guardrail)))
            .find(|(guardrail, comparison)| {
                comparison.difference_at_most >= self.plan.margin(*guardrail)
            })
    }

    pub(super) fn compare(&self, guardrail: Guardrail) -> Comparison {
        let (stable, canary) = self.evidence.ratios(guardrail);
        let alpha = self.plan.alpha() / 2.0;
        Comparison {
            stable,
            canary,
            difference_at_most: canary.high(alpha) - stable.low(alpha),
        }
    }

    /// Pauses when time or memory is over before enough was shown.
    fn run_out(&mut self) -> Option<Transition> {
        let (enough, what) = match self.state {
            State::Shadow => (false, "the shadow"),
            State::Canary { .. } => (self.has_units(), "the step"),
            _ => return None,
        };
        let now = self.clock.now;
        let step_over = now >= later(self.clock.entered, self.plan.step_time_limit_ms);
        let all_over = now >= later(self.clock.started, self.plan.time_limit_ms);
        let full = self.evidence.is_full(self.plan.units_max);
        let reason = if step_over {
            format!(
                "{what} has lasted {}",
                humane_of(self.plan.step_time_limit_ms)
            )
        } else if all_over {
            format!(
                "the rollout has lasted {}",
                humane_of(self.plan.time_limit_ms)
            )
        } else if full {
            format!("{} units and no decision", self.plan.units_max)
        } else {
            return None;
        };
        let why = if enough {
            PauseReason::Inconclusive
        } else {
            PauseReason::InsufficientTraffic
        };
        Some(self.pause(why, &reason, ITSELF))
    }

    pub(super) fn decide(&mut self, action: Action, to: State, reason: String) -> Transition {
        let evidence = self.shown();
        self.enter(action, to, reason, evidence, ITSELF.to_owned())
    }

    /// What every decision is recorded with.
    pub(super) fn shown(&self) -> Value {
        json!({
            "pairs": self.evidence.pairs,
            "arms": self.arms_status(),
            "guardrails": self.guardrails_status(),
        })
    }
}
