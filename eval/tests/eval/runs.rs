//! Runs and run files: what is written is read back, and what trec_eval would refuse is refused with its place.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use quoin_eval::{DatasetReference, Judgements, Metric, Qrels, Report, Run, trec};

fn run(documents: &[(&str, f32)]) -> Run {
    let mut run = Run::default();
    run.insert(
        "1",
        documents
            .iter()
            .map(|(id, score)| ((*id).to_owned(), *score)),
    )
    .unwrap();
    run
}

#[test]
fn a_run_file_has_six_columns_and_ranks_from_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.bm25.trec");
    trec::write_run(&path, &run(&[("b", 0.1), ("a", 12.5)]), "quoin-bm25").unwrap();
    assert_eq!(
        fs::read_to_string(path).unwrap(),
        "1 Q0 a 1 12.5 quoin-bm25\n1 Q0 b 2 0.1 quoin-bm25\n"
    );
}

#[test]
fn an_id_that_would_be_two_columns_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for id in ["a b", "", "a\u{a0}b", "a\n"] {
        let error =
            trec::write_run(&folder.path().join("run"), &run(&[(id, 1.0)]), "tag").unwrap_err();
        assert!(error.to_string().contains("cannot be a column"), "{error}");
    }
}

#[test]
fn a_run_that_trec_eval_would_refuse_is_refused_with_its_query() {
    for (documents, reason) in [
        (
            [("a", 2.0), ("a", 1.0)],
            "query `1`: document `a` was retrieved twice",
        ),
        (
            [("a", 2.0), ("b", f32::NAN)],
            "query `1`: the score of `b` is NaN, must be finite",
        ),
    ] {
        let documents = documents.map(|(id, score)| (id.to_owned(), score));
        let error = Run::default().insert("1", documents).unwrap_err();
        assert_eq!(error.to_string(), reason);
    }
}

#[test]
fn a_report_of_retrieval_has_the_standard_metrics_for_each_stage() {
    let judged = Judgements::from([("a".to_owned(), 1)]);
    let qrels = Qrels::from([("1".to_owned(), judged.clone()), ("2".to_owned(), judged)]);
    let runs = BTreeMap::from([("bm25".to_owned(), run(&[("a", 1.0)]))]);
    let dataset = DatasetReference {
        name: "tiny".to_owned(),
        digest: "sha256:00".to_owned(),
        documents: 1,
    };
    let report = Report::of_retrieval(dataset.clone(), "{}", &runs, &qrels);
    assert_eq!(report.n, 2);
    assert_eq!(
        report.metrics["bm25"]["nDCG@10"].to_bits(),
        0.5_f64.to_bits()
    );
    assert_eq!(report, Report::of_retrieval(dataset, "{}", &runs, &qrels));

    let folder = tempfile::tempdir().unwrap();
    Report::write_runs(folder.path(), &runs).unwrap();
    assert_eq!(
        crate::read_run(&folder.path().join("run.bm25.trec")),
        runs["bm25"]
    );
}

proptest! {
    /// Whatever was retrieved and judged, in whatever order it came: shares stay shares, and a longer cutoff never recalls less.
    #[test]
    fn metrics_are_shares_and_do_not_depend_on_the_order_of_insertion(
        scores in proptest::collection::btree_map("[a-e]{1,2}", 0_u8..4, 0..20),
        grades in proptest::collection::btree_map("[a-e]{1,2}", -1_i32..4, 0..20),
        cutoff in 1_usize..30,
    ) {
        let documents: Vec<(String, f32)> = scores.into_iter().map(|(id, score)| (id, f32::from(score))).collect();
        let mut forward = Run::default();
        forward.insert("q", documents.iter().cloned()).unwrap();
        let mut backward = Run::default();
        backward.insert("q", documents.iter().rev().cloned()).unwrap();
        prop_assert_eq!(&forward, &backward);
        for metric in [
            Metric::NormalisedDcg(cutoff),
            Metric::Recall(cutoff),
            Metric::ReciprocalRank(Some(cutoff)),
            Metric::AveragePrecision,
            Metric::Precision(cutoff),
            Metric::Success(cutoff),
        ] {
            let value = metric.of(forward.ranking("q"), &grades);
            prop_assert!((0.0..=1.0 + 1e-12).contains(&value), "{metric} is {value}");
        }
        let recall = |cutoff| Metric::Recall(cutoff).of(forward.ranking("q"), &grades);
        prop_assert!(recall(cutoff) <= recall(cutoff + 1));
    }

    #[test]
    fn any_finite_score_survives_a_run_file(bits in proptest::collection::vec(any::<u32>(), 1..20)) {
        let scores = bits.into_iter().map(f32::from_bits).filter(|score| score.is_finite());
        let mut run = Run::default();
        run.insert("q", scores.enumerate().map(|(number, score)| (format!("d{number}"), score))).unwrap();
        prop_assume!(!run.ranking("q").is_empty());
        let folder = tempfile::tempdir().unwrap();
        trec::write_run(&folder.path().join("run"), &run, "tag").unwrap();
        prop_assert_eq!(crate::read_run(&folder.path().join("run")), run);
    }
}
