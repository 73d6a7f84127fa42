//! What writes write into: reads go through to the base, only the rows touched are recorded.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::draft::Draft;
use crate::error::{Error, code};
use crate::fields::Fields;
use crate::id::Key;
use crate::record::{AnyRow, Record, downcast};
use crate::schema::Schema;

/// Where a transaction reads what it has not itself written.
pub trait ReadRows {
    /// The row at `key`, when there is one.
    fn row(&self, collection: &'static str, key: &str) -> Option<Arc<dyn AnyRow>>;

    /// Every row of a collection, in any order.
    fn all_rows(&self, collection: &'static str) -> Vec<Arc<dyn AnyRow>>;
}

/// A row of a space: its collection and its key.
pub(crate) type Place = (&'static str, Key);

/// The rows that a transaction touched: each put, or deleted (`None`), in the order of collection and key.
pub type Touched = BTreeMap<(&'static str, Key), Option<Arc<dyn AnyRow>>>;

/// Changes of one space being made, readable as if they had been made already: all of them come to be, or none.
///
/// A handler of actions on the server gets one, and takes the rows of a collection with [`rows`](Self::rows); a
/// reducer gets these rows alone, as a [`Draft`].
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use syncline_core::{Record, Tx};
/// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// # #[record(collection = "todos", key = id)]
/// # struct Todo { id: String, done: bool }
/// fn finish(tx: &mut Tx<'_>, id: &str) -> bool {
///     tx.rows::<Todo>().update(id, |todo| todo.done = true)
/// }
/// ```
pub struct Tx<'a> {
    schema: &'a Schema,
    base: &'a dyn ReadRows,
    changes: Changes,
}

/// What a transaction has come to so far.
#[derive(Default)]
pub(crate) struct Changes {
    touched: Touched,
    /// Why it cannot be made, if it cannot: what was refused first.
    refused: Option<Error>,
    jobs: Vec<Job>,
    jobs_bytes: usize,
    /// What it has looked at, where somebody wants to know.
    reads: Option<RefCell<Reads>>,
}

/// What a transaction looked at: the rows on which its effect may depend.
#[derive(Default)]
pub(crate) struct Reads {
    pub(crate) rows: BTreeSet<Place>,
    /// Collections of which it has looked at all rows.
    pub(crate) collections: BTreeSet<&'static str>,
}

/// Work to be done once what a transaction wrote is stored: an e-mail, a call to somebody else. It is stored with it, so
/// that it is done if and only if the rest has been, whatever crashes meanwhile.
#[derive(Clone, Debug)]
pub struct Job {
    /// Who does it: the name that the server's handler for such jobs has.
    pub name: Box<str>,
    /// What the handler is given, as JSON.
    pub payload: Box<RawValue>,
}

/// The most jobs that one transaction may leave.
pub const MAX_JOBS: usize = 100;
/// The most bytes that all of them together may have.
pub const MAX_JOBS_BYTES: usize = 1_000_000;

impl<'a> Tx<'a> {
    /// No changes yet, over `base`.
    pub fn new(schema: &'a Schema, base: &'a dyn ReadRows) -> Self {
        Self { schema, base, changes: Changes::default() }
    }

    /// The same, and what it reads is noted.
    pub(crate) fn observed(schema: &'a Schema, base: &'a dyn ReadRows) -> Self {
        let mut tx = Self::new(schema, base);
        tx.changes.reads = Some(RefCell::default());
        tx
    }

    /// The collections that may be written.
    pub fn schema(&self) -> &'a Schema {
        self.schema
    }

    /// The rows of `R`'s collection.
    pub fn rows<R: Record>(&mut self) -> Draft<'_, R> {
        Draft { schema: self.schema, base: self.base, changes: &mut self.changes, _record: PhantomData }
    }

    /// Leaves work to be done once all this is stored, by the handler of that name; see [`Job`]. What is wrong with it
    /// refuses the transaction: `bad_job` when the payload cannot be written as JSON, `too_many` beyond 100 jobs or 1 MB.
    pub fn enqueue(&mut self, name: impl Into<Box<str>>, payload: &impl Serialize) {
        let name = name.into();
        match serde_json::value::to_raw_value(payload) {
            Ok(payload) => {
                self.changes.jobs_bytes += payload.get().len();
                if self.changes.jobs.len() == MAX_JOBS || self.changes.jobs_bytes > MAX_JOBS_BYTES {
                    let message = "a transaction leaves at most 100 jobs, of 1 MB together";
                    self.changes.refuse(Error::new(code::TOO_MANY, message).with_field(&*name));
                } else {
                    self.changes.jobs.push(Job { name, payload });
                }
            }
            Err(error) => {
                let message = format!("the job cannot be written as JSON: {error}");
                self.changes.refuse(Error::new(code::BAD_JOB, message).with_field(&*name));
            }
        }
    }

    /// Puts a row whose type only its collection knows, in the place of whatever had its key.
    ///
    /// # Errors
    /// `bad_key`.
    pub fn put_row(&mut self, collection: &'static str, row: Arc<dyn AnyRow>) -> Result<(), Error> {
        self.changes.put(collection, row)
    }

    /// Removes such a row; nothing happens when there is none.
    ///
    /// # Errors
    /// `bad_key`.
    pub fn delete_row(&mut self, collection: &'static str, key: &str) -> Result<(), Error> {
        self.changes.delete(collection, key)
    }

    /// Changes some fields of a row.
    ///
    /// # Errors
    /// `unknown_row` when it is not there, and what [`CollectionDef::patch`](crate::CollectionDef::patch) refuses.
    pub fn patch_row(&mut self, collection: &'static str, key: &str, set: &Fields) -> Result<(), Error> {
        let patched = patched(self.schema, self, collection, key, set)?;
        self.put_row(collection, patched)
    }

    /// Ends it.
    ///
    /// # Errors
    /// What was refused first: nothing of it is to come to be then.
    pub fn finish(self) -> Result<Finished, Error> {
        let Changes { touched, refused, jobs, .. } = self.changes;
        refused.map_or(Ok(Finished { touched, jobs }), Err)
    }

    /// The same on a client, with what it has looked at, where that was noted.
    pub(crate) fn into_effect(self) -> (Result<Touched, Error>, Reads) {
        let Changes { touched, refused, reads, .. } = self.changes;
        (refused.map_or(Ok(touched), Err), reads.map(RefCell::into_inner).unwrap_or_default())
    }
}

/// What a [`Tx`] comes to.
pub struct Finished {
    /// The rows, as they are to be.
    pub touched: Touched,
    /// The work that it leaves.
    pub jobs: Vec<Job>,
}

/// The row that a step needs to be there.
///
/// # Errors
/// `unknown_row`.
pub(crate) fn existing(
    rows: &dyn ReadRows,
    collection: &'static str,
    key: &str,
) -> Result<Arc<dyn AnyRow>, Error> {
    let gone = || Error::new(code::UNKNOWN_ROW, "the row is not there any more").with_field(key);
    rows.row(collection, key).ok_or_else(gone)
}

/// What a patch makes of a row.
///
/// # Errors
/// As [`Tx::patch_row`].
pub(crate) fn patched(
    schema: &Schema,
    rows: &dyn ReadRows,
    collection: &'static str,
    key: &str,
    set: &Fields,
) -> Result<Arc<dyn AnyRow>, Error> {
    let row = existing(rows, collection, key)?;
    schema.collection(collection)?.patch(&*row, set)
}

impl ReadRows for Tx<'_> {
    fn row(&self, collection: &'static str, key: &str) -> Option<Arc<dyn AnyRow>> {
        self.changes.row(self.base, collection, key)
    }

