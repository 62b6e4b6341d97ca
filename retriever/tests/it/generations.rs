//! Snapshots: rebuilding, going back, damage on disk, and compaction beside searches and writes.

use std::sync::atomic::{AtomicBool, Ordering};

use quoin_retriever::{Access, CompactionSettings, Retriever, RetrieverError, RetrieverSettings};

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
    retriever.settle();
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

/// Documents `<name>/0` to `<name>/4`, each with a word of its own.
fn put_five(retriever: &Retriever, name: &str, acl: &str) {
    for number in 0..5 {
        let text = format!("walrus {name}word{number}");
        let input = crate::with_acl(&format!("{name}/{number}"), &text, &[acl]);
        retriever.put(input).unwrap();
    }
}

fn finds_each_by_its_own_word(retriever: &Retriever, name: &str) {
    for number in 0..5 {
        let found = found(retriever, &format!("{name}word{number}"), &everyone());
        assert_eq!(found[0], format!("{name}/{number}"));
    }
}

/// What SQLite keeps beside a catalogue that is closed, too.
fn copy_catalogue(from: &std::path::Path, to: &std::path::Path) {
    for name in ["quoin.db-wal", "quoin.db-shm"] {
        let _ = std::fs::remove_file(to.join(name));
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
    std::fs::copy(from.join("quoin.db"), to.join("quoin.db")).unwrap();
}

fn bm25_of(retriever: &Retriever, query: &str) -> Vec<String> {
    let rankings = retriever.rankings(query, 10, &Access::admin()).unwrap();
    let documents = rankings.bm25.iter();
    documents
        .map(|(document, _)| document.to_string())
        .collect()
}

#[test]
fn a_catalogue_from_before_its_snapshots_does_not_use_them() {
    let folder = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    put_five(&retriever, "a", "public");
    drop(retriever);
    copy_catalogue(folder.path(), copy.path());
    let retriever = open(folder.path());
    put_five(&retriever, "b", "group:hr");
    let stale = retriever.rebuild().unwrap().number;
    drop(retriever);
    copy_catalogue(copy.path(), folder.path());

    let retriever = open(folder.path());
    assert!(!folder.path().join(format!("generations/{stale}")).exists());
    put_five(&retriever, "c", "public");
    drop(retriever);
    let retriever = open(folder.path());
    finds_each_by_its_own_word(&retriever, "a");
    finds_each_by_its_own_word(&retriever, "c");
    for number in 0..5 {
        let word = format!("bword{number}");
        assert_eq!(bm25_of(&retriever, &word), Vec::<String>::new());
    }
    assert_eq!(retriever.verify().unwrap().problems, Vec::<String>::new());
}

#[test]
fn a_snapshot_of_another_catalogue_is_reported_refused_and_rebuilt() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let retriever = open(other.path());
    put_five(&retriever, "b", "group:hr");
    let number = retriever.rebuild().unwrap().number;
    drop(retriever);
    let retriever = open(one.path());
    put_five(&retriever, "a", "public");
    put_five(&retriever, "c", "public");
    let place = |folder: &std::path::Path| folder.join(format!("generations/{number}"));
    std::fs::rename(place(other.path()), place(one.path())).unwrap();
    let problems = retriever.verify().unwrap().problems;
    assert!(
        problems.len() == 1 && problems[0].contains("it is of catalogue `"),
        "{problems:?}"
    );
    assert!(matches!(
        retriever.activate(number),
        Err(RetrieverError::Snapshot { .. })
    ));
    drop(retriever);
    let retriever = open(one.path());
    assert!(!place(one.path()).exists());
    finds_each_by_its_own_word(&retriever, "a");
    finds_each_by_its_own_word(&retriever, "c");
    assert_eq!(bm25_of(&retriever, "bword3"), Vec::<String>::new());
}

#[test]
fn a_snapshot_that_names_no_catalogue_is_used_when_its_generation_fits() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    put_five(&retriever, "a", "public");
    let number = retriever.rebuild().unwrap().number;
    drop(retriever);
    let path = folder
        .path()
        .join(format!("generations/{number}/manifest.json"));
    let json = std::fs::read_to_string(&path).unwrap();
    let lines = json.lines().filter(|line| !line.contains("\"catalogue\""));
    let older: Vec<&str> = lines.collect();
    assert_eq!(older.len() + 1, json.lines().count());
    std::fs::write(&path, older.join("\n")).unwrap();
    let retriever = open(folder.path());
    assert_eq!(retriever.statistics().snapshot, Some(number));
    finds_each_by_its_own_word(&retriever, "a");
}

#[test]
fn snapshots_without_their_catalogue_are_not_taken_for_a_new_folder() {
    let folder = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    put_five(&retriever, "a", "public");
    let number = retriever.rebuild().unwrap().number;
    drop(retriever);
    copy_catalogue(folder.path(), copy.path());
    let path = folder.path().join("quoin.db");
    for empty in [false, true] {
        for name in ["quoin.db", "quoin.db-wal", "quoin.db-shm"] {
            let _ = std::fs::remove_file(folder.path().join(name));
        }
        if empty {
            std::fs::write(&path, b"").unwrap();
        }
        for _ in 0..2 {
            let error = Retriever::open(folder.path(), RetrieverSettings::default()).err();
            let generations = folder.path().join("generations");
            assert_eq!(
                error.unwrap().to_string(),
                format!(
                    "`{}` is missing or was never written to, but `{}` holds a snapshot of generation `{number}`: put the copy \
                     of `quoin.db` back, or remove `{}` to begin anew",
                    path.display(),
                    generations.display(),
                    generations.display()
                )
            );
            assert_eq!(path.exists(), empty);
        }
    }
    copy_catalogue(copy.path(), folder.path());
    let retriever = open(folder.path());
    assert_eq!(retriever.statistics().snapshot, Some(number));
    finds_each_by_its_own_word(&retriever, "a");
    drop(retriever);
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_dir_all(folder.path().join("generations")).unwrap();
    assert_eq!(open(folder.path()).statistics().documents, 0);
}
