//! Questions that people asked: what they liked or corrected becomes gold, what they disliked waits for an answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answers::normalise;
use crate::dataset::{GoldQuote, Question};

/// A rating of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogFeedback {
    pub metric: String,
    /// `true` and numbers above 0 are in favour; `false` and the others are against.
    pub value: Value,
    /// What the answer should have been: a text, an object of fields, or null where the right thing was to abstain.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub demonstration: Option<Value>,
}

/// Null is a demonstration too.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// An answer of the log with what was said about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogRow {
    /// The answer's id.
    pub id: String,
    pub question: String,
    /// A text, or an object of fields; null when the model abstained.
    #[serde(default)]
    pub answer: Value,
    /// `answered` or `abstained`; rows of another status are left out.
    pub status: String,
    #[serde(default)]
    pub citations: Vec<GoldQuote>,
    /// Access tokens of who asked.
    #[serde(default)]
    pub tokens: Vec<String>,
    #[serde(default)]
    pub feedback: Vec<LogFeedback>,
}

/// What a log gave, in the order in which the questions were first asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FromLog {
    /// With a right answer, of kind `log`.
    pub questions: Vec<Question>,
    /// Disliked or disputed, without a right answer.
    pub unlabelled: Vec<Question>,
    /// Rows that say nothing about what is right: no feedback, no question, another status, or an answer of no usable form.
    pub skipped: usize,
}

/// What people agree to be right.
#[derive(Clone, PartialEq)]
enum Verdict {
    Right(Value),
    Wrong,
}

struct Asked<'a> {
    first: &'a LogRow,
    demonstrated: Vec<Value>,
    liked: Vec<(Value, &'a LogRow)>,
    is_disliked: bool,
}

/// Makes questions of a log. Rows whose questions are the same after [`normalise`] and whose askers hold the same tokens are one.
///
/// A demonstration wins over ratings; two that differ contradict each other. Otherwise an answer that was liked and never disliked
/// is gold, and its citations are the gold places. What was disliked, liked as two answers, or both liked and disliked has no label.
#[must_use]
pub fn from_log(rows: &[LogRow]) -> FromLog {
    let mut asked: BTreeMap<(String, Vec<String>), Asked<'_>> = BTreeMap::new();
    let mut order = Vec::new();
    let mut made = FromLog::default();
    for row in rows {
        let known = matches!(row.status.as_str(), "answered" | "abstained");
        let text = normalise(&row.question);
        if !known || text.is_empty() || row.feedback.is_empty() {
            made.skipped += 1;
            continue;
        }
        let mut tokens = row.tokens.clone();
        tokens.sort();
        tokens.dedup();
        if tokens.iter().all(|token| token == "public") {
            tokens.clear(); // as a question that names none
        }
        let key = (text, tokens);
        let group = asked.entry(key.clone()).or_insert_with(|| {
            order.push(key);
            Asked {
                first: row,
                demonstrated: Vec::new(),
                liked: Vec::new(),
                is_disliked: false,
            }
        });
        group.add(row);
    }
    for key in order {
        let Some(group) = asked.get(&key) else {
            continue;
        };
        let id = question_id(&key);
        match group.verdict() {
            Verdict::Wrong => made.unlabelled.push(group.question(id, key.1)),
            Verdict::Right(value) => match group.labelled(id, key.1, &value) {
                Some(question) => made.questions.push(question),
                None => made.skipped += 1,
            },
        }
    }
    made
}

/// The question's digest, and that of the tokens unless public alone asks: restricted askers have their own answers.
fn question_id((text, tokens): &(String, Vec<String>)) -> String {
    let named = if tokens.is_empty() {
        text.clone()
    } else {
        format!("{text}\n{}", tokens.join("\n"))
    };
    format!("log-{}", &super::hex_digest(&named)[..16])
}

impl<'a> Asked<'a> {
    fn add(&mut self, row: &'a LogRow) {
        let shown = match row.status.as_str() {
            "abstained" => Value::Null,
            _ => row.answer.clone(),
        };
        for feedback in &row.feedback {
            if let Some(demonstration) = &feedback.demonstration {
                if !self
                    .demonstrated
                    .iter()
                    .any(|known| same(known, demonstration))
                {
                    self.demonstrated.push(demonstration.clone());
                }
            } else if is_in_favour(&feedback.value) {
                self.liked.push((shown.clone(), row));
            } else {
                self.is_disliked = true;
            }
        }
    }

    fn verdict(&self) -> Verdict {
        match (self.demonstrated.as_slice(), self.liked.as_slice()) {
            ([right], _) => Verdict::Right(right.clone()),
            ([], [(right, _), rest @ ..])
                if !self.is_disliked && rest.iter().all(|(other, _)| same(right, other)) =>
            {
                Verdict::Right(right.clone())
            }
            _ => Verdict::Wrong,
        }
    }

    fn question(&self, id: String, tokens: Vec<String>) -> Question {
        Question {
            id,
            question: self.first.question.trim().to_owned(),
            kind: Some("log".to_owned()),
            tokens,
            ..Question::default()
        }
    }

    fn labelled(&self, id: String, tokens: Vec<String>, right: &Value) -> Option<Question> {
        let mut question = self.question(id, tokens);
        match right {
            Value::Null => question.is_impossible = true,
            Value::String(text) if text.trim().is_empty() => question.is_impossible = true,
            Value::String(text) => question.answers.push(text.clone()),
            Value::Number(number) => question.answers.push(number.to_string()),
            Value::Object(fields) if !fields.is_empty() => question.fields = Some(right.clone()),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
        }
        // A place counts as gold only where the answer that cited it was right.
        let right_ones = self.liked.iter().filter(|(answer, _)| same(answer, right));
        for gold in right_ones.flat_map(|(_, row)| &row.citations) {
            if question.is_impossible {
                break;
            }
            if !question.documents.contains(&gold.document) {
                question.documents.push(gold.document.clone());
            }
            if !gold.quote.trim().is_empty() && !question.gold.contains(gold) {
                question.gold.push(gold.clone());
            }
        }
        Some(question)
    }
}

fn is_in_favour(value: &Value) -> bool {
    match value {
        Value::Bool(good) => *good,
        other => other.as_f64().is_some_and(|number| number > 0.0),
    }
}

fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::String(left), Value::String(right)) => normalise(left) == normalise(right),
        _ => left == right,
    }
}
