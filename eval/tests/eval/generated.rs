//! Data sets that are written, and questions that are made of documents and of a log.

use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;
use quoin_eval::generate::{
    GenerateOptions, LogFeedback, LogRow, SourceDocument, SourcePassage, from_documents, from_log,
    question_digest, trained_on,
};
use quoin_eval::{
    CorpusDocument, Dataset, GoldQuote, Manifest, Question, UNLABELLED, write_dataset,
};
use serde_json::{Value, json};

fn document(id: &str, title: &str, acl: &[&str], text: &str) -> SourceDocument {
    SourceDocument {
        id: id.to_owned(),
        title: title.to_owned(),
        acl: acl.iter().map(|token| (*token).to_owned()).collect(),
        text: text.to_owned(),
        passages: vec![SourcePassage {
            heading: vec![title.to_owned()],
            text: text.to_owned(),
            start: 0,
            end: text.chars().count(),
        }],
    }
}

const SITES: &str = "| Site | Opening time | Head |\n|---|---|---|\n| Kobe | 09:00 | Ada |\n| Bremen | 08:00 | Bob |\n\n\
    A golden unit is a reference instrument kept in the laboratory. Claims must be submitted within 60 days of the purchase. Most claims are paid.";
const STORES: &str = "Site | Storage area\nKobe | 40 m²\nOslo | 90 m²";

fn all(documents: &[SourceDocument], seed: u64) -> Vec<Question> {
    let options = GenerateOptions {
        questions: 1000,
        seed,
        unanswerable: 0.5,
    };
    from_documents(documents, &options).questions
}

#[test]
fn cells_definitions_and_numbers_become_questions_with_the_words_that_answer_them() {
    let made = all(&[document("a", "Sites", &["group:hr"], SITES)], 1);
    let find = |answer: &str| {
        let found = made.iter().find(|question| question.answers == [answer]);
        let question = found.unwrap_or_else(|| panic!("{answer}: {made:#?}"));
        let quote = question.gold[0].quote.as_str();
        assert!(SITES.contains(quote), "{quote}");
        assert_eq!(question.tokens, ["group:hr"]);
        (question.question.as_str(), quote, question.kind.as_deref())
    };
    assert_eq!(
        find("09:00"),
        (
            "What is the opening time for Kobe according to “Sites”?",
            "| Kobe | 09:00 | Ada |",
            Some("generated/table")
        )
    );
    assert_eq!(
        find("a reference instrument kept in the laboratory").0,
        "What is a golden unit?"
    );
    assert_eq!(
        find("60 days").0,
        "Within how many days of the purchase must claims be submitted?"
    );
}

#[test]
fn a_row_that_a_table_lacks_is_asked_for_as_unanswerable() {
    let documents = [
        document("a", "Sites", &[], SITES),
        document("b", "Stores", &[], STORES),
    ];
    let made = all(&documents, 1);
    let impossible: Vec<&Question> = made
        .iter()
        .filter(|question| question.is_impossible)
        .collect();
    let is_asked = |words: [&str; 2]| {
        impossible
            .iter()
            .any(|question| words.iter().all(|word| question.question.contains(word)))
    };
    assert!(is_asked(["Oslo", "pening time"]), "{impossible:#?}");
    assert!(!is_asked(["Kobe", "pening time"]), "{impossible:#?}");
    assert!(impossible.iter().all(|question| question.gold.is_empty()));
}

#[test]
fn the_same_question_with_two_answers_is_asked_with_its_place_or_not_at_all() {
    let first = "Laptop leasing contracts must be renewed within 30 days of the notice.";
    let second = first.replace("30", "45");
    let told = [
        document("a", "Rules 2024", &[], first),
        document("b", "Rules 2026", &[], &second),
    ];
    let made = all(&told, 1);
    assert_eq!(made.len(), 2, "{made:#?}");
    assert!(
        made.iter()
            .all(|question| question.question.contains("Rules 20"))
    );
    let alike = [
        document("a", "Rules", &[], first),
        document("b", "Rules", &[], &second),
    ];
    assert_eq!(all(&alike, 1), []);
}

