//! What one answer is worth: citations held against the documents' texts, the answer against its schema and the gold.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use jsonschema::error::ValidationErrorKind;
use quoin_eval::Question;
use quoin_eval::answers::{AnswerOutcome, Cited, Source};
use quoin_eval::record::{CitationRecord, QuestionRecord, Status as Recorded};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::answer::types::{Answer, Citation, Status};
use crate::cli::failure::Failure;
use crate::cli::transport::{Client, segment};

/// Most documents whose texts are kept in memory.
const TEXTS_MAX: usize = 4096;

/// The texts of documents, asked for once. None is a document that is not there. Clones share what they know.
#[derive(Clone)]
pub(super) struct Texts {
    client: Arc<Client>,
    known: Arc<Mutex<HashMap<String, Option<Arc<Text>>>>>,
}

/// A document's text, cut by code points.
pub(super) struct Text {
    characters: Vec<char>,
}

impl Text {
    fn slice(&self, place: &Range<usize>) -> Option<String> {
        Some(self.characters.get(place.clone())?.iter().collect())
    }

    /// Where words stand first, in code points.
    pub(super) fn find(&self, words: &str) -> Option<Range<usize>> {
        let wanted: Vec<char> = words.chars().collect();
        if wanted.is_empty() {
            return None;
        }
        let mut windows = self.characters.windows(wanted.len());
        let start = windows.position(|window| window == wanted)?;
        Some(start..start + wanted.len())
    }
}

impl Texts {
    pub(super) fn new(client: Arc<Client>) -> Self {
        Self {
            client,
            known: Arc::default(),
        }
    }

    /// As whoever owns the evaluation may read it.
    pub(super) async fn of(&self, document: &str) -> Result<Option<Arc<Text>>, Failure> {
        if let Some(known) = self.known.lock().await.get(document) {
            return Ok(known.clone());
        }
        let path = format!("/v1/documents/{}/text", segment(document));
        let text = match self.client.get(&path).await {
            Ok(answer) => {
                let text = answer["text"].as_str().unwrap_or_default();
                Some(Arc::new(Text {
                    characters: text.chars().collect(),
                }))
            }
            Err(failure) if failure.is_not_found() => None,
            Err(failure) => return Err(failure),
        };
        let mut known = self.known.lock().await;
        if known.len() >= TEXTS_MAX {
            known.clear();
        }
        known.insert(document.to_owned(), text.clone());
        Ok(text)
    }

    /// Where the data set says that the answer stands.
    pub(super) async fn sources(&self, question: &Question) -> Result<Vec<Source>, Failure> {
        let mut sources = Vec::new();
        for gold in &question.gold {
            let text = self.of(&gold.document).await?;
            sources.push(Source {
                document: gold.document.clone(),
                place: text.and_then(|text| text.find(&gold.quote)),
            });
        }
        for document in &question.documents {
            if !sources.iter().any(|source| source.document == *document) {
                sources.push(Source {
                    document: document.clone(),
                    place: None,
                });
            }
        }
        Ok(sources)
    }

    async fn cited(&self, citation: &Citation) -> Result<Cited, Failure> {
        let place = citation.start..citation.end;
        let text = self.of(&citation.document).await?;
        let found = text.and_then(|text| text.slice(&place));
        Ok(Cited {
            verbatim: found.as_deref() == Some(citation.quote.as_str()),
            document: citation.document.clone(),
            quote: citation.quote.clone(),
            place,
        })
    }
}

/// An answer beside the gold.
pub(super) struct Scored {
    pub(super) outcome: AnswerOutcome,
    pub(super) record: QuestionRecord,
}

