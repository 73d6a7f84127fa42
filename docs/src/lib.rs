//! The model of the README's snippets, which are compiled as doctests.

use serde::{Deserialize, Serialize};
use syncline_core::Record;

/// The row of the README.
#[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "todos", key = id)]
pub struct Todo {
    /// The key.
    pub id: String,
    /// What there is to do.
    pub text: String,
    /// Whether it is done.
    pub done: bool,
    /// Where it stands in the list.
    pub position: f64,
}

/// A message of the guide's chat.
#[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "messages", key = id)]
pub struct Message {
    /// The key.
    pub id: String,
    /// What was said.
    pub text: String,
    /// When, in ms since 1970.
    pub sent_at: u64,
}

/// A reaction to one of them.
#[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "reactions", key = id)]
pub struct Reaction {
    /// The key.
    pub id: String,
    /// The key of the message.
    pub message: String,
    /// What it is.
    pub emoji: String,
    /// When, in ms since 1970.
    pub at: u64,
}

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../watch.md")]
struct Watch;

#[cfg(doctest)]
#[doc = include_str!("../channels.md")]
struct Channels;
