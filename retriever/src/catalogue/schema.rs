//! Tables of the catalogue, and how older ones become the present ones.

use rusqlite::{Connection, TransactionBehavior};

use crate::RetrieverError;

/// Each step brings the tables from its index to the next version. Steps are never changed, only added.
const STEPS: [&str; 7] = [
    "
    CREATE TABLE documents (
        ordinal         INTEGER PRIMARY KEY,
        id              TEXT NOT NULL UNIQUE,
        version         INTEGER NOT NULL,
        generation      INTEGER NOT NULL,
        updated_at      INTEGER NOT NULL,
        content_hash    BLOB NOT NULL,
        pipeline        TEXT NOT NULL,
        format          TEXT NOT NULL,
        title           TEXT,
        uri             TEXT,
        source          TEXT,
        acl             TEXT NOT NULL,
        metadata        TEXT NOT NULL,
        effective_from  INTEGER,
        effective_until INTEGER,
        supersedes      TEXT,
        first_passage   INTEGER NOT NULL,
        passages        INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE document_texts (
        document INTEGER PRIMARY KEY REFERENCES documents(ordinal) ON DELETE CASCADE,
        text     TEXT NOT NULL,
        outline  TEXT NOT NULL
    ) STRICT;
    CREATE TABLE passages (
        key        INTEGER PRIMARY KEY,
        document   INTEGER NOT NULL REFERENCES documents(ordinal) ON DELETE CASCADE,
        position   INTEGER NOT NULL,
        start_byte INTEGER NOT NULL,
        end_byte   INTEGER NOT NULL,
        start_char INTEGER NOT NULL,
        end_char   INTEGER NOT NULL,
        page       INTEGER,
        heading    TEXT NOT NULL,
        context    TEXT,
        text       TEXT NOT NULL,
        tokens     BLOB NOT NULL,
        vector     BLOB NOT NULL
    ) STRICT;
    CREATE INDEX passages_by_document ON passages(document);
    CREATE TABLE deletions (
        sequence   INTEGER PRIMARY KEY,
        document   TEXT NOT NULL,
        version    INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        deleted_at INTEGER NOT NULL,
        purged_at  INTEGER
    ) STRICT;
    CREATE INDEX deletions_by_document ON deletions(document);
    INSERT INTO retriever_meta (name, value) VALUES ('generation', 0), ('next_passage', 1);
",
    // What the writer may read, as JSON; NULL is everything, as it was for all who wrote before.
    "ALTER TABLE documents ADD COLUMN supersedes_as TEXT;",
    "INSERT INTO retriever_meta (name, value) VALUES ('catalogue_id', random() & 0x7fffffffffffffff);",
    // Passages of several pipelines side by side. Those of the one before are made again from the texts.
    "
    CREATE TABLE pipelines (
        number      INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL UNIQUE,
        made_by     TEXT NOT NULL
    ) STRICT;
    CREATE TABLE cuts (
        document      INTEGER NOT NULL REFERENCES documents(ordinal) ON DELETE CASCADE,
        pipeline      INTEGER NOT NULL REFERENCES pipelines(number),
        first_passage INTEGER NOT NULL,
        passages      INTEGER NOT NULL,
        PRIMARY KEY (document, pipeline)
    ) STRICT, WITHOUT ROWID;
    DROP TABLE passages;
    CREATE TABLE passages (
        key        INTEGER PRIMARY KEY,
        document   INTEGER NOT NULL REFERENCES documents(ordinal) ON DELETE CASCADE,
        pipeline   INTEGER NOT NULL,
        position   INTEGER NOT NULL,
        start_byte INTEGER NOT NULL,
        end_byte   INTEGER NOT NULL,
        start_char INTEGER NOT NULL,
        end_char   INTEGER NOT NULL,
        page       INTEGER,
        heading    TEXT NOT NULL,
        context    TEXT,
        text       TEXT NOT NULL,
        tokens     BLOB NOT NULL,
        vector     BLOB NOT NULL
    ) STRICT;
    CREATE INDEX passages_by_document ON passages(document, pipeline);
    ALTER TABLE documents DROP COLUMN pipeline;
    ALTER TABLE documents DROP COLUMN first_passage;
    ALTER TABLE documents DROP COLUMN passages;
    INSERT OR REPLACE INTO retriever_meta (name, value)
        VALUES ('active_snapshot', 0), ('active_pipeline', 0), ('previous_pipeline', 0), ('left_pipeline', 0);
",
    // What of a document could not be read, as JSON.
    "ALTER TABLE documents ADD COLUMN warnings TEXT NOT NULL DEFAULT '[]';",
    // Digests of some of what was deleted, when each place was purged of it, and the backups that may hold it.
    "
    ALTER TABLE deletions ADD COLUMN trace BLOB;
    CREATE TABLE purges (
        deletion  INTEGER NOT NULL REFERENCES deletions(sequence),
        place     TEXT NOT NULL,
        purged_at INTEGER,
        PRIMARY KEY (deletion, place)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX purges_pending ON purges(place) WHERE purged_at IS NULL;
    CREATE TABLE backups (
        path       TEXT PRIMARY KEY,
        made_at    INTEGER NOT NULL,
        generation INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    // Vectors of the tokens of passages, apart from them: only reranking reads these, and they are most of the bytes.
    "
    CREATE TABLE token_vectors (
        passage INTEGER PRIMARY KEY REFERENCES passages(key) ON DELETE CASCADE,
        vectors BLOB NOT NULL
    ) STRICT;
",
];

/// Creates the tables, or brings older ones up to date; each step in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), RetrieverError> {
    let failed = RetrieverError::storage("preparing its tables");
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS retriever_meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
             INSERT OR IGNORE INTO retriever_meta (name, value) VALUES ('schema_version', 0);",
        )
        .map_err(&failed)?;
    loop {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        let found: i64 = transaction
            .query_row(
                "SELECT value FROM retriever_meta WHERE name = 'schema_version'",
                [],
                |row| row.get(0),
            )
            .map_err(&failed)?;
        let step = usize::try_from(found)
            .ok()
            .and_then(|found| STEPS.get(found));
        let Some(step) = step else {
            let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
            return match found {
                _ if found == known => Ok(()),
                _ => Err(RetrieverError::NewerCatalogue { found, known }),
            };
        };
        transaction.execute_batch(step).map_err(&failed)?;
        transaction
            .execute(
                "UPDATE retriever_meta SET value = value + 1 WHERE name = 'schema_version'",
                [],
            )
            .map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_the_tables_before_pipelines_stay_and_wait_to_be_cut() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection
            .pragma_update(None, "foreign_keys", true)
            .unwrap();
        connection
            .execute_batch(
                "CREATE TABLE retriever_meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
                 INSERT INTO retriever_meta (name, value) VALUES ('schema_version', 3);",
            )
            .unwrap();
        for step in &STEPS[..3] {
            connection.execute_batch(step).unwrap();
        }
        connection
            .execute_batch(
                "INSERT INTO documents VALUES (1, 'a', 7, 9, 0, x'00', 'old', 'text', NULL, NULL, NULL, '[\"public\"]', '{}',
                     NULL, NULL, NULL, 1, 1, NULL);
                 INSERT INTO document_texts VALUES (1, 'a walrus', '[]');
                 INSERT INTO passages VALUES (1, 1, 0, 0, 8, 0, 8, NULL, '[]', NULL, 'a walrus', x'', x'');
                 INSERT INTO retriever_meta VALUES ('active_snapshot', 9);",
            )
            .unwrap();
        migrate(&mut connection).unwrap();
        let number = |sql| {
            connection
                .query_row(sql, [], |row| row.get::<_, i64>(0))
                .unwrap()
        };
        assert_eq!(
            number("SELECT version FROM documents WHERE acl = '[\"public\"]'"),
            7
        );
        assert_eq!(
            number("SELECT count(*) FROM document_texts WHERE text = 'a walrus'"),
            1
        );
        assert_eq!(number("SELECT count(*) FROM passages"), 0);
        assert_eq!(
            number("SELECT value FROM retriever_meta WHERE name = 'active_snapshot'"),
            0
        );
    }

    #[test]
    fn a_newer_catalogue_is_refused_by_name() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        connection
            .execute(
                "UPDATE retriever_meta SET value = 99 WHERE name = 'schema_version'",
                [],
            )
            .unwrap();
        let error = migrate(&mut connection).unwrap_err();
        assert!(error.to_string().contains("schema version 99"));
    }
}
