//! Opens the database and brings our tables to the current schema. The catalogue's tables are not ours and not touched.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::StorageError;

/// The schema that this program writes. Each step of `STEPS` leads from its index to the next number.
const KNOWN: i64 = 3;

const STEPS: [&str; 3] = [
    "
    CREATE TABLE api_keys (
        id TEXT PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        name TEXT NOT NULL,
        scopes TEXT NOT NULL,
        tokens TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        revoked_at INTEGER
    ) STRICT;
    CREATE TABLE request_log (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        request_id TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        subject TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        status TEXT NOT NULL,
        release TEXT,
        adapter TEXT,
        generation INTEGER,
        route TEXT,
        prompt_tokens INTEGER NOT NULL DEFAULT 0,
        completion_tokens INTEGER NOT NULL DEFAULT 0,
        timings TEXT,
        content TEXT
    ) STRICT;
    CREATE INDEX request_log_at ON request_log (at_ms);
    CREATE TABLE feedback (
        id TEXT PRIMARY KEY,
        answer_id TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        subject TEXT NOT NULL,
        release TEXT,
        metric TEXT NOT NULL,
        value TEXT NOT NULL,
        comment TEXT,
        demonstration TEXT,
        citation TEXT
    ) STRICT;
    CREATE INDEX feedback_answer ON feedback (answer_id);
",
    // Ids of what an answer cites, as JSON; NULL in rows of before, which count as citing everything.
    "
    ALTER TABLE request_log ADD COLUMN documents TEXT;
    ALTER TABLE feedback ADD COLUMN documents TEXT;
",
    // Rollouts. `assigned` is the arm that a request belonged to, as JSON.
    "
    ALTER TABLE request_log ADD COLUMN assigned TEXT;
    CREATE TABLE rollouts (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        alias TEXT NOT NULL,
        running INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        snapshot TEXT NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX rollouts_running ON rollouts (alias) WHERE running;
    CREATE TABLE rollout_inputs (
        rollout TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        input TEXT NOT NULL,
        PRIMARY KEY (rollout, sequence)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE rollout_audit (
        sequence INTEGER PRIMARY KEY,
        rollout TEXT NOT NULL,
        line TEXT NOT NULL,
        transition TEXT NOT NULL
    ) STRICT;
    CREATE TABLE rollout_audit_head (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        digest TEXT NOT NULL
    ) STRICT;
    CREATE TABLE rollout_points (
        number INTEGER PRIMARY KEY,
        rollout TEXT NOT NULL,
        point TEXT NOT NULL
    ) STRICT;
    CREATE INDEX rollout_points_of ON rollout_points (rollout);
",
];

/// Opens `database` in WAL mode and migrates our tables.
pub(super) fn open(database: &Path) -> Result<Connection, StorageError> {
    let failed = |source| StorageError::Open {
        path: database.to_owned(),
        source,
    };
    let mut connection = Connection::open(database).map_err(failed)?;
    // The catalogue writes to the same file from its own connection: wait for it rather than fail.
    connection
        .busy_timeout(Duration::from_secs(30))
        .map_err(failed)?;
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
        // Questions and answers that are removed leave no bytes behind.
        .and_then(|()| connection.pragma_update(None, "secure_delete", true))
        .map_err(failed)?;
    let found = migrate(&mut connection).map_err(failed)?;
    if found > KNOWN {
        return Err(StorageError::Newer {
            path: database.to_owned(),
            found,
            known: KNOWN,
        });
    }
    Ok(connection)
}

/// Applies the steps that are missing, in one transaction. Returns the version that was found, or made.
fn migrate(connection: &mut Connection) -> Result<i64, rusqlite::Error> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS storage_schema (version INTEGER NOT NULL) STRICT",
    )?;
    let found: i64 = transaction
        .query_row("SELECT version FROM storage_schema", [], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    if found >= KNOWN {
        return Ok(found);
    }
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.execute("DELETE FROM storage_schema", [])?;
    transaction.execute("INSERT INTO storage_schema (version) VALUES (?1)", [KNOWN])?;
    transaction.commit()?;
    Ok(KNOWN)
}
