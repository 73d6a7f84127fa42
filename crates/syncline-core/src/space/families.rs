//! What a shape has of the children of its rows, relation by relation.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::Key;
use crate::query::{CompiledRelation, RelationSpec};
use crate::space::children::{Children, ChildrenKey, Turns};
use crate::space::listing::Turn;
use crate::space::rows::Row;
use crate::space::shape::{Delta, are_same};
use crate::space::window::{Moves, Window};
use crate::wire::Count;

/// What tells one relation of a shape from another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RelationKey {
    pub(super) children: ChildrenKey,
    limit: usize,
    count: bool,
}

impl RelationKey {
    pub(super) fn new(collection: &'static str, spec: &RelationSpec, relation: &CompiledRelation) -> Self {
        let CompiledRelation { limit, count, .. } = *relation;
        Self { children: ChildrenKey::new(collection, spec), limit, count }
    }
}

/// The children of all kinds that somebody looks at.
pub(super) type AllChildren = BTreeMap<ChildrenKey, Children>;
/// What a commit did to them.
pub(super) type AllTurns = BTreeMap<ChildrenKey, Turns>;
/// Whether the viewer may see a row of a collection.
pub(super) type Sees<'a> = &'a dyn Fn(&'static str, &Row) -> bool;

/// The children of one parent in one relation.
struct Group {
    /// There is none where children are counted only.
    window: Option<Window>,
    count: u64,
}

/// See the [module](self). A child's change costs as much as finding its place among its siblings, however many parents
/// there are.
pub(super) struct Families {
    relations: Vec<RelationKey>,
    /// The rows of the result, each with one group for each relation.
    parents: BTreeMap<Key, Vec<Group>>,
}

impl Families {
    /// `rows` are the shape's.
    pub(super) fn new(
        relations: Vec<RelationKey>,
        rows: &[Arc<Row>],
        all: &AllChildren,
        sees: Sees<'_>,
    ) -> Self {
        let mut families = Self { relations, parents: BTreeMap::new() };
        for row in rows {
            let groups = families.groups(row.key(), all, sees);
            families.parents.insert(row.key().into(), groups);
        }
        families
    }

    pub(super) fn relations(&self) -> &[RelationKey] {
        &self.relations
    }

    /// The children of these parents, relation by relation.
    pub(super) fn rows(&self, parents: &[Arc<Row>]) -> Vec<Vec<Arc<Row>>> {
        let of = |relation: usize| {
            let groups = parents.iter().filter_map(|parent| self.parents.get(parent.key())?.get(relation));
            groups.filter_map(|group| group.window.as_ref()).flat_map(Window::rows).cloned().collect()
        };
        (0..self.relations.len()).map(of).collect()
    }

    /// How many of these children each parent has, parent by parent and of each relation.
    pub(super) fn sizes(&self, parents: &[Arc<Row>]) -> Vec<usize> {
        let of = |parent: &Arc<Row>| {
            let groups = self.parents.get(parent.key());
            (0..self.relations.len()).map(move |relation| {
                let group = groups.and_then(|groups| groups.get(relation));
                group.and_then(|group| group.window.as_ref()).map_or(0, |window| window.rows().count())
            })
        };
        parents.iter().flat_map(of).collect()
    }

    /// How many children these parents have, where they have any.
    pub(super) fn counts(&self, parents: &[Arc<Row>]) -> Vec<Count> {
        let mut counts = Vec::new();
        for parent in parents {
            let groups = self.parents.get(parent.key()).into_iter().flatten().enumerate();
            for (relation, group) in groups.filter(|(_, group)| group.count > 0) {
                counts.push(Count { relation, parent: parent.key().into(), n: group.count });
            }
        }
        counts
    }

    /// Follows what a commit did to children, and to the rows of the result, which `delta` says.
    pub(super) fn follow(&mut self, delta: &mut Delta, turns: &AllTurns, all: &AllChildren, sees: Sees<'_>) {
        let mut moves: Vec<Moves> = self.relations.iter().map(|_| Moves::default()).collect();
        for parent in &delta.del {
            let groups = self.parents.remove(parent).unwrap_or_default();
            for (moves, group) in moves.iter_mut().zip(&groups) {
                let children = group.window.iter().flat_map(Window::rows);
                moves.del.extend(children.map(|row| Key::from(row.key())));
            }
        }
        for (relation, key) in self.relations.iter().enumerate() {
            let (Some(turns), Some(children)) = (turns.get(&key.children), all.get(&key.children)) else {
                continue;
            };
            let sees = |row: &Row| sees(children.collection, row);
            for (parent, turns) in turns {
                let groups = self.parents.get_mut(parent);
                let Some(group) = groups.and_then(|groups| groups.get_mut(relation)) else { continue };
                if let Some(window) = &mut group.window {
                    let Moves { put, del } = window.follow(turns, children.of(parent.as_str()), sees);
                    moves[relation].put.extend(put);
                    moves[relation].del.extend(del);
                }
                if key.count {
                    let n = counted(group.count, turns, sees);
                    if std::mem::replace(&mut group.count, n) != n {
                        delta.counts.push(Count { relation, parent: parent.as_str().into(), n });
                    }
                }
            }
        }
        for row in &delta.put {
            if self.parents.contains_key(row.key()) {
                continue;
            }
            let groups = self.groups(row.key(), all, sees);
            for (relation, (moves, group)) in moves.iter_mut().zip(&groups).enumerate() {
                let children = group.window.iter().flat_map(Window::rows);
                moves.put.extend(children.map(|row| (Key::from(row.key()), Arc::clone(row))));
                if group.count > 0 {
                    delta.counts.push(Count { relation, parent: row.key().into(), n: group.count });
                }
            }
            self.parents.insert(row.key().into(), groups);
        }
        for (relation, Moves { put, mut del }) in moves.into_iter().enumerate() {
            // it may have gone from one parent to another
            del.retain(|key| !put.contains_key(key));
            if !put.is_empty() || !del.is_empty() {
                let (put, del) = (put.into_values().collect(), del.into_iter().collect());
                delta.related.push(RelatedDelta { relation, put, del });
            }
        }
    }

    fn groups(&self, parent: &str, all: &AllChildren, sees: Sees<'_>) -> Vec<Group> {
        let group = |key: &RelationKey| {
            let Some(children) = all.get(&key.children) else { return Group { window: None, count: 0 } };
            let (siblings, sees) = (children.of(parent), |row: &Row| sees(children.collection, row));
            let window = (key.limit > 0).then(|| Window::new(key.limit, siblings, sees));
            let visible = || siblings.iter().filter(|entry| sees(&entry.row)).count();
            Group { window, count: if key.count { visible() as u64 } else { 0 } }
        };
        self.relations.iter().map(group).collect()
    }
}

/// What a commit means for everyone who watches one relation of a shape.
pub(super) struct RelatedDelta {
    pub(super) relation: usize,
    /// Children now in the result that are new or changed.
    pub(super) put: Vec<Arc<Row>>,
    /// Keys no longer in the result.
    pub(super) del: Vec<Key>,
}

impl RelatedDelta {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.relation, &self.del) == (other.relation, &other.del) && are_same(&self.put, &other.put)
    }
}

fn counted(mut count: u64, turns: &[Turn], sees: impl Fn(&Row) -> bool) -> u64 {
    for turn in turns {
        count += u64::from(turn.after.as_ref().is_some_and(|entry| sees(&entry.row)));
        count = count.saturating_sub(turn.before.as_ref().is_some_and(|entry| sees(&entry.row)).into());
    }
    count
}
