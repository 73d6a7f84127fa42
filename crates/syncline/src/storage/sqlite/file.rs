//! The file: opened, made where there is none, recognised again.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::super::Table;
use crate::{Error, code};

/// How long others who write may hold one up. Less than a client waits for an answer.
const BUSY: Duration = Duration::from_secs(2);
/// The wait between attempts at what SQLite does not wait for by itself.
const AGAIN: Duration = Duration::from_millis(5);
/// What the write-ahead log is cut to once it has been brought home.
const LOG_BYTES: u32 = 4 << 20;
/// The form of the file. Another table is none: who does not know of it lets it be.
const VERSION: u32 = 1;
/// Tells a file of this library from others: "Sync".
const APPLICATION: u32 = 0x5379_6e63;

/// Where a file is, and what it may become.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) max_bytes: Option<u64>,
}

/// Tells one file from another at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Which {
    #[cfg(unix)]
    id: (u64, u64),
}

/// What can go wrong in here.
#[derive(Debug)]
pub(super) enum Problem {
    Sqlite(rusqlite::Error),
    Io(io::Error),
    Other(&'static str),
    NotWal(String),
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Problem {
    /// What it means for a file that was to be opened.
    pub(super) fn into_opening(self) -> Error {
        match self.kind() {
            Some(ErrorCode::DiskFull) => full(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Error::new(code::STORAGE_BLOCKED, "another program keeps storage from being opened")
            }
            _ => {
                Error::new(code::STORAGE_UNAVAILABLE, format!("storage cannot be opened: {}", self.reason()))
            }
        }
    }

    /// What it means for a file that was open.
    pub(super) fn into_failure(self) -> Error {
        match self.kind() {
            Some(ErrorCode::DiskFull) => full(),
            _ => Error::new(code::STORAGE_LOST, format!("storage failed: {}", self.reason())),
        }
    }

    fn kind(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            Self::Io(_) | Self::Other(_) | Self::NotWal(_) => None,
        }
    }

    fn is_busy(&self) -> bool {
        matches!(self.kind(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    fn reason(&self) -> String {
        match self {
            Self::Sqlite(error) => error.to_string(),
            Self::Io(error) => error.to_string(),
            Self::Other(reason) => (*reason).to_owned(),
            Self::NotWal(mode) => format!("its journal mode is {mode} and cannot be changed to WAL"),
        }
    }
}

fn full() -> Error {
    Error::new(code::STORAGE_FULL, "there is no room in storage")
}

impl Place {
    /// Opens the file, and makes it and its tables where they are missing.
    pub(super) fn open(&self) -> Result<(Connection, Which), Problem> {
        // SQLite gives each connection a database of its own under these names
        if self.path.as_os_str().is_empty() || self.path.as_os_str() == ":memory:" {
            return Err(Problem::Other("it has to be a file; in memory there is MemoryStorage"));
        }
        let until = Instant::now() + BUSY;
        loop {
            // two who make one file at once are told at once that it is busy, and not made to wait
            match self.try_open() {
                Err(problem) if problem.is_busy() && Instant::now() < until => thread::sleep(AGAIN),
                opened => return opened,
            }
        }
    }

    fn try_open(&self) -> Result<(Connection, Which), Problem> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY)?;
        // where it may not be written SQLite opens it to be read
        if connection.is_readonly("main")? {
            return Err(Problem::Other("it may not be written"));
        }
        // looked at before anything of another program's is changed
        recognise(&connection)?;
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(Problem::NotWal(mode));
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        // on macOS a plain fsync leaves the data in the drive's own cache
        connection.pragma_update(None, "fullfsync", true)?;
        // one large transaction does not leave a large log for good
        connection
            .query_row(&format!("PRAGMA journal_size_limit = {LOG_BYTES}"), [], |row| row.get::<_, i64>(0))?;
        if let Some(bytes) = self.max_bytes {
            let page: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
            // what is larger than any file is no limit
            let pages =
                i64::from(u32::try_from(bytes / u64::from(page.max(1))).unwrap_or(u32::MAX - 2).max(1));
            connection
                .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0))?;
        }
        make_tables(&mut connection)?;
        let which = self.which()?;
        Ok((connection, which))
    }

    /// Which file is there now.
    pub(super) fn which(&self) -> io::Result<Which> {
        let there = fs::metadata(&self.path)?;
        #[cfg(unix)]
        let which = {
            use std::os::unix::fs::MetadataExt as _;
            Which { id: (there.dev(), there.ino()) }
        };
        // elsewhere a file that is open is not deleted
        #[cfg(not(unix))]
        let which = {
            let _ = there;
            Which {}
        };
        Ok(which)
    }
}

/// Refuses what is not this library's, and what is of a later version.
fn recognise(connection: &Connection) -> Result<(), Problem> {
    // all of one state: another program of ours may be making its tables just now
    let state = connection.unchecked_transaction()?;
    let application: u32 = state.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version: u32 = state.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = state.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    state.commit()?;
    match (application, version) {
        (APPLICATION, ..=VERSION) => Ok(()),
        (APPLICATION, _) => Err(Problem::Other("a newer version of Syncline has made it")),
        (0, 0) if tables == 0 => Ok(()),
        _ => Err(Problem::Other("it is another program's database")),
    }
}

fn make_tables(connection: &mut Connection) -> Result<(), Problem> {
    let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let mut all_there = version == VERSION;
    for table in Table::ALL.map(Table::as_str) {
        all_there &= connection.table_exists(None, table)?;
    }
    if all_there {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for table in Table::ALL.map(Table::as_str) {
        // bytes and not texts: compared as they are, whatever is in them
        transaction.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {table} (key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL) STRICT"
        ))?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}
