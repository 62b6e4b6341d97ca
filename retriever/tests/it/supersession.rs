//! Documents cannot supersede one another in a circle: none of them would be found any more.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use quoin_retriever::{Access, DocumentInput, Retriever, RetrieverError, Stored};

use crate::{everyone, found, id, open, public, with_acl};

fn superseding(newer: &str, older: &str) -> DocumentInput {
    DocumentInput {
        supersedes: Some(id(older)),
        ..public(newer, &format!("the walrus of {newer}"))
    }
}

/// Puts pairs of a newer and an older document together, and says which of them fitted.
fn fitting(retriever: &Retriever, batch: &[(&str, &str)]) -> Vec<bool> {
    let inputs = batch
        .iter()
        .map(|(newer, older)| superseding(newer, older))
        .collect();
    fits(&retriever.put_batch(inputs).unwrap())
}

fn fits(results: &[Result<Stored, RetrieverError>]) -> Vec<bool> {
    let fits = |result: &Result<Stored, RetrieverError>| match result {
        Ok(_) => true,
        Err(RetrieverError::Invalid {
            field: "supersedes",
            ..
        }) => false,
        Err(other) => panic!("{other}"),
    };
    results.iter().map(fits).collect()
}

#[test]
fn the_document_that_closes_a_circle_is_refused_and_the_others_stay() {
    for batches in [
        // In one batch, in two, and one after the other; circles of two and more.
        &[&[("a", "b", true), ("b", "a", false), ("c", "x", true)][..]][..],
        &[&[("a", "b", true), ("b", "c", true), ("c", "a", false)]],
        &[&[("a", "b", true)], &[("c", "a", true), ("b", "c", false)]],
        &[
            &[("a", "b", true)],
            &[("b", "c", true)],
            &[("c", "a", false)],
        ],
        &[&[("a", "a", false), ("b", "a", true)]],
        // What was refused leads nowhere.
        &[&[("a", "b", true), ("b", "a", false), ("b", "c", true)]],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let retriever = open(folder.path());
        for batch in batches {
            let pairs: Vec<_> = batch
                .iter()
                .map(|(newer, older, _)| (*newer, *older))
                .collect();
            let want: Vec<_> = batch.iter().map(|(.., fits)| *fits).collect();
            assert_eq!(fitting(&retriever, &pairs), want, "{batches:?}");
        }
        assert!(!found(&retriever, "walrus", &everyone()).is_empty());
    }
}

#[test]
fn a_batch_may_turn_a_supersession_around() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    assert_eq!(fitting(&retriever, &[("a", "b")]), [true]);
    retriever.put(public("b", "the walrus of b")).unwrap();
    assert_eq!(found(&retriever, "walrus", &everyone()), ["a"]);
    let around = vec![public("a", "the walrus of a"), superseding("b", "a")];
    assert_eq!(fits(&retriever.put_batch(around).unwrap()), [true, true]);
    assert_eq!(found(&retriever, "walrus", &everyone()), ["b"]);
}

#[test]
fn the_refusal_names_both_documents() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let batch = vec![superseding("a", "b"), superseding("b", "a")];
    let results = retriever.put_batch(batch).unwrap();
    assert_eq!(
        results[1].as_ref().unwrap_err().to_string(),
        "`supersedes` closes a circle: `a` leads back to `b`"
    );
}

/// What a put is answered with, whether it worked or not, and what anybody finds.
fn seen(retriever: &Retriever, put: Result<Stored, RetrieverError>) -> (String, Vec<String>) {
    let put = match put {
        Ok(stored) => format!(
            "{} {} {}",
            stored.version, stored.passages, stored.unchanged
        ),
        Err(error) => error.to_string(),
    };
    (put, found(retriever, "walrus", &everyone()))
}

