//! Rollouts: the last snapshot of each, what happened to the running one since, its course, and the audit log.
//!
//! A rollout is a function of what happened to it. What happens is written with the answer that it happened to, a snapshot with
//! every transition and now and then; so the next start finds a rollout where it was, whenever the process ended.

use quoin_adapters::rollout::{AuditLine, Input, Rollout, Status, Transition, verify_chain};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::de::DeserializeOwned;

use super::StorageError;

/// Points of a rollout's course that are kept: every other one is dropped when there are more.
const POINTS_MAX: usize = 2_000;

/// What happened to a rollout, to be written with the answer that it happened to.
#[derive(Clone, Debug)]
pub struct Happened {
    /// The rollout.
    pub rollout: String,
    /// Its place in the sequence, from 1.
    pub sequence: u64,
    /// What happened.
    pub input: Input,
}

/// A rollout as it is saved.
#[derive(Clone, Debug)]
pub struct Saved {
    /// As of `sequence`.
    pub rollout: Rollout,
    /// How much had happened to it.
    pub sequence: u64,
}

/// A rollout that has not ended.
#[derive(Clone, Debug)]
pub struct Running {
    /// As of its last snapshot.
    pub saved: Saved,
    /// What happened since, each with its place in the sequence.
    pub inputs: Vec<(u64, Input)>,
}

/// What is saved together.
#[derive(Clone, Debug)]
pub struct Save {
    /// The rollout and how much had happened to it.
    pub saved: Saved,
    /// What changed, for the audit log.
    pub transitions: Vec<Transition>,
    /// How it stood then, for plots.
    pub point: Status,
}

/// How a rollout stood over time, and what changed when.
#[derive(Clone, Debug)]
pub struct Course {
    /// Oldest first.
    pub points: Vec<Status>,
    /// Oldest first.
    pub transitions: Vec<Transition>,
}

/// Writes what happened, within the transaction of the request log.
pub(super) fn happened(transaction: &Transaction<'_>, one: &Happened) -> rusqlite::Result<()> {
    let input = serde_json::to_string(&one.input).map_err(unwritable)?;
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO rollout_inputs (rollout, sequence, input) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![one.rollout, number(one.sequence), input])?;
    Ok(())
}

/// Saves a rollout with its audit lines and forgets what its snapshot holds, all or nothing.
pub(super) fn save(connection: &mut Connection, save: &Save) -> Result<(), StorageError> {
    let Save {
        saved,
        transitions,
        point,
    } = save;
    let rollout = &saved.rollout;
    let id = rollout.id();
    let transaction = connection.transaction()?;
    transaction.execute(
        "INSERT INTO rollouts (id, alias, running, sequence, snapshot) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (id) DO UPDATE SET running = ?3, sequence = ?4, snapshot = ?5",
        params![
            id,
            rollout.alias().to_string(),
            !rollout.state().is_final(),
            number(saved.sequence),
            serde_json::to_string(rollout).map_err(unwritable)?,
        ],
    )?;
    transaction.execute(
        "DELETE FROM rollout_inputs WHERE rollout = ?1 AND sequence <= ?2",
        params![id, number(saved.sequence)],
    )?;
    let mut last = last_line(&transaction)?;
    for transition in transitions {
        let line = AuditLine::after(last.as_ref(), rollout, transition);
        transaction.execute(
            "INSERT INTO rollout_audit (sequence, rollout, line, transition) VALUES (?1, ?2, ?3, ?4)",
            params![
                number(line.seq),
                id,
                serde_json::to_string(&line).map_err(unwritable)?,
                serde_json::to_string(transition).map_err(unwritable)?,
            ],
        )?;
        last = Some(line);
    }
    if let Some(line) = last.filter(|_| !transitions.is_empty()) {
        // By it a log whose end was cut off is known.
        transaction.execute(
            "INSERT INTO rollout_audit_head (only, digest) VALUES (1, ?1)
             ON CONFLICT (only) DO UPDATE SET digest = ?1",
            [line.digest],
        )?;
    }
    transaction.execute(
        "INSERT INTO rollout_points (rollout, point) VALUES (?1, ?2)",
        params![id, serde_json::to_string(point).map_err(unwritable)?],
    )?;
    thin_out(&transaction, id)?;
    transaction.commit()?;
    Ok(())
}

/// Keeps a course short: of too many points every other one goes.
fn thin_out(transaction: &Transaction<'_>, id: &str) -> rusqlite::Result<()> {
    let points: i64 = transaction.query_row(
        "SELECT count(*) FROM rollout_points WHERE rollout = ?1",
        [id],
        |row| row.get(0),
    )?;
    if usize::try_from(points).unwrap_or(usize::MAX) > POINTS_MAX {
        transaction.execute(
            "DELETE FROM rollout_points WHERE rollout = ?1 AND number IN (SELECT number FROM (
                SELECT number, row_number() OVER (ORDER BY number) AS place FROM rollout_points WHERE rollout = ?1
             ) WHERE place % 2 = 0)",
            [id],
        )?;
    }
    Ok(())
}

