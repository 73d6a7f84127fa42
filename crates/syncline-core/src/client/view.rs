//! One query's rows in order, and the diffs that lead there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fixedbitset::FixedBitSet;

use crate::client::WatchId;
use crate::client::collection::Slot;
use crate::client::short_map::{ShortMap, ValuesMut as _};
use crate::diff::{Diff, Entry};
use crate::id::Key;
use crate::query::{CompiledQuery, CompiledRelation};
use crate::record::Record;
use crate::scalar::ScalarRef;

/// An observer that has not taken this many diffs gets a `Reset` instead.
const MAX_WAITING_DIFFS: usize = 4096;

/// The children of one parent, in order.
pub(crate) type Children<R> = (Key, Vec<Entry<R>>);

/// The rows of one session's query, or the children of them all.
pub(crate) struct View<R> {
    query: CompiledQuery,
    /// Its rows are children: they stand by parent, and are looked at by parent.
    families: Option<Families>,
    /// Rows that the server says are in the result, by slot.
    pub(crate) members: FixedBitSet,
    /// Rows that are in `order`, by slot.
    present: FixedBitSet,
    /// Slots, sorted by the query's order over what they show.
    order: Vec<u32>,
    /// It has been complete once.
    loaded: bool,
    /// Its members are part of a result that is still to come, and not shown: they could be half of a write.
    pub(crate) hidden: bool,
    /// Members show only as long as the query wants them: others may change rows before their own list is told.
    pub(crate) held_to_query: bool,
    /// The same while nobody looks at it, and until the server has said again what is in it: it may be long gone.
    pub(crate) parked: bool,
    /// The rows of an answer that is still coming in.
    pub(crate) incoming: Option<Vec<Arc<R>>>,
    observers: ShortMap<WatchId, Observer<R>>,
}

struct Families {
    relation: CompiledRelation,
    /// The parents whose children have changed since somebody looked last; `None` stands for all.
    readers: BTreeMap<WatchId, Option<BTreeSet<Key>>>,
}

struct Observer<R> {
    diffs: Vec<Diff<R>>,
    reset: bool,
}

impl<R: Record> View<R> {
    pub(crate) fn new(query: CompiledQuery) -> Self {
        Self {
            query,
            families: None,
            members: FixedBitSet::new(),
            present: FixedBitSet::new(),
            order: Vec::new(),
            loaded: false,
            hidden: false,
            held_to_query: false,
            parked: false,
            incoming: None,
            observers: ShortMap::new(),
        }
    }

    pub(crate) fn of_children(relation: CompiledRelation) -> Self {
        let query = relation.by_parent();
        let families = Some(Families { relation, readers: BTreeMap::new() });
        Self { families, ..Self::new(query) }
    }

