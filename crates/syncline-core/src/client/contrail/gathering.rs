//! The rows of a snapshot that comes in pages, next to those of an earlier one that stay visible meanwhile.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::event::Row;
use crate::client::collection::AnyCollection;
use crate::client::session::SessionId;

/// What has been sent again since a snapshot began. Rows of pages that a person has loaded are evicted only after those
/// pages have been fetched again.
#[derive(Debug)]
pub(super) struct Gathering {
    pub(super) why: Why,
    fresh: BTreeSet<Box<str>>,
    /// Records of the snapshot so far.
    pub(super) done: u64,
    /// It brought something that was not known.
    pub(super) surprising: bool,
}

/// Why a snapshot is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The stream begins.
    Begin,
    /// Rows that were thrown away are needed.
    Refill,
    /// To see whether an open socket has told everything: its first page is enough for that.
    Look,
}

/// A page that is coming in. Its rows count when it is complete.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) rows: Vec<Row>,
    /// What was told live of records meanwhile, as JSON, and `None` of those that are gone: the page may be older.
    pub(super) told: BTreeMap<Box<str>, Option<Vec<u8>>>,
    /// What was told live of children meanwhile, in order.
    pub(super) children: VecDeque<ChildEvent>,
}

/// Something was told live of a child.
#[derive(Clone, Debug)]
pub(super) struct ChildEvent {
    pub(super) parent: String,
    pub(super) relation: String,
    pub(super) change: ChildChange,
}

#[derive(Clone, Debug)]
pub(super) enum ChildChange {
    /// It is new, or another one now.
    Added(Map<String, Value>),
    /// It is gone.
    Removed { did: String, rkey: String },
}

/// Events that are kept while a page is on its way; older ones are forgotten, and the next look mends what that does.
const MOST_EVENTS: usize = 10_000;

impl Page {
    /// Something was told live of a record.
    pub(super) fn hear_of(&mut self, uri: &str, now: Option<&[u8]>) {
        self.told.insert(uri.into(), now.map(Into::into));
    }

    /// The same of a child.
    pub(super) fn hear_of_child(&mut self, event: &ChildEvent) {
        if self.children.len() == MOST_EVENTS {
            self.children.pop_front();
        }
        self.children.push_back(event.clone());
    }
}

impl Gathering {
    pub(super) fn new(why: Why) -> Self {
        Self { why, fresh: BTreeSet::new(), done: 0, surprising: false }
    }

    pub(super) fn note(&mut self, uri: &str) {
        self.fresh.insert(uri.into());
    }

    /// Those members of a view that have been sent again.
    pub(super) fn members(&self, rows: &dyn AnyCollection, view: SessionId) -> Vec<u32> {
        rows.members(view).into_iter().filter(|&slot| self.fresh.contains(rows.key(slot))).collect()
    }

    /// The snapshot is complete, as far as `covers` says of rows: whoever was not sent again goes. Gives their keys.
    pub(super) fn evict(
        &self,
        rows: &mut dyn AnyCollection,
        view: SessionId,
        covers: impl Fn(&dyn AnyCollection, u32) -> bool,
    ) -> Vec<Box<str>> {
        let stale = |slot: &u32| !self.fresh.contains(rows.key(*slot)) && covers(rows, *slot);
        let stale: Vec<_> = rows.members(view).into_iter().filter(stale).collect();
        let stale: Vec<Box<str>> = stale.into_iter().map(|slot| rows.key(slot).into()).collect();
        for key in &stale {
            rows.remove_member(view, key);
        }
        stale
    }
}
