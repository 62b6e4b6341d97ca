//! A clock that jumps changes what holds at the moment, and nothing else: order comes from generations and keys.

use std::path::Path;

use crate::document::{DocumentChange, Purge};
use crate::timestamp::tests::JUMPED_MILLISECONDS;
use crate::{
    Access, Content, DocumentId, DocumentInput, Retriever, RetrieverSettings, SearchRequest,
    Timestamp,
};

const HOUR: i64 = 3_600_000;
const YEAR: i64 = 365 * 24 * HOUR;

/// Puts the clock back when a test ends, for the next one on this thread.
struct Jumped;

impl Jumped {
    fn by(milliseconds: i64) -> Self {
        JUMPED_MILLISECONDS.set(milliseconds);
        Self
    }
}

impl Drop for Jumped {
    fn drop(&mut self) {
        JUMPED_MILLISECONDS.set(0);
    }
}

fn id(name: &str) -> DocumentId {
    DocumentId::new(name).unwrap()
}

fn input(name: &str, text: &str) -> DocumentInput {
    DocumentInput {
        acl: Some(vec!["public".to_owned()]),
        ..DocumentInput::new(id(name), Content::text(text))
    }
}

fn open(folder: &Path) -> Retriever {
    Retriever::open(folder, RetrieverSettings::default()).unwrap()
}

fn finds(retriever: &Retriever, query: &str, access: &Access) -> Vec<String> {
    let request = SearchRequest::new(query, 20);
    let hits = retriever.search(&request, access).unwrap().hits;
    hits.into_iter().map(|hit| hit.text).collect()
}

#[test]
fn writes_deletions_and_snapshots_are_in_order_whatever_the_clock_says() {
    let folder = tempfile::tempdir().unwrap();
    let everyone = Access::of(Vec::<String>::new());
    let admin = Access::admin();
    let (mut version, mut generation) = (0, 0);
    let jumps = [0, 10 * YEAR, -20 * YEAR, HOUR, -HOUR, 0];
    for (round, jump) in jumps.into_iter().enumerate() {
        let _back = Jumped::by(jump);
        let retriever = open(folder.path());
        let text = format!("walrus in round {round}");
        let stored = retriever.put(input("kept", &text)).unwrap();
        assert!(stored.version > version && stored.generation > generation);
        (version, generation) = (stored.version, stored.generation);
        retriever.put(input("gone", &text)).unwrap();
        retriever.put(input("hidden", &text)).unwrap();
        retriever.rebuild().unwrap();
        let hide = DocumentChange {
            acl: Some(Some(vec!["group:hr".to_owned()])),
            ..DocumentChange::default()
        };
        retriever.change_as(&id("hidden"), hide, &admin).unwrap();
        let receipt = retriever.delete(&id("gone"), &admin).unwrap();
        assert!(receipt.generation > generation);
        let found = finds(&retriever, "walrus", &everyone);
        assert_eq!(found, std::slice::from_ref(&text));
        retriever.settle();
        let receipt = retriever.receipt(&id("gone")).unwrap();
        assert_eq!(receipt.purge, Purge::Done);
        assert!(receipt.is_genuine());
        assert_eq!(retriever.deletion_pending_seconds().unwrap(), 0);
        let erased = retriever.verify_erased(&id("gone"), &[]).unwrap();
        assert_eq!(erased.findings, [] as [crate::Finding; 0]);
        // The snapshot before the present one is so by its number.
        let newest = retriever.rebuild().unwrap().number;
        assert!(retriever.rollback().unwrap().number < newest);
        assert_eq!(finds(&retriever, "walrus", &everyone), [text]);
        assert!(retriever.verify().unwrap().problems.is_empty());
    }
    let retriever = open(folder.path());
    assert_eq!(
        finds(&retriever, "walrus", &everyone),
        [format!("walrus in round {}", jumps.len() - 1)]
    );
}

#[test]
fn what_holds_follows_the_clock_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let everyone = Access::of(Vec::<String>::new());
    let in_a_year = Timestamp::from_milliseconds(Timestamp::now().as_milliseconds() + YEAR);
    let in_a_year = in_a_year.unwrap();
    let before = DocumentInput {
        effective_until: Some(in_a_year),
        ..input("before", "walrus before")
    };
    let after = DocumentInput {
        effective_from: Some(in_a_year),
        ..input("after", "walrus after")
    };
    retriever.put(before).unwrap();
    retriever.put(after).unwrap();
    for (jump, want) in [
        (0, "walrus before"),
        (2 * YEAR, "walrus after"),
        (-30 * YEAR, "walrus before"),
        (YEAR + HOUR, "walrus after"),
        (YEAR - HOUR, "walrus before"),
    ] {
        let _back = Jumped::by(jump);
        assert_eq!(finds(&retriever, "walrus", &everyone), [want], "{jump}");
    }
}
