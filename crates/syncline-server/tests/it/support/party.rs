//! A client of partysync, written from what its servers say, and servers for it.

use std::collections::BTreeMap;

use futures::{SinkExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use syncline_core::Draft;
use syncline_macros::Record;
use syncline_server::partysync::{Party, Partysync};
use syncline_server::{
    AuthError, Builder, Channel, Credentials, Error, Memory, Rules, SpaceId, Storage, Syncline, Tx, User,
    Visibility, Who,
};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{Server, soon};

/// A row of a list. One that is called `own-ada…` is ada's alone, where there are [rules](OwnRows) about that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "todos", key = id)]
pub(crate) struct Todo {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) completed: u8,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
pub(crate) enum TodoAction {
    Create { id: String, text: String, completed: u8 },
    Update { id: String, text: String, completed: u8 },
    Delete { id: String },
    Clear,
    Panic,
}

pub(crate) struct Todos;

impl Channel for Todos {
    const NAME: &'static str = "todos";
    type Record = Todo;
    type Action = TodoAction;
    type Output = ();
    type Error = Error;

    fn reduce(_: &mut Draft<'_, Todo>, _: &TodoAction) {}
}

pub(crate) fn on_todo(tx: &mut Tx<'_>, action: TodoAction, _: &Who<'_>) -> Result<(), Error> {
    let mut todos = tx.rows::<Todo>();
    match action {
        TodoAction::Create { id, .. } if todos.get(&id).is_some() => {
            return Err(Error::new("taken", "there is one already").with_field("a field of the handler's"));
        }
        TodoAction::Create { id, text, completed } => todos.put(Todo { id, text, completed }),
        TodoAction::Update { id, text, completed } => {
            todos.update(&id, |todo| (todo.text, todo.completed) = (text, completed));
        }
        TodoAction::Delete { id } => {
            todos.remove(&id);
        }
        TodoAction::Clear => {
            let ids: Vec<_> = todos.rows().iter().map(|todo| todo.id.clone()).collect();
            for id in &ids {
                todos.remove(id);
            }
        }
        TodoAction::Panic => panic!("a secret of the handler's"),
    }
    Ok(())
}

/// Who says `token-of-ada`, or has a cookie that says so, is ada.
pub(crate) async fn who(credentials: Credentials) -> Result<User, AuthError> {
    let cookie =
        credentials.headers.get("cookie").and_then(|cookie| cookie.to_str().ok()?.strip_prefix("who="));
    let token = credentials.token.as_deref().or(cookie);
    let id = token.and_then(|token| token.strip_prefix("token-of-"));
    Ok(User { id: id.ok_or_else(|| AuthError::new("Who are you?"))?.into(), name: None })
}

pub(crate) fn parties() -> Partysync {
    let lists = |room: &str| (room != "nowhere").then(|| SpaceId::new(format!("list-{room}")));
    Partysync::new().party(Party::named("todos").rooms(lists)).party(Party::named("plain"))
}

/// A server of lists that everybody reads and writes.
pub(crate) fn todos<S: Storage>(storage: S) -> Builder<S> {
    let builder = Syncline::builder().storage(storage).authenticate(who).collection::<Todo>(());
    builder.channel::<Todos>(on_todo).partysync(parties())
}

pub(crate) async fn server() -> Server {
    Server::of(todos(Memory::new()).build().await.unwrap()).await
}

pub(crate) struct OwnRows;

impl Rules<Todo> for OwnRows {
    fn visibility(&self) -> Visibility<Todo> {
        Visibility::by_row(|user, _, todo: &Todo| {
            let whose = todo.id.strip_prefix("own-");
            whose.is_none_or(|whose| whose.starts_with(user.id.as_str()))
        })
    }
}

pub(crate) fn create(id: &str) -> Value {
    json!({ "type": "create", "payload": { "id": id, "text": format!("text of {id}"), "completed": 0 } })
}

pub(crate) fn update(id: &str, text: &str) -> Value {
    json!({ "type": "update", "payload": { "id": id, "text": text, "completed": 1 } })
}

pub(crate) fn delete(id: &str) -> Value {
    json!({ "type": "delete", "payload": { "id": id } })
}

pub(crate) fn call(id: &str, action: &Value) -> Value {
    json!({ "id": id, "channel": "todos", "rpc": true, "action": action })
}

pub(crate) fn sync(from: impl Into<Value>) -> Value {
    json!({ "channel": "todos", "sync": true, "from": from.into() })
}

/// The ids of the rows in an answer; those of tombstones with a minus.
pub(crate) fn ids(message: &Value) -> Vec<String> {
    let rows = message.get("payload").or(message.get("result")).and_then(Value::as_array);
    let rows = rows.unwrap_or_else(|| panic!("no rows in {message}"));
    let id = |row: &Value| {
        let row = row.as_array().unwrap();
        let mark = if row.last().unwrap().is_null() { "" } else { "-" };
        format!("{mark}{}", row[0].as_str().unwrap())
    };
    rows.iter().map(id).collect()
}

pub(crate) struct PartyClient {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    calls: u32,
}

impl PartyClient {
    /// Connects to a room of the party `todos` as somebody.
    pub(crate) async fn open(server: &Server, room: &str, name: &str) -> Self {
        let token = format!("Bearer token-of-{name}");
        Self::connect(server, &format!("todos/{room}"), &[("authorization", &token)]).await.unwrap()
    }

    pub(crate) async fn connect(
        server: &Server,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, WsError> {
        let mut request = format!("ws://{}/parties/{path}", server.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        soon(connect_async(request)).await.map(|(socket, _)| Self { socket, calls: 0 })
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        self.say_raw(message.to_string()).await;
    }

    pub(crate) async fn say_raw(&mut self, text: impl Into<String>) {
        soon(self.socket.send(Message::text(text.into()))).await.unwrap();
    }

    /// The next message.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> impl Future<Output = Value> {
        let next = soon(self.next());
        async move { next.await.unwrap_or_else(|close| panic!("closed instead: {close:?}")) }
    }

    /// The next message, or the code that the socket is closed with.
    pub(crate) async fn next(&mut self) -> Result<Value, Option<u16>> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(close))) => return Err(close.map(|close| close.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Does an action and gives the answer, which is the next message.
    pub(crate) async fn call(&mut self, action: &Value) -> Value {
        self.calls += 1;
        let id = format!("r{}", self.calls);
        self.say(&call(&id, action)).await;
        let answer = self.hear().await;
        assert_eq!((&answer["rpc"], &answer["id"]), (&json!(true), &json!(id)), "{answer}");
        answer
    }

    /// The reply to a sync.
    pub(crate) async fn sync(&mut self, from: impl Into<Value>) -> Value {
        self.say(&sync(from)).await;
        let reply = self.hear().await;
        assert_eq!(reply["sync"], true, "{reply}");
        reply
    }

    pub(crate) async fn close(mut self) {
        soon(self.socket.close(None)).await.unwrap();
        while soon(self.socket.next()).await.is_some() {}
    }
}

/// What a plain client has: it takes in what comes as partysync's own does.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Held(pub(crate) BTreeMap<String, Value>);

impl Held {
    pub(crate) fn take(&mut self, message: &Value) {
        if message["type"] == "delete-all" {
            self.0.clear();
        }
        let rows = message.get("payload").or(message.get("result")).and_then(Value::as_array);
        for row in rows.into_iter().flatten() {
            let fields = row.as_array().unwrap();
            let id = fields[0].as_str().unwrap().to_owned();
            if fields.last().unwrap().is_null() {
                self.0.insert(id, row.clone());
            } else {
                self.0.remove(&id);
            }
        }
    }

    /// The newest `updated_at`, as a client computes it.
    pub(crate) fn newest(&self) -> u64 {
        let updated = |row: &Value| row[row.as_array().unwrap().len() - 2].as_u64().unwrap();
        self.0.values().map(updated).max().unwrap_or_default()
    }

    pub(crate) fn ids(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}
