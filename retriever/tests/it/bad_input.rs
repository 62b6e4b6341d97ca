//! Input that is wrong, hostile or too much: a clear error, and nothing lost.

use std::time::{Duration, Instant};

use quoin_retriever::{
    Access, Content, DocumentInput, Format, Retriever, RetrieverError, RetrieverSettings,
    SearchRequest,
};

use crate::{everyone, found, id, open, public};

fn html(text: String) -> DocumentInput {
    let mut input = public("page", "");
    input.content = Content::Text {
        text,
        format: Format::Html,
    };
    input
}

#[test]
fn errors_say_what_was_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let mut bad_yaml = public("a", "");
    bad_yaml.content = Content::markdown("---\neffective_from: soon\n---\ntext");
    let mut bad_dates = public("a", "x");
    bad_dates.effective_from = Some("2026-02-01".parse().unwrap());
    bad_dates.effective_until = Some("2026-01-01".parse().unwrap());
    let mut bad_acl = public("a", "x");
    bad_acl.acl = Some(vec!["group:\n".into()]);
    let mut big_metadata = public("a", "x");
    big_metadata
        .metadata
        .insert("k".into(), "v".repeat(70_000).into());
    let cases = [
        (
            bad_yaml,
            "cannot read the document as markdown: front matter: `effective_from`",
        ),
        (bad_dates, "`effective_until` is after `effective_from`"),
        (
            bad_acl,
            "`acl` tokens have 1 to 256 bytes and no control characters, got `group:\\n`",
        ),
        (
            big_metadata,
            "metadata may have at most 65536 bytes of JSON",
        ),
    ];
    for (input, want) in cases {
        let error = retriever.put(input).unwrap_err();
        assert!(error.is_input());
        assert!(error.to_string().starts_with(want), "{error}");
    }
    for top_k in [0, 1001] {
        let error = retriever
            .search(&SearchRequest::new("x", top_k), &everyone())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`top_k` is 1 to 1000, got {top_k}")
        );
    }
    let megabyte = "x ".repeat(1 << 19);
    let error = retriever
        .search(&SearchRequest::new(megabyte, 5), &everyone())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "a query may have at most 65536 bytes, got 1048576"
    );
    assert_eq!(retriever.statistics().documents, 0);
}

#[test]
fn html_bombs_cost_bounded_time_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let started = Instant::now();
    let bombs = [
        "<div>".repeat(1_000_000),
        format!("<p {}>", "a=1 ".repeat(200_000)),
        format!("<p class='{}'>x</p>", "y".repeat(20 << 20)),
        "<table><tr><td>".repeat(100_000),
        "<!--".repeat(500_000),
        "&amp;".repeat(1_000_000),
        "<li>x".repeat(200_000),
    ];
    for bomb in bombs {
        let _ = retriever.put(html(bomb));
    }
    assert!(
        started.elapsed() < Duration::from_mins(2),
        "{:?}",
        started.elapsed()
    );
    retriever.put(public("after", "the walrus lives")).unwrap();
    assert!(found(&retriever, "walrus", &everyone()).contains(&"after".to_owned()));
}

#[test]
fn a_document_of_fifty_megabytes_is_stored_or_refused_with_both_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = RetrieverSettings::default();
    settings.limits.passages = 20_000;
    let retriever = Retriever::open(folder.path(), settings).unwrap();
    let paragraph = "All work and no play makes a dull walrus. ".repeat(20) + "\n\n";
    let text = paragraph.repeat((50 << 20) / paragraph.len());
    let error = retriever.put(public("big", &text)).unwrap_err();
    assert!(
        matches!(
            error,
            RetrieverError::TooLarge {
                limit: 20_000,
                unit: "passages",
                ..
            }
        ),
        "{error}"
    );
    let error = retriever
        .put(public("bigger", &"x".repeat(65 << 20)))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "a document may have at most 67108864 bytes, got 68157440"
    );
}

#[test]
fn a_file_that_is_not_a_catalogue_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("quoin.db"),
        "not a database at all, but long enough to look",
    )
    .unwrap();
    let error = Retriever::open(folder.path(), RetrieverSettings::default())
        .err()
        .unwrap();
    assert!(matches!(error, RetrieverError::Storage { .. }), "{error}");
    assert!(!error.is_input());
}

#[test]
fn when_the_catalogue_cannot_grow_a_put_fails_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    retriever.put(public("kept", "the walrus stays")).unwrap();
    // Another connection's limit does not bind ours, so hold the write lock instead: SQLite gives up after its time limit.
    let other = rusqlite::Connection::open(folder.path().join("quoin.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = retriever
        .put(public("lost", "the penguin goes"))
        .unwrap_err();
    assert!(matches!(error, RetrieverError::Storage { .. }), "{error}");
    assert_eq!(found(&retriever, "walrus penguin", &everyone()), ["kept"]);
    other.execute_batch("ROLLBACK").unwrap();
    retriever.put(public("lost", "the penguin goes")).unwrap();
    assert_eq!(
        retriever
            .document(&id("lost"), &Access::admin())
            .unwrap()
            .version,
        1
    );
    assert!(retriever.verify().unwrap().problems.is_empty());
}

#[test]
fn an_empty_document_is_stored_and_found_by_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    for text in ["", " \n\t\n", "\u{0}\u{200b}"] {
        let stored = retriever.put(public("empty", text)).unwrap();
        assert!(stored.passages <= 1);
        assert_eq!(retriever.text(&id("empty"), &everyone()).unwrap(), text);
    }
    retriever.rebuild().unwrap();
    assert!(retriever.verify().unwrap().problems.is_empty());
}
