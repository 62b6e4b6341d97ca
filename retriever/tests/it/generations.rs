//! Snapshots: rebuilding, going back, damage on disk, and compaction beside searches and writes.

use std::sync::atomic::{AtomicBool, Ordering};

use quoin_retriever::{CompactionSettings, Retriever, RetrieverError, RetrieverSettings};

use crate::{EndsLoops, everyone, found, id, open, public};

#[test]
fn going_back_brings_back_neither_deleted_documents_nor_old_lists() {
    let folder = tempfile::tempdir().unwrap();
    let settings = RetrieverSettings {
        compaction: CompactionSettings {
            kept_snapshots: 3,
            ..CompactionSettings::default()
        },
        ..RetrieverSettings::default()
    };
    let retriever = Retriever::open(folder.path(), settings).unwrap();
    retriever.put(public("a", "walrus one")).unwrap();
    retriever.put(public("b", "walrus two")).unwrap();
    let first = retriever.rebuild().unwrap();
    retriever
        .put(crate::with_acl("b", "walrus two", &["group:hr"]))
        .unwrap();
    retriever.put(public("c", "walrus three")).unwrap();
    let second = retriever.rebuild().unwrap();
    assert!(second.number > first.number && second.active);
    let back = retriever.rollback().unwrap();
    assert_eq!(back.number, first.number);
    let mut names = found(&retriever, "walrus", &everyone());
    names.sort();
    assert_eq!(names, ["a", "c"]);
    assert!(retriever.verify().unwrap().problems.is_empty());
    drop(retriever);
    let retriever = open(folder.path());
    assert_eq!(
        retriever.statistics().snapshot,
        Some(first.number),
        "the choice is kept"
    );
    retriever.activate(second.number).unwrap();
    assert_eq!(retriever.statistics().delta_passages, 0);
    assert!(matches!(
        retriever.activate(999),
        Err(RetrieverError::UnknownGeneration { wanted: 999, .. })
    ));
    retriever.delete(&id("a"), &everyone()).unwrap();
    retriever.settle();
    assert!(
        retriever.rollback().is_err(),
        "what held the deleted document is gone"
    );
    assert_eq!(retriever.generations().unwrap().len(), 1);
}

#[test]
fn a_snapshot_with_a_flipped_bit_or_a_missing_file_is_rebuilt() {
    for name in [
        "vectors.rows",
        "passages.keys",
        "tokens.counts",
        "text/meta.json",
        "manifest.json",
    ] {
        for missing in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let retriever = open(folder.path());
            retriever.put(public("a", "a walrus on the ice")).unwrap();
            let snapshot = retriever.rebuild().unwrap();
            let path = folder
                .path()
                .join(format!("generations/{}/{name}", snapshot.number));
            let mut bytes = std::fs::read(&path).unwrap();
            if missing {
                std::fs::remove_file(&path).unwrap();
            } else {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                std::fs::write(&path, bytes).unwrap();
            }
            let report = retriever.verify().unwrap();
            assert_eq!(report.problems.len(), 1, "{name}: {:?}", report.problems);
            drop(retriever);
            let retriever = open(folder.path());
            assert_eq!(found(&retriever, "walrus", &everyone()), ["a"], "{name}");
            assert!(retriever.verify().unwrap().problems.is_empty());
        }
    }
}

#[test]
fn the_catalogue_alone_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    for number in 0..50 {
        retriever
            .put(public(
                &format!("d{number}"),
                &format!("walrus number {number}"),
            ))
            .unwrap();
    }
    retriever.rebuild().unwrap();
    drop(retriever);
    std::fs::remove_dir_all(folder.path().join("generations")).unwrap();
    let retriever = open(folder.path());
    assert_eq!(found(&retriever, "number 17", &everyone())[0], "d17");
}

#[test]
fn other_passage_rules_cut_the_stored_documents_again() {
    let folder = tempfile::tempdir().unwrap();
    let text = "One sentence about a walrus here. ".repeat(60);
    let passages = {
        let retriever = open(folder.path());
        retriever.put(public("a", &text)).unwrap();
        retriever.rebuild().unwrap();
        retriever.statistics().passages
    };
    let mut settings = RetrieverSettings::default();
    settings.passages.target_tokens = 40;
    settings.passages.max_tokens = 60;
    let retriever = Retriever::open(folder.path(), settings).unwrap();
    assert!(retriever.statistics().passages > 2 * passages);
    assert_eq!(
        retriever.document(&id("a"), &everyone()).unwrap().version,
        1
    );
    assert_eq!(found(&retriever, "walrus", &everyone()), ["a"]);
    assert!(retriever.verify().unwrap().problems.is_empty());
}

#[test]
fn compaction_neither_stops_searches_nor_loses_writes() {
    let folder = tempfile::tempdir().unwrap();
    let settings = RetrieverSettings {
        compaction: CompactionSettings {
            delta_passages: 20,
            ..CompactionSettings::default()
        },
        ..RetrieverSettings::default()
    };
    let retriever = Retriever::open(folder.path(), settings).unwrap();
    retriever.put(public("fixed", "the fixed walrus")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends_loops = EndsLoops(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert_eq!(found(&retriever, "fixed walrus", &everyone())[0], "fixed");
            }
        });
        for number in 0..150 {
            let name = format!("d{number}");
            retriever
                .put(public(&name, &format!("penguin {number}")))
                .unwrap();
            assert!(found(&retriever, &format!("penguin {number}"), &everyone()).contains(&name));
            if number % 40 == 39 {
                retriever.rebuild().unwrap();
            }
        }
    });
    retriever.settle();
    assert_eq!(retriever.statistics().documents, 151);
    assert!(retriever.statistics().snapshot.is_some());
    assert!(retriever.generations().unwrap().len() <= 2);
    assert!(retriever.verify().unwrap().problems.is_empty());
}
