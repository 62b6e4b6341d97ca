//! The questions whose value changed, the worst first, with both answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Better, CompareOptions, MetricComparison, Pairing};
use crate::error::EvalError;
use crate::record::{CitationRecord, QuestionRecord, Status};

/// Characters of a text that are shown of a flip.
const TEXT_CHARACTERS_MAX: usize = 4_000;

/// One side of a flip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlipSide {
    pub value: f64,
    pub status: Option<Status>,
    pub answer: Option<String>,
    pub citations: Vec<CitationRecord>,
    pub error: Option<String>,
}

/// A question whose value changed. Long texts end in `…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flip {
    pub id: String,
    pub question: String,
    pub kind: Option<String>,
    pub gold: Vec<String>,
    pub a: FlipSide,
    pub b: FlipSide,
}

/// As asked for, else the first that there is of those that a person looks at.
pub(super) fn flip_metric(
    options: &CompareOptions,
    metrics: &BTreeMap<String, MetricComparison>,
) -> Result<Option<String>, EvalError> {
    if let Some(metric) = &options.flip_metric {
        if metrics.contains_key(metric) {
            return Ok(Some(metric.clone()));
        }
        return Err(EvalError::Pairing {
            reason: format!("no paired question has the metric `{metric}` on both sides"),
        });
    }
    let preferred = ["exact", "f1", "reranked/nDCG@10"];
    let first = preferred
        .into_iter()
        .find(|name| metrics.contains_key(*name));
    Ok(first
        .map(str::to_owned)
        .or_else(|| metrics.keys().next().cloned()))
}

/// How many flipped, and the worst of them.
pub(super) fn flips(pairing: &Pairing, metric: &str, limit: usize) -> (usize, Vec<Flip>) {
    let sign = Better::by_name(metric).sign();
    let mut changed: Vec<_> = pairing
        .pairs
        .iter()
        .filter_map(|(a, b)| Some((*a, *b, *a.metrics.get(metric)?, *b.metrics.get(metric)?)))
        .filter(|(_, _, before, after)| before.total_cmp(after).is_ne())
        .collect();
    changed.sort_by(|left, right| {
        let gain = |(_, _, before, after): &(_, _, f64, f64)| (after - before) * sign;
        gain(left)
            .total_cmp(&gain(right))
            .then_with(|| left.0.id.cmp(&right.0.id))
    });
    let flips = changed
        .iter()
        .take(limit)
        .map(|(a, b, before, after)| Flip {
            id: b.id.clone(),
            question: clipped(&b.question),
            kind: b.kind.clone(),
            gold: b.gold.iter().take(20).map(|text| clipped(text)).collect(),
            a: side(a, *before),
            b: side(b, *after),
        });
    (changed.len(), flips.collect())
}

fn side(record: &QuestionRecord, value: f64) -> FlipSide {
    let citation = |citation: &CitationRecord| CitationRecord {
        document: clipped(&citation.document),
        quote: clipped(&citation.quote),
    };
    FlipSide {
        value,
        status: record.status,
        answer: record.answer.as_ref().map(|answer| match answer {
            Value::String(text) => clipped(text),
            other => clipped(&other.to_string()),
        }),
        citations: record.citations.iter().take(20).map(citation).collect(),
        error: record.error.as_deref().map(clipped),
    }
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