#[test]
fn what_the_writer_may_not_read_it_cannot_hide_nor_tell_from_what_is_missing() {
    let hr = Access::of(["group:hr"]);
    let hidden = || with_acl("secret", "the walrus of hr", &["group:hr"]);
    // Before the document that it names, after it, and around it in a circle.
    for (before, circle) in [(true, false), (false, false), (false, true)] {
        let mut answers = Vec::new();
        for there in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let retriever = open(folder.path());
            let secret = DocumentInput {
                supersedes: circle.then(|| id("note")),
                ..hidden()
            };
            if there && !before {
                retriever.put(secret.clone()).unwrap();
            }
            let note = || superseding("note", "secret");
            let first = retriever.put_as(note(), &everyone());
            let first = seen(&retriever, first);
            if there && before {
                retriever.put(secret).unwrap();
            }
            let again = retriever.put_as(note(), &everyone());
            let again = seen(&retriever, again);
            answers.push((first, again));
            if !there {
                continue;
            }
            let check = |retriever: &Retriever| {
                for access in [&hr, &Access::admin()] {
                    let found = found(retriever, "walrus", access);
                    assert!(found.contains(&"secret".to_owned()), "{found:?}");
                    assert_eq!(!found.contains(&"note".to_owned()), circle, "{found:?}");
                }
            };
            check(&retriever);
            drop(retriever);
            check(&open(folder.path()));
        }
        assert_eq!(answers[0], answers[1]);
    }
}

#[test]
fn a_circle_through_what_the_writer_may_not_read_supersedes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let secret = DocumentInput {
        supersedes: Some(id("b")),
        ..with_acl("secret", "the walrus of hr", &["group:hr"])
    };
    retriever.put(superseding("c", "secret")).unwrap();
    retriever.put(secret).unwrap();
    retriever
        .put_as(superseding("b", "c"), &everyone())
        .unwrap();
    let hr = Access::of(["group:hr"]);
    assert_eq!(found(&retriever, "walrus", &hr), ["c"]);
}

#[test]
fn who_reads_the_older_document_may_supersede_it() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    retriever
        .put(with_acl("old", "the walrus of hr", &["group:hr"]))
        .unwrap();
    let hr = Access::of(["group:hr"]);
    let first = retriever.put_as(superseding("new", "old"), &hr).unwrap();
    assert_eq!(found(&retriever, "walrus", &hr), ["new"]);
    let again = retriever.put_as(superseding("new", "old"), &hr).unwrap();
    assert!(again.unchanged && again.version == first.version);
    drop(retriever);
    assert_eq!(found(&open(folder.path()), "walrus", &hr), ["new"]);
}

const DOCUMENTS: u8 = 5;

/// Who supersedes whom, of all live documents.
type Model = BTreeMap<u8, Option<u8>>;

fn closes_a_circle(model: &Model, newer: u8, older: u8) -> bool {
    let mut at = Some(older);
    while let Some(document) = at.filter(|document| *document != newer) {
        at = model.get(&document).copied().flatten();
    }
    at.is_some()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_put_and_deleted_only_what_a_live_document_supersedes_is_hidden(
        batches in proptest::collection::vec(
            (
                proptest::collection::vec((0..DOCUMENTS, proptest::option::weighted(0.8, 0..DOCUMENTS)), 1..6),
                proptest::option::weighted(0.2, 0..DOCUMENTS),
            ),
            1..8,
        )
    ) {
        let folder = tempfile::tempdir().unwrap();
        let retriever = open(folder.path());
        let mut model = Model::new();
        for (batch, deleted) in batches {
            let mut inputs = Vec::new();
            let mut want = Vec::new();
            for (newer, older) in batch {
                let (newer_name, older_name) = (format!("d{newer}"), older.map(|older| id(&format!("d{older}"))));
                inputs.push(DocumentInput { supersedes: older_name, ..public(&newer_name, "the walrus") });
                let fits = older.is_none_or(|older| !closes_a_circle(&model, newer, older));
                want.push(fits);
                if fits {
                    model.insert(newer, older);
                }
            }
            prop_assert_eq!(fits(&retriever.put_batch(inputs).unwrap()), want);
            if let Some(document) = deleted {
                let deleted = retriever.delete(&id(&format!("d{document}")), &Access::admin());
                prop_assert_eq!(deleted.is_ok(), model.remove(&document).is_some());
            }
            let superseded: BTreeSet<u8> = model.values().flatten().copied().collect();
            let shown: BTreeSet<String> = model
                .keys()
                .filter(|document| !superseded.contains(document))
                .map(|document| format!("d{document}"))
                .collect();
            prop_assert!(model.is_empty() || !shown.is_empty());
            prop_assert_eq!(found(&retriever, "walrus", &everyone()).into_iter().collect::<BTreeSet<_>>(), shown);
        }
    }
}
