//! `quoin eval retrieval` on a small BEIR folder.

use crate::place::Place;

fn dataset() -> Place {
    let place = Place::new();
    place.write(
        "set/corpus.jsonl",
        r#"{"_id": "d1", "title": "Leave", "text": "Birth parents take 26 weeks of paid leave."}
{"_id": "d2", "title": "", "text": "A hotel in Kobe may cost up to 190 euros a night."}
{"_id": "d3", "title": "Parking", "text": "Bay seven is for visitors of the workshop."}
"#,
    );
    place.write(
        "set/queries.jsonl",
        "{\"_id\": \"q1\", \"text\": \"paid leave of parents\"}\n{\"_id\": \"q2\", \"text\": \"hotel in Kobe\"}\n",
    );
    place.write(
        "set/qrels/test.tsv",
        "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n",
    );
    place
}

#[test]
fn every_stage_is_scored_and_reports_and_runs_are_written() {
    let place = dataset();
    let ran = place
        .run(&["eval", "retrieval", "--dataset", "set", "--out", "out"])
        .ok();
    for word in [
        "nDCG@10",
        "R@100",
        "bm25",
        "vector",
        "fused",
        "reranked",
        "passages/s",
        "p99",
    ] {
        assert!(
            ran.stdout.contains(word),
            "`{word}` is not in: {}",
            ran.stdout
        );
    }
    for file in [
        "report.json",
        "report.md",
        "report.html",
        "junit.xml",
        "run.bm25.trec",
        "run.vector.trec",
        "run.fused.trec",
        "run.reranked.trec",
    ] {
        assert!(place.path("out").join(file).exists(), "{file}");
    }
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.path("out/report.json")).unwrap()).unwrap();
    assert_eq!(report["metrics"]["bm25"]["nDCG@10"], 1.0, "{report}");
    assert_eq!(report["n"], 2);
    assert!(!place.data().exists(), "the data folder is not touched");
}

#[test]
fn json_holds_the_report_and_a_limit_takes_fewer_queries() {
    let place = dataset();
    let report = place
        .run(&[
            "eval",
            "retrieval",
            "--dataset",
            "set",
            "--limit",
            "1",
            "--json",
        ])
        .ok()
        .json();
    assert_eq!(report["n"], 1);
    assert_eq!(report["ingestion"]["documents"], 3);
    assert_eq!(report["metrics"]["fused"]["R@100"], 1.0, "{report}");
}

#[test]
fn what_is_configured_is_what_is_measured_unless_an_option_says_otherwise() {
    let place = dataset();
    let config = "[retrieval]\nembedder = \"bundled-encoder\"\nreranker = \"off\"\n";
    place.write("quoin.toml", config);
    let measured = |options: &[&str]| {
        let call = ["eval", "retrieval", "--dataset", "set", "--json"];
        let call = [&call[..], options].concat();
        place.run(&call).ok().json()["config_digest"].clone()
    };
    let configured = ["--config", "quoin.toml"];
    let options = ["--reranker", "auto", "--embedder", "bundled"];
    assert_ne!(measured(&configured), measured(&[]));
    assert_eq!(
        measured(&[&configured[..], &options].concat()),
        measured(&[])
    );
}

#[test]
fn a_version_in_effect_wins_over_the_one_that_it_replaced_and_loses_where_it_is_not_found() {
    let place = dataset();
    let corpus = |kobe: &str| {
        format!(
            r#"{{"_id": "d1", "title": "Leave", "text": "Birth parents take 26 weeks of paid leave."}}
{{"_id": "old", "text": "A hotel in Kobe may cost up to 150 euros a night."}}
{{"_id": "d2", "text": "{kobe}", "metadata": {{"supersedes": "old"}}}}
"#
        )
    };
    let wins = |kobe: &str| {
        place.write("set/corpus.jsonl", corpus(kobe));
        let call = ["eval", "retrieval", "--dataset", "set", "--json"];
        let report = place.run(&call).ok().json();
        assert_eq!(report["checks"]["stale_hit_rate"], 0.0, "{report}");
        report["checks"]["current_version_wins"].as_f64().unwrap()
    };
    assert!((wins("A hotel in Kobe may cost up to 190 euros a night.") - 1.0).abs() < 1e-9);
    place.write("set/queries.jsonl", "{\"_id\": \"q1\", \"text\": \"paid leave of parents\"}\n{\"_id\": \"q2\", \"text\": \"\"}\n");
    assert!(
        wins("Rooms: see the portal.").abs() < 1e-9,
        "nothing finds it"
    );
}

#[test]
fn what_is_missing_or_broken_in_a_data_set_is_named() {
    let place = dataset();
    place
        .run(&["eval", "retrieval", "--dataset", "nothing"])
        .fails(1, "corpus.jsonl");
    place
        .run(&["eval", "retrieval", "--dataset", "set", "--split", "dev"])
        .fails(1, "dev.tsv");
    place.write("set/corpus.jsonl", "{\"_id\": \"d1\"}\n");
    place
        .run(&["eval", "retrieval", "--dataset", "set"])
        .fails(1, "corpus.jsonl:1");
}
