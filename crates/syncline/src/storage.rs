//! Where a client keeps things between visits.
//!
//! A [`Storage`] is a place, a [`Database`] is one opened: tables of bytes under text keys, with transactions. In a browser
//! the client brings `IndexedDb`; a native program may keep a file, [`SqliteStorage`]. [`MemoryStorage`] is for tests, for native
//! programs that want their lists back as long as they run, and what a client falls back to where its storage fails.

mod fallback;
#[cfg(target_arch = "wasm32")]
mod indexed_db;
mod keeper;
mod lists;
#[cfg(target_arch = "wasm32")]
mod locks;
mod memory;
#[cfg(all(not(target_arch = "wasm32"), feature = "sqlite"))]
mod sqlite;
mod writes;

use std::time::Duration;

#[cfg(target_arch = "wasm32")]
pub use indexed_db::IndexedDb;
pub(crate) use keeper::{Command, Keeper};
pub use memory::MemoryStorage;
#[cfg(all(not(target_arch = "wasm32"), feature = "sqlite"))]
pub use sqlite::SqliteStorage;

use crate::{BoxFuture, Error, MaybeSend};

/// A place where things are kept.
///
/// Any number of clients may open it, in any number of tabs or programs, one after the other or at once.
pub trait Storage: Send + Sync + 'static {
    /// Opens it, and makes its tables where they are missing. Whoever calls this waits a few seconds at most; dropping the
    /// future gives it up and leaves nothing open.
    ///
    /// # Errors
    /// `storage_unavailable` when it cannot be opened here, `storage_blocked` when somebody else stands in the way.
    fn open(&self) -> BoxFuture<Result<Box<dyn Database>, Error>>;

    /// Takes a claim of this name, if nobody else has it who uses the same storage: another client, tab or program. It is
    /// let go when it is dropped, or its owner is gone, however that came.
    ///
    /// Storage that cannot tell lets everybody have what they ask for: it decides who brings the writes of a page that is
    /// gone to the server, which takes each of them once. Whoever calls this waits a few seconds at most: then, until it is
    /// answered after all, they leave what is others' alone, and keep what is their own without a claim. Dropping the future
    /// gives it up.
    fn claim(&self, name: String) -> BoxFuture<Option<Claim>> {
        let _ = name;
        Box::pin(std::future::ready(Some(Claim::new(()))))
    }
}

/// A claim on something in a [`Storage`], until it is dropped.
pub struct Claim {
    _held: Box<dyn MaybeSend>,
}

impl Claim {
    /// A claim that is let go by dropping `held`.
    pub fn new(held: impl MaybeSend + 'static) -> Self {
        Self { _held: Box::new(held) }
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").finish_non_exhaustive()
    }
}

/// An open [`Storage`]. Dropping it closes it; what has been committed stays.
///
/// Errors are `storage_full` when there is no room, and `storage_lost` for everything else.
pub trait Database: MaybeSend + 'static {
    /// What stands at a key.
    fn get(&self, table: Table, key: String) -> BoxFuture<Result<Option<Vec<u8>>, Error>>;

    /// Everything whose key begins with `prefix`, in the order of its keys as far as they are ASCII.
    fn scan(&self, table: Table, prefix: String) -> BoxFuture<Result<Vec<(String, Vec<u8>)>, Error>>;

    /// Takes these steps, in their order: all of them or none. They have been taken when it is ready.
    fn commit(&self, steps: Vec<Step>) -> BoxFuture<Result<(), Error>>;

    /// Ready when it has gone by itself, with the reason: somebody has deleted it, or wants to open it in a newer form. It
    /// is closed then.
    fn lost(&self) -> BoxFuture<Error>;
}

/// A table of a [`Database`]. Another one is a new table, and not an index of these: those that there are stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Table {
    /// The rows of queries.
    Lists,
    /// When each of those was used last.
    Uses,
    /// Who was here last.
    People,
    /// Writes that wait for a verdict.
    Writes,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Lists, Self::Uses, Self::People, Self::Writes];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lists => "lists",
            Self::Uses => "uses",
            Self::People => "people",
            Self::Writes => "writes",
        }
    }
}

/// A step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Puts a value at a key.
    Put {
        /// Into this table.
        table: Table,
        /// At this key.
        key: String,
        /// In the place of what stands there.
        value: Vec<u8>,
    },
    /// Removes what stands at a key, if anything does.
    Delete {
        /// From this table.
        table: Table,
        /// At this key.
        key: String,
    },
}

impl Step {
    /// The table it concerns.
    pub fn table(&self) -> Table {
        match self {
            Self::Put { table, .. } | Self::Delete { table, .. } => *table,
        }
    }
}

/// How much a client keeps between visits, and how long. It is a cache: what is over a bound is loaded from the server.
///
/// ```
/// use syncline::{CacheLimits, Client};
///
/// let client = Client::builder("/sync").cache(CacheLimits { rows: 1_000, ..CacheLimits::default() }).build();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// The rows of one query: the first ones of its order.
    pub rows: usize,
    /// The bytes of one query.
    pub bytes: usize,
    /// The queries, of all people together; those go first that were used longest ago.
    pub queries: usize,
    /// How long a query may go unused.
    pub age: Duration,
}

impl Default for CacheLimits {
    /// 200 rows and 1 MiB a query, 100 queries, 30 days.
    fn default() -> Self {
        Self { rows: 200, bytes: 1 << 20, queries: 100, age: Duration::from_secs(30 * 24 * 60 * 60) }
    }
}
