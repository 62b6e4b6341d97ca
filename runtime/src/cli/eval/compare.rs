//! `quoin eval compare`: two runs, question by question.

use std::path::PathBuf;

use clap::Args;
use quoin_eval::compare::{CompareOptions, Comparison, MetricComparison};
use quoin_eval::record::EvaluatedRun;

use crate::cli::Setting;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Output};

/// Flips that are named on a terminal.
const NAMED_FLIPS: usize = 5;

/// What `quoin eval compare` is told.
#[derive(Args, Debug)]
pub struct Compare {
    /// The run before: the folder that `--out` named
    a: PathBuf,
    /// The run after
    b: PathBuf,
    /// Write comparison.json, comparison.md, comparison.html and comparison.junit.xml here
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The metric by which questions are said to have flipped
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,
    /// Draw questions one by one, even where the data set names clusters
    #[arg(long)]
    no_clusters: bool,
    /// Compare runs on data sets with different digests
    #[arg(long)]
    allow_different_data: bool,
    /// Of the resampling
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Compare {
    /// Runs the command.
    ///
    /// # Errors
    /// A run cannot be read, or the two cannot be paired.
    pub fn run(self, setting: &Setting) -> Result<(), Failure> {
        let options = CompareOptions {
            seed: self.seed,
            clustered: !self.no_clusters,
            flip_metric: self.metric,
            allow_different_data: self.allow_different_data,
            ..CompareOptions::default()
        };
        let (a, b) = (EvaluatedRun::open(&self.a)?, EvaluatedRun::open(&self.b)?);
        let comparison = Comparison::of(&a, &b, &options)?;
        let output = setting.output;
        if let Some(out) = &self.out {
            comparison.write(out)?;
            output.note(format!("wrote `{}`", out.display()));
        }
        for warning in &comparison.warnings {
            output.warn(warning);
        }
        if output.is_json() {
            return output.json(&comparison);
        }
        print(&comparison, output)
    }
}

fn print(comparison: &Comparison, output: Output) -> Result<(), Failure> {
    let head = [
        "METRIC",
        "A",
        "B",
        "B - A",
        "95 % INTERVAL",
        "P (HOLM)",
        "WOULD SEE",
        "N",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(
        comparison
            .metrics
            .iter()
            .map(|(name, metric)| row(name, metric)),
    );
    output.line(output::table(&rows))?;
    output.line("")?;
    output.line(format!(
        "{} on both sides, {} only in A, {} only in B",
        output::count(comparison.paired, "question"),
        comparison.only_a.count,
        comparison.only_b.count
    ))?;
    let Some(metric) = &comparison.flip_metric else {
        return Ok(());
    };
    output.line(format!(
        "{} changed by {metric}",
        output::count(comparison.flipped, "question")
    ))?;
    for flip in comparison.flips.iter().take(NAMED_FLIPS) {
        output.line(format!(
            "  {:.2} -> {:.2}  {}  {}",
            flip.a.value,
            flip.b.value,
            flip.id,
            output::printable(&flip.question)
        ))?;
    }
    Ok(())
}

fn row(name: &str, metric: &MetricComparison) -> Vec<String> {
    let interval = metric.interval;
    vec![
        name.to_owned(),
        format!("{:.4}", metric.mean_a),
        format!("{:.4}", metric.mean_b),
        format!("{:+.4}", metric.difference),
        format!("{:+.4} to {:+.4}", interval.low, interval.high),
        format!("{:.4}", metric.p_holm),
        metric
            .smallest_detectable_effect
            .map_or_else(String::new, |effect| format!("{effect:.4}")),
        metric.n.to_string(),
    ]
}
