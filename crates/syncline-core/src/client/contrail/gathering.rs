//! The rows of a snapshot that comes in pages, next to those of an earlier one that stay visible meanwhile.

use std::collections::BTreeSet;

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
    /// Records of which something was told live meanwhile: the page may be older than that.
    told: BTreeSet<Box<str>>,
}

impl Page {
    /// Something was told live.
    pub(super) fn hear_of(&mut self, uri: &str) {
        self.told.insert(uri.into());
    }

    /// Its rows, without those of which something newer is known.
    pub(super) fn news(self) -> impl Iterator<Item = (Row, bool)> {
        let Self { rows, told } = self;
        rows.into_iter().map(move |row| {
            let outdated = told.contains(row.uri.as_str());
            (row, outdated)
        })
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
