//! Feedback on answers, kept with the release that gave the answer.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{StorageError, clock};

/// A rating of one answer, already checked for its bounds.
#[derive(Clone, Debug)]
pub struct FeedbackInput {
    /// The answer.
    pub answer_id: String,
    /// What was rated, such as `helpful`.
    pub metric: String,
    /// A number or a truth value.
    pub value: Value,
    /// The rater's words.
    pub comment: Option<String>,
    /// What the answer should have been.
    pub demonstration: Option<Value>,
    /// Index of the citation that is meant.
    pub citation: Option<Value>,
}

/// What was stored.
#[derive(Clone, Debug)]
pub struct FeedbackRow {
    /// `fb_…`.
    pub id: String,
    /// The answer.
    pub answer_id: String,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// The arm of a rollout that the answer's request belonged to.
    pub assigned: Option<Value>,
}

pub(super) fn add(
    connection: &Connection,
    subject: &str,
    anyone: bool,
    input: FeedbackInput,
) -> Result<FeedbackRow, StorageError> {
    type Found = (String, Option<String>, Option<String>, Option<String>);
    let answer: Option<Found> = connection
        .query_row(
            "SELECT subject, release, documents, assigned FROM request_log WHERE id = ?1 AND status IN ('answered', 'abstained')",
            [&input.answer_id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .optional()?;
    let (release, documents, assigned) = match answer {
        Some((owner, release, documents, assigned)) if anyone || owner == subject => {
            (release, documents, assigned)
        }
        _ => return Err(StorageError::UnknownAnswer(input.answer_id)),
    };
    let row = FeedbackRow {
        id: format!("fb_{}", Uuid::now_v7().simple()),
        answer_id: input.answer_id,
        at_ms: clock::now_ms(),
        assigned: assigned.and_then(|json| serde_json::from_str(&json).ok()),
    };
    connection.execute(
        "INSERT INTO feedback (id, answer_id, at_ms, subject, release, metric, value, comment, demonstration, citation, documents)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            row.id,
            row.answer_id,
            row.at_ms,
            subject,
            release,
            input.metric,
            input.value.to_string(),
            input.comment,
            input.demonstration.map(|value| value.to_string()),
            input.citation.map(|value| value.to_string()),
            documents,
        ],
    )?;
    Ok(row)
}

/// A logged answer whose text was kept, with one rating of it.
#[derive(Clone, Debug, Serialize)]
pub struct Rated {
    /// The answer's id.
    pub id: String,
    /// `answered` or `abstained`.
    pub status: String,
    /// Question, answer, citations and the tokens of who asked.
    pub content: Value,
    /// What was rated.
    pub metric: String,
    /// A number or a truth value.
    pub value: Value,
    /// What the answer should have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demonstration: Option<Value>,
}

/// The newest ratings of answers whose text was kept, oldest first.
pub(super) fn rated(connection: &Connection, limit: usize) -> Result<Vec<Rated>, StorageError> {
    let mut statement = connection.prepare(
        "SELECT * FROM (
             SELECT r.id, r.status, r.content, f.metric, f.value, f.demonstration, f.at_ms, f.id AS rating
             FROM feedback f JOIN request_log r ON r.id = f.answer_id
             WHERE r.status IN ('answered', 'abstained') AND r.content IS NOT NULL
             ORDER BY f.at_ms DESC, f.id DESC LIMIT ?1)
         ORDER BY at_ms, rating",
    )?;
    let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
    let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        Ok(Rated {
            id: row.get(0)?,
            status: row.get(1)?,
            content: json(row.get(2)?).unwrap_or_default(),
            metric: row.get(3)?,
            value: json(row.get(4)?).unwrap_or_default(),
            demonstration: json(row.get(5)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
