//! Storage that lasts as long as somebody holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::{pending, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Claim, Database, Step, Storage, Table};
use crate::{BoxFuture, Error, code};

/// Keeps things in memory. A clone is the same storage: give one to each client of a test that reloads a page.
///
/// ```
/// use syncline::{Client, storage::MemoryStorage};
///
/// let storage = MemoryStorage::new();
/// let first = Client::builder("/sync").storage(storage.clone()).build();
/// drop(first);
/// let second = Client::builder("/sync").storage(storage).build(); // begins with what the first one knew
/// ```
#[derive(Clone, Default)]
pub struct MemoryStorage {
    tables: Arc<Mutex<Tables>>,
    claims: Arc<Mutex<BTreeSet<String>>>,
    max_bytes: Option<usize>,
}

type Tables = BTreeMap<(Table, String), Vec<u8>>;

impl MemoryStorage {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Holds so many bytes of keys and values together, and no more: a disk that fills up, for tests.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// How many values there are, in all tables.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for MemoryStorage {
    fn open(&self) -> BoxFuture<Result<Box<dyn Database>, Error>> {
        Box::pin(ready(Ok(Box::new(self.clone()) as Box<dyn Database>)))
    }

    fn claim(&self, name: String) -> BoxFuture<Option<Claim>> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let claim = claims.insert(name.clone()).then(|| {
            let claims = Arc::clone(&self.claims);
            Claim::new(Claimed { name, claims })
        });
        Box::pin(ready(claim))
    }
}

/// Lets a claim go.
struct Claimed {
    name: String,
    claims: Arc<Mutex<BTreeSet<String>>>,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

impl Database for MemoryStorage {
    fn get(&self, table: Table, key: String) -> BoxFuture<Result<Option<Vec<u8>>, Error>> {
        Box::pin(ready(Ok(self.lock().get(&(table, key)).cloned())))
    }

    fn scan(&self, table: Table, prefix: String) -> BoxFuture<Result<Vec<(String, Vec<u8>)>, Error>> {
        let tables = self.lock();
        let from = tables.range((table, prefix.clone())..);
        let within = from.take_while(|((of, key), _)| *of == table && key.starts_with(&prefix));
        let found = within.map(|((_, key), value)| (key.clone(), value.clone())).collect();
        Box::pin(ready(Ok(found)))
    }

    fn commit(&self, steps: Vec<Step>) -> BoxFuture<Result<(), Error>> {
        let mut tables = self.lock();
        let mut after: BTreeMap<_, Option<Vec<u8>>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put { table, key, value } => after.insert((table, key), Some(value)),
                Step::Delete { table, key } => after.insert((table, key), None),
            };
        }
        if self.max_bytes.is_some_and(|most| size_after(&tables, &after) > most) {
            return Box::pin(ready(Err(Error::new(code::STORAGE_FULL, "there is no room in storage"))));
        }
        for (place, value) in after {
            match value {
                Some(value) => drop(tables.insert(place, value)),
                None => drop(tables.remove(&place)),
            }
        }
        Box::pin(ready(Ok(())))
    }

    fn lost(&self) -> BoxFuture<Error> {
        Box::pin(pending())
    }
}

/// What keys and values come to once these are others, in bytes.
fn size_after(tables: &Tables, after: &BTreeMap<(Table, String), Option<Vec<u8>>>) -> usize {
    let kept = tables.iter().filter(|(place, _)| !after.contains_key(place));
    let put = after.iter().filter_map(|(place, value)| Some((place, value.as_ref()?)));
    kept.chain(put).map(|((_, key), value)| key.len() + value.len()).sum()
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage").field("len", &self.len()).finish_non_exhaustive()
    }
}