#[test]
fn the_seed_chooses_and_the_number_is_kept() {
    let rows: Vec<String> = (0..40)
        .map(|row| format!("| Site{row} | area {row} |"))
        .collect();
    let text = format!("| Site | Storage area |\n|---|---|\n{}", rows.join("\n"));
    let documents = [document("a", "Stores", &[], &text)];
    let some = |seed| {
        let options = GenerateOptions {
            questions: 10,
            seed,
            unanswerable: 0.0,
        };
        from_documents(&documents, &options).questions
    };
    assert_eq!(some(1).len(), 10);
    assert_eq!(some(1), some(1));
    assert_ne!(some(1), some(2));
}

fn row(question: &str, answer: &str, feedback: &[(bool, Option<Value>)]) -> LogRow {
    LogRow {
        id: "ans_1".to_owned(),
        question: question.to_owned(),
        answer: answer.into(),
        status: "answered".to_owned(),
        citations: vec![GoldQuote {
            document: "d".to_owned(),
            quote: "q".to_owned(),
        }],
        tokens: vec!["public".to_owned()],
        feedback: feedback
            .iter()
            .map(|(value, demonstration)| LogFeedback {
                metric: "helpful".to_owned(),
                value: (*value).into(),
                demonstration: demonstration.clone(),
            })
            .collect(),
    }
}

#[test]
fn feedback_decides_what_of_the_log_is_gold() {
    let made = from_log(&[
        row("How long is leave?", "25 days", &[(true, None)]),
        row("how long is the leave", "25 days.", &[(true, None)]),
        row("Who pays?", "Ada", &[(false, Some(json!("Bob")))]),
        row("Who asks?", "Ada", &[(false, None)]),
        row("Who reads?", "Ada", &[(true, None)]),
        row("Who reads?", "Bob", &[(true, None)]),
        row("Who knows?", "Ada", &[(false, Some(Value::Null))]),
        row("Who cares?", "Ada", &[]),
    ]);
    let labelled: Vec<(&str, &[String], bool, usize)> = made
        .questions
        .iter()
        .map(|question| {
            (
                question.question.as_str(),
                question.answers.as_slice(),
                question.is_impossible,
                question.gold.len(),
            )
        })
        .collect();
    assert_eq!(
        labelled,
        [
            ("How long is leave?", &["25 days".to_owned()][..], false, 1),
            ("Who pays?", &["Bob".to_owned()][..], false, 0),
            ("Who knows?", &[][..], true, 0),
        ]
    );
    let waiting: Vec<&str> = made
        .unlabelled
        .iter()
        .map(|question| question.question.as_str())
        .collect();
    assert_eq!(
        (waiting, made.skipped),
        (vec!["Who asks?", "Who reads?"], 1)
    );
}

#[test]
fn a_question_is_known_to_a_lineage_by_its_id_or_its_words() {
    let question = |id: &str, text: &str| Question {
        id: id.to_owned(),
        question: text.to_owned(),
        ..Question::default()
    };
    let asked = [
        question("q1", "The cat?"),
        question("q2", "A dog!"),
        question("q3", "A bird."),
    ];
    // What adapters/train/train_adapter.py writes for "Dog": sha256 of `dog`.
    let dog = "sha256:cd6357efdd966de8c0cb2f876cc89ec74ce35f0968e11743987084bd42fb8944";
    assert_eq!(question_digest("  a DOG "), dog);
    let rows = BTreeSet::from(["q1".to_owned(), dog.to_owned()]);
    let found: Vec<&str> = trained_on(&asked, &rows)
        .iter()
        .map(|question| question.id.as_str())
        .collect();
    assert_eq!(found, ["q1", "q2"]);
}

fn corpus(ids: &[&str]) -> impl Iterator<Item = CorpusDocument> {
    let document = |id: &&str| CorpusDocument {
        id: (*id).to_owned(),
        text: "words".to_owned(),
        ..CorpusDocument::default()
    };
    ids.iter().map(document).collect::<Vec<_>>().into_iter()
}

