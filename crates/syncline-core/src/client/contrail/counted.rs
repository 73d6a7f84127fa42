//! Which children have been counted that are not held: those behind the limit of their relation. A service tells of them
//! again whenever they are put again.

use std::collections::{BTreeMap, BTreeSet};

/// So many are remembered; with more, all are forgotten, and one that is put again counts once more until the next
/// snapshot.
const MOST: usize = 10_000;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// By the parent's uri and the place of the relation in the query.
    of: BTreeMap<(Box<str>, usize), BTreeSet<Box<str>>>,
    all: usize,
}

impl Counted {
    /// A child has been counted. Says whether it was not yet, as far as that is remembered.
    pub(super) fn note(&mut self, parent: &str, relation: usize, uri: &str) -> bool {
        if self.all == MOST {
            *self = Self::default();
        }
        let is_new = self.of.entry((parent.into(), relation)).or_default().insert(uri.into());
        self.all += usize::from(is_new);
        is_new
    }

    /// Forgets some children of a parent. Says whether there were any.
    pub(super) fn forget(&mut self, parent: &str, relation: usize, is_it: impl Fn(&str) -> bool) -> bool {
        let Some(uris) = self.of.get_mut(&(parent.into(), relation)) else { return false };
        let before = uris.len();
        uris.retain(|uri| !is_it(uri));
        self.all -= before - uris.len();
        before > uris.len()
    }
}
