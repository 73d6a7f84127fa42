//! The rows of a snapshot that comes in pages, next to those of an earlier one that stay visible meanwhile.

use std::collections::BTreeSet;

use crate::client::collection::AnyCollection;
use crate::client::session::SessionId;

/// What has been sent again since a snapshot began. Rows of pages that a person has loaded are evicted only after those
/// pages have been fetched again.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    fresh: BTreeSet<Box<str>>,
    /// Records of the snapshot so far.
    pub(super) done: u64,
    /// It brought something that the stream should have told of.
    pub(super) surprising: bool,
}

impl Gathering {
    /// Says whether it is new to the snapshot.
    pub(super) fn note(&mut self, uri: &str) -> bool {
        self.fresh.insert(uri.into())
    }

    /// Those members of a view that have been sent again.
    pub(super) fn members(&self, rows: &dyn AnyCollection, view: SessionId) -> Vec<u32> {
        rows.members(view).into_iter().filter(|&slot| self.fresh.contains(rows.key(slot))).collect()
    }

    /// The snapshot is complete: whoever was not sent again goes. Gives their keys.
    pub(super) fn evict(&self, rows: &mut dyn AnyCollection, view: SessionId) -> Vec<Box<str>> {
        let stale = rows.members(view).into_iter().filter(|&slot| !self.fresh.contains(rows.key(slot)));
        let stale: Vec<Box<str>> = stale.map(|slot| rows.key(slot).into()).collect();
        for key in &stale {
            rows.remove_member(view, key);
        }
        stale
    }
}
