//! What a hook shows, as signals.

use std::cell::RefCell;

use dioxus::core::{ReactiveContext, Subscribers};
use dioxus::prelude::*;
use syncline::hook::{Relations, Waiters, WatchSignals};
use syncline::{Error, Query, Record, Status};

use crate::Row;
use crate::related::AnyRelation;

/// Everything shown belongs to `query`.
pub(crate) struct Shown<R: Record> {
    pub(crate) query: Signal<Option<Query<R>>>,
    pub(crate) rows: Signal<Vec<Row<R>>>,
    pub(crate) status: Signal<Status>,
    pub(crate) error: Signal<Option<Error>>,
    pub(crate) loading: Signal<bool>,
    pub(crate) waiters: CopyValue<Waiters>,
    relations: CopyValue<Relations<AnyRelation>>,
}

impl<R: Record> Shown<R> {
    pub(crate) fn new() -> Self {
        Self {
            query: Signal::new(None),
            rows: Signal::new(Vec::new()),
            status: Signal::new(Status::Idle),
            error: Signal::new(None),
            loading: Signal::new(false),
            waiters: CopyValue::new(Waiters::default()),
            relations: CopyValue::new(Relations::default()),
        }
    }

    /// Lets those look again who wait; there are none once the component is gone, and whoever read a signal may have seen to
    /// that.
    fn notify(&self) {
        let waiters = self.waiters.try_peek().map(|waiters| waiters.clone());
        if let Ok(waiters) = waiters {
            waiters.notify();
        }
    }
}

impl<R: Record> WatchSignals<R> for Shown<R> {
    type Row = Row<R>;
    type Relation = AnyRelation;

    fn relations(&self) -> Option<Relations<AnyRelation>> {
        self.relations.try_peek().ok().map(|relations| relations.clone())
    }

    fn set_query(&self, query: Option<Query<R>>) {
        set(self.query, query);
        self.notify();
    }

    fn with_rows<T>(&self, look: impl FnOnce(&[Row<R>]) -> T) -> Option<T> {
        self.rows.try_peek().ok().map(|rows| look(&rows))
    }

    fn edit_rows<T>(&self, edit: impl FnOnce(&mut Vec<Row<R>>) -> T) -> Option<T> {
        self.rows.try_write_unchecked().ok().map(|mut rows| edit(&mut rows))
    }

    fn set_state(&self, status: Status, error: Option<Error>, loading: bool) {
        set(self.status, status);
        set(self.error, error);
        set(self.loading, loading);
        self.notify();
    }
}

/// Sets a signal when that changes anything; not once its component is gone.
pub(crate) fn set<T: PartialEq + 'static>(mut signal: Signal<T>, value: T) {
    if signal.try_peek().is_ok_and(|shown| *shown != value) {
        signal.set(value);
    }
}

/// What a signal shows; nothing once its component is gone.
pub(crate) fn get<T: Clone + Default + 'static>(signal: Signal<T>) -> T {
    signal.try_read().map(|value| value.clone()).unwrap_or_default()
}

/// A signal that ends with its last owner. A `Signal` ends with a component: one for each row would pile up for as
/// long as the list is on the screen.
pub(crate) struct RcSignal<T> {
    value: RefCell<T>,
    readers: Subscribers,
}

impl<T: Clone> RcSignal<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: RefCell::new(value), readers: Subscribers::new() }
    }

    pub(crate) fn get(&self) -> T {
        if let Some(reader) = ReactiveContext::current() {
            reader.subscribe(self.readers.clone());
        }
        self.get_untracked()
    }

    pub(crate) fn get_untracked(&self) -> T {
        self.value.borrow().clone()
    }

    pub(crate) fn set(&self, value: T) {
        // dropped once nothing is borrowed: a record may own whatever it likes
        drop(self.value.replace(value));
        // marked once the list is unlocked: whoever is marked may subscribe again at once
        let mut readers = Vec::new();
        self.readers.visit(|reader| readers.push(*reader));
        for reader in readers {
            if !reader.mark_dirty() {
                self.readers.remove(&reader);
            }
        }
    }
}

impl<R: Record> Clone for Shown<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Record> Copy for Shown<R> {}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
    #[record(collection = "todos", key = id)]
    struct Todo {
        id: String,
    }

    #[test]
    fn a_page_may_end_while_it_is_told_how_its_list_stands() {
        let page = VirtualDom::new(|| rsx! {});
        let shown = page.in_scope(ScopeId::ROOT, Shown::<Todo>::new);
        shown.set_state(Status::Connecting, None, true);
        drop(page);
        shown.set_state(Status::Live, None, false);
        shown.set_query(None);
    }
}
