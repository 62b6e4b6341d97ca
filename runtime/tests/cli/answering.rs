//! `quoin eval answers`, `compare`, `gate` and `diagnose` on small data sets, with the bundled model.

use serde_json::{Value, json};

use crate::place::Place;

const LEAVE: &str = "Employees have 27 days of annual leave. Leave is asked for in the portal.";

/// Four questions: one whose answer is there, one that nothing answers, one that the caller may not read, one whose document is gone.
fn dataset() -> Place {
    let place = Place::new();
    let corpus = [
        json!({"_id": "leave", "title": "Leave", "text": LEAVE}),
        json!({"_id": "pay", "title": "Pay", "text": "The bonus is 900 euros.", "acl": ["group:hr"]}),
        json!({"_id": "vpn", "title": "VPN", "text": "The VPN needs a hardware token. Tokens are handed out by the IT desk."}),
    ];
    let gold = |document: &str, quote: &str| json!([{"document": document, "quote": quote}]);
    let questions = [
        json!({"id": "q1", "question": "How many days of annual leave do employees have?", "answers": ["27", "27 days"],
            "gold": gold("leave", "Employees have 27 days of annual leave."), "kind": "answerable"}),
        json!({"id": "q2", "question": "Who painted the ceiling of the chapel?", "is_impossible": true, "kind": "unanswerable"}),
        json!({"id": "q3", "question": "How high is the bonus?", "is_impossible": true, "kind": "restricted"}),
        json!({"id": "q4", "question": "Where are bicycles parked?", "answers": ["in the yard"], "context_id": "bicycles",
            "kind": "answerable"}),
    ];
    let lines = |rows: &[Value]| {
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        lines.join("\n")
    };
    place.write("set/corpus.jsonl", lines(&corpus));
    place.write("set/qa.jsonl", lines(&questions));
    place
}

fn read(place: &Place, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(place.path(file)).unwrap()).unwrap()
}

/// Everything but what was timed.
fn untimed(place: &Place, folder: &str) -> (Value, Vec<Value>) {
    let mut report = read(place, &format!("{folder}/report.json"));
    report.as_object_mut().unwrap().remove("timings_ms");
    let lines = std::fs::read_to_string(place.path(&format!("{folder}/questions.jsonl"))).unwrap();
    let questions = lines.lines().map(|line| {
        let mut question: Value = serde_json::from_str(line).unwrap();
        let metrics = question["metrics"].as_object_mut().unwrap();
        metrics.retain(|name, _| !name.ends_with("_ms"));
        question
    });
    (report, questions.collect())
}

const ANSWERS: [&str; 6] = [
    "eval",
    "answers",
    "--dataset",
    "set",
    "--mode",
    "extractive",
];

#[test]
fn answers_are_measured_and_the_same_release_gives_the_same_report() {
    let place = dataset();
    let ran = place.run(&[&ANSWERS[..], &["--out", "one"]].concat()).ok();
    for word in [
        "exact",
        "citation_recall",
        "abstain_recall",
        "4 questions",
        "p50",
    ] {
        assert!(
            ran.stdout.contains(word),
            "`{word}` is not in: {}",
            ran.stdout
        );
    }
    for file in [
        "report.json",
        "report.md",
        "report.html",
        "junit.xml",
        "questions.jsonl",
    ] {
        assert!(place.path("one").join(file).exists(), "{file}");
    }
    let (report, questions) = untimed(&place, "one");
    assert_eq!(report["n"], 4);
    assert_eq!(report["adapter"], "base");
    assert_eq!(report["answers"]["quote_verbatim"], 1.0, "{report:#}");
    assert_eq!(report["thresholds"].as_array().unwrap().len(), 21);
    assert!(report["kinds"]["answerable"]["f1"].is_number());
    assert_eq!(
        questions[0]["metrics"]["citation_recall"], 1.0,
        "{:#}",
        questions[0]
    );
    assert_eq!(questions[0]["metrics"]["contains"], 1.0);
    let told = questions[2].to_string();
    assert!(
        !told.contains("900"),
        "nobody without the right is told: {told}"
    );

    place
        .run(&[&ANSWERS[..], &["--out", "again", "--no-cache"]].concat())
        .ok();
    assert_eq!(untimed(&place, "again"), (report, questions));
    place
        .run(&[&ANSWERS[..], &["--out", "cached"]].concat())
        .ok();
    let lines = |folder: &str| std::fs::read(place.path(folder).join("questions.jsonl")).unwrap();
    assert_eq!(
        lines("cached"),
        lines("one"),
        "with the times of the first run: nothing was asked again"
    );
}

