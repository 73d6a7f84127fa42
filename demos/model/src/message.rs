//! A chat message.

use serde::{Deserialize, Serialize};
use syncline_core::{Query, Record, SpaceId};

/// One row of a chat room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "messages", key = id)]
pub struct Message {
    /// Random, made by whoever sends it.
    pub id: String,
    /// The id of the guest who sent it.
    pub author: String,
    /// What that guest was called then: see [`shown_name`](crate::shown_name).
    pub author_name: String,
    /// What was said: see [`check_text`](crate::check_text).
    pub text: String,
    /// When it was sent, by the author's clock, ms since 1970.
    pub sent_at: u64,
}

impl Message {
    /// The query for everything said in a room, oldest first.
    pub fn all_in(room: &SpaceId) -> Query<Self> {
        Self::in_space(room).order_by(Self::sent_at)
    }
}
