//! Shares with Wilson's interval, and the exact test of `McNemar`.

use serde::{Deserialize, Serialize};

use crate::metrics::{count, ratio, rounded};
use crate::statistics::{binomial_at_most, wilson};

/// Of the intervals.
const LEVEL: f64 = 0.95;

/// `part` of `whole`, with Wilson's 95 % interval. Of nothing, the interval is from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    pub part: usize,
    pub whole: usize,
    pub share: f64,
    pub low: f64,
    pub high: f64,
}

impl Share {
    /// What is more than the whole counts as all of it.
    #[must_use]
    pub fn of(part: usize, whole: usize) -> Self {
        let part = part.min(whole);
        let interval = wilson(part, whole, LEVEL);
        Self {
            part,
            whole,
            share: rounded(ratio(count(part), count(whole))),
            low: rounded(interval.low),
            high: rounded(interval.high),
        }
    }
}

/// `McNemar`'s test, exact and two-sided: how probable so lopsided a split of the pairs that differ is when either side is
/// equally likely, from 0 to 1. 1 when no pair differs.
#[must_use]
pub fn mcnemar_exact(gained: usize, lost: usize) -> f64 {
    let fewer = gained.min(lost);
    (2.0 * binomial_at_most(fewer, gained + lost, 0.5)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_and_mcnemar_agree_with_published_values() {
        // Newcombe (1998), table I: 81 of 263 is 0.2553 to 0.3662; 0 of 20 is 0 to 0.1611.
        let share = Share::of(81, 263);
        assert!(
            (share.low - 0.2553).abs() < 5e-5 && (share.high - 0.3662).abs() < 5e-5,
            "{share:?}"
        );
        assert!((Share::of(0, 20).high - 0.1611).abs() < 5e-5);
        // Binomial tails: 2 · (1 + 10) / 2^10, and of no pair at all.
        assert!((mcnemar_exact(1, 9) - 22.0 / 1024.0).abs() < 1e-12);
        assert!(
            (mcnemar_exact(0, 0) - 1.0).abs() < 1e-12 && (mcnemar_exact(5, 5) - 1.0).abs() < 1e-12
        );
    }
}
