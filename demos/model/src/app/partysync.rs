//! A partysync server of the visitor's own.

use serde::{Deserialize, Serialize};
use syncline::partysync::Partysync;
use syncline::{Channel, ChannelQuery, Client, Draft, Error, Query, Record, SpaceId};

use super::{new_id, now_ms, place};
use crate::TodoAction;
use crate::position::between;

/// A to-do as a partysync server has it: a row ends with the three times. Without them it is a [`Todo`](crate::Todo).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "party_todos", key = id)]
pub struct PartyTodo {
    /// Random, made by whoever adds it.
    pub id: String,
    /// What is to be done.
    pub text: String,
    /// Whether it is.
    pub done: bool,
    /// Where it stands in the list: see [`position`](crate::position).
    pub position: String,
    /// When it was added, ms since 1970.
    pub created_at: u64,
    /// When it was changed last, ms since 1970.
    pub updated_at: u64,
    /// When it was deleted, ms since 1970; none of those that are shown was.
    pub deleted_at: Option<u64>,
}

impl PartyTodo {
    /// A new to-do below all of a list, `all` being in order.
    pub fn create(text: String, all: &[Self]) -> TodoAction {
        let position = between(all.last().map(|last| last.position.as_str()), None);
        TodoAction::Create { id: new_id(), text, position, created_at: now_ms() }
    }
}

/// The channel `todos` of such a server. It takes the actions of [`TodoChannel`](crate::TodoChannel), and answers with the
/// rows that they have changed, which show anyway.
pub struct PartyTodos;

impl Channel for PartyTodos {
    const NAME: &'static str = "todos";
    type Record = PartyTodo;
    type Action = TodoAction;
    type Output = ();
    type Error = Error;

    fn reduce(todos: &mut Draft<'_, PartyTodo>, action: &TodoAction) {
        match action.clone() {
            TodoAction::Create { id, text, position, created_at } => {
                let (done, updated_at, deleted_at) = (false, created_at, None);
                todos.put(PartyTodo { id, text, done, position, created_at, updated_at, deleted_at });
            }
            TodoAction::Toggle { id, done } => {
                todos.update(&id, |todo| todo.done = done);
            }
            TodoAction::Delete { id } => {
                todos.remove(&id);
            }
            // nothing here sends these; what they do would show when the server has done it
            TodoAction::Edit { .. } | TodoAction::ClearCompleted | TodoAction::Move { .. } => {}
        }
    }

    fn records(room: SpaceId) -> Query<PartyTodo> {
        PartyTodo::in_space(room).order_by(PartyTodo::position)
    }
}

/// What a visitor says of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct PartysyncServer {
    /// Where `/parties/` stands; the app's own server when it is empty. What it has behind a `?`, a token say, goes along.
    pub address: String,
    /// The party, a kind of rooms.
    pub party: String,
    /// The room.
    pub room: String,
}

impl PartysyncServer {
    /// A client of it.
    pub fn connect(&self) -> Client {
        let (server, query) = match self.address.split_once('?') {
            Some((server, query)) => (server.to_owned(), format!("?{query}")),
            None if self.address.is_empty() => (place::at_own_server(""), String::new()),
            None => (self.address.clone(), String::new()),
        };
        let address = format!("{}/parties/{}{query}", server.trim_end_matches('/'), self.party);
        Client::builder(address).partysync(Partysync::new()).build()
    }

    /// The to-dos of the room, in order.
    pub fn todos(&self) -> ChannelQuery<PartyTodos> {
        PartyTodos::in_space(self.room.as_str())
    }
}