#[test]
fn two_runs_are_compared_and_gates_end_with_their_codes() {
    let place = dataset();
    place.run(&[&ANSWERS[..], &["--out", "a"]].concat()).ok();
    place
        .run(&[&ANSWERS[..], &["--out", "b", "--top-k", "1"]].concat())
        .ok();
    let ran = place.run(&["eval", "compare", "a", "b", "--out", "c"]).ok();
    assert!(
        ran.stdout.contains("4 questions on both sides"),
        "{}",
        ran.stdout
    );
    for file in [
        "comparison.json",
        "comparison.md",
        "comparison.html",
        "comparison.junit.xml",
    ] {
        assert!(place.path("c").join(file).exists(), "{file}");
    }
    let gates = |text: &str| place.write("gates.toml", text);
    let gate = |out: &str| {
        place.run(&[
            "eval",
            "gate",
            "a",
            "--config",
            "gates.toml",
            "--baseline",
            "b",
            "--out",
            out,
        ])
    };
    gates("[[gate]]\nmetric = \"quote_verbatim\"\nmode = \"absolute\"\nmin = 1.0\nmin_n = 1\n");
    gate("g").ok();
    assert_eq!(read(&place, "g/gate.json")["passed"], true);
    gates("[[gate]]\nmetric = \"failed\"\nmode = \"absolute\"\nmin = 1.0\nmin_n = 1\n");
    gate("g").fails(100, "a gate failed");
    gates("[[gate]]\nmetric = \"f1\"\nmode = \"non_inferior\"\nmargin = 0.01\n");
    gate("g").fails(101, "cannot be told");
    gates("[[gate]]\nmetric = \"f1\"\nmode = \"no_worse\"\n");
    gate("g").fails(1, "no_worse");
    place
        .run(&["eval", "gate", "nothing", "--config", "gates.toml"])
        .fails(1, "no_worse");
}

