//! What holds for any traffic and any requests.

use proptest::prelude::*;
use quoin_adapters::rollout::{
    Action, Arm, Input, Observation, Plan, Rollout, State, Transition, microseconds,
};

use crate::support::{plan, started};

fn observation() -> impl Strategy<Value = Observation> {
    (
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.002),
        any::<f64>(),
    )
        .prop_map(
            |(engine_error, schema_failure, quote_failure, abstained, access_violation, ms)| {
                Observation {
                    engine_error,
                    schema_failure,
                    quote_failure,
                    abstained,
                    access_violation,
                    latency_us: microseconds(ms).or(microseconds(ms.abs() % 1_000.0)),
                }
            },
        )
}

/// `assigned` units come on the arm that they belong to, like real ones; others anyhow.
#[derive(Debug, Clone)]
enum Event {
    Input(Input),
    Asked(u16, Observation),
}

fn person() -> (String, String) {
    ("ada".to_owned(), "because".to_owned())
}

fn event() -> impl Strategy<Value = Event> {
    let arm = prop_oneof![Just(Arm::Stable), Just(Arm::Canary)];
    let at_ms = prop_oneof![20 => 0..2_000_000_i64, 1 => any::<i64>()];
    let unit = (0..400_u16).prop_map(|unit| unit.to_string());
    let asked = (0..400_u16, observation()).prop_map(|(unit, seen)| Event::Asked(unit, seen));
    let outcome = (
        arm.clone(),
        unit.clone(),
        any::<bool>(),
        observation(),
        at_ms.clone(),
    )
        .prop_map(|(arm, unit, overridden, observed, at_ms)| {
            Event::Input(Input::Outcome {
                arm,
                unit,
                overridden,
                observed,
                at_ms,
            })
        });
    let feedback =
        (arm, unit, any::<bool>(), at_ms.clone()).prop_map(|(arm, unit, negative, at_ms)| {
            Event::Input(Input::Feedback {
                arm,
                unit,
                negative,
                at_ms,
            })
        });
    let pair = (observation(), observation(), at_ms.clone()).prop_map(|(stable, canary, at_ms)| {
        Event::Input(Input::Pair {
            stable,
            canary,
            at_ms,
        })
    });
    let request = (0..40_u8, at_ms).prop_map(|(which, at_ms)| {
        let (by, reason) = person();
        Event::Input(match which {
            0 => Input::Promote { by, reason, at_ms },
            1 => Input::Abort { by, reason, at_ms },
            2..10 => Input::Pause { by, reason, at_ms },
            10..25 => Input::Resume { by, reason, at_ms },
            _ => Input::Tick { at_ms },
        })
    });
    prop_oneof![12 => asked, 2 => outcome, 1 => feedback, 3 => pair, 1 => request]
}

fn small_plan() -> impl Strategy<Value = Plan> {
    (0..20_u32, 1..20_u32, 1..200_u32, 0..5_000_u64, 1..50_u32).prop_map(
        |(shadow_pairs, units_per_arm, extra, settle_ms, samples)| {
            let mut plan = Plan {
                shadow_pairs,
                units_per_arm,
                units_max: 10 * units_per_arm + extra,
                settle_ms,
                margin_basis_points: 9_000,
                step_time_limit_ms: 500_000,
                time_limit_ms: 1_500_000,
                baking_ms: 50_000,
                engine_errors_in_a_row: 20,
                ..plan()
            };
            plan.guardrails.latency.samples = samples;
            plan
        },
    )
}

