//! The typed rows of one collection in one space: the confirmed base, what is shown of it, and the views on it.

mod any;
mod children;
mod stored;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::Arc;

use fixedbitset::FixedBitSet;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use serde_json::{Map, Value};

use crate::client::WatchId;
use crate::client::export::Form;
use crate::client::session::SessionId;
use crate::client::short_map::{ShortMap, ValuesMut as _};
use crate::client::view::View;
use crate::diff::{Diff, Entry, RowState};
use crate::error::Error;
use crate::id::{Key, Version};
use crate::query::{CompiledQuery, CompiledRelation, QuerySpec};
use crate::read_json::read_json;
use crate::record::{AnyRow, Record, downcast};
use crate::schema::{CollectionDef, Undecodable};
use crate::wire::{self, EncodedRow};

pub(crate) use any::{AnyCollection, Changed, Overlaid, Overlay};
pub(crate) use stored::{Began, Most};

/// A change of more rows than this, and of more than a quarter of all, rebuilds the views instead of editing them.
const MANY: usize = 256;

/// One row's place. Slots are numbered, so that views are lists of numbers.
pub(crate) struct Slot<R> {
    confirmed: Option<Arc<R>>,
    /// What views show; differs from `confirmed` under local effects, and while a commit is being prepared.
    pub(crate) shown: Option<Entry<R>>,
}

impl<R: Record> Slot<R> {
    /// What the server says the row is.
    pub(crate) fn confirmed(&self) -> Option<&R> {
        self.confirmed.as_deref()
    }

    fn key(&self) -> &str {
        match (&self.confirmed, &self.shown) {
            (Some(record), _) => record.key(),
            (None, Some(entry)) => entry.key(),
            (None, None) => "",
        }
    }
}

/// See the [module](self).
pub(crate) struct Collection<R> {
    def: CollectionDef,
    slots: Vec<Slot<R>>,
    free: Vec<u32>,
    /// Slots by key; the key itself stands in the row.
    index: HashTable<u32>,
    hasher: FixedState,
    views: ShortMap<SessionId, View<R>>,
    /// Slots that a commit has to look at.
    touched: Vec<u32>,
    /// Slots of which the server has said something since the last commit: those of `touched` that came in a frame.
    heard: Vec<u32>,
}

impl<R: Record> Collection<R> {
    pub(crate) fn new() -> Self {
        Self {
            def: CollectionDef::of::<R>(),
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: FixedState::default(),
            views: ShortMap::new(),
            touched: Vec::new(),
            heard: Vec::new(),
        }
    }

    pub(crate) fn take(&mut self, session: SessionId, watch: WatchId) -> Vec<Diff<R>> {
        self.views.get_mut(&session).map(|view| view.take(watch, &self.slots)).unwrap_or_default()
    }

    pub(crate) fn entries(&self, session: SessionId) -> Vec<Entry<R>> {
        self.views.get(&session).map(|view| view.entries(&self.slots)).unwrap_or_default()
    }

    /// What is shown of the row at a key.
    pub(crate) fn shown(&self, key: &str) -> Option<&Entry<R>> {
        self.slots[self.find(key)? as usize].shown.as_ref()
    }

    /// The slots of all members of these views.
    fn known_to(&self, views: &[SessionId]) -> FixedBitSet {
        let mut known = FixedBitSet::with_capacity(self.slots.len());
        for view in views.iter().filter_map(|view| self.views.get(view)) {
            known.union_with(&view.members);
        }
        known
    }

    fn find(&self, key: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.index.find(hash, |&slot| self.slots[slot as usize].key() == key).copied()
    }

    fn allocate(&mut self, slot: Slot<R>) -> u32 {
        if let Some(free) = self.free.pop() {
            self.slots[free as usize] = slot;
            return free;
        }
        self.slots.push(slot);
        (self.slots.len() - 1) as u32
    }

    /// Makes room for so many rows at once.
    fn make_room(&mut self, rows: usize) {
        let Self { index, slots, hasher, touched, heard, .. } = self;
        let more = rows.saturating_sub(slots.len());
        slots.reserve(more);
        touched.reserve(rows);
        heard.reserve(rows);
        index.reserve(more, |&slot| hasher.hash_one(slots[slot as usize].key()));
    }

