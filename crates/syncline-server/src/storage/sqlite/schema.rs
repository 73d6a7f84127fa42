//! The tables, and how older files become what they are today. `user_version` says which step a file has reached.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::storage::sqlite::Problem;

/// The steps, oldest first. A step that has been released is never changed; a new one is added.
const STEPS: [fn(&Transaction<'_>) -> rusqlite::Result<()>; 2] = [v1::up, v2::up];

/// Takes the steps that the file has not taken.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Problem> {
    // immediate: two processes that start together take the steps one after the other
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = STEPS.len() as u32;
    let Some(missing) = STEPS.get(found as usize..) else {
        return Err(Problem::Newer { found, known });
    };
    for step in missing {
        step(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}

mod v1 {
    use rusqlite::Transaction;

    /// Everything of a space lies together in each table, so that it is loaded in one sweep.
    pub(super) fn up(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction.execute_batch(
            "CREATE TABLE space (
                number      INTEGER PRIMARY KEY,
                id          TEXT NOT NULL UNIQUE,
                incarnation INTEGER NOT NULL,
                version     INTEGER NOT NULL
            ) STRICT;

            CREATE TABLE space_row (
                space      INTEGER NOT NULL REFERENCES space (number),
                collection TEXT NOT NULL,
                key        TEXT NOT NULL,
                version    INTEGER NOT NULL,
                json       TEXT NOT NULL,
                PRIMARY KEY (space, collection, key)
            ) STRICT, WITHOUT ROWID;

            CREATE TABLE space_log (
                space   INTEGER NOT NULL REFERENCES space (number),
                version INTEGER NOT NULL,
                client  TEXT NOT NULL,
                write   INTEGER NOT NULL,
                user    TEXT NOT NULL,
                at      INTEGER NOT NULL,
                kind    TEXT NOT NULL,
                touched TEXT NOT NULL,
                PRIMARY KEY (space, version)
            ) STRICT, WITHOUT ROWID;

            CREATE TABLE space_client (
                space   INTEGER NOT NULL REFERENCES space (number),
                client  TEXT NOT NULL,
                user    TEXT NOT NULL,
                last    INTEGER NOT NULL,
                refused TEXT NOT NULL,
                seen    INTEGER NOT NULL,
                PRIMARY KEY (space, client)
            ) STRICT, WITHOUT ROWID;",
        )
    }
}

mod v2 {
    use rusqlite::Transaction;

    /// What actions gave back, and the work that they left.
    pub(super) fn up(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction.execute_batch(
            "ALTER TABLE space_client ADD COLUMN outputs TEXT NOT NULL DEFAULT '[]';

            CREATE TABLE job (
                number  INTEGER PRIMARY KEY,
                id      TEXT NOT NULL UNIQUE,
                space   INTEGER NOT NULL REFERENCES space (number),
                name    TEXT NOT NULL,
                payload TEXT NOT NULL,
                user    TEXT NOT NULL,
                at      INTEGER NOT NULL,
                due     INTEGER NOT NULL,
                tries   INTEGER NOT NULL,
                failed  TEXT
            ) STRICT;

            CREATE INDEX job_waiting ON job (name, due, number) WHERE failed IS NULL;",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_brought_up_to_date_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(version as usize, STEPS.len());
    }

    #[test]
    fn a_file_of_the_first_version_keeps_what_it_has() {
        let mut connection = Connection::open_in_memory().unwrap();
        let transaction = connection.transaction().unwrap();
        v1::up(&transaction).unwrap();
        transaction.pragma_update(None, "user_version", 1).unwrap();
        let old = "INSERT INTO space VALUES (1, 'list', 7, 1);
            INSERT INTO space_client VALUES (1, 'client-a', 'ada', 5, '[]', 9);";
        transaction.execute_batch(old).unwrap();
        transaction.commit().unwrap();
        migrate(&mut connection).unwrap();
        let select = "SELECT last, refused, outputs, seen FROM space_client";
        let row: (i64, String, String, i64) = connection
            .query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .unwrap();
        assert_eq!(row, (5, "[]".into(), "[]".into(), 9));
    }

    #[test]
    fn a_file_of_the_future_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(migrate(&mut connection), Err(Problem::Newer { found: 99, .. })));
    }
}
