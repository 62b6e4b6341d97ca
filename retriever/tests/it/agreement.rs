//! Catalogue, text index and vectors that do not agree, each in its way: the check says where, and a rebuild mends it.

use std::fmt::Write as _;
use std::path::Path;

use quoin_retriever::{Access, GenerationInfo, Retriever};
use rusqlite::Connection;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{everyone, found, open, public};

const NONE: Vec<String> = Vec::new();

fn filled(folder: &Path) -> Retriever {
    let retriever = open(folder);
    retriever.put(public("bad", "a walrus on the ice")).unwrap();
    retriever.put(public("good", "the walrus swims")).unwrap();
    retriever
}

fn execute(folder: &Path, sql: &str) {
    let catalogue = Connection::open(folder.join("quoin.db")).unwrap();
    assert_eq!(catalogue.execute(sql, []).unwrap(), 1, "{sql}");
}

/// Keeps a column of the passage about ice, and returns what puts it back.
fn remembered(folder: &Path) -> Vec<u8> {
    let catalogue = Connection::open(folder.join("quoin.db")).unwrap();
    let sql = "SELECT vector FROM passages WHERE text LIKE '%ice%'";
    catalogue.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn newest(retriever: &Retriever) -> GenerationInfo {
    retriever.generations().unwrap().pop().unwrap()
}

const OTHER_TITLE: &str = "UPDATE documents SET title = 'penguin' WHERE id = 'bad'";
const NO_TITLE: &str = "UPDATE documents SET title = NULL WHERE id = 'bad'";
const OTHER_VECTOR: &str = "UPDATE passages SET vector = (SELECT vector FROM passages WHERE text LIKE '%swims%') WHERE text LIKE '%ice%'";

fn restore_vector(folder: &Path, vector: &[u8]) {
    let catalogue = Connection::open(folder.join("quoin.db")).unwrap();
    let sql = "UPDATE passages SET vector = ?1 WHERE text LIKE '%ice%'";
    assert_eq!(catalogue.execute(sql, [vector]).unwrap(), 1);
}

/// A wrong snapshot is named, found by the check alone, and mended.
fn assert_named_and_mended(folder: &Path, wrong: &str) {
    let retriever = open(folder);
    let number = newest(&retriever).number;
    let problem = format!("the snapshot of generation {number}: {wrong}");
    let report = retriever.verify().unwrap();
    assert_eq!(report.problems, std::slice::from_ref(&problem));
    assert_eq!(report.repaired, NONE);
    let mended = retriever.repair().unwrap();
    assert_eq!((mended.problems, mended.repaired), (NONE, vec![problem]));
    assert_ne!(newest(&retriever).number, number);
    assert_eq!(retriever.verify().unwrap().problems, NONE);
    assert_eq!(found(&retriever, "ice", &everyone())[0], "bad");
    assert_eq!(found(&retriever, "swims", &everyone())[0], "good");
}

#[test]
fn a_text_index_with_other_words_than_the_catalogue_is_named_and_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path()));
    execute(folder.path(), OTHER_TITLE);
    open(folder.path()).rebuild().unwrap();
    execute(folder.path(), NO_TITLE);
    assert_named_and_mended(
        folder.path(),
        "the words of 1 passages are not those of the catalogue, such as of `bad`",
    );
}

#[test]
fn vectors_other_than_those_of_the_catalogue_are_named_and_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path()));
    let vector = remembered(folder.path());
    execute(folder.path(), OTHER_VECTOR);
    open(folder.path()).rebuild().unwrap();
    restore_vector(folder.path(), &vector);
    assert_named_and_mended(
        folder.path(),
        "the vectors of 1 passages are not those of the catalogue, such as of `bad`",
    );
}

