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
        let parent = (parent.into(), relation);
        if self.of.get(&parent).is_some_and(|uris| uris.contains(uri)) {
            return false;
        }
        if self.all == MOST {
            *self = Self::default();
        }
        self.of.entry(parent).or_default().insert(uri.into());
        self.all += 1;
        true
    }

    /// Forgets some children of a parent. Says whether there were any.
    pub(super) fn forget(&mut self, parent: &str, relation: usize, is_it: impl Fn(&str) -> bool) -> bool {
        // most often there are none, and snapshots ask for every record
        if self.all == 0 {
            return false;
        }
        let parent = (parent.into(), relation);
        let Some(uris) = self.of.get_mut(&parent) else { return false };
        let before = uris.len();
        uris.retain(|uri| !is_it(uri));
        let forgotten = before - uris.len();
        if uris.is_empty() {
            self.of.remove(&parent);
        }
        self.all -= forgotten;
        forgotten > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_what_is_forgotten() {
        let mut counted = Counted::default();
        assert!(counted.note("a", 0, "1") && counted.note("a", 1, "1") && counted.note("b", 0, "1"));
        assert!(!counted.note("a", 0, "1"));
        assert!(!counted.forget("a", 0, |uri| uri == "2") && counted.forget("a", 0, |uri| uri == "1"));
        assert_eq!((counted.all, counted.of.len()), (2, 2));
        assert!(counted.note("a", 0, "1"));
    }

    #[test]
    fn it_has_a_bound_and_one_that_comes_again_is_no_more() {
        let mut counted = Counted::default();
        for child in 0..MOST {
            assert!(counted.note("a", 0, &child.to_string()));
        }
        assert!(!counted.note("a", 0, "0"));
        assert!(counted.note("b", 0, "0"));
        assert_eq!((counted.all, counted.of.len()), (1, 1));
    }
}
