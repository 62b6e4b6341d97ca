//! What was counted: whole numbers only, so that a rollout read back from storage is the one that was stored.
//!
//! Two counts go side by side. Of the units of this step, by arm, come the rates that decide whether the canary advances. Of
//! events in the whole rollout, by the share at which they fell, come the e-values that decide whether it is aborted.
//!
//! A unit that had an event once is no news to the e-values when it has it again. Where the same few units ask all the time, a
//! canary that becomes worse later is thus not aborted; but the step's rates show it, and it does not advance.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::e_process::{self, Fallen, RATIOS};
use super::guardrail::{Events, Guardrail};
use super::interval::Ratio;
use super::plan::{FULL, Plan, share};
use super::state::Arm;

/// Under what events of pairs are kept: the canary's share of the traffic while there are any.
const PAIRED: u16 = 0;

/// One answer, or one judgement of it, as it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub arm: Arm,
    pub key: u64,
    pub events: Events,
}

/// What has to be judged again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    pub events: bool,
    pub units: bool,
    /// There is more to decide an advance by: units on the canary, or pairs.
    pub canary: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PerArm<T> {
    pub stable: T,
    pub canary: T,
}

impl<T> PerArm<T> {
    pub fn of(&self, arm: Arm) -> &T {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Canary => &self.canary,
        }
    }

    pub fn of_mut(&mut self, arm: Arm) -> &mut T {
        match arm {
            Arm::Stable => &mut self.stable,
            Arm::Canary => &mut self.canary,
        }
    }
}

/// One arm in one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ArmCounts {
    pub units: u64,
    pub requests: u64,
    /// Units that had the event in this step.
    pub events: BTreeMap<Guardrail, u64>,
    /// Units that had it in their first request of this step: unlike the others these do not grow with the step's length, so
    /// steps of different lengths can be compared by them.
    pub at_first: BTreeMap<Guardrail, u64>,
}

impl ArmCounts {
    pub fn ratio(&self, guardrail: Guardrail) -> Ratio {
        ratio(&self.events, guardrail, self.units)
    }

    fn ratio_at_first(&self, guardrail: Guardrail) -> Ratio {
        ratio(&self.at_first, guardrail, self.units)
    }
}

fn ratio(events: &BTreeMap<Guardrail, u64>, guardrail: Guardrail, units: u64) -> Ratio {
    Ratio {
        events: events.get(&guardrail).copied().unwrap_or(0),
        units,
    }
}

/// One arm since the start: for people, not for tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    pub requests: u64,
    pub with_events: u64,
    /// Of rollouts that were begun by earlier versions: 0.
    #[serde(default)]
    pub judged_bad: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Evidence {
    /// The canary's share in the step that is counted, also while it is paused or after it.
    pub weight: u16,
    pub arms: PerArm<ArmCounts>,
    pub totals: PerArm<Totals>,
    pub pairs: u32,
    pub overridden: u64,
    /// Answers of an arm that their unit is not assigned to: begun before the share changed, or misrouted.
    pub strays: u64,
    /// Units that came when the memory for units was full.
    pub uncounted: u64,
    pub engine_errors_in_a_row: u32,
    pub latency: LatencyLimit,
    /// Of the step's units.
    units: BTreeMap<u64, Events>,
    /// Units with events since the start.
    known: BTreeMap<u64, Events>,
    fallen: BTreeMap<Guardrail, BTreeMap<u16, Fallen>>,
    past_splits: Vec<(u16, Fallen)>,
    /// The stable release in the last step in which it had traffic.
    baseline: Option<ArmCounts>,
}

/// Above which latency an answer is slow: a quantile of the stable release's first answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LatencyLimit {
    samples: Vec<u64>,
    pub limit_us: Option<u64>,
}

impl LatencyLimit {
    /// Takes a stable answer in; true when it was the last one needed.
    pub fn learn(&mut self, latency_us: Option<u64>, plan: &Plan) -> bool {
        let (Some(latency), None) = (latency_us, self.limit_us) else {
            return false;
        };
        self.samples.push(latency);
        if self.samples.len() < plan.guardrails.latency.samples as usize {
            return false;
        }
        let mut sorted = std::mem::take(&mut self.samples);
        sorted.sort_unstable();
        let quantile = usize::from(plan.guardrails.latency.quantile_basis_points);
        let rank = (sorted.len() * quantile).div_ceil(usize::from(FULL));
        self.limit_us = sorted.get(rank.saturating_sub(1)).copied();
        true
    }
}

impl Evidence {
    /// A request that was answered, or could not be.
    pub fn answered(&mut self, seen: Seen, units_max: u32) -> Changed {
        let totals = self.totals.of_mut(seen.arm);
        totals.requests += 1;
        totals.with_events += u64::from(!seen.events.is_empty());
        let known = self.units.contains_key(&seen.key);
        if !known && self.units.len() >= units_max as usize {
            self.uncounted += 1;
            return Changed::default();
        }
        let counts = self.arms.of_mut(seen.arm);
        counts.requests += 1;
        if !known {
            counts.units += 1;
            for guardrail in seen.events.iter() {
                *counts.at_first.entry(guardrail).or_default() += 1;
            }
            self.units.insert(seen.key, Events::default());
        }
        Changed {
            events: self.happened(seen, units_max),
            units: !known,
            canary: !known && seen.arm == Arm::Canary,
        }
    }

