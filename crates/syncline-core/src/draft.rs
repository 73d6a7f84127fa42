//! The rows of one collection while a reducer or a handler changes them.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::{Error, code};
use crate::record::{Record, downcast};
use crate::schema::Schema;
use crate::tx::{Changes, ReadRows};

/// The rows of one collection, being changed: reads see what was written before, and only the rows touched are recorded,
/// so that a change costs what it touches and not what the collection holds.
///
/// What cannot be done (a key over 256 bytes, another key for a row) is remembered and refuses all of it; whoever calls
/// need not look at each step.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use syncline_core::{Draft, Record};
/// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// # #[record(collection = "todos", key = id)]
/// # struct Todo { id: String, text: String, done: bool }
/// fn tidy_up(todos: &mut Draft<'_, Todo>) {
///     for todo in todos.rows().iter().filter(|todo| todo.done) {
///         todos.remove(&todo.id);
///     }
/// }
/// ```
pub struct Draft<'t, R> {
    pub(crate) schema: &'t Schema,
    pub(crate) base: &'t dyn ReadRows,
    pub(crate) changes: &'t mut Changes,
    pub(crate) _record: PhantomData<fn() -> R>,
}

impl<R: Record> Draft<'_, R> {
    /// The row at a key.
    pub fn get(&self, key: &str) -> Option<Arc<R>> {
        self.changes.typed(self.base, key)
    }

    /// Whether there is a row at a key.
    pub fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All rows, by key. On a client these are the ones that it knows: those of the queries that it watches. A reducer
    /// that looks at all of them is run again whenever one of them changes.
    pub fn rows(&self) -> Vec<Arc<R>> {
        let rows = self.changes.rows(self.base, R::COLLECTION).into_iter();
        let mut rows: Vec<Arc<R>> = rows.filter_map(downcast).collect();
        rows.sort_unstable_by(|a, b| a.key().cmp(b.key()));
        rows
    }

    /// Puts a row in the place of whatever had its key.
    pub fn put(&mut self, row: R) {
        let put = self
            .schema
            .collection(R::COLLECTION)
            .map(|def| def.name)
            .and_then(|collection| self.changes.put(collection, Arc::new(row)));
        self.refuse(put);
    }

    /// Changes the row at a key. Says whether there is one.
    pub fn update(&mut self, key: &str, change: impl FnOnce(&mut R)) -> bool {
        let Some(row) = self.get(key) else { return false };
        let mut row = Arc::unwrap_or_clone(row);
        change(&mut row);
        if row.key() == key {
            self.put(row);
        } else {
            let error = Error::new(code::BAD_KEY, "an update cannot change the key");
            self.refuse(Err(error.with_field(R::KEY_FIELD)));
        }
        true
    }

    /// Removes the row at a key. Says whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        if !self.contains(key) {
            return false;
        }
        let removed = self.changes.delete(R::COLLECTION, key);
        self.refuse(removed);
        true
    }

    fn refuse(&mut self, done: Result<(), Error>) {
        if let Err(error) = done {
            self.changes.refuse(error);
        }
    }
}
