//! Writing a data set: beside its place first, read back, and moved there when it says what it was given.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};

use super::{CorpusDocument, Dataset, MANIFEST, Manifest, Question};
use crate::error::EvalError;

/// Questions that nobody has answered rightly yet: of the form of `qa.jsonl`, and no part of an evaluation.
pub const UNLABELLED: &str = "unlabelled.jsonl";

/// Writes `corpus.jsonl`, `queries.jsonl`, `qrels/test.tsv`, `qa.jsonl`, `dataset.toml`, and [`UNLABELLED`] where there are any.
///
/// `queries.jsonl` and the judgements are left out where no question names a document, or an id has white space, which the
/// columns of judgements cannot hold: [`Dataset::open`] takes both from `qa.jsonl` then.
///
/// Refused are a folder that exists, no questions at all, a manifest that names a folder of documents, and whatever would be
/// read back as something else: ids that come twice, gold in documents that `documents` lacks, an impossible question with
/// answers. Nothing is left behind then.
pub fn write_dataset(
    folder: &Path,
    manifest: &Manifest,
    documents: impl Iterator<Item = CorpusDocument>,
    questions: &[Question],
    unlabelled: &[Question],
) -> Result<(), EvalError> {
    let refused = |reason: String| EvalError::Dataset {
        path: folder.to_owned(),
        reason,
    };
    if folder.symlink_metadata().is_ok() {
        return Err(refused("is there already".to_owned()));
    }
    if questions.is_empty() {
        return Err(refused(format!(
            "would hold no question that has an answer, and {} without",
            unlabelled.len()
        )));
    }
    if manifest.documents.is_some() {
        return Err(refused(
            "cannot name a folder of `documents`: its corpus is written".to_owned(),
        ));
    }
    let partial = Partial::beside(folder)?;
    let at = partial.path.as_path();
    write_lines(&at.join("corpus.jsonl"), documents)?;
    write_lines(&at.join("qa.jsonl"), questions.iter().map(line))?;
    if !unlabelled.is_empty() {
        write_lines(&at.join(UNLABELLED), unlabelled.iter().map(line))?;
    }
    if let Some(judgements) = judgements(questions) {
        let queries = questions
            .iter()
            .map(|question| json!({"_id": question.id, "text": question.question}));
        write_lines(&at.join("queries.jsonl"), queries)?;
        let qrels = at.join("qrels");
        fs::create_dir(&qrels).map_err(EvalError::io("create", &qrels))?;
        write_text(&qrels.join("test.tsv"), &judgements)?;
    }
    let text = toml::to_string(manifest)
        .map_err(|error| refused(format!("has a manifest that cannot be written: {error}")))?;
    write_text(&at.join(MANIFEST), &text)?;
    is_read_back(at, manifest, questions).map_err(|error| match error {
        EvalError::Dataset { reason, .. } => refused(reason),
        other => other,
    })?;
    fs::rename(at, folder).map_err(EvalError::io("move into place", folder))
}

/// A folder that goes away unless it was moved.
struct Partial {
    path: PathBuf,
}

impl Partial {
    fn beside(folder: &Path) -> Result<Self, EvalError> {
        let name = folder.file_name().ok_or_else(|| EvalError::Dataset {
            path: folder.to_owned(),
            reason: "is no name for a folder".to_owned(),
        })?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.partial", std::process::id()));
        let path = folder.with_file_name(hidden);
        fs::create_dir(&path).map_err(EvalError::io("create", &path))?;
        Ok(Self { path })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Moved, or in nobody's way: its name is hidden.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// What says nothing is left out.
fn line(question: &Question) -> Value {
    let mut line = json!({
        "id": question.id,
        "question": question.question,
        "answers": question.answers,
        "is_impossible": question.is_impossible,
    });
    for (name, value) in [
        ("context_ids", json!(question.documents)),
        ("gold", json!(question.gold)),
        ("kind", json!(question.kind)),
        ("cluster", json!(question.cluster)),
        ("tokens", json!(question.tokens)),
        ("schema", json!(question.schema)),
        ("fields", json!(question.fields)),
    ] {
        if !value.is_null() && value != json!([]) {
            line[name] = value;
        }
    }
    line
}

/// The table of judgements, if there is one to write.
fn judgements(questions: &[Question]) -> Option<String> {
    let is_plain = |id: &str| !id.is_empty() && !id.contains(char::is_whitespace);
    let mut table = String::new();
    for question in questions {
        if !is_plain(&question.id) {
            return None;
        }
        for document in &question.documents {
            if !is_plain(document) {
                return None;
            }
            let _ = writeln!(table, "{}\t{document}\t1", question.id);
        }
    }
    (!table.is_empty()).then(|| format!("query-id\tcorpus-id\tscore\n{table}"))
}

fn write_lines<T: Serialize>(path: &Path, lines: impl Iterator<Item = T>) -> Result<(), EvalError> {
    let failed = |source| EvalError::io("write", path)(source);
    let mut writer = BufWriter::new(File::create(path).map_err(failed)?);
    for line in lines {
        serde_json::to_writer(&mut writer, &line).map_err(|error| failed(error.into()))?;
        writer.write_all(b"\n").map_err(failed)?;
    }
    let file = writer
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

fn write_text(path: &Path, text: &str) -> Result<(), EvalError> {
    fs::write(path, text).map_err(EvalError::io("write", path))
}

fn is_read_back(at: &Path, manifest: &Manifest, questions: &[Question]) -> Result<(), EvalError> {
    let differs = |what: String| EvalError::Dataset {
        path: at.to_owned(),
        reason: format!("would be read back with {what}"),
    };
    let dataset = Dataset::open(at)?;
    dataset.count_documents()?;
    if dataset.manifest != *manifest {
        return Err(differs("another manifest".to_owned()));
    }
    let mut pairs = questions.iter().zip(&dataset.questions);
    match pairs.find(|(given, read)| given != read) {
        Some((given, _)) => Err(differs(format!("another question `{}`", given.id))),
        None => Ok(()),
    }
}
