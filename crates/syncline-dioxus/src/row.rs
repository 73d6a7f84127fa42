//! One row, as signals.

use std::cell::OnceCell;
use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use syncline::hook::RowHandle;
use syncline::{Entry, Error, Key, Record, RowState};

use crate::signals::RcSignal;

/// A row of a [`UseWatch`](crate::UseWatch): a handle whose record and state are signals of their own.
///
/// It is made when the row appears and stays the same for as long as anybody holds it, however the row changes or
/// moves. Two handles are equal when they are the same handle.
///
/// ```no_run
/// # use dioxus::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # use syncline::Record;
/// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// # #[record(collection = "todos", key = id)]
/// # struct Todo { id: String, text: String, done: bool }
/// use syncline_dioxus::Row;
///
/// #[component]
/// fn TodoItem(row: Row<Todo>) -> Element {
///     rsx! {
///         li { class: if row.is_pending() { "pending" },
///             {row.get().text}
///             {row.error().map(|error| error.message().to_owned())}
///         }
///     }
/// }
/// ```
pub struct Row<R: Record>(Rc<Signals<R>>);

struct Signals<R: Record> {
    /// Made when it is asked for: most rows of a long list never are.
    key: OnceCell<Key>,
    record: RcSignal<Arc<R>>,
    state: RcSignal<RowState>,
}

impl<R: Record> Row<R> {
    /// The key. It never changes, so nothing is tracked.
    pub fn key(&self) -> Key {
        let key = || Key::from(self.0.record.get_untracked().key());
        self.0.key.get_or_init(key).clone()
    }

    /// A copy of the record. Tracks the record.
    pub fn get(&self) -> R {
        self.with(R::clone)
    }

    /// What `read` makes of the record. Tracks the record.
    pub fn with<T>(&self, read: impl FnOnce(&R) -> T) -> T {
        read(&self.0.record.get())
    }

    /// Whether the server has confirmed what is seen. Tracks the state.
    pub fn state(&self) -> RowState {
        self.0.state.get()
    }

    /// Whether a local write is on its way. Tracks the state.
    pub fn is_pending(&self) -> bool {
        self.state() == RowState::Pending
    }

    /// Why a local write was refused, until it is retried or dismissed. Tracks the state.
    pub fn error(&self) -> Option<Error> {
        match self.state() {
            RowState::Failed(error) => Some(Error::clone(&error)),
            RowState::Confirmed | RowState::Pending => None,
        }
    }
}

impl<R: Record> RowHandle<R> for Row<R> {
    type Weak = WeakRow<R>;
    // a component goes along with its key, and its memos with the handle that they have read first
    const STAYS: bool = true;

    fn new(entry: Entry<R>) -> Self {
        let (key, Entry { record, state }) = (OnceCell::new(), entry);
        Self(Rc::new(Signals { key, record: RcSignal::new(record), state: RcSignal::new(state) }))
    }

    fn entry(&self) -> Entry<R> {
        Entry { record: self.0.record.get_untracked(), state: self.0.state.get_untracked() }
    }

    fn set_record(&self, record: Arc<R>) {
        self.0.record.set(record);
    }

    fn set_state(&self, state: RowState) {
        self.0.state.set(state);
    }

    fn downgrade(&self) -> Self::Weak {
        WeakRow(Rc::downgrade(&self.0))
    }

    fn upgrade(weak: &Self::Weak) -> Option<Self> {
        weak.0.upgrade().map(Self)
    }
}

/// A [`Row`] that is not kept alive.
pub struct WeakRow<R: Record>(Weak<Signals<R>>);

impl<R: Record> Clone for Row<R> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<R: Record> PartialEq for Row<R> {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl<R: Record> Eq for Row<R> {}

impl<R: Record> fmt::Debug for Row<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Row").field(&self.key()).finish()
    }
}
