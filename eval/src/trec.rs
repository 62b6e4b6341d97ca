//! TREC run files: `query Q0 document rank score tag`, ranks from 1, one line a document.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::error::EvalError;
use crate::run::Run;

/// Writes what trec_eval reads. Scores have the digits that they need to be read back as they are; an id or tag with white
/// space cannot be told from two columns and is an error.
pub fn write_run(path: &Path, run: &Run, tag: &str) -> Result<(), EvalError> {
    let mut text = String::new();
    for (query, ranking) in run.rankings() {
        for (position, scored) in ranking.iter().enumerate() {
            for column in [query, &scored.document, tag] {
                if column.is_empty() || column.contains(char::is_whitespace) {
                    return Err(EvalError::Run {
                        query: query.to_owned(),
                        reason: format!(
                            "`{column}` cannot be a column of a run file: it is empty or holds white space"
                        ),
                    });
                }
            }
            let _ = writeln!(
                text,
                "{query} Q0 {} {} {} {tag}",
                scored.document,
                position + 1,
                scored.score
            );
        }
    }
    fs::write(path, text).map_err(EvalError::io("write", path))
}

/// Reads a run file of any tool. The rank column is not looked at: the order is that of the scores.
pub fn read_run(path: &Path) -> Result<Run, EvalError> {
    let text = fs::read_to_string(path).map_err(EvalError::io("read", path))?;
    let mut documents: BTreeMap<&str, Vec<(String, f32)>> = BTreeMap::new();
    for (position, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let error = |reason: String| EvalError::Line {
            path: path.to_owned(),
            line: position as u64 + 1,
            reason,
        };
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [query, _, document, _, score, _] = columns.as_slice() else {
            return Err(error(format!("has {} columns, must have 6", columns.len())));
        };
        let score = score
            .parse()
            .map_err(|_| error(format!("score `{score}` is no number")))?;
        documents
            .entry(query)
            .or_default()
            .push(((*document).to_owned(), score));
    }
    let mut run = Run::default();
    for (query, documents) in documents {
        run.insert(query, documents)?;
    }
    Ok(run)
}
