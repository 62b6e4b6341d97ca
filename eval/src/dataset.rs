//! Data sets in BEIR's layout: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`, and `qa.jsonl` when there are answers.
//!
//! Queries, judgements and answers are held in memory; the corpus is read as a stream, as it may be larger.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::error::EvalError;
use crate::metrics::Qrels;

/// No line of a data set may be longer; a document of 50 MB fits.
const LINE_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CorpusDocument {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub title: String,
    pub text: String,
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

/// A question of `qa.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub id: String,
    pub question: String,
    /// Every answer that counts as right; empty when it is impossible.
    pub answers: Vec<String>,
    /// The corpus does not say: the right answer is to abstain.
    pub is_impossible: bool,
    /// The documents that hold the answer, where the data set says so.
    pub documents: Vec<String>,
}

#[derive(Debug)]
pub struct Dataset {
    folder: PathBuf,
    split: String,
    /// Every query's text by its id, judged or not.
    pub queries: BTreeMap<String, String>,
    /// The judgements of the split: what is evaluated is the queries in here.
    pub qrels: Qrels,
    /// In the order of the file; empty without a `qa.jsonl`.
    pub questions: Vec<Question>,
}

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
}

impl Dataset {
    /// Reads the `test` split.
    pub fn open(folder: &Path) -> Result<Self, EvalError> {
        Self::open_split(folder, "test")
    }

    pub fn open_split(folder: &Path, split: &str) -> Result<Self, EvalError> {
        let corpus = folder.join("corpus.jsonl");
        if !corpus.is_file() {
            return Err(EvalError::Dataset {
                path: corpus,
                reason: "is missing: a data set is a folder in BEIR's layout".to_owned(),
            });
        }
        let qa = folder.join("qa.jsonl");
        Ok(Self {
            queries: read_queries(&folder.join("queries.jsonl"))?,
            qrels: read_qrels(&qrels_path(folder, split))?,
            questions: if qa.is_file() {
                read_questions(&qa)?
            } else {
                Vec::new()
            },
            folder: folder.to_owned(),
            split: split.to_owned(),
        })
    }

    /// The folder's name: what reports call the data set.
    #[must_use]
    pub fn name(&self) -> String {
        self.folder
            .file_name()
            .unwrap_or(self.folder.as_os_str())
            .to_string_lossy()
            .into_owned()
    }

    /// The corpus from its beginning. Ids that come twice are an error, and so is whatever is no document.
    pub fn corpus(&self) -> Result<Corpus, EvalError> {
        Ok(Corpus {
            lines: Lines::open(&self.folder.join("corpus.jsonl"))?,
            seen: HashSet::new(),
        })
    }

    /// The judged queries with their texts, in the order of their ids. One without a text is an error.
    pub fn judged_queries(&self) -> Result<Vec<(&str, &str)>, EvalError> {
        let text = |id: &String| match self.queries.get_key_value(id) {
            Some((id, text)) => Ok((id.as_str(), text.as_str())),
            None => Err(EvalError::Dataset {
                path: qrels_path(&self.folder, &self.split),
                reason: format!("judges query `{id}`, which queries.jsonl does not have"),
            }),
        };
        self.qrels.keys().map(text).collect()
    }

    /// `sha256:…` of everything that is read from the folder.
    pub fn digest(&self) -> Result<String, EvalError> {
        let mut hasher = Sha256::new();
        let qrels = qrels_path(&self.folder, &self.split);
        for path in [
            self.folder.join("corpus.jsonl"),
            self.folder.join("queries.jsonl"),
            qrels,
            self.folder.join("qa.jsonl"),
        ] {
            if !path.is_file() {
                continue; // only qa.jsonl may be missing, the others were read
            }
            let mut reader = BufReader::with_capacity(
                1 << 20,
                File::open(&path).map_err(EvalError::io("open", &path))?,
            );
            let mut file = Sha256::new();
            loop {
                let chunk = reader.fill_buf().map_err(EvalError::io("read", &path))?;
                if chunk.is_empty() {
                    break;
                }
                file.update(chunk);
                let count = chunk.len();
                reader.consume(count);
            }
            hasher.update(file.finalize());
        }
        Ok(crate::report::sha256_text(hasher))
    }
}

fn qrels_path(folder: &Path, split: &str) -> PathBuf {
    folder.join("qrels").join(format!("{split}.tsv"))
}

/// The documents of a corpus, read one by one.
#[derive(Debug)]
pub struct Corpus {
    lines: Lines,
    seen: HashSet<String>,
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

fn read_queries(path: &Path) -> Result<BTreeMap<String, String>, EvalError> {
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

fn read_questions(path: &Path) -> Result<Vec<Question>, EvalError> {
    let mut lines = Lines::open(path)?;
    let mut questions = Vec::new();
    let mut seen = HashSet::new();
    while let Some(line) = lines.next() {
        let line: QuestionLine = lines.json(&line?)?;
        let answers = texts(&line.answers)
            .ok_or_else(|| lines.error("`answers` must be a list of texts".to_owned()))?;
        if answers.is_empty() != line.is_impossible {
            let found = answers.len();
            return Err(lines.error(format!(
                "`is_impossible` is {} with {found} answers",
                line.is_impossible
            )));
        }
        if !seen.insert(line.id.clone()) {
            return Err(lines.error(format!("question `{}` came before", line.id)));
        }
        questions.push(Question {
            id: line.id,
            question: line.question,
            answers,
            is_impossible: line.is_impossible,
            documents: line
                .context_id
                .into_iter()
                .chain(line.context_ids)
                .collect(),
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
fn read_qrels(path: &Path) -> Result<Qrels, EvalError> {
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
