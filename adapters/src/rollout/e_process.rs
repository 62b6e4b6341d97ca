//! Evidence that may be looked at after every event.
//!
//! Under the null hypothesis an event falls on the canary with its share of the traffic, w. For a ratio r of rates the factor
//! `r^y / (w r + 1 − w)`, y = 1 on the canary, then has the expectation 1, and so has a product of such factors and any mean of
//! products over ratios that were chosen beforehand:
//!
//! `E = Σ_j π_j ∏_i r_j^{y_i} / (w_i r_j + 1 − w_i)`
//!
//! By Ville's inequality E ever reaches K/α with a probability of at most α/K, however often one looks (Ville 1939; Robbins,
//! *Statistical methods related to the law of the iterated logarithm*, 1970; Ramdas et al., *Game-theoretic statistics and safe
//! anytime-valid inference*, 2023). The products depend on the number of events at each share only, so that is all that is kept:
//! whole numbers, which are the same after they were stored.
//!
//! The factor needs the event to be independent of where it could have fallen. A unit keeps its arm, and some units have events
//! again and again: counted in every step, one such unit's luck would count several times, and E would not be bounded. So a unit
//! counts once for each event in the whole rollout, at the share of that moment.

use serde::{Deserialize, Serialize};

use super::interval::{Ratio, real};

/// How much more frequent an event could be on the canary; all of them weigh the same.
pub(crate) const RATIOS: [f64; 5] = [1.5, 2.0, 3.0, 5.0, 10.0];
/// For the split of the traffic, which can be wrong both ways.
pub(crate) const SPLIT_RATIOS: [f64; 4] = [0.5, 0.8, 1.25, 2.0];

/// Events, or units, while the canary had one share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fallen {
    pub all: u64,
    pub on_canary: u64,
}

/// ln of the product of the factors for the ratio `r` at the share `w`, which is neither 0 nor 1.
pub(crate) fn ln_product(r: f64, w: f64, fallen: Fallen) -> f64 {
    real(fallen.on_canary) * r.ln() - real(fallen.all) * (w * r + 1.0 - w).ln()
}

/// ln of the likelihood ratio of a rate r times the `bound` against the bound, for a canary that has all of the traffic: there is
/// nothing beside it to compare with, only what the stable release had before. A supermartingale for every rate up to the bound.
pub(crate) fn ln_product_alone(r: f64, bound: f64, seen: Ratio) -> f64 {
    let rate = (r * bound).min(f64::midpoint(1.0, bound));
    real(seen.events) * (rate / bound).ln()
        + real(seen.units - seen.events.min(seen.units)) * ((1.0 - rate) / (1.0 - bound)).ln()
}

/// The mean of products that are given by their ln.
pub(crate) fn mean(ln_products: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = real(ln_products.len() as u64);
    ln_products.map(f64::exp).sum::<f64>() / count
}

/// One e-value of the evidence since the start, and of that since each later step, which was chosen beforehand and stands at 1
/// until its step begins. A canary that was fine for long, and becomes worse under a larger share, is found without first making
/// up for what spoke for it.
pub(crate) fn from_starts(first: f64, later: impl ExactSizeIterator<Item = f64>) -> f64 {
    const OF_LATER: f64 = 0.25;
    if later.len() == 0 {
        return first;
    }
    let count = real(later.len() as u64);
    (1.0 - OF_LATER) * first + OF_LATER * later.sum::<f64>() / count
}

/// The evidence against the split in one step: units that came once each, at the share `w`.
pub(crate) fn split(w: f64, units: Fallen) -> f64 {
    mean(SPLIT_RATIOS.iter().map(|r| ln_product(*r, w, units)))
}

/// One e-value of several: the first step weighs 1/2, the next 1/6, then 1/(i (i + 1)), so that no step that a rollout will have
/// needs to be known beforehand; what is to come counts as 1.
pub(crate) fn weighted(steps: impl Iterator<Item = f64>) -> f64 {
    let mut sum = 0.0;
    let mut left = 1.0;
    let mut position = 1.0;
    for e_value in steps {
        let weight = 1.0 / (position * (position + 1.0));
        sum += weight * e_value;
        left -= weight;
        position += 1.0;
    }
    sum + left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn e_value(w: f64, fallen: Fallen) -> f64 {
        mean(RATIOS.iter().map(|r| ln_product(*r, w, fallen)))
    }

    fn binomial(n: u64, k: u64, p: f64) -> f64 {
        let ways = (0..k).fold(1.0, |ways, i| ways * real(n - i) / real(i + 1));
        ways * p.powf(real(k)) * (1.0 - p).powf(real(n - k))
    }

    #[test]
    fn the_expectation_is_one_when_events_fall_by_the_share() {
        for w in [0.01, 0.1, 0.5, 0.9] {
            let expected: f64 = (0..=30)
                .map(|on_canary| {
                    binomial(30, on_canary, w) * e_value(w, Fallen { all: 30, on_canary })
                })
                .sum();
            assert!((expected - 1.0).abs() < 1e-9, "{w}: {expected}");
        }
    }

    #[test]
    fn the_expectation_against_a_bound_is_one_at_it_and_less_below() {
        for (p, at_most) in [(0.1, 1.0 + 1e-9), (0.05, 0.9)] {
            let expected: f64 = (0..=40)
                .map(|events| {
                    let seen = Ratio { events, units: 40 };
                    let e = mean(RATIOS.iter().map(|r| ln_product_alone(*r, 0.1, seen)));
                    binomial(40, events, p) * e
                })
                .sum();
            assert!(expected <= at_most, "{p}: {expected}");
        }
    }

    #[test]
    fn ten_events_of_ten_on_a_tenth_of_the_traffic_are_overwhelming_and_none_is_nothing() {
        let all = Fallen {
            all: 10,
            on_canary: 10,
        };
        assert!(e_value(0.1, all) > 1e6);
        let none = Fallen::default();
        assert!((e_value(0.1, none) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_split_that_is_wrong_either_way_is_evidence() {
        for on_canary in [20, 80] {
            let units = Fallen {
                all: 100,
                on_canary,
            };
            assert!(split(0.5, units) > 1_000.0, "{on_canary}");
        }
        let even = Fallen {
            all: 100,
            on_canary: 50,
        };
        assert!(split(0.5, even) < 1.0);
    }

    #[test]
    fn a_late_start_makes_up_for_nothing() {
        let e = from_starts(1e-9, [1e-9, 800.0].into_iter());
        assert!((e - 100.0).abs() < 1e-6);
        assert!((from_starts(1.0, [1.0].into_iter()) - 1.0).abs() < 1e-12);
        assert!((from_starts(7.0, std::iter::empty()) - 7.0).abs() < 1e-12);
    }

    #[test]
    fn steps_that_have_shown_nothing_weigh_one_together() {
        assert!((weighted([1.0, 1.0, 1.0].into_iter()) - 1.0).abs() < 1e-12);
        assert!((weighted(std::iter::empty()) - 1.0).abs() < 1e-12);
        assert!((weighted([1.0, 7.0].into_iter()) - 2.0).abs() < 1e-12);
    }
}
