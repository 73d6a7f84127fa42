//! What is wrong, too large or too much.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use syncline_server::{Config, Memory};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::support::ws::Ws;
use crate::support::{Heard, Server, hello, note, notes, put, soon};

#[tokio::test]
async fn a_frame_that_is_too_large_is_refused_by_name() {
    let server = Server::start().await;
    let (mut sibling, _) = Ws::watch(&server, "client-b", "list").await;
    let ws = Ws::open(&server, "client-a").await;
    let (mut sink, mut stream) = ws.socket.split();
    let sending = sink.send(Message::text(" ".repeat(3 * 1024 * 1024)));
    let hearing = async {
        let error = stream.next().await.unwrap().unwrap().into_text().unwrap();
        assert_eq!(Heard::parse(error.as_bytes()).code(), "frame_too_large");
        match stream.next().await.unwrap().unwrap() {
            Message::Close(Some(close)) => assert_eq!(u16::from(close.code), 1009),
            other => panic!("not closed: {other:?}"),
        }
    };
    // the rest of the frame may find nobody who reads it
    let (_, ()) = soon(async { tokio::join!(sending, hearing) }).await;
    soon(server.syncline.gauges_when(|gauges| gauges.connections == 1)).await;
    sibling.say(&put("client-b", 1, "list", &note("n1", "unmoved"))).await;
    assert_eq!(sibling.hear_one("changes").await.texts(), ["unmoved"]);
}

#[tokio::test]
async fn what_is_no_frame_ends_the_connection_with_a_word() {
    let server = Server::start().await;
    for nonsense in ["", "{", "null", "[1]", "{\"nonsense\":1}", "{\"welcome\":{}}", "\u{0}"] {
        let mut ws = Ws::open(&server, "client-a").await;
        ws.say_raw(Message::text(nonsense)).await;
        let (heard, close) = ws.hear_to_the_end().await;
        assert_eq!(heard.last().unwrap().code(), "bad_frame", "{nonsense:?}");
        assert_eq!(close, Some((1002, "bad_frame".into())), "{nonsense:?}");
    }
}

#[tokio::test]
async fn text_that_is_not_utf8_ends_the_connection_with_a_word() {
    let server = Server::start().await;
    let mut ws = Ws::open(&server, "client-a").await;
    let frame = Frame::message(vec![b'"', 0xff, b'"'], OpCode::Data(Data::Text), true);
    ws.say_raw(Message::Frame(frame)).await;
    let (heard, close) = ws.hear_to_the_end().await;
    assert_eq!(heard.last().unwrap().code(), "bad_frame");
    assert_eq!(close, Some((1002, "bad_frame".into())));
}

#[tokio::test]
async fn a_frame_that_is_nested_too_deep_is_refused_by_name() {
    let server = Server::start().await;
    let mut ws = Ws::open(&server, "client-a").await;
    ws.say_raw(Message::text("[".repeat(100_000))).await;
    let (heard, _) = ws.hear_to_the_end().await;
    assert_eq!(heard.last().unwrap().code(), "frame_too_large");
}

#[tokio::test]
async fn hello_comes_first_and_once() {
    let server = Server::start().await;
    let mut early = Ws::connect(&server).await;
    early.say(&json!({ "ping": 1 })).await;
    assert_eq!(early.hear_to_the_end().await.0.last().unwrap().code(), "bad_frame");
    let mut twice = Ws::open(&server, "client-a").await;
    twice.say(&hello("client-a")).await;
    assert_eq!(twice.hear_to_the_end().await.0.last().unwrap().code(), "bad_frame");
}

#[tokio::test]
async fn a_socket_that_says_no_hello_is_closed() {
    let mut config = Config::default();
    config.engine.hello_within = Duration::from_millis(50);
    let server = Server::of(notes(Memory::new()).config(config).build().await.unwrap()).await;
    let silent = Ws::connect(&server).await;
    let (heard, close) = silent.hear_to_the_end().await;
    assert_eq!(heard.last().unwrap().code(), "timeout");
    assert_eq!(close, Some((1008, "timeout".into())));
    soon(server.syncline.gauges_when(|gauges| gauges.connections == 0)).await;
}

#[tokio::test]
async fn a_write_of_nonsense_is_refused_and_the_next_one_counts() {
    let server = Server::start().await;
    let (mut ws, _) = Ws::watch(&server, "client-a", "list").await;
    let nonsense = json!({ "ops": [{ "put": ["notes", { "id": 7 }] }] });
    ws.say(&json!({ "write": { "space": "list", "client": "client-a", "id": 1, "kind": "rows", "payload": nonsense } }))
        .await;
    assert_eq!(ws.hear_one("changes").await.body["acks"][0]["error"]["code"], "bad_row");
    ws.say(&put("client-a", 2, "list", &note("n1", "Milk"))).await;
    assert_eq!(ws.hear_one("changes").await.texts(), ["Milk"]);
}

#[tokio::test]
async fn a_client_that_only_talks_is_ended_and_slows_nobody() {
    let server = Server::start().await;
    let (mut sibling, _) = Ws::watch(&server, "client-b", "list").await;
    let mut flood = Ws::open(&server, "client-a").await;
    // it never reads its pongs; sooner or later nobody reads its pings either
    let flooding = async { while flood.socket.send(Message::text("{\"ping\":1}")).await.is_ok() {} };
    let talking = async {
        for id in 1..=50 {
            sibling.say(&put("client-b", id, "list", &note("n1", format!("{id}")))).await;
            assert_eq!(sibling.hear_one("changes").await.texts(), [format!("{id}")]);
        }
    };
    soon(async { tokio::join!(flooding, talking) }).await;
    soon(server.syncline.gauges_when(|gauges| gauges.connections == 1)).await;
}

#[tokio::test]
async fn half_a_message_and_gone_leaves_nothing() {
    let server = Server::start().await;
    let mut ws = Ws::open(&server, "client-a").await;
    let part = Frame::message(b"{\"write\":".to_vec(), OpCode::Data(Data::Text), false);
    ws.say_raw(Message::Frame(part)).await;
    drop(ws);
    soon(server.syncline.gauges_when(|gauges| gauges.connections == 0)).await;
}
