//! One handle per row, in order, kept in line with a watch by its diffs.
//!
//! An adapter says what a handle is. Which handles live on, which are new, what of them has changed and whether the
//! order did is decided here.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::{Diff, Entry, Key, Record, RowState};

/// One row on the screen, read as signals: its record and its state, each tracked by itself. A clone is the same
/// handle.
pub trait RowHandle<R: Record>: Clone {
    /// The handle, without keeping it alive.
    type Weak;

    /// A new handle.
    fn new(key: Key, entry: Entry<R>) -> Self;
    /// The key, for life.
    fn key(&self) -> &Key;
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

/// The handles of a watch's rows, in order.
pub struct RowList<R: Record, H: RowHandle<R>> {
    order: Vec<H>,
    /// Every handle that somebody may still hold, whether it is in the list or not. A framework's keyed list goes by
    /// keys: a row that leaves and comes back before the list has looked keeps its place on the screen, and with it
    /// the handle it was made with. So that very handle has to come back.
    known: HashMap<Key, H::Weak>,
    _record: PhantomData<fn() -> R>,
}

impl<R: Record, H: RowHandle<R>> RowList<R, H> {
    /// An empty list.
    pub fn new() -> Self {
        Self { order: Vec::new(), known: HashMap::new(), _record: PhantomData }
    }

    /// The handles, in order.
    pub fn handles(&self) -> &[H] {
        &self.order
    }

    /// Whether the row at a key is in the list, or its handle is held by anybody.
    pub fn is_alive(&self, key: &str) -> bool {
        self.known.get(key).and_then(H::upgrade).is_some()
    }

    /// Empties the list, for another query. Its rows get handles of their own, whatever their keys: what still reads the
    /// old ones belongs to a view that is on its way out.
    pub fn clear(&mut self) {
        self.order.clear();
        self.known.clear();
    }

    /// Takes one batch of diffs. A change of a row touches its handle and nothing else; the answer is whether the
    /// sequence of keys has become another one.
    pub fn apply(&mut self, diffs: impl IntoIterator<Item = Diff<R>>) -> bool {
        let mut reordered = false;
        for diff in diffs {
            reordered |= self.apply_one(diff);
        }
        self.forget();
        reordered
    }

    fn apply_one(&mut self, diff: Diff<R>) -> bool {
        match diff {
            Diff::Reset(entries) => {
                // the old order keeps its handles alive until the new one has taken over what it shares
                let order: Vec<H> = entries.into_iter().map(|entry| self.show(entry)).collect();
                let reordered = !order.iter().map(H::key).eq(self.order.iter().map(H::key));
                self.order = order;
                reordered
            }
            Diff::Insert { index, entry } => {
                let row = self.show(entry);
                self.order.insert(index.min(self.order.len()), row);
                true
            }
            Diff::Update { entry } => {
                self.show(entry);
                false
            }
            Diff::Remove { index, .. } => {
                self.take_out(index);
                true
            }
            Diff::Move { from, to, entry } => {
                // out only after `show`: the list may be the last to hold the handle
                let row = self.show(entry);
                self.take_out(from);
                self.order.insert(to.min(self.order.len()), row);
                true
            }
        }
    }

    /// The handle of the entry's key, showing the entry.
    fn show(&mut self, entry: Entry<R>) -> H {
        if let Some(row) = self.known.get(entry.key()).and_then(H::upgrade) {
            let shown = row.entry();
            if !Arc::ptr_eq(&shown.record, &entry.record) && shown.record != entry.record {
                row.set_record(entry.record);
            }
            if shown.state != entry.state {
                row.set_state(entry.state);
            }
            return row;
        }
        let key = Key::from(entry.key());
        let row = H::new(key.clone(), entry);
        self.known.insert(key, row.downgrade());
        row
    }

    fn take_out(&mut self, index: usize) {
        debug_assert!(index < self.order.len(), "a diff names a row beyond the end");
        if index < self.order.len() {
            self.order.remove(index);
        }
    }

