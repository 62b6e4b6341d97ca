//! Where a rate can lie, at every number of units at once.
//!
//! A confidence sequence from the beta-binomial mixture: with y events among n units, the interval is every p with
//! `p^y (1 − p)^(n − y) > α · B(y + ½, n − y + ½) / B(½, ½)`. The ratio `B(y + ½, n − y + ½) / B(½, ½) / (p^y (1 − p)^(n − y))`
//! is a martingale under p that starts at 1, so it ever reaches 1/α, and the true rate is ever outside, with a probability of at
//! most α (Robbins 1970; Lai, *On confidence sequences*, 1976; Howard et al., *Time-uniform, nonparametric, nonasymptotic confidence
//! sequences*, 2021). It holds at any n and has nothing to tune. The asymptotic sequence (Waudby-Smith et al., 2024) is about an
//! eighth narrower at 2,500 units, but promises something for many units only, and here 50 may have to do.

use serde::{Deserialize, Serialize};

/// Units with an event, of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    pub events: u64,
    pub units: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Ratio {
    pub fn mean(self) -> Option<f64> {
        (self.units > 0).then(|| real(self.events) / real(self.units))
    }

    /// The lower end of [`Ratio::interval`] alone.
    pub fn low(self, alpha: f64) -> f64 {
        limit(0.0, real(self.events), real(self.units), alpha)
    }

    /// The upper end of [`Ratio::interval`] alone.
    pub fn high(self, alpha: f64) -> f64 {
        limit(1.0, real(self.events), real(self.units), alpha)
    }

    /// The 1 − `alpha` confidence sequence, now.
    pub fn interval(self, alpha: f64) -> Interval {
        interval(real(self.events), real(self.units), alpha)
    }
}

/// The smallest difference that these numbers of units could have shown at this rate: the distance from the rate to the
/// canary's upper limit, and that to the stable release's lower limit.
pub(crate) fn smallest_effect(rate: f64, stable_units: u64, canary_units: u64, alpha: f64) -> f64 {
    let of = |outer: f64, units: u64| limit(outer, rate * real(units), real(units), alpha);
    of(1.0, canary_units) - of(0.0, stable_units)
}

fn interval(events: f64, units: f64, alpha: f64) -> Interval {
    Interval {
        low: limit(0.0, events, units, alpha),
        high: limit(1.0, events, units, alpha),
    }
}

/// The limit on the side of `outer`, which is 0 or 1.
fn limit(outer: f64, events: f64, units: f64, alpha: f64) -> f64 {
    if units <= 0.0 {
        return outer;
    }
    let (hits, misses) = (events, (units - events).max(0.0));
    let floor = alpha.ln() + ln_beta(hits + 0.5, misses + 0.5) - ln_beta(0.5, 0.5);
    let inside = |p: f64| times_ln(hits, p) + times_ln(misses, 1.0 - p) > floor;
    boundary(outer, events / units, inside)
}

/// Between `outer`, which is outside unless the interval ends there, and `inner`, which is inside.
fn boundary(mut outer: f64, mut inner: f64, inside: impl Fn(f64) -> bool) -> f64 {
    const HALVINGS: usize = 48;
    if inside(outer) {
        return outer;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(outer, inner);
        if inside(middle) {
            inner = middle;
        } else {
            outer = middle;
        }
    }
    outer
}

/// `count · ln p`, which is 0 for no count, whatever p is.
fn times_ln(count: f64, p: f64) -> f64 {
    if count > 0.0 { count * p.ln() } else { 0.0 }
}

fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// For x ≥ ½. Stirling's series (Abramowitz and Stegun 6.1.41), after moving x up until its error is below 1e-13.
fn ln_gamma(x: f64) -> f64 {
    const FROM: f64 = 12.0;
    let (mut x, mut product) = (x, 1.0);
    while x < FROM {
        product *= x;
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series = inverse
        * (1.0 / 12.0
            - square * (1.0 / 360.0 - square * (1.0 / 1_260.0 - square * (1.0 / 1_680.0))));
    let half_ln_tau = 0.5 * std::f64::consts::TAU.ln();
    (x - 0.5) * x.ln() - x + half_ln_tau + series - f64::ln(product)
}

/// Counts are far below 2^53, where they stop being exact.
pub(crate) fn real(count: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "nobody counts to 9,007,199,254,740,992"
    )]
    let number = count as f64;
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_gamma_is_that_of_factorials_and_of_a_half() {
        let mut ln_factorial = 0.0;
        for n in 1..100_u64 {
            assert!((ln_gamma(real(n)) - ln_factorial).abs() < 1e-10, "{n}");
            ln_factorial += real(n).ln();
        }
        let half = 0.5 * std::f64::consts::PI.ln();
        assert!((ln_gamma(0.5) - half).abs() < 1e-12);
    }

    #[test]
    fn nothing_seen_means_anything_is_possible() {
        let interval = Ratio::default().interval(0.05);
        assert!(interval.low <= 0.0 && interval.high >= 1.0);
    }

    #[test]
    fn the_interval_holds_the_mean_and_shrinks() {
        let mut width = 1.0;
        for units in [50, 500, 5_000] {
            let ratio = Ratio {
                events: units / 50,
                units,
            };
            let interval = ratio.interval(0.025);
            let mean = ratio.mean().unwrap();
            assert!(interval.low < mean && mean < interval.high, "{interval:?}");
            assert!(interval.high - interval.low < width);
            width = interval.high - interval.low;
        }
    }

    #[test]
    fn no_event_in_fifty_units_leaves_twelve_percent_possible() {
        let ratio = Ratio {
            events: 0,
            units: 50,
        };
        let interval = ratio.interval(0.025);
        assert!(interval.low <= 0.0);
        assert!((interval.high - 0.118).abs() < 0.002, "{interval:?}");
    }

    #[test]
    fn two_thousand_units_an_arm_at_two_percent_show_about_two_and_a_half_points() {
        let effect = smallest_effect(0.02, 2_000, 2_000, 0.025);
        assert!((0.02..0.03).contains(&effect), "{effect}");
    }
}
