//! The channel of the adapters' tests.
#![allow(dead_code, reason = "no test program uses all of it")]

use serde::{Deserialize, Serialize};
use syncline::{Channel, Draft, Error, Query, Record, SpaceId};

/// A to-do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "todos", key = id)]
pub(crate) struct Todo {
    pub(crate) id: String,
    pub(crate) text: String,
}

/// What can be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
pub(crate) enum TodoAction {
    Create { id: String, text: String },
    Delete { id: String },
}

/// The list does not take it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NotWanted {
    pub(crate) text: String,
}

impl From<NotWanted> for Error {
    fn from(NotWanted { text }: NotWanted) -> Self {
        Self::new("not_wanted", format!("Nobody wants {text}."))
    }
}

/// Whose handler does not take wine.
pub(crate) struct Todos;

impl Channel for Todos {
    const NAME: &'static str = "todos";
    type Record = Todo;
    type Action = TodoAction;
    type Output = usize;
    type Error = NotWanted;

    fn reduce(todos: &mut Draft<'_, Todo>, action: &TodoAction) {
        match action.clone() {
            TodoAction::Create { id, text } => todos.put(Todo { id, text }),
            TodoAction::Delete { id } => drop(todos.remove(&id)),
        }
    }

    fn records(list: SpaceId) -> Query<Todo> {
        Todo::in_space(list).order_by(Todo::id)
    }
}

/// One more.
pub(crate) fn create(id: &str, text: &str) -> TodoAction {
    TodoAction::Create { id: id.into(), text: text.into() }
}

/// A server of the channel. It gives back how many to-dos there are then.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn server() -> syncline_testkit::LocalServer {
    syncline_testkit::LocalServer::builder()
        .channel::<Todos>(|tx, action, _who| {
            let mut todos = tx.rows::<Todo>();
            if let TodoAction::Create { text, .. } = &action
                && text == "Wine"
            {
                return Err(NotWanted { text: text.clone() });
            }
            Todos::reduce(&mut todos, &action);
            Ok(todos.rows().len())
        })
        .start()
}
