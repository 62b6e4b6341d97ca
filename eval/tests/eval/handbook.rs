//! The questions about the sample handbook: they are many, quote its pages letter by letter, and keep to who may read what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use quoin_eval::{Dataset, Question};

const QUESTIONS_MIN: usize = 150;
const KINDS: [&str; 6] = [
    "answerable",
    "multi",
    "restricted",
    "superseded",
    "table",
    "unanswerable",
];

fn dataset() -> Dataset {
    let runtime = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../runtime");
    Dataset::open(&runtime.join("samples/dataset")).unwrap()
}

/// Front matter and body of a page.
fn page(dataset: &Dataset, document: &str) -> (String, String) {
    let path = dataset.documents().unwrap().join(document);
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("`{}` cannot be read: {error}", path.display()));
    let (front, body) = text
        .strip_prefix("---\n")
        .and_then(|rest| rest.split_once("\n---\n"))
        .unwrap_or_else(|| panic!("`{document}` has no front matter"));
    (front.to_owned(), body.to_owned())
}

/// The tokens of `acl: [one, two]`, any of which opens the page.
fn access_list(front: &str) -> Vec<&str> {
    let list = front
        .lines()
        .find_map(|line| line.strip_prefix("acl: [")?.strip_suffix(']'));
    list.unwrap().split(',').map(str::trim).collect()
}

fn opens(question: &Question, front: &str) -> bool {
    let acl = access_list(front);
    question
        .tokens
        .iter()
        .any(|token| acl.contains(&token.as_str()))
}

#[test]
fn the_handbook_has_at_least_150_questions_of_every_kind() {
    let dataset = dataset();
    assert_eq!(dataset.name(), "handbook 1");
    let count = dataset.questions.len();
    assert!(count >= QUESTIONS_MIN, "{count} questions");
    let kinds: BTreeSet<&str> = dataset
        .questions
        .iter()
        .map(|question| question.kind.as_deref().unwrap())
        .collect();
    assert_eq!(kinds, BTreeSet::from(KINDS));
}

#[test]
fn ids_are_unique_and_nobody_is_asked_the_same_twice() {
    let dataset = dataset();
    let mut ids = BTreeSet::new();
    let mut asked = BTreeSet::new();
    for question in &dataset.questions {
        assert!(ids.insert(&question.id), "`{}` comes twice", question.id);
        let words = question.question.to_lowercase();
        assert!(
            asked.insert((words, &question.tokens)),
            "`{}` was asked before",
            question.id
        );
    }
}

#[test]
fn every_quote_stands_in_its_page_letter_by_letter() {
    let dataset = dataset();
    for question in &dataset.questions {
        for gold in &question.gold {
            let (_, body) = page(&dataset, &gold.document);
            let (id, document, quote) = (&question.id, &gold.document, &gold.quote);
            assert!(!quote.is_empty(), "`{id}` has an empty quote");
            assert!(
                body.contains(quote.as_str()),
                "`{id}`: `{document}` does not say `{quote}`"
            );
        }
    }
}

#[test]
fn a_question_is_impossible_exactly_when_it_has_no_gold() {
    for question in &dataset().questions {
        let id = &question.id;
        assert_eq!(question.is_impossible, question.gold.is_empty(), "{id}");
        assert_eq!(question.is_impossible, question.answers.is_empty(), "{id}");
        match question.kind.as_deref().unwrap() {
            "unanswerable" => assert!(question.is_impossible, "{id}"),
            "restricted" => {}
            _ => assert!(!question.is_impossible, "{id}"),
        }
    }
}

#[test]
fn no_page_is_quoted_for_a_reader_who_may_not_open_it() {
    let dataset = dataset();
    for question in &dataset.questions {
        for gold in &question.gold {
            let (front, _) = page(&dataset, &gold.document);
            let (id, document) = (&question.id, &gold.document);
            assert!(
                opens(question, &front),
                "`{id}` quotes `{document}` for {:?}",
                question.tokens
            );
        }
    }
}

#[test]
fn whoever_is_denied_shares_a_cluster_with_somebody_who_is_allowed() {
    let dataset = dataset();
    let mut clusters = BTreeMap::<&str, Vec<&Question>>::new();
    for question in &dataset.questions {
        let cluster = question.cluster.as_deref().unwrap();
        clusters.entry(cluster).or_default().push(question);
    }
    let mut denied = 0;
    for question in &dataset.questions {
        if question.kind.as_deref() != Some("restricted") || !question.is_impossible {
            continue;
        }
        denied += 1;
        let id = &question.id;
        let allowed = clusters[question.cluster.as_deref().unwrap()]
            .iter()
            .find(|other| other.question == question.question && !other.is_impossible);
        let allowed = allowed.unwrap_or_else(|| panic!("nobody is allowed what `{id}` asks"));
        for gold in &allowed.gold {
            let (front, _) = page(&dataset, &gold.document);
            assert!(!opens(question, &front), "`{id}` may read the answer");
        }
    }
    assert!(denied > 0);
}
