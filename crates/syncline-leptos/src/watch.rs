//! A live query, as signals.

use std::fmt;

use futures::Stream;
use leptos::prelude::*;
use leptos::reactive::computed::suspense::LocalResourceNotifier;
use leptos::reactive::diagnostics::SpecialNonReactiveZone;
use syncline::hook::{IntoQuery, Place, Relations, Wanted, WatchSignals as _, follow, is_same_list, latest};
use syncline::{Client, Error, Field, IntoError, Record, Status, WriteHandle};

use crate::query::QuerySignal;
use crate::related::AnyRelation;
use crate::signals::{Shown, get, set};
use crate::task::spawn_mounted;
use crate::{Row, UseRelated, use_syncline};

/// Watches a query for as long as the component is there.
///
/// Takes a [`Query`](syncline::Query), an `Option` of one, or a closure over signals that gives either. When the query
/// becomes another one the subscription moves: the old one ends, and its rows are not shown any more from the moment
/// the signals have changed. `None` is "not yet": no rows, [`Status::Idle`].
///
/// ```no_run
/// # use leptos::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # use syncline::Record;
/// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// # #[record(collection = "todos", key = id)]
/// # struct Todo { id: String, text: String, done: bool }
/// use syncline_leptos::use_watch;
///
/// #[component]
/// fn Todos(list: Signal<Option<String>>) -> impl IntoView {
///     let todos = use_watch(move || Some(Todo::in_space(list.get()?).filter(Todo::done.eq(false))));
///     let add = move |_| drop(todos.put(Todo { id: "t1".into(), text: "Milk".into(), done: false }));
///     view! {
///         <p>{move || todos.status().as_str()}</p>
///         <For each=move || todos.rows() key=|row| row.key() let:row>
///             <p>{move || row.get().text}</p>
///         </For>
///         <button on:click=add>"Milk"</button>
///     }
/// }
/// ```
///
/// # Panics
/// Without a client: see [`use_syncline`].
#[track_caller]
pub fn use_watch<R: Record>(query: impl IntoQuery<R> + Send + Sync + 'static) -> UseWatch<R> {
    let client = use_syncline();
    let watch = UseWatch {
        client: StoredValue::new(client.clone()),
        query: QuerySignal::new(query),
        running: RwSignal::new(true),
        shown: Shown::new(),
    };
    spawn_mounted(move || follow(client, watch.wanted(), watch.shown));
    watch
}

/// Made by [`use_watch`]. Each of its signals is tracked by itself. Once the component is gone it shows nothing and
/// writes nowhere.
///
/// ```no_run
/// # use serde::{Deserialize, Serialize};
/// # use syncline::Record;
/// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// # #[record(collection = "todos", key = id)]
/// # struct Todo { id: String, text: String, done: bool }
/// use syncline_leptos::{Row, UseWatch};
///
/// fn toggle(todos: UseWatch<Todo>, row: Row<Todo>) {
///     // on the screen at once; whoever wants to know more awaits the verdict
///     drop(todos.update(row.key(), |todo| todo.done = !todo.done));
/// }
///
/// fn try_again(todos: UseWatch<Todo>, row: Row<Todo>) {
///     // what was refused stays on the screen, marked, until it is retried or dismissed
///     if row.error().is_some_and(|error| error.is_temporary()) {
///         todos.retry(row.key());
///     } else {
///         todos.dismiss(row.key());
///     }
/// }
///
/// async fn save_elsewhere(todos: UseWatch<Todo>, todo: Todo, save: impl AsyncFnOnce(&Todo) -> bool) {
///     // a row that the application brings to the server by its own means
///     if todos.add_optimistic(todo.clone()).is_ok() && !save(&todo).await {
///         todos.mark_failed(&todo.id, "It could not be saved.");
///     }
/// }
/// ```
pub struct UseWatch<R: Record> {
    client: StoredValue<Client>,
    query: QuerySignal<R>,
    running: RwSignal<bool>,
    shown: Shown<R>,
}

impl<R: Record> UseWatch<R> {
    /// The rows, in order, for a keyed list. Tracks which rows there are and in which order, not what is in them.
    #[track_caller]
    pub fn rows(&self) -> Vec<Row<R>> {
        if self.is_current() { get(self.shown.rows) } else { Vec::new() }
    }

    /// The records, in order. Tracks everything: for small lists, sums and the like.
    #[track_caller]
    pub fn records(&self) -> Vec<R> {
        self.rows().iter().map(Row::get).collect()
    }

    /// The rows of another collection that belong to these rows: those of the relation by this field that the query
    /// [includes](syncline::Query::include), of the first one where it includes several.
    pub fn related<C: Record, T>(&self, field: Field<C, T>) -> UseRelated<R, C> {
        UseRelated::new(*self, field)
    }

    /// How the watch stands.
    #[track_caller]
    pub fn status(&self) -> Status {
        if self.is_current() { get(self.shown.status) } else { Status::Idle }
    }

    /// Why it failed, or which row could not be read: then the error's field is its collection and key, `todos/t1`.
    #[track_caller]
    pub fn error(&self) -> Option<Error> {
        if self.is_current() { get(self.shown.error) } else { None }
    }

    /// Whether the first rows are still to come. Not when there is no query, and not when they will not come by
    /// themselves: then [`status`](Self::status) and [`error`](Self::error) say why.
    #[track_caller]
    pub fn is_loading(&self) -> bool {
        self.query.get().is_some() && (!self.is_current() || get(self.shown.loading))
    }

