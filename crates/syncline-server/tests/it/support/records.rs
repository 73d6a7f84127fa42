//! A client of `watchRecords`, written from what contrail's servers say, and a server for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use syncline_macros::Record;
use syncline_server::ticket::Keys;
use syncline_server::watch_records::{Mapping, WatchRecords};
use syncline_server::{
    AuthError, Builder, Credentials, Error, Memory, Rules, SpaceId, Syncline, User, Visibility, code,
};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WsMessage};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tower::ServiceExt as _;

use crate::support::{Server, soon};

/// A row of a chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "messages", key = id)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) author: String,
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) pinned: bool,
    #[serde(default)]
    pub(crate) hidden: bool,
    /// Milliseconds.
    pub(crate) sent_at: u64,
}

pub(crate) fn message(id: &str, text: &str, sent_at: u64) -> Message {
    let (author, text) = ("ada".to_owned(), text.to_owned());
    Message { id: id.to_owned(), author, text, pinned: false, hidden: false, sent_at }
}

/// A row that belongs to a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "reactions", key = id)]
pub(crate) struct Reaction {
    pub(crate) id: String,
    pub(crate) message: String,
    pub(crate) by: String,
    pub(crate) emoji: String,
    /// Milliseconds.
    pub(crate) at: u64,
}

pub(crate) fn reaction(id: &str, message: &str, emoji: &str, at: u64) -> Reaction {
    let [id, message, emoji] = [id, message, emoji].map(str::to_owned);
    Reaction { id, message, by: "bob".into(), emoji, at }
}

/// Messages with their reactions, the oldest first.
pub(crate) fn with_reactions() -> WatchRecords {
    let reactions = Mapping::new(|reaction: &Reaction| reaction.by.clone(), Reaction::at).named("reaction");
    let relation = Reaction::message.children().order_by(Reaction::at);
    WatchRecords::namespace("app.example").collection(mapping().relation("reactions", relation, reactions))
}

/// What is hidden is seen by its author only.
pub(crate) struct MessageRules;

impl Rules<Message> for MessageRules {
    fn visibility(&self) -> Visibility<Message> {
        Visibility::by_row(|user, _, message: &Message| {
            !message.hidden || *message.author == *user.id.as_str()
        })
    }
}

pub(crate) fn mapping() -> Mapping<Message> {
    Mapping::new(|message: &Message| message.author.clone(), Message::sent_at).named("message")
}

pub(crate) fn watch() -> WatchRecords {
    WatchRecords::namespace("app.example").collection(mapping())
}

/// Who says `token-of-ada`, in whatever place, is ada.
pub(crate) async fn who(credentials: Credentials) -> Result<User, AuthError> {
    let name = credentials.token.as_deref().and_then(|token| token.strip_prefix("token-of-"));
    let id = name.ok_or_else(|| AuthError::new("Who are you?"))?;
    Ok(User { id: id.into(), name: None })
}

/// Messages that everybody who is known reads and writes.
pub(crate) fn messages(watch: WatchRecords) -> Builder<Memory> {
    Syncline::builder()
        .storage(Memory::new())
        .collection::<Message>(MessageRules)
        .collection::<Reaction>(())
        .authenticate(who)
        .watch_records(watch)
}

/// Who may not enter any more.
pub(crate) type Banned = Arc<Mutex<BTreeSet<String>>>;

/// The same, in spaces that those who are banned may not enter.
pub(crate) fn with_members(watch: WatchRecords) -> (Builder<Memory>, Banned) {
    let banned = Banned::default();
    let rule = Arc::clone(&banned);
    let may_open = move |user: &User, _: &SpaceId| {
        let banned = rule.lock().unwrap().contains(user.id.as_str());
        if banned { Err(Error::new(code::FORBIDDEN, "you were asked to leave")) } else { Ok(()) }
    };
    (messages(watch).spaces(may_open), banned)
}

pub(crate) const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

pub(crate) fn keys() -> Keys {
    Keys::new("one", SECRET).unwrap()
}

pub(crate) fn app(syncline: &Syncline) -> Router {
    Router::new().nest("/sync", syncline.router()).nest("/xrpc", syncline.xrpc_router())
}

