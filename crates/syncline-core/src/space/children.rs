//! The rows that are somebody's children, by parent, those of each in an order: what all relations with that field,
//! filter and order have in common, whatever their limits, their parents and whoever is looking.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::Key;
use crate::query::{CompiledQuery, CompiledRelation, Filter, OrderBy, RelationSpec};
use crate::space::listing::{Entry, Ordered, Turn};
use crate::space::rows::{Row, RowTurn, Rows};

/// What tells the children of one kind in a space from those of another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChildrenKey {
    pub(super) collection: &'static str,
    field: Box<str>,
    filter: Option<Filter>,
    order: Vec<OrderBy>,
}

impl ChildrenKey {
    pub(super) fn new(collection: &'static str, spec: &RelationSpec) -> Self {
        let (field, filter, order) = (spec.field.clone(), spec.filter.clone(), spec.order.clone());
        Self { collection, field, filter, order }
    }
}

/// What a commit did to children, by parent. A child that went from one parent to another is in both.
pub(super) type Turns = BTreeMap<Key, Vec<Turn>>;

/// See the [module](self). A child comes and goes in time logarithmic in the number of parents and of its siblings.
pub(super) struct Children {
    pub(super) collection: &'static str,
    relation: Arc<CompiledRelation>,
    query: Arc<CompiledQuery>,
    by_parent: BTreeMap<Key, Ordered>,
    /// How many shapes look at them, in all their relations.
    pub(super) shapes: usize,
}

static NONE: Ordered = Ordered::EMPTY;

impl Children {
    /// `relation` is one of those that share them.
    pub(super) fn new(collection: &'static str, relation: &Arc<CompiledRelation>, rows: &Rows) -> Self {
        let query = Arc::new(relation.query.clone());
        let relation = Arc::clone(relation);
        let mut children = Self { collection, relation, query, by_parent: BTreeMap::new(), shapes: 0 };
        for row in rows.collection(collection) {
            if let Some((parent, entry)) = children.entry(row) {
                children.by_parent.entry(parent).or_default().insert(entry);
            }
        }
        children
    }

    /// The children of a parent.
    pub(super) fn of(&self, parent: &str) -> &Ordered {
        self.by_parent.get(parent).unwrap_or(&NONE)
    }

    /// Follows rows of the collection.
    pub(super) fn follow(&mut self, rows: &[RowTurn]) -> Turns {
        let mut turns = Turns::new();
        for turn in rows {
            let before = turn.before.as_ref().and_then(|row| self.entry(row));
            let after = turn.after.as_ref().and_then(|row| self.entry(row));
            if let Some((parent, entry)) = &before {
                self.remove(parent, entry);
            }
            if let Some((parent, entry)) = &after {
                self.by_parent.entry(parent.clone()).or_default().insert(entry.clone());
            }
            match (before, after) {
                (Some((parent, before)), Some((same, after))) if parent == same => {
                    let turn = Turn { before: Some(before), after: Some(after) };
                    turns.entry(parent).or_default().push(turn);
                }
                (before, after) => {
                    if let Some((parent, entry)) = before {
                        let turn = Turn { before: Some(entry), after: None };
                        turns.entry(parent).or_default().push(turn);
                    }
                    if let Some((parent, entry)) = after {
                        let turn = Turn { before: None, after: Some(entry) };
                        turns.entry(parent).or_default().push(turn);
                    }
                }
            }
        }
        turns
    }

    fn remove(&mut self, parent: &Key, entry: &Entry) {
        if let Some(siblings) = self.by_parent.get_mut(parent) {
            siblings.remove(entry);
            if siblings.is_empty() {
                self.by_parent.remove(parent);
            }
        }
    }

    fn entry(&self, row: &Arc<Row>) -> Option<(Key, Entry)> {
        let parent = self.relation.parent(&*row.typed)?;
        Some((parent.into(), Entry::new(row, &self.query)))
    }
}
