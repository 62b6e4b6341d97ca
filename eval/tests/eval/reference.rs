//! Metrics agree with trec_eval's own code and with SQuAD's rules, on what `tests/fixtures/make.py` made. Point
//! `QUOIN_EVAL_REFERENCE` at another folder that it made to check the rankings of a real collection too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use quoin_eval::answers::{exact_match, f1, normalise};
use quoin_eval::{Metric, Qrels, Run, trec};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Rankings {
    qrels: Qrels,
    run: BTreeMap<String, BTreeMap<String, f64>>,
    by_query: BTreeMap<String, BTreeMap<String, f64>>,
    mean: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Answer {
    gold: String,
    predicted: String,
    normalised: String,
    exact: bool,
    f1: f64,
}

fn fixtures() -> PathBuf {
    PathBuf::from("tests/fixtures")
}

fn read<T: DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "trec_eval holds scores in 32 bits"
)]
fn run_of(rankings: &Rankings) -> Run {
    let mut run = Run::default();
    for (query, documents) in &rankings.run {
        run.insert(
            query,
            documents
                .iter()
                .map(|(document, score)| (document.clone(), *score as f32)),
        )
        .unwrap();
    }
    run
}

#[expect(
    clippy::print_stdout,
    reason = "how much was compared, for who runs it on a collection"
)]
fn assert_agrees(folder: &Path) {
    let rankings: Rankings = read(&folder.join("rankings.json"));
    let run = run_of(&rankings);
    let shown = folder.display();
    let mut compared = 0;
    for (name, mean) in &rankings.mean {
        let metric: Metric = name.parse().unwrap();
        for (query, value) in metric.by_query(&run, &rankings.qrels) {
            let expected = rankings.by_query[query][name];
            assert!(
                (value - expected).abs() < 1e-9,
                "{name} of {query} in {shown}: {value}, trec_eval says {expected}"
            );
            compared += 1;
        }
        let found = metric.mean(&run, &rankings.qrels);
        assert!(
            (found - mean).abs() < 1e-9,
            "{name} in {shown}: {found}, trec_eval says {mean}"
        );
    }
    println!("{compared} values agree with trec_eval in {shown}");
    assert!(compared > 100);
}

#[test]
fn every_metric_agrees_with_trec_eval_to_nine_digits() {
    assert_agrees(&fixtures());
    if let Some(folder) = std::env::var_os("QUOIN_EVAL_REFERENCE") {
        assert_agrees(Path::new(&folder));
    }
}

#[test]
fn a_run_written_and_read_again_has_the_same_metrics() {
    let rankings: Rankings = read(&fixtures().join("rankings.json"));
    let run = run_of(&rankings);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.bm25.trec");
    let mut written = Run::default();
    for (query, ranking) in run.rankings().filter(|(query, _)| !query.contains(' ')) {
        written
            .insert(
                query,
                ranking
                    .iter()
                    .map(|scored| (scored.document.clone(), scored.score)),
            )
            .unwrap();
    }
    trec::write_run(&path, &written, "quoin-bm25").unwrap();
    assert_eq!(crate::read_run(&path), written);
}

#[test]
fn answers_are_normalised_and_compared_as_squads_script_does() {
    let answers: Vec<Answer> = read(&fixtures().join("answers.json"));
    assert!(answers.len() > 400);
    for answer in answers {
        let (gold, predicted) = (&answer.gold, &answer.predicted);
        assert_eq!(normalise(gold), answer.normalised, "{gold:?}");
        assert_eq!(
            exact_match(gold, predicted),
            answer.exact,
            "{gold:?} {predicted:?}"
        );
        let found = f1(gold, predicted);
        assert!(
            (found - answer.f1).abs() < 1e-12,
            "{gold:?} {predicted:?}: {found}, not {}",
            answer.f1
        );
    }
}