    /// A bad judgement of an answer. Says whether it is new evidence.
    pub fn judged_bad(&mut self, seen: Seen, units_max: u32) -> bool {
        self.totals.of_mut(seen.arm).judged_bad += 1;
        self.happened(seen, units_max)
    }

    /// Events of a unit, whenever they came to be known. Says whether any of them is new evidence.
    pub fn happened(&mut self, seen: Seen, units_max: u32) -> bool {
        if seen.events.is_empty() {
            return false;
        }
        if let Some(before) = self.units.get_mut(&seen.key) {
            let counts = self.arms.of_mut(seen.arm);
            for guardrail in seen.events.without(*before).iter() {
                *counts.events.entry(guardrail).or_default() += 1;
            }
            *before = before.with(seen.events);
        }
        if self.weight >= FULL {
            return true;
        }
        if !self.known.contains_key(&seen.key) && self.known.len() >= units_max as usize {
            self.uncounted += 1;
            return false;
        }
        let before = self.known.entry(seen.key).or_default();
        let new = seen.events.without(*before);
        *before = before.with(new);
        for guardrail in new.iter() {
            self.fell(guardrail, self.weight, seen.arm);
        }
        !new.is_empty()
    }

    /// Two answers to one request. What only one of them shows is a fair coin when the releases are alike: a share of one half.
    /// Both have been asked in the same moment by the same unit, so a unit may come in any number of pairs.
    pub fn paired(&mut self, stable: Events, canary: Events) -> Changed {
        self.pairs = self.pairs.saturating_add(1);
        for guardrail in stable.without(canary).iter() {
            self.fell(guardrail, PAIRED, Arm::Stable);
        }
        for guardrail in canary.without(stable).iter() {
            self.fell(guardrail, PAIRED, Arm::Canary);
        }
        Changed {
            events: stable != canary,
            units: false,
            canary: true,
        }
    }

    fn fell(&mut self, guardrail: Guardrail, weight: u16, arm: Arm) {
        let shares = self.fallen.entry(guardrail).or_default();
        let fallen = shares.entry(weight).or_default();
        fallen.all += 1;
        fallen.on_canary += u64::from(arm == Arm::Canary);
    }

    /// The counts of a step end, those of the rollout go on. `ended` is the share that they were counted at.
    pub fn begin_step(&mut self, ended: u16) {
        let arms = std::mem::take(&mut self.arms);
        self.units.clear();
        if (1..FULL).contains(&ended) {
            let split = split_of(&arms);
            if split.all > 0 {
                self.past_splits.push((ended, split));
            }
            if arms.stable.units > 0 {
                self.baseline = Some(arms.stable);
            }
        }
    }

    /// Whether no further unit can be remembered.
    pub fn is_full(&self, units_max: u32) -> bool {
        self.units.len().max(self.known.len()) >= units_max as usize
    }

    /// This step's units with and without the event: of the stable release and of the canary. What cannot be told yet has none.
    pub fn ratios(&self, guardrail: Guardrail) -> (Ratio, Ratio) {
        if guardrail == Guardrail::Latency && self.latency.limit_us.is_none() {
            return (Ratio::default(), Ratio::default());
        }
        (
            self.arms.stable.ratio(guardrail),
            self.arms.canary.ratio(guardrail),
        )
    }

    /// The stable release's units in the last step in which it had traffic, where it has none now.
    pub fn stable_before(&self, guardrail: Guardrail) -> Option<Ratio> {
        let before = self.baseline.as_ref().filter(|_| self.weight >= FULL)?;
        Some(before.ratio(guardrail))
    }

    /// The evidence that the event is more frequent on the canary, or that the traffic is not split as it should be.
    pub fn e_value(&self, guardrail: Guardrail, plan: &Plan) -> f64 {
        if guardrail == Guardrail::TrafficSplit {
            return self.split_e_value();
        }
        let alone = self.alone(guardrail, plan);
        let later = plan.later_starts();
        let since = |start: u16| self.e_value_since(guardrail, start, alone);
        e_process::from_starts(since(PAIRED), later.iter().map(|start| since(*start)))
    }

    /// The mean over the ratios, of what was seen from the step with the share `start` on.
    fn e_value_since(&self, guardrail: Guardrail, start: u16, alone: Option<(f64, Ratio)>) -> f64 {
        let shares = self.fallen.get(&guardrail);
        e_process::mean(RATIOS.iter().map(|r| {
            let compared: f64 = shares
                .into_iter()
                .flat_map(|shares| shares.range(start..))
                .map(|(weight, fallen)| e_process::ln_product(*r, chance_of(*weight), *fallen))
                .sum();
            compared
                + alone.map_or(0.0, |(bound, seen)| {
                    e_process::ln_product_alone(*r, bound, seen)
                })
        }))
    }

