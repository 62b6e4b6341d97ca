//! What is said about a document changes at once, and its passages stay.

use quoin_retriever::{Access, DocumentChange, PassageId, Retriever, SearchRequest, Timestamp};
use serde_json::json;

use crate::{everyone, found, id, open, public, with_acl};

fn acl(tokens: &[&str]) -> DocumentChange {
    DocumentChange {
        acl: Some(Some(tokens.iter().map(ToString::to_string).collect())),
        ..DocumentChange::default()
    }
}

/// Keys of the passages, and their vectors, as the catalogue has them.
fn passages(folder: &std::path::Path) -> Vec<(i64, Vec<u8>)> {
    let catalogue = rusqlite::Connection::open(folder.join("quoin.db")).unwrap();
    let mut statement = catalogue
        .prepare("SELECT key, vector FROM passages ORDER BY key")
        .unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn a_list_that_changes_takes_effect_with_the_next_search_and_passages_stay() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    retriever.put(public("a", "walrus tusks")).unwrap();
    retriever.rebuild().unwrap();
    let before = passages(folder.path());
    assert_eq!(found(&retriever, "walrus", &everyone()), ["a"]);

    let admin = Access::admin();
    let stored = retriever
        .change_as(&id("a"), acl(&["group:hr"]), &admin)
        .unwrap();
    assert_eq!((stored.version, stored.unchanged), (2, false));
    assert!(found(&retriever, "walrus", &everyone()).is_empty());
    assert!(retriever.document(&id("a"), &everyone()).is_err());
    assert_eq!(
        found(&retriever, "walrus", &Access::of(["group:hr"])),
        ["a"]
    );
    assert_eq!(passages(folder.path()), before);
    assert_eq!(retriever.statistics().delta_passages, 0);

    let again = retriever
        .change_as(&id("a"), acl(&["group:hr"]), &admin)
        .unwrap();
    assert_eq!((again.version, again.unchanged), (2, true));
    drop(retriever);
    let retriever = open(folder.path());
    assert!(found(&retriever, "walrus", &everyone()).is_empty());
    assert_eq!(retriever.verify().unwrap().problems, Vec::<String>::new());
}

#[test]
fn what_the_writer_may_not_read_is_not_there_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    retriever
        .put(with_acl("a", "walrus", &["group:hr"]))
        .unwrap();
    let refused = |name: &str| {
        let error = retriever.change_as(&id(name), acl(&["public"]), &everyone());
        error.unwrap_err().to_string().replace(name, "X")
    };
    assert_eq!(refused("a"), refused("missing"));
    assert!(found(&retriever, "walrus", &everyone()).is_empty());
}

#[test]
fn fields_are_merged_and_null_removes_them() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let mut input = public("a", "walrus");
    input.uri = Some("https://example.org".to_owned());
    input.metadata = serde_json::from_value(json!({"team": "sea", "year": 2020})).unwrap();
    input.effective_until = Some("2999-01-01".parse::<Timestamp>().unwrap());
    retriever.put(input).unwrap();
    let change = DocumentChange {
        uri: Some(None),
        metadata: Some(Some(
            serde_json::from_value(json!({"team": null, "place": "ice"})).unwrap(),
        )),
        effective_until: Some(None),
        ..DocumentChange::default()
    };
    retriever.change_as(&id("a"), change, &everyone()).unwrap();
    let document = retriever.document(&id("a"), &everyone()).unwrap();
    assert_eq!(document.uri, None);
    assert_eq!(document.effective_until, None);
    assert_eq!(
        serde_json::Value::Object(document.metadata),
        json!({"year": 2020, "place": "ice"})
    );
}

#[test]
fn a_new_title_is_searched_and_the_text_stays() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    retriever.put(public("a", "tusks and whiskers")).unwrap();
    let text = retriever.text(&id("a"), &everyone()).unwrap();
    let change = DocumentChange {
        title: Some(Some("Walruses".to_owned())),
        ..DocumentChange::default()
    };
    retriever.change_as(&id("a"), change, &everyone()).unwrap();
    assert_eq!(retriever.text(&id("a"), &everyone()).unwrap(), text);
    assert_eq!(
        by_words(&retriever, "walruses"),
        [PassageId::new(&id("a"), 0)]
    );
    assert_eq!(retriever.verify().unwrap().problems, Vec::<String>::new());
}

fn by_words(retriever: &Retriever, query: &str) -> Vec<PassageId> {
    let mut request = SearchRequest::new(query, 5);
    request.explain = true;
    let hits = retriever.search(&request, &everyone()).unwrap().hits;
    let by_words = hits.into_iter().filter(|hit| hit.stages.bm25.is_some());
    by_words.map(|hit| hit.passage).collect()
}

#[test]
fn whoever_changes_a_list_does_not_lend_the_page_what_they_may_read() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    retriever
        .put(with_acl("secret", "walrus", &["group:hr"]))
        .unwrap();
    let mut page = public("page", "seal");
    page.supersedes = Some(id("secret"));
    retriever.put_as(page, &everyone()).unwrap();
    let hr = Access::of(["group:hr"]);
    assert_eq!(found(&retriever, "walrus", &hr), ["secret", "page"]);
    retriever
        .change_as(&id("page"), acl(&["public", "group:hr"]), &Access::admin())
        .unwrap();
    assert!(found(&retriever, "walrus", &hr).contains(&"secret".to_owned()));
}

#[test]
fn a_document_updated_a_thousand_times_leaves_one_version_behind() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    for round in 0..1000 {
        let text = format!("walrus number {round} has long tusks");
        retriever.put(public("a", &text)).unwrap();
    }
    retriever.settle();
    retriever.rebuild().unwrap();
    let statistics = retriever.statistics();
    assert_eq!((statistics.documents, statistics.passages), (1, 1));
    assert_eq!(
        (statistics.delta_passages, statistics.dead_passages),
        (0, 0)
    );
    assert_eq!(
        retriever.document(&id("a"), &everyone()).unwrap().version,
        1000
    );
    assert_eq!(passages(folder.path()).len(), 1);
    let catalogue = rusqlite::Connection::open(folder.path().join("quoin.db")).unwrap();
    for table in ["documents", "document_texts", "cuts"] {
        let rows: i64 = catalogue
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(rows, 1, "{table}");
    }
}
