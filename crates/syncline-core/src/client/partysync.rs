//! Watching and acting in the rooms of a [partysync](https://github.com/threepointone/partyparty) server: the same watches and
//! channels, another server.
//!
//! A room is a space. It has one WebSocket, which carries all of its channels: for each a `sync` that brings all of its
//! rows, broadcasts of what others do, and actions with their replies. There is no version, no resume and no sign of life.
//!
//! ```text
//!             join             opened
//!   Off ──▶ Opening ─────────────▶ Open ──▶ each channel: sync asked ──▶ live ──▶ (quiet, or in doubt) asked again …
//!    ▲         │                     │
//!    │         └────────┬────────────┘ one failure, one decision
//!    └── switched off   ▼
//!                    Waiting (backoff) ──▶ Opening …        GivenUp: until told to try again
//! ```
//!
//! What such servers are known to get wrong is made good here. A `sync` never tells of deletions, so each one is from the
//! beginning, and what it lacks goes. Replies and broadcasts overtake each other: an older state of a row does not undo a
//! newer one, by the rows' own times, and where these cannot tell, the rows are asked for again. Requests may never be
//! answered, and nothing makes it safe to send one twice: what became of such an action is not known, and its sender is
//! told so.

mod actions;
mod address;
mod frame;
mod identity;
mod records;
mod room;
mod rooms;
mod row;

use std::time::Duration;

pub use address::Address;
pub(super) use rooms::{Happened, Rooms};

use crate::error::{Error, code};
use crate::id::SpaceId;
use crate::query::QuerySpec;

/// A partysync server, beside the address that the driver knows.
#[derive(Clone, Debug)]
pub struct Service {
    /// After so long without a word all rows are asked for again: the line may be dead, and others' changes may have been
    /// lost on it. A line on which there is always something to hear is asked ten times less often.
    pub ask_after: Duration,
}

impl Default for Service {
    /// 30 s.
    fn default() -> Self {
        Self { ask_after: Duration::from_secs(30) }
    }
}

/// Refuses what a server's channels cannot answer.
///
/// # Errors
/// `bad_query` for relations; `unknown_space` for what cannot be the name of a room.
pub(super) fn check(query: &QuerySpec) -> Result<(), Error> {
    if !query.relations.is_empty() {
        let message = "rows of a partysync server come without rows of other collections";
        return Err(Error::new(code::BAD_QUERY, message).with_field("relations"));
    }
    address::check_room(&query.space)
}

/// Refuses what a room does not take.
///
/// # Errors
/// `bad_write` for whatever is no action; `unknown_space` for what cannot be the name of a room.
pub(super) fn check_write(space: &SpaceId, is_action: bool) -> Result<(), Error> {
    if !is_action {
        return Err(takes_actions_only());
    }
    address::check_room(space)
}

fn takes_actions_only() -> Error {
    Error::new(code::BAD_WRITE, "a partysync server takes the actions of its channels, and no rows")
}
