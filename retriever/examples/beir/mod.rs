//! BEIR folders, for the programs beside this.

use std::collections::HashMap;
use std::path::Path;

use quoin_retriever::{Content, DocumentId, DocumentInput};
use serde_json::Value;

/// Judgements of one question: document to grade, above 0.
pub type Judged = HashMap<String, f64>;

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// By question.
pub fn judged(folder: &Path) -> HashMap<String, Judged> {
    let mut judged: HashMap<String, Judged> = HashMap::new();
    let text = std::fs::read_to_string(folder.join("qrels/test.tsv")).unwrap();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let grade: f64 = fields[2].parse().unwrap();
        if grade > 0.0 {
            judged
                .entry(fields[0].into())
                .or_default()
                .insert(fields[1].into(), grade);
        }
    }
    judged
}

/// Judged questions, evenly spread, at most `most`: id and text.
pub fn questions(folder: &Path, most: usize) -> Vec<(String, String)> {
    let judged = judged(folder);
    let field = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    let all: Vec<(String, String)> = lines(&folder.join("queries.jsonl"))
        .iter()
        .map(|line| (field(line, "_id"), field(line, "text")))
        .filter(|(id, _)| judged.contains_key(id))
        .collect();
    let step = (all.len() / most).max(1);
    all.into_iter().step_by(step).take(most).collect()
}

/// The documents, public.
pub fn documents(folder: &Path) -> Vec<DocumentInput> {
    let input = |line: Value| {
        let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        DocumentInput {
            title: Some(field("title")).filter(|title| !title.is_empty()),
            acl: Some(vec!["public".into()]),
            ..DocumentInput::new(
                DocumentId::new(field("_id")).unwrap(),
                Content::text(field("text")),
            )
        }
    };
    let lines = lines(&folder.join("corpus.jsonl"));
    lines.into_iter().map(input).collect()
}
