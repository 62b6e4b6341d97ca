//! Where a piece of a document stands in each stage of a search.

use quoin_retriever::{Retriever, RetrieverSettings, SearchRequest};

use super::{everyone, id, open, public, with_acl};

/// Code points of `words` in `text`.
fn piece(text: &str, words: &str) -> std::ops::Range<usize> {
    let start = text[..text.find(words).unwrap()].chars().count();
    start..start + words.chars().count()
}

#[test]
fn a_piece_is_found_in_its_passage_with_its_rank_in_every_stage() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let text = "Café rules. Badges are renewed at the gatehouse every March.";
    retriever.put(public("badges", text)).unwrap();
    for number in 0..30 {
        let other = format!("Page {number} tells of lunch, parking and the gardens.");
        retriever
            .put(public(&format!("other-{number}"), &other))
            .unwrap();
    }
    let request = SearchRequest::new("Where are badges renewed?", 5);
    let gold = piece(text, "renewed at the gatehouse");
    let found = retriever
        .whereabouts(&request, &id("badges"), &gold, &everyone())
        .unwrap();
    assert_eq!(found.passages.len(), 1);
    assert!(found.in_one_passage);
    assert_eq!(found.shared_terms, 2, "`badge` and `renew`");
    let stages = found.passages[0].stages;
    assert_eq!(stages.bm25.unwrap().rank, 1);
    assert_eq!(stages.vector.unwrap().rank, 1);
    assert_eq!(stages.fused.unwrap().rank, 1);
    assert_eq!(found.listed.bm25, 1, "no other page has the words");
    assert!(found.listed.vector > 1);
    let hits = retriever.search(&request, &everyone()).unwrap().hits;
    assert_eq!(hits[0].passage, found.passages[0].passage);
    assert_eq!(hits[0].stages, stages);
}

#[test]
fn a_piece_that_is_cut_apart_is_in_no_passage_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = RetrieverSettings::default();
    settings.passages.target_tokens = 24;
    settings.passages.max_tokens = 32;
    settings.passages.overlap_tokens = 0;
    let retriever = Retriever::open(folder.path(), settings).unwrap();
    let text = "The first rule concerns visitors who come to the main site by train in the morning. \
                The second rule concerns lorries which must wait outside until the yard is free again.";
    retriever.put(public("rules", text)).unwrap();
    let request = SearchRequest::new("rules for lorries and visitors", 5);
    let gold = piece(text, "in the morning. The second rule");
    let found = retriever
        .whereabouts(&request, &id("rules"), &gold, &everyone())
        .unwrap();
    assert_eq!(found.passages.len(), 2, "{:?}", found.passages);
    assert!(!found.in_one_passage);
}

#[test]
fn what_the_caller_may_not_read_is_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let text = "Bonuses are paid in May.";
    retriever
        .put(with_acl("secret", text, &["group:hr"]))
        .unwrap();
    let request = SearchRequest::new("When are bonuses paid?", 5);
    for document in ["secret", "absent"] {
        let found = retriever
            .whereabouts(&request, &id(document), &(0..7), &everyone())
            .unwrap();
        assert!(found.passages.is_empty(), "{document}");
        assert_eq!(found.shared_terms, 0);
        assert_eq!(found.listed.bm25, 0);
    }
}