    /// Waits while [`is_loading`](Self::is_loading). In a `Suspend` it also tracks it, so that another query shows the
    /// fallback again.
    ///
    /// On a server the first rows never come: there a `Suspense` shows its fallback, and anybody else does not wait.
    ///
    /// ```no_run
    /// # use leptos::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # use syncline::Record;
    /// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
    /// # #[record(collection = "todos", key = id)]
    /// # struct Todo { id: String, text: String, done: bool }
    /// # use syncline_leptos::use_watch;
    /// #[component]
    /// fn Todos() -> impl IntoView {
    ///     let todos = use_watch(Todo::in_space("groceries"));
    ///     let list = move || {
    ///         Suspend::new(async move {
    ///             todos.loaded().await;
    ///             view! { <p>{move || todos.rows().len()}" to-dos"</p> }
    ///         })
    ///     };
    ///     view! { <Suspense fallback=|| "Loading…">{list}</Suspense> }
    /// }
    /// ```
    pub async fn loaded(self) {
        if cfg!(feature = "ssr") {
            if let Some(mut suspense) = use_context::<LocalResourceNotifier>() {
                suspense.notify();
                std::future::pending::<()>().await;
            }
            return;
        }
        let is_loading = || {
            // where nobody tracks it, this is no oversight to warn of
            let _zone = SpecialNonReactiveZone::enter();
            self.is_loading()
        };
        let waiters = self.shown.waiters.try_get_value();
        if let Some(waiters) = waiters.filter(|_| is_loading()) {
            waiters.wait(move || !untrack(|| self.is_loading())).await;
        }
    }

    /// Puts a row in the place of whatever has its key, in the query's space. It shows at once; the answer is the
    /// server's verdict, for those who want it.
    pub fn put(&self, record: R) -> WriteHandle {
        self.place().put(record)
    }

    /// Changes the row at a key. Only the fields that `change` changes are written.
    pub fn update(&self, key: impl AsRef<str>, change: impl FnOnce(&mut R)) -> WriteHandle {
        self.place().update(key, change)
    }

    /// Removes the row at a key.
    pub fn delete(&self, key: impl AsRef<str>) -> WriteHandle {
        self.place().delete(key)
    }

    /// Sends the refused writes of a row again. Says how many there were.
    pub fn retry(&self, key: impl AsRef<str>) -> usize {
        self.place().retry(key)
    }

    /// Gives up the refused writes of a row; what the server holds shows again. Says how many there were.
    pub fn dismiss(&self, key: impl AsRef<str>) -> usize {
        self.place().dismiss(key)
    }

    /// Shows a row that the application writes by its own means, as pending, until it comes from the server.
    ///
    /// # Errors
    /// `unknown_space`, `bad_row`, `bad_key`, `value_too_large`, `too_many`; `bad_write` at a partysync server; `closed` while
    /// there is no query, and once the client is.
    pub fn add_optimistic(&self, record: R) -> Result<(), Error> {
        self.place().add_optimistic(record)
    }

    /// Marks an optimistic row as failed. Says whether there is one.
    pub fn mark_failed(&self, key: impl AsRef<str>, why: impl IntoError) -> bool {
        self.place().mark_failed(key, why)
    }

    /// Takes an optimistic row away. Says whether there was one.
    pub fn remove_optimistic(&self, key: impl AsRef<str>) -> bool {
        self.place().remove_optimistic(key)
    }

    /// Follows the rows again after [`stop`](Self::stop), from where they stood.
    pub fn start(&self) {
        set(self.running, true);
    }

    /// Ends the subscription until [`start`](Self::start); the rows stay as they are. Another query does not start it.
    pub fn stop(&self) {
        set(self.running, false);
    }

    /// Whether what is shown belongs to the list that is asked for now. Between a change of a signal and the move of the
    /// subscription it does not.
    #[track_caller]
    fn is_current(&self) -> bool {
        let query = self.query.get();
        self.shown.query.try_with(|shown| is_same_list(shown, &query)).unwrap_or_default()
    }

    /// What is shown of relations, when it belongs to the list that is asked for now.
    #[track_caller]
    pub(crate) fn relations(&self) -> Option<Relations<AnyRelation>> {
        if self.is_current() { self.shown.relations() } else { None }
    }

    /// What the signals ask for, now and whenever that changes.
    fn wanted(self) -> impl Stream<Item = Wanted<R>> {
        let (wants, wanted) = latest();
        Effect::new(move || wants.set(Wanted { query: self.query.get(), running: get(self.running) }));
        wanted
    }

    fn place(&self) -> Place<R> {
        self.place_of()
    }

    /// Where rows of a collection are written that is watched with this one.
    pub(crate) fn place_of<C: Record>(&self) -> Place<C> {
        let space = self.query.get_untracked().map(|query| query.spec().space.clone());
        Place::new(self.client.try_get_value(), space)
    }
}

impl<R: Record> Clone for UseWatch<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Record> Copy for UseWatch<R> {}

impl<R: Record> PartialEq for UseWatch<R> {
    fn eq(&self, other: &Self) -> bool {
        self.query == other.query
    }
}

impl<R: Record> fmt::Debug for UseWatch<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UseWatch").finish_non_exhaustive()
    }
}
