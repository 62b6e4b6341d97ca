//! Data sets: what BEIR and our answers look like is read, and what is wrong is named with its file and line.

use std::fs;
use std::path::Path;

use quoin_eval::{Dataset, DatasetReference};
use tempfile::TempDir;

const CORPUS: &str = r#"{"_id": "d1", "title": "One", "text": "first", "metadata": {"group": "x"}}
{"_id": "d2", "text": "second"}
"#;
const QUERIES: &str = r#"{"_id": "q1", "text": "which is first?"}
{"_id": "q2", "text": "which is last?", "metadata": {}}
"#;
const QRELS: &str = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t-1\n";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("qrels")).unwrap();
    for (name, content) in [
        ("corpus.jsonl", CORPUS),
        ("queries.jsonl", QUERIES),
        ("qrels/test.tsv", QRELS),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn error(folder: &Path) -> String {
    let read = || -> Result<(), quoin_eval::EvalError> {
        let dataset = Dataset::open(folder)?;
        dataset.judged_queries()?;
        dataset
            .corpus()?
            .try_for_each(|document| document.map(drop))
    };
    read().expect_err("it was read").to_string()
}

#[test]
fn a_beir_folder_is_read() {
    let folder = folder();
    let dataset = Dataset::open(folder.path()).unwrap();
    assert_eq!(dataset.queries.len(), 2);
    assert_eq!(
        dataset.judged_queries().unwrap(),
        [("q1", "which is first?")]
    );
    assert_eq!(dataset.qrels["q1"]["d1"], 2);
    let documents: Vec<_> = dataset.corpus().unwrap().map(Result::unwrap).collect();
    assert_eq!(
        (documents[0].title.as_str(), documents[1].title.as_str()),
        ("One", "")
    );
    assert_eq!(documents[0].metadata["group"], "x");
    assert!(dataset.questions.is_empty());
}

#[test]
fn qrels_may_have_no_header_or_trecs_four_columns() {
    let folder = folder();
    fs::write(folder.path().join("qrels/test.tsv"), "q1\td1\t1\n").unwrap();
    fs::write(
        folder.path().join("qrels/dev.tsv"),
        "q1 0 d1 1\r\nq2 0 d2 0\r\n",
    )
    .unwrap();
    assert_eq!(Dataset::open(folder.path()).unwrap().qrels["q1"]["d1"], 1);
    let dev = Dataset::open_split(folder.path(), "dev").unwrap();
    assert_eq!(dev.qrels["q2"]["d2"], 0);
}

#[test]
fn answers_are_read_in_the_spellings_of_several_collections() {
    let folder = folder();
    let lines = r#"{"id": "1", "question": "?", "answers": ["a", "b"], "is_impossible": false, "context_id": "d1"}
{"id": "2", "question": "?", "answers": [], "is_impossible": true}
{"id": "3", "question": "?", "answer": "yes", "long_answer": "x"}
{"id": "4", "question": "?", "answer": [1.5, "x"], "context_ids": ["d1", "d2"]}
"#;
    fs::write(folder.path().join("qa.jsonl"), lines).unwrap();
    let questions = Dataset::open(folder.path()).unwrap().questions;
    assert_eq!(questions[0].answers, ["a", "b"]);
    assert_eq!(questions[0].documents, ["d1"]);
    assert!(questions[1].is_impossible);
    assert_eq!(questions[2].answers, ["yes"]);
    assert_eq!(questions[3].answers, ["1.5", "x"]);
    assert_eq!(questions[3].documents, ["d1", "d2"]);
}

#[test]
fn what_is_wrong_is_named_with_its_file_and_line() {
    let cases = [
        (
            "corpus.jsonl",
            "{\"_id\": \"d1\", \"text\": \"x\"}\n\n{\"_id\": \"d2\"}\n",
            "corpus.jsonl:3: missing field `text`",
        ),
        (
            "corpus.jsonl",
            "{\"_id\": \"d1\", \"text\": \"x\"}\n{\"_id\": \"d1\", \"text\": \"y\"}\n",
            "corpus.jsonl:2: document `d1` came before",
        ),
        ("corpus.jsonl", "not json\n", "corpus.jsonl:1: expected"),
        (
            "queries.jsonl",
            "{\"_id\": \"q1\", \"text\": \"x\"}\n{\"_id\": \"q1\", \"text\": \"y\"}\n",
            "queries.jsonl:2: query `q1` came before, as `x`",
        ),
        (
            "queries.jsonl",
            "{\"_id\": \"q2\", \"text\": \"x\"}\n",
            "judges query `q1`, which queries.jsonl does not have",
        ),
        ("qrels/test.tsv", "q1\td1\n", "test.tsv:1: has 2 columns"),
        (
            "qrels/test.tsv",
            "q\td\ts\nq1\td1\thigh\n",
            "test.tsv:2: grade `high` is no whole number",
        ),
        (
            "qrels/test.tsv",
            "q1\td1\t1\nq1\td1\t2\n",
            "test.tsv:2: document `d1` was judged before for query `q1`",
        ),
        (
            "qrels/test.tsv",
            "query-id\tcorpus-id\tscore\n",
            "holds no judgement",
        ),
        (
            "qa.jsonl",
            "{\"id\": \"1\", \"question\": \"?\", \"answers\": [], \"is_impossible\": false}\n",
            "qa.jsonl:1: `is_impossible` is false with 0 answers",
        ),
        (
            "qa.jsonl",
            "{\"id\": \"1\", \"question\": \"?\", \"answers\": {}, \"is_impossible\": true}\n",
            "qa.jsonl:1: `answers` must be a list of texts",
        ),
    ];
    for (file, content, expected) in cases {
        let folder = folder();
        fs::write(folder.path().join(file), content).unwrap();
        let found = error(folder.path());
        assert!(found.contains(expected), "{found} does not say {expected}");
    }
}

#[test]
fn invalid_utf8_is_named_with_its_line() {
    let folder = folder();
    fs::write(
        folder.path().join("corpus.jsonl"),
        [
            CORPUS.as_bytes(),
            b"{\"_id\": \"d3\", \"text\": \"\xff\"}\n",
        ]
        .concat(),
    )
    .unwrap();
    let found = error(folder.path());
    assert!(found.contains("corpus.jsonl:3: is not UTF-8"), "{found}");
}

#[test]
fn a_missing_file_is_named() {
    for file in ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"] {
        let folder = folder();
        fs::remove_file(folder.path().join(file)).unwrap();
        let found = error(folder.path());
        assert!(found.contains(file), "{found}");
    }
}

#[test]
fn the_digest_changes_with_every_file() {
    let first = folder();
    let reference = DatasetReference::of(&Dataset::open(first.path()).unwrap()).unwrap();
    assert_eq!(reference.documents, 2);
    let again = DatasetReference::of(&Dataset::open(folder().path()).unwrap()).unwrap();
    assert_eq!(reference.digest, again.digest);
    for (file, content) in [
        ("corpus.jsonl", CORPUS.replace("first", "1st")),
        ("queries.jsonl", QUERIES.replace("first", "1st")),
        (
            "qrels/test.tsv",
            QRELS.replace('2', "3").replace("d3", "d2"),
        ),
        ("qa.jsonl", String::new()),
    ] {
        let changed = folder();
        fs::write(changed.path().join(file), content).unwrap();
        let digest = Dataset::open(changed.path()).unwrap().digest().unwrap();
        assert_ne!(reference.digest, digest, "{file}");
    }
}
