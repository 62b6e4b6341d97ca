//! What a caller may not read never shows: random documents, lists and callers, with writes and searches side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use quoin_retriever::{
    Access, CompactionSettings, DocumentChange, Page, Retriever, RetrieverSettings, SearchRequest,
};

use crate::{EndsLoops, id, with_acl};

const TOKENS: [&str; 4] = ["public", "group:hr", "group:it", "user:ann"];

#[derive(Clone, Debug)]
enum Step {
    Put { document: u8, acl: u8, text: u8 },
    Patch { document: u8, acl: u8 },
    Delete { document: u8 },
    Rebuild,
    Search { caller: u8, word: u8, rerank: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..6, 0_u8..16, 0_u8..4).prop_map(|(document, acl, text)| Step::Put { document, acl, text }),
        2 => (0_u8..6, 0_u8..16).prop_map(|(document, acl)| Step::Patch { document, acl }),
        1 => (0_u8..6).prop_map(|document| Step::Delete { document }),
        1 => Just(Step::Rebuild),
        4 => (0_u8..16, 0_u8..4, any::<bool>()).prop_map(|(caller, word, rerank)| Step::Search { caller, word, rerank }),
    ]
}

fn subset(bits: u8) -> Vec<&'static str> {
    (0..4)
        .filter(|bit| bits >> bit & 1 == 1)
        .map(|bit| TOKENS[bit])
        .collect()
}

fn listed_for(acl: &[&str]) -> DocumentChange {
    DocumentChange {
        acl: Some(Some(acl.iter().map(ToString::to_string).collect())),
        ..DocumentChange::default()
    }
}

fn readable(acl: &[&str], caller: &[&str]) -> bool {
    acl.iter()
        .any(|token| *token == "public" || caller.contains(token))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn hits_counts_and_listings_hold_exactly_what_the_caller_may_read(
        steps in proptest::collection::vec(step(), 1..30)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let retriever = crate::open(folder.path());
        let mut model: BTreeMap<u8, (Vec<&str>, u8)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put { document, acl, text } => {
                    let words = format!("common word{text} in document");
                    let acl = subset(acl);
                    retriever.put(with_acl(&format!("d{document}"), &words, &acl)).unwrap();
                    model.insert(document, (acl, text));
                }
                Step::Patch { document, acl } => {
                    let acl = subset(acl);
                    let changed = retriever.change_as(&id(&format!("d{document}")), listed_for(&acl), &Access::admin());
                    let known = model.get_mut(&document);
                    prop_assert_eq!(changed.is_ok(), known.is_some());
                    if let Some((list, _)) = known {
                        *list = acl;
                    }
                }
                Step::Delete { document } => {
                    let deleted = retriever.delete(&id(&format!("d{document}")), &Access::admin());
                    prop_assert_eq!(deleted.is_ok(), model.remove(&document).is_some());
                }
                Step::Rebuild => {
                    retriever.rebuild().unwrap();
                }
                Step::Search { caller, word, rerank } => {
                    let tokens = subset(caller);
                    let access = Access::of(tokens.clone());
                    let mine: BTreeSet<String> = model
                        .iter()
                        .filter(|(_, (acl, _))| readable(acl, &tokens))
                        .map(|(document, _)| format!("d{document}"))
                        .collect();
                    let mut request = SearchRequest::new(format!("common word{word}"), 20);
                    request.explain = true;
                    request.rerank = Some(rerank);
                    let result = retriever.search(&request, &access).unwrap();
                    let hits: BTreeSet<String> =
                        result.hits.iter().map(|hit| hit.document.to_string()).collect();
                    prop_assert_eq!(&hits, &mine);
                    prop_assert_eq!(result.explanation.unwrap().searchable_passages, mine.len() as u64);
                    let listed = retriever.documents(&access, &Page::default()).unwrap();
                    let listed: BTreeSet<String> = listed.iter().map(|d| d.id.to_string()).collect();
                    prop_assert_eq!(&listed, &mine);
                }
            }
        }
        prop_assert_eq!(retriever.verify().unwrap().problems, Vec::<String>::new());
    }
}

#[test]
fn no_search_beside_a_write_shows_what_its_caller_may_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let settings = RetrieverSettings {
        compaction: CompactionSettings {
            delta_passages: 16,
            ..CompactionSettings::default()
        },
        ..RetrieverSettings::default()
    };
    let retriever = Retriever::open(folder.path(), settings).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends_loops = EndsLoops(&done);
        for caller in ["group:hr", "group:it"] {
            let (retriever, done) = (&retriever, &done);
            scope.spawn(move || {
                let access = Access::of([caller]);
                while !done.load(Ordering::Relaxed) {
                    let result = retriever
                        .search(&SearchRequest::new("shared words", 50), &access)
                        .unwrap();
                    for hit in result.hits {
                        // The text says who may read this version.
                        assert!(
                            hit.text.contains(caller),
                            "{caller} was shown `{}`",
                            hit.text
                        );
                    }
                    for document in retriever.documents(&access, &Page::default()).unwrap() {
                        assert!(access.may_read(&document.acl));
                    }
                }
            });
        }
        for round in 0..120_usize {
            for document in 0..4_usize {
                let owner = ["group:hr", "group:it"][(round + document) % 2];
                let text = format!("shared words for {owner} in round {round}");
                retriever
                    .put(with_acl(&format!("d{document}"), &text, &[owner]))
                    .unwrap();
            }
            // A version whose text names nobody is hidden before anyone may read it, and stays so.
            retriever
                .put(with_acl("d4", "shared words for nobody", &[]))
                .unwrap();
            let owner = ["group:hr", "group:it"][round % 2];
            let hidden = format!("shared words for {owner} alone");
            retriever.put(with_acl("d5", &hidden, &[owner])).unwrap();
            let change = |acl: &[&str]| {
                let changed = retriever.change_as(&id("d5"), listed_for(acl), &Access::admin());
                changed.unwrap();
            };
            change(&[]);
            change(&[owner]);
            if round % 10 == 0 {
                retriever.delete(&id("d0"), &Access::admin()).unwrap();
            }
        }
    });
}

#[test]
fn a_large_text_is_refused_as_fast_as_a_missing_one() {
    let folder = tempfile::tempdir().unwrap();
    let settings = RetrieverSettings {
        passages: quoin_retriever::PassageSettings {
            target_tokens: 200_000,
            max_tokens: 250_000,
            ..quoin_retriever::PassageSettings::default()
        },
        ..RetrieverSettings::default()
    };
    let retriever = Retriever::open(folder.path(), settings).unwrap();
    let text = "salaries ".repeat(1 << 20);
    retriever
        .put(with_acl("secret", &text, &["group:hr"]))
        .unwrap();
    let everyone = crate::everyone();
    let fastest = |name: &str, access: &Access| {
        let id = id(name);
        let time = |_| {
            let start = std::time::Instant::now();
            let _ = retriever.text(&id, access);
            start.elapsed()
        };
        (0..30).map(time).min().unwrap()
    };
    let read = fastest("secret", &Access::admin());
    let refused = fastest("secret", &everyone);
    // Loading it takes milliseconds, and looking at its list microseconds.
    assert!(refused * 10 < read, "{refused:?} of {read:?}");
}
