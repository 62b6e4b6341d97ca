//! `quoin eval gate`: whether a run is good enough, by tests and not by looking at means.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use quoin_eval::gates::{GateOptions, GateReport, Gates, Verdict};
use quoin_eval::record::EvaluatedRun;

use crate::cli::Setting;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{self, Output};

/// What a baseline is called that the gates do not name.
const BASELINE: &str = "baseline";

/// What `quoin eval gate` is told.
#[derive(Args, Debug)]
pub struct GateCommand {
    /// The run to judge: the folder that `--out` named
    run: PathBuf,
    /// The gates, TOML
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The run that gates compare with; `NAME=DIR` where they name several
    #[arg(long, value_name = "[NAME=]DIR")]
    baseline: Vec<String>,
    /// Write gate.json, gate.md, gate.html and gate.junit.xml here; `quoin adapters report` keeps gate.json beside its version,
    /// where `quoin rollout start` looks for it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Of the resampling
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl GateCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// A run or the gates cannot be read; a gate failed, or could not be decided.
    pub fn run(self, setting: &Setting) -> Result<(), Failure> {
        let gates = Gates::open(&self.config)?;
        let candidate = EvaluatedRun::open(&self.run)?;
        let mut baselines = BTreeMap::new();
        for baseline in &self.baseline {
            let (name, folder) = baseline.split_once('=').unwrap_or((BASELINE, baseline));
            let run = EvaluatedRun::open(folder.as_ref())?;
            if baselines.insert(name.to_owned(), run).is_some() {
                return Err(Failure::usage(format!(
                    "two baselines are called `{name}`: write `--baseline NAME=DIR`"
                )));
            }
        }
        let options = GateOptions {
            seed: self.seed,
            ..GateOptions::default()
        };
        let report = gates.evaluate(&candidate, &baselines, options)?;
        let output = setting.output;
        if let Some(out) = &self.out {
            report.write(out)?;
            output.note(format!("wrote `{}`", out.display()));
        }
        for warning in &report.warnings {
            output.warn(warning);
        }
        if output.is_json() {
            output.json(&report)?;
        } else {
            print(&report, output)?;
        }
        match report.verdict {
            Verdict::Pass => Ok(()),
            Verdict::Fail => Err(Failure::gate(Exit::GateFailed, "a gate failed")),
            Verdict::Inconclusive => Err(Failure::gate(
                Exit::Inconclusive,
                "whether the gates hold cannot be told from these questions",
            )),
        }
    }
}

fn print(report: &GateReport, output: Output) -> Result<(), Failure> {
    let head = ["GATE", "VERDICT", "BASELINE", "CANDIDATE", "N", "BECAUSE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let shown = |mean: Option<f64>| mean.map_or_else(String::new, |mean| format!("{mean:.4}"));
    for result in &report.gates {
        rows.push(vec![
            result.gate.metric.clone(),
            result.counts_as.word().to_owned(),
            shown(result.mean_baseline),
            shown(result.mean_candidate),
            result.n.to_string(),
            result.reason.clone(),
        ]);
    }
    output.line(output::table(&rows))
}
