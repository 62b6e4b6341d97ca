//! Reading the files of a data set: line by line, bounded, every error with its line.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{CorpusDocument, GoldQuote, Question};
use crate::error::EvalError;
use crate::metrics::Qrels;

/// No line of a data set may be longer; a document of 50 MB fits.
pub(super) const LINE_BYTES_MAX: u64 = 64 << 20;

#[derive(Deserialize)]
struct QueryLine {
    #[serde(rename = "_id")]
    id: String,
    text: String,
}

/// `answers` is ours; other collections write `answer`, as a text, a number or a list.
#[derive(Deserialize)]
struct QuestionLine {
    id: String,
    question: String,
    #[serde(alias = "answer", default)]
    answers: Value,
    #[serde(default)]
    is_impossible: bool,
    #[serde(default)]
    context_id: Option<String>,
    #[serde(default)]
    context_ids: Vec<String>,
    #[serde(default)]
    gold: Vec<GoldQuote>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default, alias = "group")]
    cluster: Option<String>,
    #[serde(default)]
    tokens: Vec<String>,
    #[serde(default)]
    schema: Option<Value>,
    #[serde(default)]
    fields: Option<Value>,
}

/// The documents of a corpus, read one by one.
#[derive(Debug)]
pub struct Corpus {
    lines: Lines,
    seen: HashSet<String>,
}

impl Corpus {
    pub(super) fn open(path: &Path) -> Result<Self, EvalError> {
        Ok(Self {
            lines: Lines::open(path)?,
            seen: HashSet::new(),
        })
    }
}

impl Iterator for Corpus {
    type Item = Result<CorpusDocument, EvalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = match self.lines.next()? {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        Some(self.lines.json(&line).and_then(|document: CorpusDocument| {
            if self.seen.insert(document.id.clone()) {
                Ok(document)
            } else {
                Err(self
                    .lines
                    .error(format!("document `{}` came before", document.id)))
            }
        }))
    }
}

pub(super) fn read_queries(path: &Path) -> Result<BTreeMap<String, String>, EvalError> {
    let mut lines = Lines::open(path)?;
    let mut queries = BTreeMap::new();
    while let Some(line) = lines.next() {
        let query: QueryLine = lines.json(&line?)?;
        if let Some(text) = queries.insert(query.id.clone(), query.text) {
            return Err(lines.error(format!("query `{}` came before, as `{text}`", query.id)));
        }
    }
    Ok(queries)
}

pub(super) fn read_questions(path: &Path) -> Result<Vec<Question>, EvalError> {
    let mut lines = Lines::open(path)?;
    let mut questions = Vec::new();
    let mut seen = HashSet::new();
    while let Some(line) = lines.next() {
        let line: QuestionLine = lines.json(&line?)?;
        let answers = texts(&line.answers)
            .ok_or_else(|| lines.error("`answers` must be a list of texts".to_owned()))?;
        if (answers.is_empty() && line.fields.is_none()) != line.is_impossible {
            let found = answers.len();
            return Err(lines.error(format!(
                "`is_impossible` is {} with {found} answers",
                line.is_impossible
            )));
        }
        if !seen.insert(line.id.clone()) {
            return Err(lines.error(format!("question `{}` came before", line.id)));
        }
        if let Some(gold) = line.gold.iter().find(|gold| gold.quote.trim().is_empty()) {
            let document = &gold.document;
            return Err(lines.error(format!("the `quote` of `{document}` in `gold` is empty")));
        }
        if line.is_impossible && !line.gold.is_empty() {
            return Err(lines.error("`is_impossible` is true with `gold`".to_owned()));
        }
        let mut documents: Vec<String> = line.context_id.into_iter().collect();
        let named = line.context_ids.into_iter();
        for document in named.chain(line.gold.iter().map(|gold| gold.document.clone())) {
            if !documents.contains(&document) {
                documents.push(document);
            }
        }
        questions.push(Question {
            id: line.id,
            question: line.question,
            answers,
            is_impossible: line.is_impossible,
            documents,
            gold: line.gold,
            kind: line.kind,
            cluster: line.cluster,
            tokens: line.tokens,
            schema: line.schema,
            fields: line.fields,
        });
    }
    Ok(questions)
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::String(text) => Some(vec![text.clone()]),
        Value::Number(number) => Some(vec![number.to_string()]),
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
            .collect(),
        Value::Bool(_) | Value::Object(_) => None,
    }
}

/// `query <TAB> document <TAB> grade`, with or without a header; TREC's four columns (`query 0 document grade`) too.
pub(super) fn read_qrels(path: &Path) -> Result<Qrels, EvalError> {
    let mut lines = Lines::open(path)?;
    let mut qrels = Qrels::new();
    while let Some(line) = lines.next() {
        let line = line?;
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (query, document, grade) = match columns.as_slice() {
            [query, document, grade] | [query, _, document, grade] => (*query, *document, *grade),
            _ => {
                let found = columns.len();
                return Err(lines.error(format!(
                    "has {found} columns, must be `query`, `document`, `grade`"
                )));
            }
        };
        let Ok(grade) = grade.parse::<i32>() else {
            if lines.line == 1 {
                continue; // the header
            }
            return Err(lines.error(format!("grade `{grade}` is no whole number")));
        };
        let judged = qrels.entry(query.to_owned()).or_default();
        if judged.insert(document.to_owned(), grade).is_some() {
            return Err(lines.error(format!(
                "document `{document}` was judged before for query `{query}`"
            )));
        }
    }
    if qrels.is_empty() {
        return Err(EvalError::Dataset {
            path: path.to_owned(),
            reason: "holds no judgement".to_owned(),
        });
    }
    Ok(qrels)
}

/// Lines with their numbers, bounded, white lines left out.
#[derive(Debug)]
pub(crate) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    line: u64,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self, EvalError> {
        let file = File::open(path).map_err(EvalError::io("open", path))?;
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(1 << 16, file),
            line: 0,
        })
    }

    pub(crate) fn error(&self, reason: String) -> EvalError {
        EvalError::Line {
            path: self.path.clone(),
            line: self.line,
            reason,
        }
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, line: &str) -> Result<T, EvalError> {
        serde_json::from_str(line).map_err(|error| self.error(error.to_string()))
    }

    pub(crate) fn next(&mut self) -> Option<Result<String, EvalError>> {
        loop {
            let mut bytes = Vec::new();
            self.line += 1;
            let read = (&mut self.reader)
                .take(LINE_BYTES_MAX + 1)
                .read_until(b'\n', &mut bytes);
            match read.map_err(EvalError::io("read", &self.path)) {
                Ok(0) => return None,
                Ok(_) if bytes.len() as u64 > LINE_BYTES_MAX => {
                    return Some(Err(
                        self.error(format!("is longer than {LINE_BYTES_MAX} bytes"))
                    ));
                }
                Ok(_) if bytes.iter().all(u8::is_ascii_whitespace) => {}
                Ok(_) => {
                    let text = String::from_utf8(bytes);
                    return Some(text.map_err(|error| {
                        self.error(format!("is not UTF-8: {}", error.utf8_error()))
                    }));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
