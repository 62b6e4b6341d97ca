//! Effective dates and superseded documents.

use quoin_retriever::{Access, Content, Page, SearchRequest, Timestamp};

use crate::{everyone, found, id, open, public, with_acl};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_document_is_shown_while_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let mut input = public("rule", "The parking rule.");
    input.effective_from = Some(at("2020-01-01"));
    input.effective_until = Some(at("2021-01-01"));
    retriever.put(input).unwrap();
    let mut future = public("next", "The parking rule to come.");
    future.effective_from = Some(at("9000-01-01"));
    retriever.put(future).unwrap();
    assert!(found(&retriever, "parking", &everyone()).is_empty());
    let mut request = SearchRequest::new("parking", 5);
    for (moment, want) in [
        ("2019-12-31T23:59:59Z", 0),
        ("2020-01-01", 1),
        ("2020-12-31T23:59:59.999Z", 1),
        ("2021-01-01", 0),
        ("9000-01-01", 1),
    ] {
        request.at = Some(at(moment));
        let hits = retriever.search(&request, &everyone()).unwrap().hits;
        assert_eq!(hits.len(), want, "{moment}");
    }
    assert!(
        retriever.document(&id("rule"), &everyone()).is_ok(),
        "it can still be read"
    );
}

#[test]
fn a_superseded_document_is_shown_to_those_alone_who_do_not_see_its_successor() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    retriever
        .put(public("old", "Travel costs two hundred euro."))
        .unwrap();
    let mut new = with_acl("new", "Travel costs three hundred euro.", &["group:staff"]);
    new.supersedes = Some(id("old"));
    new.effective_from = Some(at("2026-01-01"));
    retriever.put(new).unwrap();
    assert_eq!(found(&retriever, "travel", &everyone()), ["old"]);
    assert_eq!(
        found(&retriever, "travel", &Access::of(["group:staff"])),
        ["new"]
    );
    let mut before = SearchRequest::new("travel", 5);
    before.at = Some(at("2025-06-01"));
    let hits = retriever
        .search(&before, &Access::of(["group:staff"]))
        .unwrap()
        .hits;
    assert_eq!(hits[0].document.as_str(), "old");
    retriever.delete(&id("new"), &Access::admin()).unwrap();
    assert_eq!(
        found(&retriever, "travel", &Access::of(["group:staff"])),
        ["old"]
    );
}

#[test]
fn front_matter_fills_in_what_the_input_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let text = "---\ntitle: Bonus\nacl: [group:hr]\neffective_from: 2026-01-01\nteam: people\n---\n# Bonus\n\nTen percent.";
    let mut input = public("bonus", "");
    input.content = Content::markdown(text);
    input.acl = None;
    input.title = Some("Bonus rules".into());
    retriever.put(input).unwrap();
    let document = retriever
        .document(&id("bonus"), &Access::of(["group:hr"]))
        .unwrap();
    assert_eq!(document.title.as_deref(), Some("Bonus rules"));
    assert_eq!(document.effective_from, Some(at("2026-01-01")));
    assert_eq!(document.metadata["team"], "people");
    let stored = retriever.text(&id("bonus"), &Access::admin()).unwrap();
    assert!(stored.starts_with("# Bonus"));
}

#[test]
fn what_takes_effect_later_is_read_by_admin_alone_and_replaced_by_its_readers() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let mut future = public("future", "the walrus of tomorrow");
    future.effective_from = Some(at("9000-01-01"));
    retriever.put(future).unwrap();
    let mut past = public("past", "the walrus of yesterday");
    past.effective_from = Some(at("2020-01-01"));
    past.effective_until = Some(at("2021-01-01"));
    retriever.put(past).unwrap();
    let listed = |access: &Access| -> Vec<String> {
        let documents = retriever.documents(access, &Page::default()).unwrap();
        documents.iter().map(|one| one.id.to_string()).collect()
    };
    let (future, past) = (id("future"), id("past"));
    assert!(retriever.document(&future, &everyone()).is_err());
    assert!(retriever.text(&future, &everyone()).is_err());
    assert_eq!(listed(&everyone()), ["past"]);
    assert!(retriever.text(&past, &everyone()).is_ok());
    assert!(retriever.document(&past, &everyone()).is_ok());
    let admin = Access::admin();
    assert!(retriever.document(&future, &admin).is_ok());
    assert!(retriever.text(&future, &admin).is_ok());
    assert_eq!(listed(&admin), ["future", "past"]);
    assert!(retriever.may_replace(&future, &everyone()));
    retriever
        .put(crate::with_acl("secret", "walrus", &["group:hr"]))
        .unwrap();
    assert!(!retriever.may_replace(&id("secret"), &everyone()));
    assert!(retriever.may_replace(&id("missing"), &everyone()));
}
