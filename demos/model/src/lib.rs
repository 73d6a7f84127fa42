//! What both apps and the server share: the rows, where they live, and the rules for writing them.
//!
//! Everything here is ordinary Rust, compiled once for the browser and once for the server. The feature `server` adds
//! the [`rules`], the feature `app` what the two apps need of the page or the desktop they run in.

#[cfg(feature = "app")]
pub mod app;
mod guest;
mod message;
pub mod position;
mod reaction;
#[cfg(feature = "server")]
pub mod rules;
mod space;
mod text;
mod todo;

pub use guest::{Guest, GuestSession, MAX_NAME_CHARS, check_name, guest_label, shown_name};
pub use message::{MESSAGES_A_PAGE, Message};
pub use reaction::{EMOJI, Reaction};
pub use space::{Place, ROOMS, is_members_only, list_space, room_space, rooms_with};
pub use text::{BadText, Invalid, MAX_TEXT_CHARS, check_text};
pub use todo::{Todo, TodoAction, TodoChannel, TodoError, TodoFilter, TodoOutput};
