//! A core in rooms of a partysync server, and the sockets on which a test says what the server says.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use syncline_core::client::partysync::{Address, Service};
use syncline_core::client::{Applied, ClientCore, Config, Input, Output, WatchId, WriteRef};
use syncline_core::{
    Channel, ClientId, Draft, Error, Field, FieldDef, Query, Record, RowState, ScalarRef, SpaceId,
};

/// The record of the recordings: on the wire a list of its fields in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Todo {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) completed: i64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) deleted_at: Option<i64>,
}

#[allow(non_upper_case_globals)]
impl Todo {
    pub(crate) const text: Field<Self, String> = Field::new(1);
    pub(crate) const completed: Field<Self, i64> = Field::new(2);
}

impl Record for Todo {
    const COLLECTION: &'static str = "todo";
    const FIELDS: &'static [FieldDef] = &[
        FieldDef { name: "id", queryable: true, aliases: &[] },
        FieldDef { name: "text", queryable: true, aliases: &[] },
        FieldDef { name: "completed", queryable: true, aliases: &[] },
        FieldDef { name: "created_at", queryable: true, aliases: &[] },
        FieldDef { name: "updated_at", queryable: true, aliases: &[] },
        FieldDef { name: "deleted_at", queryable: true, aliases: &[] },
    ];
    const KEY_FIELD: &'static str = "id";

    fn key(&self) -> &str {
        &self.id
    }

    fn field(&self, index: usize) -> ScalarRef<'_> {
        match index {
            0 => ScalarRef::Text(&self.id),
            1 => ScalarRef::Text(&self.text),
            2 => ScalarRef::Int(self.completed),
            3 => ScalarRef::Int(self.created_at),
            4 => ScalarRef::Int(self.updated_at),
            _ => ScalarRef::Null,
        }
    }
}

/// The actions of the recordings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
pub(crate) enum TodoAction {
    Create {
        id: String,
        text: String,
        completed: i64,
    },
    Update {
        id: String,
        text: String,
        completed: i64,
    },
    Delete {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    },
    Clear(()),
}

pub(crate) struct Todos;

impl Channel for Todos {
    const NAME: &'static str = "todos";
    type Record = Todo;
    type Action = TodoAction;
    type Output = Vec<Todo>;
    type Error = Error;

    fn reduce(todos: &mut Draft<'_, Todo>, action: &TodoAction) {
        match action.clone() {
            TodoAction::Create { id, text, completed } => {
                let (created_at, updated_at, deleted_at) = (0, 0, None);
                todos.put(Todo { id, text, completed, created_at, updated_at, deleted_at });
            }
            TodoAction::Update { id, text, completed } => {
                todos.update(&id, |todo| (todo.text, todo.completed) = (text, completed));
            }
            TodoAction::Delete { id } => drop(id.map(|id| todos.remove(&id))),
            TodoAction::Clear(()) => {
                for todo in todos.rows() {
                    todos.remove(&todo.id);
                }
            }
        }
    }
}

pub(crate) fn create(id: &str) -> TodoAction {
    TodoAction::Create { id: id.into(), text: format!("text of {id}"), completed: 0 }
}

pub(crate) fn rename(id: &str, text: &str) -> TodoAction {
    TodoAction::Update { id: id.into(), text: text.into(), completed: 0 }
}

pub(crate) fn delete(id: &str) -> TodoAction {
    TodoAction::Delete { id: Some(id.into()) }
}

pub(crate) fn list() -> SpaceId {
    SpaceId::from("list")
}

pub(crate) fn all() -> Query<Todo> {
    Todo::in_space("list")
}

/// A row that was made or changed at a time.
pub(crate) fn row(id: &str, text: &str, at: i64) -> Value {
    json!([id, text, 0, 1_000, at, null])
}

/// The same after it was deleted.
pub(crate) fn gone(id: &str, text: &str, at: i64, deleted: i64) -> Value {
    json!([id, text, 0, 1_000, at, deleted])
}

/// The same where times are texts: so many seconds into a minute.
pub(crate) fn text_row(id: &str, text: &str, second: u32) -> Value {
    json!([id, text, 0, "2026-11-20 08:57:00", format!("2026-11-20 08:57:{second:02}"), null])
}

