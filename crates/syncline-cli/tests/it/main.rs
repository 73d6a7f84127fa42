//! The tool itself, as it is run, against a server in this process.
#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod sending;
mod server;
mod tool;
mod watching;

use serde::{Deserialize, Serialize};
use syncline_macros::Record;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "todos", key = id)]
struct Todo {
    id: String,
    text: String,
    #[serde(default)]
    done: bool,
    #[serde(default)]
    position: f64,
}

/// Fails a test that waits for something that does not come.
#[track_caller]
fn soon<T>(what: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(std::time::Duration::from_secs(60), what).await {
            Ok(value) => value,
            Err(_) => panic!("nothing came, at {place}"),
        }
    }
}
