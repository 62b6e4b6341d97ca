//! A defect that is planted ends up in its class: `quoin eval diagnose` on a set of facts that is whole but for one thing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::place::Place;

/// A thing that is kept somewhere, for each question.
const THINGS: [&str; 20] = [
    "projector",
    "ladder",
    "defibrillator",
    "generator",
    "wheelchair",
    "microscope",
    "trolley",
    "archive",
    "telescope",
    "loudspeaker",
    "tent",
    "forklift",
    "barometer",
    "piano",
    "flagpole",
    "canoe",
    "sewing machine",
    "camera",
    "anvil",
    "stretcher",
];
const PLACES: [&str; 5] = ["cellar", "attic", "gatehouse", "workshop", "library"];

/// Of twenty; the issue is settled by nine in ten.
const ENOUGH: usize = 18;

struct Facts {
    corpus: Vec<Value>,
    questions: Vec<Value>,
    settings: String,
}

impl Facts {
    fn new() -> Self {
        let mut facts = Self {
            corpus: Vec::new(),
            questions: Vec::new(),
            settings: String::new(),
        };
        for (number, thing) in THINGS.iter().enumerate() {
            let place = format!(
                "{} of building {}",
                PLACES[number % PLACES.len()],
                number + 11
            );
            let fact = format!("The {thing} is kept in the {place}.");
            let text =
                format!("{fact} Whoever needs it signs the list of the {thing} at the desk.");
            facts
                .corpus
                .push(json!({"_id": format!("doc-{number}"), "title": "", "text": text}));
            facts.questions.push(json!({
                "id": format!("q-{number}"), "question": format!("Where is the {thing} kept?"), "answers": [place],
                "gold": [{"document": format!("doc-{number}"), "quote": fact}],
            }));
        }
        facts
    }

    /// How many questions ended up in each class.
    fn diagnose(&self, arguments: &[&str]) -> BTreeMap<String, usize> {
        let place = Place::new();
        let lines = |rows: &[Value]| {
            let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
            lines.join("\n")
        };
        place.write("set/corpus.jsonl", lines(&self.corpus));
        place.write("set/qa.jsonl", lines(&self.questions));
        place.write("quoin.toml", &self.settings);
        let call = [
            "eval",
            "diagnose",
            "--dataset",
            "set",
            "--extractive",
            "--config",
            "quoin.toml",
            "--json",
        ];
        let report = place.run(&[&call[..], arguments].concat()).ok().json();
        let mut classes = BTreeMap::new();
        for finding in report["findings"].as_array().unwrap() {
            let class = finding["class"].as_str().unwrap().to_owned();
            *classes.entry(class).or_default() += 1;
        }
        classes
    }

    #[track_caller]
    fn end_up_in(&self, class: &str, arguments: &[&str]) {
        let classes = self.diagnose(arguments);
        let found: usize = classes
            .iter()
            .filter(|(name, _)| name.starts_with(class))
            .map(|(_, count)| count)
            .sum();
        assert!(found >= ENOUGH, "{class}: {classes:?}");
    }
}

#[test]
fn without_a_defect_the_answers_are_right() {
    Facts::new().end_up_in("right", &[]);
}

#[test]
fn documents_that_were_removed_are_not_in_the_corpus() {
    let mut facts = Facts::new();
    facts.corpus = vec![json!({"_id": "other", "text": "Nothing is kept here but this page."})];
    facts.end_up_in("not_in_corpus", &[]);
}

#[test]
fn documents_that_the_caller_may_not_read_are_lost_to_permission() {
    let mut facts = Facts::new();
    for document in &mut facts.corpus {
        document["acl"] = json!(["group:keepers"]);
    }
    facts.end_up_in("not_retrieved/permission", &[]);
}

#[test]
fn documents_that_are_out_of_date_are_lost_to_freshness() {
    let mut facts = Facts::new();
    for document in &mut facts.corpus {
        document["effective_until"] = json!("2020-01-01");
    }
    facts.end_up_in("not_retrieved/freshness", &[]);
}

#[test]
fn documents_that_louder_ones_push_out_are_lost_in_ranking() {
    let mut facts = Facts::new();
    for thing in THINGS {
        let loud = format!(
            "Where is the {thing} kept? Where the {thing} is kept is what many ask of the {thing} that is kept."
        );
        for copy in 0..3 {
            let id = format!("loud-{thing}-{copy}");
            facts.corpus.push(json!({"_id": id, "title": format!("Where is the {thing} kept?"), "text": format!("{loud} {copy}")}));
        }
    }
    "[answers]\ntop_k = 1\nneighbours = false\n".clone_into(&mut facts.settings);
    facts.end_up_in("not_retrieved/", &[]);
    let classes = facts.diagnose(&[]);
    for other in ["permission", "freshness", "passage_boundary"] {
        assert!(
            !classes.contains_key(&format!("not_retrieved/{other}")),
            "{classes:?}"
        );
    }
}

#[test]
fn facts_that_are_cut_apart_are_lost_at_the_passages_border() {
    let mut facts = Facts::new();
    for (number, thing) in THINGS.iter().enumerate() {
        let filler = "and it came to us in the spring of that year from the old site by the river where we all had worked before";
        let (first, second) = (
            format!("The {thing} belongs to the house {filler}."),
            format!(
                "Its keeper sits in the {} of building {} and has the keys {filler}.",
                PLACES[number % 5],
                number + 11
            ),
        );
        facts.corpus[number]["text"] = json!(format!("{first} {second}"));
        facts.questions[number]["question"] = json!(format!(
            "To whom does the {thing} belong, since when, and where does its keeper sit?"
        ));
        facts.questions[number]["answers"] = json!([format!("{first} {second}")]);
        facts.questions[number]["gold"][0]["quote"] = json!(format!("{first} {second}"));
    }
    "[answers]\ntop_k = 1\nneighbours = false\n[retrieval]\npassage_target_tokens = 24\npassage_max_tokens = 32\n"
        .clone_into(&mut facts.settings);
    facts.end_up_in(
        "not_retrieved/passage_boundary",
        &["--right", "words", "--f1", "0.9"],
    );
}

#[test]
fn a_threshold_that_is_too_high_abstains_where_it_should_not() {
    let mut facts = Facts::new();
    "[answers]\nextractive_threshold = 0.999\n".clone_into(&mut facts.settings);
    facts.end_up_in("should_not_have_abstained", &[]);
}

#[test]
fn a_threshold_that_is_too_low_answers_what_nothing_answers() {
    let mut facts = Facts::new();
    for question in &mut facts.questions {
        *question = json!({"id": question["id"], "question": format!("{} And who bought it?", question["question"].as_str().unwrap()), "is_impossible": true});
    }
    "[answers]\nextractive_threshold = 0.0\n".clone_into(&mut facts.settings);
    facts.end_up_in("should_have_abstained", &[]);
}

#[test]
fn whole_sentences_where_a_few_words_are_wanted_are_right_in_the_wrong_form() {
    Facts::new().end_up_in("right_wrong_form", &["--right", "words", "--f1", "0.9"]);
}