/// Holds what came against the question. An answer that failed counts as an abstention whose status says so.
pub(super) async fn score(
    question: &Question,
    came: &Result<Answer, String>,
    texts: &Texts,
) -> Result<Scored, Failure> {
    let mut outcome = AnswerOutcome {
        gold: question.answers.clone(),
        is_impossible: question.is_impossible,
        sources: texts.sources(question).await?,
        ..AnswerOutcome::default()
    };
    let mut record = QuestionRecord {
        id: question.id.clone(),
        question: question.question.clone(),
        kind: question.kind.clone(),
        cluster: question.cluster.clone(),
        gold: question.answers.clone(),
        status: Some(Recorded::Failed),
        ..QuestionRecord::default()
    };
    match came {
        Err(reason) => record.error = Some(reason.clone()),
        Ok(answer) => {
            record.status = Some(match answer.status {
                Status::Answered => Recorded::Answered,
                Status::Abstained => Recorded::Abstained,
            });
            for citation in &answer.citations {
                outcome.citations.push(texts.cited(citation).await?);
                record.citations.push(CitationRecord {
                    document: citation.document.clone(),
                    quote: citation.quote.clone(),
                });
            }
            if answer.status == Status::Answered {
                outcome.answer = Some(in_words(&answer.answer));
                outcome.schema_valid = is_valid(question.schema.as_ref(), &answer.answer);
                record.answer = Some(answer.answer.clone());
            }
        }
    }
    if let Some(expected) = &question.fields {
        let got = record.answer.clone().unwrap_or(Value::Null);
        outcome.fields = Some((expected.clone(), got));
    }
    record.metrics = outcome.metrics();
    record
        .metrics
        .insert("failed".to_owned(), f64::from(u8::from(came.is_err())));
    if let Ok(answer) = came {
        note_costs(answer, &mut record);
    }
    Ok(Scored { outcome, record })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of tokens are far below 2^53"
)]
fn note_costs(answer: &Answer, record: &mut QuestionRecord) {
    let mut note = |name: &str, value: f64| record.metrics.insert(name.to_owned(), value);
    note("confidence", answer.confidence);
    note("prompt_tokens", answer.usage.prompt_tokens as f64);
    note("completion_tokens", answer.usage.completion_tokens as f64);
    note(LATENCY, answer.timings_ms.total);
    if answer.timings_ms.first_token > 0.0 {
        note(FIRST_TOKEN, answer.timings_ms.first_token);
    }
}

/// Times among the metrics of a question: what differs from one run to the next.
pub(super) const LATENCY: &str = "latency_ms";
pub(super) const FIRST_TOKEN: &str = "first_token_ms";

/// A string as it is, anything else as JSON.
pub(super) fn in_words(answer: &Value) -> String {
    answer
        .as_str()
        .map_or_else(|| answer.to_string(), str::to_owned)
}

/// Whether the answer satisfies the schema that was asked for; without one, whether it is a string.
fn is_valid(schema: Option<&Value>, answer: &Value) -> bool {
    match schema {
        None => answer.is_string(),
        Some(schema) => jsonschema::is_valid(schema, answer),
    }
}

/// Whether an answer that satisfies the schema can be right: its fields, or one of the gold answers as text or as JSON. None where
/// that cannot be told. What the data set does not say of a structured answer is not missed.
pub(super) fn admits_gold(question: &Question) -> Option<bool> {
    let schema = question.schema.as_ref()?;
    let Ok(validator) = jsonschema::validator_for(schema) else {
        return Some(false);
    };
    if let Some(fields) = &question.fields {
        let mut errors = validator.iter_errors(fields);
        return Some(
            errors.all(|error| matches!(error.kind(), ValidationErrorKind::Required { .. })),
        );
    }
    let is_structured = ["object", "array"]
        .iter()
        .any(|kind| schema["type"] == *kind);
    if is_structured || question.answers.is_empty() {
        return None;
    }
    Some(question.answers.iter().any(|answer| {
        validator.is_valid(&Value::from(answer.as_str()))
            || serde_json::from_str(answer).is_ok_and(|value| validator.is_valid(&value))
    }))
}
