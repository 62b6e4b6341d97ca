//! Comparisons: what is paired, what is refused, what is shown.

use std::collections::BTreeMap;

use quoin_eval::compare::{CompareOptions, Comparison};
use quoin_eval::record::{CitationRecord, EvaluatedRun, QuestionRecord};
use quoin_eval::{DatasetReference, Report};

/// A run of questions `q00`, `q01`, … with these values of `exact`.
pub fn run(values: &[f64], first: usize) -> EvaluatedRun {
    let questions = values
        .iter()
        .enumerate()
        .map(|(index, value)| QuestionRecord {
            id: format!("q{:02}", index + first),
            question: format!("Question <{}>?", index + first),
            metrics: BTreeMap::from([("exact".to_owned(), *value)]),
            gold: vec!["<b>gold</b>".to_owned()],
            answer: Some("<script>alert(1)</script>|`".into()),
            citations: vec![CitationRecord {
                document: "a&b".to_owned(),
                quote: "\"quoted\"".to_owned(),
            }],
            ..QuestionRecord::default()
        });
    let report = Report {
        dataset: DatasetReference {
            name: "tiny".to_owned(),
            digest: "sha256:00".to_owned(),
            documents: 1,
        },
        n: values.len(),
        config_digest: "sha256:11".to_owned(),
        release: Some("sha256:22".to_owned()),
        adapter: Some("handbook@3".to_owned()),
        metrics: BTreeMap::new(),
        checks: BTreeMap::new(),
        answers: BTreeMap::new(),
        kinds: BTreeMap::new(),
        thresholds: Vec::new(),
        timings_ms: BTreeMap::new(),
    };
    EvaluatedRun::new(report, questions.collect()).unwrap()
}

#[test]
fn questions_of_one_side_are_counted_and_named() {
    let comparison = Comparison::of(
        &run(&[1.0, 1.0, 0.0], 0),
        &run(&[0.0, 0.0, 1.0], 1),
        &CompareOptions::default(),
    )
    .unwrap();
    assert_eq!(
        (
            comparison.paired,
            comparison.only_a.count,
            comparison.only_b.count
        ),
        (2, 1, 1)
    );
    assert_eq!(
        (
            comparison.only_a.ids[0].as_str(),
            comparison.only_b.ids[0].as_str()
        ),
        ("q00", "q03")
    );
    let metric = &comparison.metrics["exact"];
    assert_eq!((metric.n, metric.worsened, metric.improved), (2, 1, 0));
    assert!((metric.difference + 0.5).abs() < 1e-12);
}

#[test]
fn runs_on_other_data_are_refused_unless_asked_for() {
    let (left, mut right) = (run(&[1.0], 0), run(&[0.0], 0));
    right.report.dataset.digest = "sha256:99".to_owned();
    let error = Comparison::of(&left, &right, &CompareOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("sha256:00") && error.contains("sha256:99"),
        "{error}"
    );
    let options = CompareOptions {
        allow_different_data: true,
        ..CompareOptions::default()
    };
    let comparison = Comparison::of(&left, &right, &options).unwrap();
    assert!(comparison.warnings[0].starts_with("different data sets"));
    right.report.dataset.digest = left.report.dataset.digest.clone();
    right.questions[0].question = "Another?".to_owned();
    let error = Comparison::of(&left, &right, &options)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("question `q00` is not the same text"),
        "{error}"
    );
    assert!(Comparison::of(&left, &run(&[1.0], 5), &options).is_err());
}

#[test]
fn the_worst_flip_comes_first_and_the_list_is_bounded() {
    let options = CompareOptions {
        flips: 2,
        ..CompareOptions::default()
    };
    let comparison = Comparison::of(
        &run(&[0.0, 1.0, 0.5, 1.0], 0),
        &run(&[1.0, 0.75, 0.0, 1.0], 0),
        &options,
    )
    .unwrap();
    assert_eq!(comparison.flipped, 3);
    let ids: Vec<&str> = comparison
        .flips
        .iter()
        .map(|flip| flip.id.as_str())
        .collect();
    assert_eq!(ids, ["q02", "q01"]);
}

#[test]
fn markup_from_outside_is_text_in_every_view() {
    let comparison = Comparison::of(
        &run(&[1.0, 0.0], 0),
        &run(&[0.0, 0.0], 0),
        &CompareOptions::default(),
    )
    .unwrap();
    let html = comparison.to_html();
    assert!(
        html.contains("&lt;script&gt;alert(1)")
            && !html.contains("<script")
            && !html.contains("http")
    );
    assert!(html.contains("a&amp;b") && html.contains("<svg"));
    let markdown = comparison.to_markdown();
    assert!(
        !markdown.contains("<script") && markdown.contains("\\|\\`"),
        "{markdown}"
    );
    assert!(comparison.to_junit().contains("name=\"exact\""));
    let read: Comparison =
        serde_json::from_str(&serde_json::to_string(&comparison).unwrap()).unwrap();
    assert_eq!((read.flips, read.a), (comparison.flips, comparison.a));
}

#[test]
fn ten_thousand_resamples_of_two_thousand_questions_are_the_same_each_time() {
    let value = |index: usize| f64::from(u8::try_from(index * 7 % 11).unwrap()) / 10.0;
    let left: Vec<f64> = (0..2_000).map(value).collect();
    let right: Vec<f64> = (0..2_000).map(|index| value(index + index % 3)).collect();
    let compare =
        || Comparison::of(&run(&left, 0), &run(&right, 0), &CompareOptions::default()).unwrap();
    assert_eq!(compare(), compare());
}

#[test]
fn few_clusters_are_warned_of() {
    let (left, mut right) = (run(&[1.0; 40], 0), run(&[0.0; 40], 0));
    for (index, question) in right.questions.iter_mut().enumerate() {
        question.cluster = Some(format!("c{}", index / 4));
    }
    let comparison = Comparison::of(&left, &right, &CompareOptions::default()).unwrap();
    assert_eq!(comparison.metrics["exact"].clusters, Some(10));
    assert!(
        comparison
            .warnings
            .iter()
            .any(|warning| warning.starts_with("only 10 clusters"))
    );
}
