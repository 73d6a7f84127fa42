//! The rows that a filter wants, in an order: what all subscriptions with that filter and order have in common,
//! whatever their limit and whoever is looking.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use crate::query::{CompiledQuery, Filter, OrderBy, QuerySpec};
use crate::space::rows::{Row, RowTurn, Rows};

/// What tells one listing of a space from another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ListingKey {
    pub(super) collection: &'static str,
    filter: Option<Filter>,
    order: Vec<OrderBy>,
}

impl ListingKey {
    pub(super) fn new(collection: &'static str, spec: &QuerySpec) -> Self {
        Self { collection, filter: spec.filter.clone(), order: spec.order.clone() }
    }
}

/// A row where it stands in an order. Two of them are only ever compared within one listing.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) row: Arc<Row>,
    query: Arc<CompiledQuery>,
}

impl Entry {
    pub(super) fn new(row: &Arc<Row>, query: &Arc<CompiledQuery>) -> Self {
        Self { row: Arc::clone(row), query: Arc::clone(query) }
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.query.compare(&*self.row.typed, &*other.row.typed)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

/// What a commit did to one row of a listing.
#[derive(Clone)]
pub(super) struct Turn {
    /// Where the row stood, when the listing had it.
    pub(super) before: Option<Entry>,
    /// Where it stands now, when the listing has it.
    pub(super) after: Option<Entry>,
}

/// Rows in their order. One comes and goes in time logarithmic in their number.
#[derive(Default)]
pub(super) struct Ordered(BTreeSet<Entry>);

impl Ordered {
    pub(super) const EMPTY: Self = Self(BTreeSet::new());

    pub(super) fn insert(&mut self, entry: Entry) {
        self.0.insert(entry);
    }

    pub(super) fn remove(&mut self, entry: &Entry) {
        self.0.remove(entry);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All rows, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    /// The rows behind an entry, whether or not that one is still there.
    pub(super) fn behind(&self, entry: &Entry) -> impl Iterator<Item = &Entry> {
        self.0.range((Bound::Excluded(entry), Bound::Unbounded))
    }
}

/// See the [module](self).
pub(super) struct Listing {
    pub(super) collection: &'static str,
    pub(super) entries: Ordered,
    query: Arc<CompiledQuery>,
}

impl Listing {
    /// `query` is one of those that share the listing.
    pub(super) fn new(collection: &'static str, query: Arc<CompiledQuery>, rows: &Rows) -> Self {
        let mut listing = Self { collection, query, entries: Ordered::default() };
        let entries = rows.collection(collection).filter_map(|row| listing.entry(row)).collect();
        listing.entries = Ordered(entries);
        listing
    }

    /// Follows a row; `None` when the listing wants it neither before nor after.
    pub(super) fn follow(&mut self, turn: &RowTurn) -> Option<Turn> {
        let before = turn.before.as_ref().and_then(|row| self.entry(row));
        let after = turn.after.as_ref().and_then(|row| self.entry(row));
        if let Some(before) = &before {
            self.entries.remove(before);
        }
        if let Some(after) = &after {
            self.entries.insert(after.clone());
        }
        (before.is_some() || after.is_some()).then_some(Turn { before, after })
    }

    fn entry(&self, row: &Arc<Row>) -> Option<Entry> {
        self.query.matches(&*row.typed).then(|| Entry::new(row, &self.query))
    }
}
