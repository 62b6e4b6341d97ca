//! CSV and its kin: rows of a table. The delimiter is found in the first lines.

use super::structure::{Structure, is_head};
use super::{Budget, ReadDocument, Reader};
use crate::RetrieverError;

const DELIMITERS: [u8; 4] = *b",;\t|";
/// Lines that are looked at for the delimiter.
const LINES_LOOKED_AT: usize = 20;
const MAX_COLUMNS: usize = 4096;

pub(super) struct Delimited;

impl Reader for Delimited {
    fn read(&self, text: String, budget: &Budget) -> Result<ReadDocument, RetrieverError> {
        let mut rows = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter(&text))
            .from_reader(text.as_bytes());
        let mut structure = Structure::new(budget);
        let mut first = true;
        for row in rows.records() {
            let row = row.map_err(|error| RetrieverError::Unreadable {
                format: "csv",
                problem: error.to_string(),
            })?;
            if row.len() > MAX_COLUMNS {
                return Err(RetrieverError::TooLarge {
                    what: "a row of a table",
                    limit: MAX_COLUMNS as u64,
                    got: row.len() as u64,
                    unit: "columns",
                });
            }
            let cells: Vec<&str> = row.iter().collect();
            if first && is_head(&cells) {
                structure.table_head(&cells)?;
            } else {
                structure.table_row(&cells)?;
            }
            first = false;
        }
        Ok(structure.finish(None, Vec::new()))
    }
}

/// The one that most of the first lines have in the same number, more than none.
fn delimiter(text: &str) -> u8 {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(LINES_LOOKED_AT)
        .collect();
    let score = |delimiter: u8| {
        let count = |line: &str| line.bytes().filter(|byte| *byte == delimiter).count();
        let first = lines.first().map_or(0, |line| count(line));
        let alike = lines.iter().filter(|line| count(line) == first).count();
        if first == 0 { (0, 0) } else { (alike, first) }
    };
    let mut best = (b',', score(b','));
    for delimiter in DELIMITERS {
        let own = score(delimiter);
        if own > best.1 {
            best = (delimiter, own);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::super::BlockKind::{TableHead, TableRow};
    use super::*;
    use crate::settings::Limits;

    fn read(text: &str) -> ReadDocument {
        Delimited
            .read(text.to_owned(), &Budget::new(&Limits::default()))
            .unwrap()
    }

    #[test]
    fn rows_stand_under_their_head() {
        let read = read("Item;Price\nPump;\"1,5\n0\"\n;\nHose;2\n");
        assert_eq!(
            read.text,
            "| Item | Price |\n|---|---|\n| Pump | 1,5 0 |\n| Hose | 2 |"
        );
        let kinds: Vec<_> = read.outline.iter().map(|block| block.kind).collect();
        assert_eq!(kinds, [TableHead, TableRow, TableRow]);
    }

    #[test]
    fn numbers_are_no_head_and_tabs_are_found() {
        let read = read("2024\tone\n2025\ttwo, three\n");
        assert_eq!(read.text, "| 2024 | one |\n| 2025 | two, three |");
        assert_eq!(read.outline[0].kind, TableRow);
    }
}
