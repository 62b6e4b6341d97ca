//! A deleted document is gone from the raw files, its receipt says so, and the search for it finds what is left.

use std::path::Path;

use quoin_retriever::{
    Access, Page, Purge, Retriever, RetrieverError, RetrieverSettings, SearchRequest,
};

use crate::{found, id, open, public};

const SECRET: &str = "Die Schlüsselnummer der Tresorkammer lautet siebenundvierzig-elf, verwahrt von Frau Ölçer. \
    The vault of the northern branch opens at a quarter past six for the auditors of Quillfeather & Sons only.";
const SHARED: &str =
    "Every employee signs the visitors' book with name, date and time before entering the plant.";

/// Whether the raw bytes of any file below a folder hold some bytes.
fn files_hold(folder: &Path, bytes: &[u8]) -> bool {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| std::fs::read(entry.path()).ok())
        .any(|file| file.windows(bytes.len()).any(|window| window == bytes))
}

fn filled(folder: &Path) -> Retriever {
    let retriever = open(folder);
    for number in 0..20 {
        let text = format!("paragraph {number} about pumps and valves");
        retriever
            .put(public(&format!("other{number}"), &text))
            .unwrap();
    }
    retriever.put(public("secret", SECRET)).unwrap();
    retriever.put(public("shared", SHARED)).unwrap();
    retriever.put(public("copy", SHARED)).unwrap();
    retriever.rebuild().unwrap();
    retriever.put(public("late", "a late addition")).unwrap();
    retriever.rebuild().unwrap();
    retriever
}

#[test]
fn nothing_of_a_deleted_document_stays_in_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = filled(folder.path());
    assert_eq!(retriever.generations().unwrap().len(), 2);
    assert_eq!(
        found(&retriever, "Tresorkammer", &Access::admin())[0],
        "secret"
    );
    let phrases = ["Schlüsselnummer der Tresorkammer", "auditors of Quill"];
    for phrase in phrases {
        assert!(files_hold(folder.path(), phrase.as_bytes()), "{phrase}");
    }

    let receipt = retriever.delete(&id("secret"), &Access::admin()).unwrap();
    assert_eq!(receipt.purge, Purge::Pending);
    assert!(receipt.is_genuine());
    let early = retriever.verify_erased(&id("secret"), &[]).unwrap();
    assert!(!early.erased);
    retriever.settle();

    let receipt = retriever.receipt(&id("secret")).unwrap();
    assert_eq!(receipt.purge, Purge::Done);
    let places: Vec<&str> = receipt
        .places
        .iter()
        .map(|place| place.place.as_str())
        .collect();
    assert_eq!(
        places,
        ["catalogue", "generations", "text_index", "vectors"]
    );
    assert!(receipt.is_genuine());
    assert_eq!(retriever.deletion_pending_seconds().unwrap(), 0);
    for phrase in phrases {
        assert!(!files_hold(folder.path(), phrase.as_bytes()), "{phrase}");
    }
    // Dictionaries of words are compressed: that none is of before tells that none holds its words.
    let kept = retriever.generations().unwrap();
    assert!(kept.iter().all(|kept| kept.number >= receipt.generation));
    let phrases: Vec<String> = phrases.map(str::to_owned).to_vec();
    let report = retriever.verify_erased(&id("secret"), &phrases).unwrap();
    assert!(report.erased, "{report:?}");
    assert!(report.pieces >= 3 && report.files > 4 && report.bytes > 10_000);
}

#[test]
fn what_is_left_in_a_file_is_found_by_the_digests_alone() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = filled(folder.path());
    retriever.delete(&id("secret"), &Access::admin()).unwrap();
    retriever.settle();
    let mut planted = vec![0xaa; (1 << 20) - 60];
    planted.extend(SECRET.as_bytes());
    std::fs::write(folder.path().join("generations/stray.tmp"), planted).unwrap();
    let report = retriever.verify_erased(&id("secret"), &[]).unwrap();
    assert!(!report.erased);
    assert_eq!(report.findings.len(), report.pieces);
    let finding = &report.findings[0];
    assert_eq!(finding.file, "generations/stray.tmp");
    assert_eq!(finding.what, "text");
    assert!(finding.offset >= (1 << 20) - 60);
}

#[test]
fn text_that_another_document_holds_too_is_no_alarm() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = filled(folder.path());
    retriever.delete(&id("shared"), &Access::admin()).unwrap();
    retriever.settle();
    let report = retriever.verify_erased(&id("shared"), &[]).unwrap();
    assert!(report.erased, "{report:?}");
    assert!(report.shared > 0);
    retriever.delete(&id("copy"), &Access::admin()).unwrap();
    retriever.settle();
    let report = retriever.verify_erased(&id("shared"), &[]).unwrap();
    assert!(report.erased && report.shared == 0, "{report:?}");
}

#[test]
fn a_short_text_is_proved_gone_only_when_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    retriever.put(public("pin", "the pin is 4711")).unwrap();
    retriever.delete(&id("pin"), &Access::admin()).unwrap();
    retriever.settle();
    let report = retriever.verify_erased(&id("pin"), &[]).unwrap();
    assert!(!report.erased && report.pieces == 0);
    assert!(report.problems[0].contains("nothing to search the files for"));
    let phrases = ["the pin is 4711".to_owned()];
    assert!(
        retriever
            .verify_erased(&id("pin"), &phrases)
            .unwrap()
            .erased
    );
    let error = retriever
        .verify_erased(&id("pin"), &["x".repeat(1 << 20)])
        .unwrap_err();
    assert!(error.to_string().starts_with("`phrases` has at most"));
}

#[test]
fn a_document_that_is_there_or_never_was_is_not_called_erased() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = filled(folder.path());
    let report = retriever.verify_erased(&id("secret"), &[]).unwrap();
    assert!(!report.erased);
    assert_eq!(report.problems[0], "a document of this id is there");
    let error = retriever.receipt(&id("nobody")).unwrap_err();
    assert!(matches!(error, RetrieverError::NotDeleted(_)));
    // Put again, the text is that of a document that is there.
    retriever.delete(&id("secret"), &Access::admin()).unwrap();
    retriever.put(public("secret", SECRET)).unwrap();
    retriever.settle();
    let report = retriever.verify_erased(&id("secret"), &[]).unwrap();
    assert!(!report.erased && report.findings.is_empty());
}

#[test]
fn an_outer_place_keeps_a_deletion_pending_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || RetrieverSettings {
        outer_places: vec!["request_log"],
        ..RetrieverSettings::default()
    };
    let retriever = Retriever::open(folder.path(), settings()).unwrap();
    retriever.put(public("a", SECRET)).unwrap();
    let first = retriever.delete(&id("a"), &Access::admin()).unwrap();
    retriever.settle();
    drop(retriever);
    let retriever = Retriever::open(folder.path(), settings()).unwrap();
    assert_eq!(
        retriever.unpurged("request_log", 10).unwrap(),
        [(id("a"), first.generation)]
    );
    let receipt = retriever.receipt(&id("a")).unwrap();
    assert_eq!(receipt.purge, Purge::Pending);
    retriever
        .note_purged("request_log", first.generation)
        .unwrap();
    let receipt = retriever.receipt(&id("a")).unwrap();
    assert_eq!(receipt.purge, Purge::Done);
    assert_eq!(receipt.key, first.key);
    assert_eq!(retriever.receipts(&Page::default()).unwrap().len(), 1);
    let searched = retriever.search(&SearchRequest::new("vault", 5), &Access::admin());
    assert!(searched.unwrap().hits.is_empty());
}
