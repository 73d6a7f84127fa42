//! Keyed changes of a view.

use std::sync::Arc;

use crate::error::Error;
use crate::id::Key;
use crate::record::Record;

/// One change of an ordered list of rows. Diffs count one after the other: an index is valid once the diffs before it
/// have been taken into account.
#[derive(Debug)]
pub enum Diff<R> {
    /// Forget everything; these are the rows now, in order.
    Reset(Vec<Entry<R>>),
    /// A row came in at `index`; what stood there and behind moves back.
    Insert {
        /// Where it stands now.
        index: usize,
        /// The row.
        entry: Entry<R>,
    },
    /// A row changed, in its record or its state, and stays where it is.
    Update {
        /// The row.
        entry: Entry<R>,
    },
    /// The row at `index` went.
    Remove {
        /// Where it stood.
        index: usize,
        /// Its key.
        key: Key,
    },
    /// A row changed in a way that moves it: take it out at `from`, then put it in at `to`.
    Move {
        /// Where it stood.
        from: usize,
        /// Where it stands once it has been taken out and put in again.
        to: usize,
        /// The row.
        entry: Entry<R>,
    },
}

/// What has changed of the rows that belong to those of a watch, in one relation.
#[derive(Debug)]
pub struct RelatedDiff<C> {
    /// Forget all children; those below are all there are.
    pub reset_children: bool,
    /// The parents whose children have changed, each with all it has now, in order; there may be none left.
    pub children: Vec<(Key, Vec<Entry<C>>)>,
    /// Forget all counts; those below are all there are.
    pub reset_counts: bool,
    /// The parents that have another number of children now.
    pub counts: Vec<(Key, u64)>,
}

impl<C> Default for RelatedDiff<C> {
    fn default() -> Self {
        Self { reset_children: false, children: Vec::new(), reset_counts: false, counts: Vec::new() }
    }
}

/// A row as a person sees it: the record with all local effects, and whether they are confirmed.
#[derive(Debug)]
pub struct Entry<R> {
    /// The row.
    pub record: Arc<R>,
    /// Whether the server has confirmed what is seen.
    pub state: RowState,
}

/// Whether the server has confirmed what is seen of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowState {
    /// It is what the server holds.
    Confirmed,
    /// A local write is on its way.
    Pending,
    /// A local write was refused and waits to be retried or dismissed.
    Failed(Arc<Error>),
}

impl RowState {
    /// The word: `confirmed`, `pending` or `failed`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Pending => "pending",
            Self::Failed(_) => "failed",
        }
    }
}

impl<R: Record> Entry<R> {
    /// The row's key.
    pub fn key(&self) -> &str {
        self.record.key()
    }

    /// Whether it would look the same: the same record, by identity or value, in the same state.
    pub fn same(&self, other: &Self) -> bool {
        self.state == other.state && (Arc::ptr_eq(&self.record, &other.record) || self.record == other.record)
    }
}

impl<R> Clone for Entry<R> {
    fn clone(&self) -> Self {
        Self { record: Arc::clone(&self.record), state: self.state.clone() }
    }
}

impl<R> Clone for Diff<R> {
    fn clone(&self) -> Self {
        match self {
            Self::Reset(entries) => Self::Reset(entries.clone()),
            Self::Insert { index, entry } => Self::Insert { index: *index, entry: entry.clone() },
            Self::Update { entry } => Self::Update { entry: entry.clone() },
            Self::Remove { index, key } => Self::Remove { index: *index, key: key.clone() },
            Self::Move { from, to, entry } => Self::Move { from: *from, to: *to, entry: entry.clone() },
        }
    }
}
