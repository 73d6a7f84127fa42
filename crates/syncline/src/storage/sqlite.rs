//! Storage in a file.

mod claims;
mod file;
mod tables;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::channel::oneshot;
use futures::future::pending;

use super::{Claim, Database, Step, Storage, Table};
use crate::{BoxFuture, Error, code};

use file::Place;
use worker::Worker;

/// A file of SQLite: where a native program keeps its rows, when it is told to. Any number of programs may use it at once.
///
/// What is committed is on the disk when it is said to be (`synchronous = FULL`, with a write-ahead log in files beside it).
/// Who of several programs looks after what is in it is said by locks on files in a folder beside it, `…-claims`.
///
/// SQLite is compiled in. Opening, reading and writing block a thread of their own, and none of the runtime's.
///
/// The file belongs to Syncline: one that holds another program's tables is not touched, and not used. Nor is one that a
/// later version has made.
///
/// ```no_run
/// use syncline::{Client, storage::SqliteStorage};
///
/// let storage = SqliteStorage::new("/var/lib/app/syncline.db").max_bytes(256 << 20);
/// let client = Client::builder("https://api.example.org/sync").storage(storage).build();
/// ```
#[derive(Clone, Debug)]
pub struct SqliteStorage {
    path: PathBuf,
    max_bytes: Option<u64>,
}

impl SqliteStorage {
    /// The file at this path. It is made when it is first opened; the folder has to be there.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), max_bytes: None }
    }

    /// Lets the file grow to this size and no further; the client then lets go what was used longest ago. Unless told, the
    /// disk is the limit. It counts in pages of 4 KiB, and an empty file has some; the log beside it comes on top.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }
}

impl Storage for SqliteStorage {
    fn open(&self) -> BoxFuture<Result<Box<dyn Database>, Error>> {
        let place = Place { path: self.path.clone(), max_bytes: self.max_bytes };
        Box::pin(async move {
            let (worker, lost) = Worker::start(place).await?;
            let lost = Mutex::new(Some(lost));
            Ok(Box::new(Open { worker: Arc::new(worker), lost }) as Box<dyn Database>)
        })
    }

    fn claim(&self, name: String) -> BoxFuture<Option<Claim>> {
        Box::pin(claims::claim(self.path.clone(), name))
    }
}

/// An open file.
struct Open {
    // shared with what is asked of it, so that it is done even when the asker has closed it meanwhile
    worker: Arc<Worker>,
    lost: Mutex<Option<oneshot::Receiver<Error>>>,
}

impl Database for Open {
    fn get(&self, table: Table, key: String) -> BoxFuture<Result<Option<Vec<u8>>, Error>> {
        let worker = Arc::clone(&self.worker);
        Box::pin(async move { worker.run(move |connection| tables::get(connection, table, &key)).await })
    }

    fn scan(&self, table: Table, prefix: String) -> BoxFuture<Result<Vec<(String, Vec<u8>)>, Error>> {
        let worker = Arc::clone(&self.worker);
        Box::pin(async move { worker.run(move |connection| tables::scan(connection, table, &prefix)).await })
    }

    fn commit(&self, steps: Vec<Step>) -> BoxFuture<Result<(), Error>> {
        let worker = Arc::clone(&self.worker);
        Box::pin(async move {
            if steps.is_empty() {
                return Ok(());
            }
            worker.run(move |connection| tables::commit(connection, &steps)).await
        })
    }

    fn lost(&self) -> BoxFuture<Error> {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move {
            match lost {
                Some(lost) => lost.await.unwrap_or_else(|_| closed()),
                None => pending().await,
            }
        })
    }
}

fn closed() -> Error {
    Error::new(code::STORAGE_LOST, "storage is closed")
}
