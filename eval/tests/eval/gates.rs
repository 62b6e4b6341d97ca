//! Gates: what their file may say, and which verdict comes of what.

use std::collections::BTreeMap;

use quoin_eval::gates::{GateOptions, GateReport, Gates, Verdict};

use crate::compare::run;

fn decide(toml: &str, baseline: &[f64], candidate: &[f64]) -> GateReport {
    let baselines = BTreeMap::from([("baseline".to_owned(), run(baseline, 0))]);
    Gates::parse(toml)
        .unwrap()
        .evaluate(&run(candidate, 0), &baselines, GateOptions::default())
        .unwrap()
}

#[test]
fn what_a_file_may_not_say_is_refused_with_its_place() {
    let gate = |rest: &str| format!("[[gate]]\nmetric = \"f1\"\n{rest}\n");
    for (text, expected) in [
        (
            gate("mode = \"absolute\"\nmin = 0.5\nmargn = 1"),
            vec!["line 5", "margn"],
        ),
        (gate("mode = \"best\""), vec!["line 3", "best"]),
        (
            gate("mode = \"absolute\""),
            vec!["gate 1 (`f1`)", "`min` or `max`"],
        ),
        (
            gate("mode = \"absolute\"\nmin = 0.5\nmargin = 1.0"),
            vec!["`margin` has no meaning"],
        ),
        (
            gate("mode = \"absolute\"\nmin = 0.5\nmax = 0.25"),
            vec!["`min` is 0.5", "`max`, which is 0.25"],
        ),
        (gate("mode = \"absolute\"\nmin = nan"), vec!["`min` is NaN"]),
        (gate("mode = \"non_inferior\""), vec!["needs a `margin`"]),
        (
            gate("mode = \"non_inferior\"\nmargin = 0.0"),
            vec!["`margin` is 0"],
        ),
        (
            gate("mode = \"non_inferior\"\nmargin = 0.1\nmin = 0.1"),
            vec!["`min` and `max`"],
        ),
        (
            gate("mode = \"no_significant_regression\"\nalpha = 0.5"),
            vec!["`alpha` is 0.5"],
        ),
        (
            gate("mode = \"no_significant_regression\"\nmin_n = 0"),
            vec!["`min_n` is 0"],
        ),
        (String::new(), vec!["there are 0 `[[gate]]`"]),
    ] {
        let error = Gates::parse(&text).unwrap_err().to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn a_baseline_that_was_not_given_is_an_error() {
    let gates = Gates::parse(
        "[[gate]]\nmetric = \"exact\"\nmode = \"no_significant_regression\"\nbaseline = \"last\"",
    )
    .unwrap();
    assert_eq!(gates.baselines().into_iter().collect::<Vec<_>>(), ["last"]);
    let error = gates
        .evaluate(&run(&[1.0], 0), &BTreeMap::new(), GateOptions::default())
        .unwrap_err();
    assert!(
        error.to_string().contains("needs the baseline `last`"),
        "{error}"
    );
}

#[test]
fn a_great_fall_fails_and_no_change_passes() {
    let text = "[[gate]]\nmetric = \"exact\"\nmode = \"no_significant_regression\"";
    let fall = decide(text, &[1.0; 40], &[0.0; 40]);
    assert_eq!(
        (fall.verdict, fall.exit_code, fall.passed),
        (Verdict::Fail, 100, false)
    );
    assert!(
        fall.to_junit().contains("failures=\"1\"")
            && fall.to_junit().contains("<failure message=\"it is worse")
    );
    let same = decide(text, &[1.0; 40], &[1.0; 40]);
    assert_eq!(
        (same.verdict, same.exit_code, same.passed),
        (Verdict::Pass, 0, true)
    );
}

#[test]
fn too_few_questions_are_inconclusive_and_count_as_the_file_says() {
    let text = "[[gate]]\nmetric = \"exact\"\nmode = \"no_significant_regression\"\nmin_n = 50\n";
    let open = decide(text, &[1.0; 40], &[0.0; 40]);
    assert_eq!((open.verdict, open.exit_code), (Verdict::Inconclusive, 101));
    assert!(open.to_junit().contains("<skipped message=\"40 questions"));
    let strict = decide(
        &format!("{text}on_inconclusive = \"fail\""),
        &[1.0; 40],
        &[0.0; 40],
    );
    assert_eq!(
        (strict.verdict, strict.gates[0].verdict),
        (Verdict::Fail, Verdict::Inconclusive)
    );
    assert!(
        decide(
            &format!("{text}on_inconclusive = \"pass\""),
            &[1.0; 40],
            &[0.0; 40]
        )
        .passed
    );
}

/// z² / (n + z²) with the one-sided z of 5 % is 0.0634 for 40 questions and 0.0067 for 400.
#[test]
fn no_flip_among_few_questions_does_not_prove_a_small_margin() {
    let text = "[[gate]]\nmetric = \"exact\"\nmode = \"non_inferior\"\nmargin = 0.05";
    assert_eq!(
        decide(text, &[1.0; 40], &[1.0; 40]).verdict,
        Verdict::Inconclusive
    );
    assert_eq!(
        decide(text, &[1.0; 400], &[1.0; 400]).verdict,
        Verdict::Pass
    );
    assert_eq!(decide(text, &[1.0; 40], &[0.0; 40]).verdict, Verdict::Fail);
}

/// 0.95⁵⁹ is the first power below 0.05.
#[test]
fn a_share_must_be_shown_to_be_above_its_bound() {
    let text = "[[gate]]\nmetric = \"exact\"\nmode = \"absolute\"\nmin = 0.95";
    assert_eq!(decide(text, &[], &[1.0; 58]).verdict, Verdict::Inconclusive);
    assert_eq!(decide(text, &[], &[1.0; 59]).verdict, Verdict::Pass);
    assert_eq!(decide(text, &[], &[0.0; 30]).verdict, Verdict::Fail);
}

#[test]
fn a_bound_at_the_end_of_the_range_allows_no_exception() {
    let text = "[[gate]]\nmetric = \"exact\"\nmode = \"absolute\"\nmax = 0.0";
    let mut values = [0.0; 40];
    assert_eq!(decide(text, &[], &values).verdict, Verdict::Pass);
    values[7] = 1.0;
    assert_eq!(decide(text, &[], &values).verdict, Verdict::Fail);
}

/// 6 falls of 6 changes: p = 1/64 passes a single gate at 5 %, but not the fourth of four that are as near.
#[test]
fn gates_of_one_file_are_corrected_together() {
    let one = "[[gate]]\nmetric = \"exact\"\nmode = \"no_significant_regression\"\n";
    let mut candidate = [1.0; 40];
    candidate[..6].fill(0.0);
    assert_eq!(decide(one, &[1.0; 40], &candidate).verdict, Verdict::Fail);
    let four = decide(&one.repeat(4), &[1.0; 40], &candidate);
    assert_eq!(four.verdict, Verdict::Pass);
    assert!((four.gates[0].p_fail_holm.unwrap() - 4.0 / 64.0).abs() < 1e-9);
}

#[test]
fn a_report_names_what_was_decided_on_and_is_read_back() {
    let report = decide(
        "[[gate]]\nmetric = \"exact\"\nmode = \"no_significant_regression\"",
        &[1.0; 40],
        &[1.0; 40],
    );
    assert!(
        report.gates_digest.starts_with("sha256:") && report.baselines.contains_key("baseline")
    );
    assert_eq!(report.candidate.adapter.as_deref(), Some("handbook@3"));
    let read: GateReport = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(read, report);
    assert!(
        report.to_markdown().starts_with("# Gates: pass") && !report.to_html().contains("<script")
    );
}

#[test]
fn questions_of_one_kind_are_one_unit_where_a_gate_says_so() {
    let by_kind = |kinds: usize| {
        let toml = "[[gate]]\nmetric = \"exact\"\nmode = \"no_significant_regression\"\ncluster_by = \"kind\"\n";
        let named = |value: f64| {
            let mut run = run(&[value; 60], 0);
            for (index, question) in run.questions.iter_mut().enumerate() {
                question.kind = Some(format!("kind {}", index % kinds));
            }
            run
        };
        let baselines = BTreeMap::from([("baseline".to_owned(), named(1.0))]);
        let report = Gates::parse(toml)
            .unwrap()
            .evaluate(&named(0.0), &baselines, GateOptions::default())
            .unwrap();
        (report.gates[0].clusters, report.verdict)
    };
    assert_eq!(by_kind(30), (Some(30), Verdict::Fail));
    assert_eq!(by_kind(5), (Some(5), Verdict::Inconclusive));
}