fn take(rollout: &mut Rollout, event: &Event) -> Vec<Transition> {
    let input = match event {
        Event::Input(input) => input.clone(),
        Event::Asked(unit, observed) => {
            let unit = unit.to_string();
            Input::Outcome {
                arm: rollout.assign(&unit),
                unit,
                overridden: false,
                observed: *observed,
                at_ms: rollout.status(0).at_ms.saturating_add(100),
            }
        }
    };
    rollout.apply(&input).unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_same_inputs_give_the_same_rollout_also_when_it_was_stored_between(
        plan in small_plan(), events in prop::collection::vec(event(), 1..600), cut in any::<prop::sample::Index>()
    ) {
        let (mut kept, _) = started(plan);
        let mut stored = kept.clone();
        let cut = cut.index(events.len());
        for (position, event) in events.iter().enumerate() {
            if position == cut {
                let text = serde_json::to_string(&stored).unwrap();
                stored = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(&stored, &kept);
            }
            prop_assert_eq!(take(&mut kept, event), take(&mut stored, event));
        }
        prop_assert_eq!(serde_json::to_string(&kept).unwrap(), serde_json::to_string(&stored).unwrap());
    }

    #[test]
    fn inputs_read_back_are_the_inputs_that_were_written(event in event()) {
        if let Event::Input(input) = event {
            let text = serde_json::to_string(&input).unwrap();
            prop_assert_eq!(serde_json::from_str::<Input>(&text).unwrap(), input);
        }
    }

    #[test]
    fn a_final_state_is_never_left_and_no_share_is_given_while_nothing_is_live(
        plan in small_plan(), events in prop::collection::vec(event(), 1..600)
    ) {
        let (mut rollout, _) = started(plan);
        for event in &events {
            let before = rollout.clone();
            let transitions = take(&mut rollout, event);
            if before.state().is_final() {
                prop_assert!(transitions.is_empty());
                prop_assert_eq!(rollout.state(), before.state());
            }
            if matches!(rollout.state(), State::Paused { .. } | State::Aborted { .. } | State::Shadow) {
                prop_assert_eq!(rollout.weight(), 0);
                prop_assert_eq!(rollout.assign("anyone"), Arm::Stable);
            }
        }
    }

    #[test]
    fn transitions_are_a_path_from_state_to_state(
        plan in small_plan(), events in prop::collection::vec(event(), 1..600)
    ) {
        let (mut rollout, mut path) = started(plan);
        for event in &events {
            path.extend(take(&mut rollout, event));
        }
        let mut at = State::Draft;
        for step in &path {
            prop_assert_eq!(&step.from, &at);
            prop_assert!(step.to != at);
            at = step.to.clone();
            if let (State::Canary { step: from }, State::Canary { step: to }) = (&step.from, &step.to) {
                prop_assert_eq!(from + 1, *to);
            }
            if step.action == Action::Promote && step.actor == "quoin" {
                prop_assert_eq!(&step.from, &State::Baking);
            }
        }
        prop_assert_eq!(&at, rollout.state());
    }

    #[test]
    fn memory_stays_within_the_plan(
        plan in small_plan(), events in prop::collection::vec(event(), 1..600)
    ) {
        let most = u64::from(plan.units_max);
        let (mut rollout, _) = started(plan);
        for event in &events {
            take(&mut rollout, event);
            let arms = rollout.status(0).arms;
            prop_assert!(arms.stable.units + arms.canary.units <= most);
        }
    }

    #[test]
    fn every_status_is_finite_and_reads_back(
        plan in small_plan(), events in prop::collection::vec(event(), 1..200)
    ) {
        let (mut rollout, _) = started(plan);
        for event in &events {
            take(&mut rollout, event);
        }
        let status = rollout.status(i64::MAX);
        let text = serde_json::to_string(&status).unwrap();
        let read: quoin_adapters::rollout::Status = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read, status);
    }

    #[test]
    fn raising_the_share_moves_nobody_back(unit in ".{0,40}", steps in prop::collection::btree_set(1..10_000_u16, 1..8)) {
        let mut arms = Vec::new();
        for step in steps {
            let (rollout, _) = started(Plan { steps_basis_points: vec![step, 10_000], units_per_arm: 1, ..plan() });
            arms.push(rollout.assign(&unit));
        }
        prop_assert!(arms.is_sorted_by_key(|arm| *arm == Arm::Canary));
    }
}

/// Five standard deviations: one failure in 1.7 million, for fixed units that either always or never fail.
#[test]
fn shares_are_binomial() {
    for share in [1_u16, 10, 100, 500, 2_500, 5_000, 9_900] {
        let (rollout, _) = started(Plan {
            steps_basis_points: vec![share, 10_000],
            units_per_arm: 1,
            ..plan()
        });
        let units = 100_000_u32;
        let on_canary = (0..units)
            .filter(|unit| rollout.assign(&format!("subject-{unit}")) == Arm::Canary)
            .count();
        let on_canary = f64::from(u32::try_from(on_canary).unwrap());
        let p = f64::from(share) / 10_000.0;
        let expected = f64::from(units) * p;
        let deviation = (expected * (1.0 - p)).sqrt();
        assert!(
            (on_canary - expected).abs() < 5.0 * deviation,
            "{share} basis points: {on_canary} of {units}"
        );
    }
}
