//! `questions.jsonl`: one line a question, with everything that a run measured on it.
//!
//! The file lies beside `report.json`. What does not apply to a question is absent from its metrics.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::dataset::Lines;
use crate::error::EvalError;
use crate::report::{Report, sha256_text};

/// No file may hold more questions.
pub const QUESTIONS_MAX: usize = 1_000_000;
/// No question may hold more metrics.
pub const METRICS_MAX: usize = 1_000;
/// `report.json` may not be longer.
const REPORT_BYTES_MAX: u64 = 64 << 20;

/// Which questions are one unit of the statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterBy {
    /// By the questions' `cluster`; those without stand alone.
    #[default]
    Cluster,
    /// By the questions' `kind`; those without stand alone. A data set has few kinds: below 20 units a gate is inconclusive.
    Kind,
    /// Every question stands alone.
    None,
}

impl ClusterBy {
    /// None for a question that stands alone.
    pub(crate) fn of(self, record: &QuestionRecord) -> Option<&str> {
        match self {
            Self::Cluster => record.cluster.as_deref(),
            Self::Kind => record.kind.as_deref(),
            Self::None => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Answered,
    Abstained,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CitationRecord {
    pub document: String,
    pub quote: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QuestionRecord {
    pub id: String,
    pub question: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Questions of one cluster rise and fall together: paraphrases, or questions about one document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Finite.
    pub metrics: BTreeMap<String, f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gold: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub citations: Vec<CitationRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl QuestionRecord {
    /// Whether an answer that was given is right: it has a gold answer in it word for word, or an F1 of at least 0.5. None of what
    /// was not answered.
    pub(crate) fn is_right(&self) -> Option<bool> {
        let at_least = |metric: &str, least: f64| {
            let value = self.metrics.get(metric);
            value.is_some_and(|value| *value >= least)
        };
        let is_given = self.status == Some(Status::Answered) && self.metrics.contains_key("f1");
        is_given.then(|| at_least("contains", 1.0) || at_least("f1", 0.5))
    }

    fn check(&self) -> Result<(), String> {
        if self.id.is_empty() {
            return Err("`id` is empty".to_owned());
        }
        if self.metrics.len() > METRICS_MAX {
            let found = self.metrics.len();
            return Err(format!(
                "`metrics` has {found} entries, at most {METRICS_MAX}"
            ));
        }
        match self.metrics.iter().find(|(_, value)| !value.is_finite()) {
            Some((name, value)) => Err(format!("metric `{name}` is {value}, must be finite")),
            None => Ok(()),
        }
    }
}

/// Reads the questions in the order of the file. An id that came before is an error, with its line.
pub fn read_questions(path: &Path) -> Result<Vec<QuestionRecord>, EvalError> {
    let mut lines = Lines::open(path)?;
    let mut records = Vec::new();
    let mut seen = HashSet::new();
    while let Some(line) = lines.next() {
        let record: QuestionRecord = lines.json(&line?)?;
        record.check().map_err(|reason| lines.error(reason))?;
        if !seen.insert(record.id.clone()) {
            return Err(lines.error(format!("question `{}` came before", record.id)));
        }
        if records.len() == QUESTIONS_MAX {
            return Err(lines.error(format!(
                "is question {}, at most {QUESTIONS_MAX}",
                records.len() + 1
            )));
        }
        records.push(record);
    }
    Ok(records)
}

/// Writes the questions line by line, and refuses what [`read_questions`] would refuse.
pub fn write_questions<'records>(
    path: &Path,
    records: impl IntoIterator<Item = &'records QuestionRecord>,
) -> Result<(), EvalError> {
    let file = File::create(path).map_err(EvalError::io("create", path))?;
    let mut writer = BufWriter::new(file);
    let mut seen = HashSet::new();
    for (index, record) in records.into_iter().enumerate() {
        let error = |reason| EvalError::Line {
            path: path.to_owned(),
            line: index as u64 + 1,
            reason,
        };
        record.check().map_err(error)?;
        if index == QUESTIONS_MAX {
            return Err(error(format!("more than {QUESTIONS_MAX} questions")));
        }
        if !seen.insert(record.id.as_str()) {
            return Err(error(format!("question `{}` came before", record.id)));
        }
        let line = serde_json::to_string(record).map_err(|source| error(source.to_string()))?;
        writeln!(writer, "{line}").map_err(EvalError::io("write", path))?;
    }
    writer.flush().map_err(EvalError::io("write", path))
}

/// One run as it lies in its folder: the report and the questions.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluatedRun {
    pub report: Report,
    pub questions: Vec<QuestionRecord>,
    /// `sha256:…` of the bytes of `report.json` and `questions.jsonl`.
    pub digest: String,
}

impl EvaluatedRun {
    /// Reads `report.json` and `questions.jsonl` of the folder.
    pub fn open(folder: &Path) -> Result<Self, EvalError> {
        let path = folder.join("report.json");
        let length = fs::metadata(&path)
            .map_err(EvalError::io("open", &path))?
            .len();
        if length > REPORT_BYTES_MAX {
            return Err(EvalError::Dataset {
                path,
                reason: format!("has {length} bytes, at most {REPORT_BYTES_MAX}"),
            });
        }
        let text = fs::read_to_string(&path).map_err(EvalError::io("read", &path))?;
        let report: Report = serde_json::from_str(&text).map_err(|error| EvalError::Line {
            line: error.line() as u64,
            reason: error.to_string(),
            path,
        })?;
        let path = folder.join("questions.jsonl");
        let questions = read_questions(&path)?;
        let mut written = Sha256::new();
        let mut file = File::open(&path).map_err(EvalError::io("open", &path))?;
        io::copy(&mut file, &mut written).map_err(EvalError::io("read", &path))?;
        Ok(Self {
            digest: digest(text.as_bytes(), written),
            report,
            questions,
        })
    }

    /// From a run that is in memory. The digest is that of the files that [`EvaluatedRun::write`] makes of it.
    pub fn new(report: Report, questions: Vec<QuestionRecord>) -> Result<Self, EvalError> {
        let mut written = Sha256::new();
        for question in &questions {
            let line = serde_json::to_vec(question).map_err(|error| EvalError::Pairing {
                reason: format!("question `{}` cannot be written: {error}", question.id),
            })?;
            written.update(line);
            written.update(b"\n");
        }
        Ok(Self {
            digest: digest(report.to_json().as_bytes(), written),
            report,
            questions,
        })
    }

    /// Writes the report with its views, and the questions.
    pub fn write(&self, folder: &Path) -> Result<(), EvalError> {
        self.report.write_with(folder, &self.questions)?;
        write_questions(&folder.join("questions.jsonl"), &self.questions)
    }
}

/// Of the bytes of both files, each hashed first.
fn digest(report: &[u8], questions: Sha256) -> String {
    let hasher = Sha256::new_with_prefix(Sha256::digest(report));
    sha256_text(hasher.chain_update(questions.finalize()))
}
