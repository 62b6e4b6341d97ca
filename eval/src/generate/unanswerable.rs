//! Questions that look like the others and that no document answers.

use std::collections::{BTreeMap, BTreeSet};

use super::SourceDocument;
use super::candidates::Candidate;
use super::table::{Pair, Table, is_name, is_period};
use super::words::{Lexicon, content_words};

/// Pairs looked at for each table, so that a thousand tables of one form stay quick.
const TRIED_MAX: usize = 40;
const YEARS_AHEAD: u32 = 7;

/// A cell that a table lacks (a column of a table of the same form, a year that no table has), and terms put together from two
/// that are defined. A question is left out where some passage has all of its words.
pub(super) fn candidates(
    tables: &[Table],
    answerable: &[Candidate],
    documents: &[SourceDocument],
    lexicon: &Lexicon,
) -> Vec<Candidate> {
    let words = Words::of(documents);
    let mut made = Vec::new();
    let mut columns: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut rows: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for table in tables {
        let key = table
            .head
            .first()
            .map_or(String::new(), |key| key.to_lowercase());
        if !key.contains(char::is_alphabetic) {
            continue;
        }
        let headers = (1..table.head.len()).filter_map(|column| table.column(column));
        if !table.is_open_ended() {
            columns.entry(key.clone()).or_default().extend(headers);
        }
        let names = table.rows.iter().filter_map(|row| row.cells.first());
        rows.entry(key)
            .or_default()
            .extend(names.map(String::as_str).filter(|name| is_name(name)));
    }
    for table in tables {
        let Some(document) = documents.get(table.document) else {
            continue;
        };
        let mut tried = 0;
        for (name, column) in lacking(table, &columns, &rows) {
            tried += 1;
            if tried > TRIED_MAX {
                break;
            }
            if !words.meet(&[&name, &column]) && !words.document_has(table, &name, &column) {
                let pair = Pair {
                    name: &name,
                    column: &column,
                    found: None,
                };
                made.extend(table.candidate(&pair, document, lexicon));
            }
        }
    }
    made.extend(blended(answerable, &words));
    made
}

/// Rows and columns that do not meet in the table, though its like has one of them.
fn lacking(
    table: &Table,
    columns: &BTreeMap<String, BTreeSet<&str>>,
    rows: &BTreeMap<String, BTreeSet<&str>>,
) -> Vec<(String, String)> {
    let key = table
        .head
        .first()
        .map_or(String::new(), |key| key.to_lowercase());
    let own: Vec<&str> = table
        .rows
        .iter()
        .filter_map(|row| Some(row.cells.first()?.as_str()))
        .collect();
    let names = || {
        own.iter()
            .copied()
            .filter(|name| is_name(name) && !is_date_like(name))
    };
    // “G4 to G6”, “all others”: such a table answers for rows that it does not name.
    let is_open = table.is_open_ended();
    let mut pairs = Vec::new();
    for (index, column) in columns.get(&key).into_iter().flatten().enumerate() {
        if !table.head.iter().any(|header| header == column) {
            let name = names().nth(index % names().count().max(1));
            pairs.extend(name.map(|name| (name.to_owned(), (*column).to_owned())));
        }
    }
    let headers: Vec<&str> = (1..table.head.len())
        .filter_map(|column| table.column(column))
        .collect();
    for (index, name) in rows.get(&key).into_iter().flatten().enumerate() {
        if let Some(column) = headers.get(index % headers.len().max(1))
            && !own.contains(name)
            && !is_open
            && !is_date_like(name)
            && !own.iter().any(|own| is_part(own, name))
        {
            pairs.push(((*name).to_owned(), (*column).to_owned()));
        }
    }
    for name in names().take(3) {
        pairs.extend(
            headers
                .iter()
                .find_map(|header| later(header))
                .map(|year| (name.to_owned(), year)),
        );
    }
    pairs
}

