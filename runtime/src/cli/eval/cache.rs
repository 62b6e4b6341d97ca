//! Answers that were given before: one file for each way of asking, a line for each answer, added as they come.
//!
//! A run that was broken off goes on from it. The last line of a process that died may be cut short: it is asked again.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::answer::types::Answer;
use crate::cli::failure::{Context as _, Failure};

/// Bytes of a file that are read, and of a line.
const FILE_BYTES_MAX: u64 = 1 << 30;
const LINE_BYTES_MAX: u64 = 4 << 20;

/// Answers by what was asked.
pub(super) struct Cache {
    known: HashMap<String, Answer>,
    file: Option<Mutex<File>>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    asked: String,
    answer: Answer,
}

impl Cache {
    /// Nothing is known and nothing is kept.
    pub(super) fn none() -> Self {
        Self {
            known: HashMap::new(),
            file: None,
        }
    }

    /// The answers of one release to one data set. `key` holds everything that decides them.
    ///
    /// # Errors
    /// The file cannot be read or made.
    pub(super) fn open(folder: &Path, key: &Value) -> Result<Self, Failure> {
        let folder = folder.join("answers");
        fs::create_dir_all(&folder).context(|| format!("cannot create `{}`", folder.display()))?;
        let path = folder.join(format!("{}.jsonl", digest(&key.to_string())));
        let during = || format!("cannot use `{}`", path.display());
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)
            .context(during)?;
        let mut known = HashMap::new();
        let mut reader = BufReader::new((&file).take(FILE_BYTES_MAX));
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let read = (&mut reader)
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut bytes)
                .context(during)?;
            if read == 0 {
                break;
            }
            if let Ok(Line { asked, answer }) = serde_json::from_slice(&bytes) {
                known.insert(asked, answer);
            }
        }
        if bytes_end_without_a_line(&path)? {
            file.write_all(b"\n").context(during)?;
        }
        Ok(Self {
            known,
            file: Some(Mutex::new(file)),
        })
    }

    /// The answer to a request, if it was given before.
    pub(super) fn get(&self, request: &Value) -> Option<&Answer> {
        self.known.get(&digest(&request.to_string()))
    }

    /// Keeps an answer. That it could not be kept costs time later, and nothing else.
    pub(super) fn keep(&self, request: &Value, answer: &Answer) {
        let Some(file) = &self.file else {
            return;
        };
        let line = Line {
            asked: digest(&request.to_string()),
            answer: answer.clone(),
        };
        let Ok(mut line) = serde_json::to_vec(&line) else {
            return;
        };
        line.push(b'\n');
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(&line) {
            tracing::warn!(%error, "an answer could not be kept for the next run");
        }
    }
}

/// Whether the last line of the file was cut short.
fn bytes_end_without_a_line(path: &Path) -> Result<bool, Failure> {
    use std::io::{Seek as _, SeekFrom};
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn digest(text: &str) -> String {
    use std::fmt::Write as _;
    let hash: [u8; 32] = Sha256::digest(text).into();
    hash.iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn answer() -> Answer {
        serde_json::from_value(json!({
            "id": "ans_1", "status": "answered", "answer": "x", "citations": [], "confidence": 0.5,
            "release": {"id": "r", "adapter": "base", "generation": 1, "route": "base"},
            "usage": {"prompt_tokens": 1, "completion_tokens": 1},
            "timings_ms": {"retrieval": 0.0, "prompt": 0.0, "grammar": 0.0, "queue": 0.0, "first_token": 0.0,
                "generation": 0.0, "verification": 0.0, "total": 0.0}
        }))
        .unwrap()
    }

    #[test]
    fn answers_are_found_again_also_after_a_line_that_was_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let (key, first, second) = (json!({"release": "r"}), json!("first"), json!("second"));
        let open = || Cache::open(folder.path(), &key).unwrap();
        open().keep(&first, &answer());
        let path = fs::read_dir(folder.path().join("answers"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let mut bytes = fs::read(&path).unwrap();
        let half = bytes.len() / 2;
        bytes.extend_from_within(..half);
        fs::write(&path, &bytes).unwrap();
        let again = open();
        assert!(again.get(&first).is_some() && again.get(&second).is_none());
        again.keep(&second, &answer());
        let again = open();
        assert!(again.get(&first).is_some() && again.get(&second).is_some());
        let other = Cache::open(folder.path(), &json!({"release": "s"})).unwrap();
        assert!(other.get(&first).is_none());
        assert!(Cache::none().get(&first).is_none());
    }
}
