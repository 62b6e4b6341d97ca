//! False aborts and power at one share, beside the rules that are often used.

use std::fmt::Write as _;

use quoin_adapters::rollout::{Arm, Observation, Plan, RolloutError};

use crate::chance::Chance;
use crate::rivals::{Count, threshold_alarms, z_test_alarms};
use crate::{Settings, ask, on_all_cores, percent, start, staying_at, watching_abstentions};

/// One comparison: who has which share, and how often the event happens on each.
#[derive(Clone, Copy)]
struct Case {
    share_basis_points: u16,
    stable: f64,
    canary: f64,
}

/// After how many requests each rule first raised an alarm.
#[derive(Clone, Copy, Default)]
struct Alarms {
    rollout: Option<u64>,
    z_test: Option<u64>,
    threshold: Option<u64>,
}

pub fn false_aborts(settings: Settings) -> Result<String, RolloutError> {
    let mut table = String::from(
        "## False aborts: canary and stable alike (A/A)\n\n\
         Event rate 2 % and 20 % on both, one guardrail, α = 5 %; the z-test and the threshold (twice the stable rate) are looked \
         at after every request from 50 on the canary. The last column watches all seven guardrails (K = 7), four of \
         their events at that rate each.\n\n\
         | share | rate | e-process | z-test with peeking | threshold | all seven guardrails |\n|---:|---:|---:|---:|---:|---:|\n",
    );
    for share_basis_points in [100, 1_000, 5_000] {
        for rate in [0.02, 0.2] {
            let case = Case {
                share_basis_points,
                stable: rate,
                canary: rate,
            };
            let alarms = run_all(settings, case)?;
            let seven = on_all_cores(settings.runs, |run| seven_guardrails(settings, case, run))?;
            let aborts = seven.iter().filter(|aborted| **aborted).count();
            let _ = writeln!(
                table,
                "| {} % | {} % | {} | {} | {} | {} |",
                share_basis_points / 100,
                rate * 100.0,
                rate_of(&alarms, |alarms| alarms.rollout),
                rate_of(&alarms, |alarms| alarms.z_test),
                rate_of(&alarms, |alarms| alarms.threshold),
                percent(aborts, seven.len())
            );
        }
    }
    Ok(table)
}

pub fn power(settings: Settings) -> Result<String, RolloutError> {
    let mut table = String::from(
        "## Power and delay: the canary is worse\n\n\
         Runs with an alarm, and the median number of requests (of both arms) until it; one guardrail, α = 5 %. The other rules are \
         fast because they also raise alarms without cause: see above.\n\n\
         | share | stable → canary | e-process | after | z-test with peeking | after | threshold | after |\n\
         |---:|---|---:|---:|---:|---:|---:|---:|\n",
    );
    let regressions = [
        (0.02, 0.04),
        (0.02, 0.06),
        (0.02, 0.1),
        (0.1, 0.2),
        (0.2, 0.3),
        (0.2, 0.5),
    ];
    for share_basis_points in [100, 1_000, 5_000] {
        for (stable, canary) in regressions {
            let case = Case {
                share_basis_points,
                stable,
                canary,
            };
            let alarms = run_all(settings, case)?;
            let _ = write!(
                table,
                "| {} % | {} → {} % |",
                share_basis_points / 100,
                (stable * 100.0).round(),
                (canary * 100.0).round()
            );
            let rules: [fn(&Alarms) -> Option<u64>; 3] = [
                |alarms| alarms.rollout,
                |alarms| alarms.z_test,
                |alarms| alarms.threshold,
            ];
            for rule in rules {
                let _ = write!(
                    table,
                    " {} | {} |",
                    rate_of(&alarms, rule),
                    median(&alarms, rule)
                );
            }
            table.push('\n');
        }
    }
    Ok(table)
}

fn run_all(settings: Settings, case: Case) -> Result<Vec<Alarms>, RolloutError> {
    on_all_cores(settings.runs, |run| one(settings, case, run))
}

fn one(settings: Settings, case: Case, run: u64) -> Result<Alarms, RolloutError> {
    let plan = watching_abstentions(staying_at(case.share_basis_points));
    let mut rollout = start(format!("run-{run}"), plan)?;
    // Stays live, and so knows whose request it would have been.
    let assigned = rollout.clone();
    let mut chance = Chance::of(settings.seed, 1, run);
    let (mut stable, mut canary) = (Count::default(), Count::default());
    let mut alarms = Alarms::default();
    for request in 1..=settings.requests {
        let unit = request.to_string();
        let event = match assigned.assign(&unit) {
            Arm::Canary => {
                let event = chance.happens(case.canary);
                canary.add(event);
                event
            }
            Arm::Stable => {
                let event = chance.happens(case.stable);
                stable.add(event);
                event
            }
        };
        if alarms.rollout.is_none() {
            let observed = Observation {
                abstained: event,
                ..Observation::default()
            };
            ask(&mut rollout, &unit, observed, request)?;
            alarms.rollout = rollout.state().is_final().then_some(request);
        }
        let first = |alarm: Option<u64>, now: bool| alarm.or(now.then_some(request));
        alarms.z_test = first(alarms.z_test, z_test_alarms(stable, canary));
        alarms.threshold = first(alarms.threshold, threshold_alarms(stable, canary));
    }
    Ok(alarms)
}

/// Whether a rollout that watches everything is aborted although both arms are alike.
fn seven_guardrails(settings: Settings, case: Case, run: u64) -> Result<bool, RolloutError> {
    let plan = Plan {
        engine_errors_in_a_row: 1_000,
        ..staying_at(case.share_basis_points)
    };
    let mut rollout = start(format!("run-{run}"), plan)?;
    let mut chance = Chance::of(settings.seed, 2, run);
    for request in 1..=settings.requests {
        let observed = Observation {
            engine_error: chance.happens(case.stable),
            schema_failure: chance.happens(case.stable),
            quote_failure: chance.happens(case.stable),
            abstained: chance.happens(case.stable),
            access_violation: false,
            latency_us: Some((1e6 * (0.5 * chance.normal()).exp()) as u64),
        };
        ask(&mut rollout, &request.to_string(), observed, request)?;
        if rollout.state().is_final() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn rate_of(alarms: &[Alarms], rule: fn(&Alarms) -> Option<u64>) -> String {
    let raised = alarms
        .iter()
        .filter(|alarms| rule(alarms).is_some())
        .count();
    percent(raised, alarms.len())
}

fn median(alarms: &[Alarms], rule: fn(&Alarms) -> Option<u64>) -> String {
    let mut delays: Vec<_> = alarms.iter().filter_map(rule).collect();
    delays.sort_unstable();
    delays
        .get(delays.len() / 2)
        .map_or_else(|| "–".to_owned(), ToString::to_string)
}