/// A date, or a code of several words: whether another one is covered is not for words to tell.
fn is_date_like(name: &str) -> bool {
    name.contains(' ') && name.contains(|character: char| character.is_ascii_digit())
}

/// “Falmouth” answers for “Falmouth, warehouse”, too.
fn is_part(left: &str, right: &str) -> bool {
    let (left, right) = (content_words(left), content_words(right));
    left.is_subset(&right) || right.is_subset(&left)
}

impl Table {
    fn is_open_ended(&self) -> bool {
        let mut names = self.rows.iter().filter_map(|row| row.cells.first());
        names.any(|name| is_open_ended(name))
    }
}

fn is_open_ended(name: &str) -> bool {
    let small = name.to_lowercase();
    name.contains('–')
        || small.split(|c: char| !c.is_alphanumeric()).any(|word| {
            matches!(
                word,
                "to" | "all"
                    | "any"
                    | "other"
                    | "others"
                    | "else"
                    | "every"
                    | "above"
                    | "below"
                    | "over"
                    | "up"
                    | "rest"
            )
        })
}

/// A column of a year, some years on.
fn later(header: &str) -> Option<String> {
    let year: u32 = header.parse().ok().filter(|_| is_period(header))?;
    Some((year + YEARS_AHEAD).to_string())
}

/// `core unit` of “core hours” and “golden unit”.
fn blended(answerable: &[Candidate], words: &Words) -> Vec<Candidate> {
    let terms: Vec<(&Candidate, &str, &str)> = answerable
        .iter()
        .filter_map(|candidate| {
            let term = candidate
                .question
                .strip_prefix("What does “")?
                .strip_suffix("” mean?")?;
            let (first, last) = term.split_once(' ')?;
            (!last.contains(' ') && term.is_ascii()).then_some((candidate, first, last))
        })
        .collect();
    let mut made = Vec::new();
    for (index, (candidate, first, last)) in terms.iter().enumerate() {
        let Some((_, _, other)) = terms.get((index + 1) % terms.len()) else {
            continue;
        };
        if other == last || words.meet(&[first, other]) {
            continue;
        }
        made.push(Candidate {
            kind: "generated/unanswerable",
            document: candidate.document,
            question: format!("What does “{first} {other}” mean?"),
            located: None,
            answer: None,
            gold: Vec::new(),
        });
    }
    made
}

/// The passages in which a word comes.
struct Words {
    passages: BTreeMap<String, BTreeSet<usize>>,
    /// Of each document.
    documents: Vec<BTreeSet<String>>,
}

impl Words {
    fn of(documents: &[SourceDocument]) -> Self {
        let mut passages: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        let mut number = 0;
        for document in documents {
            for passage in &document.passages {
                number += 1;
                let heading = passage.heading.join(" ");
                for text in [&document.title, &heading, &passage.text] {
                    for word in content_words(text) {
                        passages.entry(word).or_default().insert(number);
                    }
                }
            }
        }
        let words = |document: &SourceDocument| content_words(&document.text);
        Self {
            passages,
            documents: documents.iter().map(words).collect(),
        }
    }

    /// Whether the document of a table speaks of both, if not in one passage.
    fn document_has(&self, table: &Table, name: &str, column: &str) -> bool {
        let Some(own) = self.documents.get(table.document) else {
            return true;
        };
        let mut all = content_words(name);
        all.extend(content_words(column));
        all.is_subset(own)
    }

    /// Whether some passage, with its headings and title, has all words of the texts.
    fn meet(&self, texts: &[&str]) -> bool {
        let mut common: Option<BTreeSet<usize>> = None;
        for word in texts.iter().flat_map(|text| content_words(text)) {
            let Some(here) = self.passages.get(&word) else {
                return false;
            };
            common = Some(match common {
                None => here.clone(),
                Some(common) => common.intersection(here).copied().collect(),
            });
        }
        common.is_none_or(|common| !common.is_empty())
    }
}
