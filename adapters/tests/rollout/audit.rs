//! The audit shows what was changed, removed or put in.

use proptest::prelude::*;
use quoin_adapters::rollout::{AuditLine, Rollout, Transition, read_chain, verify_chain};

use crate::support::{ABSTAINED, FINE, Traffic, abort, pause, plan, resume};
use quoin_adapters::rollout::Arm;

fn history() -> (Rollout, Vec<Transition>) {
    let mut traffic = Traffic::of(plan());
    traffic.ask(
        40,
        |arm, _| if arm == Arm::Canary { ABSTAINED } else { FINE },
    );
    traffic.apply(&pause(traffic.at_ms));
    traffic.apply(&resume(traffic.at_ms));
    traffic.apply(&abort(traffic.at_ms));
    (traffic.rollout, traffic.transitions)
}

fn chain() -> Vec<AuditLine> {
    let (rollout, transitions) = history();
    let mut lines: Vec<AuditLine> = Vec::new();
    for transition in &transitions {
        lines.push(AuditLine::after(lines.last(), &rollout, transition));
    }
    lines
}

fn text(lines: &[AuditLine]) -> String {
    lines
        .iter()
        .map(|line| serde_json::to_string(line).unwrap() + "\n")
        .collect()
}

fn error(lines: &[AuditLine], last: Option<&str>) -> String {
    verify_chain(lines, last).unwrap_err().to_string()
}

#[test]
fn a_chain_that_was_stored_and_read_is_whole() {
    let lines = chain();
    assert!(lines.len() >= 6);
    let read = read_chain(&text(&lines)).unwrap();
    assert_eq!(read, lines);
    verify_chain(&read, lines.last().map(|line| line.digest.as_str())).unwrap();
    verify_chain(&[], None).unwrap();
}

#[test]
fn the_line_that_was_changed_is_named() {
    let mut lines = chain();
    lines[2].actor = "nobody".to_owned();
    let error = error(&lines, None);
    assert!(error.starts_with("audit line 3: was changed"), "{error}");
}

#[test]
fn a_line_that_was_changed_together_with_its_digest_breaks_the_next_one() {
    let (rollout, transitions) = history();
    let mut lines = chain();
    let mut forged = transitions[2].clone();
    forged.actor = "nobody".to_owned();
    lines[2] = AuditLine::after(Some(&lines[1]), &rollout, &forged);
    let error = error(&lines, None);
    assert!(
        error.starts_with("audit line 4: does not follow"),
        "{error}"
    );
}

#[test]
fn a_line_that_was_removed_put_in_or_moved_is_missed_at_its_place() {
    let removed = {
        let mut lines = chain();
        lines.remove(2);
        lines
    };
    let repeated = {
        let mut lines = chain();
        lines.insert(2, lines[1].clone());
        lines
    };
    let moved = {
        let mut lines = chain();
        lines.swap(2, 3);
        lines
    };
    for lines in [removed, repeated, moved] {
        let error = error(&lines, None);
        assert!(
            error.starts_with("audit line 3: does not follow"),
            "{error}"
        );
    }
    let error = error(&chain()[1..], None);
    assert!(
        error.starts_with("audit line 1: does not follow"),
        "{error}"
    );
}

#[test]
fn lines_missing_at_the_end_are_missed_by_whoever_kept_the_last_digest() {
    let lines = chain();
    let last = lines.last().unwrap().digest.clone();
    let fewer = &lines[..lines.len() - 1];
    verify_chain(fewer, None).unwrap();
    let error = error(fewer, Some(&last));
    assert!(
        error.starts_with(&format!("audit line {}: is missing", lines.len())),
        "{error}"
    );
}

#[test]
fn a_line_with_a_field_too_many_is_no_line() {
    let changed = text(&chain()).replacen("{\"seq\":1,", "{\"seq\":1,\"note\":\"\",", 1);
    let error = read_chain(&changed).unwrap_err().to_string();
    assert!(error.starts_with("audit line 1: does not parse"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_one_changed_byte_is_found(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let lines = chain();
        let original = text(&lines).into_bytes();
        let mut changed = original.clone();
        let place = place.index(original.len());
        prop_assume!(changed[place] != byte);
        changed[place] = byte;
        let Ok(changed) = String::from_utf8(changed) else { return Ok(()); };
        let last = lines.last().map(|line| line.digest.as_str());
        if let Ok(read) = read_chain(&changed) {
            // White space for white space, or another spelling of the same number, says the same.
            prop_assert!(read == lines || verify_chain(&read, last).is_err());
        }
    }
}
