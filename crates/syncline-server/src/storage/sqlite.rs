//! Spaces kept in one SQLite file.

mod image;
mod jobs;
mod schema;
mod worker;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Savepoint, Transaction, TransactionBehavior, params};
use syncline_core::space::{Commit, SpaceImage};
use syncline_core::{Error, Key, SpaceId, code};

use crate::storage::sqlite::image::Stored;
use crate::storage::sqlite::worker::Worker;
use crate::storage::{JobTurn, Storage, StoredJob, conflict, failed};

/// How long a second process on the same file may hold us up before a commit fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Spaces kept in one SQLite file, compiled in: nothing to install, nothing to run.
///
/// A commit is acknowledged when it is on disk (`synchronous = FULL`); what comes while the disk is busy shares the
/// next flush. A copy made while the server runs must take the files `-wal` and `-shm` along, or be made by
/// `VACUUM INTO`.
pub struct Sqlite {
    // apart, so that loading a large space holds up nobody's commit
    writer: Worker,
    reader: Worker,
}

impl Sqlite {
    /// Opens the file, makes it when there is none, and brings its tables up to date.
    ///
    /// # Errors
    /// `storage`, with the reason: the file cannot be opened, is not a database, or was written by a newer version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::with(path.as_ref(), |_| Ok(()))
    }

    /// As [`open`](Self::open), for a file that was put back from an older copy: every space begins a new history, so
    /// that all clients load it anew.
    ///
    /// Clients may have seen versions that the copy lacks. The server notices that when the first of them comes back,
    /// but only as long as the space has not been written past what that client saw; this leaves nothing to chance. To
    /// be called once, at the first start after the copy was put back; what it did stays.
    ///
    /// # Errors
    /// As [`open`](Self::open); and when the system has no random numbers.
    pub fn restored(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::with(path.as_ref(), renew_all)
    }

    fn with(path: &Path, first: fn(&mut Connection) -> Result<(), Problem>) -> Result<Self, Error> {
        let refuse = |error: Problem| {
            let message = format!("{} cannot be used as a database: {error}", path.display());
            Error::new(code::STORAGE, message)
        };
        // SQLite gives each connection a database of its own under these names
        if path.as_os_str().is_empty() || path.as_os_str() == ":memory:" {
            let message = "Sqlite keeps spaces in a file; for spaces in memory there is Memory";
            return Err(Error::new(code::STORAGE, message));
        }
        let mut writer = open_writer(path).map_err(refuse)?;
        first(&mut writer).map_err(refuse)?;
        let reader = open_reader(path).map_err(refuse)?;
        Ok(Self { writer: Worker::start("writer", writer)?, reader: Worker::start("reader", reader)? })
    }
}

impl Storage for Sqlite {
    async fn load(&self, space: &SpaceId) -> Result<SpaceImage, Error> {
        let space = space.clone();
        let loaded = self.reader.run(move |connection| {
            image::load(connection, &space)
                .inspect_err(|error| tracing::error!(%space, %error, "cannot load a space"))
        });
        loaded.await.and_then(Result::ok).ok_or_else(failed)
    }

    async fn commit(&self, commits: Vec<Commit>) -> Vec<Result<(), Error>> {
        let count = commits.len();
        let stored = self.writer.run(move |connection| store_all(connection, &commits));
        stored.await.unwrap_or_else(|| (0..count).map(|_| Err(failed())).collect())
    }

    async fn jobs(&self, names: &[Box<str>], most: usize) -> Result<Vec<StoredJob>, Error> {
        let names = names.to_vec();
        let waiting = self.reader.run(move |connection| {
            jobs::waiting(connection, &names, most)
                .inspect_err(|error| tracing::error!(%error, "cannot look for jobs"))
        });
        waiting.await.and_then(Result::ok).ok_or_else(failed)
    }

    async fn job_names(&self) -> Result<Vec<Box<str>>, Error> {
        let names = self.reader.run(move |connection| {
            jobs::names(connection).inspect_err(|error| tracing::error!(%error, "cannot look for jobs"))
        });
        names.await.and_then(Result::ok).ok_or_else(failed)
    }

    async fn turn_jobs(&self, turns: Vec<JobTurn>) -> Result<(), Error> {
        let noted = self.writer.run(move |connection| {
            jobs::turn(connection, &turns)
                .inspect_err(|error| tracing::error!(%error, "cannot note what has become of jobs"))
        });
        noted.await.and_then(Result::ok).ok_or_else(failed)
    }

    async fn close(&self) {
        // the last connection to close brings the write-ahead log home into the file
        futures::join!(self.reader.close(), self.writer.close());
    }
}

/// What can go wrong in here.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("what is stored cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a row is not text: {0}")]
    Text(#[from] std::str::Utf8Error),
    #[error("it was written by a newer version of Syncline (tables {found}, known up to {known})")]
    Newer { found: u32, known: u32 },
    #[error("its journal mode is {0} and cannot be changed to WAL")]
    NotWal(String),
    #[error("the system has no random numbers")]
    NoRandomNumbers,
    #[error("the commit does not follow the stored version")]
    Conflict,
}

