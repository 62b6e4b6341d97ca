//! Gates: whether a release may go on, decided by tests and not by looking at means.
//!
//! Two claims can be false, and each family of claims is corrected by Holm at the gates' alpha (where alphas differ, the chance is
//! at most the greatest):
//! - *accusations*, which fail a gate: a fall (`no_significant_regression`), a fall beyond the margin (`non_inferior`), a mean beyond
//!   its bound (`absolute`). The chance that any gate fails a release which deserves none of it is at most alpha.
//! - *assurances*, which pass a gate: no worse than the margin (`non_inferior`), a mean within its bound (`absolute`). The chance that
//!   any gate passes wrongly is at most alpha. For the verdict over all gates, which needs every one to pass, this is more than is needed;
//!   but each gate's own verdict is published and relied upon.
//!
//! `no_significant_regression` passes where nothing was shown: it controls false alarms alone. With a `margin` it passes only where
//! a fall of that size would have been found with a power of 0.8. What neither claim shows is inconclusive.
//!
//! The bootstrap is not exact for few clusters. In the simulation (`examples/statistics`, alpha 5 %), releases worse by the margin
//! passed `non_inferior` in at most 5.3 % of the runs where questions stand alone, in at most 6.2 % of those with 80 clusters, 8.0 %
//! with 40 and 10.2 % with 20: few clusters often hold no fall at all. Releases that are the same failed in at most 5.3 % everywhere.

mod config;
mod evidence;
mod views;

pub use crate::record::ClusterBy;
pub use config::{Gate, Gates, Mode, OnInconclusive, Test};

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::compare::{Better, RunReference};
use crate::error::EvalError;
use crate::record::EvaluatedRun;
use crate::statistics::{Interval, RESAMPLES, RESAMPLES_MAX, holm};
use evidence::Evidence;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    Fail,
    Inconclusive,
}

impl Verdict {
    /// What the process ends with: 0, 100 or 101; 1 is an error.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 100,
            Self::Inconclusive => 101,
        }
    }

    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateOptions {
    pub seed: u64,
    /// From 1,000 to [`RESAMPLES_MAX`].
    pub resamples: usize,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            resamples: RESAMPLES,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    pub gate: Gate,
    pub better: Better,
    /// What the data say.
    pub verdict: Verdict,
    /// What it counts as, by `on_inconclusive`.
    pub counts_as: Verdict,
    pub reason: String,
    /// Questions that were tested; for gates with a baseline, those with the metric on both sides.
    pub n: usize,
    pub clusters: Option<usize>,
    /// Questions with the metric on one side only.
    pub unpaired: usize,
    pub mean_candidate: Option<f64>,
    pub mean_baseline: Option<f64>,
    /// The mean, or candidate − baseline.
    pub estimate: Option<f64>,
    /// Of the estimate, at 1 − 2·alpha: its ends are the one-sided bounds at alpha, before correction.
    pub interval: Option<Interval>,
    /// P-values of the claim that would pass the gate and of the one that would fail it, as they came and corrected across gates.
    pub p_pass: Option<f64>,
    pub p_pass_holm: Option<f64>,
    pub p_fail: Option<f64>,
    pub p_fail_holm: Option<f64>,
    pub smallest_detectable_effect: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateReport {
    /// Every gate counts as passed: the condition of a rollout.
    pub passed: bool,
    pub verdict: Verdict,
    pub exit_code: u8,
    /// `sha256:…` of the gates' file.
    pub gates_digest: String,
    /// With its release, adapter and data set.
    pub candidate: RunReference,
    /// By the names that the gates use.
    pub baselines: BTreeMap<String, RunReference>,
    pub seed: u64,
    pub resamples: usize,
    pub warnings: Vec<String>,
    pub gates: Vec<GateResult>,
}

impl Gates {
    /// Decides all gates. `baselines` holds a run for each of [`Gates::baselines`]; one that is missing is an error.
    pub fn evaluate(
        &self,
        candidate: &EvaluatedRun,
        baselines: &BTreeMap<String, EvaluatedRun>,
        options: GateOptions,
    ) -> Result<GateReport, EvalError> {
        if !(1_000..=RESAMPLES_MAX).contains(&options.resamples) {
            return Err(EvalError::Gates {
                reason: format!(
                    "`resamples` is {}, must be from 1000 to {RESAMPLES_MAX}",
                    options.resamples
                ),
            });
        }
        let mut warnings = Vec::new();
        let mut evidence = Vec::new();
        for (index, gate) in self.gates.iter().enumerate() {
            let baseline = match gate.baseline_name() {
                None => None,
                Some(name) => Some(baselines.get(name).ok_or_else(|| EvalError::Gates {
                    reason: format!(
                        "gate {} (`{}`) needs the baseline `{name}`, which was not given",
                        index + 1,
                        gate.metric
                    ),
                })?),
            };
            evidence.push(Evidence::of(
                gate,
                candidate,
                baseline,
                options,
                &mut warnings,
            )?);
        }
        warnings.sort();
        warnings.dedup();
        let pass = corrected(evidence.iter().map(|evidence| evidence.p_pass));
        let fail = corrected(evidence.iter().map(|evidence| evidence.p_fail));
        let gates: Vec<GateResult> = self
            .gates
            .iter()
            .zip(evidence)
            .zip(pass.into_iter().zip(fail))
            .map(|((gate, evidence), (pass, fail))| evidence.decide(gate, pass, fail))
            .collect();
        let verdict = overall(&gates);
        let used = self.baselines();
        Ok(GateReport {
            passed: verdict == Verdict::Pass,
            verdict,
            exit_code: verdict.exit_code(),
            gates_digest: self.digest.clone(),
            candidate: RunReference::of(candidate),
            baselines: baselines
                .iter()
                .filter(|(name, _)| used.contains(name.as_str()))
                .map(|(name, run)| (name.clone(), RunReference::of(run)))
                .collect(),
            seed: options.seed,
            resamples: options.resamples,
            warnings,
            gates,
        })
    }
}

impl GateReport {
    /// Writes `gate.json`, `gate.md`, `gate.html` and `gate.junit.xml` into the folder.
    pub fn write(&self, folder: &Path) -> Result<(), EvalError> {
        crate::views::write_all(
            folder,
            &[
                ("gate.json", format!("{:#}\n", serde_json::json!(self))),
                ("gate.md", self.to_markdown()),
                ("gate.html", self.to_html()),
                ("gate.junit.xml", self.to_junit()),
            ],
        )
    }
}

fn overall(gates: &[GateResult]) -> Verdict {
    let any = |verdict| gates.iter().any(|gate| gate.counts_as == verdict);
    if any(Verdict::Fail) {
        Verdict::Fail
    } else if any(Verdict::Inconclusive) {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    }
}

/// Holm over the claims that there are.
fn corrected(p_values: impl Iterator<Item = Option<f64>>) -> Vec<Option<f64>> {
    let p_values: Vec<Option<f64>> = p_values.collect();
    let claims: Vec<f64> = p_values.iter().flatten().copied().collect();
    let mut adjusted = holm(&claims).into_iter();
    p_values
        .into_iter()
        .map(|p| p.and_then(|_| adjusted.next()))
        .collect()
}
