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

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../watch.md")]
struct Watch;
