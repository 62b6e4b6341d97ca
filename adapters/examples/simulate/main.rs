//! What rollouts do with simulated traffic, as Markdown tables: false alarms, power and delay beside a z-test and a threshold
//! rule, units that come again and again, whole rollouts, and how often intervals miss the rate.
//!
//! `cargo run --release -p quoin-adapters --example simulate -- [--seed N] [--runs N] [--requests N] [--plot FILE.svg]`
//!
//! With `--plot` it draws one rollout of each kind of end instead: `FILE-promoted.svg` and `FILE-aborted.svg`.
#![expect(clippy::print_stdout, reason = "its tables are its output")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of a simulation are small"
)]

mod alarms;
mod chance;
mod intervals;
mod returning;
mod rivals;
mod whole;

use quoin_adapters::Alias;
use quoin_adapters::rollout::{
    EventGuardrail, Gate, Input, LatencyGuardrail, Observation, Plan, Rollout, RolloutError, Side,
    SplitGuardrail,
};

/// What every table is made from.
#[derive(Clone, Copy)]
struct Settings {
    seed: u64,
    runs: u64,
    requests: u64,
}

fn main() -> Result<(), String> {
    let mut settings = Settings {
        seed: 20_260_101,
        runs: 2_000,
        requests: 5_000,
    };
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    for pair in arguments.chunks(2) {
        let [key, value] = pair else {
            return Err(format!("`{}` has no value", pair[0]));
        };
        if key == "--plot" {
            return whole::draw(settings, value);
        }
        let value = value
            .parse()
            .map_err(|error| format!("`{key}` is `{value}`: {error}"))?;
        match key.as_str() {
            "--seed" => settings.seed = value,
            "--runs" => settings.runs = value,
            "--requests" => settings.requests = value,
            _ => {
                return Err(format!(
                    "`{key}` is none of --seed, --runs, --requests, --plot"
                ));
            }
        }
    }
    println!(
        "Seed {}, {} runs a row, {} requests a run where not said otherwise.",
        settings.seed, settings.runs, settings.requests
    );
    for table in [
        alarms::false_aborts,
        alarms::power,
        returning::table,
        whole::table,
        intervals::table,
    ] {
        println!("\n{}", table(settings).map_err(|error| error.to_string())?);
    }
    Ok(())
}

/// Runs on every core; the results are in the order of their runs, so the number of cores decides nothing.
fn on_all_cores<T: Send>(
    runs: u64,
    run: impl Fn(u64) -> Result<T, RolloutError> + Sync,
) -> Result<Vec<T>, RolloutError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let mut results: Vec<(u64, Result<T, RolloutError>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|core| {
                let run = &run;
                scope.spawn(move || {
                    (core..runs)
                        .step_by(cores as usize)
                        .map(|number| (number, run(number)))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_default())
            .collect()
    });
    results.sort_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

/// A plan that begins at this share and stays there, with nothing to wait for.
fn staying_at(share_basis_points: u16) -> Plan {
    Plan {
        shadow_pairs: 0,
        steps_basis_points: vec![share_basis_points, 10_000],
        units_per_arm: 10_000,
        margin_basis_points: 1,
        units_max: 1_000_000,
        settle_ms: 0,
        ..Plan::default()
    }
}

/// Only abstentions are watched: K = 1, as for the rules beside it.
fn watching_abstentions(mut plan: Plan) -> Plan {
    let off = || EventGuardrail {
        on: false,
        margin_basis_points: None,
    };
    let guardrails = &mut plan.guardrails;
    guardrails.engine_error = off();
    guardrails.schema_failure = off();
    guardrails.quote_failure = off();
    guardrails.negative_feedback = off();
    guardrails.latency = LatencyGuardrail {
        on: false,
        ..LatencyGuardrail::default()
    };
    guardrails.traffic_split = SplitGuardrail { on: false };
    plan
}

fn start(id: String, plan: Plan) -> Result<Rollout, RolloutError> {
    let side = |release: &str| Side {
        adapter: None,
        release: release.to_owned(),
    };
    let (stable, canary) = (side("stable"), side("canary"));
    let gate = Gate::NotNeeded;
    let started = Rollout::start(id, Alias::champion(), stable, canary, plan, gate, 0)?;
    Ok(started.0)
}

/// One request a second, answered by the arm that it was assigned.
fn ask(
    rollout: &mut Rollout,
    unit: &str,
    observed: Observation,
    second: u64,
) -> Result<(), RolloutError> {
    let input = Input::Outcome {
        arm: rollout.assign(unit),
        unit: unit.to_owned(),
        overridden: false,
        observed,
        at_ms: second.cast_signed() * 1_000,
    };
    rollout.apply(&input)?;
    Ok(())
}

fn percent(part: usize, all: usize) -> String {
    format!("{:.1} %", part as f64 / all.max(1) as f64 * 100.0)
}
