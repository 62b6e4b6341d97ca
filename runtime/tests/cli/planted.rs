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

/// Another building of the same library is not right.
const ALL_WORDS: &[&str] = &["--right", "words", "--f1", "0.9"];

/// Of twenty; the issue is settled by nine in ten.
const ENOUGH: usize = 18;

struct Facts {
    corpus: Vec<Value>,
    questions: Vec<Value>,
    settings: String,
    place: Place,
}

impl Facts {
    fn new() -> Self {
        Self::about(&THINGS.map(|thing| format!("the {thing}")))
    }

    /// Things whose names are the same pieces in another order: a vector that sums pieces up takes one for another.
    fn coded() -> Self {
        let codes: Vec<String> = (0..THINGS.len())
            .map(|mut number| {
                let mut pieces = vec!["17", "42", "93", "58"];
                let mut code = "z".to_owned();
                while !pieces.is_empty() {
                    let next = pieces.remove(number % pieces.len());
                    number /= pieces.len() + 1;
                    code = code + "x" + next;
                }
                code
            })
            .collect();
        let mut facts = Self::about(&codes);
        // To an encoder a code is noise: it may stand in the sentence that answers alone.
        for (document, code) in facts.corpus.iter_mut().zip(&codes) {
            let text = document["text"].as_str().unwrap();
            let text = text.replace(&format!(" of {code}"), "");
            document["text"] = json!(text);
        }
        // Where a stage may not make good what another lost.
        "[answers]\ntop_k = 1\nneighbours = false\n[retrieval]\nreranker = \"off\"\n"
            .clone_into(&mut facts.settings);
        facts
    }

    fn about<Name: AsRef<str>>(things: &[Name]) -> Self {
        let mut facts = Self {
            corpus: Vec::new(),
            questions: Vec::new(),
            settings: String::new(),
            place: Place::new(),
        };
        for (number, thing) in things.iter().enumerate() {
            let thing = thing.as_ref();
            let place = place_of(number);
            let name = capitalised(thing);
            let fact = format!("{name} is kept in the {place}.");
            let text = format!("{fact} Whoever needs it signs the list of {thing} at the desk.");
            facts
                .corpus
                .push(json!({"_id": format!("doc-{number}"), "title": "", "text": text}));
            facts.questions.push(json!({
                "id": format!("q-{number}"), "question": format!("Where is {thing} kept?"), "answers": [place],
                "gold": [{"document": format!("doc-{number}"), "quote": fact}],
            }));
        }
        facts
    }

    /// How many questions ended up in each class, when the best sentences answer.
    fn diagnose(&self, arguments: &[&str]) -> BTreeMap<String, usize> {
        self.diagnose_as(&[&["--extractive"], arguments].concat())
    }

    fn diagnose_as(&self, arguments: &[&str]) -> BTreeMap<String, usize> {
        let lines = |rows: &[Value]| {
            let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
            lines.join("\n")
        };
        self.place.write("set/corpus.jsonl", lines(&self.corpus));
        self.place.write("set/qa.jsonl", lines(&self.questions));
        self.place.write("quoin.toml", &self.settings);
        let call = [
            "eval",
            "diagnose",
            "--dataset",
            "set",
            "--config",
            "quoin.toml",
            "--json",
        ];
        let report = self.place.run(&[&call[..], arguments].concat()).ok().json();
        let mut classes = BTreeMap::new();
        for finding in report["findings"].as_array().unwrap() {
            let class = finding["class"].as_str().unwrap().to_owned();
            *classes.entry(class).or_default() += 1;
        }
        classes
    }

    #[track_caller]
    fn end_up_in(&self, class: &str, arguments: &[&str]) {
        enough(class, &self.diagnose(arguments));
    }
}

fn place_of(number: usize) -> String {
    format!(
        "{} of building {}",
        PLACES[number % PLACES.len()],
        number + 11
    )
}

fn capitalised(words: &str) -> String {
    let (first, rest) = words.split_at(1);
    first.to_uppercase() + rest
}

/// Questions in the class, or in those whose names begin so.
fn number_in(class: &str, classes: &BTreeMap<String, usize>) -> usize {
    let within = classes.iter().filter(|(name, _)| name.starts_with(class));
    within.map(|(_, count)| count).sum()
}

#[track_caller]
fn enough(class: &str, classes: &BTreeMap<String, usize>) {
    let found = number_in(class, classes);
    assert!(found >= ENOUGH, "{class}: {classes:?}");
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
    facts.end_up_in("not_retrieved/passage_boundary", ALL_WORDS);
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
    Facts::new().end_up_in("right_wrong_form", ALL_WORDS);
}

#[test]
fn without_bm25_what_only_its_letters_tell_apart_is_lost_in_bm25() {
    let mut facts = Facts::coded();
    facts.end_up_in("right", &[]);
    facts.settings.push_str("vector_weight = 1.0\n");
    facts.end_up_in("not_retrieved/bm25", ALL_WORDS);
}

