//! The pages of runs: what their plots say of questions whose numbers are known, and that they need nothing but themselves.

use std::collections::BTreeMap;
use std::fs;

use quoin_eval::answers::{AnswerOutcome, threshold_curve};
use quoin_eval::record::{EvaluatedRun, QuestionRecord, Status};
use quoin_eval::{DatasetReference, Report};

fn reference() -> DatasetReference {
    DatasetReference {
        name: "<made up>".to_owned(),
        digest: "sha256:0".to_owned(),
        documents: 1,
    }
}

fn page(report: Report, questions: Vec<QuestionRecord>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let run = EvaluatedRun::new(report, questions).unwrap();
    run.write(folder.path()).unwrap();
    fs::read_to_string(folder.path().join("report.html")).unwrap()
}

fn metrics(values: &[(&str, f64)]) -> BTreeMap<String, f64> {
    values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect()
}

/// What must hold of every page.
fn check(html: &str) {
    for word in ["<script", "http:", "https:", "src=", "NaN", "inf,", "<made"] {
        assert!(!html.contains(word), "{word}\n{html}");
    }
    let plots = html.matches("<figure>").count();
    assert!(plots > 0);
    for part in ["<title id=", "<desc id=", "role=\"img\"", "</figure>"] {
        assert_eq!(html.matches(part).count(), plots, "{part}");
    }
    let mut ids: Vec<&str> = html
        .split("id=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "an id comes twice");
}

#[test]
fn a_page_of_answers_draws_abstention_risk_reliability_and_time() {
    let answer = |index: u32, is_right: bool| {
        let confidence = f64::from(index) / 10.0;
        QuestionRecord {
            id: index.to_string(),
            status: Some(Status::Answered),
            metrics: metrics(&[
                ("confidence", confidence),
                ("f1", f64::from(u8::from(is_right))),
                ("latency_ms", 100.0 * f64::from(index + 1)),
            ]),
            ..QuestionRecord::default()
        }
    };
    let mut questions: Vec<QuestionRecord> =
        (0..8).map(|index| answer(index, index >= 6)).collect();
    questions[7]
        .metrics
        .insert("first_token_ms".to_owned(), 5.0);
    // A sentence that has the gold answer in it is right, and what was not answered is in no curve.
    questions[5]
        .metrics
        .extend(metrics(&[("f1", 0.1), ("contains", 1.0)]));
    questions.push(QuestionRecord {
        id: "abstained".to_owned(),
        status: Some(Status::Abstained),
        metrics: metrics(&[("confidence", 0.0), ("f1", 1.0)]),
        ..QuestionRecord::default()
    });
    let impossible = AnswerOutcome {
        is_impossible: true,
        answer: Some("x".to_owned()),
        ..AnswerOutcome::default()
    };
    let mut report = Report::of_answers(reference(), "", BTreeMap::new());
    report.thresholds = threshold_curve(&[(impossible, 0.5)]);
    let html = page(report, questions);
    check(&html);
    assert_eq!(html.matches("<figure>").count(), 4);
    for part in [
        "Of 9 questions 8 were answered, 62 % of them wrong.",
        "8 answers by tenths of their confidence",
        "Half of 8 answers were there after 400.0 ms, 95 % after 800.0 ms, all after 800.0 ms.",
        "first token",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    // Eight tenths hold one answer each.
    assert_eq!(html.matches("class=\"whisker\"").count(), 8);
}

#[test]
fn a_page_of_retrieval_draws_each_stage_and_what_it_changes_query_by_query() {
    let record = |index: u32, values: [f64; 3]| QuestionRecord {
        id: index.to_string(),
        metrics: metrics(&[
            ("bm25/nDCG@10", values[0]),
            ("vector/nDCG@10", values[1]),
            ("fused/nDCG@10", values[2]),
            ("fused/R@100", 1.0),
        ]),
        ..QuestionRecord::default()
    };
    let questions = vec![
        record(0, [0.5, 0.0, 1.0]),
        record(1, [0.5, 0.5, 0.5]),
        record(2, [0.75, 0.25, 0.25]),
        record(3, [0.25, 0.25, 0.75]),
    ];
    let report = Report::of_retrieval(reference(), "", &BTreeMap::new(), &quoin_eval::Qrels::new());
    let html = page(report, questions);
    check(&html);
    for part in [
        "Means over 4 queries with intervals of 95 %",
        ">0.500</text>",
        ">0.250</text>",
        ">0.625</text>",
        "2 queries better, 1 worse, 1 the same; +0.1250 on average",
        "2 queries better, 0 worse, 2 the same; +0.3750 on average",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    // There was no reranking.
    assert!(!html.contains("reranked"));
    let (up, down) = ("class=\"up\"", "class=\"down\"");
    assert_eq!(
        (html.matches(up).count(), html.matches(down).count()),
        (4, 1)
    );
}

#[test]
fn a_run_without_anything_to_draw_has_no_plots() {
    let report = Report::of_answers(reference(), "", metrics(&[("exact", 0.5)]));
    let question = QuestionRecord {
        id: "a".to_owned(),
        metrics: metrics(&[("exact", 0.5)]),
        ..QuestionRecord::default()
    };
    let html = page(report, vec![question]);
    assert!(!html.contains("<figure") && !html.contains("At a glance"));
    assert!(html.contains("0.5000"));
}
