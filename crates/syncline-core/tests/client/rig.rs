//! A core, its time, and a server that says what the test wants it to say.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use syncline_core::client::{ClientCore, Config, Input, Output, Transport, WatchId, WriteRef};
use syncline_core::ops::{Put, RowOp, RowOps};
use syncline_core::{ClientId, Diff, Error, Field, FieldDef, Query, Record, RowState, ScalarRef, SpaceId};

/// The row of these tests; what the derive makes is written out, since the core does not know the derive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Todo {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) done: bool,
    pub(crate) position: i64,
}

#[allow(non_upper_case_globals)]
impl Todo {
    pub(crate) const text: Field<Self, String> = Field::new(1);
    pub(crate) const done: Field<Self, bool> = Field::new(2);
    pub(crate) const position: Field<Self, i64> = Field::new(3);

    pub(crate) fn new(id: &str, position: i64) -> Self {
        Self { id: id.into(), text: format!("text of {id}"), done: false, position }
    }
}

impl Record for Todo {
    const COLLECTION: &'static str = "todos";
    const FIELDS: &'static [FieldDef] = &[
        FieldDef { name: "id", queryable: true, aliases: &[] },
        FieldDef { name: "text", queryable: true, aliases: &[] },
        FieldDef { name: "done", queryable: true, aliases: &[] },
        FieldDef { name: "position", queryable: true, aliases: &[] },
    ];
    const KEY_FIELD: &'static str = "id";

    fn key(&self) -> &str {
        &self.id
    }

    fn field(&self, index: usize) -> ScalarRef<'_> {
        match index {
            0 => ScalarRef::Text(&self.id),
            1 => ScalarRef::Text(&self.text),
            2 => ScalarRef::Bool(self.done),
            3 => ScalarRef::Int(self.position),
            _ => ScalarRef::Null,
        }
    }
}

pub(crate) fn list() -> SpaceId {
    SpaceId::from("list")
}

pub(crate) fn all() -> Query<Todo> {
    Todo::in_space("list").order_by(Todo::position)
}

pub(crate) fn open() -> Query<Todo> {
    all().filter(Todo::done.eq(false))
}

