//! What a hook shows, as signals.

use leptos::prelude::*;
use syncline::hook::{Relations, Waiters, WatchSignals};
use syncline::{Error, Query, Record, Status};

use crate::Row;
use crate::related::AnyRelation;

/// Everything shown belongs to `query`.
pub(crate) struct Shown<R: Record> {
    pub(crate) query: RwSignal<Option<Query<R>>>,
    pub(crate) rows: RwSignal<Vec<Row<R>>>,
    pub(crate) status: RwSignal<Status>,
    pub(crate) error: RwSignal<Option<Error>>,
    pub(crate) loading: RwSignal<bool>,
    pub(crate) waiters: StoredValue<Waiters>,
    relations: StoredValue<Relations<AnyRelation>>,
}

impl<R: Record> Shown<R> {
    pub(crate) fn new() -> Self {
        let waiters = Waiters::default();
        on_cleanup({
            let waiters = waiters.clone();
            move || waiters.close()
        });
        Self {
            query: RwSignal::new(None),
            rows: RwSignal::new(Vec::new()),
            status: RwSignal::new(Status::Idle),
            error: RwSignal::new(None),
            loading: RwSignal::new(false),
            waiters: StoredValue::new(waiters),
            relations: StoredValue::new(Relations::default()),
        }
    }

    /// Lets those look again who wait; there are none once the component is gone, and whoever read a signal may have seen to
    /// that.
    fn notify(&self) {
        if let Some(waiters) = self.waiters.try_get_value() {
            waiters.notify();
        }
    }
}

impl<R: Record> WatchSignals<R> for Shown<R> {
    type Row = Row<R>;
    type Relation = AnyRelation;

    fn relations(&self) -> Option<Relations<AnyRelation>> {
        self.relations.try_get_value()
    }

    fn set_query(&self, query: Option<Query<R>>) {
        set(self.query, query);
        self.notify();
    }

    fn with_rows<T>(&self, look: impl FnOnce(&[Row<R>]) -> T) -> Option<T> {
        self.rows.try_with_untracked(|rows| look(rows))
    }

    fn edit_rows<T>(&self, edit: impl FnOnce(&mut Vec<Row<R>>) -> T) -> Option<T> {
        self.rows.try_update(edit)
    }

    fn set_state(&self, status: Status, error: Option<Error>, loading: bool) {
        set(self.status, status);
        set(self.error, error);
        set(self.loading, loading);
        self.notify();
    }
}

/// Sets a signal when that changes anything; not once its component is gone.
pub(crate) fn set<T: PartialEq + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal.try_with_untracked(|shown| *shown != value).unwrap_or_default() {
        signal.set(value);
    }
}

/// What a signal shows; nothing once its component is gone.
#[track_caller]
pub(crate) fn get<T: Clone + Default + Send + Sync + 'static>(signal: RwSignal<T>) -> T {
    signal.try_get().unwrap_or_default()
}

impl<R: Record> Clone for Shown<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Record> Copy for Shown<R> {}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
    #[record(collection = "todos", key = id)]
    struct Todo {
        id: String,
    }

    #[test]
    fn a_page_may_end_while_it_is_told_how_its_list_stands() {
        let _ = any_spawner::Executor::init_tokio();
        let outside = Owner::new();
        outside.set();
        let page = outside.child();
        let shown = page.with(Shown::<Todo>::new);
        let page = Arc::new(Mutex::new(Some(page)));
        let leaves = ImmediateEffect::new({
            let page = Arc::clone(&page);
            move || {
                if shown.status.try_get() == Some(Status::Live) {
                    drop(page.lock().unwrap().take());
                }
            }
        });
        shown.set_state(Status::Live, None, false);
        assert!(page.lock().unwrap().is_none());
        shown.set_query(None);
        drop(leaves);
    }
}
