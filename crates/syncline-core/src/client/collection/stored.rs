//! Rows that leave a collection for an [`Export`](crate::client::Export), and come back.

use std::collections::BTreeSet;
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use crate::client::collection::{Collection, Slot};
use crate::client::session::SessionId;
use crate::id::Key;
use crate::record::Record;

/// How much of a result is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// What became of rows that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Began {
    /// They are shown.
    Shown {
        /// Every one of them could be read.
        all: bool,
    },
    /// They contradict rows that are newer, so they are held for the server to complete, and not shown before.
    Hidden,
    /// They are of no use.
    Refused,
}

impl<R: Record> Collection<R> {
    /// See [`AnyCollection::write_members`](super::AnyCollection::write_members).
    pub(super) fn write_first_members(&self, session: SessionId, most: Most, into: &mut Vec<u8>) -> bool {
        let Some(view) = self.views.get(&session) else { return false };
        let (chosen, mut all) = view.first_members(most.rows, &self.slots);
        for slot in chosen {
            let Some(record) = self.slots.get(slot as usize).and_then(Slot::confirmed) else { continue };
            let before = into.len();
            let fits = serde_json::to_writer(&mut *into, record).is_ok() && into.len() < most.bytes;
            if !fits {
                into.truncate(before);
                all = false;
                // what stands behind a row that is left out would look as if that one were not there
                break;
            }
            into.push(b'\n');
        }
        all
    }

    /// See [`AnyCollection::write_children`](super::AnyCollection::write_children).
    pub(super) fn write_children_of(
        &self,
        view: SessionId,
        parents: &BTreeSet<Key>,
        most: Most,
        into: &mut Vec<u8>,
    ) -> (usize, bool) {
        let Some(view) = self.views.get(&view) else { return (0, false) };
        let mut count = 0;
        for slot in view.members.ones() {
            let Some(record) = self.slots.get(slot).and_then(Slot::confirmed) else { continue };
            if !view.parent(record).is_some_and(|parent| parents.contains(parent)) {
                continue;
            }
            let before = into.len();
            if serde_json::to_writer(&mut *into, record).is_err() || into.len() >= most.bytes {
                into.truncate(before);
                return (count, false);
            }
            into.push(b'\n');
            count += 1;
        }
        (count, true)
    }

    /// See [`AnyCollection::begin_stored`](super::AnyCollection::begin_stored).
    pub(super) fn begin_with(
        &mut self,
        session: SessionId,
        rows: &mut dyn Iterator<Item = &[u8]>,
        others_are_ahead: bool,
    ) -> Began {
        if !self.views.contains_key(&session) {
            return Began::Refused;
        }
        let (mut all, mut records) = (true, Vec::<Arc<R>>::new());
        for row in rows {
            match serde_json::from_slice::<R>(row) {
                Ok(record) => records.push(Arc::new(record)),
                Err(_) => all = false,
            }
        }
        let differs = |record: &Arc<R>| {
            let there = self.find(record.key()).and_then(|slot| self.slots.get(slot as usize));
            there.and_then(Slot::confirmed).is_some_and(|confirmed| confirmed != &**record)
        };
        let contradicted = records.iter().any(differs);
        if contradicted && !others_are_ahead {
            return Began::Refused;
        }
        let mut members = FixedBitSet::with_capacity(self.slots.len() + records.len());
        for record in records {
            let slot = self.restore(record);
            members.grow(slot as usize + 1);
            if !members.put(slot as usize) {
                self.slots[slot as usize].held += 1;
            }
            self.touched.push(slot);
        }
        let Some(view) = self.views.get_mut(&session) else { return Began::Refused };
        view.hidden = contradicted;
        for slot in std::mem::replace(&mut view.members, members).ones() {
            self.slots[slot].held -= 1;
            self.touched.push(slot as u32);
        }
        if contradicted { Began::Hidden } else { Began::Shown { all } }
    }

    /// The slot of a row's key; the row stands there now, unless one does already, which then is newer or equal.
    /// Nothing has been heard of it from the server.
    fn restore(&mut self, record: Arc<R>) -> u32 {
        match self.find(record.key()) {
            Some(slot) => {
                self.slots[slot as usize].confirmed.get_or_insert(record);
                slot
            }
            None => {
                let slot = self.allocate(Slot { confirmed: Some(record), shown: None, held: 0 });
                self.enter(slot);
                slot
            }
        }
    }
}