impl Problem {
    /// Another process holds the file: whatever is tried next waits as long.
    fn is_busy(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy))
    }
}

fn open_writer(path: &Path) -> Result<Connection, Problem> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Problem::NotWal(mode));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    // on macOS a plain fsync leaves the data in the drive's own cache
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    schema::migrate(&mut connection)?;
    Ok(connection)
}

/// Gives the history of every space another id.
fn renew_all(connection: &mut Connection) -> Result<(), Problem> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let numbers = transaction
        .prepare("SELECT number FROM space")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    for number in numbers {
        let fresh = getrandom::u64().map_err(|_| Problem::NoRandomNumbers)?;
        transaction
            .prepare_cached("UPDATE space SET incarnation = ?2 WHERE number = ?1")?
            .execute(params![number, fresh.cast_signed()])?;
    }
    Ok(transaction.commit()?)
}

fn open_reader(path: &Path) -> Result<Connection, Problem> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Stores commits together, each as if it were the only one: one that is refused takes no other with it.
fn store_all(connection: &mut Connection, commits: &[Commit]) -> Vec<Result<(), Error>> {
    match store_together(connection, commits) {
        Ok(results) => results,
        // a disk that is full for one of them may not be for the others
        Err(problem) if commits.len() > 1 && !problem.is_busy() => store_singly(connection, commits),
        Err(problem) => none_stored(commits, &problem).collect(),
    }
}

/// Stores each commit in a transaction of its own, until another process holds the file.
fn store_singly(connection: &mut Connection, commits: &[Commit]) -> Vec<Result<(), Error>> {
    let mut results = Vec::with_capacity(commits.len());
    for (at, commit) in commits.iter().enumerate() {
        match store_together(connection, std::slice::from_ref(commit)) {
            Ok(result) => results.extend(result),
            Err(problem) if problem.is_busy() => {
                results.extend(none_stored(&commits[at..], &problem));
                break;
            }
            Err(problem) => results.extend(none_stored(std::slice::from_ref(commit), &problem)),
        }
    }
    results
}

fn none_stored<'a>(
    commits: &'a [Commit],
    problem: &Problem,
) -> impl Iterator<Item = Result<(), Error>> + use<'a> {
    tracing::error!(%problem, "cannot commit");
    commits.iter().map(|_| Err(failed()))
}

/// All commits in one transaction, one flush.
///
/// # Errors
/// None of them is stored.
fn store_together(
    connection: &mut Connection,
    commits: &[Commit],
) -> Result<Vec<Result<(), Error>>, Problem> {
    // immediate: nobody else writes between the check of the version and the commit
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut results = Vec::with_capacity(commits.len());
    for commit in commits {
        results.push(match store(&mut transaction, commit) {
            Ok(()) => Ok(()),
            // without room SQLite may have taken back all of it, and would store what follows by itself
            Err(problem) if transaction.is_autocommit() => return Err(problem),
            Err(problem) => Err(refusal(commit, &problem)),
        });
    }
    transaction.commit()?;
    Ok(results)
}

fn store(transaction: &mut Transaction<'_>, commit: &Commit) -> Result<(), Problem> {
    // dropped without commit, a savepoint takes back what was done since
    let savepoint = transaction.savepoint()?;
    let space = advance(&savepoint, commit)?;
    store_rows(&savepoint, space, commit)?;
    store_log(&savepoint, space, commit)?;
    store_clients(&savepoint, space, commit)?;
    jobs::store(&savepoint, space, commit)?;
    Ok(savepoint.commit()?)
}

fn refusal(commit: &Commit, problem: &Problem) -> Error {
    tracing::error!(space = %commit.space, from = commit.from, to = commit.to, %problem, "cannot store a commit");
    if matches!(problem, Problem::Conflict) { conflict() } else { failed() }
}

/// Moves the space from the version that the commit was made for to the one it leads to. Gives the space's number.
fn advance(savepoint: &Savepoint<'_>, commit: &Commit) -> Result<i64, Problem> {
    let follows = commit.renews.unwrap_or(commit.incarnation);
    match Stored::find(savepoint, &commit.space)? {
        Some(stored) if stored.version == commit.from && stored.incarnation == follows => {
            savepoint
                .prepare_cached("UPDATE space SET version = ?2, incarnation = ?3 WHERE number = ?1")?
                .execute(params![
                    stored.number,
                    commit.to.cast_signed(),
                    commit.incarnation.0.cast_signed()
                ])?;
            Ok(stored.number)
        }
        None if commit.from == 0 => {
            savepoint
                .prepare_cached("INSERT INTO space (id, incarnation, version) VALUES (?1, ?2, ?3)")?
                .execute(params![
                    commit.space.as_str(),
                    commit.incarnation.0.cast_signed(),
                    commit.to.cast_signed()
                ])?;
            Ok(savepoint.last_insert_rowid())
        }
        _ => Err(Problem::Conflict),
    }
}

