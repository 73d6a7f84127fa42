//! Rows that leave a collection for an [`Export`](crate::client::Export), and come back.

use std::collections::BTreeSet;
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use crate::client::collection::{AnyCollection as _, Collection, Slot};
use crate::client::export::Form;
use crate::client::session::SessionId;
use crate::client::view::View;
use crate::id::Key;
use crate::record::Record;
use crate::wire::{EncodedRow, push_for_its_type};

/// How much of a result is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// What became of rows that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Began {
    /// They are shown.
    Shown {
        /// Every one of them could be read.
        all: bool,
    },
    /// They are held for the server to complete, and not shown before.
    Hidden {
        /// The views that have some of these rows as others, which stay as they are there.
        beside: BTreeSet<SessionId>,
    },
}

impl<R: Record> Collection<R> {
    /// See [`AnyCollection::write_members`](super::AnyCollection::write_members).
    pub(super) fn write_first_members(
        &self,
        session: SessionId,
        most: Most,
        form: Form,
        into: &mut Vec<u8>,
    ) -> (usize, bool) {
        let Some(view) = self.views.get(&session) else { return (0, false) };
        let (chosen, all) = view.first_members(most.rows, &self.slots);
        let records = chosen.iter().filter_map(|&slot| self.slots.get(slot as usize)?.confirmed());
        // what stands behind a row that is left out would look as if that one were not there
        let (count, fitted) = self.write_rows(records, most, form, into);
        (count, all && fitted)
    }

    /// Writes rows until one does not fit. Says how many there are, and whether these are all of them.
    fn write_rows<'r>(
        &self,
        rows: impl Iterator<Item = &'r R>,
        most: Most,
        form: Form,
        into: &mut Vec<u8>,
    ) -> (usize, bool) {
        let names = self.field_names();
        let mut count = 0;
        for row in rows {
            let before = into.len();
            let written = match form {
                Form::Text => serde_json::to_writer(&mut *into, row).map(|()| into.push(b'\n')),
                Form::Packed => push_for_its_type(into, row, &names),
            };
            if written.is_err() || into.len() > most.bytes {
                into.truncate(before);
                return (count, false);
            }
            count += 1;
        }
        (count, true)
    }

    /// See [`AnyCollection::write_children`](super::AnyCollection::write_children).
    pub(super) fn write_children_of(
        &self,
        view: SessionId,
        parents: &BTreeSet<Key>,
        most: Most,
        form: Form,
        into: &mut Vec<u8>,
    ) -> (usize, bool) {
        let Some(view) = self.views.get(&view) else { return (0, false) };
        let records = view.members.ones().filter_map(|slot| self.slots.get(slot)?.confirmed());
        let theirs =
            records.filter(|record| view.parent(record).is_some_and(|parent| parents.contains(parent)));
        self.write_rows(theirs, most, form, into)
    }

    /// See [`AnyCollection::begin_stored`](super::AnyCollection::begin_stored).
    pub(super) fn begin_with(
        &mut self,
        session: SessionId,
        rows: &[EncodedRow<'_>],
        fields: &[Box<str>],
    ) -> Began {
        let records: Vec<Arc<R>> = rows.iter().filter_map(|row| self.read(*row, fields).ok()).collect();
        let all = records.len() == rows.len();
        self.make_room(records.len());
        let mut beside = BTreeSet::new();
        let mut members = FixedBitSet::with_capacity(self.slots.len() + records.len());
        for record in records {
            let slot = self.restore(session, record, &mut beside);
            members.grow(slot as usize + 1);
            members.insert(slot as usize);
            self.touched.push(slot);
        }
        if let Some(view) = self.views.get_mut(&session) {
            view.hidden = !beside.is_empty();
            let before = std::mem::replace(&mut view.members, members);
            self.touched.extend(before.ones().map(|slot| slot as u32));
        }
        if beside.is_empty() { Began::Shown { all } } else { Began::Hidden { beside } }
    }

    /// The slot of a row's key. The row stands there now, unless other views have it as another one, which are added to
    /// those `beside`. Nothing has been heard of it from the server.
    fn restore(&mut self, session: SessionId, record: Arc<R>, beside: &mut BTreeSet<SessionId>) -> u32 {
        let Some(slot) = self.find(record.key()) else {
            let slot = self.allocate(Slot { confirmed: Some(record), shown: None });
            self.enter(slot);
            return slot;
        };
        let confirmed = &mut self.slots[slot as usize].confirmed;
        if confirmed.as_deref() != Some(&*record) {
            let has_it =
                |(view, it): &(&SessionId, &View<R>)| **view != session && it.members.contains(slot as usize);
            let mut others = self.views.iter().filter(has_it).map(|(&view, _)| view).peekable();
            if confirmed.is_none() || others.peek().is_none() {
                *confirmed = Some(record);
            } else {
                beside.extend(others);
            }
        }
        slot
    }
}
