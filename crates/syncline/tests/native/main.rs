//! What only a native program can show: sockets, TLS, files, processes. Against real servers, on real connections.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod connecting;
#[path = "../support/contract.rs"]
mod contract;
mod contrail;
mod ending;
mod partysync;
mod refusing;
mod secure;
mod server;
mod storing;
mod tickets;

use std::time::Duration;

use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use syncline::{Backoff, Client, ConnectionState, Record, TransportPreference, Watch};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "todos", key = id)]
struct Todo {
    id: String,
    text: String,
}

fn todo(id: &str) -> Todo {
    Todo { id: id.into(), text: format!("text of {id}") }
}

/// Longer than anything in a test takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fails a test that waits for something that does not come.
#[track_caller]
fn soon<T>(what: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, what).await {
            Ok(value) => value,
            Err(_) => panic!("nothing came, at {place}"),
        }
    }
}

/// Waits until these keys are shown.
async fn shown(watch: &Watch<Todo>, keys: &[&str]) {
    let all_shown = async {
        while watch.entries().iter().map(|entry| entry.key().to_owned()).collect::<Vec<_>>() != keys {
            watch.next().await.unwrap();
        }
    };
    if tokio::time::timeout(PATIENCE, all_shown).await.is_err() {
        panic!("{keys:?} did not come, but {:?} ({:?})", watch.entries(), watch.error());
    }
}

/// Waits until the connection stands like this.
async fn stands(client: &Client, so: impl Fn(&ConnectionState) -> bool) -> ConnectionState {
    let mut changes = client.connection_changes();
    let waiting = async {
        while !so(&client.connection()) {
            changes.next().await;
        }
    };
    if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
        panic!("it stands at {:?}", client.connection());
    }
    client.connection()
}

const BOTH: [TransportPreference; 2] = [TransportPreference::WebSocket, TransportPreference::Sse];

/// Tries again at once.
fn at_once() -> Backoff {
    let soon = Duration::from_millis(1);
    Backoff { base: soon, cap: soon, attempts: None }
}
