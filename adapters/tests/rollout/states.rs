//! The way from draft to promoted, and the ways off it.

use quoin_adapters::rollout::{
    Action, Arm, Gate, Input, Observation, PauseReason, Plan, Rollout, RolloutError, State,
};

use crate::support::{ABSTAINED, FINE, Traffic, pause, plan, resume, side, started};

#[test]
fn a_good_canary_goes_through_every_state_to_all_of_the_traffic() {
    let mut traffic = Traffic::of(Plan {
        shadow_pairs: 200,
        ..plan()
    });
    assert_eq!(*traffic.rollout.state(), State::Shadow);
    for _ in 0..200 {
        assert_eq!(traffic.rollout.assign("anyone"), Arm::Stable);
        let at_ms = traffic.at_ms + 1_000;
        traffic.apply(&Input::Pair {
            stable: FINE,
            canary: FINE,
            at_ms,
        });
    }
    for state in [
        State::Canary { step: 0 },
        State::Canary { step: 1 },
        State::Canary { step: 2 },
        State::Baking,
    ] {
        traffic.reach(&state);
    }
    traffic.wait(100_000);
    assert_eq!(*traffic.rollout.state(), State::Promoted);
    assert_eq!(
        traffic.actions(),
        [
            Action::Verify,
            Action::Evaluate,
            Action::Shadow,
            Action::Advance,
            Action::Advance,
            Action::Advance,
            Action::Bake,
            Action::Promote
        ]
    );
    let weights: Vec<_> = traffic
        .transitions
        .iter()
        .map(|step| step.weight_basis_points)
        .collect();
    assert_eq!(weights, [0, 0, 0, 1_000, 5_000, 10_000, 10_000, 10_000]);
    assert_eq!(traffic.rollout.assign("anyone"), Arm::Canary);
}

#[test]
fn no_traffic_is_neither_success_nor_failure() {
    let mut traffic = Traffic::of(plan());
    traffic.wait(8 * 86_400_000);
    let resumes = Box::new(State::Canary { step: 0 });
    let why = PauseReason::InsufficientTraffic;
    assert_eq!(*traffic.rollout.state(), State::Paused { why, resumes });
    assert_eq!(traffic.rollout.weight(), 0);
}

#[test]
fn a_shadow_without_pairs_pauses_too() {
    let mut traffic = Traffic::of(Plan {
        shadow_pairs: 10,
        ..plan()
    });
    traffic.wait(8 * 86_400_000);
    assert_eq!(
        traffic.rollout.state().to_string(),
        "paused (insufficient traffic) in shadow"
    );
}

#[test]
fn enough_traffic_that_cannot_rule_out_the_margin_is_inconclusive() {
    let mut traffic = Traffic::of(Plan {
        margin_basis_points: 1,
        step_time_limit_ms: 5_000_000,
        ..plan()
    });
    traffic.ask(6_000, |_, _| FINE);
    assert_eq!(
        traffic.rollout.state().to_string(),
        "paused (inconclusive) in canary (step 1)"
    );
}

#[test]
fn a_full_memory_without_a_decision_is_inconclusive_before_the_time_is_over() {
    let mut traffic = Traffic::of(Plan {
        margin_basis_points: 1,
        units_max: 2_000,
        ..plan()
    });
    traffic.ask(3_000, |_, _| FINE);
    assert_eq!(
        traffic.rollout.state().to_string(),
        "paused (inconclusive) in canary (step 1)"
    );
}

#[test]
fn a_step_that_ran_out_of_time_begins_anew_when_somebody_resumes() {
    let mut traffic = Traffic::of(Plan {
        units_per_arm: 5_000,
        step_time_limit_ms: 1_000_000,
        time_limit_ms: 1_500_000,
        ..plan()
    });
    traffic.ask(1_000, |_, _| FINE);
    assert!(matches!(traffic.rollout.state(), State::Paused { .. }));
    traffic.apply(&resume(traffic.at_ms + 5));
    let status = traffic.rollout.status(traffic.at_ms);
    assert_eq!(status.state, State::Canary { step: 0 });
    assert_eq!(status.arms.stable.units, 0);
    assert_eq!(status.step_time_left_ms, Some(1_000_000));
    assert_eq!(status.time_left_ms, Some(500_000));
}

