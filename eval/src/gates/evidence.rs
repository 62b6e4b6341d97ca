//! What the data say for and against one gate, before the correction across gates; and the verdict after it.

use super::{Gate, GateOptions, GateResult, Mode, OnInconclusive, Test, Verdict};
use crate::compare::{CLUSTERS_MIN, POWER, Pairing, interval};
use crate::error::EvalError;
use crate::metrics::{count, mean};
use crate::record::EvaluatedRun;
use crate::statistics::{
    Bootstrap, Generator, Interval, Method, Sample, binomial_at_least, binomial_at_most,
    score_test, sign_flip, smallest_detectable_effect, wilson,
};
use crate::views::p_value;

#[derive(Debug, Default)]
pub(super) struct Evidence {
    n: usize,
    clusters: Option<usize>,
    unpaired: usize,
    mean_candidate: Option<f64>,
    mean_baseline: Option<f64>,
    estimate: Option<f64>,
    interval: Option<Interval>,
    smallest_detectable_effect: Option<f64>,
    pub(super) p_pass: Option<f64>,
    pub(super) p_fail: Option<f64>,
    /// Decided without a p-value.
    settled: Option<(Verdict, String)>,
}

impl Evidence {
    pub(super) fn of(
        gate: &Gate,
        candidate: &EvaluatedRun,
        baseline: Option<&EvaluatedRun>,
        options: GateOptions,
        warnings: &mut Vec<String>,
    ) -> Result<Self, EvalError> {
        let mut generator = Generator::named(options.seed, &gate.metric);
        let Some(baseline) = baseline else {
            return Ok(Self::absolute(
                gate,
                candidate,
                options.resamples,
                &mut generator,
            ));
        };
        let pairing = Pairing::of(baseline, candidate, false)?;
        warnings.extend(pairing.warnings.iter().cloned());
        let values = pairing.values(&gate.metric);
        let sample = values.differences(gate.cluster_by);
        let mut evidence = Self::about(gate, &sample);
        evidence.unpaired = values.only_a + values.only_b;
        if sample.is_empty() {
            return Ok(evidence);
        }
        evidence.mean_baseline = Some(mean(values.both.iter().map(|(_, before, _)| *before)));
        evidence.mean_candidate = Some(mean(values.both.iter().map(|(_, _, after)| *after)));
        evidence.interval = Some(interval(
            &sample,
            1.0 - 2.0 * gate.alpha,
            options.resamples,
            &mut generator,
        ));
        evidence.smallest_detectable_effect =
            smallest_detectable_effect(&sample, 2.0 * gate.alpha, POWER);
        if evidence.settled.is_none() {
            let gains = sample.times(gate.better().sign());
            let (pass, fail) = paired_claims(gate, &gains, options.resamples, &mut generator);
            (evidence.p_pass, evidence.p_fail) = (pass, Some(fail));
        }
        Ok(evidence)
    }

    fn about(gate: &Gate, sample: &Sample) -> Self {
        let (n, clusters) = (sample.len(), sample.is_clustered().then(|| sample.units()));
        let reason = if n == 0 {
            Some(format!(
                "no question has the metric `{}` where it is needed",
                gate.metric
            ))
        } else if n < gate.min_n {
            Some(format!("{n} questions, `min_n` is {}", gate.min_n))
        } else {
            clusters
                .filter(|clusters| *clusters < CLUSTERS_MIN)
                .map(|clusters| format!("{clusters} clusters, at least {CLUSTERS_MIN} are needed"))
        };
        Self {
            n,
            clusters,
            estimate: (n > 0).then(|| sample.mean()),
            settled: reason.map(|reason| (Verdict::Inconclusive, reason)),
            ..Self::default()
        }
    }

