//! The children of a watch's rows as an application keeps them: by parent, following what it is told and nothing else.

use std::any::Any;
use std::collections::BTreeMap;

use syncline_core::client::{ClientCore, WatchId};
use syncline_core::record::AnyRow;
use syncline_core::{Entry, Key, Record, RelatedDiff, RowState};

/// A [`RelatedMirror`] whose row type is behind it.
pub(crate) trait AnyRelated {
    fn as_any(&self) -> &dyn Any;
    /// Takes what has changed; what a stopped watch has shown stays.
    ///
    /// # Errors
    /// What is wrong with it.
    fn pull(&mut self, core: &mut ClientCore, id: WatchId, stopped: bool) -> Result<(), String>;
    /// The children of a parent, without their type, and whether they are confirmed.
    fn rows(&self, parent: &str) -> Vec<(&dyn AnyRow, bool)>;
    fn count(&self, parent: &str) -> u64;
    /// Whether two rows, both of this collection, are equal.
    fn equal(&self, a: &dyn AnyRow, b: &dyn AnyRow) -> bool;
}

/// Makes the mirror of a relation by its place.
pub(crate) type Relate = fn(usize) -> Box<dyn AnyRelated>;

/// See the [module](self).
pub(crate) struct RelatedMirror<C> {
    relation: usize,
    pub(crate) children: BTreeMap<Key, Vec<Entry<C>>>,
    counts: BTreeMap<Key, u64>,
}

impl<C: Record> RelatedMirror<C> {
    pub(crate) fn relate(relation: usize) -> Box<dyn AnyRelated> {
        Box::new(Self { relation, children: BTreeMap::new(), counts: BTreeMap::new() })
    }
}

impl<C: Record> AnyRelated for RelatedMirror<C> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn pull(&mut self, core: &mut ClientCore, id: WatchId, stopped: bool) -> Result<(), String> {
        let RelatedDiff { reset_children, children, reset_counts, counts } =
            core.take_related::<C>(id, self.relation);
        if reset_children {
            self.children.clear();
        }
        if reset_counts {
            self.counts.clear();
        }
        self.children.extend(children);
        self.counts.extend(counts);
        if stopped {
            return Ok(());
        }
        for (parent, followed) in &self.children {
            let shown = core.children::<C>(id, self.relation, parent.as_str());
            let same = followed.len() == shown.len() && followed.iter().zip(&shown).all(|(a, b)| a.same(b));
            if !same {
                return Err(format!("who followed the children of {parent} does not see what is shown"));
            }
        }
        self.children.retain(|_, children| !children.is_empty());
        for (parent, n) in &self.counts {
            if core.count(id, self.relation, parent.as_str()) != *n {
                return Err(format!("who followed the count of {parent} does not see what is shown"));
            }
        }
        self.counts.retain(|_, n| *n > 0);
        Ok(())
    }

    fn rows(&self, parent: &str) -> Vec<(&dyn AnyRow, bool)> {
        let row = |entry: &'_ Entry<C>| entry.state == RowState::Confirmed;
        let children = self.children.get(parent).into_iter().flatten();
        children.map(|entry| (&*entry.record as &dyn AnyRow, row(entry))).collect()
    }

    fn count(&self, parent: &str) -> u64 {
        self.counts.get(parent).copied().unwrap_or_default()
    }

    fn equal(&self, a: &dyn AnyRow, b: &dyn AnyRow) -> bool {
        match (a.as_any().downcast_ref::<C>(), b.as_any().downcast_ref::<C>()) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        }
    }
}
