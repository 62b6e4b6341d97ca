//! What the statistics are worth, on data whose truth is known: `cargo run --release -p quoin-eval --example statistics`.
//!
//! Prints Markdown tables: how often intervals hold the truth, how often gates are wrong, how often they find a fall.
#![expect(clippy::print_stdout, reason = "the tables are what this is for")]

mod study;

use study::{Scenario, coverage, gate_shares};

/// The simulation's own error at 95 % is then about 1 point.
const RUNS: usize = 2_000;

fn main() {
    println!(
        "{RUNS} runs a line, 1,000 resamples a run, fixed seeds.\n\n## Intervals of 95 %: how often they hold the truth, in percent\n"
    );
    println!(
        "| differences | true | n | clusters | default | expanded | percentile | BCa |\n|---|---:|---:|---:|---:|---:|---:|---:|"
    );
    for scenario in Scenario::all() {
        for n in scenario.sizes() {
            let found = coverage(&scenario, n, RUNS);
            print!(
                "| {} | {:+.3} | {n} | {} |",
                scenario.name,
                scenario.truth(),
                seen(&scenario, n)
            );
            println!(
                " {:.1} | {:.1} | {:.1} | {:.1} |",
                found[0], found[1], found[2], found[3]
            );
        }
    }
    println!("\n## Gates: how often each verdict comes, in percent (alpha 5 %)\n");
    println!(
        "| gate | candidate | n | clusters | pass | fail | inconclusive | error at stake |\n|---|---|---:|---:|---:|---:|---:|---|"
    );
    for case in study::gate_cases() {
        for n in case.sizes() {
            let [pass, fail, open] = gate_shares(&case, n, RUNS);
            println!(
                "| {} | {} | {n} | {} | {pass:.1} | {fail:.1} | {open:.1} | {} |",
                case.name,
                case.candidate.name,
                seen(&case.candidate, n),
                case.at_stake.words()
            );
        }
    }
}

fn seen(scenario: &Scenario, n: usize) -> String {
    scenario
        .told_clusters(n)
        .map_or_else(|| "–".to_owned(), |clusters| clusters.to_string())
}
