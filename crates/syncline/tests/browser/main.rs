//! What only a browser can show: sockets, streams, listeners, timers, storage, microtasks.
#![cfg(target_arch = "wasm32")]
#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

#[path = "../support/contract.rs"]
mod contract;
mod contrail;
mod fakes;
mod page;
mod partysync;
mod storing;
mod streaming;
mod tasks;
mod websocket;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use syncline::{Backoff, Client, ClientBuilder, Record};
use wasm_bindgen_test::wasm_bindgen_test_configure;

wasm_bindgen_test_configure!(run_in_browser);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "todos", key = id)]
struct Todo {
    id: String,
    text: String,
}

fn todo(id: &str) -> Todo {
    Todo { id: id.into(), text: format!("text of {id}") }
}

const WELCOME: &str = r#"{"welcome":{"protocol":1,"user":{"id":"ada"},"encoding":"json","heartbeat_ms":30000,"limits":{"frame_bytes":2097152,"writes_in_flight":256,"subscriptions":256},"link":"l-1"}}"#;

/// A snapshot of the subscription 1 with one row.
const SNAPSHOT: &str = r#"{"snapshot":{"sub":1,"cursor":{"incarnation":"0000000000000001","schema":0,"epoch":0,"version":1},"chunk":0,"total":1,"last":true}}
{"id":"a","text":"Milk"}"#;

/// A client of a server that nobody else talks to, trying again at once.
fn builder(url: &str) -> ClientBuilder {
    let soon = Duration::from_millis(1);
    // the tests share a browser: what one keeps must not be another's
    Client::builder(url).without_storage().backoff(Backoff { base: soon, cap: soon, attempts: None })
}
