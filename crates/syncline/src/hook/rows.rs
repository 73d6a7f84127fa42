//! One handle per row, in order, kept in line with a watch by its diffs.
//!
//! An adapter says what a handle is. Which handles live on, which are new, what of them has changed and whether the
//! order did is decided here.

use std::hash::BuildHasher;
use std::marker::PhantomData;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::{Diff, Entry, Record, RowState};

/// One row on the screen, read as signals: its record and its state, each tracked by itself. A clone is the same
/// handle. Its key is that of its record, for life.
pub trait RowHandle<R: Record>: Clone {
    /// The handle, without keeping it alive.
    type Weak;
    /// Whether a handle goes on being shown where its key is in the next list too. A framework that keeps what it has made
    /// for a key, whatever list that is in, needs that; one that makes the views of the next list anew does not, and may
    /// let those of the one before live on for a while with their signals gone: nothing may reach these.
    const STAYS: bool = false;

    /// A new handle.
    fn new(entry: Entry<R>) -> Self;
    /// What it shows; nothing is tracked.
    fn entry(&self) -> Entry<R>;
    /// Shows another record, and tells those who read it.
    fn set_record(&self, record: Arc<R>);
    /// Shows another state, and tells those who read it.
    fn set_state(&self, state: RowState);
    /// The handle, without keeping it alive.
    fn downgrade(&self) -> Self::Weak;
    /// The handle, while anybody else keeps it alive.
    fn upgrade(weak: &Self::Weak) -> Option<Self>;
}

/// The handles of a watch's rows. They stand in order where they are shown, in the one list that a hook's signals hold.
pub struct Handles<R: Record, H: RowHandle<R>> {
    /// Every handle that somebody may still hold, whether it is in the list or not. A framework's keyed list goes by
    /// keys: a row that leaves and comes back before the list has looked, be it in another list, keeps its place on the
    /// screen, and with it the handle it was made with. So that very handle has to come back.
    ///
    /// By key, which stands in the handle. Where one that is gone stands does not matter, for nobody can look for it; it
    /// leaves [before the others move](Self::make_room).
    known: HashTable<H::Weak>,
    hasher: FixedState,
    _record: PhantomData<fn() -> R>,
}

impl<R: Record, H: RowHandle<R>> Handles<R, H> {
    /// No handles.
    pub fn new() -> Self {
        Self { known: HashTable::new(), hasher: FixedState::default(), _record: PhantomData }
    }