    /// The parent that a row is a child of here.
    pub(crate) fn parent<'a>(&self, row: &'a R) -> Option<&'a str> {
        self.families.as_ref()?.relation.parent(row)
    }

    /// The children that have changed since somebody looked last, by parent, and whether these are all there are.
    pub(crate) fn take_children(&mut self, watch: WatchId, slots: &[Slot<R>]) -> (bool, Vec<Children<R>>) {
        let Some(families) = &mut self.families else { return (false, Vec::new()) };
        let changed = families.readers.entry(watch).or_default().replace(BTreeSet::new());
        match changed {
            Some(parents) => {
                let children = |parent: Key| {
                    let children = self.children(parent.as_str(), slots);
                    (parent, children)
                };
                (false, parents.into_iter().map(children).collect())
            }
            None => (true, self.all_children(slots)),
        }
    }

    fn all_children(&self, slots: &[Slot<R>]) -> Vec<Children<R>> {
        let mut all: Vec<Children<R>> = Vec::new();
        for entry in entries(&self.order, slots) {
            let Some(parent) = self.parent(&entry.record).map(Key::from) else { continue };
            match all.last_mut() {
                Some((last, children)) if *last == parent => children.push(entry),
                _ => all.push((parent, vec![entry])),
            }
        }
        all
    }

    /// The children of one parent, in order.
    pub(crate) fn children(&self, parent: &str, slots: &[Slot<R>]) -> Vec<Entry<R>> {
        let Some(families) = &self.families else { return Vec::new() };
        let (field, parent) = (families.relation.field(), ScalarRef::Text(parent));
        let shown = |slot: u32| slots[slot as usize].shown.as_ref();
        let of = |slot: u32| shown(slot).map_or(ScalarRef::Null, |entry| entry.record.field(field));
        let start = self.order.partition_point(|&slot| of(slot) < parent);
        let children = self.order[start..].iter().take_while(|&&slot| of(slot) == parent);
        children.filter_map(|&slot| shown(slot).cloned()).collect()
    }

    /// Children have come, gone or changed.
    fn note_family(&mut self, entries: [Option<&Entry<R>>; 2]) {
        let Some(Families { relation, readers }) = &mut self.families else { return };
        for parent in entries.into_iter().flatten().filter_map(|entry| relation.parent(&*entry.record)) {
            for reader in readers.values_mut() {
                if let Some(parents) = reader
                    && !parents.contains(parent)
                {
                    parents.insert(parent.into());
                    if parents.len() > MAX_WAITING_DIFFS {
                        *reader = None;
                    }
                }
            }
        }
    }

    /// Those rows among these that the query wants of what is confirmed of them: the first ones, when it has a limit.
    pub(crate) fn choose(&self, slots: impl Iterator<Item = u32>, rows: &[Slot<R>]) -> Vec<u32> {
        let row = |slot: u32| rows.get(slot as usize).and_then(Slot::confirmed);
        let mut chosen: Vec<u32> =
            slots.filter(|&slot| row(slot).is_some_and(|row| self.query.matches(row))).collect();
        if let Some(limit) = self.query.limit.filter(|&limit| limit < chosen.len()) {
            chosen.sort_by(|&a, &b| match (row(a), row(b)) {
                (Some(a), Some(b)) => self.query.compare(a, b),
                (a, b) => b.is_some().cmp(&a.is_some()),
            });
            chosen.truncate(limit);
        }
        chosen
    }

    /// How two rows stand to each other in the query's order.
    pub(crate) fn compare(&self, a: &R, b: &R) -> std::cmp::Ordering {
        self.query.compare(a, b)
    }

    /// Whether the query wants this row.
    pub(crate) fn matches(&self, row: &R) -> bool {
        self.query.matches(row)
    }

    /// The first members in the order of what is confirmed of them, at most so many, and whether they are all.
    pub(crate) fn first_members(&self, most: usize, rows: &[Slot<R>]) -> (Vec<u32>, bool) {
        let row = |slot: u32| rows.get(slot as usize).and_then(Slot::confirmed);
        let compare = |a: &u32, b: &u32| match (row(*a), row(*b)) {
            (Some(a), Some(b)) => self.query.compare(a, b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        let mut members: Vec<u32> = self.members.ones().map(|slot| slot as u32).collect();
        let all = members.len() <= most;
        if !all {
            members.select_nth_unstable_by(most, compare);
            members.truncate(most);
        }
        members.sort_unstable_by(compare);
        (members, all)
    }

    /// A new observer starts with a `Reset`.
    pub(crate) fn observe(&mut self, watch: WatchId) {
        self.observers.insert(watch, Observer { diffs: Vec::new(), reset: true });
    }

    pub(crate) fn unobserve(&mut self, watch: WatchId) {
        self.observers.remove(&watch);
        if let Some(families) = &mut self.families {
            families.readers.remove(&watch);
        }
    }

    pub(crate) fn take(&mut self, watch: WatchId, slots: &[Slot<R>]) -> Vec<Diff<R>> {
        let Some(observer) = self.observers.get_mut(&watch) else { return Vec::new() };
        if observer.reset {
            observer.reset = false;
            return vec![Diff::Reset(entries(&self.order, slots))];
        }
        std::mem::take(&mut observer.diffs)
    }

    pub(crate) fn entries(&self, slots: &[Slot<R>]) -> Vec<Entry<R>> {
        entries(&self.order, slots)
    }

    /// Brings the view in line with one slot that is about to show `next` instead of what it shows now. To be called
    /// for one slot after the other, each before `Slot::shown` changes: the order stays searchable throughout.
    /// Returns whether anything changed.
    pub(crate) fn reconcile(
        &mut self,
        slot: u32,
        next: Option<&Entry<R>>,
        overlaid: bool,
        slots: &[Slot<R>],
    ) -> bool {
        let index = slot as usize;
        let old = slots[index].shown.as_ref().filter(|_| self.present.contains(index));
        let next = next.filter(|entry| self.wants(index, entry, overlaid));
        let changed = match (old, next) {
            (None, None) => false,
            (Some(old), None) => {
                let at = self.take_out(slot, old, slots);
                self.present.remove(index);
                self.emit(|| Diff::Remove { index: at, key: Key::from(old.key()) });
                true
            }
            (None, Some(entry)) => {
                let at = self.put_in(slot, entry, slots);
                self.present.grow_and_insert(index);
                self.emit(|| Diff::Insert { index: at, entry: entry.clone() });
                true
            }
            (Some(old), Some(entry)) if old.same(entry) => false,
            (Some(old), Some(entry)) if self.query.compare_order(&*old.record, &*entry.record).is_eq() => {
                self.emit(|| Diff::Update { entry: entry.clone() });
                true
            }
            (Some(old), Some(entry)) => {
                let from = self.take_out(slot, old, slots);
                let to = self.put_in(slot, entry, slots);
                if from == to {
                    self.emit(|| Diff::Update { entry: entry.clone() });
                } else {
                    self.emit(|| Diff::Move { from, to, entry: entry.clone() });
                }
                true
            }
        };
        if changed {
            self.note_family([old, next]);
        }
        changed
    }

    /// Makes room for the first rows at once: a list that grows by and by leaves holes behind, and takes too much.
    pub(crate) fn make_room(&mut self) {
        if self.order.is_empty() {
            self.order.reserve_exact(self.members.count_ones(..));
        }
    }

    /// Notes, for a change of many rows, whether a slot is to be in the view. Returns whether anything changed; then
    /// [`rebuild`](Self::rebuild) must follow.
    pub(crate) fn mark(
        &mut self,
        slot: u32,
        old: Option<&Entry<R>>,
        next: Option<&Entry<R>>,
        overlaid: bool,
    ) -> bool {
        let index = slot as usize;
        let was = self.present.contains(index);
        match next.filter(|entry| self.wants(index, entry, overlaid)) {
            Some(entry) if was => !old.is_some_and(|old| old.same(entry)),
            Some(_) => {
                self.present.grow_and_insert(index);
                self.order.push(slot);
                true
            }
            None if was => {
                self.present.remove(index);
                true
            }
            None => false,
        }
    }

    /// Sorts anew after [`mark`](Self::mark); every observer gets a `Reset`.
    pub(crate) fn rebuild(&mut self, slots: &[Slot<R>]) {
        let (present, query) = (&self.present, &self.query);
        self.order.retain(|&slot| present.contains(slot as usize));
        self.order.sort_by(|&a, &b| match (&slots[a as usize].shown, &slots[b as usize].shown) {
            (Some(a), Some(b)) => query.compare(&*a.record, &*b.record),
            (a, b) => a.is_some().cmp(&b.is_some()),
        });
        for observer in self.observers.values_mut() {
            observer.reset = true;
            observer.diffs.clear();
        }
        if let Some(families) = &mut self.families {
            families.readers.values_mut().for_each(|reader| *reader = None);
        }
    }

    /// A confirmed row is in when the server says so; a row with local effects when the query wants what it has
    /// become. Before the first snapshot such a row stays when it has been confirmed: the server just did not say so
    /// yet.
    fn wants(&self, index: usize, entry: &Entry<R>, overlaid: bool) -> bool {
        let unsure = overlaid || (!self.loaded && self.present.contains(index));
        let is_in = unsure || (!self.hidden && self.members.contains(index));
        is_in && (!(unsure || self.held_to_query || self.parked) || self.query.matches(&*entry.record))
    }

    /// It is complete; gives the slots that were in, or were left out, only until it would be.
    pub(crate) fn complete(&mut self) -> Vec<u32> {
        let was_loaded = std::mem::replace(&mut self.loaded, true);
        let mut unsure = if was_loaded { Vec::new() } else { self.order.clone() };
        // also of one that was complete for somebody else
        if std::mem::take(&mut self.hidden) | std::mem::take(&mut self.parked) {
            unsure.extend(self.members.ones().map(|slot| slot as u32));
        }
        unsure
    }

    fn position(&self, record: &R, slots: &[Slot<R>]) -> Result<usize, usize> {
        self.order.binary_search_by(|&slot| match &slots[slot as usize].shown {
            Some(entry) => self.query.compare(&*entry.record, record),
            None => std::cmp::Ordering::Less,
        })
    }

    fn take_out(&mut self, slot: u32, entry: &Entry<R>, slots: &[Slot<R>]) -> usize {
        let at = match self.position(&entry.record, slots) {
            Ok(at) if self.order[at] == slot => at,
            // cannot be while keys are unique; a linear look keeps the view right whatever a record's key does
            Ok(near) | Err(near) => self.order.iter().position(|&other| other == slot).unwrap_or(near),
        };
        if at < self.order.len() {
            self.order.remove(at);
        }
        at
    }

    fn put_in(&mut self, slot: u32, entry: &Entry<R>, slots: &[Slot<R>]) -> usize {
        let at = self.position(&entry.record, slots).unwrap_or_else(|at| at);
        self.order.insert(at, slot);
        at
    }

    fn emit(&mut self, diff: impl Fn() -> Diff<R>) {
        for observer in self.observers.values_mut().filter(|observer| !observer.reset) {
            if observer.diffs.len() < MAX_WAITING_DIFFS {
                observer.diffs.push(diff());
            } else {
                observer.reset = true;
                observer.diffs = Vec::new();
            }
        }
    }
}

fn entries<R: Record>(order: &[u32], slots: &[Slot<R>]) -> Vec<Entry<R>> {
    // grown row by row it would leave a hole of its own size behind, and a page's memory never shrinks
    let mut entries = Vec::with_capacity(order.len());
    entries.extend(order.iter().filter_map(|&slot| slots[slot as usize].shown.clone()));
    entries
}
