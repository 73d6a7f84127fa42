//! A server on a port of its own, and clients that say and hear frames.

pub(crate) mod channel;
pub(crate) mod http;
pub(crate) mod party;
pub(crate) mod records;
pub(crate) mod ws;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use syncline_macros::Record;
use syncline_server::{Builder, Memory, Syncline};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "notes", key = id)]
pub(crate) struct Note {
    pub(crate) id: String,
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) author: String,
}

/// Fails a test that waits for something that does not come.
#[track_caller]
pub(crate) fn soon<T>(what: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(Duration::from_secs(60), what).await {
            Ok(value) => value,
            Err(_) => panic!("nothing came, at {place}"),
        }
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) syncline: Syncline,
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Server {
    /// With notes that anyone reads and writes, in memory.
    pub(crate) async fn start() -> Self {
        Self::of(notes(Memory::new()).build().await.unwrap()).await
    }

    pub(crate) async fn of(syncline: Syncline) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = listener.tap_io(|connection| connection.set_nodelay(true).unwrap());
        let app: Router = Router::new()
            .nest("/sync", syncline.router())
            .nest("/xrpc", syncline.xrpc_router())
            .nest("/parties", syncline.parties_router());
        let (stop, stopped) = oneshot::channel::<()>();
        let handle = syncline.clone();
        let shutdown = async move {
            let _ = stopped.await;
            handle.shutdown().await;
        };
        let handle = syncline.clone();
        let serving = tokio::spawn(async move {
            let patience = async {
                handle.ended().await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            };
            tokio::select! {
                served = axum::serve(listener, app).with_graceful_shutdown(shutdown).into_future() => served.unwrap(),
                () = patience => {}
            }
        });
        Self { syncline, address, serving, stop }
    }

    /// The address of a route.
    pub(crate) fn url(&self, scheme: &str, route: &str) -> String {
        format!("{scheme}://{}/sync/{route}", self.address)
    }

    /// Ends it as an application would, and waits until it has.
    pub(crate) async fn stop(self) {
        let Self { syncline, serving, stop, .. } = self;
        let _ = stop.send(());
        soon(serving).await.unwrap();
        drop(syncline);
    }
}

/// A server with notes that anyone reads and writes.
pub(crate) fn notes<S: syncline_server::Storage>(storage: S) -> Builder<S> {
    Syncline::builder().storage(storage).collection::<Note>(())
}

/// A frame from the server.
#[derive(Debug)]
pub(crate) struct Heard {
    /// The name of the message.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) body: Value,
    /// The rows below it.
    pub(crate) rows: Vec<Value>,
}

impl Heard {
    pub(crate) fn parse(frame: &[u8]) -> Self {
        let mut lines =
            frame.split(|&byte| byte == b'\n').map(|line| serde_json::from_slice::<Value>(line).unwrap());
        let Some(Value::Object(message)) = lines.next() else { panic!("a frame begins with a message") };
        let (name, body) = message.into_iter().next().unwrap();
        Self { name, body, rows: lines.collect() }
    }

    /// The texts of the rows.
    pub(crate) fn texts(&self) -> Vec<&str> {
        self.rows.iter().map(|row| row["text"].as_str().unwrap()).collect()
    }

    /// The code of the error in it.
    pub(crate) fn code(&self) -> &str {
        let error = if self.name == "error" { &self.body } else { &self.body["error"] };
        error["code"].as_str().unwrap_or_else(|| panic!("no error in {self:?}"))
    }
}

pub(crate) fn hello(client: &str) -> Value {
    json!({ "hello": { "protocol": 1, "client": client } })
}

pub(crate) fn hello_with_token(client: &str, token: &str) -> Value {
    json!({ "hello": { "protocol": 1, "client": client, "token": token } })
}

pub(crate) fn subscribe(sub: u32, space: &str) -> Value {
    json!({ "subscribe": { "sub": sub, "query": { "space": space, "collection": "notes" } } })
}

/// A write that puts one note.
pub(crate) fn put(client: &str, id: u64, space: &str, note: &Note) -> Value {
    let ops = json!({ "ops": [{ "put": ["notes", note] }] });
    json!({ "write": { "space": space, "client": client, "id": id, "kind": "rows", "payload": ops } })
}

pub(crate) fn note(id: &str, text: impl Into<String>) -> Note {
    Note { id: id.into(), text: text.into(), author: String::new() }
}