    /// Whether the handle of the row at a key is held by anybody; the list does.
    pub fn is_alive(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The handle of the row at a key, and what it shows.
    fn find(&self, key: &str) -> Option<(H, Entry<R>)> {
        let mut found = None;
        self.known.find(self.hasher.hash_one(key), |weak| {
            let row = H::upgrade(weak).map(|row| (row.entry(), row));
            found = row.filter(|(entry, _)| entry.key() == key).map(|(entry, row)| (row, entry));
            found.is_some()
        });
        found
    }

    fn hash(hasher: &FixedState, weak: &H::Weak) -> u64 {
        H::upgrade(weak).map_or(0, |row| hasher.hash_one(row.entry().key()))
    }

    /// Goes over to another list, whose rows get handles of their own unless [those they have stay](RowHandle::STAYS).
    pub fn leave_list(&mut self) {
        if !H::STAYS {
            self.known.clear();
        }
    }

    /// Takes one batch of diffs. A change of a row touches its handle and nothing else; what is to be done to the list is
    /// given back. Whoever is told of a change may look at the list: nothing holds it meanwhile.
    pub fn apply(&mut self, diffs: impl IntoIterator<Item = Diff<R>>) -> Edits<H> {
        Edits(diffs.into_iter().filter_map(|diff| self.apply_one(diff)).collect())
    }

    fn apply_one(&mut self, diff: Diff<R>) -> Option<Edit<H>> {
        Some(match diff {
            Diff::Reset(entries) => Edit::Replace(self.reset(entries)),
            Diff::Insert { index, entry } => Edit::Insert(index, self.show(entry)),
            Diff::Update { entry } => {
                self.show(entry);
                return None;
            }
            Diff::Remove { index, .. } => Edit::Remove(index),
            Diff::Move { from, to, entry } => {
                self.show(entry);
                Edit::Move(from, to)
            }
        })
    }

    /// The first handles of a long list are the most memory that a page ever takes, and it never gives any back: so the
    /// list of entries becomes that of handles, and what of it is left over is free before `known` grows.
    fn reset(&mut self, entries: Vec<Entry<R>>) -> Vec<H> {
        let (is_first, all) = (self.known.is_empty(), entries.len());
        let handle = |entry| if is_first { H::new(entry) } else { self.show(entry) };
        let mut rows: Vec<H> = entries.into_iter().map(handle).collect();
        rows.shrink_to_fit();
        if is_first {
            self.known.reserve(all, |weak| Self::hash(&self.hasher, weak));
            rows.iter().for_each(|row| self.know(row));
        }
        rows
    }

    fn know(&mut self, row: &H) {
        self.make_room();
        let hash = self.hasher.hash_one(row.entry().key());
        self.known.insert_unique(hash, row.downgrade(), |weak| Self::hash(&self.hasher, weak));
    }

    /// When more room is needed all that is known moves. Handles that are gone have no key to find a place by: they would
    /// all go to one, each past those before it. So they leave first; and if that gives little, there is more room at once,
    /// or every row that comes would have all the others looked at.
    fn make_room(&mut self) {
        if self.known.len() == self.known.capacity() {
            self.known.retain(|weak| H::upgrade(weak).is_some());
            self.known.reserve(self.known.len() / 2, |weak| Self::hash(&self.hasher, weak));
        }
    }

    /// The handle of the entry's key, showing the entry.
    fn show(&mut self, entry: Entry<R>) -> H {
        if let Some((row, shown)) = self.find(entry.key()) {
            if !Arc::ptr_eq(&shown.record, &entry.record) && shown.record != entry.record {
                row.set_record(entry.record);
            }
            if shown.state != entry.state {
                row.set_state(entry.state);
            }
            return row;
        }
        let row = H::new(entry);
        self.know(&row);
        row
    }

    /// Lets go of keys whose handles nobody holds, once they are the most of what is known. To be called when a list of so
    /// many rows has taken over its edits.
    pub fn forget(&mut self, rows: usize) {
        if self.known.len() > 2 * rows + 32 {
            self.known.retain(|weak| H::upgrade(weak).is_some());
        }
    }
}

impl<R: Record, H: RowHandle<R>> Default for Handles<R, H> {
    fn default() -> Self {
        Self::new()
    }
}

/// What a batch of diffs does to the list of handles.
#[must_use = "the list is not in line before it has taken them over"]
pub struct Edits<H>(Vec<Edit<H>>);

enum Edit<H> {
    Replace(Vec<H>),
    Insert(usize, H),
    Remove(usize),
    Move(usize, usize),
}

impl<H> Edits<H> {
    /// Whether they leave the list as it is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether they make another sequence of keys of the list.
    pub fn reorder<R: Record>(&self, list: &[H]) -> bool
    where
        H: RowHandle<R>,
    {
        match &*self.0 {
            [] => false,
            [Edit::Replace(rows)] => {
                rows.len() != list.len()
                    || rows.iter().zip(list).any(|(a, b)| a.entry().key() != b.entry().key())
            }
            _ => true,
        }
    }

