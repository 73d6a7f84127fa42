//! The table of jobs.

use rusqlite::{Connection, Savepoint, TransactionBehavior, params};
use serde_json::value::RawValue;
use syncline_core::space::Commit;

use crate::storage::sqlite::Problem;
use crate::storage::sqlite::image::unsigned;
use crate::storage::{JobFate, JobTurn, StoredJob};

/// Stores what a commit leaves to be done.
pub(super) fn store(savepoint: &Savepoint<'_>, space: i64, commit: &Commit) -> Result<(), Problem> {
    if commit.jobs.is_empty() {
        return Ok(());
    }
    let mut insert = savepoint.prepare_cached(
        "INSERT INTO job (id, space, name, payload, user, at, due, tries) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 0)",
    )?;
    for job in &commit.jobs {
        insert.execute(params![
            job.id.to_string(),
            space,
            job.name,
            job.payload.get(),
            job.user.as_str(),
            job.at.cast_signed(),
        ])?;
    }
    Ok(())
}

/// The jobs that wait for these handlers: of each so many, those that are due first.
pub(super) fn waiting(
    connection: &mut Connection,
    names: &[Box<str>],
    most: usize,
) -> Result<Vec<StoredJob>, Problem> {
    let mut select = connection.prepare_cached(
        "SELECT job.id, space.id, job.payload, job.user, job.at, job.tries, job.due
         FROM job JOIN space ON space.number = job.space
         WHERE job.name = ?1 AND job.failed IS NULL ORDER BY job.due, job.number LIMIT ?2",
    )?;
    let mut jobs = Vec::new();
    for name in names {
        let mut rows = select.query(params![name, i64::try_from(most).unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            jobs.push(StoredJob {
                id: row.get(0)?,
                space: row.get::<_, String>(1)?.into(),
                name: name.clone(),
                payload: RawValue::from_string(row.get(2)?)?,
                user: row.get::<_, String>(3)?.into(),
                at: unsigned(row, 4)?,
                tries: row.get(5)?,
                due: unsigned(row, 6)?,
            });
        }
    }
    Ok(jobs)
}

/// The names of all jobs that wait.
pub(super) fn names(connection: &mut Connection) -> Result<Vec<Box<str>>, Problem> {
    let mut select =
        connection.prepare_cached("SELECT DISTINCT name FROM job WHERE failed IS NULL ORDER BY name")?;
    let names = select.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// Notes what has become of jobs, of all of them or of none.
pub(super) fn turn(connection: &mut Connection, turns: &[JobTurn]) -> Result<(), Problem> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for JobTurn { id, fate } in turns {
        match fate {
            JobFate::Done => transaction.prepare_cached("DELETE FROM job WHERE id = ?1")?.execute([id])?,
            JobFate::Again { tries, due } => transaction
                .prepare_cached("UPDATE job SET tries = ?2, due = ?3 WHERE id = ?1")?
                .execute(params![id, tries, due.cast_signed()])?,
            JobFate::Failed { tries, why } => transaction
                .prepare_cached("UPDATE job SET tries = ?2, failed = ?3 WHERE id = ?1")?
                .execute(params![id, tries, why])?,
        };
    }
    Ok(transaction.commit()?)
}