    fn absolute(
        gate: &Gate,
        candidate: &EvaluatedRun,
        resamples: usize,
        generator: &mut Generator,
    ) -> Self {
        let values: Vec<(Option<&str>, f64)> = candidate
            .questions
            .iter()
            .filter_map(|record| {
                Some((
                    gate.cluster_by.of(record),
                    *record.metrics.get(&gate.metric)?,
                ))
            })
            .collect();
        let sample = Sample::new(values.iter().copied());
        let mut evidence = Self::about(gate, &sample);
        if sample.is_empty() {
            return evidence;
        }
        evidence.mean_candidate = evidence.estimate;
        let mean_of = MeanOf::new(&sample, &values, resamples, generator);
        evidence.interval = Some(mean_of.interval(1.0 - 2.0 * gate.alpha));
        if evidence.settled.is_some() {
            return evidence;
        }
        evidence.settled = without_exception(gate, &values);
        if evidence.settled.is_none() {
            let claims: Vec<(f64, f64)> = [
                gate.min
                    .map(|min| (mean_of.p_above(min), mean_of.p_below(min))),
                gate.max
                    .map(|max| (mean_of.p_below(max), mean_of.p_above(max))),
            ]
            .into_iter()
            .flatten()
            .collect();
            // Both bounds must be shown to hold; either may be shown to be broken.
            let pass = claims.iter().map(|claim| claim.0).fold(0.0, f64::max);
            let fail = claims.iter().map(|claim| claim.1).fold(1.0, f64::min);
            evidence.p_pass = Some(pass);
            evidence.p_fail = Some((fail * count(claims.len())).min(1.0));
        }
        evidence
    }

    /// The verdict, given the corrected p-values.
    pub(super) fn decide(self, gate: &Gate, pass: Option<f64>, fail: Option<f64>) -> GateResult {
        let (verdict, reason) = self.verdict(gate, pass, fail);
        let counts_as = match (verdict, gate.on_inconclusive) {
            (Verdict::Inconclusive, OnInconclusive::Fail) => Verdict::Fail,
            (Verdict::Inconclusive, OnInconclusive::Pass) => Verdict::Pass,
            (verdict, _) => verdict,
        };
        GateResult {
            gate: gate.clone(),
            better: gate.better(),
            verdict,
            counts_as,
            reason,
            n: self.n,
            clusters: self.clusters,
            unpaired: self.unpaired,
            mean_candidate: self.mean_candidate,
            mean_baseline: self.mean_baseline,
            estimate: self.estimate,
            interval: self.interval,
            p_pass: self.p_pass,
            p_pass_holm: pass,
            p_fail: self.p_fail,
            p_fail_holm: fail,
            smallest_detectable_effect: self.smallest_detectable_effect,
        }
    }

    fn verdict(&self, gate: &Gate, pass: Option<f64>, fail: Option<f64>) -> (Verdict, String) {
        if let Some(settled) = &self.settled {
            return settled.clone();
        }
        let shown = |p: Option<f64>| p.filter(|p| *p <= gate.alpha);
        if let Some(p) = shown(fail) {
            let what = match gate.mode {
                Mode::NonInferior => "it is worse by more than the margin",
                Mode::Absolute => "the mean is beyond its bound",
                Mode::NoSignificantRegression => "it is worse",
            };
            return (Verdict::Fail, format!("{what} ({})", p_value(p)));
        }
        if gate.mode == Mode::NoSignificantRegression {
            return self.without_regression(gate);
        }
        match shown(pass) {
            Some(p) if gate.mode == Mode::NonInferior => (
                Verdict::Pass,
                format!("it is not worse by the margin ({})", p_value(p)),
            ),
            Some(p) => (
                Verdict::Pass,
                format!("the mean is within its bounds ({})", p_value(p)),
            ),
            None => (
                Verdict::Inconclusive,
                "neither is shown: more questions are needed".to_owned(),
            ),
        }
    }

    fn without_regression(&self, gate: &Gate) -> (Verdict, String) {
        let Some(margin) = gate.margin else {
            return (Verdict::Pass, "no fall was shown".to_owned());
        };
        // Where nothing varied, the end of the interval says what may be hidden.
        let hidden = self.smallest_detectable_effect.or_else(|| {
            let interval = self.interval?;
            Some(interval.low.abs().max(interval.high.abs()))
        });
        match hidden {
            Some(hidden) if hidden <= margin => (
                Verdict::Pass,
                format!("no fall was shown, and one of {margin} would have been seen"),
            ),
            _ => (
                Verdict::Inconclusive,
                format!("no fall was shown, but one of {margin} might not have been seen"),
            ),
        }
    }
}

