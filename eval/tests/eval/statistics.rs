//! Statistics on samples whose answer is known, and a short version of the simulation.

use proptest::prelude::*;
use quoin_eval::statistics::{
    Bootstrap, Generator, Method, Sample, holm, sign_flip, smallest_detectable_effect,
    student_quantile,
};

use crate::study::{AtStake, Groups, Scenario, coverage, gate_cases, gate_shares};

fn alone(values: &[f64]) -> Sample {
    Sample::new(values.iter().map(|value| (None, *value)))
}

/// By hand: the 8 sums of ±1 ±2 ±3 are -6, -4, -2, 0, 0, 2, 4, 6.
#[test]
fn few_differences_are_flipped_in_all_ways() {
    let test = sign_flip(&alone(&[1.0, -2.0, 3.0]), 10, &mut Generator::named(0, ""));
    assert!(test.exact);
    assert!(
        (test.two_sided - 1.0).abs() > 0.0 && (test.rises - 3.0 / 8.0).abs() < 1e-12,
        "{test:?}"
    );
    let all = sign_flip(&alone(&[1.0, 2.0, 3.0]), 10, &mut Generator::named(0, ""));
    assert!(
        (all.two_sided - 0.25).abs() < 1e-12 && (all.rises - 0.125).abs() < 1e-12,
        "{all:?}"
    );
}

#[test]
fn random_flips_agree_with_the_exact_test() {
    let values: Vec<f64> = (1..=14_u8)
        .map(|value| f64::from(value) * if value % 3 == 0 { -1.0 } else { 1.0 })
        .collect();
    let exact = sign_flip(&alone(&values), 1, &mut Generator::named(0, ""));
    // Two more that hardly count make it too many for all flips.
    let more: Vec<f64> = values.iter().copied().chain([1e-6, -1e-6]).collect();
    let random = sign_flip(&alone(&more), 100_000, &mut Generator::named(0, ""));
    assert!(exact.exact && !random.exact);
    assert!(
        (exact.two_sided - random.two_sided).abs() < 0.006,
        "{exact:?} {random:?}"
    );
}

#[test]
fn the_questions_of_a_cluster_count_as_one() {
    let values = [0.5, 0.25, -0.125, 0.75, 0.5, 0.1, 0.3, -0.2];
    let once = alone(&values);
    let names: Vec<String> = (0..values.len()).map(|index| index.to_string()).collect();
    let thrice = Sample::new(
        values
            .iter()
            .zip(&names)
            .flat_map(|(value, name)| std::iter::repeat_n((Some(name.as_str()), *value), 3)),
    );
    assert!((once.mean() - thrice.mean()).abs() < 1e-12);
    assert!((once.standard_error().unwrap() - thrice.standard_error().unwrap()).abs() < 1e-12);
    let p = |sample: &Sample| sign_flip(sample, 10, &mut Generator::named(0, "")).two_sided;
    assert!((p(&once) - p(&thrice)).abs() < 1e-12);
}

/// Holm's own procedure on four p-values, by hand.
#[test]
fn holm_steps_down() {
    let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
    for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
        assert!((found - expected).abs() < 1e-12, "{adjusted:?}");
    }
}

/// Standard deviation 1 with 101 values: (1.984 + 0.845) / √101.
#[test]
fn the_smallest_detectable_effect_is_that_of_the_formula() {
    let values: Vec<f64> = (0..100)
        .map(|index| if index % 2 == 0 { 1.0 } else { -1.0 })
        .collect();
    let found = smallest_detectable_effect(&alone(&values), 0.05, 0.8).unwrap();
    let expected = (1.984_216_95 + 0.845_292) * (100.0_f64 / 99.0).sqrt() / 10.0;
    assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    assert_eq!(
        smallest_detectable_effect(&alone(&[0.5; 9]), 0.05, 0.8),
        None
    );
}

#[test]
fn intervals_hold_the_truth_about_as_often_as_they_say() {
    for scenario in Scenario::all().iter().filter(|scenario| scenario.told) {
        let found = coverage(scenario, 200, 400)[0];
        // 4 standard errors of 400 runs below 95 %.
        assert!(found >= 90.6, "{}: {found} %", scenario.name);
    }
    let blind = Scenario::all()
        .into_iter()
        .find(|scenario| !scenario.told)
        .unwrap();
    assert!(
        coverage(&blind, 200, 400)[0] < 85.0,
        "clusters that are not told must show"
    );
}

