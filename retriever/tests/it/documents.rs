//! Putting, reading, listing and deleting documents.

use quoin_retriever::{
    Access, Content, DocumentInput, Page, Purge, Retriever, RetrieverError, RetrieverSettings,
    SearchRequest,
};

use crate::{everyone, found, id, open, public, with_acl};

#[test]
fn what_was_put_is_found_at_once_and_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let stored = retriever
        .put(public("pumps", "The pump resets after error ERR-4012."))
        .unwrap();
    assert_eq!(
        (stored.version, stored.passages, stored.unchanged),
        (1, 1, false)
    );
    assert_eq!(found(&retriever, "err-4012", &everyone()), ["pumps"]);
    drop(retriever);
    let retriever = open(folder.path());
    assert_eq!(retriever.generation(), stored.generation);
    assert_eq!(found(&retriever, "err-4012", &everyone()), ["pumps"]);
}

#[test]
fn a_hit_is_a_slice_of_the_text_by_code_points() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let text = "👩‍🚀 שלום\n\n# Überschrift 日本\n\nDie Pumpe kostet 3 €.\n\n- eins\n- zwei\n";
    let mut input = public("mixed", "");
    input.content = Content::markdown(text);
    retriever.put(input).unwrap();
    let whole: Vec<char> = retriever
        .text(&id("mixed"), &everyone())
        .unwrap()
        .chars()
        .collect();
    assert_eq!(whole.iter().collect::<String>(), text);
    let hits = retriever
        .search(&SearchRequest::new("Pumpe", 5), &everyone())
        .unwrap()
        .hits;
    assert!(!hits.is_empty());
    for hit in hits {
        assert_eq!(
            whole[hit.start..hit.end].iter().collect::<String>(),
            hit.text
        );
    }
}

#[test]
fn putting_the_same_again_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let first = retriever.put(public("a", "one two three")).unwrap();
    let again = retriever.put(public("a", "one two three")).unwrap();
    assert!(again.unchanged);
    assert_eq!(
        (again.version, again.generation),
        (first.version, first.generation)
    );
}

#[test]
fn a_change_of_attributes_alone_keeps_the_passages() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    retriever.put(public("a", "one two three")).unwrap();
    let changed = retriever
        .put(with_acl("a", "one two three", &["group:hr"]))
        .unwrap();
    assert_eq!((changed.version, changed.unchanged), (2, false));
    assert!(found(&retriever, "one", &everyone()).is_empty());
    assert_eq!(found(&retriever, "one", &Access::of(["group:hr"])), ["a"]);
    assert_eq!(retriever.statistics().delta_passages, 1);
}

#[test]
fn a_new_version_replaces_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    retriever.put(public("a", "the old walrus")).unwrap();
    let second = retriever.put(public("a", "the new penguin")).unwrap();
    assert_eq!(second.version, 2);
    assert_eq!(
        retriever.text(&id("a"), &everyone()).unwrap(),
        "the new penguin"
    );
    let hits = retriever
        .search(&SearchRequest::new("walrus penguin", 10), &everyone())
        .unwrap();
    assert_eq!(hits.hits.len(), 1);
    assert_eq!(
        (hits.hits[0].version, hits.hits[0].text.as_str()),
        (2, "the new penguin")
    );
}

#[test]
fn a_batch_keeps_its_order_and_one_bad_document_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let mut bad = public("bad", "x");
    bad.content = Content::Bytes {
        bytes: vec![0xff],
        content_type: "text/plain".into(),
    };
    let results = retriever
        .put_batch(vec![
            public("a", "first"),
            bad,
            public("b", "second"),
            public("a", "first again"),
        ])
        .unwrap();
    assert_eq!(results.len(), 4);
    assert!(matches!(results[1], Err(RetrieverError::Unreadable { .. })));
    assert_eq!(results[3].as_ref().unwrap().version, 2);
    assert_eq!(retriever.statistics().documents, 2);
}

#[test]
fn a_deleted_document_is_gone_and_its_words_leave_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    retriever
        .put(public("keep", "an ordinary sentence"))
        .unwrap();
    retriever
        .put(public("doomed", "the xylophonist hides quartzberries"))
        .unwrap();
    retriever.rebuild().unwrap();
    let receipt = retriever.delete(&id("doomed"), &everyone()).unwrap();
    assert_eq!(receipt.purge, Purge::Pending);
    assert!(
        found(&retriever, "quartzberries", &everyone())
            .iter()
            .all(|d| d == "keep")
    );
    assert!(matches!(
        retriever.text(&id("doomed"), &Access::admin()),
        Err(RetrieverError::NotFound(_))
    ));
    retriever.settle();
    assert_eq!(
        holding(folder.path(), b"quartzberries"),
        Vec::<String>::new()
    );
    assert_eq!(holding(folder.path(), b"quartzberri"), Vec::<String>::new());
    assert!(retriever.verify().unwrap().problems.is_empty());
    drop(retriever);
    assert_eq!(open(folder.path()).statistics().documents, 1);
}

#[test]
fn a_replaced_text_leaves_the_files_with_the_next_rebuild() {
    for snapshot in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let retriever = open(folder.path());
        let long = "the xylophonist hides quartzberries ".repeat(400);
        for old in [&long, "the xylophonist hides quartzberries"] {
            retriever.put(public("a", old)).unwrap();
        }
        if snapshot {
            retriever.rebuild().unwrap();
        }
        retriever.put(public("a", "an ordinary sentence")).unwrap();
        let old = b"xylophonist hides";
        assert_ne!(holding(folder.path(), old), Vec::<String>::new());
        retriever.rebuild().unwrap();
        assert_eq!(holding(folder.path(), old), Vec::<String>::new());
        if !snapshot {
            // A snapshot that is kept has the words, one by one.
            assert_eq!(holding(folder.path(), b"quartzberri"), Vec::<String>::new());
        }
        assert_eq!(found(&retriever, "ordinary", &everyone()), ["a"]);
    }
}

