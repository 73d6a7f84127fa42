//! What both apps need beside a framework: who and where they are, how they keep what they know, words for what is seen.
//!
//! An app runs in a page, or as a desktop program. What differs is in the two modules that have the same functions: [`page`]
//! and `desktop`.

mod contrail;
mod credentials;
#[cfg(not(target_family = "wasm"))]
mod desktop;
mod news;
#[cfg(target_family = "wasm")]
mod page;
mod params;
mod partysync;
mod words;

pub use contrail::{ContrailMessage, ContrailServer};
pub use credentials::Credentials;
#[cfg(not(target_family = "wasm"))]
use desktop as place;
pub use news::News;
#[cfg(target_family = "wasm")]
use page as place;
#[cfg(target_family = "wasm")]
pub use page::{has_left, scroll_into_view};
pub use params::{Params, TRANSPORTS, View, reload_with_transport};
pub use partysync::{PartyTodo, PartyTodos, PartysyncServer};
pub use place::{clock_time, now_ms, storage_of};
pub use words::{cleared_words, status_words, storage_word, storage_words, too_long, transport_words};

/// A fresh id for a row.
pub fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