    /// Brings the list in line. Gives the handles that leave it: what they own is other people's code, which may look at
    /// the list when it is dropped.
    #[must_use = "to be dropped once nothing holds the list"]
    pub fn apply(self, list: &mut Vec<H>) -> Vec<H> {
        let mut gone = Vec::new();
        for edit in self.0 {
            match edit {
                Edit::Replace(rows) => gone.append(&mut std::mem::replace(list, rows)),
                Edit::Insert(index, row) => list.insert(index.min(list.len()), row),
                Edit::Remove(index) => gone.extend(take_out(list, index)),
                Edit::Move(from, to) => {
                    if let Some(row) = take_out(list, from) {
                        list.insert(to.min(list.len()), row);
                    }
                }
            }
        }
        gone
    }
}

fn take_out<H>(list: &mut Vec<H>, index: usize) -> Option<H> {
    debug_assert!(index < list.len(), "a diff names a row beyond the end");
    (index < list.len()).then(|| list.remove(index))
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::{Rc, Weak};

    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
    #[record(collection = "todos", key = id, crate = crate)]
    struct Todo {
        id: String,
        text: String,
    }

    /// A handle that counts how often it was told something else.
    #[derive(Clone)]
    struct Handle(Rc<Inner>);

    struct Inner {
        entry: RefCell<Entry<Todo>>,
        told: Cell<usize>,
    }

    impl RowHandle<Todo> for Handle {
        type Weak = Weak<Inner>;

        fn new(entry: Entry<Todo>) -> Self {
            Self(Rc::new(Inner { entry: RefCell::new(entry), told: Cell::new(0) }))
        }

        fn entry(&self) -> Entry<Todo> {
            self.0.entry.borrow().clone()
        }

        fn set_record(&self, record: Arc<Todo>) {
            self.0.told.set(self.0.told.get() + 1);
            self.0.entry.borrow_mut().record = record;
        }

        fn set_state(&self, state: RowState) {
            self.0.told.set(self.0.told.get() + 1);
            self.0.entry.borrow_mut().state = state;
        }

        fn downgrade(&self) -> Self::Weak {
            Rc::downgrade(&self.0)
        }

        fn upgrade(weak: &Self::Weak) -> Option<Self> {
            LOOKS.set(LOOKS.get() + 1);
            weak.upgrade().map(Self)
        }
    }

    thread_local! {
        /// How often this test's handles were looked at.
        static LOOKS: Cell<usize> = const { Cell::new(0) };
    }

    /// A list as a hook's signals hold it.
    #[derive(Default)]
    struct Rows {
        handles: Handles<Todo, Handle>,
        list: Vec<Handle>,
    }

    impl Rows {
        fn apply(&mut self, diffs: impl IntoIterator<Item = Diff<Todo>>) -> bool {
            let edits = self.handles.apply(diffs);
            let reordered = edits.reorder::<Todo>(&self.list);
            let before = keys(self);
            drop(edits.apply(&mut self.list));
            self.handles.forget(self.list.len());
            assert!(reordered || keys(self) == before);
            reordered
        }

        fn handles(&self) -> &[Handle] {
            &self.list
        }
    }

    fn entry(id: &str, text: &str) -> Entry<Todo> {
        Entry { record: Arc::new(Todo { id: id.into(), text: text.into() }), state: RowState::Confirmed }
    }

    fn reset(ids: &[&str]) -> Diff<Todo> {
        Diff::Reset(ids.iter().map(|id| entry(id, "same")).collect())
    }

    fn keys(rows: &Rows) -> Vec<String> {
        rows.handles().iter().map(|row| row.entry().key().to_owned()).collect()
    }

    fn same(a: &Handle, b: &Handle) -> bool {
        Rc::ptr_eq(&a.0, &b.0)
    }

    #[test]
    fn diffs_count_one_after_the_other() {
        let mut rows = Rows::default();
        assert!(rows.apply([reset(&["a", "b", "c"])]));
        assert!(rows.apply([
            Diff::Remove { index: 0, key: "a".into() },
            Diff::Insert { index: 2, entry: entry("d", "") },
            Diff::Move { from: 2, to: 0, entry: entry("d", "moved") },
        ]));
        assert_eq!(keys(&rows), ["d", "b", "c"]);
        assert_eq!(rows.handles()[0].entry().record.text, "moved");
    }

    #[test]
    fn an_update_touches_its_handle_only() {
        let mut rows = Rows::default();
        rows.apply([reset(&["a", "b"])]);
        assert!(!rows.apply([Diff::Update { entry: entry("b", "other") }]));
        let told: Vec<_> = rows.handles().iter().map(|row| row.0.told.get()).collect();
        assert_eq!(told, [0, 1]);
        // the same again tells nobody anything
        assert!(!rows.apply([Diff::Update { entry: entry("b", "other") }]));
        assert_eq!(rows.handles()[1].0.told.get(), 1);
        let pending = Entry { state: RowState::Pending, ..entry("b", "other") };
        assert!(!rows.apply([Diff::Update { entry: pending }]));
        assert_eq!(rows.handles()[1].0.told.get(), 2);
    }

    #[test]
    fn a_reset_keeps_the_handles_of_the_keys_that_stay() {
        let mut rows = Rows::default();
        rows.apply([reset(&["a", "b", "c"])]);
        let before = rows.handles().to_vec();
        assert!(!rows.apply([reset(&["a", "b", "c"])]), "the same keys in the same order");
        assert!(rows.apply([Diff::Reset(vec![entry("c", "other"), entry("x", "new"), entry("a", "same")])]));
        assert!(same(&rows.handles()[0], &before[2]) && same(&rows.handles()[2], &before[0]));
        assert_eq!((before[0].0.told.get(), before[2].0.told.get()), (0, 1));
    }

    #[test]
    fn a_row_that_comes_back_has_the_handle_that_is_still_on_the_screen() {
        let mut rows = Rows::default();
        rows.apply([reset(&["a", "b"])]);
        let on_screen = rows.handles().to_vec();
        rows.apply([Diff::Remove { index: 0, key: "a".into() }]);
        rows.apply([Diff::Insert { index: 0, entry: entry("a", "back") }]);
        assert!(same(&rows.handles()[0], &on_screen[0]));
        assert_eq!(on_screen[0].entry().record.text, "back");
    }

    #[test]
    fn the_rows_of_another_list_have_handles_of_their_own() {
        let mut rows = Rows::default();
        rows.apply([reset(&["a"])]);
        let old = rows.handles()[0].clone();
        rows.handles.leave_list();
        rows.list.clear();
        rows.apply([Diff::Reset(vec![entry("a", "elsewhere")])]);
        assert!(!same(&rows.handles()[0], &old));
        assert_eq!((old.entry().record.text.as_str(), old.0.told.get()), ("same", 0));
    }

    #[test]
    fn keys_that_nobody_holds_are_forgotten() {
        let mut rows = Rows::default();
        for round in 0..10_u32 {
            let fresh = (0..1000).map(|row| entry(&format!("{round}-{row}"), ""));
            rows.apply([Diff::Reset(fresh.collect())]);
            assert!(rows.handles.known.len() <= 3000);
        }
        rows.apply([reset(&[])]);
        rows.apply([]);
        assert!(rows.handles.known.is_empty());
    }

    #[test]
    fn what_is_gone_has_left_before_the_others_are_given_more_room() {
        let mut rows = Rows::default();
        rows.apply([Diff::Reset((0..1000).map(|row| entry(&row.to_string(), "")).collect())]);
        rows.apply((0..500).map(|row| Diff::Remove { index: 0, key: row.to_string().into() }));
        let gone = |rows: &Rows| rows.handles.known.iter().filter(|row| row.strong_count() == 0).count();
        assert_eq!(gone(&rows), 500, "so many are not worth a look at all of them");
        let room = rows.handles.known.capacity();
        let mut new = (0..2000).map(|row| entry(&format!("new {row}"), ""));
        while rows.handles.known.capacity() == room {
            rows.apply([Diff::Insert { index: 0, entry: new.next().unwrap() }]);
        }
        assert_eq!(gone(&rows), 0);
        assert_eq!(rows.handles.known.len(), rows.list.len());
    }

    #[test]
    fn rows_that_come_and_go_are_not_all_looked_at_for_each_of_them() {
        let mut rows = Rows::default();
        let is_full = |rows: &Rows| rows.handles.known.len() == rows.handles.known.capacity();
        while rows.list.len() < 1000 || !is_full(&rows) {
            let key = rows.list.len().to_string();
            rows.apply([Diff::Insert { index: 0, entry: entry(&key, "") }]);
        }
        LOOKS.set(0);
        for row in 0..1000 {
            let key = rows.list[0].entry().key().into();
            let insert = Diff::Insert { index: 0, entry: entry(&format!("new {row}"), "") };
            rows.apply([Diff::Remove { index: 0, key }, insert]);
        }
        assert!(LOOKS.get() < 1000 * 20, "{} handles looked at", LOOKS.get());
    }
}
