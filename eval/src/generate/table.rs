//! Tables in the text of passages, and a question for each cell that can be asked for.

use super::SourceDocument;
use super::amounts::{is_numeric, leading_amount};
use super::candidates::Candidate;
use super::words::{Lexicon, content_words, quoted_place};
use crate::dataset::GoldQuote;

const CELL_CHARS_MAX: usize = 200;
const HEADER_CHARS_MAX: usize = 80;
const COLUMNS_MAX: usize = 64;

/// Rows with a head, of one document.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub document: usize,
    /// The innermost heading above it, or empty.
    pub heading: String,
    pub head: Vec<String>,
    pub rows: Vec<Row>,
}

#[derive(Debug, Clone)]
pub(super) struct Row {
    /// As it stands in the text.
    pub line: String,
    pub cells: Vec<String>,
}

/// The tables of a document. Rows that start a passage go on with the table that ended the one before.
pub(super) fn tables(index: usize, document: &SourceDocument) -> Vec<Table> {
    let mut found: Vec<Table> = Vec::new();
    let mut ended_at = None;
    for passage in &document.passages {
        if !document.text.contains(passage.text.as_str()) {
            continue;
        }
        let heading = passage.heading.last().cloned().unwrap_or_default();
        let lines: Vec<&str> = passage.text.lines().collect();
        let mut open = ended_at.take().is_some_and(|end: usize| {
            passage.start <= end + 2 && found.last().is_some_and(|table| table.heading == heading)
        });
        for line in &lines {
            let Some(cells) = cells(line) else {
                open = false;
                continue;
            };
            if is_rule(&cells) {
                continue;
            }
            let known = found.last_mut().filter(|_| open);
            if let Some(table) = known.filter(|table| table.head.len() == cells.len()) {
                table.rows.push(Row {
                    line: line.trim().to_owned(),
                    cells,
                });
                continue;
            }
            found.push(Table {
                document: index,
                heading: heading.clone(),
                head: cells,
                rows: Vec::new(),
            });
            open = true;
        }
        ended_at = open.then_some(passage.end);
    }
    found.retain(|table| !table.rows.is_empty());
    found
}

/// Of `| a | b |` or `a | b`; a line of one cell is no row.
fn cells(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    let inner = line.strip_prefix('|').unwrap_or(line);
    let inner = if line.starts_with('|') {
        inner.strip_suffix('|').unwrap_or(inner)
    } else {
        inner
    };
    let cells: Vec<String> = inner
        .split('|')
        .map(|cell| cell.trim().to_owned())
        .collect();
    (2..=COLUMNS_MAX).contains(&cells.len()).then_some(cells)
}

/// `|---|:-:|`
fn is_rule(cells: &[String]) -> bool {
    cells.iter().all(|cell| {
        !cell.is_empty()
            && cell
                .chars()
                .all(|character| matches!(character, '-' | ':' | ' '))
    })
}

impl Table {
    pub(super) fn candidates(
        &self,
        documents: &[SourceDocument],
        lexicon: &Lexicon,
    ) -> Vec<Candidate> {
        let mut made = Vec::new();
        let Some(document) = documents.get(self.document) else {
            return made;
        };
        for row in &self.rows {
            let Some(name) = row.cells.first().filter(|name| is_name(name)) else {
                continue;
            };
            // A row that comes twice does not say which is meant.
            if self
                .rows
                .iter()
                .filter(|other| other.cells.first() == Some(name))
                .count()
                > 1
            {
                continue;
            }
            for (column, cell) in row.cells.iter().enumerate().skip(1) {
                let Some(asked) = self
                    .column(column)
                    .filter(|_| is_value(cell) && cell != name)
                else {
                    continue;
                };
                let pair = Pair {
                    name,
                    column: asked,
                    found: Some((cell, &row.line)),
                };
                made.extend(self.candidate(&pair, document, lexicon));
            }
        }
        made
    }

    /// The header of a column, if no other is called the same.
    pub(super) fn column(&self, column: usize) -> Option<&str> {
        let header = self.head.get(column)?;
        let is_unique = self.head.iter().filter(|other| *other == header).count() == 1;
        let is_asked = (2..=HEADER_CHARS_MAX).contains(&header.chars().count())
            && (header.chars().any(char::is_alphabetic) || is_year(header))
            && !header.contains(['$', '%', '£', '€', ':', '*'])
            && !header.ends_with('.')
            && (is_period(header) || !header.starts_with(|c: char| c.is_ascii_digit()))
            && is_latin(header);
        (is_unique && is_asked).then_some(header)
    }

    /// None where no phrase fits the header.
    pub(super) fn candidate(
        &self,
        pair: &Pair<'_>,
        document: &SourceDocument,
        lexicon: &Lexicon,
    ) -> Option<Candidate> {
        let stem = phrase(pair, lexicon)?;
        let found = pair.found;
        let place = if document.title.is_empty() || document.title == self.heading {
            &self.heading
        } else {
            &document.title
        };
        let located = quoted_place(place).map(|place| format!("{stem} {place}?"));
        // Few words name a thing only together with where they stand.
        let words = content_words(&stem).len();
        if words < 3 && located.is_none() {
            return None;
        }
        let is_clear = words >= 4 || located.is_none();
        let question = match &located {
            Some(located) if !is_clear => located.clone(),
            _ => format!("{stem}?"),
        };
        let gold = found.map(|(_, line)| GoldQuote {
            document: document.id.clone(),
            quote: line.clone(),
        });
        Some(Candidate {
            kind: if found.is_some() {
                "generated/table"
            } else {
                "generated/unanswerable"
            },
            document: self.document,
            located: located.filter(|located| *located != question),
            question,
            answer: found.map(|(cell, _)| cell.clone()),
            gold: gold.into_iter().collect(),
        })
    }
}

