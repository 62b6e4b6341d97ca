//! Shares of questions: Wilson's interval, exact binomial tails, and Tango's score interval for the difference of paired shares.

use statrs::function::beta::beta_reg;

use super::{Interval, Sample, normal_cdf, normal_quantile};
use crate::metrics::count;

/// Wilson's interval (1927) for `successes` of `n`; from 0 to 1 when `n` is 0.
#[must_use]
pub fn wilson(successes: usize, n: usize, level: f64) -> Interval {
    if n == 0 {
        return Interval {
            low: 0.0,
            high: 1.0,
            level,
        };
    }
    let z = normal_quantile(f64::midpoint(1.0, level));
    let (n, share) = (count(n), count(successes.min(n)) / count(n));
    let scale = 1.0 + z * z / n;
    let centre = (share + z * z / (2.0 * n)) / scale;
    let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt() / scale;
    Interval {
        low: (centre - half).max(0.0),
        high: (centre + half).min(1.0),
        level,
    }
}

/// The chance of at least `successes` of `n` at the given share.
#[must_use]
pub fn binomial_at_least(successes: usize, n: usize, share: f64) -> f64 {
    if successes == 0 {
        return 1.0;
    }
    if successes > n || share <= 0.0 {
        return 0.0;
    }
    if share >= 1.0 {
        return 1.0;
    }
    beta_reg(count(successes), count(n - successes) + 1.0, share)
}

/// The chance of at most `successes` of `n` at the given share.
#[must_use]
pub fn binomial_at_most(successes: usize, n: usize, share: f64) -> f64 {
    binomial_at_least(n.saturating_sub(successes), n, 1.0 - share)
}

/// How often a unit rose by 1, fell by 1, and how many units there are.
#[derive(Debug, Clone, Copy)]
struct Discordant {
    rose: f64,
    fell: f64,
    n: f64,
}

impl Discordant {
    fn of(sample: &Sample) -> Self {
        let number = |sign: f64| {
            count(
                sample
                    .units
                    .iter()
                    .filter(|(sum, _)| sum * sign > 0.0)
                    .count(),
            )
        };
        Self {
            rose: number(1.0),
            fell: number(-1.0),
            n: count(sample.units.len()),
        }
    }

    /// Tango's score statistic against a true difference: (b − c − nδ) / √(n(2q̃ + δ(1 − δ))), where q̃ is the share of falls that is
    /// most likely under δ (Tango, Statistics in Medicine 17, 1998, equations 6 to 8; written for |δ| by symmetry).
    fn statistic(self, delta: f64) -> f64 {
        let (rose, fell, sign) = if delta < 0.0 {
            (self.fell, self.rose, -1.0)
        } else {
            (self.rose, self.fell, 1.0)
        };
        let delta = delta.abs();
        let a = 2.0 * self.n;
        let b = -rose - fell + (2.0 * self.n - rose + fell) * delta;
        let c = -fell * delta * (1.0 - delta);
        let falls = (((b * b - 4.0 * a * c).max(0.0)).sqrt() - b) / (2.0 * a);
        let variance = self.n * (2.0 * falls + delta * (1.0 - delta));
        let distance = rose - fell - self.n * delta;
        if distance.abs() < 1e-12 {
            return 0.0;
        }
        sign * distance / variance.max(1e-300).sqrt()
    }
}

/// The interval of all differences that the score test does not reject. Only the sign of a unit's difference counts: it is for
/// differences of 0/1 metrics. An interval for a sample in which nothing changed is ± z² / (n + z²), not nothing.
#[must_use]
pub fn score_interval(sample: &Sample, level: f64) -> Interval {
    let table = Discordant::of(sample);
    if table.n < 1.0 {
        return Interval {
            low: -1.0,
            high: 1.0,
            level,
        };
    }
    let z = normal_quantile(f64::midpoint(1.0, level));
    let estimate = (table.rose - table.fell) / table.n;
    let bound = |end: f64| {
        let (mut inside, mut outside) = (estimate, end);
        for _ in 0..60 {
            let middle = f64::midpoint(inside, outside);
            if table.statistic(middle).abs() <= z {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        f64::midpoint(inside, outside)
    };
    Interval {
        low: bound(-1.0),
        high: bound(1.0),
        level,
    }
}

/// P-value of the score test that the true difference is at most `bound`, against more than it.
#[must_use]
pub fn score_test(sample: &Sample, bound: f64) -> f64 {
    if sample.is_empty() {
        return 1.0;
    }
    1.0 - normal_cdf(Discordant::of(sample).statistic(bound.clamp(-1.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trinary(rose: usize, fell: usize, n: usize) -> Sample {
        let values = (0..n).map(|index| match index {
            index if index < rose => 1.0,
            index if index < rose + fell => -1.0,
            _ => 0.0,
        });
        Sample::new(values.map(|value| (None, value)))
    }

    /// 1 success of 10, by hand.
    #[test]
    fn the_interval_of_wilson_is_that_of_its_formula() {
        let interval = wilson(1, 10, 0.95);
        assert!((interval.low - 0.017_876).abs() < 1e-5, "{interval:?}");
        assert!((interval.high - 0.404_150).abs() < 1e-5, "{interval:?}");
    }

    /// The likelihood of b rises and c falls under a difference δ is (q + δ)^b q^c (1 − 2q − δ)^(n − b − c): the statistic must use
    /// its greatest q, found here on a grid.
    #[test]
    fn the_score_statistic_uses_the_most_likely_share_of_falls() {
        for (rose, fell, n, delta) in [
            (5_u8, 2_u8, 40_u8, 0.1),
            (1, 0, 44, 0.05),
            (3, 9, 50, -0.2),
            (4, 4, 30, -0.02),
        ] {
            let (b, c, n) = (f64::from(rose), f64::from(fell), f64::from(n));
            let term = |power: f64, base: f64| if power == 0.0 { 0.0 } else { power * base.ln() };
            let likelihood =
                |q: f64| term(b, q + delta) + term(c, q) + term(n - b - c, 1.0 - 2.0 * q - delta);
            let best = (0..=1_000_000)
                .map(|step| f64::from(step) / 1_000_000.0)
                .filter(|q| *q >= 0.0_f64.max(-delta) && 2.0 * q + delta <= 1.0)
                .max_by(|left, right| likelihood(*left).total_cmp(&likelihood(*right)))
                .unwrap();
            let expected = (b - c - n * delta) / (n * (2.0 * best + delta - delta * delta)).sqrt();
            let found = Discordant {
                rose: b,
                fell: c,
                n,
            }
            .statistic(delta);
            assert!(
                (found - expected).abs() < 1e-3,
                "{rose} {fell} {delta}: {found} {expected}"
            );
        }
    }

    #[test]
    fn an_interval_of_no_change_has_the_width_that_the_formula_says() {
        let interval = score_interval(&trinary(0, 0, 50), 0.95);
        let z = normal_quantile(0.975);
        let half = z * z / (50.0 + z * z);
        assert!((interval.low + half).abs() < 1e-9 && (interval.high - half).abs() < 1e-9);
    }

    #[test]
    fn exact_tails_are_sums_of_the_binomial() {
        assert!((binomial_at_least(2, 3, 0.5) - 0.5).abs() < 1e-12);
        assert!((binomial_at_most(0, 59, 0.05) - 0.95_f64.powi(59)).abs() < 1e-12);
        assert!((binomial_at_most(3, 3, 0.2) - 1.0).abs() < 1e-12);
    }
}
