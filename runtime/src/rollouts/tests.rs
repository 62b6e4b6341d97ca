#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use quoin_adapters::rollout::{Gate, Plan};

use super::*;
use crate::caller::Caller;

/// A rollout that gives one half of all units the canary.
fn halved(folder: &std::path::Path) -> Rollouts {
    let registry = Arc::new(Registry::open(&folder.join("adapters")).unwrap());
    let storage = Storage::open(&folder.join("quoin.db")).unwrap();
    let side = |adapter: &str| Side {
        adapter: Some(adapter.parse().unwrap()),
        release: format!("sha256:{adapter}"),
    };
    let plan = Plan {
        shadow_pairs: 0,
        steps_basis_points: vec![5000, 10_000],
        units_per_arm: 40_000,
        settle_ms: 0,
        ..Plan::default()
    };
    let (stable, canary) = (side("support@1"), side("support@2"));
    let (id, alias) = ("rol_1".to_owned(), Alias::champion());
    let started = Rollout::start(id, alias, stable, canary, plan, Gate::NotNeeded, now_ms());
    let rollouts = Rollouts::new(storage, registry);
    *rollouts.lock() = Some(Live::new(Saved {
        rollout: started.unwrap().0,
        sequence: 0,
    }));
    rollouts
}

#[tokio::test]
async fn to_assign_a_request_and_to_note_its_answer_take_less_than_a_millisecond() {
    let folder = tempfile::tempdir().unwrap();
    let rollouts = halved(folder.path());
    let (mut times, mut canary) = (Vec::new(), 0);
    for number in 0..5000 {
        let begun = Instant::now();
        let unit = unit(&Caller::local(), Some(&format!("session {number}")), "");
        let assigned = rollouts.assign(&unit, None).unwrap();
        assigned.note(Observation {
            latency_us: Some(70_000 + number % 100),
            ..Observation::default()
        });
        times.push(begun.elapsed());
        canary += u32::from(assigned.arm == Arm::Canary);
    }
    assert!((2300..2700).contains(&canary), "{canary} of 5000");
    times.sort_unstable();
    let (p50, p99) = (times[2500], times[4950]);
    eprintln!("routing: p50 {p50:?}, p99 {p99:?}");
    assert!(p99 < Duration::from_millis(1));
    let counted = rollouts.status().unwrap().arms.canary.requests_in_all;
    assert_eq!(counted, u64::from(canary));
}

#[tokio::test]
async fn while_nothing_happens_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let rollouts = halved(folder.path());
    let mut running = rollouts.lock();
    let live = running.as_mut().unwrap();
    for _ in 0..3 {
        assert!(
            !rollouts
                .apply(live, Input::Tick { at_ms: now_ms() })
                .unwrap()
        );
    }
    assert_eq!(live.saved.sequence, 0);
}

#[tokio::test]
async fn what_could_not_be_written_holds_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let rollouts = halved(folder.path());
    rollouts.0.storage.close().await;
    let pause = |at_ms| Input::Pause {
        by: "somebody".to_owned(),
        reason: "a full disk".to_owned(),
        at_ms,
    };
    let told = rollouts.told(pause).await;
    assert!(matches!(told, Err(RolloutRefusal::Storage(_))));
    let mut running = rollouts.lock();
    let live = running.as_mut().unwrap();
    assert!(matches!(live.rollout().state(), State::Paused { .. }));
    assert_eq!(live.unsaved.len(), 1);
    assert!(
        rollouts
            .apply(live, Input::Tick { at_ms: now_ms() })
            .unwrap()
    );
}
