//! TREC run files: `query Q0 document rank score tag`, ranks from 1, one line a document.

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