#[test]
fn gates_err_no_more_often_than_alpha() {
    for case in gate_cases() {
        // Of 80 clusters: with fewer, a gate that passes is wrong more often than alpha, as `examples/statistics` shows.
        let n = match case.candidate.groups {
            Groups::None => 100,
            _ => *case.sizes().last().unwrap(),
        };
        let [pass, fail, _] = gate_shares(&case, n, 150);
        // 4 standard errors of 150 runs above 5 %.
        match case.at_stake {
            AtStake::FalseFail => assert!(
                fail <= 12.1,
                "{} {}: {fail} % fail",
                case.name,
                case.candidate.name
            ),
            AtStake::FalsePass => assert!(
                pass <= 12.1,
                "{} {}: {pass} % pass",
                case.name,
                case.candidate.name
            ),
            AtStake::Power => assert!(
                fail > 10.0,
                "{} {}: {fail} % fail",
                case.name,
                case.candidate.name
            ),
        }
    }
}

/// Nine in ten stay, the others fall by 1/2 or 1: percentiles alone lie too near the mean on the side of no change.
#[test]
fn few_great_falls_make_a_bound_wider_than_percentiles_and_a_p_value_that_agrees() {
    let values: Vec<f64> = (0..200)
        .map(|index| match index % 20 {
            0 => -1.0,
            1 => -0.5,
            _ => 0.0,
        })
        .collect();
    let sample = alone(&values);
    let skewness = {
        let (mean, n) = (-0.075_f64, 20.0);
        let moment = |power| {
            (18.0 * (-mean).powi(power) + (-1.0 - mean).powi(power) + (-0.5 - mean).powi(power)) / n
        };
        moment(3) / moment(2).powf(1.5)
    };
    assert!((sample.skewness() - skewness).abs() < 1e-9);
    let drawn = Bootstrap::draw(&sample, 20_000, &mut Generator::named(0, "falls"));
    let interval = drawn.interval(Method::Expanded, 0.9);
    assert!(interval.low < drawn.interval(Method::Percentile, 0.9).low);
    let (above, below) = (drawn.p_above(interval.low), drawn.p_below(interval.high));
    assert!((above - 0.05).abs() < 1e-6, "{above}");
    // The means of draws lie 1/400 apart: the one at the upper end counts as beyond it.
    assert!((0.049..0.06).contains(&below), "{below}");
    // The lower end is that of Hall's test, by its formula turned round.
    let error = sample.standard_error().unwrap();
    let t = (sample.mean() - interval.low) / error;
    let a = skewness / (3.0 * 200.0_f64.sqrt());
    let hall = t + a * t * t + a * a * t.powi(3) / 3.0 + a / 2.0;
    let quantile = student_quantile(0.95, sample.freedom());
    assert!((hall - quantile).abs() < 1e-6, "{hall} {quantile}");
}

proptest! {
    #[test]
    fn an_interval_holds_its_mean_and_is_the_same_for_the_same_seed(
        values in proptest::collection::vec(-1.0_f64..1.0, 2..40), seed in any::<u64>(),
    ) {
        let sample = alone(&values);
        let draw = || Bootstrap::draw(&sample, 500, &mut Generator::named(seed, "m")).interval(Method::Expanded, 0.95);
        let interval = draw();
        prop_assert_eq!(interval, draw());
        prop_assert!(interval.low <= sample.mean() && sample.mean() <= interval.high);
    }

    #[test]
    fn corrected_p_values_are_never_smaller_and_keep_their_order(p_values in proptest::collection::vec(0.0_f64..1.0, 1..20)) {
        let adjusted = holm(&p_values);
        for (left, before) in p_values.iter().enumerate() {
            prop_assert!(adjusted[left] >= *before && adjusted[left] <= 1.0);
            for (right, other) in p_values.iter().enumerate() {
                prop_assert!(before > other || adjusted[left] <= adjusted[right]);
            }
        }
    }

    /// Turning all signs swaps the two one-sided tests.
    #[test]
    fn the_test_of_falls_is_the_test_of_rises_turned_round(values in proptest::collection::vec(-1.0_f64..1.0, 1..12)) {
        let sample = alone(&values);
        let straight = sign_flip(&sample, 100, &mut Generator::named(0, ""));
        let turned = sign_flip(&sample.times(-1.0), 100, &mut Generator::named(0, ""));
        prop_assert!((straight.falls - turned.rises).abs() < 1e-12 && (straight.two_sided - turned.two_sided).abs() < 1e-12);
    }
}
