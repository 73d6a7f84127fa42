//! A to-do, what can be done about it, and the three ways to look at a list of them.

use serde::{Deserialize, Serialize};
use syncline_core::channel::ChannelQuery;
use syncline_core::{Channel, Draft, Error, Query, Record, SpaceId};

use crate::position::{Side, beside, between};
use crate::text::BadText;

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
    /// Where it stands in the list: see [`position`](crate::position).
    pub position: String,
    /// When it was added, ms since 1970.
    pub created_at: u64,
}

/// What people do with a list. The server does it in [`on_todo_action`](crate::rules::on_todo_action).
pub struct TodoChannel;

/// One of these things. As JSON `{"type":"edit","payload":{"id":…,"text":…}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
pub enum TodoAction {
    /// One more to-do, not done yet.
    Create {
        /// A new one.
        id: String,
        /// What is to be done.
        text: String,
        /// Where it is to stand.
        position: String,
        /// When, by the clock of whoever adds it, ms since 1970.
        created_at: u64,
    },
    /// Another text.
    Edit {
        /// Of which.
        id: String,
        /// The text.
        text: String,
    },
    /// Ticks it off, or not. It says which of the two: whoever sees it open means to tick it off, even when somebody
    /// else is quicker.
    Toggle {
        /// Which.
        id: String,
        /// What it is to be.
        done: bool,
    },
    /// Takes it away.
    Delete {
        /// Which.
        id: String,
    },
    /// Takes away all that are done when this comes to the server.
    ClearCompleted,
    /// Puts it in another place.
    Move {
        /// Which.
        id: String,
        /// Where it is to stand.
        position: String,
    },
}

impl TodoAction {
    /// A new to-do below all of a list, `all` being in order.
    pub fn create(id: String, text: String, all: &[Todo], now_ms: u64) -> Self {
        let position = between(all.last().map(|last| last.position.as_str()), None);
        Self::Create { id, text, position, created_at: now_ms }
    }

    /// Moves a to-do past its neighbour among those that are `shown`, in the list of `all`. There is nothing to do when it
    /// has none on that side.
    pub fn step(id: &str, side: Side, shown: &[Todo], all: &[Todo]) -> Option<Self> {
        let at = shown.iter().position(|todo| todo.id == id)?;
        let neighbour = match side {
            Side::Before => shown.get(at.checked_sub(1)?)?,
            Side::After => shown.get(at + 1)?,
        };
        let all = all.iter().map(|todo| todo.position.as_str());
        Some(Self::Move { id: id.into(), position: beside(&neighbour.position, side, all) })
    }
}

/// What came of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TodoOutput {
    /// How many to-dos it changed.
    pub changed: usize,
}

/// Why an action was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TodoError {
    /// To-dos are kept in lists only.
    NotAList,
    /// The text will not do.
    Text(BadText),
    /// The to-do is not there any more.
    Gone,
    /// There is one with this id.
    Taken,
    /// It is no place to stand in.
    BadPosition,
}

impl From<TodoError> for Error {
    fn from(error: TodoError) -> Self {
        match error {
            TodoError::NotAList => Self::new("not_a_list", "To-dos are kept in lists only."),
            TodoError::Text(bad) => bad.into(),
            TodoError::Gone => Self::new("gone", "Somebody has deleted this to-do."),
            TodoError::Taken => Self::new("taken", "There is such a to-do already."),
            TodoError::BadPosition => Self::new("bad_position", "There is no such place in a list."),
        }
    }
}

impl Channel for TodoChannel {
    const NAME: &'static str = "todos";
    type Record = Todo;
    type Action = TodoAction;
    type Output = TodoOutput;
    type Error = TodoError;

    fn reduce(todos: &mut Draft<'_, Todo>, action: &TodoAction) {
        match action.clone() {
            TodoAction::Create { id, text, position, created_at } => {
                todos.put(Todo { id, text, done: false, position, created_at });
            }
            TodoAction::Edit { id, text } => {
                todos.update(&id, |todo| todo.text = text);
            }
            TodoAction::Toggle { id, done } => {
                todos.update(&id, |todo| todo.done = done);
            }
            TodoAction::Delete { id } => {
                todos.remove(&id);
            }
            TodoAction::ClearCompleted => {
                for todo in todos.rows().iter().filter(|todo| todo.done) {
                    todos.remove(&todo.id);
                }
            }
            TodoAction::Move { id, position } => {
                todos.update(&id, |todo| todo.position = position);
            }
        }
    }

    fn records(list: SpaceId) -> Query<Todo> {
        Todo::in_space(list).order_by(Todo::position)
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

    /// A list seen this way.
    pub fn of(self, list: &SpaceId) -> ChannelQuery<TodoChannel> {
        let all = TodoChannel::in_space(list);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn list(positions: &[&str]) -> Vec<Todo> {
        let todo = |(index, position): (usize, &&str)| Todo {
            id: index.to_string(),
            text: "Milk".into(),
            done: false,
            position: (*position).into(),
            created_at: 0,
        };
        positions.iter().enumerate().map(todo).collect()
    }

    #[test]
    fn a_step_passes_the_neighbour_that_is_shown() {
        let all = list(&["a0", "a1", "a2", "a3"]);
        let shown = [all[0].clone(), all[3].clone()];
        let position = |side, id| match TodoAction::step(id, side, &shown, &all) {
            Some(TodoAction::Move { position, .. }) => Some(position),
            _ => None,
        };
        assert_eq!(position(Side::Before, "3").as_deref(), Some("Zz"));
        assert_eq!(position(Side::After, "0").as_deref(), Some("a4"));
        assert_eq!((position(Side::Before, "0"), position(Side::After, "3")), (None, None));
        assert_eq!(position(Side::After, "1"), None, "it is not shown");
    }

    #[test]
    fn a_new_one_stands_below_all() {
        let position = |all: &[Todo]| match TodoAction::create("new".into(), "Bread".into(), all, 0) {
            TodoAction::Create { position, .. } => position,
            _ => String::new(),
        };
        assert_eq!((position(&[]).as_str(), position(&list(&["a0", "a1"])).as_str()), ("a0", "a2"));
    }
}