    fn split_e_value(&self) -> f64 {
        let now = (1..FULL)
            .contains(&self.weight)
            .then(|| (self.weight, split_of(&self.arms)));
        let steps = self.past_splits.iter().copied().chain(now);
        e_process::weighted(steps.map(|(weight, units)| e_process::split(share(weight), units)))
    }

    /// When the canary has all of the traffic: the rate that it may have, and what it has. The rate is the stable release's upper
    /// confidence limit in its last step plus the margin, because the two were not seen at the same time. Feedback comes too
    /// late to belong to a first request.
    fn alone(&self, guardrail: Guardrail, plan: &Plan) -> Option<(f64, Ratio)> {
        const BOUND_MAX: f64 = 0.95;
        if self.weight < FULL || guardrail == Guardrail::NegativeFeedback {
            return None;
        }
        let before = self.baseline.as_ref()?.ratio_at_first(guardrail);
        let bound = before.high(1.0 / plan.limit()) + plan.margin(guardrail);
        (bound < BOUND_MAX).then(|| (bound, self.arms.canary.ratio_at_first(guardrail)))
    }
}

/// That an event fell on the canary, had it nothing to do with it.
fn chance_of(weight: u16) -> f64 {
    if weight == PAIRED { 0.5 } else { share(weight) }
}

fn split_of(arms: &PerArm<ArmCounts>) -> Fallen {
    Fallen {
        all: arms.stable.units + arms.canary.units,
        on_canary: arms.canary.units,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(weight: u16) -> Evidence {
        Evidence {
            weight,
            ..Evidence::default()
        }
    }

    fn seen(arm: Arm, key: u64, events: &[Guardrail]) -> Seen {
        Seen {
            arm,
            key,
            events: events.iter().copied().collect(),
        }
    }

    #[test]
    fn a_unit_counts_once_for_an_event_in_a_step_and_once_in_the_rollout() {
        let mut evidence = at(1_000);
        let event = seen(Arm::Canary, 7, &[Guardrail::Abstention]);
        assert!(evidence.answered(event, 10).events);
        assert!(!evidence.answered(event, 10).events);
        assert_eq!(evidence.arms.canary.ratio(Guardrail::Abstention).events, 1);
        assert_eq!(evidence.arms.canary.requests, 2);
        let once = evidence.e_value(Guardrail::Abstention, &Plan::default());

        evidence.begin_step(1_000);
        assert!(!evidence.answered(event, 10).events);
        assert_eq!(evidence.arms.canary.ratio(Guardrail::Abstention).events, 1);
        let still = evidence.e_value(Guardrail::Abstention, &Plan::default());
        assert!((once - still).abs() < 1e-12);
    }

    #[test]
    fn a_full_memory_counts_the_units_it_knows_and_says_how_many_it_does_not() {
        let mut evidence = at(1_000);
        evidence.answered(seen(Arm::Stable, 1, &[]), 2);
        evidence.answered(seen(Arm::Stable, 2, &[]), 2);
        assert!(evidence.is_full(2));
        evidence.answered(seen(Arm::Canary, 3, &[]), 2);
        assert_eq!(evidence.uncounted, 1);
        assert_eq!(evidence.arms.canary.units, 0);
        let late = evidence.answered(seen(Arm::Stable, 1, &[Guardrail::QuoteFailure]), 2);
        assert!(late.events);
    }

    #[test]
    fn pairs_that_agree_are_no_evidence() {
        let mut evidence = at(1_000);
        let abstains: Events = [Guardrail::Abstention].into_iter().collect();
        evidence.paired(abstains, abstains);
        let e = evidence.e_value(Guardrail::Abstention, &Plan::default());
        assert!((e - 1.0).abs() < 1e-12, "{e}");
        for _ in 0..20 {
            evidence.paired(Events::default(), abstains);
        }
        assert!(evidence.e_value(Guardrail::Abstention, &Plan::default()) > 1_000.0);
    }

    #[test]
    fn the_latency_limit_is_the_stable_quantile_and_never_moves_again() {
        let plan = Plan::default();
        let mut latency = LatencyLimit::default();
        for sample in 1..=200 {
            latency.learn(Some(sample), &plan);
        }
        assert_eq!(latency.limit_us, Some(190));
        latency.learn(Some(1), &plan);
        assert_eq!(
            latency,
            LatencyLimit {
                samples: Vec::new(),
                limit_us: Some(190)
            }
        );
    }

    #[test]
    fn a_canary_alone_is_compared_with_what_the_stable_release_had() {
        let mut evidence = at(1_000);
        for key in 0..1_000 {
            evidence.answered(seen(Arm::Stable, key, &[]), 10_000);
        }
        evidence.begin_step(1_000);
        evidence.weight = FULL;
        let e_value =
            |evidence: &Evidence| evidence.e_value(Guardrail::SchemaFailure, &Plan::default());
        for key in 0..100 {
            evidence.answered(seen(Arm::Canary, key, &[]), 10_000);
        }
        assert!(e_value(&evidence) < 1.0);
        for key in 100..200 {
            evidence.answered(seen(Arm::Canary, key, &[Guardrail::SchemaFailure]), 10_000);
        }
        assert!(e_value(&evidence) > 1_000.0);
    }
}
