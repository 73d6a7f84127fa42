//! Which spaces are read from storage next, and which nobody uses any more: both bounded.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::SpaceId;

/// The spaces that are being read, and the line of those that wait for it, in the order in which they were asked for.
pub(super) struct Loads {
    at_once: usize,
    under_way: usize,
    line: BTreeMap<u64, SpaceId>,
    tickets: u64,
}

impl Loads {
    pub(super) fn new(at_once: usize) -> Self {
        Self { at_once: at_once.max(1), under_way: 0, line: BTreeMap::new(), tickets: 0 }
    }

    /// Begins a load, when there is room for one. Otherwise gives a place in the line.
    pub(super) fn begin(&mut self, space: &SpaceId) -> Option<u64> {
        if self.under_way < self.at_once {
            self.under_way += 1;
            return None;
        }
        self.tickets += 1;
        self.line.insert(self.tickets, space.clone());
        Some(self.tickets)
    }

    /// Nobody wants what stands in this place any more.
    pub(super) fn leave(&mut self, ticket: u64) {
        self.line.remove(&ticket);
    }

    /// A load has come to its end. Gives the space whose load begins instead.
    pub(super) fn end(&mut self) -> Option<SpaceId> {
        let next = self.line.pop_first().map(|(_, space)| space);
        if next.is_none() {
            self.under_way = self.under_way.saturating_sub(1);
        }
        next
    }
}

/// The spaces in memory that nobody uses, each with the time (Unix ms) since when.
#[derive(Default)]
pub(super) struct Idle {
    queue: BTreeSet<(u64, SpaceId)>,
}

impl Idle {
    pub(super) fn add(&mut self, since: u64, space: SpaceId) {
        self.queue.insert((since, space));
    }

    pub(super) fn remove(&mut self, since: u64, space: &SpaceId) {
        self.queue.remove(&(since, space.clone()));
    }

    /// Since when the first one is idle.
    pub(super) fn first(&self) -> Option<u64> {
        self.queue.first().map(|(since, _)| *since)
    }

    /// Takes out the one that is idle for the longest time, when there are more than `keep` or it is idle since `before`
    /// or longer.
    pub(super) fn take(&mut self, keep: usize, before: Option<u64>) -> Option<SpaceId> {
        let (since, _) = self.queue.first()?;
        let due = self.queue.len() > keep || before.is_some_and(|before| *since <= before);
        due.then(|| self.queue.pop_first()).flatten().map(|(_, space)| space)
    }
}