#[test]
fn without_snapshots_a_deletion_is_purged_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    retriever
        .put(public("doomed", "the xylophonist hides quartzberries"))
        .unwrap();
    let receipt = retriever.delete(&id("doomed"), &everyone()).unwrap();
    assert_eq!(receipt.purge, Purge::Done);
    assert_eq!(
        holding(folder.path(), b"quartzberries"),
        Vec::<String>::new()
    );
    let again = retriever.put(public("doomed", "something else")).unwrap();
    assert_eq!(again.version, 2, "versions go on after a deletion");
}

#[test]
fn what_a_caller_may_not_see_does_not_exist_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    retriever
        .put(with_acl("secret", "salaries", &["group:hr"]))
        .unwrap();
    let document = DocumentInput::new(id("admin-only"), Content::text("no list at all"));
    retriever.put(document).unwrap();
    for name in ["secret", "admin-only", "missing"] {
        let id = id(name);
        for error in [
            retriever.document(&id, &everyone()).unwrap_err(),
            retriever.text(&id, &everyone()).unwrap_err(),
            retriever.delete(&id, &everyone()).unwrap_err(),
        ] {
            assert_eq!(error.to_string(), format!("there is no document `{name}`"));
        }
    }
    assert!(
        retriever
            .documents(&everyone(), &Page::default())
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        retriever
            .documents(&Access::admin(), &Page::default())
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn the_nearest_word_about_who_may_read_a_document_counts() {
    let list = |token: Option<&str>| token.map(|token| vec![token.to_owned()]);
    for (acl, front_matter, batch, setting, want) in [
        (Some("a"), Some("f"), Some("b"), Some("s"), Some("a")),
        (None, Some("f"), Some("b"), Some("s"), Some("f")),
        (None, None, Some("b"), Some("s"), Some("b")),
        (None, None, None, Some("s"), Some("s")),
        (None, None, None, None, None),
        (Some("a"), None, Some("b"), None, Some("a")),
        (None, Some("f"), Some("b"), None, Some("f")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let settings = RetrieverSettings {
            default_acl: list(setting),
            ..RetrieverSettings::default()
        };
        let retriever = Retriever::open(folder.path(), settings).unwrap();
        let text = front_matter.map_or("text".to_owned(), |acl| {
            format!("---\nACL: {acl}\n---\ntext")
        });
        let input = DocumentInput {
            acl: list(acl),
            default_acl: list(batch),
            ..DocumentInput::new(id("d"), Content::markdown(text))
        };
        retriever.put(input).unwrap();
        let document = retriever.document(&id("d"), &Access::admin()).unwrap();
        assert_eq!(document.acl.tokens().next(), want);
    }
}

#[test]
fn a_default_of_a_batch_that_no_document_could_have_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    let input = DocumentInput {
        default_acl: Some(vec!["group hr".into()]),
        ..public("a", "a walrus")
    };
    let error = retriever.put(input).unwrap_err();
    assert!(error.to_string().starts_with("`default_acl` has tokens"));
}

#[test]
fn a_listing_goes_on_where_the_page_before_ended() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    for name in ["c", "a", "b/x", "d"] {
        retriever.put(public(name, name)).unwrap();
    }
    let mut page = Page {
        after: None,
        limit: 2,
    };
    let mut names = Vec::new();
    loop {
        let documents = retriever.documents(&everyone(), &page).unwrap();
        let Some(last) = documents.last() else { break };
        page.after = Some(last.id.clone());
        names.extend(
            documents
                .into_iter()
                .map(|document| document.id.to_string()),
        );
    }
    assert_eq!(names, ["a", "b/x", "c", "d"]);
}

#[test]
fn the_longest_id_works_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let retriever = open(folder.path());
    for bytes in [507, 508, 511, 512] {
        let name = "x".repeat(bytes);
        let id = id(&name);
        let stored = retriever.put(public(&name, "a walrus on the ice"));
        assert_eq!(stored.unwrap().passages, 1);
        assert_eq!(retriever.document(&id, &everyone()).unwrap().id, id);
        let text = retriever.text(&id, &everyone());
        assert_eq!(text.unwrap(), "a walrus on the ice");
        let request = SearchRequest::new("walrus", 5);
        let hits = retriever.search(&request, &everyone()).unwrap().hits;
        assert_eq!(hits[0].passage.as_str(), format!("{name}#0"));
        let passage = serde_json::to_string(&hits[0].passage).unwrap();
        let read: quoin_retriever::PassageId = serde_json::from_str(&passage).unwrap();
        assert_eq!(read, hits[0].passage);
        let page = Page::default();
        assert_eq!(retriever.documents(&everyone(), &page).unwrap().len(), 1);
        retriever.delete(&id, &everyone()).unwrap();
    }
}

/// Files below a folder that hold these bytes.
pub fn holding(folder: &std::path::Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = std::fs::read(&path).unwrap();
                if content.windows(bytes.len()).any(|window| window == bytes) {
                    found.push(path.display().to_string());
                }
            }
        }
    }
    found
}
