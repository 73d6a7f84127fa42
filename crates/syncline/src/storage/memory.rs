//! Storage that lasts as long as somebody holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::{pending, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Claim, Database, Step, Storage, Table};
use crate::{BoxFuture, Error};

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
}

type Tables = BTreeMap<(Table, String), Vec<u8>>;

impl MemoryStorage {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::default()
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
        for step in steps {
            match step {
                Step::Put { table, key, value } => drop(tables.insert((table, key), value)),
                Step::Delete { table, key } => drop(tables.remove(&(table, key))),
            }
        }
        Box::pin(ready(Ok(())))
    }

    fn lost(&self) -> BoxFuture<Error> {
        Box::pin(pending())
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage").field("len", &self.len()).finish_non_exhaustive()
    }
}
