//! Reports lie beside an immutable version, are named by what they say, and are whole or not there.

use std::fs;
use std::sync::Barrier;

use crate::support::{add, assert_says, id};
use quoin_adapters::{AdapterError, REPORT_BYTES_MAX, REPORTS_MAX, Registry};

#[test]
fn a_report_is_listed_read_back_and_survives_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let support = add(&registry, 0.1);
    let before = registry.show(&support).unwrap();
    let first = registry
        .attach_report(&support, br#"{"score": 0.5}"#)
        .unwrap();
    let second = registry
        .attach_report(&support, br#"{"score": 0.6}"#)
        .unwrap();
    assert!(first.is_new && second.is_new);

    let registry = Registry::open(data.path()).unwrap();
    let version = registry.verify(&support).unwrap();
    assert_eq!(version, before, "a report is no part of the version");
    let mut expected = vec![first.report.clone(), second.report];
    expected.sort();
    assert_eq!(version.reports().unwrap(), expected);
    assert_eq!(first.report.bytes, 14);
    let bytes = registry.report(&support, &first.report.digest).unwrap();
    assert_eq!(bytes, br#"{"score": 0.5}"#);
    assert_eq!(registry.list().unwrap().versions.len(), 1);
    assert_eq!(add(&registry, 0.2), id("support@2"));
}

#[test]
fn the_same_report_is_one_report_and_its_name_is_what_sha256sum_says() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let support = add(&registry, 0.1);
    let digest = registry
        .attach_report(&support, b"{}")
        .unwrap()
        .report
        .digest;
    let hex = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert_eq!(digest, format!("sha256:{hex}"));
    assert!(
        data.path()
            .join(format!("support/1.reports/{hex}.json"))
            .is_file()
    );
    assert!(!registry.attach_report(&support, b"{}").unwrap().is_new);
    assert_eq!(registry.show(&support).unwrap().reports().unwrap().len(), 1);
}

#[test]
fn what_is_no_json_object_and_what_is_too_big_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let support = add(&registry, 0.1);
    let mut big = br#"{"a": ""#.to_vec();
    big.resize(usize::try_from(REPORT_BYTES_MAX).unwrap(), b' ');
    big.extend(b"\"}");
    for report in [&b""[..], b"[]", b"1", b"{", b"{\"a\": \xff}", &big] {
        let error = registry.attach_report(&support, report).unwrap_err();
        assert!(matches!(error, AdapterError::Refused { .. }), "{error}");
    }
    let error = registry
        .attach_report(&support, &big)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "report: its size is 8388610 bytes, must be at most 8388608"
    );
    assert!(
        registry
            .show(&support)
            .unwrap()
            .reports()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn the_number_of_reports_is_bounded_and_one_that_is_there_may_come_again() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let support = add(&registry, 0.1);
    let report = |number: usize| format!("{{\"run\": {number}}}");
    for number in 0..REPORTS_MAX {
        registry
            .attach_report(&support, report(number).as_bytes())
            .unwrap();
    }
    let error = registry
        .attach_report(&support, report(REPORTS_MAX).as_bytes())
        .unwrap_err()
        .to_string();
    assert_says(&error, &["100 of `support@1` already, must be at most 100"]);
    assert!(
        !registry
            .attach_report(&support, report(7).as_bytes())
            .unwrap()
            .is_new
    );
    registry.verify(&support).unwrap();
}

#[test]
fn a_report_of_what_is_not_registered_and_one_that_is_not_there_are_not_found() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let error = registry.attach_report(&id("support@1"), b"{}").unwrap_err();
    assert!(matches!(error, AdapterError::NotFound { .. }), "{error}");
    assert!(!data.path().join("support").exists());
    let support = add(&registry, 0.1);
    let unknown = format!("sha256:{}", "0".repeat(64));
    for digest in [
        unknown.as_str(),
        "",
        "sha256:../../../aliases",
        "../1/manifest",
    ] {
        let error = registry.report(&support, digest).unwrap_err();
        assert!(
            matches!(error, AdapterError::ReportNotFound { .. }),
            "{error}"
        );
    }
}

#[test]
fn what_lies_among_the_reports_and_is_none_is_named() {
    let data = tempfile::tempdir().unwrap();
    let registry = Registry::open(data.path()).unwrap();
    let support = add(&registry, 0.1);
    registry.attach_report(&support, b"{}").unwrap();
    fs::write(data.path().join("support/1.reports/notes.json"), "{}").unwrap();
    let error = registry.verify(&support).unwrap_err().to_string();
    assert_eq!(
        error,
        "adapter `support@1` is damaged: `1.reports/notes.json` is no report"
    );
    registry
        .verify_content(&support)
        .expect("the adapter itself is whole");
}

#[test]
fn many_who_attach_at_once_attach_each_report_once() {
    let data = tempfile::tempdir().unwrap();
    let support = add(&Registry::open(data.path()).unwrap(), 0.1);
    let start = Barrier::new(8);
    let new: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let (start, folder, support) = (&start, data.path(), &support);
                scope.spawn(move || {
                    start.wait();
                    let registry = Registry::open(folder).unwrap();
                    let attach = |number: usize| {
                        let report = format!("{{\"run\": {}}}", (number + thread) % 5);
                        registry
                            .attach_report(support, report.as_bytes())
                            .unwrap()
                            .is_new
                    };
                    (0..5).filter(|number| attach(*number)).count()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(new, 5);
    let registry = Registry::open(data.path()).unwrap();
    assert_eq!(
        registry.verify(&support).unwrap().reports().unwrap().len(),
        5
    );
}
