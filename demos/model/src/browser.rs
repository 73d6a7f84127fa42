//! What both apps need of the page they run in, and neither needs a framework for.

mod contrail;
mod credentials;
mod focus;
mod params;
mod partysync;
mod scroll;
mod words;

pub use contrail::{ContrailMessage, ContrailServer};
pub use credentials::Credentials;
pub use focus::keep_focus;
pub use params::{Params, TRANSPORTS, View, reload_with_transport};
pub use partysync::{PartyTodo, PartyTodos, PartysyncServer};
pub use scroll::scroll_into_view;
pub use words::{cleared_words, clock_time, status_words, storage_word, transport_words};

use syncline::storage::IndexedDb;

/// Where a page keeps rows for its next visit. Guests who sit side by side in one browser keep theirs apart: a page begins
/// with the rows of whoever was there last, and that is to be the same one.
pub fn storage_of(params: &Params) -> IndexedDb {
    match &params.guest {
        Some(guest) => IndexedDb::new(format!("syncline-{guest}")),
        None => IndexedDb::default(),
    }
}

/// A fresh id for a row.
pub fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The time by this machine's clock, ms since 1970.
pub fn now_ms() -> u64 {
    js_sys::Date::now() as u64
}
