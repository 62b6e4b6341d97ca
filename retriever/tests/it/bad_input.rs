//! Input that is wrong, hostile or too much: a clear error, and nothing lost.

use quoin_retriever::{
    Access, Content, DocumentInput, Format, Retriever, RetrieverError, RetrieverSettings,
    SearchRequest,
};

use crate::growth::assert_bounded;
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
    let mut spaced_token = public("a", "x");
    spaced_token.acl = Some(vec!["group hr".into()]);
    let mut long_token = public("a", "x");
    long_token.acl = Some(vec!["t".repeat(129)]);
    let mut many_tokens = public("a", "x");
    many_tokens.acl = Some((0..4097).map(|number| format!("user:{number}")).collect());
    let mut long_title = public("a", "x");
    long_title.title = Some("t".repeat(1025));
    let mut long_uri = public("a", "x");
    long_uri.uri = Some("u".repeat(4097));
    let mut long_uri_inside = public("a", "x");
    long_uri_inside.content = Content::markdown(format!("---\nuri: {}\n---\n", "u".repeat(4097)));
    let mut long_source = public("a", "x");
    long_source.source = Some("s".repeat(513));
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
            "`acl` has tokens of 1 to 128 bytes without white space, commas and control characters, got `group:\\n` of 7 \
             bytes",
        ),
        (spaced_token, "`acl` has tokens of 1 to 128 bytes"),
        (long_token, "`acl` has tokens of 1 to 128 bytes"),
        (many_tokens, "`acl` has at most 4096 tokens, got 4097"),
        (long_title, "`title` has at most 1024 bytes, got 1025"),
        (long_uri, "`uri` has at most 4096 bytes, got 4097"),
        (long_uri_inside, "`uri` has at most 4096 bytes, got 4097"),
        (long_source, "`source` has at most 512 bytes, got 513"),
        (
            big_metadata,
            "`metadata` has at most 65536 bytes of JSON, got 70008",
        ),
    ];
    for (input, want) in cases {
        let error = retriever.put(input).unwrap_err();
        assert!(error.to_string().starts_with(want), "{error}");
        // Only what is too much as a whole is `TooLarge`: the server answers these two kinds differently.
        let of_a_field = matches!(
            error,
            RetrieverError::Invalid { .. } | RetrieverError::Unreadable { .. }
        );
        assert!(of_a_field && error.is_input(), "{error:?}");
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

/// A page that costs more than it looks, of any size.
type Bomb = fn(usize) -> String;

#[test]
fn html_bombs_cost_bounded_time_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let bombs: [(Bomb, usize); 7] = [
        (|size| "<div>".repeat(size), 1_000_000),
        (|size| format!("<p {}>", "a=1 ".repeat(size)), 200_000),
        (
            |size| format!("<p class='{}'>x</p>", "y".repeat(size)),
            20 << 20,
        ),
        (|size| "<table><tr><td>".repeat(size), 100_000),
        (|size| "<!--".repeat(size), 500_000),
        (|size| "&amp;".repeat(size), 1_000_000),
        (|size| "<li>x".repeat(size), 200_000),
    ];
    let puts = std::cell::Cell::new(0);
    for (bomb, size) in bombs {
        assert_bounded(&bomb(1), size, |size| {
            // What is there already would not be cut again.
            puts.set(puts.get() + 1);
            let _ = retriever.put(html(format!("{} {}", bomb(size), puts.get())));
        });
    }
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
    // Another connection's limit does not bind ours, so a trigger fails the write once its first rows are in.
    let other = rusqlite::Connection::open(folder.path().join("quoin.db")).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON passages BEGIN SELECT RAISE(FAIL, 'full'); END",
        )
        .unwrap();
    let error = retriever
        .put(public("lost", "the penguin goes"))
        .unwrap_err();
    assert!(matches!(error, RetrieverError::Storage { .. }), "{error}");
    assert_eq!(found(&retriever, "walrus penguin", &everyone()), ["kept"]);
    other.execute_batch("DROP TRIGGER full").unwrap();
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