#[test]
fn what_could_not_be_read_back_is_refused_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("set");
    let good = Question {
        id: "q".to_owned(),
        answers: vec!["a".to_owned()],
        ..Question::default()
    };
    let write = |documents: &[&str], questions: &[Question]| {
        let written = write_dataset(
            &folder,
            &Manifest::default(),
            corpus(documents),
            questions,
            &[],
        );
        written.map_err(|error| error.to_string())
    };
    let impossible = Question {
        is_impossible: true,
        ..good.clone()
    };
    for (documents, questions, reason) in [
        (&["d"][..], vec![], "no question"),
        (&["d", "d"], vec![good.clone()], "came before"),
        (&["d"], vec![good.clone(), good.clone()], "came before"),
        (&["d"], vec![impossible], "is_impossible"),
    ] {
        let error = write(documents, &questions).unwrap_err();
        assert!(error.contains(reason), "{error}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
    write(&["d"], std::slice::from_ref(&good)).unwrap();
    assert!(write(&["d"], &[good]).unwrap_err().contains("already"));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

fn questions() -> impl Strategy<Value = Vec<Question>> {
    let texts = prop::collection::vec("\\PC{0,8}", 1..3);
    let gold = prop::collection::vec(("[a-c ]{1,2}", "[a-z]\\PC{0,8}"), 0..3);
    let one = (
        texts,
        gold,
        any::<bool>(),
        prop::option::of("[a-z/]{1,5}"),
        "\\PC{0,20}",
    );
    prop::collection::vec(one, 1..5).prop_map(|many| {
        let question = |(index, (answers, gold, is_impossible, kind, question)): (usize, _)| {
            let gold: Vec<(String, String)> = if is_impossible { Vec::new() } else { gold };
            let kind: Option<String> = kind;
            let mut documents: Vec<String> = Vec::new();
            for (document, _) in &gold {
                if !documents.contains(document) {
                    documents.push(document.clone());
                }
            }
            Question {
                id: format!("q{index}"),
                question,
                answers: if is_impossible { Vec::new() } else { answers },
                is_impossible,
                documents,
                gold: gold
                    .into_iter()
                    .map(|(document, quote)| GoldQuote { document, quote })
                    .collect(),
                kind: kind.clone(),
                cluster: kind,
                tokens: vec!["public".to_owned()],
                schema: Some(json!({"type": "string"})),
                fields: None,
            }
        };
        many.into_iter().enumerate().map(question).collect()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(questions in questions(), unlabelled in any::<bool>()) {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("set");
        let manifest = Manifest { name: Some("made".to_owned()), generated: true, ..Manifest::default() };
        let waiting = if unlabelled { questions.clone() } else { Vec::new() };
        write_dataset(&folder, &manifest, corpus(&["d1", "d 2"]), &questions, &waiting).unwrap();
        let read = Dataset::open(&folder).unwrap();
        prop_assert_eq!(&read.questions, &questions);
        prop_assert_eq!(&read.manifest, &manifest);
        let documents: Vec<CorpusDocument> = read.corpus().unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(documents, corpus(&["d1", "d 2"]).collect::<Vec<_>>());
        prop_assert_eq!(folder.join(UNLABELLED).is_file(), unlabelled);
        for question in questions.iter().filter(|question| !question.documents.is_empty()) {
            let judged: BTreeSet<&String> = read.qrels[&question.id].keys().collect();
            prop_assert_eq!(judged, question.documents.iter().collect());
        }
    }

    #[test]
    fn any_text_is_taken_and_every_quote_stands_in_it(text in "(\\PC{0,12}|[|\n .]|Kobe|is a |within 3 days|£|₿){0,40}") {
        for question in all(&[document("a", "T", &[], &text)], 1) {
            for gold in &question.gold {
                prop_assert!(text.contains(&gold.quote));
            }
        }
    }
}