pub(crate) const MESSAGES: &str = "/xrpc/app.example.message.watchRecords";

/// A request without a body, with a token or without.
pub(crate) fn request(method: &str, uri: &str, token: Option<&str>) -> Request<Body> {
    let request = Request::builder().method(method).uri(uri);
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    request.body(Body::empty()).unwrap()
}

/// The status and the JSON of an answer that ends by itself.
pub(crate) async fn ask(app: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = soon(app.clone().oneshot(request)).await.unwrap();
    let status = response.status();
    let body = soon(axum::body::to_bytes(response.into_body(), 1 << 20)).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// An event stream, read in this process.
pub(crate) struct Records {
    body: BodyDataStream,
    buffer: Vec<u8>,
}

impl Records {
    /// Watches a space as ada, with further parameters.
    pub(crate) async fn watch(app: &Router, space: &str, further: &str) -> Self {
        Self::watch_as(app, space, further, "token-of-ada").await
    }

    pub(crate) async fn watch_as(app: &Router, space: &str, further: &str, token: &str) -> Self {
        let uri = format!("{MESSAGES}?spaceUri={space}{further}");
        Self::open(app, request("GET", &uri, Some(token))).await
    }

    pub(crate) async fn open(app: &Router, request: Request<Body>) -> Self {
        let response = soon(app.clone().oneshot(request)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store, no-transform");
        Self { body: response.into_body().into_data_stream(), buffer: Vec::new() }
    }

    /// The text up to the next blank line; `None` at the end.
    pub(crate) async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Some(String::from_utf8(block).unwrap().trim_end().to_owned());
            }
            let chunk = soon(self.body.next()).await?.unwrap();
            self.buffer.extend_from_slice(&chunk);
        }
    }

    /// The next event, whatever is said to keep the line open.
    pub(crate) async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            let block = self.block().await?;
            if block.starts_with(':') {
                continue;
            }
            let (kind, data) = block.split_once('\n').expect("an event has two lines");
            let kind = kind.strip_prefix("event: ").expect("the first says what it is").to_owned();
            let data = data.strip_prefix("data: ").expect("the second is its data");
            return Some((kind, serde_json::from_str(data).unwrap()));
        }
    }

    /// The next event, which is this one.
    pub(crate) async fn hear(&mut self, kind: &str) -> Value {
        let (heard, data) = self.event().await.expect("the stream ended instead");
        assert_eq!(heard, kind, "{data}");
        data
    }

    /// The keys of the snapshot, and what its end says.
    pub(crate) async fn snapshot(&mut self) -> (Vec<String>, Value) {
        self.hear("snapshot.start").await;
        let mut keys = Vec::new();
        loop {
            let (kind, data) = self.event().await.expect("the stream ended instead");
            match kind.as_str() {
                "snapshot.record" => keys.push(data["record"]["rkey"].as_str().unwrap().to_owned()),
                "snapshot.end" => return (keys, data),
                _ => panic!("{kind} in a snapshot"),
            }
        }
    }
}

/// A watch over a WebSocket, as a server of contrail's in-memory kind has it.
pub(crate) struct RecordsSocket {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl RecordsSocket {
    /// `path` is what `wsUrl` says.
    pub(crate) async fn open(server: &Server, path: &str, token: Option<&str>) -> Result<Self, WsError> {
        let mut request = format!("ws://{}{path}", server.address).into_client_request().unwrap();
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        soon(connect_async(request)).await.map(|(socket, _)| Self { socket })
    }

