//! Rooms of a partysync server instead of a Syncline server.
//!
//! The client's address names the server and its party, `wss://host/parties/todos`; a space is a room of it. Each room has one
//! socket, for all channels and queries. A channel on the wire is a [`Channel`](crate::Channel) by its
//! [`NAME`](crate::Channel::NAME), and a query for rows of a collection follows the channel whose record that is. Rows
//! change by actions only: [`Client::send`](crate::Client::send); `put` and the like are refused with `bad_write`.
//!
//! A row comes as a list of the record's fields in their order, the last three of which are `created_at`, `updated_at` and
//! `deleted_at`, or as an object with these names. Times are numbers, ms since 1970, or texts, `2026-11-20 08:57:48` in
//! UTC: a record with numbers reads both.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use syncline::partysync::Partysync;
//! use syncline::{Channel, Client, Draft, Error, Record};
//!
//! #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
//! #[record(collection = "todos", key = id)]
//! struct Todo {
//!     id: String,
//!     text: String,
//!     completed: u8,
//!     created_at: i64,
//!     updated_at: i64,
//!     deleted_at: Option<i64>,
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! #[serde(tag = "type", content = "payload", rename_all = "snake_case")]
//! enum TodoAction {
//!     Delete { id: String },
//!     // a variant with nothing in it would leave `payload` out
//!     Clear(()),
//! }
//!
//! struct TodoChannel;
//!
//! impl Channel for TodoChannel {
//!     const NAME: &'static str = "todos";
//!     type Record = Todo;
//!     type Action = TodoAction;
//!     type Output = Vec<Todo>; // the rows that were changed; `()` for whoever does not need them
//!     type Error = Error;
//!
//!     fn reduce(todos: &mut Draft<'_, Todo>, action: &TodoAction) {
//!         match action {
//!             TodoAction::Delete { id } => drop(todos.remove(id)),
//!             TodoAction::Clear(()) => {
//!                 for todo in todos.rows() {
//!                     todos.remove(&todo.id);
//!                 }
//!             }
//!         }
//!     }
//! }
//!
//! # async fn example() {
//! let client = Client::builder("wss://todos.example/parties/todos").partysync(Partysync::new()).build();
//! client.register_channel::<TodoChannel>(); // as `use_sync` and `send` do by themselves
//! let todos = client.watch(Todo::in_space("list-42"));
//! match client.send::<TodoChannel>("list-42", TodoAction::Clear(())).await {
//!     Ok(changed) => println!("{} rows", changed.len()),
//!     Err(error) => println!("{error}"), // `outcome_unknown` when no answer came
//! }
//! # let _ = todos;
//! # }
//! ```

use std::time::Duration;

pub use syncline_core::client::partysync::Address;
use syncline_core::client::partysync::Service;

/// How to treat a partysync server; see the [module](self).
#[derive(Clone, Debug, Default)]
pub struct Partysync {
    service: Service,
}

impl Partysync {
    /// As told in the [module](self).
    pub fn new() -> Self {
        Self::default()
    }

    /// After so long without a word all rows are asked for again; 30 s unless told, and at least 1 s. Such a server gives no
    /// sign of life, and keeps a change to itself when whoever made it leaves at once, so that there is no other way to find
    /// out. Every question costs all rows of the channel.
    #[must_use]
    pub fn ask_after(mut self, quiet: Duration) -> Self {
        self.service.ask_after = quiet.max(Duration::from_secs(1));
        self
    }

    pub(crate) fn service(&self) -> Service {
        self.service.clone()
    }
}
