//! Two runs, paired by question: for each metric the difference and what it proves, and the questions that flipped.
//!
//! Nothing is dropped in silence: questions of one side only are counted and listed, and so are values of one side only.

mod flips;
mod html;
mod pairing;
mod views;

pub use flips::{Flip, FlipSide};
pub use pairing::Pairing;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::record::{ClusterBy, EvaluatedRun, QuestionRecord};
use crate::report::DatasetReference;
use crate::statistics::{
    Bootstrap, Generator, Interval, Method, RESAMPLES, RESAMPLES_MAX, Sample, holm, score_interval,
    sign_flip, smallest_detectable_effect,
};
use flips::{flip_metric, flips};

/// Ids of questions of one side only that are listed; all are counted.
const UNPAIRED_LISTED: usize = 100;
/// Flips that may be asked for.
pub const FLIPS_MAX: usize = 10_000;
/// The power that a smallest detectable effect is for.
pub const POWER: f64 = 0.8;

/// With fewer clusters, resampling them says too little: of 13 clusters, intervals of 95 % held the truth in 87 % of the simulation's
/// runs; of 20 it was 92 to 95 %. A gate that passes needs more of them: see [`crate::gates`].
pub const CLUSTERS_MIN: usize = 20;

/// Which way of a metric is an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    Higher,
    Lower,
}

impl Better {
    /// What the name says: times, tokens, abstentions, failures, duplicates, leaks and deleted hits are better when lower.
    #[must_use]
    pub fn by_name(metric: &str) -> Self {
        let name = metric.rsplit('/').next().unwrap_or(metric);
        let whole = [
            "abstained",
            "failed",
            "errors",
            "duplicates",
            "acl_leak_rate",
            "deleted_hit_rate",
        ];
        let lower = whole.contains(&name)
            || ["_ms", "_seconds", "_tokens"]
                .iter()
                .any(|end| name.ends_with(end))
            || name.contains("latency")
            || name == "tokens";
        if lower { Self::Lower } else { Self::Higher }
    }

    /// 1 where higher is better, -1 where lower is.
    #[must_use]
    pub fn sign(self) -> f64 {
        match self {
            Self::Higher => 1.0,
            Self::Lower => -1.0,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct CompareOptions {
    pub seed: u64,
    /// From 100 to [`RESAMPLES_MAX`].
    pub resamples: usize,
    /// Of the intervals: from 0.5 to below 1.
    pub level: f64,
    /// Whether questions of one cluster are drawn and flipped together.
    pub clustered: bool,
    /// The metric that the flips are sorted by; without one, the first of `exact`, `f1`, `reranked/nDCG@10` that there is.
    pub flip_metric: Option<String>,
    /// At most [`FLIPS_MAX`].
    pub flips: usize,
    /// Compares runs on data sets of different digests, with a warning.
    pub allow_different_data: bool,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            resamples: RESAMPLES,
            level: 0.95,
            clustered: true,
            flip_metric: None,
            flips: 50,
            allow_different_data: false,
        }
    }
}

impl CompareOptions {
    fn check(&self) -> Result<(), EvalError> {
        let reason = if !(100..=RESAMPLES_MAX).contains(&self.resamples) {
            format!(
                "`resamples` is {}, must be from 100 to {RESAMPLES_MAX}",
                self.resamples
            )
        } else if !(0.5..1.0).contains(&self.level) {
            format!("`level` is {}, must be from 0.5 to below 1", self.level)
        } else if self.flips > FLIPS_MAX {
            format!("`flips` is {}, must be at most {FLIPS_MAX}", self.flips)
        } else {
            return Ok(());
        };
        Err(EvalError::Pairing { reason })
    }
}

/// What a run is called in a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReference {
    pub digest: String,
    pub dataset: DatasetReference,
    pub config_digest: String,
    pub release: Option<String>,
    pub adapter: Option<String>,
    pub questions: usize,
}

impl RunReference {
    #[must_use]
    pub fn of(run: &EvaluatedRun) -> Self {
        Self {
            digest: run.digest.clone(),
            dataset: run.report.dataset.clone(),
            config_digest: run.report.config_digest.clone(),
            release: run.report.release.clone(),
            adapter: run.report.adapter.clone(),
            questions: run.questions.len(),
        }
    }
}

/// Questions that one side alone has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpaired {
    pub count: usize,
    /// The first ids in order.
    pub ids: Vec<String>,
}

impl Unpaired {
    fn of(ids: &[&str]) -> Self {
        Self {
            count: ids.len(),
            ids: ids
                .iter()
                .take(UNPAIRED_LISTED)
                .map(|id| (*id).to_owned())
                .collect(),
        }
    }
}

