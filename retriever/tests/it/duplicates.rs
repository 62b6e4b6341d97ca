//! Near-duplicates, confidence, neighbours, and what an explanation says of what was dropped.

use quoin_retriever::{
    Access, Content, DocumentInput, Hit, Reason, Retriever, SearchRequest, SearchResult,
};
use serde_json::json;

use crate::{everyone, id, open, public, with_acl};

const POLICY: &str = "Remote work is allowed on three days a week. Whoever works from abroad asks the people team two weeks before the \
    journey, because tax and insurance depend on the country and on how long the stay is. Equipment is lent by the service desk, and \
    is brought back on the last day.";

fn search(retriever: &Retriever, query: &str, top_k: usize, access: &Access) -> SearchResult {
    let mut request = SearchRequest::new(query, top_k);
    request.explain = true;
    retriever.search(&request, access).unwrap()
}

fn names(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.document.as_str()).collect()
}

/// Two copies, and pages that mention the same words.
fn library(retriever: &Retriever) {
    retriever.put(public("wiki/remote", POLICY)).unwrap();
    retriever
        .put(public("wiki/old/remote", &POLICY.replace("lent", "given")))
        .unwrap();
    for page in 0..4 {
        let text = format!(
            "Office {page} has desks for remote work days. Its door opens at {page}:30 in the week."
        );
        retriever
            .put(public(&format!("office-{page}"), &text))
            .unwrap();
    }
}

#[test]
fn a_near_duplicate_leaves_its_place_to_what_says_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    library(&retriever);
    let result = search(&retriever, "remote work from abroad", 3, &everyone());
    let found = names(&result.hits);
    assert_eq!(
        found.iter().filter(|name| name.contains("remote")).count(),
        1,
        "{found:?}"
    );
    let (shown, hidden) = (&result.hits[0], &result.hits[0].duplicates);
    assert_eq!(hidden.len(), 1);
    let dropped = result.explanation.unwrap().dropped;
    let duplicate = dropped.iter().find(|one| one.passage == hidden[0]).unwrap();
    assert_eq!(duplicate.reason, Reason::NearDuplicate);
    assert_eq!(duplicate.duplicate_of.as_ref(), Some(&shown.passage));
    assert!(duplicate.stages.bm25.is_some());
    assert!(dropped.iter().any(|one| one.reason == Reason::BeyondTopK));
}

#[test]
fn near_duplicates_fill_places_that_nothing_else_takes_and_scores_never_rise() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    library(&retriever);
    let hits = search(&retriever, "remote work from abroad", 20, &everyone()).hits;
    assert_eq!(hits.len(), 6);
    assert!(hits[5].duplicate_of.is_some());
    assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
}

#[test]
fn the_canonical_page_and_the_newer_one_are_shown_for_their_copies() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    library(&retriever);
    let dated = |name: &str, from: &str| DocumentInput {
        effective_from: Some(from.parse().unwrap()),
        ..public(name, POLICY)
    };
    retriever.put(dated("wiki/remote", "2024-01-01")).unwrap();
    retriever
        .put(dated("wiki/2025/remote", "2025-01-01"))
        .unwrap();
    let first = |retriever: &Retriever| {
        let hits = search(retriever, "remote work from abroad", 3, &everyone()).hits;
        hits[0].document.to_string()
    };
    assert_eq!(first(&retriever), "wiki/2025/remote");
    let mut canonical = public("handbook/remote", POLICY);
    canonical.metadata.insert("canonical".into(), json!(true));
    retriever.put(canonical).unwrap();
    assert_eq!(first(&retriever), "handbook/remote");
}

#[test]
fn a_copy_that_the_caller_may_not_read_is_neither_shown_nor_named() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    library(&retriever);
    let mut secret = with_acl("board/remote", POLICY, &["group:board"]);
    secret.metadata.insert("canonical".into(), json!(true));
    retriever.put(secret).unwrap();
    let result = search(&retriever, "remote work from abroad", 20, &everyone());
    let json = serde_json::to_string(&result).unwrap();
    assert!(!json.contains("board"), "{json}");
    let board = Access::of(["group:board".to_owned()]);
    let hits = search(&retriever, "remote work from abroad", 20, &board).hits;
    assert_eq!(hits[0].document, id("board/remote"));
    assert_eq!(hits[0].duplicates.len(), 2);
}

#[test]
fn confidence_is_higher_where_the_question_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    library(&retriever);
    let of = |query: &str| search(&retriever, query, 3, &everyone()).confidence;
    assert!(of("remote work from abroad") > 0.6);
    assert!(of("melting point of tungsten") < 0.2);
    assert!(of("") < f32::EPSILON);
}

#[test]
fn neighbours_are_the_passages_before_and_after_and_only_readable_ones() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let mut page = public("guide", "");
    page.content = Content::markdown(
        "# One\n\nApples.\n\n# Two\n\nPears.\n\n# Three\n\nPlums.\n\n# Four\n\nFigs.",
    );
    retriever.put(page).unwrap();
    let hits = search(&retriever, "pears", 1, &everyone()).hits;
    let texts = |access: &Access| -> Vec<String> {
        let around = retriever.neighbours(&hits, access).unwrap();
        around.iter().map(|hit| hit.heading.join("/")).collect()
    };
    assert_eq!(texts(&everyone()), ["One", "Three"]);
    let mut closed = with_acl("guide", "", &["group:hr"]);
    closed.content = Content::markdown(
        "# One\n\nApples.\n\n# Two\n\nPears.\n\n# Three\n\nPlums.\n\n# Four\n\nFigs.",
    );
    retriever.put(closed).unwrap();
    assert!(texts(&everyone()).is_empty());
    assert!(retriever.neighbours(&[], &everyone()).unwrap().is_empty());
}