/// Writes the digests of the files as they are now into a manifest, as one would who wants to hide a change.
fn sign_again(folder: &Path) {
    let path = folder.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let files = manifest["files"].as_object_mut().unwrap();
    files.retain(|name, _| folder.join(name).exists());
    let mut names: Vec<String> = files.keys().cloned().collect();
    for entry in std::fs::read_dir(folder.join("text")).unwrap() {
        names.push(format!(
            "text/{}",
            entry.unwrap().file_name().to_string_lossy()
        ));
    }
    for name in names {
        let mut digest = String::new();
        for byte in Sha256::digest(std::fs::read(folder.join(&name)).unwrap()) {
            write!(digest, "{byte:02x}").unwrap();
        }
        files.insert(name, digest.into());
    }
    std::fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
}

#[test]
fn a_text_index_of_other_passages_is_named_and_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = filled(folder.path());
    let first = retriever.rebuild().unwrap().number;
    // The same number of passages, one of them under a new key.
    retriever
        .put(public("bad", "a walrus on more ice"))
        .unwrap();
    let second = retriever.rebuild().unwrap().number;
    drop(retriever);
    let generations = folder.path().join("generations");
    let (older, newer) = (
        generations.join(first.to_string()),
        generations.join(second.to_string()),
    );
    std::fs::remove_dir_all(newer.join("text")).unwrap();
    std::fs::rename(older.join("text"), newer.join("text")).unwrap();
    std::fs::remove_dir_all(older).unwrap();
    sign_again(&newer);
    let retriever = open(folder.path());
    let problems = retriever.verify().unwrap().problems;
    let wrong = format!("the snapshot of generation {second}: ");
    assert_eq!(
        problems,
        [
            format!("{wrong}its indexes hold other passages than it says"),
            format!(
                "{wrong}the words of 1 passages are not those of the catalogue, such as of `bad`"
            ),
        ]
    );
    assert_eq!(retriever.repair().unwrap().problems, NONE);
    assert_eq!(found(&retriever, "more ice", &everyone())[0], "bad");
}

#[test]
fn what_is_served_from_memory_is_held_against_the_catalogue_too() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = filled(folder.path());
    assert_eq!(retriever.verify().unwrap().problems, NONE);
    let vector = remembered(folder.path());
    execute(folder.path(), OTHER_VECTOR);
    let wrong = "what was written since the snapshot: the vectors of 1 passages are not those of the catalogue, such as of `bad`";
    assert_eq!(retriever.verify().unwrap().problems, [wrong]);
    restore_vector(folder.path(), &vector);
    assert_eq!(retriever.verify().unwrap().problems, NONE);
    execute(folder.path(), OTHER_TITLE);
    let problems = retriever.verify().unwrap().problems;
    let wrong = "what was written since the snapshot: the words of 1 passages are not those of the catalogue, such as of `bad`";
    for wrong in [wrong, "`bad` is not served as stored"] {
        let wrong = wrong.to_owned();
        assert!(problems.contains(&wrong), "{problems:?}");
    }
    execute(folder.path(), NO_TITLE);
    assert_eq!(retriever.verify().unwrap().problems, NONE);
}

#[test]
fn a_document_that_the_catalogue_lost_is_named_until_what_is_there_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = filled(folder.path());
    retriever.rebuild().unwrap();
    let catalogue = Connection::open(folder.path().join("quoin.db")).unwrap();
    catalogue
        .execute_batch(
            "DELETE FROM passages WHERE text LIKE '%ice%';
             DELETE FROM document_texts WHERE text LIKE '%ice%';
             DELETE FROM cuts WHERE document = (SELECT ordinal FROM documents WHERE id = 'bad');
             DELETE FROM documents WHERE id = 'bad'",
        )
        .unwrap();
    drop(catalogue);
    let problems = retriever.verify().unwrap().problems;
    assert_eq!(
        problems,
        ["documents are served that the catalogue does not hold"]
    );
    drop(retriever);
    let retriever = open(folder.path());
    assert_eq!(retriever.verify().unwrap().problems, NONE);
    assert_eq!(found(&retriever, "walrus", &Access::admin()), ["good"]);
}
