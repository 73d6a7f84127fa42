//! IndexedDB, and what can happen to it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt as _;
use gloo_timers::future::TimeoutFuture;
use indexed_db_futures::database::Database as Handle;
use indexed_db_futures::prelude::*;
use indexed_db_futures::transaction::TransactionMode;
use js_sys::{Date, Math};
use syncline::storage::{IndexedDb, MemoryStorage, Step, Storage as _, Table};
use syncline::{Client, Query, Record as _, Status, TransportPreference, Watch, code};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::fakes::{Patch, Socket, Sockets, until};
use crate::{SNAPSHOT, Todo, WELCOME, builder, contract};

/// A database of a name that nobody else has. It is deleted when nobody needs it any more.
struct Place {
    name: String,
}

impl Place {
    fn new() -> Self {
        Self { name: format!("test-{}-{}", Date::now(), Math::random()) }
    }

    fn storage(&self) -> IndexedDb {
        IndexedDb::new(self.name.as_str())
    }

    fn client(&self) -> Client {
        builder("/sync").transport(TransportPreference::WebSocket).storage(self.storage()).build()
    }

    /// Deletes it, as a person may in the browser's settings. Ready when that is done.
    async fn delete(&self) {
        Handle::delete_by_name(&self.name).unwrap().await.unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let deleted = Handle::delete_by_name(&self.name);
        spawn_local(async move {
            if let Ok(deleted) = deleted {
                let _ = deleted.await;
            }
        });
    }
}

fn list() -> Query<Todo> {
    Todo::in_space("l")
}

async fn connect(sockets: &Sockets) -> Socket {
    let socket = sockets.next().await;
    socket.open();
    socket.frame().await;
    socket.say(WELCOME);
    socket
}

/// Live with one row.
async fn live(client: &Client, sockets: &Sockets) -> (Watch<Todo>, Socket) {
    let watch = client.watch(list());
    let socket = connect(sockets).await;
    socket.frame().await;
    socket.say(SNAPSHOT);
    until(|| watch.status() == Status::Live).await;
    (watch, socket)
}

/// Another row, at this version.
fn change(socket: &Socket, version: u64) {
    let from = version - 1;
    socket.say(&format!(
        "{{\"changes\":{{\"space\":\"l\",\"from\":{from},\"to\":{version},\"parts\":[{{\"sub\":1,\"put\":[0]}}]}}}}\n\
         {{\"id\":\"at-{version}\",\"text\":\"more\"}}"
    ));
}

/// What is stored, as far as it begins so.
async fn stored(place: &Place) -> usize {
    let database = place.storage().open().await.unwrap();
    database.scan(Table::Lists, String::new()).await.unwrap().len()
}

fn why(client: &Client) -> Option<String> {
    client.connection().storage_degraded.map(|error| error.code().to_owned())
}

#[wasm_bindgen_test]
async fn it_does_what_every_storage_does() {
    contract::holds_for(&Place::new().storage()).await;
}

#[wasm_bindgen_test]
async fn memory_is_storage_like_any_other() {
    contract::holds_for(&MemoryStorage::new()).await;
    contract::holds_when_full(&MemoryStorage::new().max_bytes(1_000), 1_000).await;
    contract::room_is_given_back(&MemoryStorage::new().max_bytes(1_000), 90).await;
}

#[wasm_bindgen_test]
async fn a_full_disk_takes_nothing_of_a_transaction() {
    let full = "if (args[0].byteLength >= 100000) throw new DOMException('no room', 'QuotaExceededError'); return original.apply(this, args);";
    let full = Patch::new("IDBObjectStore", "put", full);
    contract::holds_when_full(&Place::new().storage(), 100_000).await;
    drop(full);
}