/// One metric over the questions that have it on both sides. `difference` is B − A.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricComparison {
    pub better: Better,
    pub n: usize,
    /// Values that A alone has, and that B alone has, of paired questions: their absence may itself be an effect.
    pub only_a: usize,
    pub only_b: usize,
    pub mean_a: f64,
    pub mean_b: f64,
    pub difference: f64,
    pub interval: Interval,
    /// Two-sided, by flips of signs.
    pub p: f64,
    /// The same, corrected for the number of metrics (Holm).
    pub p_holm: f64,
    /// The true difference that would have been found with a power of 0.8; none where nothing varied.
    pub smallest_detectable_effect: Option<f64>,
    /// How many clusters were drawn; none when each question stood alone.
    pub clusters: Option<usize>,
    pub improved: usize,
    pub worsened: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub a: RunReference,
    pub b: RunReference,
    pub seed: u64,
    pub resamples: usize,
    /// Questions that both have.
    pub paired: usize,
    pub only_a: Unpaired,
    pub only_b: Unpaired,
    pub warnings: Vec<String>,
    pub metrics: BTreeMap<String, MetricComparison>,
    /// Metrics that no paired question has on both sides.
    pub metrics_not_paired: Vec<String>,
    pub flip_metric: Option<String>,
    /// How many questions flipped; the list may be shorter.
    pub flipped: usize,
    /// Worst first.
    pub flips: Vec<Flip>,
}

/// The interval of a mean of differences: the score interval for 0/1 metrics whose questions stand alone, else the bootstrap.
#[must_use]
pub fn interval(
    sample: &Sample,
    level: f64,
    resamples: usize,
    generator: &mut Generator,
) -> Interval {
    if sample.is_trinary() {
        score_interval(sample, level)
    } else {
        Bootstrap::draw(sample, resamples, generator).interval(Method::Expanded, level)
    }
}

impl Comparison {
    /// Compares B with A. Refused when the data sets differ, a question's text differs, or no question is on both sides.
    pub fn of(
        a: &EvaluatedRun,
        b: &EvaluatedRun,
        options: &CompareOptions,
    ) -> Result<Self, EvalError> {
        options.check()?;
        let pairing = Pairing::of(a, b, options.allow_different_data)?;
        let (mut metrics, mut metrics_not_paired) = (BTreeMap::new(), Vec::new());
        for name in pairing.metrics() {
            match compare_metric(&pairing, name, options) {
                Some(metric) => {
                    metrics.insert(name.to_owned(), metric);
                }
                None => metrics_not_paired.push(name.to_owned()),
            }
        }
        let mut warnings = pairing.warnings.clone();
        warnings.extend(few_clusters(&metrics));
        let p_values: Vec<f64> = metrics.values().map(|metric| metric.p).collect();
        for (metric, adjusted) in metrics.values_mut().zip(holm(&p_values)) {
            metric.p_holm = adjusted;
        }
        let flip_metric = flip_metric(options, &metrics)?;
        let (flipped, flips) = flip_metric.as_ref().map_or((0, Vec::new()), |metric| {
            flips(&pairing, metric, options.flips)
        });
        Ok(Self {
            a: RunReference::of(a),
            b: RunReference::of(b),
            seed: options.seed,
            resamples: options.resamples,
            paired: pairing.pairs.len(),
            only_a: Unpaired::of(&pairing.only_a),
            only_b: Unpaired::of(&pairing.only_b),
            warnings,
            metrics,
            metrics_not_paired,
            flip_metric,
            flipped,
            flips,
        })
    }

    /// Writes `comparison.json`, `comparison.md`, `comparison.html` and `comparison.junit.xml` into the folder.
    pub fn write(&self, folder: &Path) -> Result<(), EvalError> {
        crate::views::write_all(
            folder,
            &[
                (
                    "comparison.json",
                    format!("{:#}\n", serde_json::json!(self)),
                ),
                ("comparison.md", self.to_markdown()),
                ("comparison.html", self.to_html()),
                ("comparison.junit.xml", self.to_junit()),
            ],
        )
    }
}

fn compare_metric(
    pairing: &Pairing,
    name: &str,
    options: &CompareOptions,
) -> Option<MetricComparison> {
    let values = pairing.values(name);
    if values.both.is_empty() {
        return None;
    }
    let sample = values.differences(if options.clustered {
        ClusterBy::Cluster
    } else {
        ClusterBy::None
    });
    let mut generator = Generator::named(options.seed, name);
    let better = Better::by_name(name);
    let changed = |sign: f64| {
        let signed = |(_, a, b): &(&QuestionRecord, f64, f64)| (b - a) * better.sign() * sign > 0.0;
        values.both.iter().filter(|pair| signed(pair)).count()
    };
    let interval = interval(&sample, options.level, options.resamples, &mut generator);
    let p = sign_flip(&sample, options.resamples, &mut generator).two_sided;
    Some(MetricComparison {
        better,
        n: values.both.len(),
        only_a: values.only_a,
        only_b: values.only_b,
        mean_a: crate::metrics::mean(values.both.iter().map(|(_, a, _)| *a)),
        mean_b: crate::metrics::mean(values.both.iter().map(|(_, _, b)| *b)),
        difference: sample.mean(),
        interval,
        p,
        p_holm: p,
        smallest_detectable_effect: smallest_detectable_effect(&sample, 1.0 - options.level, POWER),
        clusters: sample.is_clustered().then(|| sample.units()),
        improved: changed(1.0),
        worsened: changed(-1.0),
    })
}

fn few_clusters(metrics: &BTreeMap<String, MetricComparison>) -> Option<String> {
    let least = metrics
        .values()
        .filter_map(|metric| metric.clusters)
        .min()?;
    (least < CLUSTERS_MIN).then(|| {
        format!("only {least} clusters: below {CLUSTERS_MIN}, intervals may be too narrow")
    })
}
