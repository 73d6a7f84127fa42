//! Syncline for Dioxus: live rows as signals.
//!
//! [`use_syncline_provider`] once at the root, then [`use_watch`] in any component:
//!
//! ```no_run
//! use dioxus::prelude::*;
//! use syncline::{Client, Record};
//! use syncline_dioxus::{Row, use_syncline_provider, use_watch};
//! # use serde::{Deserialize, Serialize};
//!
//! # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
//! # #[record(collection = "todos", key = id)]
//! # struct Todo { id: String, text: String, done: bool, position: f64 }
//! #[component]
//! fn App() -> Element {
//!     use_syncline_provider(|| Client::new("/sync"));
//!     let list = use_signal(|| "groceries".to_owned());
//!     rsx! { TodoList { list } }
//! }
//!
//! #[component]
//! fn TodoList(list: Signal<String>) -> Element {
//!     let todos = use_watch(move || Some(Todo::in_space(list()).order_by(Todo::position)));
//!     rsx! {
//!         ul {
//!             for row in todos.rows() {
//!                 TodoItem { key: "{row.key()}", row }
//!             }
//!         }
//!     }
//! }
//!
//! #[component]
//! fn TodoItem(row: Row<Todo>) -> Element {
//!     let pending = row.is_pending();
//!     rsx! { li { class: if pending { "pending" }, {row.get().text} } }
//! }
//! ```
//!
//! [`UseWatch::rows`] tracks which rows there are and in which order; each [`Row`] is tracked by itself. So one row's
//! edit runs the component that reads that row, and nothing else.
//!
//! # Features
//!
//! `ssr` is for rendering on a server: the hooks start nothing, are [idle](syncline::Status::Idle) and have no rows.

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
pub use provider::{use_syncline, use_syncline_provider};
pub use related::UseRelated;
pub use row::Row;
pub use sync::use_sync;
pub use syncline::hook::{IntoChannel, IntoQuery};
pub use watch::{UseWatch, use_watch};
