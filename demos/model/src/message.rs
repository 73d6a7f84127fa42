//! A chat message.

use serde::{Deserialize, Serialize};
use syncline_core::{Query, Record, SpaceId};

use crate::reaction::Reaction;

/// How many messages a room shows at first, and how many more at a time.
pub const MESSAGES_A_PAGE: u32 = 50;

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
    /// The query for what was said last in a room, newest first, with the reactions to each message. A larger `limit`
    /// loads older ones: those that are there already are not sent again.
    pub fn latest_in(room: &SpaceId, limit: u32) -> Query<Self> {
        Self::in_space(room).order_by(Self::sent_at.desc()).limit(limit).include(Reaction::to_messages())
    }
}
