//! What paired differences prove: intervals, tests, the smallest effect that would have been seen.
//!
//! The unit is the cluster where clusters are given, and the question otherwise. Every random number comes from a seed.

mod distributions;
mod permutation;
mod resample;
mod shares;

pub use distributions::{normal_cdf, normal_quantile, student_cdf, student_quantile};
pub use permutation::{PermutationTest, sign_flip};
pub use resample::{Bootstrap, Method};
pub use shares::{binomial_at_least, binomial_at_most, score_interval, score_test, wilson};

use std::collections::BTreeMap;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::metrics::count;

/// Resamples of a bootstrap and sign flips of a test, where nothing else is said.
pub const RESAMPLES: usize = 10_000;
/// More are not drawn.
pub const RESAMPLES_MAX: usize = 100_000;

/// From `low` to `high`, at `level` (0.95 for 95 %).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
    pub level: f64,
}

/// Values (or differences) of questions, summed up by unit. A mean is Σ sum / Σ size over the units.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// By unit: the sum of its questions' values, and how many there are.
    units: Vec<(f64, f64)>,
    clustered: bool,
    n: usize,
    /// All values lie from -1 to 1.
    is_bounded: bool,
    /// All values are -1, 0 or 1, and every unit is one question.
    is_trinary: bool,
}

impl Sample {
    /// Pairs of cluster and value; a value without a cluster is a unit of its own. Values must be finite.
    #[must_use]
    pub fn new<'a>(values: impl IntoIterator<Item = (Option<&'a str>, f64)>) -> Self {
        let mut clusters: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        let mut units = Vec::new();
        let (mut n, mut is_bounded, mut is_trinary) = (0, true, true);
        for (cluster, value) in values {
            n += 1;
            is_bounded &= value.abs() <= 1.0;
            is_trinary &= value == 0.0 || value.abs().total_cmp(&1.0).is_eq();
            if let Some(cluster) = cluster {
                let unit = clusters.entry(cluster).or_default();
                unit.0 += value;
                unit.1 += 1.0;
            } else {
                units.push((value, 1.0));
            }
        }
        let clustered = clusters.values().any(|unit| unit.1 > 1.0);
        units.extend(clusters.into_values());
        Self {
            units,
            clustered,
            n,
            is_bounded,
            is_trinary: is_trinary && !clustered,
        }
    }

    /// The same with every value moved by `shift`.
    #[must_use]
    pub fn shifted(&self, shift: f64) -> Self {
        Self {
            units: self
                .units
                .iter()
                .map(|(sum, size)| (sum + shift * size, *size))
                .collect(),
            is_bounded: false,
            is_trinary: false,
            ..*self
        }
    }

    /// The same with every value multiplied by 1 or -1.
    #[must_use]
    pub fn times(&self, sign: f64) -> Self {
        Self {
            units: self
                .units
                .iter()
                .map(|(sum, size)| (sum * sign, *size))
                .collect(),
            ..*self
        }
    }

    /// How many questions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// How many units: clusters, and questions without one.
    #[must_use]
    pub fn units(&self) -> usize {
        self.units.len()
    }

    /// Some unit holds more than one question.
    #[must_use]
    pub fn is_clustered(&self) -> bool {
        self.clustered
    }

    #[must_use]
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.units.iter().map(|unit| unit.0).sum();
        crate::metrics::ratio(sum, count(self.n))
    }

    /// The standard error of the mean as a ratio of sums over units, linearised: √(G/(G−1) Σ(sᵢ − mᵢ·x̄)²) / Σm (Cochran,
    /// Sampling Techniques, 1977, ch. 6 and 9). None for fewer than two units.
    #[must_use]
    pub fn standard_error(&self) -> Option<f64> {
        let units = count(self.units.len());
        if self.units.len() < 2 {
            return None;
        }
        let mean = self.mean();
        let squares: f64 = self
            .units
            .iter()
            .map(|(sum, size)| (sum - size * mean).powi(2))
            .sum();
        Some((squares * units / (units - 1.0)).sqrt() / count(self.n))
    }

    /// Degrees of freedom of the estimated variance, by Satterthwaite (1946): 2·G / (kurtosis − 1), as the variance of s² is
    /// σ⁴·(kurtosis − 1) / G; from 1 to G − 1. It is G for normal values, and little more than twice the number of units that
    /// changed where most did not.
    #[must_use]
    pub fn freedom(&self) -> f64 {
        let units = count(self.units.len());
        let mean = self.mean();
        let (mut second, mut fourth) = (0.0, 0.0);
        for (sum, size) in &self.units {
            let square = (sum - size * mean).powi(2);
            second += square;
            fourth += square * square;
        }
        let kurtosis = units * fourth / (second * second);
        let most = (units - 1.0).max(1.0);
        if kurtosis.is_finite() && kurtosis > 1.0 {
            (2.0 * units / (kurtosis - 1.0)).clamp(1.0, most)
        } else {
            most
        }
    }

    /// Of the units' residuals: Σr³/G over (Σr²/G)^1.5; 0 where nothing varies.
    #[must_use]
    pub fn skewness(&self) -> f64 {
        let (units, mean) = (count(self.units.len()), self.mean());
        let (mut second, mut third) = (0.0, 0.0);
        for (sum, size) in &self.units {
            let residual = sum - size * mean;
            second += residual.powi(2) / units;
            third += residual.powi(3) / units;
        }
        let skewness = third / second.powf(1.5);
        if skewness.is_finite() { skewness } else { 0.0 }
    }

    /// Every question stands alone and its value is -1, 0 or 1.
    #[must_use]
    pub fn is_trinary(&self) -> bool {
        self.is_trinary
    }

    fn is_constant(&self) -> bool {
        let mean = self.mean();
        self.units
            .iter()
            .all(|(sum, size)| (sum - size * mean).abs() <= 1e-12 * (1.0 + sum.abs()))
    }
}

/// The smallest true effect that a two-sided test at `alpha` would find with the given power:
/// (`t_{1 − alpha/2}` + `t_power`)·standard error, with the degrees of freedom of [`Sample::freedom`]. None where nothing varied.
#[must_use]
pub fn smallest_detectable_effect(sample: &Sample, alpha: f64, power: f64) -> Option<f64> {
    let error = sample.standard_error().filter(|error| *error > 1e-15)?;
    let freedom = sample.freedom();
    Some((student_quantile(1.0 - alpha / 2.0, freedom) + student_quantile(power, freedom)) * error)
}

/// Holm's step-down correction (1979): adjusted p-values in the order given. Rejecting those of at most alpha keeps the chance of
/// any false rejection at alpha, whatever the dependence.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|left, right| p_values[*left].total_cmp(&p_values[*right]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        least = least
            .max(p_values[index] * count(p_values.len() - rank))
            .min(1.0);
        adjusted[index] = least;
    }
    adjusted
}

/// A seeded generator: the same seed gives the same numbers on every machine.
#[derive(Debug, Clone)]
pub struct Generator(Pcg64Mcg);

impl Generator {
    /// A stream of its own for each name, so that a metric's numbers do not depend on which others there are.
    #[must_use]
    pub fn named(seed: u64, name: &str) -> Self {
        let digest = Sha256::new_with_prefix(seed.to_le_bytes())
            .chain_update(name)
            .finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(Pcg64Mcg::from_seed(bytes))
    }

    /// From 0 to below `bound`, which must be below 2³²; its bias is below bound / 2⁶⁴.
    pub fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.0.next_u64()) * bound as u128;
        usize::try_from(wide >> 64).unwrap_or_default()
    }

    /// From 0 to below 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub fn share(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }
}
