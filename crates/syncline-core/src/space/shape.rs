//! What everybody who asks the same and may see the same gets of a listing: evaluated once, however many they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{Key, UserId};
use crate::space::io::ConnId;
use crate::space::listing::{Entry, Listing, ListingKey, Turn};
use crate::space::rows::Row;
use crate::wire::{SubId, User};

/// What tells one shape of a space from another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ShapeKey {
    pub(super) listing: ListingKey,
    pub(super) limit: Option<usize>,
    viewer: Option<(UserId, Option<String>)>,
}

impl ShapeKey {
    /// Without a `viewer` the shape shows every row of the listing.
    pub(super) fn new(listing: ListingKey, limit: Option<usize>, viewer: Option<&User>) -> Self {
        Self { listing, limit, viewer: viewer.map(|user| (user.id.clone(), user.name.clone())) }
    }
}

/// What a commit means for everyone who watches a shape.
#[derive(Default)]
pub(super) struct Delta {
    /// Rows now in the result that are new or changed.
    pub(super) put: Vec<Arc<Row>>,
    /// Keys no longer in the result.
    pub(super) del: Vec<Key>,
}

impl Delta {
    pub(super) fn is_empty(&self) -> bool {
        self.put.is_empty() && self.del.is_empty()
    }
}

/// See the [module](self).
pub(super) struct Shape {
    /// Who is looking; `None` when everybody sees the same.
    pub(super) viewer: Option<Arc<User>>,
    /// Who is to be told.
    pub(super) audience: BTreeSet<(ConnId, SubId)>,
    window: Option<Window>,
}

impl Shape {
    /// `sees` says whether the viewer may see a row, here as in the other methods.
    pub(super) fn new(
        viewer: Option<Arc<User>>,
        limit: Option<usize>,
        listing: &Listing,
        sees: impl Fn(&Row) -> bool,
    ) -> Self {
        let window = limit.map(|limit| Window::new(limit, listing, sees));
        Self { viewer, audience: BTreeSet::new(), window }
    }

    /// The result, in order.
    pub(super) fn rows(&self, listing: &Listing, sees: impl Fn(&Row) -> bool) -> Vec<Arc<Row>> {
        let row = |entry: &Entry| Arc::clone(&entry.row);
        match &self.window {
            Some(window) => window.entries.iter().map(row).collect(),
            None => listing.iter().filter(|entry| sees(&entry.row)).map(row).collect(),
        }
    }

    /// Follows what a commit did to the listing.
    pub(super) fn follow(&mut self, turns: &[Turn], listing: &Listing, sees: impl Fn(&Row) -> bool) -> Delta {
        match &mut self.window {
            Some(window) => window.follow(turns, listing, sees),
            None => without_window(turns, sees),
        }
    }
}

fn without_window(turns: &[Turn], sees: impl Fn(&Row) -> bool) -> Delta {
    let mut delta = Delta::default();
    for turn in turns {
        let (before, after) = (turn.before.as_ref(), turn.after.as_ref());
        if let Some(after) = after.filter(|entry| sees(&entry.row)) {
            delta.put.push(Arc::clone(&after.row));
        } else if let Some(before) = before.filter(|entry| sees(&entry.row)) {
            delta.del.push(before.row.key().into());
        }
    }
    delta
}

/// The first rows of a listing that the viewer may see. Everything up to its last row is known to it; `more` says
/// that something behind may be visible too.
struct Window {
    limit: usize,
    entries: BTreeSet<Entry>,
    more: bool,
}

impl Window {
    fn new(limit: usize, listing: &Listing, sees: impl Fn(&Row) -> bool) -> Self {
        let visible = listing.iter().filter(|entry| sees(&entry.row));
        let entries: BTreeSet<_> = visible.take(limit).cloned().collect();
        let more = entries.len() == limit;
        Self { limit, entries, more }
    }

    fn follow(&mut self, turns: &[Turn], listing: &Listing, sees: impl Fn(&Row) -> bool) -> Delta {
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
        Delta { put: come.into_values().collect(), del: gone.into_iter().collect() }
    }
}
