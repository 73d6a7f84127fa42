//! The children of a live query's rows.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use syncline_core::client::WatchId;

use crate::shared::Shared;
use crate::{Entry, QuerySpec, Record, RelatedDiff};

/// The rows of another collection that belong to the rows of a [`Watch`](crate::Watch), its children, and how many there
/// are of each; made by [`Watch::related`](crate::Watch::related). A change of them is a change of the watch: it wakes
/// whoever waits for the watch's next batch.
///
/// It does not keep the watch alive: once that is dropped there are no children.
pub struct Related<C> {
    watch: WatchRef,
    /// There is none when the query has no such relation.
    relation: Option<usize>,
    _child: PhantomData<fn() -> C>,
}

impl<C: Record> Related<C> {
    /// The children of one row, in the relation's order.
    pub fn of(&self, parent: impl AsRef<str>) -> Vec<Entry<C>> {
        let Some(relation) = self.relation else { return Vec::new() };
        self.watch.shared.look(|state| state.core.children(self.watch.id, relation, parent.as_ref()))
    }

    /// How many children one row has, whatever the relation's limit, if the relation is
    /// [counted](crate::Relation::counted): as many as the server says, with what was written here and is not in its
    /// number yet, as far as the rows concerned are known. A refused write does not count.
    pub fn count(&self, parent: impl AsRef<str>) -> u64 {
        let Some(relation) = self.relation else { return 0 };
        self.watch.shared.look(|state| state.core.count(self.watch.id, relation, parent.as_ref()))
    }

    /// What has changed since it was last asked, here or on any other handle for the same relation of the watch.
    pub(crate) fn take(&self) -> RelatedDiff<C> {
        let Some(relation) = self.relation else { return RelatedDiff::default() };
        self.watch.shared.look(|state| state.core.take_related(self.watch.id, relation))
    }
}

/// Names a watch without its row type, and without keeping it alive.
#[derive(Clone)]
pub struct WatchRef {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: WatchId,
    pub(crate) query: Arc<QuerySpec>,
}

impl WatchRef {
    pub(crate) fn related<C: Record>(&self, field: &str) -> Related<C> {
        let relation = self.query.relation(C::COLLECTION, field);
        Related { watch: self.clone(), relation, _child: PhantomData }
    }
}

impl<C> Clone for Related<C> {
    fn clone(&self) -> Self {
        Self { watch: self.watch.clone(), relation: self.relation, _child: PhantomData }
    }
}

impl<C> fmt::Debug for Related<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Related").field("relation", &self.relation).finish_non_exhaustive()
    }
}
