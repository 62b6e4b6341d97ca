//! How often an interval that may be looked at any time misses the rate at some time: the one of a rollout, exact at every number
//! of units, beside the asymptotic one (Waudby-Smith et al., *Time-uniform central limit theory and asymptotic confidence
//! sequences*, 2024).

use std::fmt::Write as _;

use quoin_adapters::rollout::{Observation, RateStatus, RolloutError};

use crate::chance::Chance;
use crate::{Settings, ask, on_all_cores, percent, start, staying_at, watching_abstentions};

/// α/2 of a plan, which has 5 %.
const ALPHA: f64 = 0.025;

#[derive(Default)]
struct Missed {
    exact: bool,
    asymptotic: bool,
    exact_width: f64,
    asymptotic_width: f64,
}

pub fn table(settings: Settings) -> Result<String, RolloutError> {
    let mut table = format!(
        "## Intervals: missed at any of 60 looks from 50 units on (at most {} % allowed)\n\n\
         Width: the median at the end, in points.\n\n\
         | rate | exact | width | asymptotic | width |\n|---:|---:|---:|---:|---:|\n",
        ALPHA * 100.0
    );
    for rate in [0.005, 0.02, 0.1, 0.3] {
        let runs = on_all_cores(settings.runs / 2, |run| one(settings, rate, run))?;
        let missed = |is: fn(&Missed) -> bool| {
            percent(runs.iter().filter(|run| is(run)).count(), runs.len())
        };
        let width = |of: fn(&Missed) -> f64| {
            let mut widths: Vec<_> = runs.iter().map(of).collect();
            widths.sort_by(f64::total_cmp);
            widths.get(widths.len() / 2).copied().unwrap_or_default() * 100.0
        };
        let _ = writeln!(
            table,
            "| {} % | {} | {:.1} | {} | {:.1} |",
            rate * 100.0,
            missed(|run| run.exact),
            width(|run| run.exact_width),
            missed(|run| run.asymptotic),
            width(|run| run.asymptotic_width)
        );
    }
    Ok(table)
}

fn one(settings: Settings, rate: f64, run: u64) -> Result<Missed, RolloutError> {
    let mut rollout = start(
        format!("run-{run}"),
        watching_abstentions(staying_at(5_000)),
    )?;
    let mut chance = Chance::of(settings.seed, 5, run);
    let mut missed = Missed::default();
    let mut look = 50.0_f64;
    for request in 1..=2 * settings.requests {
        let observed = Observation {
            abstained: chance.happens(rate),
            ..Observation::default()
        };
        ask(&mut rollout, &request.to_string(), observed, request)?;
        if rollout.state().is_final() {
            break;
        }
        if request < 2 * look as u64 {
            continue;
        }
        look *= 1.08;
        let status = rollout.status(0);
        let Some(rates) = status
            .guardrails
            .first()
            .and_then(|status| status.rates.as_ref())
        else {
            continue;
        };
        let stable = &rates.stable;
        let radius = asymptotic_radius(stable);
        let mean = stable.mean.unwrap_or_default();
        missed.exact |= rate < stable.low || rate > stable.high;
        missed.asymptotic |= (rate - mean).abs() > radius;
        missed.exact_width = stable.high - stable.low;
        missed.asymptotic_width = 2.0 * radius;
    }
    Ok(missed)
}

/// `sqrt((n v ρ² + 1) / (n² ρ²) · ln((n v ρ² + 1) / α²))`, with the ρ that is best at an intrinsic time n v of 50.
fn asymptotic_radius(seen: &RateStatus) -> f64 {
    const BEST_AT: f64 = 50.0;
    let n = seen.units as f64;
    let mean = seen.events as f64 / n;
    let variance = mean * (1.0 - mean);
    let double = -2.0 * ALPHA.ln();
    let rho_squared = (double + (double + 1.0).ln()) / BEST_AT;
    let grown = n * variance * rho_squared + 1.0;
    (grown / (n * n * rho_squared) * (grown / (ALPHA * ALPHA)).ln()).sqrt()
}
