//! What people ask of a rollout: done at once, or refused with what is possible.

use quoin_adapters::rollout::{Arm, Input, Plan, Rollout, State};

use crate::support::{FINE, LEAKED, Traffic, abort, pause, plan, promote, resume, started};

fn refusal(traffic: &mut Traffic, input: &Input) -> String {
    let before = traffic.rollout.clone();
    let error = traffic.rollout.apply(input).unwrap_err();
    assert_eq!(traffic.rollout, before);
    error.to_string()
}

#[test]
fn resuming_what_is_not_paused_is_refused_with_what_is_possible() {
    let mut traffic = Traffic::of(plan());
    assert_eq!(
        refusal(&mut traffic, &resume(1)),
        "cannot resume: the rollout is canary (step 1); possible is to pause, promote or abort"
    );
}

#[test]
fn pausing_twice_is_refused() {
    let mut traffic = Traffic::of(plan());
    traffic.apply(&pause(1));
    assert_eq!(
        refusal(&mut traffic, &pause(2)),
        "cannot pause: the rollout is paused (manual) in canary (step 1); possible is to resume, promote or abort"
    );
}

#[test]
fn nothing_can_be_asked_of_what_has_ended() {
    for end in [abort(1), promote(1)] {
        let mut traffic = Traffic::of(plan());
        traffic.apply(&end);
        assert!(traffic.rollout.state().is_final());
        for input in [pause(2), resume(2), promote(2), abort(2)] {
            let error = refusal(&mut traffic, &input);
            assert!(error.ends_with("possible is only a new rollout"), "{error}");
        }
    }
}

#[test]
fn an_abort_works_from_every_state_that_is_not_final_and_takes_all_traffic_back_at_once() {
    let shadow = Plan {
        shadow_pairs: 5,
        ..plan()
    };
    for (plan, is_paused) in [(shadow, false), (plan(), false), (plan(), true)] {
        let mut traffic = Traffic::of(plan);
        if is_paused {
            traffic.apply(&pause(1));
        }
        traffic.apply(&abort(2));
        assert_eq!(traffic.rollout.state().to_string(), "aborted (manual)");
        assert_eq!(traffic.rollout.weight(), 0);
        let last = traffic.transitions.last().unwrap();
        assert_eq!(
            (last.actor.as_str(), last.reason.as_str()),
            ("ada", "doubt")
        );
    }
    let mut traffic = Traffic::of(plan());
    traffic.reach(&State::Baking);
    traffic.apply(&abort(traffic.at_ms));
    assert_eq!(traffic.rollout.assign("anyone"), Arm::Stable);
}

#[test]
fn a_promotion_gives_the_canary_everything_from_a_pause_too() {
    let mut traffic = Traffic::of(plan());
    traffic.ask(100, |_, _| FINE);
    traffic.apply(&pause(traffic.at_ms));
    let before = traffic.rollout.status(0).guardrails;
    traffic.apply(&promote(traffic.at_ms));
    assert_eq!(*traffic.rollout.state(), State::Promoted);
    assert_eq!(traffic.rollout.status(0).guardrails, before);
    assert_eq!(traffic.rollout.assign("anyone"), Arm::Canary);
}

#[test]
fn answers_that_come_after_the_end_change_nothing() {
    let mut traffic = Traffic::of(plan());
    traffic.apply(&abort(5));
    let before = traffic.rollout.clone();
    for observed in [FINE, LEAKED] {
        traffic.outcome(Arm::Canary, "late", observed);
    }
    assert_eq!(traffic.rollout, before);
}

/// Inputs that were stored are replayed after an update: when this fails, the ones of before cannot be read.
#[test]
fn inputs_that_were_stored_before_are_still_read() {
    let (mut rollout, _) = started(plan());
    for stored in [
        r#"{"kind":"outcome","arm":"canary","unit":"ada","overridden":false,"observed":{"engine_error":false,"schema_failure":true,"quote_failure":false,"abstained":false,"access_violation":false,"latency_us":812345},"at_ms":1764040000007}"#,
        r#"{"kind":"feedback","arm":"stable","unit":"ada","negative":true,"at_ms":1764040000008}"#,
        r#"{"kind":"pair","stable":{"abstained":true},"canary":{},"at_ms":1764040000009}"#,
        r#"{"kind":"tick","at_ms":1764040000010}"#,
        r#"{"kind":"pause","by":"ada","reason":"","at_ms":1764040000011}"#,
        r#"{"kind":"resume","by":"ada","reason":"","at_ms":1764040000012}"#,
        r#"{"kind":"promote","by":"ada","reason":"","at_ms":1764040000013}"#,
    ] {
        let input: Input = serde_json::from_str(stored).unwrap();
        if let Err(error) = rollout.apply(&input) {
            // A year went by since the start.
            assert!(error.to_string().contains("paused"), "{error}");
        }
    }
    assert_eq!(*rollout.state(), State::Promoted);
    let text = serde_json::to_string(&rollout).unwrap();
    assert_eq!(serde_json::from_str::<Rollout>(&text).unwrap(), rollout);
}

#[test]
fn a_latency_that_is_no_whole_positive_number_is_refused_where_it_is_read() {
    for latency in ["-1", "0.5", "1e400", "NaN"] {
        let stored = format!(
            r#"{{"kind":"pair","stable":{{"latency_us":{latency}}},"canary":{{}},"at_ms":1}}"#
        );
        assert!(serde_json::from_str::<Input>(&stored).is_err(), "{latency}");
    }
}