    /// Puts a slot into the index by the key it has now.
    fn enter(&mut self, slot: u32) {
        let Self { index, slots, hasher, .. } = self;
        let hash = |slot: u32| hasher.hash_one(slots[slot as usize].key());
        index.insert_unique(hash(slot), slot, |&other| hash(other));
    }

    fn upsert_record(&mut self, record: Arc<R>) -> u32 {
        let slot = match self.find(record.key()) {
            Some(slot) => {
                let confirmed = &mut self.slots[slot as usize].confirmed;
                // an equal row keeps its identity, so that nobody is told of it
                if confirmed.as_deref() != Some(&*record) {
                    *confirmed = Some(record);
                }
                slot
            }
            None => {
                let slot = self.allocate(Slot { confirmed: Some(record), shown: None });
                self.enter(slot);
                slot
            }
        };
        self.hear(slot);
        slot
    }

    fn hear(&mut self, slot: u32) {
        self.touched.push(slot);
        self.heard.push(slot);
    }

    /// What cannot be read as packed may still be read as the JSON it stands for, and if not, that says why.
    fn unpack(&self, fields: &[Box<str>], values: &[u8]) -> Result<Arc<R>, Undecodable> {
        wire::unpack::<R>(fields, values).map(Arc::new).or_else(|_| {
            let row = wire::unpack::<Map<String, Value>>(fields, values).unwrap_or_default();
            // a map with text keys can always be written to memory
            self.decode(&serde_json::to_vec(&row).unwrap_or_default())
        })
    }

    fn read(&self, row: EncodedRow<'_>, fields: &[Box<str>]) -> Result<Arc<R>, Undecodable> {
        match row {
            EncodedRow::Json(json) => self.decode(json),
            EncodedRow::Packed(values) => self.unpack(fields, values),
        }
    }

    fn decode(&self, json: &[u8]) -> Result<Arc<R>, Undecodable> {
        let record = read_json::<R>(json);
        record.map(Arc::new).map_err(|error| self.def.undecodable(json, &error))
    }

    /// What a slot is to show, and whether local effects are in it.
    fn next(&self, slot: u32, overlay: &Overlay) -> (Option<Entry<R>>, bool) {
        let slot = &self.slots[slot as usize];
        match overlay.get(slot.key()) {
            Some(overlaid) => (entry(overlaid), true),
            None => {
                let confirmed = slot.confirmed.as_ref();
                (
                    confirmed.map(|record| Entry { record: Arc::clone(record), state: RowState::Confirmed }),
                    false,
                )
            }
        }
    }

    /// Sets what a slot shows, after the views know; frees it when it shows and holds nothing.
    fn show(&mut self, slot: u32, next: Option<Entry<R>>) {
        let place = &mut self.slots[slot as usize];
        if next.is_none() && place.confirmed.is_none() {
            let hash = self.hasher.hash_one(place.key());
            if let Ok(found) = self.index.find_entry(hash, |&other| other == slot) {
                found.remove();
                self.free.push(slot);
            }
        }
        self.slots[slot as usize].shown = next;
    }

    fn commit_few(&mut self, targets: &[u32], overlay: &Overlay, changed: &mut Changed) {
        for &slot in targets {
            let (next, overlaid) = self.next(slot, overlay);
            for (&session, view) in &mut self.views {
                if view.reconcile(slot, next.as_ref(), overlaid, &self.slots) && !changed.contains(&session) {
                    changed.push(session);
                }
            }
            self.show(slot, next);
        }
    }

    fn commit_many(&mut self, targets: &[u32], overlay: &Overlay, changed: &mut Changed) {
        let mut rebuilt = BTreeSet::new();
        self.views.values_mut().for_each(View::make_room);
        for &slot in targets {
            let (next, overlaid) = self.next(slot, overlay);
            let old = self.slots[slot as usize].shown.as_ref();
            for (&session, view) in &mut self.views {
                if view.mark(slot, old, next.as_ref(), overlaid) {
                    rebuilt.insert(session);
                }
            }
            self.show(slot, next);
        }
        for session in &rebuilt {
            if let Some(view) = self.views.get_mut(session) {
                view.rebuild(&self.slots);
            }
        }
        changed.extend(rebuilt);
    }
}

/// Whether any view has it as a member.
fn is_held<R>(slot: u32, views: &ShortMap<SessionId, View<R>>) -> bool {
    views.values().any(|view| view.members.contains(slot as usize))
}

