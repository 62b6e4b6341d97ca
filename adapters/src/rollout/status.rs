//! A rollout as people see it: where it is, what was seen, what could have been seen, and what it waits for.

use serde::{Deserialize, Serialize};

use super::duration::humane;
use super::evidence::{ArmCounts, Totals};
use super::guardrail::Guardrail;
use super::input::{Gate, Side};
use super::interval::{Ratio, smallest_effect};
use super::plan::FULL;
use super::state::{Arm, State};
use super::transition::rounded;
use super::{Rollout, later};
use crate::name::Alias;

/// Numbers are rounded to six digits, and e-values end at 1e15.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub id: String,
    pub alias: Alias,
    pub at_ms: i64,
    pub state: State,
    pub live: bool,
    pub weight_basis_points: u16,
    pub steps_basis_points: Vec<u16>,
    pub stable: Side,
    pub canary: Side,
    pub gate: Gate,
    pub config_digest: String,
    pub pairs: u32,
    pub pairs_wanted: u32,
    pub arms: ArmsStatus,
    pub guardrails: Vec<GuardrailStatus>,
    pub engine_errors_in_a_row: u32,
    /// Above it an answer is slow; none until the stable release has given enough answers.
    pub latency_limit_us: Option<u64>,
    /// Requests whose caller chose the arm.
    pub overridden: u64,
    /// Answers of an arm that their unit is not assigned to, begun before the share changed.
    pub strays: u64,
    /// Units that found the memory for units full.
    pub uncounted: u64,
    /// Of this step or of baking; none while nothing runs.
    pub step_time_left_ms: Option<i64>,
    /// Of shadow and steps together.
    pub time_left_ms: Option<i64>,
    pub waits_for: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmsStatus {
    pub stable: ArmStatus,
    pub canary: ArmStatus,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmStatus {
    /// That were counted in this step.
    pub units: u64,
    pub requests: u64,
    /// Since the start.
    pub requests_in_all: u64,
    pub requests_with_events_in_all: u64,
    #[serde(default)]
    pub requests_judged_bad_in_all: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardrailStatus {
    pub guardrail: Guardrail,
    /// The evidence since the start that the canary is worse.
    pub e_value: f64,
    /// Reached, it aborts.
    pub limit: f64,
    /// Of this step; none of the split, which has its share alone.
    pub rates: Option<RatesStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RatesStatus {
    /// While the canary has all of the traffic: as it was when that was not so.
    pub stable: RateStatus,
    pub canary: RateStatus,
    /// By how much the canary's rate can be the higher one; below the margin the canary advances.
    pub difference_at_most: f64,
    pub margin: f64,
    /// The smallest difference that so many units could have shown at the rate of both together; none until both have some.
    pub smallest_effect: Option<f64>,
}

/// The share of units with the event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RateStatus {
    pub events: u64,
    pub units: u64,
    pub mean: Option<f64>,
    /// The 1 − α/2 confidence sequence, now.
    pub low: f64,
    pub high: f64,
}

impl Rollout {
    /// As of a moment, which does not move the rollout's own clock.
    #[must_use]
    pub fn status(&self, at_ms: i64) -> Status {
        let at_ms = self.clock.now.max(at_ms);
        let evidence = &self.evidence;
        Status {
            id: self.id.clone(),
            alias: self.alias.clone(),
            at_ms,
            state: self.state.clone(),
            live: self.state.is_live(),
            weight_basis_points: self.weight(),
            steps_basis_points: self.plan.steps_basis_points.clone(),
            stable: self.stable.clone(),
            canary: self.canary.clone(),
            gate: self.gate.clone(),
            config_digest: self.plan.digest(),
            pairs: evidence.pairs,
            pairs_wanted: self.plan.shadow_pairs,
            arms: self.arms_status(),
            guardrails: self.guardrails_status(),
            engine_errors_in_a_row: evidence.engine_errors_in_a_row,
            latency_limit_us: evidence.latency.limit_us,
            overridden: evidence.overridden,
            strays: evidence.strays,
            uncounted: evidence.uncounted,
            step_time_left_ms: self.step_time_left(at_ms),
            time_left_ms: self.time_left(at_ms),
            waits_for: self.waits_for(at_ms),
        }
    }

    pub(super) fn arms_status(&self) -> ArmsStatus {
        let of = |arm: Arm| {
            let counts: &ArmCounts = self.evidence.arms.of(arm);
            let totals: &Totals = self.evidence.totals.of(arm);
            ArmStatus {
                units: counts.units,
                requests: counts.requests,
                requests_in_all: totals.requests,
                requests_with_events_in_all: totals.with_events,
                requests_judged_bad_in_all: totals.judged_bad,
            }
        };
        ArmsStatus {
            stable: of(Arm::Stable),
            canary: of(Arm::Canary),
        }
    }

    pub(super) fn guardrails_status(&self) -> Vec<GuardrailStatus> {
        let split = Some(Guardrail::TrafficSplit).filter(|split| self.plan.watches(*split));
        self.plan
            .watched_events()
            .iter()
            .chain(split)
            .map(|guardrail| GuardrailStatus {
                guardrail,
                e_value: rounded(self.evidence.e_value(guardrail, &self.plan)),
                limit: rounded(self.plan.limit()),
                rates: (guardrail != Guardrail::TrafficSplit).then(|| self.rates(guardrail)),
            })
            .collect()
    }

    fn rates(&self, guardrail: Guardrail) -> RatesStatus {
        let comparison = self.compare(guardrail);
        let alpha = self.plan.alpha() / 2.0;
        let before = self.evidence.stable_before(guardrail);
        let (stable, canary) = (before.unwrap_or(comparison.stable), comparison.canary);
        let together = Ratio {
            events: stable.events + canary.events,
            units: stable.units + canary.units,
        };
        let effect = together
            .mean()
            .filter(|_| stable.units > 0 && canary.units > 0)
            .map(|rate| rounded(smallest_effect(rate, stable.units, canary.units, alpha)));
        RatesStatus {
            stable: rate_status(stable, alpha),
            canary: rate_status(canary, alpha),
            difference_at_most: rounded(comparison.difference_at_most),
            margin: rounded(self.plan.margin(guardrail)),
            smallest_effect: effect,
        }
    }

    fn step_time_left(&self, at_ms: i64) -> Option<i64> {
        let lasts = match self.state {
            State::Shadow | State::Canary { .. } => self.plan.step_time_limit_ms,
            State::Baking => self.plan.baking_ms,
            _ => return None,
        };
        Some(left(later(self.clock.entered, lasts), at_ms))
    }

    fn time_left(&self, at_ms: i64) -> Option<i64> {
        matches!(self.state, State::Shadow | State::Canary { .. })
            .then(|| left(later(self.clock.started, self.plan.time_limit_ms), at_ms))
    }

    fn waits_for(&self, at_ms: i64) -> String {
        let evidence = &self.evidence;
        match &self.state {
            State::Shadow => format!("{} of {} pairs", evidence.pairs, self.plan.shadow_pairs),
            State::Canary { .. } if at_ms < self.clock.settled => {
                let left = left(self.clock.settled, at_ms);
                format!(
                    "answers that began at the share before, {} more",
                    humane(left)
                )
            }
            State::Canary { .. } if !self.has_units() => self.waits_for_units(),
            State::Canary { .. } => self.waits_for_rates(),
            State::Baking => {
                let left = self.step_time_left(at_ms).unwrap_or_default();
                format!("the end of baking, {} more", humane(left))
            }
            State::Paused { why, .. } => format!("somebody who resumes, promotes or aborts: {why}"),
            State::Draft | State::Verified | State::Evaluated => "its start".to_owned(),
            State::Promoted | State::Aborted { .. } => "nothing".to_owned(),
        }
    }

    fn waits_for_units(&self) -> String {
        let arms = &self.evidence.arms;
        let wanted = self.plan.units_per_arm;
        let canary = format!("{} of {wanted} units on the canary", arms.canary.units);
        if self.weight() == FULL {
            return canary;
        }
        format!("{canary} and {} on the stable release", arms.stable.units)
    }

    fn waits_for_rates(&self) -> String {
        let Some((guardrail, comparison)) = self.undecided() else {
            return "the next answer".to_owned();
        };
        if guardrail == Guardrail::Latency && self.evidence.latency.limit_us.is_none() {
            let samples = self.plan.guardrails.latency.samples;
            return format!("latencies of {samples} stable answers, to know which are slow");
        }
        format!(
            "{guardrail}: the canary could be {:.1} points worse, the margin is {:.1}",
            comparison.difference_at_most * 100.0,
            self.plan.margin(guardrail) * 100.0
        )
    }
}

fn left(until_ms: i64, at_ms: i64) -> i64 {
    until_ms.saturating_sub(at_ms).max(0)
}

fn rate_status(ratio: Ratio, alpha: f64) -> RateStatus {
    let interval = ratio.interval(alpha);
    RateStatus {
        events: ratio.events,
        units: ratio.units,
        mean: ratio.mean().map(rounded),
        low: rounded(interval.low),
        high: rounded(interval.high),
    }
}
