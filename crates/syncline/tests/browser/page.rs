//! The page around the client.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use gloo_timers::future::TimeoutFuture;
use js_sys::Promise;
use syncline::{Backoff, Record as _, Transport, TransportPreference};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::{Event, window};

use crate::fakes::{Counting, Fetches, Sockets, until};
use crate::{SNAPSHOT, Todo, WELCOME, builder, todo};

const WS: TransportPreference = TransportPreference::WebSocket;

#[wasm_bindgen_test]
async fn listeners_and_timers_end_with_the_client() {
    let sockets = Sockets::fake();
    let counting = Counting::start();
    let client = builder("/sync").transport(WS).build();
    assert_eq!((counting.listeners(), counting.timers()), (0, 0));
    let watch = client.watch(Todo::in_space("l"));
    let socket = sockets.next().await;
    socket.open();
    socket.frame().await;
    socket.say(WELCOME);
    socket.frame().await;
    socket.say(SNAPSHOT);
    watch.loaded().await.unwrap();
    // online, offline and visibilitychange; the heartbeat
    assert_eq!((counting.listeners(), counting.timers()), (3, 1));
    drop((watch, client));
    until(|| socket.is_closed()).await;
    assert_eq!((counting.listeners(), counting.timers()), (0, 0));
}

#[wasm_bindgen_test]
async fn being_online_again_ends_the_wait() {
    let sockets = Sockets::fake();
    let long = Duration::from_secs(3600);
    let client =
        builder("/sync").transport(WS).backoff(Backoff { base: long, cap: long, attempts: None }).build();
    let _watch = client.watch(Todo::in_space("l"));
    sockets.next().await.fail(1006, "");
    until(|| client.connection().last_error.is_some()).await;
    assert_eq!(sockets.count(), 0);
    window().unwrap().dispatch_event(&Event::new("online").unwrap()).unwrap();
    sockets.next().await;
}

#[wasm_bindgen_test]
async fn the_transport_that_works_is_remembered() {
    let key = "syncline:transport:/remembering";
    let storage = window().unwrap().local_storage().unwrap().unwrap();
    storage.remove_item(key).unwrap();
    let (sockets, fetches) = (Sockets::fake(), Fetches::fake());
    let client = builder("/remembering").build();
    let watch = client.watch(Todo::in_space("l"));
    sockets.next().await.fail(1006, "");
    let stream = fetches.next().await;
    stream.answer_stream();
    stream.push(&format!("data: {WELCOME}\n\n"));
    until(|| client.connection().transport == Some(Transport::Sse)).await;
    let entry = storage.get_item(key).unwrap().unwrap();
    assert!(entry.starts_with("sse "), "{entry}");
    drop((watch, client));
    until(|| stream.is_aborted()).await;
    let _ = fetches.count();

    // the next start begins with it
    let client = builder("/remembering").build();
    let _watch = client.watch(Todo::in_space("l"));
    assert!(fetches.next().await.url().ends_with("/remembering/stream"));
    // but not one that was told which transport to use
    let told = builder("/remembering").transport(WS).build();
    let _watch = told.watch(Todo::in_space("l"));
    sockets.next().await;
    // nor after a day, when the first choice may work again
    storage.set_item(key, "sse 1700000000000").unwrap();
    let later = builder("/remembering").build();
    let _watch = later.watch(Todo::in_space("l"));
    sockets.next().await;
    storage.remove_item(key).unwrap();
}

#[wasm_bindgen_test]
async fn an_edit_is_on_the_screen_in_the_same_turn() {
    let _sockets = Sockets::fake();
    let client = builder("/sync").transport(WS).build();
    let watch = Rc::new(client.watch(Todo::in_space("l")));
    let batches = Rc::new(RefCell::new(Vec::new()));
    spawn_local({
        let (watch, batches) = (Rc::clone(&watch), Rc::clone(&batches));
        async move {
            while let Some(batch) = watch.next().await {
                batches.borrow_mut().push(batch.len());
            }
        }
    });
    TimeoutFuture::new(0).await;
    batches.borrow_mut().clear();

    let later = Rc::new(RefCell::new(false));
    let timeout = gloo_timers::callback::Timeout::new(0, {
        let later = Rc::clone(&later);
        move || *later.borrow_mut() = true
    });
    drop(client.put("l", todo("a")));
    drop(client.put("l", todo("b")));
    JsFuture::from(Promise::resolve(&JsValue::UNDEFINED)).await.unwrap();
    JsFuture::from(Promise::resolve(&JsValue::UNDEFINED)).await.unwrap();
    // both edits in one batch, in a microtask: no timer has had its turn yet
    assert_eq!((batches.borrow().as_slice(), *later.borrow()), (&[2][..], false));
    drop(timeout);
    client.close();
}

#[wasm_bindgen_test]
async fn every_client_writes_under_an_id_of_its_own() {
    let sockets = Sockets::fake();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let client = builder("/sync").transport(WS).build();
        drop(client.put("l", todo("a")));
        let socket = sockets.next().await;
        socket.open();
        let hello: serde_json::Value = serde_json::from_str(&socket.frame().await).unwrap();
        ids.push(hello["hello"]["client"].as_str().unwrap().to_owned());
    }
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.len() == 32), "{ids:?}");
}
