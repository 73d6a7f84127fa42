//! The rows and rules of a small application.

use serde::{Deserialize, Serialize};
use syncline_core::ops::RowOp;
use syncline_core::{Error, Query, Record};
use syncline_testkit::{Policy, Sim, SimBuilder, Watch};

/// The space that most tests work in.
pub(crate) const HOME: &str = "home";

/// Refused by the server, whoever writes it.
pub(crate) const FORBIDDEN: &str = "forbidden";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "todos", key = id)]
pub(crate) struct Todo {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) done: bool,
    pub(crate) position: i64,
}

/// One half of something that only makes sense whole: both halves are always written together, with the same value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "halves", key = id)]
pub(crate) struct Half {
    pub(crate) id: String,
    pub(crate) side: String,
    pub(crate) value: i64,
}

/// Seen by its owner only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "notes", key = id)]
pub(crate) struct Note {
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) text: String,
}

/// What somebody says to a to-do. With an owner, nobody else sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "replies", key = id)]
pub(crate) struct Reply {
    pub(crate) id: String,
    pub(crate) todo: String,
    pub(crate) owner: String,
    pub(crate) at: i64,
}

/// The application on the server.
pub(crate) fn app(seed: u64) -> SimBuilder {
    let policy = Policy::new()
        .write::<Todo>(|_, _, _, after| match after {
            Some(todo) if todo.text == FORBIDDEN => Err(Error::new("not_allowed", "This is not allowed.")),
            _ => Ok(()),
        })
        .read::<Note>(|user, _, note| user.id == *note.owner)
        .write::<Note>(|user, _, before, after| {
            let foreign = before.into_iter().chain(after).any(|note| user.id != *note.owner);
            if foreign { Err(Error::new("not_yours", "This is not your note.")) } else { Ok(()) }
        })
        .read::<Reply>(|user, _, reply| reply.owner.is_empty() || user.id == *reply.owner);
    let sim = Sim::builder(seed).record::<Todo>().record::<Half>().record::<Note>().record::<Reply>();
    sim.access(policy)
}

/// The application, Ann and Bob.
pub(crate) fn ann_and_bob(seed: u64) -> Sim {
    app(seed).client("a", "ann").client("b", "bob").build()
}

pub(crate) fn todo(id: impl ToString) -> Todo {
    let id = id.to_string();
    Todo { text: format!("todo {id}"), position: 0, done: false, id }
}

pub(crate) fn reply(id: impl ToString, todo: impl ToString, at: i64) -> Reply {
    Reply { id: id.to_string(), todo: todo.to_string(), owner: String::new(), at }
}

/// A todo that takes some room.
pub(crate) fn long_todo(id: u64) -> Todo {
    Todo { id: format!("{id:05}"), text: "x".repeat(1_000), done: false, position: id as i64 }
}

pub(crate) fn note(id: &str, owner: &str, text: &str) -> Note {
    Note { id: id.into(), owner: owner.into(), text: text.into() }
}

pub(crate) fn all_todos() -> Query<Todo> {
    Todo::in_space(HOME)
}

fn half(name: &str, side: &str, value: i64) -> Half {
    Half { id: format!("{name}/{side}"), side: side.into(), value }
}

/// Writes both halves.
pub(crate) fn whole(name: &str, value: i64) -> Vec<RowOp> {
    let half = |side: &str| RowOp::put(&half(name, side, value)).unwrap();
    vec![half("left"), half("right")]
}

/// Deletes both halves.
pub(crate) fn nothing(name: &str) -> Vec<RowOp> {
    vec![RowOp::delete::<Half>(&format!("{name}/left")), RowOp::delete::<Half>(&format!("{name}/right"))]
}

/// Whether a view shows nothing but whole things.
pub(crate) fn is_whole(halves: &[Half]) -> Result<(), String> {
    let other = |one: &Half| {
        let name = one.id.split('/').next().unwrap_or_default();
        half(name, if one.side == "left" { "right" } else { "left" }, one.value)
    };
    match halves.iter().find(|half| !halves.contains(&other(half))) {
        Some(half) => Err(format!("{half:?} stands alone among {halves:?}")),
        None => Ok(()),
    }
}

pub(crate) fn ids(sim: &Sim, watch: Watch<Todo>) -> Vec<String> {
    sim.rows(watch).into_iter().map(|todo| todo.id).collect()
}
