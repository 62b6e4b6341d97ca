//! Rows of the catalogue that are not what was written: the check names their documents, and the others are found.

use quoin_retriever::{Access, Retriever, RetrieverSettings, SearchRequest};
use rusqlite::Connection;

use crate::{everyone, found, id, open, public};

/// Two documents, after which `sql` was run on the catalogue of a closed retriever.
fn damaged_by(folder: &std::path::Path, snapshot: bool, sql: &str) -> Retriever {
    let retriever = open(folder);
    retriever.put(public("bad", "a walrus on the ice")).unwrap();
    retriever.put(public("good", "the walrus swims")).unwrap();
    if snapshot {
        retriever.rebuild().unwrap();
    }
    assert_eq!(retriever.verify().unwrap().problems, Vec::<String>::new());
    drop(retriever);
    let catalogue = Connection::open(folder.join("quoin.db")).unwrap();
    assert_eq!(catalogue.execute(sql, []).unwrap(), 1);
    drop(catalogue);
    open(folder)
}

const TEXT: &str = "UPDATE document_texts SET text = CAST(x'61ff' AS TEXT)
    WHERE document = (SELECT ordinal FROM documents WHERE id = 'bad')";
const OTHER_TEXT: &str =
    "UPDATE document_texts SET text = replace(text, 'ice', 'mud') WHERE text LIKE '%ice%'";
const PASSAGE: &str = "UPDATE passages SET text = CAST(x'61ff' AS TEXT) WHERE text LIKE '%ice%'";
const OTHER_PASSAGE: &str =
    "UPDATE passages SET text = replace(text, 'ice', 'mud') WHERE text LIKE '%ice%'";
const NO_PASSAGE: &str = "DELETE FROM passages WHERE text LIKE '%ice%'";
const TITLE: &str = "UPDATE documents SET title = CAST(x'61ff' AS TEXT) WHERE id = 'bad'";
const LIST: &str = "UPDATE documents SET acl = '[\"public\"' WHERE id = 'bad'";

#[test]
fn what_is_damaged_is_reported_by_its_document_and_the_rest_is_found() {
    for (sql, want) in [
        (TEXT, "the text of `bad` is damaged"),
        (OTHER_TEXT, "the text of `bad` is damaged"),
        (PASSAGE, "1 passages of `bad` are not slices of its text"),
        (
            OTHER_PASSAGE,
            "1 passages of `bad` are not slices of its text",
        ),
        (NO_PASSAGE, "`bad` has 1 passages, 0 are stored"),
        (TITLE, "what is stored about `bad` is damaged"),
        (LIST, "what is stored about `bad` is damaged"),
    ] {
        for snapshot in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let retriever = damaged_by(folder.path(), snapshot, sql);
            let problems = retriever.verify().unwrap().problems;
            assert!(
                problems.iter().any(|problem| problem.starts_with(want)),
                "{sql}: {problems:?}"
            );
            assert!(problems.iter().all(|problem| !problem.contains("good")));
            assert!(found(&retriever, "walrus", &everyone()).contains(&"good".to_owned()));
            retriever.rebuild().unwrap();
            assert!(found(&retriever, "walrus", &everyone()).contains(&"good".to_owned()));
            // To delete it and put it again mends it.
            retriever
                .delete(&id("bad"), &Access::admin())
                .map_or_else(drop, drop);
            retriever.put(public("bad", "a walrus on the ice")).unwrap();
            assert_eq!(retriever.verify().unwrap().problems, Vec::<String>::new());
            assert_eq!(found(&retriever, "ice", &everyone())[0], "bad");
        }
    }
}

#[test]
fn other_passage_rules_pass_over_a_damaged_text() {
    let folder = tempfile::tempdir().unwrap();
    drop(damaged_by(folder.path(), true, TEXT));
    let mut settings = RetrieverSettings::default();
    settings.passages.target_tokens = 40;
    settings.passages.max_tokens = 60;
    let retriever = Retriever::open(folder.path(), settings).unwrap();
    let hits = retriever
        .search(&SearchRequest::new("swims", 5), &everyone())
        .unwrap()
        .hits;
    assert_eq!(hits[0].document, id("good"));
}

/// Opens a folder of which one file was damaged by `damage`, and says what came of it: everything is served, or the error or the
/// check names what is wrong.
fn serves_or_says(damage: impl Fn(&mut Vec<u8>), file: &str, seed: usize) {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let inputs = (0..60).map(|number| {
        let text = format!("walrus {number} {}", format!("filler{number} ").repeat(60));
        public(&format!("d{number}"), &text)
    });
    retriever.put_batch(inputs.collect()).unwrap();
    retriever.rebuild().unwrap();
    let number = retriever.generations().unwrap().pop().unwrap().number;
    drop(retriever);
    let path = folder.path().join(file.replace("{n}", &number.to_string()));
    let mut bytes = std::fs::read(&path).unwrap();
    damage(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
    let retriever = match Retriever::open(folder.path(), RetrieverSettings::default()) {
        Ok(retriever) => retriever,
        Err(error) => {
            assert_eq!(file, "quoin.db", "{seed}: {error}");
            return;
        }
    };
    let mut report = retriever.verify().unwrap();
    if file != "quoin.db" {
        // What is derived was made again at the start, or is now.
        report = retriever.repair().unwrap();
        assert_eq!(report.problems, Vec::<String>::new(), "{file} {seed}");
    }
    for number in 0..60 {
        let name = format!("d{number}");
        let named = report
            .problems
            .iter()
            .any(|problem| problem.contains(&format!("`{name}`")) || !problem.contains("`d"));
        let text = retriever.text(&id(&name), &Access::admin());
        let whole = text.is_ok_and(|text| {
            text.trim_end()
                == format!("walrus {number} {}", format!("filler{number} ").repeat(60)).trim_end()
        });
        assert!(
            whole || named,
            "{file} {seed}: `{name}` is lost and not named"
        );
    }
}

#[test]
fn after_flipped_bits_and_cut_files_everything_is_served_or_named() {
    let files = [
        "quoin.db",
        "generations/{n}/manifest.json",
        "generations/{n}/vectors.rows",
        "generations/{n}/passages.keys",
        "generations/{n}/text/meta.json",
    ];
    let mut state = 0x5eed_usize;
    for round in 0..30 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let place = state >> 20;
        let file = if round % 2 == 0 {
            files[0]
        } else {
            files[1 + round / 2 % 4]
        };
        if round % 5 == 4 {
            serves_or_says(|bytes| bytes.truncate(place % bytes.len()), file, round);
        } else {
            let flip = |bytes: &mut Vec<u8>| {
                let at = place % bytes.len();
                bytes[at] ^= 1 << (place % 8);
            };
            serves_or_says(flip, file, round);
        }
    }
}
