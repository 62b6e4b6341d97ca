//! Other passage rules: built beside what serves, put in its place as a whole, and left again at once.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use quoin_retriever::{CompactionSettings, Retriever, RetrieverSettings};

use crate::{EndsLoops, everyone, found, id, open, public, with_acl};

/// Sixty sentences, so that rules show in the number of passages.
fn long(word: &str) -> String {
    format!("One sentence about a {word} here. ").repeat(60)
}

fn short_passages() -> RetrieverSettings {
    let mut settings = RetrieverSettings::default();
    settings.passages.target_tokens = 40;
    settings.passages.max_tokens = 60;
    settings
}

/// With nothing in the background: what was begun stays as it is.
fn by_hand(settings: RetrieverSettings) -> RetrieverSettings {
    RetrieverSettings {
        compaction: CompactionSettings {
            automatic: false,
            ..CompactionSettings::default()
        },
        ..settings
    }
}

fn open_with(folder: &Path, settings: RetrieverSettings) -> Retriever {
    Retriever::open(folder, settings).unwrap()
}

/// Two documents under the default rules, with a snapshot.
fn begin(folder: &Path) -> u64 {
    let retriever = open(folder);
    retriever.put(public("a", &long("walrus"))).unwrap();
    retriever.put(public("b", &long("seal"))).unwrap();
    retriever.rebuild().unwrap();
    retriever.statistics().passages
}

#[test]
fn the_old_rules_serve_and_take_writes_until_the_new_ones_are_ready() {
    let folder = tempfile::tempdir().unwrap();
    let before = begin(folder.path());
    let retriever = open_with(folder.path(), by_hand(short_passages()));
    let building = retriever.statistics().building.unwrap();
    assert_eq!(building.documents, 0);
    assert!(building.goes_on);
    assert_eq!(retriever.statistics().passages, before);
    retriever.put(public("c", &long("otter"))).unwrap();
    retriever.delete(&id("b"), &everyone()).unwrap();
    assert_eq!(found(&retriever, "otter", &everyone())[0], "c");
    retriever.rebuild().unwrap();
    let after = retriever.statistics();
    assert!(after.building.is_none() && after.passages > 2 * before);
    for (word, document) in [("walrus", "a"), ("otter", "c")] {
        assert_eq!(found(&retriever, word, &everyone())[0], document);
    }
    assert!(!found(&retriever, "seal", &everyone()).contains(&"b".to_owned()));
    assert!(retriever.verify().unwrap().problems.is_empty());
}

#[test]
fn what_never_had_a_snapshot_can_be_gone_back_to() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    retriever.put(public("a", &long("walrus"))).unwrap();
    let before = retriever.statistics();
    assert_eq!(before.snapshot, None);
    drop(retriever);
    let retriever = open_with(folder.path(), by_hand(short_passages()));
    retriever.rebuild().unwrap();
    assert!(retriever.statistics().passages > before.passages);
    retriever.rollback().unwrap();
    assert_eq!(retriever.statistics().pipeline, before.pipeline);
    assert_eq!(retriever.statistics().passages, before.passages);
    assert_eq!(found(&retriever, "walrus", &everyone())[0], "a");
    assert!(retriever.verify().unwrap().problems.is_empty());
}

#[test]
fn going_back_is_possible_at_once_and_lasts_and_brings_back_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let before = begin(folder.path());
    let retriever = open_with(folder.path(), short_passages());
    retriever.settle();
    retriever.put(public("c", &long("otter"))).unwrap();
    retriever
        .put(with_acl("a", &long("walrus"), &["group:hr"]))
        .unwrap();
    retriever.delete(&id("b"), &everyone()).unwrap();
    retriever.settle();
    retriever.rollback().unwrap();
    let check = |retriever: &Retriever| {
        assert_eq!(
            retriever.statistics().passages,
            before,
            "two documents again"
        );
        assert_eq!(found(retriever, "otter", &everyone()), ["c"]);
        assert!(
            found(retriever, "walrus seal", &everyone())
                .iter()
                .all(|name| name == "c")
        );
        assert!(retriever.verify().unwrap().problems.is_empty());
    };
    check(&retriever);
    assert!(
        retriever.rollback().is_err(),
        "going back again is not going forth"
    );
    drop(retriever);
    let retriever = open_with(folder.path(), short_passages());
    retriever.settle();
    check(&retriever);
    assert!(!retriever.statistics().building.unwrap().goes_on);
    retriever.put(public("d", &long("narwhal"))).unwrap();
    retriever.rebuild().unwrap();
    assert!(retriever.statistics().building.is_none());
    assert!(retriever.statistics().passages > 2 * before);
    assert_eq!(found(&retriever, "narwhal", &everyone())[0], "d");
    assert!(retriever.verify().unwrap().problems.is_empty());
}

#[test]
fn what_was_begun_when_the_process_ended_is_finished_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    begin(folder.path());
    let words = ["otter", "narwhal", "puffin", "beluga"];
    {
        let retriever = open(folder.path());
        for word in words {
            retriever.put(public(word, &long(word))).unwrap();
        }
    }
    // Opened and closed at once, some of the documents are cut, or none, or all.
    drop(open_with(folder.path(), short_passages()));
    let retriever = open_with(folder.path(), short_passages());
    retriever.settle();
    assert!(retriever.statistics().building.is_none());
    assert!(retriever.verify().unwrap().problems.is_empty());
    assert_eq!(retriever.statistics().documents, 6);
    for word in words {
        assert_eq!(found(&retriever, word, &everyone())[0], word);
    }
}

#[test]
fn a_pipeline_that_none_goes_back_to_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let before = begin(folder.path());
    for target in [40, 60, 80] {
        let mut settings = short_passages();
        settings.passages.target_tokens = target;
        settings.passages.max_tokens = target + 20;
        open_with(folder.path(), settings).settle();
    }
    let retriever = open(folder.path());
    retriever.settle();
    assert_eq!(retriever.statistics().passages, before);
    drop(retriever);
    let catalogue = rusqlite::Connection::open(folder.path().join("quoin.db")).unwrap();
    let count = |sql| {
        catalogue
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    // The one that serves and the one before it.
    assert_eq!(count("SELECT count(*) FROM pipelines"), 2);
    assert_eq!(count("SELECT count(DISTINCT pipeline) FROM passages"), 2);
}

#[test]
fn searches_and_writes_go_on_while_a_pipeline_is_built() {
    let folder = tempfile::tempdir().unwrap();
    {
        let retriever = open(folder.path());
        for number in 0..150 {
            retriever
                .put(public(&format!("d{number}"), &long("walrus")))
                .unwrap();
        }
    }
    let retriever = open_with(folder.path(), short_passages());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ends = EndsLoops(&done);
        let searcher = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert!(!found(&retriever, "walrus", &everyone()).is_empty());
            }
        });
        for number in 0..60 {
            let name = format!("new{number}");
            retriever
                .put(public(&name, &format!("the {name} otter")))
                .unwrap();
            assert_eq!(found(&retriever, &name, &everyone())[0], name);
        }
        retriever.settle();
        drop(ends);
        searcher.join().unwrap();
    });
    assert!(retriever.statistics().building.is_none());
    assert_eq!(retriever.statistics().documents, 210);
    assert!(retriever.verify().unwrap().problems.is_empty());
}
