//! Data sets in BEIR's layout: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`, and `qa.jsonl` when there are answers.
//!
//! Queries, judgements and answers are held in memory; the corpus is read as a stream, as it may be larger.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

mod manifest;
mod read;
mod write;

use crate::error::EvalError;
use crate::metrics::Qrels;

use self::read::{read_qrels, read_queries, read_questions};

pub use self::manifest::{MANIFEST, Manifest};
pub use self::read::Corpus;
pub(crate) use self::read::Lines;
pub use self::write::{UNLABELLED, write_dataset};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CorpusDocument {
    #[serde(rename = "_id")]
    pub id: String,
    #[serde(default)]
    pub title: String,
    pub text: String,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Access tokens; a document without any is public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<Vec<String>>,
    /// RFC 3339, or a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_until: Option<String>,
    /// A media type; plain text without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
        Corpus::open(&self.folder.join("corpus.jsonl"))
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