/// P-values for passing and for failing. `gains` are above 0 where the candidate is better.
fn paired_claims(
    gate: &Gate,
    gains: &Sample,
    resamples: usize,
    generator: &mut Generator,
) -> (Option<f64>, f64) {
    let bound = match gate.mode {
        Mode::NonInferior => -gate.margin.unwrap_or_default(),
        Mode::NoSignificantRegression | Mode::Absolute => 0.0,
    };
    let by_flips =
        |generator: &mut Generator| sign_flip(&gains.shifted(-bound), resamples, generator);
    let test = gate.test.unwrap_or(if gate.mode == Mode::NonInferior {
        Test::PairedBootstrap
    } else {
        Test::PairedPermutation
    });
    if gate.mode == Mode::NoSignificantRegression && test == Test::PairedPermutation {
        return (None, by_flips(generator).falls);
    }
    let (mut above, mut below) = if gains.is_trinary() {
        (
            score_test(gains, bound),
            score_test(&gains.times(-1.0), -bound),
        )
    } else {
        let drawn = Bootstrap::draw(gains, resamples, generator);
        (drawn.p_above(bound), drawn.p_below(bound))
    };
    if test == Test::PairedPermutation {
        let flips = by_flips(generator);
        above = above.max(flips.rises);
        below = below.max(flips.falls);
    }
    ((gate.mode == Mode::NonInferior).then_some(above), below)
}

/// Bounds at the end of the range of shares: no test can show that there is no exception, but one exception shows that there is.
fn without_exception(gate: &Gate, values: &[(Option<&str>, f64)]) -> Option<(Verdict, String)> {
    let is_share = values.iter().all(|(_, value)| (0.0..=1.0).contains(value));
    let end = match (gate.min, gate.max) {
        (Some(min), None) if min >= 1.0 => min,
        (None, Some(max)) if max <= 0.0 => max,
        _ => return None,
    };
    if !is_share {
        return None;
    }
    let beyond = if gate.min.is_some() {
        values.iter().filter(|(_, value)| *value < end).count()
    } else {
        values.iter().filter(|(_, value)| *value > end).count()
    };
    Some(match beyond {
        0 => (
            Verdict::Pass,
            format!("no exception among {} questions", values.len()),
        ),
        _ => (
            Verdict::Fail,
            format!("{beyond} exceptions among {} questions", values.len()),
        ),
    })
}

/// Tests of a mean against a bound: exact for shares of questions that stand alone, else by the bootstrap.
enum MeanOf<'sample> {
    Share { successes: usize, n: usize },
    Drawn(Bootstrap<'sample>),
}

impl<'sample> MeanOf<'sample> {
    fn new(
        sample: &'sample Sample,
        values: &[(Option<&str>, f64)],
        resamples: usize,
        generator: &mut Generator,
    ) -> Self {
        let share = |value: f64| value == 0.0 || value.total_cmp(&1.0).is_eq();
        if !sample.is_clustered() && values.iter().all(|(_, value)| share(*value)) {
            let successes = values.iter().filter(|(_, value)| *value > 0.5).count();
            return Self::Share {
                successes,
                n: values.len(),
            };
        }
        Self::Drawn(Bootstrap::draw(sample, resamples, generator))
    }

    fn interval(&self, level: f64) -> Interval {
        match self {
            Self::Share { successes, n } => wilson(*successes, *n, level),
            Self::Drawn(drawn) => drawn.interval(Method::Expanded, level),
        }
    }

    fn p_above(&self, bound: f64) -> f64 {
        match self {
            Self::Share { successes, n } => {
                binomial_at_least(*successes, *n, bound.clamp(0.0, 1.0))
            }
            Self::Drawn(drawn) => drawn.p_above(bound),
        }
    }

    fn p_below(&self, bound: f64) -> f64 {
        match self {
            Self::Share { successes, n } => binomial_at_most(*successes, *n, bound.clamp(0.0, 1.0)),
            Self::Drawn(drawn) => drawn.p_below(bound),
        }
    }
}
