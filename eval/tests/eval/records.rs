//! `questions.jsonl`: what is written is read back, and what is wrong is refused with its line.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use quoin_eval::record::{EvaluatedRun, QuestionRecord, read_questions, write_questions};

fn record(id: &str, value: f64) -> QuestionRecord {
    QuestionRecord {
        id: id.to_owned(),
        question: "Why?\n\"so\"".to_owned(),
        metrics: BTreeMap::from([("f1".to_owned(), value)]),
        ..QuestionRecord::default()
    }
}

#[test]
fn an_id_that_came_before_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("questions.jsonl");
    let line = serde_json::to_string(&record("a", 1.0)).unwrap();
    fs::write(&path, format!("{line}\n\n{line}\n")).unwrap();
    let error = read_questions(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("questions.jsonl:3: question `a` came before"),
        "{error}"
    );
    let twice = [record("a", 1.0), record("a", 0.0)];
    assert!(write_questions(&path, &twice).is_err());
}

#[test]
fn a_value_that_is_no_number_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let error = write_questions(&folder.path().join("q"), &[record("a", f64::NAN)]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("metric `f1` is NaN, must be finite"),
        "{error}"
    );
}

/// Thirds have no short decimals: the digest is of what was written, not of what was read.
#[test]
fn a_run_has_the_digest_of_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = crate::compare::run(&[1.0 / 3.0, 2.0 / 3.0], 0);
    run.write(folder.path()).unwrap();
    assert_eq!(
        EvaluatedRun::open(folder.path()).unwrap().digest,
        run.digest
    );
    run.questions[1].answer = None;
    run.write(folder.path()).unwrap();
    assert_ne!(
        EvaluatedRun::open(folder.path()).unwrap().digest,
        run.digest
    );
}

proptest! {
    #[test]
    fn records_survive_their_file(values in proptest::collection::btree_map("\\PC{1,8}", any::<i32>(), 0..20)) {
        let records: Vec<_> = values.iter().map(|(id, value)| record(id, f64::from(*value) / 8.0)).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("questions.jsonl");
        write_questions(&path, &records).unwrap();
        prop_assert_eq!(read_questions(&path).unwrap(), records);
    }
}