    /// The next event; the close code and reason when it is closed instead.
    pub(crate) async fn event(&mut self) -> Result<(String, Value), Option<(u16, String)>> {
        loop {
            match soon(self.socket.next()).await {
                Some(Ok(WsMessage::Text(text))) => {
                    let Value::Object(mut event) = serde_json::from_str(&text).unwrap() else {
                        panic!("{text}")
                    };
                    let kind = event["kind"].as_str().unwrap().to_owned();
                    assert_eq!(event.len(), 2, "{text}");
                    return Ok((kind, event.remove("data").unwrap()));
                }
                Some(Ok(WsMessage::Close(close))) => {
                    return Err(close.map(|close| (close.code.into(), close.reason.to_string())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    pub(crate) async fn hear(&mut self, kind: &str) -> Value {
        let (heard, data) = self.event().await.unwrap();
        assert_eq!(heard, kind, "{data}");
        data
    }

    pub(crate) async fn snapshot(&mut self) -> Vec<String> {
        self.hear("snapshot.start").await;
        let mut keys = Vec::new();
        loop {
            let (kind, data) = self.event().await.unwrap();
            match kind.as_str() {
                "snapshot.record" => keys.push(data["record"]["rkey"].as_str().unwrap().to_owned()),
                "snapshot.end" => return keys,
                _ => panic!("{kind} in a snapshot"),
            }
        }
    }
}

/// Somebody who writes over Syncline's own protocol, in this process.
pub(crate) struct Writer {
    app: Router,
    stream: Records,
    link: String,
    client: String,
    written: BTreeMap<String, u64>,
}

impl Writer {
    pub(crate) async fn new(app: &Router, name: &str) -> Self {
        let client = format!("client-of-{name}");
        let hello = crate::support::hello_with_token(&client, &format!("token-of-{name}"));
        let request = Request::post("/sync/stream").body(Body::from(hello.to_string())).unwrap();
        let response = soon(app.clone().oneshot(request)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let stream = Records { body: response.into_body().into_data_stream(), buffer: Vec::new() };
        let (app, written) = (app.clone(), BTreeMap::new());
        let mut writer = Self { app, stream, link: String::new(), client, written };
        writer.link = writer.frame().await[0]["welcome"]["link"].as_str().unwrap().to_owned();
        writer
    }

    /// The lines of the next frame.
    pub(crate) async fn frame(&mut self) -> Vec<Value> {
        loop {
            let block = self.stream.block().await.expect("the stream ended instead");
            if !block.starts_with(':') {
                let lines = block.lines().map(|line| line.strip_prefix("data: ").unwrap());
                return lines.map(|line| serde_json::from_str(line).unwrap()).collect();
            }
        }
    }

    pub(crate) async fn say(&self, frame: &Value) {
        let request = Request::post("/sync/send").header("x-syncline-link", &self.link);
        let request = request.body(Body::from(frame.to_string())).unwrap();
        let response = soon(self.app.clone().oneshot(request)).await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }

    /// Applies one write, and waits for its verdict.
    pub(crate) async fn write(&mut self, space: &str, ops: Vec<Value>) {
        let id = self.written.entry(space.to_owned()).or_default();
        *id += 1;
        let payload = serde_json::json!({ "ops": ops });
        let write = serde_json::json!({ "space": space, "client": self.client, "id": *id, "kind": "rows", "payload": payload });
        self.say(&serde_json::json!({ "write": write })).await;
        loop {
            let frame = self.frame().await;
            if let Some(ack) = frame[0]["changes"]["acks"].get(0) {
                assert!(ack["error"].is_null(), "{ack}");
                return;
            }
        }
    }

    pub(crate) async fn put(&mut self, space: &str, message: &Message) {
        self.write(space, vec![serde_json::json!({ "put": ["messages", message] })]).await;
    }

    pub(crate) async fn react(&mut self, space: &str, reaction: &Reaction) {
        self.write(space, vec![serde_json::json!({ "put": ["reactions", reaction] })]).await;
    }

    pub(crate) async fn take_back(&mut self, space: &str, id: &str) {
        self.write(space, vec![serde_json::json!({ "delete": ["reactions", id] })]).await;
    }

    pub(crate) async fn delete(&mut self, space: &str, id: &str) {
        self.write(space, vec![serde_json::json!({ "delete": ["messages", id] })]).await;
    }
}

/// Comes back when nobody is connected any more.
pub(crate) async fn all_have_gone(syncline: &Syncline) {
    // gauges are some moments old: one that shows a newcomer, alone, is not from before
    let newcomer = Writer::new(&app(syncline), "newcomer").await;
    soon(syncline.gauges_when(|gauges| gauges.connections == 1 && gauges.subscriptions == 0)).await;
    drop(newcomer);
}

/// Longer than anything takes that happens at once.
pub(crate) const A_SECOND: Duration = Duration::from_secs(1);
