//! What everybody who asks the same and may see the same gets of a listing: evaluated once, however many they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::id::{Key, UserId};
use crate::space::families::{AllChildren, AllTurns, Families, RelatedDelta, RelationKey, Sees};
use crate::space::io::ConnId;
use crate::space::listing::{Listing, ListingKey, Turn};
use crate::space::rows::Row;
use crate::space::window::{Moves, Window};
use crate::wire::{Count, SubId, User};

/// What tells one shape of a space from another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ShapeKey {
    pub(super) listing: ListingKey,
    pub(super) limit: Option<usize>,
    pub(super) relations: Vec<RelationKey>,
    viewer: Option<(UserId, Option<String>)>,
}

impl ShapeKey {
    /// Without a `viewer` the shape shows every row of the listing and every child.
    pub(super) fn new(
        listing: ListingKey,
        limit: Option<usize>,
        relations: Vec<RelationKey>,
        viewer: Option<&User>,
    ) -> Self {
        let viewer = viewer.map(|user| (user.id.clone(), user.name.clone()));
        Self { listing, limit, relations, viewer }
    }
}

/// A whole result.
#[derive(Default)]
pub(super) struct Answer {
    /// Its rows, in order.
    pub(super) rows: Vec<Arc<Row>>,
    /// Their children, relation by relation.
    pub(super) related: Vec<Vec<Arc<Row>>>,
    /// How many of these children each row has, row by row and of each relation; nothing where that is not known.
    pub(super) sizes: Vec<usize>,
    /// How many children parents have, where they have any.
    pub(super) counts: Vec<Count>,
}

impl Answer {
    /// What its rows take of frames, as JSON.
    pub(super) fn bytes(&self) -> usize {
        self.rows.iter().chain(self.related.iter().flatten()).map(|row| row.json.len() + 1).sum()
    }
}

/// What a commit means for everyone who watches a shape.
#[derive(Default)]
pub(super) struct Delta {
    /// Rows now in the result that are new or changed.
    pub(super) put: Vec<Arc<Row>>,
    /// Keys no longer in the result.
    pub(super) del: Vec<Key>,
    /// The same of children.
    pub(super) related: Vec<RelatedDelta>,
    /// How many children parents have now, where that has changed.
    pub(super) counts: Vec<Count>,
}

impl Delta {
    pub(super) fn is_empty(&self) -> bool {
        self.put.is_empty() && self.del.is_empty() && self.related.is_empty() && self.counts.is_empty()
    }

    /// Whether it says the same of the same commit.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.del == other.del
            && self.counts == other.counts
            && are_same(&self.put, &other.put)
            && self.related.len() == other.related.len()
            && self.related.iter().zip(&other.related).all(|(one, other)| one.is_same(other))
    }
}

/// Whether they are the same rows, not only equal ones.
pub(super) fn are_same(rows: &[Arc<Row>], others: &[Arc<Row>]) -> bool {
    rows.len() == others.len() && rows.iter().zip(others).all(|(row, other)| Arc::ptr_eq(row, other))
}

/// See the [module](self).
pub(super) struct Shape {
    /// Who is looking; `None` when everybody sees the same.
    pub(super) viewer: Option<Arc<User>>,
    /// Who is to be told.
    pub(super) audience: BTreeSet<(ConnId, SubId)>,
    window: Option<Window>,
    families: Option<Families>,
}

impl Shape {
    /// `sees` says whether the viewer may see a row, here as in the other methods.
    pub(super) fn new(
        viewer: Option<Arc<User>>,
        key: &ShapeKey,
        listing: &Listing,
        all: &AllChildren,
        sees: Sees<'_>,
    ) -> Self {
        let of_listing = |row: &Row| sees(listing.collection, row);
        let window = key.limit.map(|limit| Window::new(limit, &listing.entries, of_listing));
        let mut shape = Self { viewer, audience: BTreeSet::new(), window, families: None };
        if !key.relations.is_empty() {
            let rows = shape.rows(listing, sees);
            shape.families = Some(Families::new(key.relations.clone(), &rows, all, sees));
        }
        shape
    }

    /// The result.
    pub(super) fn answer(&self, listing: &Listing, sees: Sees<'_>) -> Answer {
        let rows = self.rows(listing, sees);
        match &self.families {
            Some(families) => Answer {
                related: families.rows(&rows),
                sizes: families.sizes(&rows),
                counts: families.counts(&rows),
                rows,
            },
            None => Answer { rows, ..Answer::default() },
        }
    }

    fn rows(&self, listing: &Listing, sees: Sees<'_>) -> Vec<Arc<Row>> {
        match &self.window {
            Some(window) => window.rows().cloned().collect(),
            None => {
                let visible = listing.entries.iter().filter(|entry| sees(listing.collection, &entry.row));
                visible.map(|entry| Arc::clone(&entry.row)).collect()
            }
        }
    }

    /// Whether a commit that did this to children may concern it.
    pub(super) fn looks_at(&self, children: &AllTurns) -> bool {
        let relations = self.families.iter().flat_map(Families::relations);
        !children.is_empty() && relations.into_iter().any(|key| children.contains_key(&key.children))
    }

    /// Follows what a commit did to the listing, and to children.
    pub(super) fn follow(
        &mut self,
        turns: &[Turn],
        listing: &Listing,
        children: &AllTurns,
        all: &AllChildren,
        sees: Sees<'_>,
    ) -> Delta {
        let of_listing = |row: &Row| sees(listing.collection, row);
        let mut delta = match &mut self.window {
            Some(window) => {
                let Moves { put, del } = window.follow(turns, &listing.entries, of_listing);
                let (put, del) = (put.into_values().collect(), del.into_iter().collect());
                Delta { put, del, ..Delta::default() }
            }
            None => without_window(turns, of_listing),
        };
        if let Some(families) = &mut self.families {
            families.follow(&mut delta, children, all, sees);
        }
        delta
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
