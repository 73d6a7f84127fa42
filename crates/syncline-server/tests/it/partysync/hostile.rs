//! Whatever somebody sends: they are told, others notice nothing, and the room goes on.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use syncline_server::{Config, Memory};
use tokio_tungstenite::tungstenite::Message;

use crate::support::party::{PartyClient, call, create, ids, server, todos};
use crate::support::{Server, soon};

#[tokio::test]
async fn what_is_not_understood_is_an_exception() {
    let server = server().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    let deep = format!(r#"{{"channel":"todos","sync":true,"from":{}}}"#, "[".repeat(200_000));
    let deep_action =
        format!(r#"{{"id":1,"channel":"todos","rpc":true,"action":{}{}}}"#, "[".repeat(31), "]".repeat(31));
    let deeper =
        format!(r#"{{"id":1,"channel":"todos","rpc":true,"action":{}{}}}"#, "[".repeat(30), "]".repeat(30));
    let unclear = [
        "{not json",
        "",
        "null",
        "[]",
        "{}",
        "17",
        "\"sync\"",
        r#"{"channel":"todos"}"#,
        r#"{"channel":"todos","rpc":true,"action":{"type":"clear"}}"#,
        r#"{"id":"r1","channel":"todos","rpc":true}"#,
        r#"{"id":"r1","channel":["todos"],"rpc":true,"action":{}}"#,
        r#"{"rpc":true,"rpc":false}"#,
        "\u{0}",
        &deep,
        &deep_action,
        &deeper,
    ];
    for text in unclear {
        ada.say_raw(text).await;
        let heard = ada.hear().await;
        assert_eq!((&heard["type"], &heard["rpc"]), (&json!("exception"), &json!(true)), "{text:.60}");
        assert!(heard["exception"][0].is_string() && heard.get("id").is_none());
    }
    soon(ada.socket.send(Message::binary(vec![0xff, 0xfe, 0x00]))).await.unwrap();
    assert_eq!(ada.hear().await["type"], "exception");
    assert_eq!(ids(&ada.call(&create("t1")).await), ["t1"]);
    assert_eq!(ids(&bob.hear().await), ["t1"], "and nothing before it");
}

#[tokio::test]
async fn a_channel_is_looked_up_and_nothing_else() {
    let server = server().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    for channel in ["nope", "Todos", "todos ", "", "'; DROP TABLE space; --", "todos\u{0}", "__proto__"] {
        let mut message = call("r1", &create("t1"));
        message["channel"] = channel.into();
        ada.say(&message).await;
        let told = ada.hear().await;
        let expected = json!({
            "type": "error", "rpc": true, "channel": channel, "id": "r1",
            "error": ["there is no such channel"], "code": "unknown_channel", "field": format!("{channel}/create"),
        });
        assert_eq!(told, expected);
        ada.say(&json!({ "channel": channel, "sync": true, "from": null })).await;
        let told = ada.hear().await;
        assert_eq!((&told["type"], &told["code"]), (&json!("error"), &json!("unknown_channel")));
    }
    for from in [json!(true), json!({}), json!("yesterday"), json!([1])] {
        ada.say(&json!({ "channel": "todos", "sync": true, "from": from })).await;
        assert_eq!(ada.hear().await["code"], "bad_query");
    }
    // an id is whatever it is, and what an action carries is for its handler to read
    for id in [json!(7), json!({ "a": [1] }), Value::Null, json!("\"\\\u{1}ü")] {
        let mut message = call("", &json!({ "type": "create", "payload": [] }));
        message["id"] = id.clone();
        ada.say(&message).await;
        let told = ada.hear().await;
        match id {
            Value::Null => assert_eq!(told["type"], "exception"),
            id => assert_eq!((&told["id"], &told["code"]), (&id, &json!("bad_action"))),
        }
    }
    for key in ["", &"k".repeat(300)] {
        assert_eq!(ada.call(&create(key)).await["code"], "bad_key");
    }
    assert_eq!(ada.sync(Value::Null).await["payload"], json!([]));
}

#[tokio::test]
async fn what_is_too_long_ends_its_own_socket() {
    let mut config = Config::default();
    config.engine.limits.frame_bytes = 64 * 1024;
    let server = Server::of(todos(Memory::new()).config(config).build().await.unwrap()).await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    // just as long as may be, but not in the frame that it travels in
    let room = 64 * 1024 - call("r1", &json!({ "type": "create", "payload": "" })).to_string().len();
    ada.say(&call("r1", &json!({ "type": "create", "payload": "x".repeat(room) }))).await;
    assert_eq!(ada.hear().await["code"], "frame_too_large");
    ada.say_raw("x".repeat(64 * 1024 + 1)).await;
    assert_eq!(soon(ada.next()).await, Err(Some(1009)));
    soon(server.syncline.gauges_when(|gauges| gauges.connections == 1)).await;
    assert_eq!(ids(&bob.call(&create("t1")).await), ["t1"]);
}

#[tokio::test]
async fn a_silent_client_is_asked_for_a_sign_of_life() {
    let mut config = Config::default();
    config.engine.silence = Duration::from_secs(1);
    let server = Server::of(todos(Memory::new()).config(config).build().await.unwrap()).await;
    let mut there = PartyClient::open(&server, "a", "ada").await;
    // nobody reads this one's socket
    let gone = PartyClient::open(&server, "a", "bob").await;
    let mut pings = 0;
    while pings < 3 {
        match soon(there.socket.next()).await.unwrap().unwrap() {
            Message::Ping(_) => pings += 1,
            other => panic!("{other:?} instead of a ping"),
        }
    }
    let reading = async { while there.socket.next().await.is_some() {} };
    tokio::select! {
        () = reading => panic!("ended"),
        _ = soon(server.syncline.gauges_when(|gauges| gauges.connections == 1)) => {}
    }
    assert_eq!(ids(&there.call(&create("t1")).await), ["t1"]);
    drop(gone);
}