    /// Lets go of keys whose handles nobody holds, once they are the most of what is known.
    fn forget(&mut self) {
        if self.known.len() > 2 * self.order.len() + 32 {
            self.known.retain(|_, weak| H::upgrade(weak).is_some());
        }
    }
}

impl<R: Record, H: RowHandle<R>> Default for RowList<R, H> {
    fn default() -> Self {
        Self::new()
    }
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
        key: Key,
        entry: RefCell<Entry<Todo>>,
        told: Cell<usize>,
    }

    impl RowHandle<Todo> for Handle {
        type Weak = Weak<Inner>;

        fn new(key: Key, entry: Entry<Todo>) -> Self {
            Self(Rc::new(Inner { key, entry: RefCell::new(entry), told: Cell::new(0) }))
        }

        fn key(&self) -> &Key {
            &self.0.key
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
            weak.upgrade().map(Self)
        }
    }

    type Rows = RowList<Todo, Handle>;

    fn entry(id: &str, text: &str) -> Entry<Todo> {
        Entry { record: Arc::new(Todo { id: id.into(), text: text.into() }), state: RowState::Confirmed }
    }

    fn reset(ids: &[&str]) -> Diff<Todo> {
        Diff::Reset(ids.iter().map(|id| entry(id, "same")).collect())
    }

    fn keys(rows: &Rows) -> Vec<&str> {
        rows.handles().iter().map(|row| row.key().as_str()).collect()
    }

    fn same(a: &Handle, b: &Handle) -> bool {
        Rc::ptr_eq(&a.0, &b.0)
    }

    #[test]
    fn diffs_count_one_after_the_other() {
        let mut rows = Rows::new();
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
        let mut rows = Rows::new();
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
        let mut rows = Rows::new();
        rows.apply([reset(&["a", "b", "c"])]);
        let before = rows.handles().to_vec();
        assert!(!rows.apply([reset(&["a", "b", "c"])]), "the same keys in the same order");
        assert!(rows.apply([Diff::Reset(vec![entry("c", "other"), entry("x", "new"), entry("a", "same")])]));
        assert!(same(&rows.handles()[0], &before[2]) && same(&rows.handles()[2], &before[0]));
        assert_eq!((before[0].0.told.get(), before[2].0.told.get()), (0, 1));
    }

    #[test]
    fn a_row_that_comes_back_has_the_handle_that_is_still_on_the_screen() {
        let mut rows = Rows::new();
        rows.apply([reset(&["a", "b"])]);
        let on_screen = rows.handles().to_vec();
        rows.apply([Diff::Remove { index: 0, key: "a".into() }]);
        rows.apply([Diff::Insert { index: 0, entry: entry("a", "back") }]);
        assert!(same(&rows.handles()[0], &on_screen[0]));
        assert_eq!(on_screen[0].entry().record.text, "back");
    }

    #[test]
    fn the_rows_of_another_query_have_handles_of_their_own() {
        let mut rows = Rows::new();
        rows.apply([reset(&["a"])]);
        let old = rows.handles()[0].clone();
        rows.clear();
        rows.apply([Diff::Reset(vec![entry("a", "elsewhere")])]);
        assert!(!same(&rows.handles()[0], &old));
        assert_eq!((old.entry().record.text.as_str(), old.0.told.get()), ("same", 0));
    }

    #[test]
    fn keys_that_nobody_holds_are_forgotten() {
        let mut rows = Rows::new();
        for round in 0..10_u32 {
            let fresh = (0..1000).map(|row| entry(&format!("{round}-{row}"), ""));
            rows.apply([Diff::Reset(fresh.collect())]);
            assert!(rows.known.len() <= 3000);
        }
        rows.apply([reset(&[])]);
        rows.apply([]);
        assert!(rows.known.is_empty());
    }
}
