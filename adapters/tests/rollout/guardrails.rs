//! What aborts a rollout, and what must not.

use quoin_adapters::rollout::{Arm, Guardrail, Input, Observation, Plan, State, Status};

use crate::support::{
    ABSTAINED, ENGINE_ERROR, FINE, LEAKED, Traffic, pause, plan, promote, resume,
};

fn e_value(status: &Status, guardrail: Guardrail) -> f64 {
    status
        .guardrails
        .iter()
        .find(|status| status.guardrail == guardrail)
        .unwrap()
        .e_value
}

#[test]
fn each_event_that_is_more_frequent_on_the_canary_aborts_it_by_its_name() {
    let slow = Observation {
        latency_us: Some(2_000),
        ..FINE
    };
    let cases = [
        (
            "schema_failure",
            Observation {
                schema_failure: true,
                ..FINE
            },
        ),
        (
            "quote_failure",
            Observation {
                quote_failure: true,
                ..FINE
            },
        ),
        ("abstention", ABSTAINED),
        ("engine_error", ENGINE_ERROR),
        ("latency", slow),
    ];
    for (name, bad) in cases {
        let mut traffic = Traffic::of(Plan {
            units_per_arm: 1_000,
            ..plan()
        });
        // The latency limit comes first.
        traffic.ask(300, |_, _| FINE);
        traffic.ask(5_000, |arm, number| {
            if arm == Arm::Canary && number % 2 == 0 {
                bad
            } else {
                FINE
            }
        });
        assert_eq!(
            traffic.rollout.state().to_string(),
            format!("aborted (guardrail {name})")
        );
        let last = traffic.transitions.last().unwrap();
        assert!(last.evidence["guardrails"].as_array().unwrap().len() == 7);
        assert!(last.reason.contains("limit 140"), "{}", last.reason);
    }
}

#[test]
fn events_that_are_as_frequent_on_both_do_not() {
    let mut traffic = Traffic::of(plan());
    for _ in 0..3 {
        traffic.ask(
            20_000,
            |_, number| {
                if number % 11 == 0 { ABSTAINED } else { FINE }
            },
        );
    }
    assert_eq!(*traffic.rollout.state(), State::Baking);
}

#[test]
fn five_engine_errors_in_a_row_stop_it_and_one_good_answer_between_does_not_count_as_a_row() {
    let mut traffic = Traffic::of(plan());
    for _ in 0..4 {
        traffic.outcome(Arm::Canary, "one", ENGINE_ERROR);
    }
    traffic.outcome(Arm::Canary, "one", FINE);
    for _ in 0..4 {
        traffic.outcome(Arm::Canary, "one", ENGINE_ERROR);
        traffic.outcome(Arm::Stable, "two", FINE);
    }
    assert!(traffic.rollout.state().is_live());
    traffic.outcome(Arm::Canary, "one", ENGINE_ERROR);
    assert_eq!(
        traffic.rollout.state().to_string(),
        "aborted (engine errors in a row)"
    );
}

#[test]
fn one_access_violation_of_the_canary_stops_it_wherever_it_is() {
    let mut traffic = Traffic::of(Plan {
        shadow_pairs: 5,
        ..plan()
    });
    traffic.apply(&Input::Pair {
        stable: FINE,
        canary: LEAKED,
        at_ms: 1,
    });
    assert_eq!(
        traffic.rollout.state().to_string(),
        "aborted (access violation)"
    );

    let mut traffic = Traffic::of(plan());
    traffic.apply(&pause(1));
    traffic.outcome(Arm::Canary, "late", LEAKED);
    assert_eq!(
        traffic.rollout.state().to_string(),
        "aborted (access violation)"
    );

    let mut traffic = Traffic::of(plan());
    traffic.outcome(Arm::Stable, "one", LEAKED);
    assert!(traffic.rollout.state().is_live(), "the canary did nothing");
}

#[test]
fn requests_whose_caller_chose_the_arm_count_for_nothing_but_a_leak() {
    let mut traffic = Traffic::of(plan());
    let chosen = |observed: Observation| Input::Outcome {
        arm: Arm::Canary,
        unit: "tester".to_owned(),
        overridden: true,
        observed,
        at_ms: 1,
    };
    for _ in 0..100 {
        traffic.apply(&chosen(ENGINE_ERROR));
    }
    let status = traffic.rollout.status(1);
    assert!(status.live);
    assert_eq!(
        (status.overridden, status.arms.canary.requests_in_all),
        (100, 0)
    );
    traffic.apply(&chosen(LEAKED));
    assert!(traffic.rollout.state().is_final());
}

#[test]
fn a_canary_that_loses_its_answers_breaks_the_split() {
    let mut traffic = Traffic::of(plan());
    let units: Vec<_> = (0..4_000).map(|unit: u32| unit.to_string()).collect();
    for unit in units {
        if traffic.rollout.assign(&unit) == Arm::Stable {
            traffic.outcome(Arm::Stable, &unit, FINE);
        }
    }
    assert_eq!(
        traffic.rollout.state().to_string(),
        "aborted (guardrail traffic_split)"
    );
}

