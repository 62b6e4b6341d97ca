//! Data sets in BEIR's layout: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`, and `qa.jsonl` when there are answers.
//!
//! Queries, judgements and answers are held in memory; the corpus is read as a stream, as it may be larger.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

mod manifest;

use crate::error::EvalError;
use crate::metrics::Qrels;

pub use self::manifest::{MANIFEST, Manifest};

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
    /// Access tokens; a document without any is public.
    #[serde(default)]
    pub acl: Option<Vec<String>>,
    /// RFC 3339, or a date.
    #[serde(default)]
    pub effective_from: Option<String>,
    #[serde(default)]
    pub effective_until: Option<String>,
    /// A media type; plain text without one.
    #[serde(default)]
    pub content_type: Option<String>,
}

/// A place that holds an answer: words of a document, letter by letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoldQuote {
    pub document: String,
    pub quote: String,
}

/// A question of `qa.jsonl`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Question {
    pub id: String,
    pub question: String,
    /// Every answer that counts as right; empty when it is impossible.
    pub answers: Vec<String>,
    /// The corpus does not say: the right answer is to abstain.
    pub is_impossible: bool,
    /// The documents that hold the answer, where the data set says so.
    pub documents: Vec<String>,
    /// The places in them, where it says that too.
    pub gold: Vec<GoldQuote>,
    /// What sort of question it is, for reports.
    pub kind: Option<String>,
    /// Questions of one cluster rise and fall together.
    pub cluster: Option<String>,
    /// Access tokens of who asks; `public` alone when it names none.
    pub tokens: Vec<String>,
    /// JSON Schema that the answer must satisfy.
    pub schema: Option<Value>,
    /// The fields that a structured answer is to have.
    pub fields: Option<Value>,
}

#[derive(Debug)]
pub struct Dataset {
    folder: PathBuf,
    split: String,
    pub manifest: Manifest,
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

impl Dataset {
    /// Reads the `test` split.
    pub fn open(folder: &Path) -> Result<Self, EvalError> {
        Self::open_split(folder, "test")
    }

    pub fn open_split(folder: &Path, split: &str) -> Result<Self, EvalError> {
        let corpus = folder.join("corpus.jsonl");
        let manifest = Manifest::read(folder)?;
        if corpus.is_file() && manifest.documents.is_some() {
            return Err(EvalError::Dataset {
                path: corpus,
                reason:
                    "is there beside `documents` of dataset.toml: a data set has one of the two"
                        .to_owned(),
            });
        }
        if !corpus.is_file() && manifest.documents.is_none() {
            return Err(EvalError::Dataset {
                path: corpus,
                reason: "is missing: a data set is a folder in BEIR's layout, or names a folder of documents in dataset.toml"
                    .to_owned(),
            });
        }
        let qa = folder.join("qa.jsonl");
        let questions = if qa.is_file() {
            read_questions(&qa)?
        } else {
            Vec::new()
        };
        let (queries, qrels) = (folder.join("queries.jsonl"), qrels_path(folder, split));
        Ok(Self {
            // What is asked and judged stands in qa.jsonl as well.
            queries: if qa.is_file() && !queries.is_file() {
                asked(&questions)
            } else {
                read_queries(&queries)?
            },
            qrels: if qa.is_file() && !qrels.is_file() {
                judged(&questions)
            } else {
                read_qrels(&qrels)?
            },
            questions,
            manifest,
            folder: folder.to_owned(),
            split: split.to_owned(),
        })
    }

    /// What reports call the data set: what it calls itself, with its version, or else the folder's name.
    #[must_use]
    pub fn name(&self) -> String {
        if let Some(name) = &self.manifest.name {
            return match &self.manifest.version {
                Some(version) => format!("{name} {version}"),
                None => name.clone(),
            };
        }
        self.folder
            .file_name()
            .unwrap_or(self.folder.as_os_str())
            .to_string_lossy()
            .into_owned()
    }

    /// The folder of documents that stands in for `corpus.jsonl`: to be read as documents are ingested.
    #[must_use]
    pub fn documents(&self) -> Option<PathBuf> {
        let documents = self.manifest.documents.as_ref()?;
        Some(self.folder.join(documents))
    }

    /// What a file is called in the data set. The path of a document is its id, so it counts as content.
    fn name_of(&self, path: &Path) -> Vec<u8> {
        let documents = self.documents();
        let below = documents
            .as_ref()
            .and_then(|folder| path.strip_prefix(folder).ok())
            .or_else(|| path.strip_prefix(&self.folder).ok());
        let name = below.unwrap_or(path).as_os_str();
        name.as_encoded_bytes().to_vec()
    }

    /// How many documents there are: lines of the corpus, or files.
    pub fn count_documents(&self) -> Result<usize, EvalError> {
        if let Some(folder) = self.documents() {
            return Ok(manifest::files_below(&folder)?.len());
        }
        let mut documents = 0;
        for document in self.corpus()? {
            document?;
            documents += 1;
        }
        Ok(documents)
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
        let mut files = vec![
            self.folder.join("corpus.jsonl"),
            self.folder.join("queries.jsonl"),
            qrels,
            self.folder.join("qa.jsonl"),
            self.folder.join(MANIFEST),
        ];
        if let Some(documents) = self.documents() {
            files.extend(manifest::files_below(&documents)?);
        }
        for path in files {
            if !path.is_file() {
                continue; // what must be there was read
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
            let name = self.name_of(&path);
            hasher.update((name.len() as u64).to_be_bytes());
            hasher.update(name);
            hasher.update(file.finalize());
        }
        Ok(crate::report::sha256_text(hasher))
    }
}

fn asked(questions: &[Question]) -> BTreeMap<String, String> {
    let pair = |question: &Question| (question.id.clone(), question.question.clone());
    questions.iter().map(pair).collect()
}

/// A document that holds the answer is relevant.
fn judged(questions: &[Question]) -> Qrels {
    let answerable = questions
        .iter()
        .filter(|question| !question.documents.is_empty());
    answerable
        .map(|question| {
            let grades = question.documents.iter().map(|id| (id.clone(), 1));
            (question.id.clone(), grades.collect())
        })
        .collect()
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
