//! A reaction to a chat message.

use serde::{Deserialize, Serialize};
use syncline_core::{Record, Relation};

/// What one can react with.
pub const EMOJI: [&str; 4] = ["👍", "🎉", "😂", "😮"];

/// One guest's reaction to one message. It belongs to the message that `message` names: with the messages of a room come
/// their reactions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "reactions", key = id)]
pub struct Reaction {
    /// Made of message, author and emoji, so that the same reaction given twice, in two tabs say, is one.
    pub id: String,
    /// The id of the message.
    pub message: String,
    /// The id of the guest who reacts.
    pub author: String,
    /// One of [`EMOJI`].
    pub emoji: String,
    /// When, by the author's clock, ms since 1970.
    pub at: u64,
}

impl Reaction {
    /// A guest's reaction.
    pub fn new(message: &str, author: &str, emoji: &str, now_ms: u64) -> Self {
        let id = format!("{message}/{author}/{emoji}");
        Self { id, message: message.into(), author: author.into(), emoji: emoji.into(), at: now_ms }
    }

    /// The first reactions to each message, and how many there are.
    pub fn to_messages() -> Relation<Self> {
        Self::message.children().order_by(Self::at).counted()
    }
}