/// A row and a column, with the cell and the line where they meet; without those the table does not answer.
pub(super) struct Pair<'a> {
    pub name: &'a str,
    pub column: &'a str,
    pub found: Option<(&'a String, &'a String)>,
}

/// Names a row: short, with a letter, no total, no amount and no list.
pub(super) fn is_name(text: &str) -> bool {
    let is_footnoted =
        text.ends_with(')') && text.rsplit('(').next().is_some_and(|end| end.len() <= 4);
    (2..=HEADER_CHARS_MAX).contains(&text.chars().count())
        && text.chars().any(char::is_alphabetic)
        && is_latin(text)
        && !is_footnoted
        && !text.ends_with(['.', '?'])
        && !text.starts_with(['(', '£', '$', '€'])
        && !text.contains(':')
        && text.matches(',').count() <= 1
        && leading_amount(text).is_none()
        && !text.to_lowercase().starts_with("total")
}

/// The templates are of English.
fn is_latin(text: &str) -> bool {
    text.chars()
        .all(|character| !character.is_alphabetic() || character <= '\u{24f}')
}

fn is_value(text: &str) -> bool {
    let small = text.to_lowercase();
    let is_unit = !small.contains(|character: char| ('1'..='9').contains(&character))
        && ["000", "million", "thousand", "billion"]
            .iter()
            .any(|unit| small.contains(unit));
    text.chars().count() <= CELL_CHARS_MAX
        && text.chars().any(char::is_alphanumeric)
        && !is_unit
        && !matches!(
            small.as_str(),
            "n/a" | "na" | "none" | "nil" | "n/m" | "tbd"
        )
}

/// A question without its mark: what stands in the column for the row.
fn phrase(pair: &Pair<'_>, lexicon: &Lexicon) -> Option<String> {
    let row = lexicon.lower_first(pair.name);
    let column = pair.column;
    let header = lexicon.lower_header(column);
    let words: Vec<String> = column.split(' ').map(str::to_lowercase).collect();
    let (first, last) = (words.first()?.as_str(), words.last()?.as_str());
    if is_period(column) {
        let compares = ["over", "from", "vs", "vs.", "versus", "change", "to"];
        if words.iter().any(|word| compares.contains(&word.as_str())) {
            return None; // of two periods
        }
        let starts = ["As of ", "as of ", "At ", "In "];
        let date = starts.iter().find_map(|start| column.strip_prefix(start));
        let date = date.unwrap_or(column);
        let at = if date.contains(',') { "as of" } else { "in" };
        return Some(format!("What was the figure for {row} {at} {date}"));
    }
    if matches!(first, "who" | "what" | "how" | "which" | "where" | "when") {
        return match (words.len(), last) {
            (1, "when" | "where") => Some(format!("{column} is {row}")),
            (1, _) => None,
            (_, "it" | "them") => {
                let (start, _) = column.rsplit_once(' ')?;
                Some(format!("{start} {row}"))
            }
            _ if words.iter().any(|word| word == "it") => None,
            _ if first == "who" => Some(format!("{column} for {row}")),
            _ => Some(format!("What is listed under “{column}” for {row}")),
        };
    }
    if words.iter().any(|word| word == "it" || word == "them") {
        return None;
    }
    let is_phrase = [first, last]
        .iter()
        .any(|word| is_preposition(word) || word.ends_with("ed"));
    if is_phrase || column.contains(',') {
        return Some(format!("What is listed under “{column}” for {row}"));
    }
    if lexicon.is_name(column)
        && !lexicon.is_name(pair.name)
        && column.chars().any(char::is_lowercase)
    {
        return Some(format!("What is the {row} for {column}")); // a table of attributes by thing
    }
    let counts = pair
        .found
        .is_none_or(|(cell, _)| cell.starts_with(|c: char| c.is_ascii_digit()));
    Some(match column.to_lowercase().as_str() {
        "meaning" | "definition" | "explanation" => format!("What does “{}” mean", pair.name),
        "description" | "purpose" | "use" | "example" => format!("What is the {header} of {row}"),
        "contact" | "owner" | "approver" => format!("Who is the {header} for {row}"),
        _ if is_plural(&header) && counts => format!("How many {header} are there for {row}"),
        _ if is_plural(&header) => format!("What are the {header} for {row}"),
        _ => format!("What is the {header} for {row}"),
    })
}

fn is_preposition(word: &str) -> bool {
    matches!(
        word,
        "due"
            | "after"
            | "before"
            | "from"
            | "to"
            | "until"
            | "below"
            | "above"
            | "at"
            | "by"
            | "with"
            | "without"
            | "for"
            | "on"
            | "in"
            | "of"
            | "less"
            | "more"
            | "than"
    )
}

fn is_plural(header: &str) -> bool {
    let last = header.rsplit(' ').next().unwrap_or("");
    last.ends_with('s')
        && !["ss", "us", "is"]
            .iter()
            .any(|ending| last.ends_with(ending))
}

fn is_year(text: &str) -> bool {
    text.len() == 4 && is_period(text)
}

/// A year, or a date with one.
pub(super) fn is_period(text: &str) -> bool {
    let has_year = text
        .split(|character: char| !character.is_ascii_digit())
        .any(|run| run.len() == 4 && (run.starts_with("19") || run.starts_with("20")));
    has_year && (is_numeric(text) || text.split_whitespace().count() <= 4)
}
