//! What clients said to real servers, said to ours: the same answers, up to times, and what is ours to add.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use syncline_core::Draft;
use syncline_macros::Record as DeriveRecord;
use syncline_server::partysync::{Party, Partysync};
use syncline_server::{Builder, Channel, Error, Memory, Record, Syncline, Tx, Who};

use crate::support::Server;
use crate::support::party::{PartyClient, Todos, on_todo};

/// A row as the traced servers keep it: what is deleted stays, with a mark.
trait Marked: Record {
    fn new(id: String, text: String, completed: u8, now: u64) -> Self;
    fn edit(&mut self, text: String, completed: u8, now: u64);
    fn mark(&mut self, now: u64);
}

macro_rules! marked {
    ($row:ident, $time:ty, $at:path) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DeriveRecord)]
        #[record(collection = "todos", key = id)]
        struct $row {
            id: String,
            text: String,
            completed: u8,
            created_at: $time,
            updated_at: $time,
            deleted_at: Option<$time>,
        }

        impl Marked for $row {
            fn new(id: String, text: String, completed: u8, now: u64) -> Self {
                let (created_at, updated_at) = ($at(now), $at(now));
                Self { id, text, completed, created_at, updated_at, deleted_at: None }
            }

            fn edit(&mut self, text: String, completed: u8, now: u64) {
                (self.text, self.completed, self.updated_at) = (text, completed, $at(now));
            }

            fn mark(&mut self, now: u64) {
                self.deleted_at = Some($at(now));
            }
        }
    };
}

marked!(InMs, u64, std::convert::identity);
marked!(InText, String, text_of);

/// As SQLite's `datetime` has it; the day is always the same, which is enough here.
fn text_of(now: u64) -> String {
    let of_day = now / 1_000 % 86_400;
    let days = i64::try_from(now / 86_400_000).unwrap();
    let (year, month, day) = civil(days);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02}", of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

