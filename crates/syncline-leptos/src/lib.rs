//! Syncline for Leptos: live rows as signals.
//!
//! [`provide_syncline`] once at the root, then [`use_watch`] in any component:
//!
//! ```no_run
//! use leptos::prelude::*;
//! use syncline::{Client, Record};
//! use syncline_leptos::{Row, provide_syncline, use_watch};
//! # use serde::{Deserialize, Serialize};
//!
//! # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
//! # #[record(collection = "todos", key = id)]
//! # struct Todo { id: String, text: String, done: bool, position: f64 }
//! #[component]
//! fn App() -> impl IntoView {
//!     provide_syncline(Client::new("/sync"));
//!     let list = RwSignal::new("groceries".to_owned());
//!     view! { <TodoList list /> }
//! }
//!
//! #[component]
//! fn TodoList(list: RwSignal<String>) -> impl IntoView {
//!     let todos = use_watch(move || Some(Todo::in_space(list.get()).order_by(Todo::position)));
//!     view! {
//!         <ul>
//!             <For each=move || todos.rows() key=|row| row.key() let:row>
//!                 <TodoItem row />
//!             </For>
//!         </ul>
//!     }
//! }
//!
//! #[component]
//! fn TodoItem(row: Row<Todo>) -> impl IntoView {
//!     let pending = row.clone();
//!     view! { <li class:pending=move || pending.is_pending()>{move || row.get().text}</li> }
//! }
//! ```
//!
//! [`UseWatch::rows`] tracks which rows there are and in which order; each [`Row`] is tracked by itself. So one row's
//! edit runs what reads that row, and nothing else.
//!
//! # Features
//!
//! `csr`, `hydrate` and `ssr` are Leptos's own: choose the ones that `leptos` has. Under `ssr` the hooks start nothing:
//! they are [idle](syncline::Status::Idle) and have no rows.

mod connection;
mod provider;
mod query;
mod related;
mod row;
mod signals;
mod sync;
mod task;
mod watch;

pub use connection::{UseConnection, use_connection};
pub use provider::{provide_syncline, use_syncline};
pub use related::UseRelated;
pub use row::Row;
pub use sync::use_sync;
pub use syncline::hook::{IntoChannel, IntoQuery};
pub use watch::{UseWatch, use_watch};
