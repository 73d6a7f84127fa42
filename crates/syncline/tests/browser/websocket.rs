//! One WebSocket.

use futures::FutureExt;
use syncline::{Backoff, Record as _, Status, TransportPreference, code};
use wasm_bindgen_test::wasm_bindgen_test;

use crate::fakes::{Sockets, until};
use crate::{SNAPSHOT, Todo, WELCOME, builder, todo};

const WS: TransportPreference = TransportPreference::WebSocket;

#[wasm_bindgen_test]
async fn frames_come_as_text_and_as_bytes() {
    let sockets = Sockets::fake();
    let client = builder("/sync").transport(WS).build();
    let watch = client.watch(Todo::in_space("l"));
    let socket = sockets.next().await;
    assert!(socket.url().starts_with("ws://") && socket.url().ends_with("/sync/ws"), "{}", socket.url());
    socket.open();
    assert!(socket.frame().await.starts_with(r#"{"hello""#));
    socket.say(WELCOME);
    assert!(socket.frame().await.starts_with(r#"{"subscribe""#));
    socket.say_as_bytes(SNAPSHOT);
    watch.loaded().await.unwrap();
    assert_eq!(watch.entries()[0].record.text, "Milk");
    drop((watch, client));
    until(|| socket.is_closed()).await;
}

#[wasm_bindgen_test]
async fn a_refused_port_is_one_failure() {
    // a real socket, to a port that browsers permit and nobody listens at
    let attempts = Backoff { attempts: Some(1), ..Backoff::default() };
    let client = builder("http://127.0.0.1:2/sync").transport(WS).backoff(attempts).build();
    let watch = client.watch(Todo::in_space("l"));
    let error = watch.loaded().await.unwrap_err();
    assert_eq!((error.code(), watch.status()), (code::CONNECTION, Status::Failed));
    assert!(error.message().contains("1006"), "{error}");
}

#[wasm_bindgen_test]
async fn however_many_signs_a_failure_has_it_is_one_reconnect() {
    let sockets = Sockets::fake();
    let client = builder("/sync").transport(WS).build();
    let _watch = client.watch(Todo::in_space("l"));
    let socket = sockets.next().await;
    socket.open();
    socket.frame().await;
    socket.fail(1011, "the server is on fire");
    let next = sockets.next().await;
    let error = client.connection().last_error.unwrap();
    assert_eq!(error.message(), "the WebSocket was closed with 1011: the server is on fire");
    next.open();
    next.frame().await;
    assert_eq!(sockets.count(), 0);
}

#[wasm_bindgen_test]
async fn what_came_before_the_end_is_not_lost() {
    let sockets = Sockets::fake();
    let client = builder("/sync").transport(WS).build();
    let watch = client.watch(Todo::in_space("l"));
    let socket = sockets.next().await;
    // all of it before the client has had a turn
    socket.open();
    socket.say(r#"{"error":{"code":"forbidden_origin","message":"not from this page"}}"#);
    socket.fail(1008, "");
    assert_eq!(watch.loaded().await.unwrap_err().code(), code::FORBIDDEN_ORIGIN);
}

#[wasm_bindgen_test]
async fn nothing_is_handed_to_a_socket_that_is_closed() {
    let sockets = Sockets::fake();
    let client = builder("/sync").transport(WS).build();
    let _watch = client.watch(Todo::in_space("l"));
    let socket = sockets.next().await;
    socket.open();
    socket.frame().await;
    socket.say(WELCOME);
    socket.frame().await;
    socket.cut();
    let write = client.put("l", todo("b"));
    gloo_timers::future::TimeoutFuture::new(0).await;
    assert_eq!(socket.sent(), Vec::<String>::new());
    assert!(write.now_or_never().is_none());
    socket.fail(1006, "");

    let socket = sockets.next().await;
    socket.open();
    socket.frame().await;
    socket.say(WELCOME);
    let mut frames = Vec::new();
    until(|| {
        frames.extend(socket.sent());
        frames.iter().any(|frame| frame.starts_with(r#"{"write""#))
    })
    .await;
}

#[wasm_bindgen_test]
async fn a_connection_that_is_given_up_while_it_opens_leaves_no_socket() {
    let sockets = Sockets::fake();
    let client = builder("https://api.example.org/v1/sync/?tenant=7").transport(WS).build();
    let watch = client.watch(Todo::in_space("l"));
    let socket = sockets.next().await;
    assert_eq!(socket.url(), "wss://api.example.org/v1/sync/ws?tenant=7");
    drop((watch, client));
    until(|| socket.is_closed()).await;
}
