//! Syncline's store in a browser, fed by hand: what `use_watch` stands on, without a framework's signals.
#![cfg(target_arch = "wasm32")]

mod actions;
mod by_hand;
mod line;
mod signals;

use std::rc::Rc;

use futures::channel::oneshot;
use syncline::hook::{RowHandle, Setter, Wanted, follow, latest, spawn_local};
use syncline::storage::{IndexedDb, Storage as _, Table};
use syncline::{CacheLimits, Client, ClientBuilder, Error, Record};
use syncline_benches::Item;
use wasm_bindgen::prelude::*;

use actions::ItemChannel;
use line::{Seen, Wire, line};
use signals::Signals;

const SPACE: &str = "bench";
const CLIENT: &str = "bench-client";
const WELCOME: &str = r#"{"welcome":{"protocol":1,"user":{"id":"u"},"encoding":"json-bytes","heartbeat_ms":30000,"limits":{"frame_bytes":2097152,"writes_in_flight":256,"subscriptions":256}}}"#;
/// The writes that may be on their way at once, as it says there.
const WRITES_IN_FLIGHT: usize = 256;

/// A client that watches all items of one space, newest first, and the server's end of its connection.
#[wasm_bindgen]
pub struct Store {
    client: Client,
    server: Rc<Wire>,
    signals: Signals,
    _wanted: Setter<Wanted<Item>>,
}

#[wasm_bindgen]
impl Store {
    /// Connected and subscribed, empty. The subscription has the number 1.
    pub async fn open() -> Store {
        let store = Self::connect(ClientBuilder::without_storage);
        store.welcome().await;
        store
    }

    /// Takes in a snapshot and keeps it in the database of this name, as a visit does.
    ///
    /// # Errors
    /// The database cannot be opened or read.
    pub async fn keep(name: String, frames: Vec<JsValue>) -> Result<(), JsError> {
        let storage = IndexedDb::new(name.as_str()).open().await?;
        let mut store = Self::connect(|builder| kept(builder, name));
        store.welcome().await;
        store.snapshot(frames).await;
        // what it was told before it is closed is written, a moment later
        store.client.close();
        while storage.scan(Table::Uses, String::new()).await?.is_empty() {}
        Ok(())
    }

    /// The next visit: so many rows are shown before the server has said a word.
    pub async fn start(name: String, count: usize) -> Store {
        let store = Self::connect(|builder| kept(builder, name));
        store.signals.rows_are(count).await;
        store
    }

    fn connect(set_up: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Store {
        let (connector, server) = line();
        let builder = Client::builder("memory").connector(connector).exact_client_id(CLIENT.into());
        let client = set_up(builder).build();
        let (wanted, wants) = latest();
        let query = Item::in_space(SPACE).order_by(Item::created_at.desc());
        wanted.set(Wanted { query: Some(query), running: true });
        let signals = Signals::default();
        spawn_local(follow(client.clone(), wants, signals.clone()));
        Self { client, server, signals, _wanted: wanted }
    }

    async fn welcome(&self) {
        self.server.hear(1).await;
        self.server.send([WELCOME.into()]);
        self.server.hear(2).await;
    }

    /// Takes in a snapshot, frame by frame, until all of it is shown.
    pub async fn snapshot(&mut self, frames: Vec<JsValue>) {
        self.server.send(frames);
        self.signals.live().await;
    }

    /// Takes in frames, one at a time: each is shown before the next one comes.
    ///
    /// # Errors
    /// The page has ended.
    pub async fn feed(&mut self, frames: Vec<JsValue>) -> Result<(), JsError> {
        let server = Rc::clone(&self.server);
        in_page(async move {
            server.show(frames, Seen::default()).await;
            Ok(())
        })
        .await
    }

    /// Writes rows, one at a time: each is shown, is on its way, and is confirmed before the next one.
    ///
    /// # Errors
    /// The page has ended.
    pub async fn write(&mut self, rows: Vec<Row>, confirmations: Vec<JsValue>) -> Result<(), JsError> {
        let (client, server) = (self.client.clone(), Rc::clone(&self.server));
        in_page(async move {
            for (Row(item), confirmation) in rows.into_iter().zip(confirmations) {
                let before = server.seen();
                drop(client.put(SPACE, item));
                server.show([confirmation], Seen { told: before.told + 1, heard: before.heard + 1 }).await;
            }
            Ok(())
        })
        .await
    }

    /// Sends actions, one after the other, until all they do is shown. None of them is answered.
    ///
    /// # Errors
    /// An action cannot be read.
    pub async fn act(&mut self, actions: Vec<String>) -> Result<(), JsError> {
        let (client, server, signals) = (self.client.clone(), Rc::clone(&self.server), self.signals.clone());
        in_page(async move {
            let before = server.seen();
            for action in &actions {
                drop(client.send::<ItemChannel>(SPACE, serde_json::from_str(action).map_err(unreadable)?));
            }
            signals.more_than(before.told).await;
            server.hear(before.heard + actions.len().min(WRITES_IN_FLIGHT) as u64).await;
            Ok(())
        })
        .await
    }

    /// How many changes of rows or of their order the subscriber has been told of.
    pub fn told(&self) -> f64 {
        signals::told() as f64
    }

    /// All rows as they are shown, in order, as JSON.
    ///
    /// # Errors
    /// A row cannot be written as JSON.
    pub fn rows(&self) -> Result<String, JsError> {
        let rows: Vec<_> = self.signals.rows().iter().map(|row| row.entry().record).collect();
        Ok(serde_json::to_string(&rows)?)
    }

    /// Ends it.
    pub fn close(self) {
        self.client.close();
    }
}

/// A row that a person makes. An application in Rust has it as such, as one in JavaScript has its object.
#[wasm_bindgen]
pub struct Row(Item);

#[wasm_bindgen]
impl Row {
    /// From JSON.
    ///
    /// # Errors
    /// It is no row.
    #[wasm_bindgen(constructor)]
    pub fn new(json: &str) -> Result<Row, JsError> {
        Ok(Self(serde_json::from_str(json)?))
    }
}

/// What happens at the server's end happens in a task of the page, as an event of a connection would.
async fn in_page(work: impl Future<Output = Result<(), Error>> + 'static) -> Result<(), JsError> {
    let (done, result) = oneshot::channel();
    spawn_local(async move { drop(done.send(work.await)) });
    Ok(result.await??)
}

/// All of a list is kept.
fn kept(builder: ClientBuilder, name: String) -> ClientBuilder {
    let limits = CacheLimits { rows: 100_000, bytes: 100 << 20, ..CacheLimits::default() };
    builder.storage(IndexedDb::new(name)).cache(limits)
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::new("unreadable", error.to_string())
}
