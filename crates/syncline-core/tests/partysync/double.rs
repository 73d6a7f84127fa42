//! A double of a partysync server: what section 2 of the protocols says of one, with everything that it gets wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::TodoAction;

/// A row, also after it was deleted.
#[derive(Clone, Debug)]
struct Stored {
    text: String,
    completed: i64,
    created: u64,
    updated: u64,
    deleted: Option<u64>,
}

/// What becomes of an action.
#[derive(Debug)]
enum Done {
    Rows(Vec<Value>),
    Cleared,
    Refused(&'static str),
}

/// One room.
pub(crate) struct Double {
    rows: BTreeMap<String, Stored>,
    /// Times are texts, and say no more than the second.
    texts: bool,
    /// Who is here: the sockets that have not been closed.
    pub(crate) here: BTreeSet<u64>,
    /// What was asked for in each action that came to the handler, by what it is called.
    pub(crate) handled: BTreeMap<String, bool>,
    /// The order in which they came in, by socket.
    pub(crate) received: BTreeMap<u64, Vec<String>>,
}

/// An action between its being done and its being told.
#[derive(Debug)]
pub(crate) struct Running {
    socket: u64,
    channel: String,
    id: String,
    done: Done,
}

impl Double {
    pub(crate) fn new(texts: bool) -> Self {
        let (rows, here, handled, received) = Default::default();
        Self { rows, texts, here, handled, received }
    }

    /// The rows that there are: what everybody is to see in the end.
    pub(crate) fn truth(&self) -> Vec<(String, String)> {
        let there = self.rows.iter().filter(|(_, row)| row.deleted.is_none());
        there.map(|(id, row)| (id.clone(), row.text.clone())).collect()
    }

    fn time(&self, ms: u64) -> Value {
        if !self.texts {
            return json!(1_795_165_000_000_u64 + ms);
        }
        let seconds = ms / 1000;
        json!(format!("2026-11-20 {:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60))
    }

    fn row(&self, id: &str, row: &Stored) -> Value {
        let deleted = row.deleted.map_or(Value::Null, |at| self.time(at));
        json!([id, row.text, row.completed, self.time(row.created), self.time(row.updated), deleted])
    }

    /// The answer to `sync`: it never tells of deletions.
    pub(crate) fn sync(&self, channel: &str) -> String {
        let there = self.rows.iter().filter(|(_, row)| row.deleted.is_none());
        let rows: Vec<_> = there.map(|(id, row)| self.row(id, row)).collect();
        json!({"sync": true, "channel": channel, "payload": rows}).to_string()
    }

    /// Does an action. Nothing is told yet, but for what the handler of `clear` tells itself.
    pub(crate) fn act(&mut self, now: Duration, socket: u64, frame: &Value) -> Running {
        let text = |name: &str| frame[name].as_str().unwrap().to_owned();
        let (channel, id) = (text("channel"), text("id"));
        let done = self.do_action(now.as_millis() as u64, frame["action"].clone());
        let before = self.handled.insert(id.clone(), !matches!(done, Done::Refused(_)));
        assert!(before.is_none(), "{id} was sent twice");
        Running { socket, channel, id, done }
    }

    fn do_action(&mut self, at: u64, action: Value) -> Done {
        let Ok(action) = serde_json::from_value::<TodoAction>(action) else { return Done::Refused("what?") };
        let id = match action {
            TodoAction::Create { id, text, completed } => {
                if self.rows.contains_key(&id) {
                    return Done::Refused("UNIQUE constraint failed: todos.id");
                }
                let row = Stored { text, completed, created: at, updated: at, deleted: None };
                self.rows.insert(id.clone(), row);
                id
            }
            TodoAction::Update { id, text, completed } => {
                let row = self.rows.get_mut(&id).filter(|row| row.deleted.is_none());
                let Some(row) = row else { return Done::Rows(Vec::new()) };
                (row.text, row.completed, row.updated) = (text, completed, at);
                id
            }
            TodoAction::Delete { id } => {
                let Some(id) = id else { return Done::Refused("id is required") };
                let Some(row) = self.rows.get_mut(&id) else { return Done::Rows(Vec::new()) };
                row.deleted = Some(at);
                id
            }
            TodoAction::Clear(()) => {
                self.rows.clear();
                return Done::Cleared;
            }
        };
        Done::Rows(vec![self.row(&id, &self.rows[&id])])
    }

    /// What is told of an action while its handler runs, to all.
    pub(crate) fn told_at_once(&self, running: &Running) -> Vec<(u64, String)> {
        match running.done {
            Done::Cleared => {
                let frame = json!({"broadcast": true, "type": "delete-all", "channel": running.channel});
                self.here.iter().map(|&socket| (socket, frame.to_string())).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What is told of it when it has ended. Whoever has left meanwhile is told nothing, and neither are all the others.
    pub(crate) fn told(&self, running: &Running) -> Vec<(u64, String)> {
        let Running { socket, channel, id, done } = running;
        if !self.here.contains(socket) {
            return Vec::new();
        }
        let reply = |kind: &str, name: &str, value: Value| {
            let mut frame = json!({"type": kind, "rpc": true, "channel": channel, "id": id});
            frame[name] = value;
            (*socket, frame.to_string())
        };
        let rows = match done {
            Done::Refused(why) => return vec![reply("error", "error", json!([why]))],
            Done::Rows(rows) => json!(rows),
            Done::Cleared => json!([]),
        };
        let update = json!({"broadcast": true, "type": "update", "channel": channel, "payload": rows});
        let others = self.here.iter().filter(|other| *other != socket);
        let mut all: Vec<_> = others.map(|&other| (other, update.to_string())).collect();
        all.push(reply("success", "result", rows));
        all
    }
}
