//! The client over the memory transport, against a server whose every frame the test writes. Time is virtual: it moves
//! when everybody waits.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what is not there fails the test")]

mod connecting;
#[path = "../support/contract.rs"]
mod contract;
mod contrail;
mod ending;
#[path = "../support/faulty.rs"]
mod faulty;
mod following;
mod partysync;
mod queueing;
mod server;
mod storing;
mod watching;
mod without_runtime;
mod writing;

use serde::{Deserialize, Serialize};
use syncline::{Client, ClientBuilder, ConnectionChanges, Diff, Entry, Record, Updates, Watch, WriteHandle};

use server::Server;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "todos", key = id)]
struct Todo {
    id: String,
    text: String,
    done: bool,
}

fn todo(id: &str) -> Todo {
    Todo { id: id.into(), text: format!("text of {id}"), done: false }
}

/// A client and its server.
fn rig() -> (Client, Server) {
    let (builder, server) = rig_with();
    (builder.build(), server)
}

fn rig_with() -> (ClientBuilder, Server) {
    let (connector, server) = Server::new();
    (Client::builder("memory").connector(connector).seed(7), server)
}

/// A client that watches the list `l`, with its rows loaded.
async fn watching(rows: &[Todo]) -> (Client, Server, server::Peer, Watch<Todo>) {
    let (client, mut server) = rig();
    let watch = client.watch(Todo::in_space("l"));
    let mut peer = server.welcome().await;
    let subscribe = peer.subscribed().await;
    peer.snapshot(subscribe.sub, 1, rows).await;
    watch.loaded().await.unwrap();
    (client, server, peer, watch)
}

fn keys(entries: &[Entry<Todo>]) -> Vec<&str> {
    entries.iter().map(Entry::key).collect()
}

/// What a reader shows who applies diffs as the documentation says.
#[derive(Default)]
struct Screen(Vec<Entry<Todo>>);

impl Screen {
    fn apply(&mut self, diffs: Vec<Diff<Todo>>) {
        for diff in diffs {
            match diff {
                Diff::Reset(entries) => self.0 = entries,
                Diff::Insert { index, entry } => self.0.insert(index, entry),
                Diff::Update { entry } => {
                    let at = self.0.iter().position(|shown| shown.key() == entry.key()).unwrap();
                    self.0[at] = entry;
                }
                Diff::Remove { index, key } => assert_eq!(self.0.remove(index).key(), key.as_str()),
                Diff::Move { from, to, entry } => {
                    self.0.remove(from);
                    self.0.insert(to, entry);
                }
            }
        }
    }
}

#[test]
fn handles_go_to_other_threads() {
    fn check<T: Send>() {}
    fn check_shared<T: Send + Sync>() {}
    check_shared::<Client>();
    check_shared::<Watch<Todo>>();
    check::<Updates<Todo>>();
    check::<ConnectionChanges>();
    check::<WriteHandle>();
}
