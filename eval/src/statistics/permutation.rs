//! The paired sign-flip test: under no change, each unit's difference is as likely to have the other sign.

use serde::{Deserialize, Serialize};

use super::{Generator, RESAMPLES_MAX, Sample};
use crate::metrics::count;

/// Up to this many units that differ, all flips are counted.
const EXACT_UNITS_MAX: usize = 14;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PermutationTest {
    /// That the mean differs from 0.
    pub two_sided: f64,
    /// That it is below 0.
    pub falls: f64,
    /// That it is above 0.
    pub rises: f64,
    /// All flips were counted, or their distribution is known.
    pub exact: bool,
}

/// Flips the signs of whole units. Exact for few units that differ, and by the binomial where all differ by as much; else by
/// `flips` random ones with (b + 1) / (m + 1) (Phipson and Smyth 2010), which never is too small.
#[must_use]
pub fn sign_flip(sample: &Sample, flips: usize, generator: &mut Generator) -> PermutationTest {
    let sums: Vec<f64> = sample
        .units
        .iter()
        .map(|unit| unit.0)
        .filter(|sum| *sum != 0.0)
        .collect();
    let total: f64 = sums.iter().sum();
    let slack = 1e-9 * sums.iter().map(|sum| sum.abs()).sum::<f64>();
    let Some(first) = sums.first().map(|sum| sum.abs()) else {
        return PermutationTest {
            two_sided: 1.0,
            falls: 1.0,
            rises: 1.0,
            exact: true,
        };
    };
    if sums
        .iter()
        .all(|sum| (sum.abs() - first).abs() <= 1e-12 * first)
    {
        return binomial(&sums);
    }
    let mut tally = Tally {
        total,
        slack,
        ..Tally::default()
    };
    if sums.len() <= EXACT_UNITS_MAX {
        for signs in 0..1_u64 << sums.len() {
            tally.add(flipped(&sums, || signs));
        }
        return tally.test(true);
    }
    for _ in 0..flips.clamp(1, RESAMPLES_MAX) {
        tally.add(flipped(&sums, || generator.bits()));
    }
    tally.test(false)
}

/// The sum with each sign as the next bit says; new bits for every 64.
fn flipped(sums: &[f64], mut bits: impl FnMut() -> u64) -> f64 {
    let mut sum = 0.0;
    for chunk in sums.chunks(64) {
        let mut signs = bits();
        for value in chunk {
            // The bit goes where the sign is: no branch.
            sum += f64::from_bits(value.to_bits() ^ ((signs & 1) << 63));
            signs >>= 1;
        }
    }
    sum
}

fn binomial(sums: &[f64]) -> PermutationTest {
    let (n, rose) = (sums.len(), sums.iter().filter(|sum| **sum > 0.0).count());
    let falls = super::binomial_at_most(rose, n, 0.5);
    let rises = super::binomial_at_least(rose, n, 0.5);
    PermutationTest {
        two_sided: (2.0 * falls.min(rises)).min(1.0),
        falls,
        rises,
        exact: true,
    }
}

#[derive(Default)]
struct Tally {
    total: f64,
    slack: f64,
    flips: usize,
    low: usize,
    high: usize,
    far: usize,
}

impl Tally {
    fn add(&mut self, sum: f64) {
        self.flips += 1;
        self.low += usize::from(sum <= self.total + self.slack);
        self.high += usize::from(sum >= self.total - self.slack);
        self.far += usize::from(sum.abs() >= self.total.abs() - self.slack);
    }

    fn test(&self, exact: bool) -> PermutationTest {
        // Among all flips the one that was observed is counted already.
        let more = usize::from(!exact);
        let p = |extreme: usize| count(extreme + more) / count(self.flips + more);
        PermutationTest {
            two_sided: p(self.far),
            falls: p(self.low),
            rises: p(self.high),
            exact,
        }
    }
}