pub(crate) struct Rig {
    pub(crate) core: ClientCore,
    pub(crate) now: Duration,
    pub(crate) outputs: Vec<Output>,
    pub(crate) attempt: u64,
    pub(crate) version: u64,
    /// Whether storage says at once that there is nothing to adopt.
    pub(crate) looks: bool,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(ClientId::from("client-1"), 7);
        change(&mut config);
        let core = ClientCore::new(config);
        Self { core, now: Duration::from_secs(100), outputs: Vec::new(), attempt: 0, version: 0, looks: true }
    }

    /// Drains the outputs: all of them since the last call.
    pub(crate) fn drain(&mut self) -> Vec<Output> {
        while let Some(output) = self.core.poll_output() {
            if let Output::Open { attempt, .. } = output {
                self.attempt = attempt;
            }
            let is_asked = matches!(output, Output::Adopt { .. });
            self.outputs.push(output);
            if is_asked && self.looks {
                self.input(Input::AdoptDone { user: None });
            }
        }
        std::mem::take(&mut self.outputs)
    }

    /// The frames sent since the last drain.
    pub(crate) fn sent(&mut self) -> Vec<Value> {
        let frame = |output| match output {
            Output::Send { frame, .. } => Some(serde_json::from_slice(&frame).unwrap()),
            _ => None,
        };
        self.drain().into_iter().filter_map(frame).collect()
    }

    /// The transports of the connections asked for since the last drain.
    pub(crate) fn opened(&mut self) -> Vec<Transport> {
        let open = |output| match output {
            Output::Open { transport, .. } => Some(transport),
            _ => None,
        };
        self.drain().into_iter().filter_map(open).collect()
    }

    pub(crate) fn settled(&mut self) -> Vec<(WriteRef, Result<u64, Error>)> {
        let settled = |output| match output {
            Output::Settled { write, result } => Some((write, result.map(|applied| applied.version))),
            _ => None,
        };
        self.drain().into_iter().filter_map(settled).collect()
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.core.handle(self.now, input);
    }

    pub(crate) fn accept(&mut self) {
        self.drain();
        self.input(Input::Opened { attempt: self.attempt });
    }

    /// Opens the connection and says welcome.
    pub(crate) fn connect(&mut self) {
        self.accept();
        self.welcome();
    }

    pub(crate) fn welcome(&mut self) {
        self.welcome_with(2_097_152);
    }

    pub(crate) fn welcome_with(&mut self, frame_bytes: usize) {
        self.welcome_of("ann", frame_bytes);
    }

    /// The server says who is here, and how much it takes.
    pub(crate) fn welcome_of(&mut self, user: &str, frame_bytes: usize) {
        self.server(json!({"welcome": {
            "protocol": 1, "user": {"id": user}, "encoding": "json", "heartbeat_ms": 30_000,
            "limits": {"frame_bytes": frame_bytes, "writes_in_flight": 256, "subscriptions": 256},
        }}));
    }

    /// Whether the application has been asked for credentials since the last drain.
    pub(crate) fn asks(&mut self) -> bool {
        self.drain().iter().any(|output| matches!(output, Output::Credentials))
    }

    /// The application's answer.
    pub(crate) fn answer(&mut self, token: &str) {
        self.input(Input::Credentials(Ok(Some(token.into()))));
    }

    /// The hello of the connection asked for since the last drain.
    pub(crate) fn hello(&mut self) -> Value {
        let hello = |output| match output {
            Output::Open { hello, .. } => serde_json::from_slice::<Value>(&hello).ok(),
            _ => None,
        };
        self.drain().into_iter().find_map(hello).unwrap()["hello"].clone()
    }

    /// The subscription that was asked for last, as far as it was not drained.
    pub(crate) fn newest_sub(&mut self) -> u32 {
        let sub = |frame: &Value| frame.get("subscribe")?.get("sub")?.as_u64();
        self.sent().iter().filter_map(sub).max().unwrap() as u32
    }

    pub(crate) fn lose_with(&mut self, error: Error) {
        self.input(Input::Closed { attempt: self.attempt, error: Some(error) });
    }

    pub(crate) fn lose(&mut self) {
        self.input(Input::Closed { attempt: self.attempt, error: None });
    }

    pub(crate) fn server(&mut self, message: Value) {
        self.server_rows(message, &[]);
    }

    pub(crate) fn server_rows(&mut self, message: Value, rows: &[Value]) {
        let mut frame = message.to_string();
        for row in rows {
            frame.push('\n');
            frame.push_str(&row.to_string());
        }
        let attempt = self.attempt;
        self.input(Input::Frame { attempt, bytes: frame.as_bytes() });
    }

    pub(crate) fn cursor(&self) -> Value {
        json!({"incarnation": "00000000000000aa", "schema": 0, "epoch": 0, "version": self.version})
    }

    /// A whole snapshot in one chunk.
    pub(crate) fn snapshot(&mut self, sub: u32, rows: &[Todo]) {
        self.snapshot_with(sub, rows, json!([]));
    }

    pub(crate) fn snapshot_with(&mut self, sub: u32, rows: &[Todo], writes: Value) {
        let cursor = self.cursor();
        let rows: Vec<_> = rows.iter().map(|row| serde_json::to_value(row).unwrap()).collect();
        let head = json!({"snapshot": {
            "sub": sub, "cursor": cursor, "chunk": 0, "total": rows.len(), "last": true, "writes": writes,
        }});
        self.server_rows(head, &rows);
    }

    /// The next version: rows put into and keys gone from one subscription, and acknowledged writes.
    pub(crate) fn change(&mut self, sub: u32, put: &[Todo], del: &[&str], acks: &[u64]) {
        let from = self.version;
        self.version += 1;
        let lines: Vec<_> = (0..put.len()).collect();
        let rows: Vec<_> = put.iter().map(|row| serde_json::to_value(row).unwrap()).collect();
        let acks: Vec<_> = acks.iter().map(|id| json!({"client": "client-1", "id": id})).collect();
        let head = json!({"changes": {
            "space": "list", "from": from, "to": self.version,
            "parts": [{"sub": sub, "put": lines, "del": del}], "acks": acks,
        }});
        self.server_rows(head, &rows);
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

    pub(crate) fn put(&mut self, todo: &Todo) -> WriteRef {
        self.core.put(self.now, &list(), Put::new(todo).unwrap()).unwrap()
    }

    pub(crate) fn delete(&mut self, key: &str) -> WriteRef {
        self.core.write_rows(self.now, &list(), &RowOps { ops: vec![RowOp::delete::<Todo>(key)] }).unwrap()
    }

    pub(crate) fn watch(&mut self, query: &Query<Todo>) -> WatchId {
        self.core.watch(self.now, query)
    }

    /// What a watch shows: keys, with `?` behind pending ones and `!` behind failed ones.
    pub(crate) fn shown(&self, watch: WatchId) -> Vec<String> {
        let mark = |state: &RowState| match state {
            RowState::Confirmed => "",
            RowState::Pending => "?",
            RowState::Failed(_) => "!",
        };
        let entries = self.core.entries::<Todo>(watch);
        entries.iter().map(|entry| format!("{}{}", entry.record.id, mark(&entry.state))).collect()
    }

    pub(crate) fn status(&self, watch: WatchId) -> &'static str {
        self.core.watch_state(watch).status.as_str()
    }
}

/// Applies diffs to a list as an adapter would.
pub(crate) fn apply(list: &mut Vec<(Todo, RowState)>, diffs: Vec<Diff<Todo>>) {
    for diff in diffs {
        match diff {
            Diff::Reset(entries) => {
                *list = entries.into_iter().map(|entry| (Todo::clone(&entry.record), entry.state)).collect();
            }
            Diff::Insert { index, entry } => list.insert(index, (Todo::clone(&entry.record), entry.state)),
            Diff::Update { entry } => {
                let row = list.iter_mut().find(|(row, _)| row.id == entry.key()).expect("the row to update");
                *row = (Todo::clone(&entry.record), entry.state);
            }
            Diff::Remove { index, key } => assert_eq!(list.remove(index).0.id, key.as_str()),
            Diff::Move { from, to, entry } => {
                assert_eq!(list.remove(from).0.id, entry.key());
                list.insert(to, (Todo::clone(&entry.record), entry.state));
            }
        }
    }
}
