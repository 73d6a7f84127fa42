//! The model of the README's and the guides' snippets, which are compiled as doctests.

use serde::{Deserialize, Serialize};
use syncline_core::{Channel, Draft, Error, Query, Record, SpaceId};

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

/// What can be done to a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
pub enum TodoAction {
    /// One more.
    Create {
        /// A new key.
        id: String,
        /// What there is to do.
        text: String,
    },
    /// Ticks it off, or not.
    Toggle {
        /// Which.
        id: String,
        /// What it is to be.
        done: bool,
    },
    /// Takes away what is done.
    ClearCompleted,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TodoError {
    /// It is not there any more.
    Gone,
    /// The list has so many already.
    Full {
        /// How many there may be.
        most: usize,
    },
}

impl From<TodoError> for Error {
    fn from(error: TodoError) -> Self {
        match error {
            TodoError::Gone => Self::new("gone", "Somebody has deleted it."),
            TodoError::Full { most } => Self::new("full", format!("A list has at most {most} to-dos.")),
        }
    }
}

/// The channel of the lists.
pub struct TodoChannel;

impl Channel for TodoChannel {
    const NAME: &'static str = "todos";
    type Record = Todo;
    type Action = TodoAction;
    type Output = usize;
    type Error = TodoError;

    fn reduce(todos: &mut Draft<'_, Todo>, action: &TodoAction) {
        match action.clone() {
            TodoAction::Create { id, text } => todos.put(Todo { id, text, done: false, position: 0.0 }),
            TodoAction::Toggle { id, done } => drop(todos.update(&id, |todo| todo.done = done)),
            TodoAction::ClearCompleted => {
                for todo in todos.rows().iter().filter(|todo| todo.done) {
                    todos.remove(&todo.id);
                }
            }
        }
    }

    fn records(list: SpaceId) -> Query<Todo> {
        Todo::in_space(list).order_by(Todo::position)
    }
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

#[cfg(test)]
mod tests {
    /// Whoever is told a code finds what it means.
    #[test]
    fn every_code_stands_in_a_guide() {
        let source = include_str!("../../crates/syncline-core/src/error.rs");
        let guides = concat!(include_str!("../watch.md"), include_str!("../channels.md"));
        let codes = source.lines().filter_map(|line| line.trim().strip_prefix("pub const "));
        let codes: Vec<_> = codes.filter_map(|line| line.split('"').nth(1)).collect();
        assert!(codes.len() > 30, "{codes:?}");
        let missing: Vec<_> = codes.iter().filter(|code| !guides.contains(&format!("`{code}`"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
