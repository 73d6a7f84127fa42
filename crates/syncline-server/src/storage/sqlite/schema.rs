//! The tables, and how older files become what they are today. `user_version` says which step a file has reached.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::storage::sqlite::Problem;

/// The steps, oldest first. A step that has been released is never changed; a new one is added.
const STEPS: [fn(&Transaction<'_>) -> rusqlite::Result<()>; 1] = [v1::up];

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
    fn a_file_of_the_future_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(migrate(&mut connection), Err(Problem::Newer { found: 99, .. })));
    }
}
