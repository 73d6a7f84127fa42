//! The rows of a snapshot that comes in pages, next to those of an earlier one that stay visible meanwhile.

use std::collections::BTreeSet;

use super::event::Row;
use super::record_uri;
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
    /// And children, each as it was told of last.
    pub(super) children: ToldChildren,
}

/// What was told live of children while a page was on its way.
#[derive(Debug, Default)]
pub(super) struct ToldChildren(Vec<ToldChild>);

#[derive(Clone, Debug)]
pub(super) struct ToldChild {
    pub(super) parent: Box<str>,
    /// The place of its relation in the query.
    pub(super) relation: usize,
    pub(super) child: Child,
    /// Whether it came, or went.
    pub(super) is_there: bool,
}

/// A child by what events call it.
#[derive(Clone, Debug)]
pub(super) enum Child {
    Uri(Box<str>),
    Author { did: Box<str>, rkey: Box<str> },
}

impl Child {
    /// Whether it is the one with this uri, of whatever collection.
    pub(super) fn is(&self, uri: &str) -> bool {
        match self {
            Self::Uri(own) => **own == *uri,
            Self::Author { did, rkey } => {
                let collection = uri.strip_prefix("at://").and_then(|path| path.split('/').nth(1));
                collection.is_some_and(|collection| uri == record_uri(did, collection, rkey))
            }
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Author { did, rkey }, Self::Author { did: other, rkey: key }) => {
                (did, rkey) == (other, key)
            }
            (Self::Uri(uri), child) | (child, Self::Uri(uri)) => child.is(uri),
        }
    }
}

impl ToldChildren {
    pub(super) fn note(&mut self, told: &ToldChild) {
        self.0.retain(|before| before.relation != told.relation || !before.child.is_same(&told.child));
        self.0.push(told.clone());
    }

    /// Those of one parent in one relation.
    pub(super) fn of(&self, parent: &str, relation: usize) -> impl Iterator<Item = &ToldChild> {
        self.0.iter().filter(move |told| *told.parent == *parent && told.relation == relation)
    }
}

impl Page {
    /// Something was told live.
    pub(super) fn hear_of(&mut self, uri: &str) {
        self.told.insert(uri.into());
    }

    /// Its rows, and whether something newer is known of each; and what is of children.
    pub(super) fn news(self) -> (impl Iterator<Item = (Row, bool)>, ToldChildren) {
        let Self { rows, told, children } = self;
        let news = rows.into_iter().map(move |row| {
            let outdated = told.contains(row.uri.as_str());
            (row, outdated)
        });
        (news, children)
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
