//! The request log: one row for each answer asked for, bounded in rows and days. No text unless `log.content` is on.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value, json};

use super::rollouts::{self, Happened};
use super::{StorageError, clock};
use crate::answer::types::ReleaseInfo;

/// How much of the request log is kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Most rows.
    pub rows: u64,
    /// Longest age, days.
    pub days: u32,
    /// Records between two prunings.
    pub prune_every: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            rows: 100_000,
            days: 30,
            prune_every: 1000,
        }
    }
}

/// One request for an answer and how it ended.
#[derive(Clone, Debug, Default)]
pub struct RequestRecord {
    /// The answer's id, or one made up when no answer came about.
    pub id: String,
    /// `x-request-id` of the response.
    pub request_id: String,
    /// Who asked: `key:<id>` or `local`.
    pub subject: String,
    /// The matched route, such as `/v1/answers`.
    pub endpoint: &'static str,
    /// `answered`, `abstained`, or the error's code.
    pub status: String,
    /// Release digest.
    pub release: Option<String>,
    /// Adapter version.
    pub adapter: Option<String>,
    /// Index generation.
    pub generation: Option<u64>,
    /// How the release was chosen.
    pub route: Option<String>,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens generated.
    pub completion_tokens: usize,
    /// The answer's timings, as it reported them.
    pub timings: Option<Value>,
    /// Ids of the documents that the answer cites.
    pub documents: Vec<String>,
    /// Question and answer; only with `log.content`.
    pub content: Option<Value>,
    /// The arm of a rollout that the request belonged to.
    pub assigned: Option<Value>,
}

/// Writes a batch in one transaction, with what it says of a rollout.
pub(super) fn insert(
    connection: &mut Connection,
    records: &[RequestRecord],
    happened: &[Happened],
) -> Result<(), StorageError> {
    let transaction = connection.transaction()?;
    {
        let mut statement = transaction.prepare_cached(
            "INSERT OR IGNORE INTO request_log (id, request_id, at_ms, subject, endpoint, status, release, adapter,
             generation, route, prompt_tokens, completion_tokens, timings, content, documents, assigned)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?;
        let now = clock::now_ms();
        for record in records {
            statement.execute(params![
                record.id,
                record.request_id,
                now,
                record.subject,
                record.endpoint,
                record.status,
                record.release,
                record.adapter,
                record
                    .generation
                    .and_then(|number| i64::try_from(number).ok()),
                record.route,
                i64::try_from(record.prompt_tokens).unwrap_or(i64::MAX),
                i64::try_from(record.completion_tokens).unwrap_or(i64::MAX),
                record.timings.as_ref().map(Value::to_string),
                record.content.as_ref().map(Value::to_string),
                json!(record.documents).to_string(),
                record.assigned.as_ref().map(Value::to_string),
            ])?;
        }
    }
    for one in happened {
        rollouts::happened(&transaction, one)?;
    }
    transaction.commit()?;
    Ok(())
}

/// An answer as the log has it.
#[derive(Clone, Debug)]
pub struct Logged {
    /// The answer's id.
    pub id: String,
    /// What answered.
    pub release: ReleaseInfo,
    /// Documents that it cites.
    pub documents: Vec<String>,
    /// Question, request and answer, where they were kept.
    pub content: Option<Value>,
}

/// The answer that `subject` was given, or that anyone was.
pub(super) fn answer(
    connection: &Connection,
    id: &str,
    subject: &str,
    anyone: bool,
) -> Result<Logged, StorageError> {
    let found = connection
        .query_row(
            "SELECT release, adapter, generation, route, documents, content FROM request_log
             WHERE id = ?1 AND (?3 OR subject = ?2) AND status IN ('answered', 'abstained')",
            params![id, subject, anyone],
            |row| {
                let json = |column| -> rusqlite::Result<Option<Value>> {
                    let text: Option<String> = row.get(column)?;
                    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
                };
                let words = |value: Value| serde_json::from_value(value).unwrap_or_default();
                Ok(Logged {
                    id: id.to_owned(),
                    release: ReleaseInfo {
                        id: row.get::<_, Option<String>>(0)?.unwrap_or_default(),
                        adapter: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
                        generation: row
                            .get::<_, Option<i64>>(2)?
                            .unwrap_or_default()
                            .cast_unsigned(),
                        route: row.get::<_, Option<String>>(3)?.unwrap_or_default(),
                    },
                    documents: json(4)?.map(words).unwrap_or_default(),
                    content: json(5)?,
                })
            },
        )
        .optional()?;
    found.ok_or_else(|| StorageError::UnknownAnswer(id.to_owned()))
}

/// Deletes what is over the bounds.
pub(super) fn prune(connection: &Connection, retention: Retention) -> Result<(), StorageError> {
    let oldest = clock::now_ms() - i64::from(retention.days) * 86_400_000;
    let rows = i64::try_from(retention.rows).unwrap_or(i64::MAX);
    connection.execute("DELETE FROM request_log WHERE at_ms < ?1", [oldest])?;
    connection.execute(
        "DELETE FROM request_log WHERE seq <= (SELECT seq FROM request_log ORDER BY seq DESC LIMIT 1 OFFSET ?1)",
        [rows],
    )?;
    Ok(())
}

/// Rows in the log.
pub(super) fn count(connection: &Connection) -> Result<u64, StorageError> {
    let rows: i64 =
        connection.query_row("SELECT count(*) FROM request_log", [], |row| row.get(0))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}