#[wasm_bindgen_test]
async fn the_next_page_begins_where_the_last_one_ended() {
    let (place, sockets) = (Place::new(), Sockets::fake());
    let client = place.client();
    let (watch, socket) = live(&client, &sockets).await;
    drop((watch, client));
    until(|| socket.is_closed()).await;
    while stored(&place).await == 0 {
        TimeoutFuture::new(5).await;
    }
    let client = place.client();
    let watch = client.watch(list());
    watch.loaded().await.unwrap();
    let state = watch.state();
    assert_eq!((watch.entries()[0].record.text.as_str(), state.cached), ("Milk", true));
    assert_eq!((state.status, why(&client)), (Status::Connecting, None));
    let socket = connect(&sockets).await;
    let subscribe = socket.frame().await;
    assert!(subscribe.contains(r#""version":1"#), "{subscribe}");
}

/// How many values were put into a table, and in how many transactions.
fn puts_into(table: &str) -> (f64, f64) {
    let count = |of: &str| {
        let puts = format!("globalThis.puts.filter(([table]) => table === '{table}')");
        js_sys::eval(&of.replace("puts", &puts)).unwrap().as_f64().unwrap()
    };
    (count("puts.length"), count("new Set(puts.map(([, transaction]) => transaction)).size"))
}

#[wasm_bindgen_test]
async fn what_is_stored_at_once_is_one_transaction() {
    let (place, sockets) = (Place::new(), Sockets::fake());
    js_sys::eval("globalThis.puts = []").unwrap();
    let note = "globalThis.puts.push([this.name, this.transaction]); return original.apply(this, args);";
    let noted = Patch::new("IDBObjectStore", "put", note);
    let client = place.client();
    let (first, socket) = live(&client, &sockets).await;
    let mut watches = vec![first];
    for (sub, query) in [(2, list().limit(5)), (3, Todo::in_space("m"))] {
        watches.push(client.watch(query));
        socket.frame().await;
        socket.say(&SNAPSHOT.replace(r#""sub":1"#, &format!(r#""sub":{sub}"#)));
    }
    until(|| watches.iter().all(|watch| watch.status() == Status::Live)).await;
    while stored(&place).await < watches.len() {
        TimeoutFuture::new(5).await;
    }
    assert_eq!(puts_into("lists"), (3.0, 1.0));
    // and so is what comes later: many changes of one moment are one write of the list
    for version in 2..10 {
        change(&socket, version);
    }
    let before = puts_into("lists");
    until(|| puts_into("lists") != before).await;
    assert_eq!(puts_into("lists").1, 2.0);
    drop(noted);
}

#[wasm_bindgen_test]
async fn a_tab_with_a_newer_version_does_not_wait_and_ours_goes_on() {
    let (place, sockets) = (Place::new(), Sockets::fake());
    let client = place.client();
    let (watch, socket) = live(&client, &sockets).await;
    while stored(&place).await == 0 {
        TimeoutFuture::new(5).await;
    }
    let begun = Date::now();
    let newer = place.storage().with_version(3).open().await.unwrap();
    assert!(Date::now() - begun < 900.0, "it had to wait until ours was given up");
    until(|| why(&client).is_some()).await;
    assert_eq!(why(&client).unwrap(), code::STORAGE_UNAVAILABLE);
    change(&socket, 2);
    until(|| watch.entries().len() == 2).await;
    // what was stored is there for the newer one
    assert_eq!(newer.scan(Table::Lists, String::new()).await.unwrap().len(), 1);
    // and an older one that comes later does without
    let older = place.client();
    let _watch = older.watch(list());
    until(|| why(&older).is_some()).await;
    assert_eq!(why(&older).unwrap(), code::STORAGE_UNAVAILABLE);
}

#[wasm_bindgen_test]
async fn a_database_that_is_deleted_is_made_anew() {
    let (place, sockets) = (Place::new(), Sockets::fake());
    let client = place.client();
    let (watch, socket) = live(&client, &sockets).await;
    while stored(&place).await == 0 {
        TimeoutFuture::new(5).await;
    }
    let begun = Date::now();
    place.delete().await;
    assert!(Date::now() - begun < 2_000.0, "it was in the way");
    change(&socket, 2);
    until(|| watch.entries().len() == 2).await;
    while stored(&place).await == 0 {
        TimeoutFuture::new(5).await;
    }
    assert_eq!(why(&client), None);
}

#[wasm_bindgen_test]
async fn who_stands_in_the_way_is_not_waited_for() {
    let place = Place::new();
    // opened by somebody who does not listen, as a frozen tab does not
    let frozen = Handle::open(&place.name).with_version(1_u32).await.unwrap();
    let newer = place.storage().with_version(2);
    let error = newer.open().await.err().unwrap();
    assert_eq!(error.code(), code::STORAGE_BLOCKED);
    // once it is out of the way nothing is left open that would be in others' way
    frozen.close();
    place.delete().await;

    let frozen = Handle::open(&place.name).with_version(1_u32).await.unwrap();
    let sockets = Sockets::fake();
    let client = builder("/sync").transport(TransportPreference::WebSocket).storage(newer).build();
    let (_watch, _socket) = live(&client, &sockets).await;
    until(|| why(&client).is_some()).await;
    assert_eq!(why(&client).unwrap(), code::STORAGE_BLOCKED);
    frozen.close();
    place.delete().await;
}

#[wasm_bindgen_test]
async fn a_tab_that_holds_a_transaction_does_not_hold_up_others() {
    let (place, sockets) = (Place::new(), Sockets::fake());
    let database = place.storage().open().await.unwrap();
    let go_on = Rc::new(Cell::new(true));
    let frozen = Handle::open(&place.name).with_version(2_u32).await.unwrap();
    let holding = Rc::clone(&go_on);
    spawn_local(async move {
        let transaction =
            frozen.transaction(["lists", "uses", "people"]).with_mode(TransactionMode::Readwrite);
        let transaction = transaction.build().unwrap();
        let store = transaction.object_store("lists").unwrap();
        while holding.get() {
            let _: Option<JsValue> = store.get("nothing").primitive().unwrap().await.unwrap();
        }
    });
    TimeoutFuture::new(10).await;
    let client = place.client();
    let begun = Date::now();
    let (watch, socket) = live(&client, &sockets).await;
    assert!(Date::now() - begun < 2_000.0, "the list had to wait");
    until(|| why(&client).is_some()).await;
    assert_eq!(why(&client).unwrap(), code::STORAGE_LOST);
    change(&socket, 2);
    until(|| watch.entries().len() == 2).await;
    go_on.set(false);
    drop(database);
}

#[wasm_bindgen_test]
async fn a_full_disk_is_told_from_other_failures() {
    let place = Place::new();
    let database = place.storage().open().await.unwrap();
    let put = |key: &str| vec![Step::Put { table: Table::Lists, key: key.into(), value: vec![1] }];
    database.commit(put("before")).await.unwrap();
    let full =
        Patch::new("IDBObjectStore", "put", "throw new DOMException('no room', 'QuotaExceededError');");
    assert_eq!(database.commit(put("a")).await.unwrap_err().code(), code::STORAGE_FULL);
    drop(full);
    let undone = Patch::new(
        "IDBObjectStore",
        "put",
        "const request = original.apply(this, args); this.transaction.abort(); return request;",
    );
    assert_eq!(database.commit(put("a")).await.unwrap_err().code(), code::STORAGE_LOST);
    drop(undone);
    // what has failed has left nothing
    assert_eq!(database.get(Table::Lists, "a".into()).await.unwrap(), None);
    assert!(database.get(Table::Lists, "before".into()).await.unwrap().is_some());
}

#[wasm_bindgen_test]
async fn a_client_whose_disk_is_full_goes_on() {
    let (place, sockets) = (Place::new(), Sockets::fake());
    let full =
        Patch::new("IDBObjectStore", "put", "throw new DOMException('no room', 'QuotaExceededError');");
    let client = place.client();
    let (watch, socket) = live(&client, &sockets).await;
    until(|| why(&client).is_some()).await;
    assert_eq!(why(&client).unwrap(), code::STORAGE_FULL);
    drop(full);
    change(&socket, 2);
    until(|| watch.entries().len() == 2).await;
}

#[wasm_bindgen_test]
async fn a_window_without_storage_does_without() {
    for body in ["throw new DOMException('no', 'SecurityError');", "return null;"] {
        let (place, sockets) = (Place::new(), Sockets::fake());
        let none = Patch::new("IDBFactory", "open", "throw new DOMException('no', 'InvalidStateError');");
        let missing = Patch::getter("indexedDB", body);
        let client = place.client();
        let (_watch, _socket) = live(&client, &sockets).await;
        until(|| why(&client).is_some()).await;
        assert_eq!(why(&client).unwrap(), code::STORAGE_UNAVAILABLE, "{body}");
        drop((none, missing));
    }
}

#[wasm_bindgen_test]
async fn nothing_is_left_open_behind_a_client() {
    let sockets = Sockets::fake();
    for _ in 0..5 {
        let place = Place::new();
        let client = place.client();
        let (watch, socket) = live(&client, &sockets).await;
        drop((watch, client));
        until(|| socket.is_closed()).await;
        // one that was left open would not close for this
        let deleted = place.delete();
        let patience = TimeoutFuture::new(u32::try_from(Duration::from_secs(5).as_millis()).unwrap());
        futures::select! {
            () = deleted.fuse() => {}
            () = patience.fuse() => panic!("it is still open"),
        }
    }
}
