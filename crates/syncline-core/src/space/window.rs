//! The first rows of a listing, followed as the listing changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::Key;
use crate::space::listing::{Entry, Ordered, Turn};
use crate::space::rows::Row;

/// Rows that came, or changed, and keys that went.
#[derive(Default)]
pub(super) struct Moves {
    pub(super) put: BTreeMap<Key, Arc<Row>>,
    pub(super) del: BTreeSet<Key>,
}

/// The first rows of a listing that the viewer may see. Everything up to its last row is known to it; `more` says
/// that something behind may be visible too.
pub(super) struct Window {
    limit: usize,
    entries: BTreeSet<Entry>,
    more: bool,
}

impl Window {
    /// `sees` says whether the viewer may see a row, here as in the other methods.
    pub(super) fn new(limit: usize, listing: &Ordered, sees: impl Fn(&Row) -> bool) -> Self {
        let visible = listing.iter().filter(|entry| sees(&entry.row));
        let entries: BTreeSet<_> = visible.take(limit).cloned().collect();
        let more = entries.len() == limit;
        Self { limit, entries, more }
    }

    /// Its rows, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Arc<Row>> {
        self.entries.iter().map(|entry| &entry.row)
    }

    pub(super) fn follow(&mut self, turns: &[Turn], listing: &Ordered, sees: impl Fn(&Row) -> bool) -> Moves {
        let edge = self.entries.last().filter(|_| self.more).cloned();
        let mut gone = BTreeSet::<Key>::new();
        let mut come = BTreeMap::<Key, Arc<Row>>::new();
        for turn in turns {
            if let Some(before) = &turn.before
                && self.entries.remove(before)
            {
                gone.insert(before.row.key().into());
            }
            let within = |entry: &&Entry| edge.as_ref().is_none_or(|edge| *entry <= edge) && sees(&entry.row);
            if let Some(after) = turn.after.as_ref().filter(within) {
                self.entries.insert(after.clone());
                come.insert(after.row.key().into(), Arc::clone(&after.row));
            }
        }
        // rows that left are replaced by the next ones behind the edge
        if let Some(edge) = &edge {
            let missing = self.limit.saturating_sub(self.entries.len());
            for entry in listing.behind(edge).filter(|entry| sees(&entry.row)).take(missing) {
                self.entries.insert(entry.clone());
                come.insert(entry.row.key().into(), Arc::clone(&entry.row));
            }
        }
        // rows that came push the last ones out
        while self.entries.len() > self.limit {
            if let Some(last) = self.entries.pop_last()
                && come.remove(last.row.key()).is_none()
            {
                gone.insert(last.row.key().into());
            }
        }
        // within a full window nothing can be told of what is behind it: there may be more
        self.more = self.entries.len() == self.limit;
        gone.retain(|key| !come.contains_key(key));
        Moves { put: come, del: gone }
    }
}