#[test]
fn a_pause_sends_everybody_back_and_its_time_does_not_count() {
    let mut traffic = Traffic::of(plan());
    traffic.ask(100, |_, _| FINE);
    let before = traffic.rollout.status(traffic.at_ms);
    traffic.apply(&pause(traffic.at_ms));
    assert!((0..1_000).all(|unit| traffic.rollout.assign(&unit.to_string()) == Arm::Stable));
    traffic.wait(90 * 86_400_000);
    traffic.apply(&resume(traffic.at_ms));
    let after = traffic.rollout.status(traffic.at_ms);
    assert_eq!(after.state, before.state);
    assert_eq!(after.arms, before.arms);
    assert_eq!(after.step_time_left_ms, before.step_time_left_ms);
    assert_eq!(after.time_left_ms, before.time_left_ms);
}

#[test]
fn nothing_counts_until_the_answers_of_the_share_before_are_in() {
    let mut traffic = Traffic::of(Plan {
        settle_ms: 60_000,
        ..plan()
    });
    traffic.ask(59, |_, _| FINE);
    let status = traffic.rollout.status(traffic.at_ms);
    assert_eq!(status.arms.stable.units + status.arms.canary.units, 0);
    assert_eq!(
        status.waits_for,
        "answers that began at the share before, 1 s more"
    );
    traffic.ask(10, |_, _| FINE);
    let status = traffic.rollout.status(traffic.at_ms);
    assert_eq!(status.arms.stable.units + status.arms.canary.units, 10);
}

#[test]
fn an_answer_of_the_arm_that_its_unit_is_not_assigned_to_is_a_stray() {
    let mut traffic = Traffic::of(plan());
    let unit = (0..1_000)
        .map(|number: u32| number.to_string())
        .find(|unit| traffic.rollout.assign(unit) == Arm::Canary)
        .unwrap();
    traffic.outcome(Arm::Stable, &unit, ABSTAINED);
    let status = traffic.rollout.status(0);
    assert_eq!((status.strays, status.arms.stable.units), (1, 0));
}

#[test]
fn time_that_goes_backwards_stands_still() {
    let mut traffic = Traffic::of(plan());
    traffic.wait(1_000);
    let transitions = traffic.rollout.apply(&Input::Tick { at_ms: -5 }).unwrap();
    assert!(transitions.is_empty());
    assert_eq!(traffic.rollout.status(0).at_ms, 1_000);
}

#[test]
fn the_status_says_what_it_waits_for() {
    let mut traffic = Traffic::of(Plan {
        units_per_arm: 10,
        ..plan()
    });
    traffic.ask(20, |_, _| FINE);
    let waits_for = traffic.rollout.status(traffic.at_ms).waits_for;
    assert!(
        waits_for.contains("of 10 units on the canary and"),
        "{waits_for}"
    );
    traffic.ask(480, |_, _| FINE);
    let waits_for = traffic.rollout.status(traffic.at_ms).waits_for;
    assert!(
        waits_for.contains("points worse, the margin is 10.0"),
        "{waits_for}"
    );
}

#[test]
fn latencies_are_awaited_before_they_can_be_compared() {
    let silent = Observation {
        latency_us: None,
        ..FINE
    };
    let mut traffic = Traffic::of(plan());
    traffic.ask(4_000, |_, _| silent);
    assert_eq!(
        traffic.rollout.status(traffic.at_ms).waits_for,
        "latencies of 200 stable answers, to know which are slow"
    );
}

#[test]
fn a_release_cannot_replace_itself() {
    let error = Rollout::start(
        "rollout-1".to_owned(),
        "champion".parse().unwrap(),
        side(1),
        side(1),
        plan(),
        Gate::NotNeeded,
        0,
    )
    .unwrap_err();
    assert!(
        matches!(error, RolloutError::Setting { ref key, .. } if key == "canary.release"),
        "{error}"
    );
}

#[test]
fn who_forces_the_gate_stands_in_the_transition_with_the_reason() {
    let start = |by: &str, reason: &str| {
        Rollout::start(
            "rollout-1".to_owned(),
            "champion".parse().unwrap(),
            side(1),
            side(2),
            plan(),
            Gate::Forced {
                by: by.to_owned(),
                reason: reason.to_owned(),
            },
            0,
        )
    };
    let (_, transitions) = start("ada", "the test set is wrong").unwrap();
    assert_eq!(transitions[1].actor, "ada");
    assert_eq!(transitions[1].reason, "forced: the test set is wrong");
    assert!(start("ada", " ").is_err());
}

#[test]
fn a_shadow_asks_for_its_share_of_the_requests_and_only_then() {
    let (rollout, _) = started(Plan {
        shadow_pairs: 10,
        shadow_basis_points: 2_500,
        ..plan()
    });
    let shadowed = (0..4_000)
        .filter(|unit: &u32| rollout.shadows(&unit.to_string()))
        .count();
    assert!((850..1_150).contains(&shadowed), "{shadowed} of 4,000");
    let (rollout, _) = started(plan());
    assert!(!rollout.shadows("anyone"));
}
