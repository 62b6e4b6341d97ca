//! Checking: SQLite's own check of the file, and every stored document against its digest and its passages.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Statement};

use super::Catalogue;
use super::row::{DOCUMENTS, entry, is_damage};
use crate::neural::PROJECTION;
use crate::{RetrieverError, ingest};

const CHECKING: &str = "checking the documents";

impl Catalogue {
    /// SQLite's own check of the whole file; empty when nothing is wrong.
    pub(crate) fn check(&self) -> Result<Vec<String>, RetrieverError> {
        self.with_reader("checking the file", |connection| {
            connection
                .prepare("PRAGMA quick_check(20)")
                .and_then(|mut statement| {
                    statement
                        .query_map([], |row| row.get::<_, String>(0))
                        .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
                })
                .map(|lines| lines.into_iter().filter(|line| line != "ok").collect())
                .map_err(RetrieverError::storage("checking the file"))
        })
    }

    /// The documents whose stored parts do not belong together, which SQLite cannot see. One text is in memory at a time.
    pub(crate) fn check_documents(&self) -> Result<Vec<String>, RetrieverError> {
        let failed = RetrieverError::storage(CHECKING);
        self.with_reader(CHECKING, |connection| {
            let transaction = connection.transaction().map_err(&failed)?;
            let mut problems = unreadable(&transaction).unwrap_or_else(|error| {
                vec![format!(
                    "what is stored about documents cannot be read to its end: {error}"
                )]
            });
            // The index of ids is pages of its own: it may name what cannot be read.
            for (ordinal, id) in listed(&transaction).map_err(&failed)? {
                match damaged(&transaction, ordinal, &id) {
                    Ok(found) => problems.extend(found),
                    Err(error) => problems.push(format!("`{id}` cannot be read: {error}")),
                }
            }
            Ok(problems)
        })
    }
}

/// Rows that are passed over because something in them is not what it was.
fn unreadable(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(DOCUMENTS)?;
    let mut rows = statement.query([0])?;
    let mut problems = Vec::new();
    while let Some(row) = rows.next()? {
        match entry(row) {
            Ok(_) => {}
            Err(error) if is_damage(&error) => {
                let id = name(row, 0)?;
                problems.push(format!("what is stored about `{id}` is damaged: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(problems)
}

/// The documents by the index of their ids.
fn listed(connection: &Connection) -> rusqlite::Result<Vec<(i64, String)>> {
    connection
        .prepare("SELECT ordinal, id FROM documents ORDER BY id")?
        .query_map([], |row| Ok((row.get(0)?, name(row, 1)?)))?
        .collect()
}

/// A text that is not the one whose digest is stored, and passages that are not slices of it.
fn damaged(connection: &Connection, ordinal: i64, id: &str) -> rusqlite::Result<Vec<String>> {
    let mut documents = connection.prepare_cached(
        "SELECT d.content_hash, (SELECT coalesce(sum(passages), 0) FROM cuts WHERE document = d.ordinal), d.format,
         d.title, t.outline, t.text
         FROM documents d LEFT JOIN document_texts t ON t.document = d.ordinal WHERE d.ordinal = ?1",
    )?;
    let mut passages = connection.prepare_cached(
        "SELECT start_byte, end_byte, text FROM passages WHERE document = ?1 ORDER BY key",
    )?;
    let mut rows = documents.query([ordinal])?;
    let Some(row) = rows.next()? else {
        return Ok(vec![format!("`{id}` is in the index of ids alone")]);
    };
    let mut problems = Vec::new();
    let text = bytes(row, 5)?;
    let parts = [bytes(row, 2)?, bytes(row, 3)?, bytes(row, 4)?, text];
    if ingest::digest(parts) != bytes(row, 0)? {
        problems.push(format!("the text of `{id}` is damaged"));
    }
    let (count, wrong) = slices(&mut passages, ordinal, text)?;
    if wrong > 0 {
        problems.push(format!(
            "{wrong} passages of `{id}` are not slices of its text"
        ));
    }
    let want: i64 = row.get(1)?;
    if count != want {
        problems.push(format!("`{id}` has {want} passages, {count} are stored"));
    }
    let bare = without_token_vectors(connection, ordinal)?;
    if bare > 0 {
        problems.push(format!(
            "{bare} passages of `{id}` lack the vectors of their tokens"
        ));
    }
    Ok(problems)
}

/// How many passages with words have no vectors of tokens though their pipeline makes them: its fingerprint says so.
fn without_token_vectors(connection: &Connection, document: i64) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM passages p JOIN pipelines l ON l.number = p.pipeline
             LEFT JOIN token_vectors t ON t.passage = p.key
             WHERE p.document = ?1 AND instr(l.fingerprint, ?2) AND length(p.tokens) > 0 AND t.passage IS NULL",
        )?
        .query_row((document, format!("+{PROJECTION}:")), |row| row.get(0))
}

/// How many passages a document has, and how many of them are not slices of its text.
fn slices(
    passages: &mut Statement<'_>,
    document: i64,
    text: &[u8],
) -> rusqlite::Result<(i64, usize)> {
    let mut rows = passages.query([document])?;
    let (mut count, mut wrong) = (0, 0);
    while let Some(row) = rows.next()? {
        count += 1;
        let offset = |column| row.get::<_, i64>(column).map(usize::try_from);
        let slice = match (offset(0)?, offset(1)?) {
            (Ok(start), Ok(end)) => text.get(start..end),
            _ => None,
        };
        wrong += usize::from(slice != Some(bytes(row, 2)?));
    }
    Ok((count, wrong))
}

/// The bytes of a text or blob, which need not be UTF-8; none for anything else.
fn bytes<'row>(row: &'row Row<'_>, column: usize) -> rusqlite::Result<&'row [u8]> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        _ => &[],
    })
}

fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(bytes(row, column)?).into_owned())
}