#[test]
fn a_shadow_that_is_worse_is_aborted_before_anybody_gets_its_answers() {
    let mut traffic = Traffic::of(Plan {
        shadow_pairs: 200,
        ..plan()
    });
    for _ in 0..60 {
        traffic.apply(&Input::Pair {
            stable: FINE,
            canary: ABSTAINED,
            at_ms: 1,
        });
        if traffic.rollout.state().is_final() {
            break;
        }
    }
    assert_eq!(
        traffic.rollout.state().to_string(),
        "aborted (guardrail abstention)"
    );
    assert!(
        traffic
            .transitions
            .iter()
            .all(|step| step.weight_basis_points == 0)
    );
}

#[test]
fn a_canary_that_turns_bad_when_it_has_everything_is_aborted_in_baking() {
    let mut traffic = Traffic::of(plan());
    traffic.reach(&State::Baking);
    let share = traffic.rollout.status(traffic.at_ms);
    assert!(e_value(&share, Guardrail::QuoteFailure) < 10.0);
    traffic.ask(90, |_, _| Observation {
        quote_failure: true,
        ..FINE
    });
    assert_eq!(
        traffic.rollout.state().to_string(),
        "aborted (guardrail quote_failure)"
    );
}

#[test]
fn a_canary_that_turns_bad_under_a_larger_share_does_not_live_on_its_merits() {
    let mut traffic = Traffic::of(Plan {
        units_per_arm: 400,
        ..plan()
    });
    let better = |arm, number| {
        if arm == Arm::Stable && number % 5 == 0 {
            ABSTAINED
        } else {
            FINE
        }
    };
    traffic.ask(20_000, better);
    assert_eq!(*traffic.rollout.state(), State::Canary { step: 1 });
    assert!(e_value(&traffic.rollout.status(0), Guardrail::Abstention) < 1.0);
    traffic.ask(400, |arm, number| {
        if (arm == Arm::Stable && number % 10 == 0) || (arm == Arm::Canary && number % 3 == 0) {
            ABSTAINED
        } else {
            FINE
        }
    });
    assert_eq!(
        traffic.rollout.state().to_string(),
        "aborted (guardrail abstention)"
    );
}

#[test]
fn negative_feedback_on_one_arm_aborts_and_praise_is_no_event() {
    let mut traffic = Traffic::of(Plan {
        units_per_arm: 1_000,
        ..plan()
    });
    let units: Vec<_> = (0..2_000).map(|unit: u32| unit.to_string()).collect();
    for unit in units {
        let arm = traffic.rollout.assign(&unit);
        traffic.outcome(arm, &unit, FINE);
        let negative = arm == Arm::Canary;
        traffic.apply(&Input::Feedback {
            arm,
            unit,
            negative,
            at_ms: 1,
        });
        if traffic.rollout.state().is_final() {
            break;
        }
    }
    assert_eq!(
        traffic.rollout.state().to_string(),
        "aborted (guardrail negative_feedback)"
    );
}

#[test]
fn one_unit_alone_cannot_abort_a_rollout_by_asking_again() {
    let mut traffic = Traffic::of(plan());
    let unit = (0..1_000)
        .map(|number: u32| number.to_string())
        .find(|unit| traffic.rollout.assign(unit) == Arm::Canary)
        .unwrap();
    for _ in 0..1_000 {
        traffic.outcome(Arm::Canary, &unit, ABSTAINED);
    }
    assert!(traffic.rollout.state().is_live());
}

#[test]
fn a_pause_forgets_no_evidence() {
    let mut traffic = Traffic::of(plan());
    let bad = |arm, number| {
        if arm == Arm::Canary && number % 2 == 0 {
            ABSTAINED
        } else {
            FINE
        }
    };
    traffic.ask(25, bad);
    let before = e_value(&traffic.rollout.status(0), Guardrail::Abstention);
    assert!(before > 1.0, "{before}");
    traffic.apply(&pause(traffic.at_ms));
    let paused = e_value(&traffic.rollout.status(0), Guardrail::Abstention);
    traffic.apply(&resume(traffic.at_ms));
    let after = e_value(&traffic.rollout.status(0), Guardrail::Abstention);
    assert!((before - paused).abs() + (before - after).abs() < 1e-9);
    traffic.apply(&promote(traffic.at_ms));
}

#[test]
fn a_guardrail_that_is_off_neither_aborts_nor_holds_up() {
    let mut plan = plan();
    plan.guardrails.abstention.on = false;
    let mut traffic = Traffic::of(plan);
    for _ in 0..3 {
        traffic.ask(
            20_000,
            |arm, _| if arm == Arm::Canary { ABSTAINED } else { FINE },
        );
    }
    assert_eq!(*traffic.rollout.state(), State::Baking);
    assert_eq!(traffic.rollout.status(0).guardrails.len(), 6);
}
