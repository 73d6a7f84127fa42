//! The rows of the adapters' tests: each counts as long as it lives.
#![allow(dead_code, reason = "no test program uses all of it")]

use std::cell::Cell;

use serde::{Deserialize, Serialize};
use syncline::{Query, Record};

/// A to-do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "todos", key = id)]
pub(crate) struct Todo {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) position: f64,
    #[serde(skip)]
    pub(crate) live: Live,
}

impl Todo {
    /// The to-do at a position, which is also its key.
    pub(crate) fn at(position: u32, text: &str) -> Self {
        Self { id: position.to_string(), text: text.into(), position: position.into(), live: Live::default() }
    }

    /// All to-dos of a list, in order.
    pub(crate) fn all_in(list: &str) -> Query<Self> {
        Self::in_space(list).order_by(Self::position)
    }
}

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

/// How many to-dos there are on this thread, anywhere.
pub(crate) fn live() -> usize {
    LIVE.get()
}

/// Counts.
#[derive(Debug, PartialEq)]
pub(crate) struct Live(());

impl Default for Live {
    fn default() -> Self {
        LIVE.set(LIVE.get() + 1);
        Self(())
    }
}

impl Clone for Live {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        LIVE.set(LIVE.get() - 1);
    }
}

/// A to-do as another version of the application wrote it: the text may be missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "todos", key = id)]
pub(crate) struct OtherTodo {
    pub(crate) id: String,
    pub(crate) text: Option<String>,
    pub(crate) position: f64,
}
