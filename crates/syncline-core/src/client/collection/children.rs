//! Rows that are the children of others: what is shown of them by parent, and what local effects make of their number.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::WatchId;
use crate::client::collection::{AnyCollection as _, Collection, Overlay};
use crate::client::session::SessionId;
use crate::client::view::Children;
use crate::diff::{Entry, RowState};
use crate::id::{Key, Version};
use crate::record::Record;

impl<R: Record> Collection<R> {
    /// What has changed of the children in a view since somebody looked last, and whether that is all there is.
    pub(crate) fn take_children(&mut self, view: SessionId, watch: WatchId) -> (bool, Vec<Children<R>>) {
        let view = self.views.get_mut(&view);
        view.map(|view| view.take_children(watch, &self.slots)).unwrap_or_default()
    }

    /// The children of one parent, in order.
    pub(crate) fn children(&self, view: SessionId, parent: &str) -> Vec<Entry<R>> {
        self.views.get(&view).map(|view| view.children(parent, &self.slots)).unwrap_or_default()
    }

    /// See [`AnyCollection::begin_children_from`](super::AnyCollection::begin_children_from).
    pub(super) fn begin_with_children(
        &mut self,
        view: SessionId,
        others: &[SessionId],
        parents: &BTreeSet<Key>,
        shown: bool,
    ) {
        let known = self.known_to(others);
        let Some(children) = self.views.get_mut(&view) else { return };
        children.hidden = !shown;
        let is_wanted = |slot: &usize| {
            let row = self.slots[*slot].confirmed();
            let parent = row.and_then(|row| children.parent(row));
            parent.is_some_and(|parent| parents.contains(parent))
        };
        for slot in known.ones().filter(is_wanted).collect::<Vec<_>>() {
            self.add_member(view, slot as u32);
            self.touched.push(slot as u32);
        }
    }

    /// See [`AnyCollection::adjustments`](super::AnyCollection::adjustments).
    pub(super) fn adjustments_of(
        &self,
        view: SessionId,
        overlay: &Overlay,
        told: Option<Version>,
    ) -> BTreeMap<Key, i64> {
        let mut adjustments = BTreeMap::new();
        let Some(view) = self.views.get(&view) else { return adjustments };
        for (key, overlaid) in overlay {
            let is_told = overlaid.applied.is_some_and(|applied| told.is_some_and(|told| applied <= told));
            if overlaid.state != RowState::Pending || is_told {
                continue;
            }
            let confirmed = self.find(key.as_str()).and_then(|slot| self.slots[slot as usize].confirmed());
            let before = confirmed.and_then(|row| view.parent(row));
            let after = overlaid.row.as_ref().and_then(|row| row.as_any().downcast_ref::<R>());
            let after = after.and_then(|row| view.parent(row));
            if before != after {
                before.into_iter().for_each(|parent| *adjustments.entry(parent.into()).or_default() -= 1);
                after.into_iter().for_each(|parent| *adjustments.entry(parent.into()).or_default() += 1);
            }
        }
        adjustments
    }
}