/// Keeps its memory for the next change of a few rows, and not that of a snapshot.
fn empty(slots: &mut Vec<u32>) {
    slots.clear();
    slots.shrink_to(MANY);
}

fn entry<R: Record>(overlaid: &Overlaid) -> Option<Entry<R>> {
    let record = downcast(Arc::clone(overlaid.row.as_ref()?))?;
    Some(Entry { record, state: overlaid.state.clone() })
}

impl<R: Record> AnyCollection for Collection<R> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn confirmed(&self, key: &str) -> Option<Arc<dyn AnyRow>> {
        let record = self.slots[self.find(key)? as usize].confirmed.as_ref()?;
        Some(Arc::clone(record) as Arc<dyn AnyRow>)
    }

    fn all_confirmed(&self) -> Vec<Arc<dyn AnyRow>> {
        // what only a stopped list has may be long gone
        let one_follows = self.views.values().any(|view| !view.parked);
        let counts = |view: &View<R>, slot| (!view.parked || !one_follows) && view.members.contains(slot);
        let is_there = |slot| self.views.values().any(|view| counts(view, slot));
        let rows = self.slots.iter().enumerate().filter(|(slot, _)| is_there(*slot));
        let rows = rows.filter_map(|(_, slot)| slot.confirmed.as_ref());
        rows.map(|row| Arc::clone(row) as Arc<dyn AnyRow>).collect()
    }

    fn open_view(&mut self, session: SessionId, query: &QuerySpec) -> Result<(), Error> {
        let view = View::new(CompiledQuery::new(query, self.def.fields)?);
        self.views.insert(session, view);
        Ok(())
    }

    fn open_children(&mut self, view: SessionId, relation: CompiledRelation) {
        self.views.insert(view, View::of_children(relation));
    }

    fn begin_children_from(
        &mut self,
        view: SessionId,
        others: &[SessionId],
        parents: &BTreeSet<Key>,
        shown: bool,
    ) {
        self.begin_with_children(view, others, parents, shown);
    }

    fn adjustments(&self, view: SessionId, overlay: &Overlay, told: Option<Version>) -> BTreeMap<Key, i64> {
        self.adjustments_of(view, overlay, told)
    }

    fn begin_from(&mut self, session: SessionId, others: &[SessionId], shown: bool) {
        let known = self.known_to(others);
        let Some(view) = self.views.get_mut(&session) else { return };
        view.hidden = !shown;
        for slot in view.choose(known.ones().map(|slot| slot as u32), &self.slots) {
            self.add_member(session, slot);
            self.touched.push(slot);
        }
    }

    fn begin_stored(&mut self, session: SessionId, rows: &[EncodedRow<'_>], fields: &[Box<str>]) -> Began {
        self.begin_with(session, rows, fields)
    }

    fn field_names(&self) -> Vec<Box<str>> {
        self.def.fields.iter().map(|field| field.name.into()).collect()
    }

    fn write_members(&self, session: SessionId, most: Most, form: Form, into: &mut Vec<u8>) -> (usize, bool) {
        self.write_first_members(session, most, form, into)
    }

    fn first_keys(&self, session: SessionId, count: usize) -> BTreeSet<Key> {
        let Some(view) = self.views.get(&session) else { return BTreeSet::new() };
        let (slots, _) = view.first_members(count, &self.slots);
        slots.into_iter().map(|slot| self.slots[slot as usize].key().into()).collect()
    }

    fn write_children(
        &self,
        view: SessionId,
        parents: &BTreeSet<Key>,
        most: Most,
        form: Form,
        into: &mut Vec<u8>,
    ) -> (usize, bool) {
        self.write_children_of(view, parents, most, form, into)
    }

    fn hold_to_query(&mut self, view: SessionId) {
        if let Some(view) = self.views.get_mut(&view) {
            view.held_to_query = true;
        }
    }

    fn park_view(&mut self, view: SessionId) {
        if let Some(view) = self.views.get_mut(&view) {
            view.parked = true;
        }
    }

    fn close_view(&mut self, session: SessionId) {
        let Some(view) = self.views.remove(&session) else { return };
        self.touched.extend(view.members.ones().map(|slot| slot as u32));
    }

    fn observe(&mut self, session: SessionId, watch: WatchId) {
        if let Some(view) = self.views.get_mut(&session) {
            view.observe(watch);
        }
    }

    fn unobserve(&mut self, session: SessionId, watch: WatchId) {
        if let Some(view) = self.views.get_mut(&session) {
            view.unobserve(watch);
        }
    }

    fn begin_incoming(&mut self, session: SessionId) {
        if let Some(view) = self.views.get_mut(&session) {
            view.incoming = Some(Vec::new());
        }
    }

    fn incoming_row(
        &mut self,
        session: SessionId,
        row: EncodedRow<'_>,
        fields: &[Box<str>],
    ) -> Result<(), Undecodable> {
        let record = self.read(row, fields)?;
        if let Some(incoming) = self.views.get_mut(&session).and_then(|view| view.incoming.as_mut()) {
            incoming.push(record);
        }
        Ok(())
    }

    fn drop_incoming(&mut self, session: SessionId) {
        if let Some(view) = self.views.get_mut(&session) {
            view.incoming = None;
        }
    }

    fn finish_snapshot(&mut self, session: SessionId) {
        let Some(records) = self.views.get_mut(&session).and_then(|view| view.incoming.take()) else {
            return;
        };
        self.make_room(records.len());
        let mut members = FixedBitSet::with_capacity(self.slots.len() + records.len());
        for record in records {
            members.insert(self.upsert_record(record) as usize);
        }
        let Some(view) = self.views.get_mut(&session) else { return };
        self.touched.extend(view.complete());
        for slot in std::mem::replace(&mut view.members, members).ones() {
            self.hear(slot as u32);
        }
    }

    fn finish_resume(&mut self, session: SessionId) -> Vec<u32> {
        self.complete_view(session);
        let incoming = self.views.get_mut(&session).and_then(|view| view.incoming.take());
        let records = incoming.unwrap_or_default();
        self.make_room(records.len());
        let slots: Vec<u32> = records.into_iter().map(|record| self.upsert_record(record)).collect();
        for &slot in &slots {
            self.add_member(session, slot);
        }
        slots
    }

    fn complete_view(&mut self, session: SessionId) {
        let unsure = self.views.get_mut(&session).map(View::complete);
        self.touched.extend(unsure.unwrap_or_default());
    }

    fn upsert(&mut self, json: &[u8]) -> Result<u32, Undecodable> {
        let record = self.decode(json)?;
        Ok(self.upsert_record(record))
    }

    fn upsert_known(&mut self, row: Arc<dyn AnyRow>) -> Option<u32> {
        Some(self.upsert_record(downcast(row)?))
    }

    fn add_member(&mut self, session: SessionId, slot: u32) -> bool {
        let Some(view) = self.views.get_mut(&session) else { return false };
        view.members.grow(slot as usize + 1);
        !view.members.put(slot as usize)
    }

    fn remove_member(&mut self, session: SessionId, key: &str) -> bool {
        let Some(slot) = self.find(key) else { return false };
        let Some(view) = self.views.get_mut(&session) else { return false };
        let was = view.members.contains(slot as usize);
        if was {
            view.members.remove(slot as usize);
            self.hear(slot);
        }
        was
    }

    fn is_hidden(&self, view: SessionId) -> bool {
        self.views.get(&view).is_some_and(|view| view.hidden)
    }

    fn is_member(&self, session: SessionId, key: &str) -> bool {
        let slot = self.find(key);
        slot.zip(self.views.get(&session)).is_some_and(|(slot, view)| view.members.contains(slot as usize))
    }

    fn family(&self, view: SessionId, parent: &str) -> Vec<Box<str>> {
        let Some(view) = self.views.get(&view) else { return Vec::new() };
        let child = |slot: usize| {
            let row = self.slots.get(slot)?.confirmed()?;
            (view.parent(row) == Some(parent)).then_some(row)
        };
        let mut family: Vec<&R> = view.members.ones().filter_map(child).collect();
        family.sort_by(|a, b| view.compare(a, b));
        family.into_iter().map(|row| row.key().into()).collect()
    }

    fn families(&self, view: SessionId) -> BTreeMap<Box<str>, Vec<Box<str>>> {
        let mut families: BTreeMap<Box<str>, Vec<Box<str>>> = BTreeMap::new();
        let Some(view) = self.views.get(&view) else { return families };
        for row in view.members.ones().filter_map(|slot| self.slots.get(slot)?.confirmed()) {
            if let Some(parent) = view.parent(row) {
                families.entry(parent.into()).or_default().push(row.key().into());
            }
        }
        families
    }

    fn last_of(&self, session: SessionId, slots: &[u32]) -> Option<Arc<dyn AnyRow>> {
        let view = self.views.get(&session)?;
        let rows = slots.iter().filter_map(|&slot| self.slots.get(slot as usize)?.confirmed.as_ref());
        let last = rows.max_by(|a, b| view.compare(a, b))?;
        Some(Arc::clone(last) as Arc<dyn AnyRow>)
    }

    fn is_behind(&self, session: SessionId, slot: u32, other: &dyn AnyRow) -> bool {
        let row = self.slots.get(slot as usize).and_then(Slot::confirmed);
        let other = other.as_any().downcast_ref::<R>();
        let view = self.views.get(&session);
        row.zip(other).zip(view).is_some_and(|((row, other), view)| view.compare(row, other).is_gt())
    }

    fn wants(&self, session: SessionId, slot: u32) -> bool {
        let row = self.slots.get(slot as usize).and_then(Slot::confirmed);
        let view = self.views.get(&session);
        row.zip(view).is_some_and(|(row, view)| view.matches(row))
    }

    fn choose_members(&mut self, session: SessionId, from: SessionId) {
        let known = self.members(from);
        let Some(view) = self.views.get(&session) else { return };
        let mut chosen = FixedBitSet::with_capacity(self.slots.len());
        chosen.extend(view.choose(known.into_iter(), &self.slots).into_iter().map(|slot| slot as usize));
        let mut members = view.members.clone();
        members.grow(self.slots.len());
        self.touched.extend(members.symmetric_difference(&chosen).map(|slot| slot as u32));
        if let Some(view) = self.views.get_mut(&session) {
            view.members = chosen;
        }
    }

    fn holds(&self, key: &str) -> bool {
        self.find(key).is_some_and(|slot| is_held(slot, &self.views))
    }

    fn is_news(&self, key: &str, before: Option<&dyn AnyRow>) -> bool {
        let confirmed = self.find(key).and_then(|slot| self.slots[slot as usize].confirmed());
        confirmed != before.and_then(|row| row.as_any().downcast_ref::<R>())
    }

    fn members(&self, session: SessionId) -> Vec<u32> {
        let members = self.views.get(&session).map(|view| view.members.ones().map(|slot| slot as u32));
        members.into_iter().flatten().collect()
    }

    fn key(&self, slot: u32) -> &str {
        self.slots.get(slot as usize).map_or("", Slot::key)
    }

    fn each_heard(&self, look: &mut dyn FnMut(&str)) {
        self.heard.iter().for_each(|&slot| look(self.slots[slot as usize].key()));
    }

    fn each_touched(&self, look: &mut dyn FnMut(&str)) {
        self.touched.iter().for_each(|&slot| look(self.slots[slot as usize].key()));
    }

    fn evict(&mut self) {
        for &slot in &self.touched {
            let place = &mut self.slots[slot as usize];
            if place.confirmed.is_some() && !is_held(slot, &self.views) {
                // shown keeps the key while the row leaves the base
                if place.shown.is_none() {
                    place.shown =
                        place.confirmed.take().map(|record| Entry { record, state: RowState::Confirmed });
                }
                place.confirmed = None;
            }
        }
    }

    fn commit(&mut self, overlay: &Overlay, replayed: &mut dyn Iterator<Item = &Key>, changed: &mut Changed) {
        empty(&mut self.heard);
        let mut targets = std::mem::take(&mut self.touched);
        for key in replayed {
            if let Some(slot) = self.find(key.as_str()) {
                targets.push(slot);
            } else if let Some(entry) = overlay.get(key).and_then(entry::<R>) {
                // it enters the index with the key of what it will show
                let slot = self.allocate(Slot { confirmed: None, shown: Some(entry) });
                self.enter(slot);
                targets.push(slot);
            }
        }
        targets.sort_unstable();
        targets.dedup();
        if targets.len() > MANY && targets.len() * 4 > self.slots.len() {
            self.commit_many(&targets, overlay, changed);
        } else {
            self.commit_few(&targets, overlay, changed);
        }
        empty(&mut targets);
        self.touched = targets;
    }

    fn is_empty(&self) -> bool {
        self.index.is_empty() && self.views.is_empty()
    }
}
