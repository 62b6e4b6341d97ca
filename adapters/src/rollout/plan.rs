//! How a rollout goes: its steps, what is watched, what counts as enough. Every field has a default.
//!
//! Shares and rates are whole basis points (1 % is 100) and durations whole milliseconds, so that a plan has one spelling and
//! one digest.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::RolloutError;
use super::guardrail::{Events, Guardrail};
use crate::digest::{canonical, digest_of};

/// All of the traffic, in basis points.
pub(crate) const FULL: u16 = 10_000;
const STEPS_MAX: usize = 32;
const UNITS_MAX: u32 = 1_000_000;
const SAMPLES_MAX: u32 = 100_000;
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
const TIME_MAX_MS: u64 = 10 * 365 * DAY_MS;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// Answers that both releases give, before the canary gives any; 0 leaves the shadow out.
    pub shadow_pairs: u32,
    /// The share of answered requests that is shadowed until then.
    pub shadow_basis_points: u16,
    /// The canary's share in each step: rising, the last one 10000.
    pub steps_basis_points: Vec<u16>,
    /// Units that each arm must have seen in a step before the next.
    pub units_per_arm: u32,
    /// How much higher the canary's rate of an event may be, as a difference of shares of units. To rule out the default of
    /// 10 points at a rate of 2, 10 or 20 % takes about 110, 290 or 460 units on the canary while its share is small, and at
    /// a share of one half, where the stable release has no more than it, about 130, 510 or 940.
    pub margin_basis_points: u16,
    /// The probability of aborting a canary that is no worse, over the whole rollout and all guardrails together; also that
    /// of advancing one that is worse by the margin, in one step.
    pub alpha_basis_points: u16,
    pub guardrails: Guardrails,
    /// After each change of the share nothing is counted for this long: answers that began before it are still coming in,
    /// and the faster arm's come first.
    pub settle_ms: u64,
    pub step_time_limit_ms: u64,
    /// Of shadow and steps together, without pauses.
    pub time_limit_ms: u64,
    /// How long the canary has all of the traffic before it is promoted.
    pub baking_ms: u64,
    /// Units that are remembered in a step; bounds memory and snapshots (about 25 bytes each).
    pub units_max: u32,
    /// Hard stop: so many answers of the canary in a row that the engine failed to give.
    pub engine_errors_in_a_row: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guardrails {
    pub engine_error: EventGuardrail,
    pub schema_failure: EventGuardrail,
    pub quote_failure: EventGuardrail,
    pub abstention: EventGuardrail,
    pub negative_feedback: EventGuardrail,
    pub latency: LatencyGuardrail,
    pub traffic_split: SplitGuardrail,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventGuardrail {
    pub on: bool,
    /// Instead of the plan's.
    pub margin_basis_points: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LatencyGuardrail {
    pub on: bool,
    /// Instead of the plan's.
    pub margin_basis_points: Option<u16>,
    /// An answer is slow above this quantile of the stable release.
    pub quantile_basis_points: u16,
    /// Stable answers from which the quantile is taken, once.
    pub samples: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SplitGuardrail {
    pub on: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            shadow_pairs: 200,
            shadow_basis_points: FULL,
            steps_basis_points: vec![100, 500, 2_500, 5_000, FULL],
            units_per_arm: 50,
            margin_basis_points: 1_000,
            alpha_basis_points: 500,
            guardrails: Guardrails::default(),
            settle_ms: MINUTE_MS,
            step_time_limit_ms: 7 * DAY_MS,
            time_limit_ms: 30 * DAY_MS,
            baking_ms: DAY_MS,
            units_max: 100_000,
            engine_errors_in_a_row: 5,
        }
    }
}

impl Default for EventGuardrail {
    fn default() -> Self {
        Self {
            on: true,
            margin_basis_points: None,
        }
    }
}

impl Default for LatencyGuardrail {
    fn default() -> Self {
        Self {
            on: true,
            margin_basis_points: None,
            quantile_basis_points: 9_500,
            samples: 200,
        }
    }
}

impl Default for SplitGuardrail {
    fn default() -> Self {
        Self { on: true }
    }
}

impl Plan {
    /// Refuses what could never be carried out; the error names the first key, its limit and what came.
    pub fn check(&self) -> Result<(), RolloutError> {
        self.check_steps()?;
        self.check_guardrails()?;
        within("shadow_pairs", self.shadow_pairs, 0, UNITS_MAX)?;
        within("shadow_basis_points", self.shadow_basis_points, 1, FULL)?;
        within("units_max", self.units_max, 1, UNITS_MAX)?;
        within("units_per_arm", self.units_per_arm, 1, self.most_units())?;
        within(
            "engine_errors_in_a_row",
            self.engine_errors_in_a_row,
            1,
            1_000,
        )?;
        within("margin_basis_points", self.margin_basis_points, 1, FULL)?;
        within("alpha_basis_points", self.alpha_basis_points, 1, 5_000)?;
        within("settle_ms", self.settle_ms, 0, self.step_time_limit_ms)?;
        within(
            "step_time_limit_ms",
            self.step_time_limit_ms,
            1,
            TIME_MAX_MS,
        )?;
        within("time_limit_ms", self.time_limit_ms, 1, TIME_MAX_MS)?;
        within("baking_ms", self.baking_ms, 0, TIME_MAX_MS)
    }

    /// As many as the arm with less of the traffic gets of those that can be remembered, in the step where it has least.
    fn most_units(&self) -> u32 {
        let least = self
            .steps_basis_points
            .iter()
            .map(|step| (*step).min(FULL - step))
            .filter(|share| *share > 0)
            .min()
            .unwrap_or(FULL);
        let units = u64::from(self.units_max) * u64::from(least) / u64::from(FULL);
        u32::try_from(units).unwrap_or(u32::MAX).max(1)
    }

    fn check_steps(&self) -> Result<(), RolloutError> {
        let steps = &self.steps_basis_points;
        let refused = |limit: &str| {
            let found = format!("{steps:?}");
            Err(RolloutError::setting("steps_basis_points", &found, limit))
        };
        if steps.len() > STEPS_MAX {
            return refused("must be at most 32 steps");
        }
        if steps.first() == Some(&0) || !steps.is_sorted_by(|left, right| left < right) {
            return refused("must rise from step to step, the first one above 0");
        }
        if steps.last() != Some(&FULL) {
            return refused(
                "must end with 10000: a rollout that never reaches all of the traffic proves nothing about it",
            );
        }
        Ok(())
    }

    fn check_guardrails(&self) -> Result<(), RolloutError> {
        for guardrail in Guardrail::EVENTS {
            if let Some(margin) = self.own_margin(guardrail) {
                let key = format!("guardrails.{guardrail}.margin_basis_points");
                within(&key, margin, 1, FULL)?;
            }
        }
        let latency = &self.guardrails.latency;
        within(
            "guardrails.latency.quantile_basis_points",
            latency.quantile_basis_points,
            1,
            FULL - 1,
        )?;
        within(
            "guardrails.latency.samples",
            latency.samples,
            1,
            SAMPLES_MAX,
        )
    }

    /// `sha256:…` of the plan with all its defaults written out: stands in every audit line.
    #[must_use]
    pub fn digest(&self) -> String {
        digest_of(canonical(&json!(self)).as_bytes())
    }

    /// The shares of the steps that follow the first thing that a rollout does.
    pub(crate) fn later_starts(&self) -> &[u16] {
        let first = usize::from(self.shadow_pairs == 0);
        self.steps_basis_points.get(first..).unwrap_or_default()
    }

    pub(crate) fn alpha(&self) -> f64 {
        share(self.alpha_basis_points)
    }

    /// The largest difference of rates that still lets the canary advance.
    pub(crate) fn margin(&self, guardrail: Guardrail) -> f64 {
        share(
            self.own_margin(guardrail)
                .unwrap_or(self.margin_basis_points),
        )
    }

    fn own_margin(&self, guardrail: Guardrail) -> Option<u16> {
        let guardrails = &self.guardrails;
        match guardrail {
            Guardrail::EngineError => guardrails.engine_error.margin_basis_points,
            Guardrail::SchemaFailure => guardrails.schema_failure.margin_basis_points,
            Guardrail::QuoteFailure => guardrails.quote_failure.margin_basis_points,
            Guardrail::Abstention => guardrails.abstention.margin_basis_points,
            Guardrail::NegativeFeedback => guardrails.negative_feedback.margin_basis_points,
            Guardrail::Latency => guardrails.latency.margin_basis_points,
            Guardrail::TrafficSplit => None,
        }
    }

    pub(crate) fn watches(&self, guardrail: Guardrail) -> bool {
        let guardrails = &self.guardrails;
        match guardrail {
            Guardrail::EngineError => guardrails.engine_error.on,
            Guardrail::SchemaFailure => guardrails.schema_failure.on,
            Guardrail::QuoteFailure => guardrails.quote_failure.on,
            Guardrail::Abstention => guardrails.abstention.on,
            Guardrail::NegativeFeedback => guardrails.negative_feedback.on,
            Guardrail::Latency => guardrails.latency.on,
            Guardrail::TrafficSplit => guardrails.traffic_split.on,
        }
    }

    pub(crate) fn watched_events(&self) -> Events {
        Guardrail::EVENTS
            .into_iter()
            .filter(|guardrail| self.watches(*guardrail))
            .collect()
    }

    /// What an e-value must reach to abort: K/α for K guardrails.
    pub(crate) fn limit(&self) -> f64 {
        let guardrails = self.watched_events().iter().count()
            + usize::from(self.watches(Guardrail::TrafficSplit));
        f64::from(u8::try_from(guardrails).unwrap_or(u8::MAX).max(1)) / self.alpha()
    }
}

pub(crate) fn share(basis_points: u16) -> f64 {
    f64::from(basis_points) / f64::from(FULL)
}

fn within<T: Copy + PartialOrd + std::fmt::Display>(
    key: &str,
    found: T,
    low: T,
    high: T,
) -> Result<(), RolloutError> {
    if found >= low && found <= high {
        return Ok(());
    }
    let limit = format!("must be between {low} and {high}");
    Err(RolloutError::setting(key, &found, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_plan_is_accepted_and_an_empty_one_is_the_default() {
        Plan::default().check().unwrap();
        let empty: Plan = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, Plan::default());
    }

    #[test]
    fn a_key_that_is_not_known_is_refused() {
        let error = serde_json::from_str::<Plan>(r#"{"margin": 5}"#).unwrap_err();
        assert!(
            error.to_string().contains("unknown field `margin`"),
            "{error}"
        );
    }

    #[test]
    fn a_refusal_names_the_key_the_limit_and_what_came() {
        let plan = Plan {
            alpha_basis_points: 6_000,
            ..Plan::default()
        };
        assert_eq!(
            plan.check().unwrap_err().to_string(),
            "`alpha_basis_points` is `6000`: must be between 1 and 5000"
        );
    }

    #[test]
    fn steps_rise_and_end_with_all_of_the_traffic() {
        for steps in [
            vec![],
            vec![0, FULL],
            vec![500, 100, FULL],
            vec![100, 100, FULL],
            vec![100, 5_000],
        ] {
            let plan = Plan {
                steps_basis_points: steps.clone(),
                ..Plan::default()
            };
            let error = plan.check().unwrap_err().to_string();
            assert!(error.contains("steps_basis_points"), "{steps:?}: {error}");
        }
    }

    #[test]
    fn units_that_an_arm_can_never_see_are_refused() {
        let plan = Plan {
            steps_basis_points: vec![100, 9_900, FULL],
            units_per_arm: 101,
            units_max: 10_000,
            ..Plan::default()
        };
        assert_eq!(
            plan.check().unwrap_err().to_string(),
            "`units_per_arm` is `101`: must be between 1 and 100"
        );
    }

    #[test]
    fn every_margin_is_checked_under_its_own_key() {
        let mut plan = Plan::default();
        plan.guardrails.latency.margin_basis_points = Some(0);
        assert_eq!(
            plan.check().unwrap_err().to_string(),
            "`guardrails.latency.margin_basis_points` is `0`: must be between 1 and 10000"
        );
    }

    #[test]
    fn the_digest_differs_with_any_setting() {
        let mut plan = Plan::default();
        plan.guardrails.traffic_split.on = false;
        assert_ne!(plan.digest(), Plan::default().digest());
    }

    #[test]
    fn each_guardrail_that_is_watched_raises_the_limit_of_all() {
        let mut plan = Plan::default();
        assert!((plan.limit() - 140.0).abs() < 1e-9);
        plan.guardrails.abstention.on = false;
        assert!((plan.limit() - 120.0).abs() < 1e-9);
    }
}