fn store_rows(savepoint: &Savepoint<'_>, space: i64, commit: &Commit) -> Result<(), Problem> {
    let mut put = savepoint.prepare_cached(
        "INSERT INTO space_row (space, collection, key, version, json) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET version = excluded.version, json = excluded.json",
    )?;
    let mut delete = savepoint
        .prepare_cached("DELETE FROM space_row WHERE space = ?1 AND collection = ?2 AND key = ?3")?;
    for row in &commit.rows {
        let key = Key::as_str(&row.key);
        match &row.json {
            Some(json) => {
                let json = std::str::from_utf8(json)?;
                put.execute(params![space, row.collection, key, row.version.cast_signed(), json])?
            }
            None => delete.execute(params![space, row.collection, key])?,
        };
    }
    Ok(())
}

fn store_log(savepoint: &Savepoint<'_>, space: i64, commit: &Commit) -> Result<(), Problem> {
    let mut append = savepoint.prepare_cached(
        "INSERT INTO space_log (space, version, client, write, user, at, kind, touched)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for entry in &commit.log {
        append.execute(params![
            space,
            entry.version.cast_signed(),
            entry.client.as_str(),
            entry.write.cast_signed(),
            entry.user.as_str(),
            entry.at.cast_signed(),
            entry.kind,
            serde_json::to_string(&entry.touched)?,
        ])?;
    }
    savepoint
        .prepare_cached("DELETE FROM space_log WHERE space = ?1 AND version <= ?2")?
        .execute(params![space, commit.log_floor.cast_signed()])?;
    Ok(())
}

fn store_clients(savepoint: &Savepoint<'_>, space: i64, commit: &Commit) -> Result<(), Problem> {
    let mut forget = savepoint.prepare_cached("DELETE FROM space_client WHERE space = ?1 AND client = ?2")?;
    for client in &commit.forgotten {
        forget.execute(params![space, client.as_str()])?;
    }
    let mut put = savepoint.prepare_cached(
        "INSERT INTO space_client (space, client, user, last, refused, seen, outputs)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO UPDATE
         SET user = excluded.user, last = excluded.last, refused = excluded.refused, seen = excluded.seen,
             outputs = excluded.outputs",
    )?;
    for record in &commit.clients {
        put.execute(params![
            space,
            record.client.as_str(),
            record.user.as_str(),
            record.last.cast_signed(),
            serde_json::to_string(&record.refused)?,
            record.seen.cast_signed(),
            serde_json::to_string(&record.outputs)?,
        ])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use syncline_core::Incarnation;
    use syncline_core::space::RowChange;
    use tempfile::TempDir;

    use super::*;

    /// The first commit of a space, with a row of so many bytes.
    fn commit(space: &str, bytes: usize) -> Commit {
        let json: Arc<[u8]> = format!("{:?}", "x".repeat(bytes)).into_bytes().into();
        let row =
            RowChange { collection: "notes", key: "a".into(), version: 1, json: Some(json), before: None };
        Commit {
            id: 1,
            space: space.into(),
            incarnation: Incarnation(7),
            renews: None,
            from: 0,
            to: 1,
            rows: vec![row],
            log: Vec::new(),
            clients: Vec::new(),
            forgotten: Vec::new(),
            jobs: Vec::new(),
            log_floor: 0,
        }
    }

    #[test]
    fn a_commit_for_which_there_is_no_room_takes_no_other_with_it() {
        let directory = TempDir::new().unwrap();
        let mut connection = open_writer(&directory.path().join("spaces.db")).unwrap();
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        connection.pragma_update(None, "max_page_count", pages + 20).unwrap();
        let sizes = [("small", 10), ("large", 300_000), ("another", 10), ("last", 10)];
        let commits = sizes.map(|(space, bytes)| commit(space, bytes));
        let results = store_all(&mut connection, &commits);
        for ((space, bytes), result) in sizes.into_iter().zip(results) {
            let version = image::load(&mut connection, &space.into()).unwrap().version;
            assert_eq!((result.is_ok(), version == 1), (bytes == 10, bytes == 10), "{space}");
        }
    }

    thread_local! {
        static WAITS: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn a_file_that_another_process_holds_is_waited_for_once() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("spaces.db");
        let (mut connection, mut other) = (open_writer(&path).unwrap(), open_writer(&path).unwrap());
        connection
            .busy_handler(Some(|_| {
                WAITS.set(WAITS.get() + 1);
                false
            }))
            .unwrap();
        let commits: Vec<_> = (0..10).map(|space| commit(&format!("space-{space}"), 10)).collect();
        let held = other.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        assert!(store_singly(&mut connection, &commits).iter().all(Result::is_err));
        drop(held);
        assert_eq!(WAITS.get(), 1);
        assert!(store_singly(&mut connection, &commits).iter().all(Result::is_ok));
    }
}