#[test]
fn vectors_that_drown_the_words_lose_them_in_fusion() {
    let mut facts = Facts::coded();
    facts.settings.push_str("vector_weight = 0.99\n");
    facts.end_up_in("not_retrieved/fusion", ALL_WORDS);
}

/// Each pair is asked for by its second word.
const SYNONYMS: [(&str, &str); 20] = [
    ("car", "automobile"),
    ("sofa", "couch"),
    ("bicycle", "bike"),
    ("airplane", "aircraft"),
    ("doctor", "physician"),
    ("lawyer", "attorney"),
    ("movie", "film"),
    ("ship", "vessel"),
    ("photograph", "picture"),
    ("horse", "pony"),
    ("coat", "jacket"),
    ("rifle", "gun"),
    ("dog", "hound"),
    ("flower", "blossom"),
    ("cup", "mug"),
    ("carpet", "rug"),
    ("rock", "stone"),
    ("forest", "woods"),
    ("money", "cash"),
    ("infant", "baby"),
];

/// Questions that share no word with the sentence that answers.
fn in_other_words() -> Facts {
    let mut facts = Facts::about(&SYNONYMS.map(|(said, _)| format!("the {said}")));
    for (question, (_, asked)) in facts.questions.iter_mut().zip(SYNONYMS) {
        question["question"] = json!(format!("Where is the {asked}?"));
    }
    "[answers]\ntop_k = 3\nneighbours = false\n[retrieval]\nreranker = \"off\"\n"
        .clone_into(&mut facts.settings);
    facts
}

#[test]
fn without_vectors_other_words_for_the_same_are_lost_in_vector_search() {
    let mut facts = in_other_words();
    let classes = facts.diagnose(&[]);
    let lost = number_in("not_retrieved", &classes);
    assert!(lost <= 4, "with vectors they are found: {classes:?}");
    facts.settings.push_str("vector_weight = 0.0\n");
    facts.end_up_in("not_retrieved/vector", &[]);
}

#[test]
fn misspelt_questions_are_lost_in_analysis() {
    let mut facts = Facts::coded();
    for (number, question) in facts.questions.iter_mut().enumerate() {
        question["question"] = json!(format!("Whre iz teh zqq{number}xx ketp"));
    }
    facts.end_up_in("not_retrieved/analysis", &[]);
}

#[test]
fn a_schema_without_room_for_the_answer_is_right_in_the_wrong_form() {
    let mut facts = Facts::new();
    for question in &mut facts.questions {
        question["schema"] = json!({"type": "string", "enum": ["yes", "no"]});
    }
    enough("right_wrong_form", &facts.diagnose_as(&[]));
    for (number, question) in facts.questions.iter_mut().enumerate() {
        question["schema"] = json!({"type": "object", "additionalProperties": false, "required": ["room"],
            "properties": {"room": {"type": "integer"}, "note": {"type": "string"}}});
        question["fields"] = json!({"room": place_of(number)});
    }
    enough("right_wrong_form", &facts.diagnose_as(&[]));
}

#[test]
fn what_a_broken_adapter_makes_of_found_passages_is_retrieved_and_not_used() {
    let facts = Facts::new();
    let base = facts.diagnose_as(&[]);
    assert!(base["right"] * 2 > THINGS.len(), "{base:?}");
    let broken = broken_adapter(&facts.place);
    facts
        .place
        .run(&["adapters", "add", &broken, "--name", "broken"])
        .ok();
    let classes = facts.diagnose_as(&["--adapter", "broken@1"]);
    enough("retrieved_not_used", &classes);
}

/// A real adapter whose weights point the other way, and far.
fn broken_adapter(place: &Place) -> String {
    let good = std::path::Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../adapters/tests/fixtures/support"
    ));
    for file in ["adapter_config.json", "adapter_lineage.json"] {
        if let Ok(bytes) = std::fs::read(good.join(file)) {
            place.write(&format!("broken/{file}"), bytes);
        }
    }
    let name = "adapter_model.safetensors";
    let mut bytes = std::fs::read(good.join(name)).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let data = 8 + usize::try_from(header).unwrap();
    let tensors: BTreeMap<String, Value> = serde_json::from_slice(&bytes[8..data]).unwrap();
    for tensor in tensors
        .iter()
        .filter(|(name, _)| name.contains("lora_B"))
        .map(|(_, tensor)| tensor)
    {
        assert_eq!(tensor["dtype"], "F32");
        let offset = |end: usize| {
            data + usize::try_from(tensor["data_offsets"][end].as_u64().unwrap()).unwrap()
        };
        for value in bytes[offset(0)..offset(1)].chunks_exact_mut(4) {
            let weight = f32::from_le_bytes(value.try_into().unwrap());
            value.copy_from_slice(&(weight * -4.0).to_le_bytes());
        }
    }
    place.write(&format!("broken/{name}"), bytes);
    place.path("broken").to_str().unwrap().to_owned()
}