/// The date of a day since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let mut left = days;
    let mut year = 1970;
    let is_leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    while left >= if is_leap(year) { 366 } else { 365 } {
        left -= if is_leap(year) { 366 } else { 365 };
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
enum MarkingAction {
    Create { id: String, text: String, completed: u8 },
    Update { id: String, text: String, completed: u8 },
    Delete { id: Option<String> },
}

struct Marking<R>(std::marker::PhantomData<R>);

impl<R: Marked> Channel for Marking<R> {
    const NAME: &'static str = "todos";
    type Record = R;
    type Action = MarkingAction;
    type Output = ();
    type Error = Error;

    fn reduce(_: &mut Draft<'_, R>, _: &MarkingAction) {}
}

fn on_marking<R: Marked>(tx: &mut Tx<'_>, action: MarkingAction, who: &Who<'_>) -> Result<(), Error> {
    let mut rows = tx.rows::<R>();
    match action {
        MarkingAction::Create { id, .. } if rows.get(&id).is_some() => {
            return Err(Error::new("taken", "there is one already"));
        }
        MarkingAction::Create { id, text, completed } => rows.put(R::new(id, text, completed, who.now)),
        MarkingAction::Update { id, text, completed } => {
            rows.update(&id, |row| row.edit(text, completed, who.now));
        }
        MarkingAction::Delete { id } => {
            let id = id.ok_or_else(|| Error::new("bad", "id is required"))?;
            rows.update(&id, |row| row.mark(who.now));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Line {
    client: String,
    dir: String,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    url: String,
}

/// What is left to compare of an answer: times, and texts of our own, are not the same.
fn comparable(mut message: Value) -> Value {
    let rows = ["payload", "result"].into_iter().find(|name| message[*name].is_array());
    if let Some(rows) = rows {
        for row in message[rows].as_array_mut().unwrap() {
            let fields = row.as_array_mut().unwrap();
            let times = fields.len() - 3;
            assert!(fields.len() == 6 && !fields[times].is_null() && !fields[times + 1].is_null());
            let kinds = fields[times..].iter_mut().filter(|time| !time.is_null());
            kinds.for_each(|time| *time = json!(if time.is_string() { "a text" } else { "a number" }));
        }
    }
    for text in ["error", "exception"] {
        if message[text].is_array() && message[text][0] != "id is required" {
            assert!(message[text][0].is_string() && message[text][1].is_null());
            message[text] = json!("in other words");
        }
    }
    if let Some(code) = message.as_object_mut().unwrap().remove("code") {
        assert!(code.is_string());
    }
    // and what else ours says that a client need not know
    for more in ["field", "data"] {
        message.as_object_mut().unwrap().remove(more);
    }
    message
}

fn time_in(row: &Value) -> Value {
    row[4].clone()
}

/// Replays the clients' side of a trace.
struct Replay {
    server: Server,
    clients: BTreeMap<String, PartyClient>,
    /// The newest `updated_at` that each client was given, and by a real server in its place.
    newest: BTreeMap<String, (Value, Value)>,
    tombstones: Vec<String>,
}

impl Replay {
    async fn of(builder: Builder<Memory>, party: &str) -> Self {
        let parties = Partysync::new().party(Party::named(party));
        let server = Server::of(builder.partysync(parties).build().await.unwrap()).await;
        Self { server, clients: BTreeMap::new(), newest: BTreeMap::new(), tombstones: Vec::new() }
    }

    /// `ours` makes what ours says of what theirs said, if it says anything.
    async fn run(&mut self, trace: &str, mut ours_of: impl FnMut(Value) -> Option<Value>) {
        let mut spoke = 0;
        for line in trace.lines() {
            let line: Line = serde_json::from_str(line).unwrap();
            match (line.dir.as_str(), line.r#type.as_str()) {
                ("event", "upgrade") => {
                    let path = line.url.strip_prefix("ws://HOST/parties/").unwrap();
                    let client = PartyClient::connect(&self.server, path, &[]).await.unwrap();
                    self.clients.insert(line.client, client);
                }
                ("event", "close-sent") => self.clients.remove(&line.client).unwrap().close().await,
                ("event", "close") | ("note", _) => {}
                ("send", _) => {
                    // every action has a second of its own, as it had in the trace
                    tokio::time::pause();
                    tokio::time::advance(Duration::from_millis(1_500)).await;
                    tokio::time::resume();
                    let text = self.in_our_time(line.data.as_str().unwrap());
                    self.clients.get_mut(&line.client).unwrap().say_raw(text).await;
                    spoke += 1;
                }
                ("recv", _) => {
                    let theirs: Value = serde_json::from_str(line.data.as_str().unwrap()).unwrap();
                    let Some(theirs) = ours_of(theirs) else { continue };
                    let mut ours = self.clients.get_mut(&line.client).unwrap().hear().await;
                    if ours["sync"] == true {
                        self.without_tombstones(&mut ours);
                    }
                    let told = theirs["result"].as_array().into_iter().chain(theirs["payload"].as_array());
                    for (number, row) in told.flatten().enumerate() {
                        let mine = ours.get("result").or(ours.get("payload")).unwrap()[number].clone();
                        self.newest.insert(row[0].to_string(), (time_in(row), time_in(&mine)));
                    }
                    assert_eq!(comparable(ours), comparable(theirs), "after {spoke} messages");
                }
                (dir, kind) => panic!("{dir} {kind} in a trace"),
            }
        }
        for (name, mut client) in std::mem::take(&mut self.clients) {
            client.say(&json!({ "channel": "nope", "sync": true })).await;
            let last = client.hear().await;
            assert_eq!(last["type"], "error", "{name} was told more than in the trace: {last}");
        }
    }

    /// What a client that was given our times says where it said theirs.
    fn in_our_time(&self, text: &str) -> String {
        let Ok(mut message) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
        if message["from"].as_u64().is_none_or(|from| from == 0) && !message["from"].is_string() {
            return text.to_owned();
        }
        let given = self.newest.values().find(|(theirs, _)| *theirs == message["from"]);
        // the others are the time at which the trace was made
        message["from"] = given.map_or_else(|| json!(4_000_000_000_000_u64), |(_, ours)| ours.clone());
        message.to_string()
    }

    /// What deletes rows of clients that were away is ours to add.
    fn without_tombstones(&mut self, reply: &mut Value) {
        reply["payload"].as_array_mut().unwrap().retain(|row| {
            if !row[5].is_null() {
                self.tombstones.push(row[0].as_str().unwrap().to_owned());
            }
            row[5].is_null()
        });
    }
}

fn marking<R: Marked>() -> Builder<Memory> {
    Syncline::builder().storage(Memory::new()).channel::<Marking<R>>(on_marking::<R>)
}

#[tokio::test]
async fn actions_in_milliseconds() {
    let mut replay = Replay::of(marking::<InMs>(), "todos-ms").await;
    replay.run(include_str!("../../../../syncline-core/tests/traces/partysync-actions.jsonl"), Some).await;
    assert_eq!(replay.tombstones, ["t2", "t4"], "which their server keeps to itself");
}

#[tokio::test]
async fn times_as_text() {
    let mut replay = Replay::of(marking::<InText>(), "todos").await;
    let mut all = 0;
    // theirs takes a number to be older than any text, and answers with everything
    let ours = |mut theirs: Value| {
        let is_all = theirs["sync"] == true
            && ["t1", "t3"].iter().enumerate().all(|(n, id)| theirs["payload"][n][0] == *id);
        all += i32::from(is_all);
        if is_all && all == 1 {
            theirs["payload"] = json!([]);
        }
        Some(theirs)
    };
    replay
        .run(include_str!("../../../../syncline-core/tests/traces/partysync-text-timestamps.jsonl"), ours)
        .await;
    assert_eq!(replay.tombstones, ["t2", "t4"]);
}

#[tokio::test]
async fn a_list_that_is_cleared() {
    let builder = Syncline::builder().storage(Memory::new()).channel::<Todos>(on_todo);
    let mut replay = Replay::of(builder, "todos-all").await;
    let mut cleared = 0;
    // nothing is deleted of a list that is empty already
    let ours = |theirs: Value| {
        cleared += i32::from(theirs["type"] == "delete-all");
        (theirs["type"] != "delete-all" || cleared <= 2).then_some(theirs)
    };
    replay.run(include_str!("../../../../syncline-core/tests/traces/partysync-delete-all.jsonl"), ours).await;
    assert!(replay.tombstones.is_empty());
}
