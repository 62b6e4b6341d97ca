//! Which question of one run belongs to which of the other, and why two runs cannot be paired.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::EvalError;
use crate::record::{ClusterBy, EvaluatedRun, QuestionRecord};
use crate::statistics::Sample;

/// Two runs side by side, by question id.
#[derive(Debug)]
pub struct Pairing<'runs> {
    pub pairs: Vec<(&'runs QuestionRecord, &'runs QuestionRecord)>,
    pub only_a: Vec<&'runs str>,
    pub only_b: Vec<&'runs str>,
    pub warnings: Vec<String>,
}

/// One metric's values: of questions that have it on both sides, and how many have it on one.
#[derive(Debug)]
pub struct PairedValues<'runs> {
    /// The question as B has it, A's value, B's value.
    pub both: Vec<(&'runs QuestionRecord, f64, f64)>,
    pub only_a: usize,
    pub only_b: usize,
}

impl<'runs> Pairing<'runs> {
    pub fn of(
        a: &'runs EvaluatedRun,
        b: &'runs EvaluatedRun,
        allow_different_data: bool,
    ) -> Result<Self, EvalError> {
        let mut warnings = Vec::new();
        let (left, right) = (&a.report, &b.report);
        if left.dataset.digest != right.dataset.digest {
            let reason = format!(
                "A was evaluated on `{}` ({}), B on `{}` ({})",
                left.dataset.name, left.dataset.digest, right.dataset.name, right.dataset.digest
            );
            if !allow_different_data {
                return Err(EvalError::Pairing { reason });
            }
            warnings.push(format!("different data sets: {reason}"));
        }
        if left.config_digest != right.config_digest {
            warnings.push(format!(
                "configurations differ ({} and {}): a difference may come from either the release or the configuration",
                left.config_digest, right.config_digest
            ));
        }
        let first = by_id(a)?;
        let second = by_id(b)?;
        let mut pairs = Vec::new();
        for (id, record) in &first {
            let Some(other) = second.get(id) else {
                continue;
            };
            if record.question != other.question {
                return Err(EvalError::Pairing {
                    reason: format!("question `{id}` is not the same text in both"),
                });
            }
            pairs.push((*record, *other));
        }
        if pairs.is_empty() {
            return Err(EvalError::Pairing {
                reason: format!(
                    "A has {} questions, B has {}, and none is in both",
                    first.len(),
                    second.len()
                ),
            });
        }
        let only = |these: &BTreeMap<&'runs str, _>, others: &BTreeMap<&'runs str, _>| {
            these
                .keys()
                .filter(|id| !others.contains_key(*id))
                .copied()
                .collect::<Vec<_>>()
        };
        let (only_a, only_b) = (only(&first, &second), only(&second, &first));
        if !only_a.is_empty() || !only_b.is_empty() {
            warnings.push(format!(
                "{} questions are in A alone, {} in B alone",
                only_a.len(),
                only_b.len()
            ));
        }
        if pairs.iter().any(|(a, b)| a.cluster != b.cluster) {
            warnings.push("clusters differ between the runs: those of B are used".to_owned());
        }
        Ok(Self {
            pairs,
            only_a,
            only_b,
            warnings,
        })
    }

    /// Every metric of any paired question.
    #[must_use]
    pub fn metrics(&self) -> BTreeSet<&'runs str> {
        self.pairs
            .iter()
            .flat_map(|(a, b)| a.metrics.keys().chain(b.metrics.keys()))
            .map(String::as_str)
            .collect()
    }

    #[must_use]
    pub fn values(&self, metric: &str) -> PairedValues<'runs> {
        let mut values = PairedValues {
            both: Vec::new(),
            only_a: 0,
            only_b: 0,
        };
        for (a, b) in &self.pairs {
            match (a.metrics.get(metric), b.metrics.get(metric)) {
                (Some(before), Some(after)) => values.both.push((*b, *before, *after)),
                (Some(_), None) => values.only_a += 1,
                (None, Some(_)) => values.only_b += 1,
                (None, None) => {}
            }
        }
        values
    }
}

impl PairedValues<'_> {
    /// B − A of each question; questions of one cluster of B are one unit.
    #[must_use]
    pub fn differences(&self, by: ClusterBy) -> Sample {
        Sample::new(
            self.both
                .iter()
                .map(|(record, before, after)| (by.of(record), after - before)),
        )
    }
}

fn by_id(run: &EvaluatedRun) -> Result<BTreeMap<&str, &QuestionRecord>, EvalError> {
    let mut records = BTreeMap::new();
    for record in &run.questions {
        if records.insert(record.id.as_str(), record).is_some() {
            return Err(EvalError::Pairing {
                reason: format!("question `{}` comes twice in one run", record.id),
            });
        }
    }
    Ok(records)
}