fn last_line(connection: &Connection) -> Result<Option<AuditLine>, StorageError> {
    let line: Option<String> = connection
        .query_row(
            "SELECT line FROM rollout_audit ORDER BY sequence DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()?;
    line.as_deref().map(read).transpose()
}

/// The rollout that has not ended, with what happened to it since its snapshot, in order.
pub(super) fn running(connection: &Connection) -> Result<Option<Running>, StorageError> {
    let found: Option<(i64, String)> = connection
        .query_row(
            "SELECT sequence, snapshot FROM rollouts WHERE running LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((sequence, snapshot)) = found else {
        return Ok(None);
    };
    let rollout: Rollout = read(&snapshot)?;
    let mut statement = connection.prepare(
        "SELECT sequence, input FROM rollout_inputs WHERE rollout = ?1 AND sequence > ?2 ORDER BY sequence",
    )?;
    let rows = statement.query_map(params![rollout.id(), sequence], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    })?;
    let mut inputs = Vec::new();
    for row in rows {
        let (sequence, input) = row?;
        inputs.push((sequence.cast_unsigned(), read(&input)?));
    }
    let saved = Saved {
        rollout,
        sequence: sequence.cast_unsigned(),
    };
    Ok(Some(Running { saved, inputs }))
}

/// One rollout as it was saved last; without an id the one that began last.
pub(super) fn find(
    connection: &Connection,
    id: Option<&str>,
) -> Result<Option<Rollout>, StorageError> {
    let snapshot: Option<String> = connection
        .query_row(
            "SELECT snapshot FROM rollouts WHERE ?1 IS NULL OR id = ?1 ORDER BY number DESC LIMIT 1",
            [id],
            |row| row.get(0),
        )
        .optional()?;
    snapshot.as_deref().map(read).transpose()
}

/// All rollouts, the last first.
pub(super) fn list(connection: &Connection) -> Result<Vec<Rollout>, StorageError> {
    let mut statement =
        connection.prepare("SELECT snapshot FROM rollouts ORDER BY number DESC LIMIT 1000")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    rows.map(|row| read(&row?)).collect()
}

/// The audit log as it is stored.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Lines that can be read, in order.
    pub lines: Vec<AuditLine>,
    /// What is wrong with it: the first line that is not what was written.
    pub problem: Option<String>,
}

/// Reads the audit log and checks it, line by line and against its end.
pub(super) fn audit(connection: &Connection) -> Result<Audit, StorageError> {
    let mut statement =
        connection.prepare("SELECT line, transition FROM rollout_audit ORDER BY sequence")?;
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    let (mut lines, mut problem) = (Vec::new(), None);
    for (number, row) in (1..).zip(rows) {
        let (line, transition) = row?;
        match serde_json::from_str::<AuditLine>(&line) {
            Ok(line) => {
                let transition = serde_json::from_str::<Transition>(&transition);
                if !transition.is_ok_and(|transition| line.tells_of(&transition)) {
                    problem.get_or_insert(format!(
                        "what is stored beside line {number} of the audit log is not what it tells of"
                    ));
                }
                lines.push(line);
            }
            Err(error) => {
                problem.get_or_insert(format!(
                    "line {number} of the audit log cannot be read: {error}"
                ));
            }
        }
    }
    let head: Option<String> = connection
        .query_row("SELECT digest FROM rollout_audit_head", [], |row| {
            row.get(0)
        })
        .optional()?;
    if problem.is_none() {
        problem = verify_chain(&lines, head.as_deref())
            .err()
            .map(|error| error.to_string());
    }
    Ok(Audit { lines, problem })
}

/// How a rollout stood over time, and what changed when.
pub(super) fn course(connection: &Connection, id: &str) -> Result<Course, StorageError> {
    let of = |sql: &str| -> Result<Vec<String>, StorageError> {
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([id], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let points = "SELECT point FROM rollout_points WHERE rollout = ?1 ORDER BY number";
    let transitions = "SELECT transition FROM rollout_audit WHERE rollout = ?1 ORDER BY sequence";
    Ok(Course {
        points: read_all(&of(points)?)?,
        transitions: read_all(&of(transitions)?)?,
    })
}

fn read_all<T: DeserializeOwned>(rows: &[String]) -> Result<Vec<T>, StorageError> {
    rows.iter().map(|row| read(row)).collect()
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, StorageError> {
    serde_json::from_str(json).map_err(|source| StorageError::Rollout { source })
}

fn unwritable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

fn number(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}
