//! A to-do, and the three ways to look at a list of them.

use serde::{Deserialize, Serialize};
use syncline_core::{Query, Record, SpaceId};

/// One row of a to-do list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "todos", key = id)]
pub struct Todo {
    /// Random, made by whoever adds it.
    pub id: String,
    /// What is to be done: see [`check_text`](crate::check_text).
    pub text: String,
    /// Whether it is.
    pub done: bool,
    /// Where it stands in the list, smallest first. Fractions leave room between any two.
    pub position: f64,
    /// When it was added, ms since 1970.
    pub created_at: u64,
}

impl Todo {
    /// A to-do nobody has done yet, to stand at the end of a list whose last one is at `last`. Positions are times as a
    /// rule, so that of two added in different places the later one stands below.
    pub fn new(id: String, text: String, last: f64, now_ms: u64) -> Self {
        Self { id, text, done: false, position: (last + 1.0).max(now_ms as f64), created_at: now_ms }
    }
}

/// Which to-dos a person wants to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TodoFilter {
    /// All of them.
    #[default]
    All,
    /// Those not yet done.
    Active,
    /// Those done.
    Done,
}

impl TodoFilter {
    /// All the ways, in the order of the buttons.
    pub const CHOICES: [Self; 3] = [Self::All, Self::Active, Self::Done];

    /// The query for a list seen this way.
    pub fn query(self, list: &SpaceId) -> Query<Todo> {
        let all = Todo::in_space(list).order_by(Todo::position);
        match self {
            Self::All => all,
            Self::Active => all.filter(Todo::done.eq(false)),
            Self::Done => all.filter(Todo::done.eq(true)),
        }
    }

    /// The button's words.
    pub fn label(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::Active => "Active",
            Self::Done => "Done",
        }
    }

    /// The button's name for tests.
    pub fn test_id(self) -> &'static str {
        match self {
            Self::All => "filter-all",
            Self::Active => "filter-active",
            Self::Done => "filter-done",
        }
    }
}