#[test]
fn a_diagnosis_says_where_questions_were_lost_and_what_to_do() {
    let place = dataset();
    let ran = place
        .run(&[
            "eval",
            "diagnose",
            "--dataset",
            "set",
            "--extractive",
            "--out",
            "d",
        ])
        .ok();
    assert!(ran.stdout.contains("LEVER"), "{}", ran.stdout);
    for file in ["report.json", "report.md", "report.html", "junit.xml"] {
        assert!(place.path("d").join(file).exists(), "{file}");
    }
    let report = read(&place, "d/report.json");
    let class = |id: &str| {
        let findings = report["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["id"] == id).unwrap();
        finding["class"].as_str().unwrap().to_owned()
    };
    assert_eq!(class("q1"), "right", "{report:#}");
    assert_eq!(class("q4"), "not_in_corpus", "{report:#}");
}

#[test]
fn what_cannot_be_evaluated_is_named() {
    let place = dataset();
    place
        .run(&[&ANSWERS[..], &["--model", "nobody@1"]].concat())
        .ok();
    place
        .run(&["eval", "answers", "--dataset", "set", "--model", "nobody@1"])
        .fails(1, "nobody@1");
    place
        .run(&[&ANSWERS[..], &["--url", "ftp://somewhere"]].concat())
        .fails(2, "ftp://somewhere");
    place
        .run(&[&ANSWERS[..], &["--concurrency", "0"]].concat())
        .fails(2, "1 to 64");
    place.write(
        "set/qa.jsonl",
        "{\"id\": \"q\", \"question\": \"?\", \"answers\": [\"x\"], \"gold\": 3}\n",
    );
    place.run(&ANSWERS).fails(1, "qa.jsonl:1");
    place.write("set/qa.jsonl", "");
    place.run(&ANSWERS).fails(1, "has no questions");
    place.write("set/dataset.toml", "documents = \"/etc\"\n");
    place.run(&ANSWERS).fails(1, "dataset.toml");
}

#[test]
fn a_server_elsewhere_is_asked_by_its_address() {
    let place = dataset();
    place.write("docs/leave.txt", LEAVE);
    let server = place.serve(&[]);
    place.run(&["ingest", "docs", "--acl", "public"]).ok();
    let url = format!("http://{}", server.address);
    let report = place
        .run(&[&ANSWERS[..], &["--url", &url, "--json"]].concat())
        .ok()
        .json();
    assert_eq!(report["answers"]["failed"], 0.0, "{report:#}");
    assert_eq!(report["answers"]["contains"], 0.5);
    let gone = place.run(&[&ANSWERS[..], &["--url", "http://127.0.0.1:1"]].concat());
    gone.fails(1, "cannot be reached");
}

/// The report of the extractive answers to the data set `made`.
fn asked_of_made(place: &Place) -> Value {
    let asked = [
        "eval",
        "answers",
        "--dataset",
        "made",
        "--mode",
        "extractive",
        "--json",
    ];
    place.run(&asked).ok().json()
}

#[test]
fn a_data_set_is_made_from_documents_and_can_be_asked() {
    let place = Place::new();
    place.write(
        "docs/allowances.md",
        "# Allowances\n\n| Country | Full day | Half day |\n|---|---|---|\n| Norway | 620 | 310 |\n| Japan | 9000 | 4500 |\n\n\
         A bridge day is a working day between a holiday and a weekend.\n",
    );
    let new = ["eval", "new", "docs", "--out", "made", "--questions", "6"];
    let ran = place.run(&new).ok();
    assert!(ran.stdout.contains("1 document"), "{}", ran.stdout);
    place.run(&new).fails(1, "is there already");
    let manifest = std::fs::read_to_string(place.path("made/dataset.toml")).unwrap();
    assert!(manifest.contains("generated = true"), "{manifest}");
    let report = asked_of_made(&place);
    assert!(report["n"].as_u64().unwrap() >= 3, "{report:#}");
    assert!(report["kinds"]["generated/table"].is_object(), "{report:#}");
}

#[test]
fn a_data_set_is_made_from_what_people_said_of_answers() {
    let place = Place::new();
    place.write("docs/leave.txt", LEAVE);
    place.write("quoin.toml", "[log]\ncontent = true\n");
    let server = place.serve(&["--config", "quoin.toml"]);
    place.run(&["ingest", "docs", "--acl", "public"]).ok();
    let new = ["eval", "new", "--from-log", "--out", "made"];
    place.run(&new).fails(1, "somebody called right");
    let ask = |question: &str| -> Value {
        let body = json!({"question": question, "mode": "extractive"}).to_string();
        let (status, answer) = server.http("POST", "/v1/answers", "", &body);
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str(&answer).unwrap()
    };
    let rate = |answer: &Value, mut rating: Value| {
        rating["answer_id"] = answer["id"].clone();
        rating["metric"] = json!("helpful");
        for _ in 0..100 {
            let (status, _) = server.http("POST", "/v1/feedback", "", &rating.to_string());
            if status == 201 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("the answer is not in the log");
    };
    let liked = ask("How many days of annual leave do employees have?");
    rate(&liked, json!({"value": true}));
    rate(
        &ask("Where is leave asked for?"),
        json!({"value": false, "demonstration": "in the portal"}),
    );
    rate(&ask("Where is leave paid out?"), json!({"value": false}));
    let ran = place.run(&new).ok();
    assert!(
        ran.stdout.contains("2 questions") && ran.stdout.contains("and 1 that nobody"),
        "{}",
        ran.stdout
    );
    let questions = std::fs::read_to_string(place.path("made/qa.jsonl")).unwrap();
    let first: Value = serde_json::from_str(questions.lines().next().unwrap()).unwrap();
    assert_eq!(
        first["gold"][0]["quote"], liked["citations"][0]["quote"],
        "{questions}"
    );
    assert!(questions.contains("in the portal"), "{questions}");
    assert_eq!(asked_of_made(&place)["n"], 2);
}