/// A socket that the core has asked for and that is not closed.
#[derive(Clone, Debug)]
pub(crate) struct Socket {
    pub(crate) line: u64,
    pub(crate) address: Address,
}

pub(crate) struct Rig {
    pub(crate) core: ClientCore,
    pub(crate) now: Duration,
    /// What is open, in the order in which it was asked for.
    pub(crate) open: Vec<Socket>,
    fresh: Vec<Socket>,
    sent: Vec<(u64, Value)>,
    verdicts: Vec<(WriteRef, Result<Applied, Error>)>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(ClientId::from("client-1"), 7);
        config.partysync = Some(Service::default());
        change(&mut config);
        let mut core = ClientCore::new(config);
        core.register_channel::<Todos>();
        let (open, fresh, sent, verdicts) = Default::default();
        Self { core, now: Duration::from_secs(100), open, fresh, sent, verdicts }
    }

    /// One that watches all rows of a room in which there are these.
    pub(crate) fn live(rows: &[Value]) -> (Self, Socket, WatchId) {
        let mut rig = Self::new();
        let watch = rig.watch(&all());
        let socket = rig.join();
        rig.answer_sync(&socket, rows);
        assert_eq!(rig.status(watch), "live");
        (rig, socket, watch)
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Join { attempt, address } => {
                    self.open.push(Socket { line: attempt, address });
                    self.fresh.extend(self.open.last().cloned());
                }
                Output::Send { attempt, frame } => {
                    self.sent.push((attempt, serde_json::from_slice(&frame).unwrap()));
                }
                Output::Close { attempt } => {
                    self.open.retain(|socket| socket.line != attempt);
                    self.fresh.retain(|socket| socket.line != attempt);
                }
                Output::Settled { write, result } => self.verdicts.push((write, result)),
                Output::Open { .. } | Output::Call { .. } | Output::Access { .. } => {
                    panic!("not the protocol of a partysync server")
                }
                _ => {}
            }
        }
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.core.handle(self.now, input);
        self.drain();
    }

    pub(crate) fn watch(&mut self, query: &Query<Todo>) -> WatchId {
        let watch = self.core.watch(self.now, query);
        self.drain();
        watch
    }

    pub(crate) fn act(&mut self, action: TodoAction) -> WriteRef {
        let write = self.core.send_action::<Todos>(self.now, &list(), action).unwrap();
        self.drain();
        write
    }

    /// The one socket that was asked for since the last time.
    pub(crate) fn asked(&mut self) -> Socket {
        assert_eq!(self.fresh.len(), 1, "{:?}", self.fresh);
        self.fresh.remove(0)
    }

    pub(crate) fn asks_nothing(&self) -> bool {
        self.fresh.is_empty()
    }

    pub(crate) fn opened(&mut self, socket: &Socket) {
        self.input(Input::Opened { attempt: socket.line });
    }

    /// The socket that was asked for, open.
    pub(crate) fn join(&mut self) -> Socket {
        let socket = self.asked();
        self.opened(&socket);
        socket
    }

    pub(crate) fn closed(&mut self, socket: &Socket) {
        self.open.retain(|open| open.line != socket.line);
        self.input(Input::Closed { attempt: socket.line, error: None });
    }

    /// What was sent since the last time, whatever it was.
    pub(crate) fn sent(&mut self) -> Vec<Value> {
        self.drain();
        std::mem::take(&mut self.sent).into_iter().map(|(_, frame)| frame).collect()
    }

    /// The channels whose rows were asked for since the last time.
    pub(crate) fn syncs(&mut self) -> Vec<String> {
        self.drain();
        let is_sync = |frame: &Value| frame["sync"] == true;
        let (syncs, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.sent).into_iter().partition(|(_, frame)| is_sync(frame));
        self.sent = rest;
        assert!(syncs.iter().all(|(_, frame)| frame["from"].is_null()), "{syncs:?}");
        syncs.into_iter().map(|(_, frame)| frame["channel"].as_str().unwrap().to_owned()).collect()
    }

    /// The actions that were sent since the last time: what each is called, and its payload.
    pub(crate) fn actions(&mut self) -> Vec<(String, Value)> {
        let sent = self.sent().into_iter().filter(|frame| frame["rpc"] == true);
        sent.map(|frame| (frame["id"].as_str().unwrap().to_owned(), frame["action"].clone())).collect()
    }

    /// What the one action is called that was sent since the last time.
    pub(crate) fn request(&mut self) -> String {
        let mut actions = self.actions();
        assert_eq!(actions.len(), 1, "{actions:?}");
        actions.remove(0).0
    }

    pub(crate) fn verdicts(&mut self) -> Vec<(WriteRef, Result<Applied, Error>)> {
        self.drain();
        std::mem::take(&mut self.verdicts)
    }

    /// The codes of the verdicts since the last time; `ok` for what was done.
    pub(crate) fn outcomes(&mut self) -> Vec<(WriteRef, String)> {
        let code = |result: Result<Applied, Error>| match result {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.code().to_owned(),
        };
        self.verdicts().into_iter().map(|(write, result)| (write, code(result))).collect()
    }

    pub(crate) fn frame(&mut self, socket: &Socket, text: &str) {
        self.input(Input::Frame { attempt: socket.line, bytes: text.as_bytes() });
    }

    pub(crate) fn say(&mut self, socket: &Socket, frame: Value) {
        self.frame(socket, &frame.to_string());
    }

    /// Answers a question for all rows, which there must be.
    pub(crate) fn answer_sync(&mut self, socket: &Socket, rows: &[Value]) {
        assert_eq!(self.syncs(), ["todos"]);
        self.say(socket, json!({"sync": true, "channel": "todos", "payload": rows}));
    }

    pub(crate) fn update(&mut self, socket: &Socket, rows: &[Value]) {
        self.say(socket, json!({"broadcast": true, "type": "update", "channel": "todos", "payload": rows}));
    }

    pub(crate) fn delete_all(&mut self, socket: &Socket) {
        self.say(socket, json!({"broadcast": true, "type": "delete-all", "channel": "todos"}));
    }

    pub(crate) fn success(&mut self, socket: &Socket, id: &str, rows: &[Value]) {
        self.say(
            socket,
            json!({"type": "success", "rpc": true, "channel": "todos", "id": id, "result": rows}),
        );
    }

    pub(crate) fn error(&mut self, socket: &Socket, id: &str, words: &str) {
        self.say(
            socket,
            json!({"type": "error", "rpc": true, "channel": "todos", "id": id, "error": [words]}),
        );
    }

    pub(crate) fn exception(&mut self, socket: &Socket) {
        self.say(socket, json!({"type": "exception", "rpc": true, "exception": ["cannot be read"]}));
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.input(Input::Tick);
    }

    /// Waits until the core wants to be woken, and wakes it.
    pub(crate) fn wait_for_deadline(&mut self) -> Duration {
        let deadline = self.core.deadline().expect("the core waits for nothing");
        let waited = deadline.saturating_sub(self.now);
        self.wait(waited);
        waited
    }

    /// What a watch shows: keys, with `?` behind pending ones.
    pub(crate) fn shown(&self, watch: WatchId) -> Vec<String> {
        let mark = |state: &RowState| match state {
            RowState::Confirmed => "",
            RowState::Pending => "?",
            RowState::Failed(_) => "!",
        };
        let entries = self.core.entries::<Todo>(watch);
        entries.iter().map(|entry| format!("{}{}", entry.record.id, mark(&entry.state))).collect()
    }

    pub(crate) fn texts(&self, watch: WatchId) -> Vec<String> {
        let entries = self.core.entries::<Todo>(watch);
        entries.iter().map(|entry| entry.record.text.clone()).collect()
    }

    pub(crate) fn status(&self, watch: WatchId) -> &'static str {
        self.core.watch_state(watch).status.as_str()
    }

    pub(crate) fn error_of(&self, watch: WatchId) -> Option<String> {
        self.core.watch_state(watch).error.map(|error| error.code().to_owned())
    }
}