    fn all_rows(&self, collection: &'static str) -> Vec<Arc<dyn AnyRow>> {
        self.changes.rows(self.base, collection)
    }
}

impl Changes {
    pub(crate) fn refuse(&mut self, error: Error) {
        self.refused.get_or_insert(error);
    }

    pub(crate) fn put(&mut self, collection: &'static str, row: Arc<dyn AnyRow>) -> Result<(), Error> {
        let key = Key::checked(row.key())?;
        self.touched.insert((collection, key), Some(row));
        Ok(())
    }

    pub(crate) fn delete(&mut self, collection: &'static str, key: &str) -> Result<(), Error> {
        self.touched.insert((collection, Key::checked(key)?), None);
        Ok(())
    }

    pub(crate) fn row(
        &self,
        base: &dyn ReadRows,
        collection: &'static str,
        key: &str,
    ) -> Option<Arc<dyn AnyRow>> {
        // a tuple key cannot be looked up by its borrowed parts; a short-lived Key costs one small allocation
        let place = (collection, Key::from(key));
        if let Some(touched) = self.touched.get(&place) {
            return touched.clone();
        }
        if let Some(reads) = &self.reads {
            reads.borrow_mut().rows.insert(place);
        }
        base.row(collection, key)
    }

    pub(crate) fn rows(&self, base: &dyn ReadRows, collection: &'static str) -> Vec<Arc<dyn AnyRow>> {
        if let Some(reads) = &self.reads {
            reads.borrow_mut().collections.insert(collection);
        }
        let mut rows = base.all_rows(collection);
        let touched = || {
            let from = (collection, Key::from(""));
            self.touched.range(from..).take_while(move |((name, _), _)| *name == collection)
        };
        if touched().next().is_some() {
            rows.retain(|row| !self.touched.contains_key(&(collection, Key::from(row.key()))));
            rows.extend(touched().filter_map(|(_, row)| row.clone()));
        }
        rows
    }

    pub(crate) fn typed<R: Record>(&self, base: &dyn ReadRows, key: &str) -> Option<Arc<R>> {
        downcast(self.row(base, R::COLLECTION, key)?)
    }
}
