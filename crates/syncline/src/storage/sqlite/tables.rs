//! What is read and written.

use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use super::super::{Step, Table};
use super::file::Problem;

pub(super) fn get(connection: &Connection, table: Table, key: &str) -> Result<Option<Vec<u8>>, Problem> {
    let sql = format!("SELECT value FROM {} WHERE key = ?1", table.as_str());
    Ok(connection.prepare_cached(&sql)?.query_row([key.as_bytes()], |row| row.get(0)).optional()?)
}

pub(super) fn scan(
    connection: &Connection,
    table: Table,
    prefix: &str,
) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let (table, from) = (table.as_str(), prefix.as_bytes());
    let found = match end(prefix) {
        Some(end) => {
            let sql = format!("SELECT key, value FROM {table} WHERE key >= ?1 AND key < ?2 ORDER BY key");
            connection.prepare_cached(&sql)?.query_map(params![from, end], entry)?.collect::<Result<_, _>>()
        }
        None => {
            let sql = format!("SELECT key, value FROM {table} ORDER BY key");
            connection.prepare_cached(&sql)?.query_map([], entry)?.collect::<Result<_, _>>()
        }
    };
    Ok(found?)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<(String, Vec<u8>)> {
    let key: Vec<u8> = row.get(0)?;
    // every key was a text
    Ok((String::from_utf8_lossy(&key).into_owned(), row.get(1)?))
}

/// What stands behind all that begins like this; `None` when everything does.
fn end(prefix: &str) -> Option<Vec<u8>> {
    let mut end = prefix.as_bytes().to_vec();
    // no byte of a text is 0xff: it can always be counted up
    *end.last_mut()? += 1;
    Some(end)
}

pub(super) fn commit(connection: &mut Connection, steps: &[Step]) -> Result<(), Problem> {
    // undone when it is dropped
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in steps {
        let table = step.table().as_str();
        match step {
            Step::Put { key, value, .. } => {
                let sql = format!(
                    "INSERT INTO {table} (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
                );
                transaction.prepare_cached(&sql)?.execute(params![key.as_bytes(), value])?;
            }
            Step::Delete { key, .. } => {
                let sql = format!("DELETE FROM {table} WHERE key = ?1");
                transaction.prepare_cached(&sql)?.execute([key.as_bytes()])?;
            }
        }
    }
    Ok(transaction.commit()?)
}
