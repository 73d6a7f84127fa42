//! Two clients on WebSockets.

use futures::StreamExt as _;
use serde_json::{Value, json};
use syncline_core::wire::{EncodedRow, Frame, ServerMessage};
use syncline_server::{Memory, Sqlite};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

use crate::support::ws::Ws;
use crate::support::{Server, hello, note, notes, put, soon, subscribe};

#[tokio::test]
async fn who_is_welcome_hears_who_they_are_and_what_they_may() {
    let server = Server::start().await;
    let mut ws = Ws::connect(&server).await;
    ws.say(&hello("client-a")).await;
    let welcome = ws.hear_one("welcome").await;
    assert_eq!(welcome.body["user"]["id"], "anonymous");
    assert_eq!(welcome.body["limits"]["frame_bytes"], 2 * 1024 * 1024);
    assert!(welcome.body.get("link").is_none());
}

#[tokio::test]
async fn two_clients_follow_each_other() {
    let server = Server::start().await;
    let (mut ada, snapshot) = Ws::watch(&server, "client-a", "list").await;
    assert_eq!(snapshot.rows.len(), 0);
    let (mut eve, _) = Ws::watch(&server, "client-b", "list").await;

    ada.say(&put("client-a", 1, "list", &note("n1", "Milk"))).await;
    let own = ada.hear_one("changes").await;
    assert_eq!((own.texts(), &own.body["acks"][0]["id"]), (vec!["Milk"], &json!(1)));
    assert_eq!(eve.hear_one("changes").await.texts(), ["Milk"]);

    eve.say(&put("client-b", 1, "list", &note("n1", "Oat milk"))).await;
    assert_eq!(ada.hear_one("changes").await.texts(), ["Oat milk"]);

    let (_late, snapshot) = Ws::watch(&server, "client-c", "list").await;
    assert_eq!(snapshot.texts(), ["Oat milk"]);
}

#[tokio::test]
async fn a_write_that_is_sent_twice_counts_once() {
    let server = Server::start().await;
    let (mut ada, _) = Ws::watch(&server, "client-a", "list").await;
    let write = put("client-a", 1, "list", &note("n1", "Milk"));
    ada.say(&write).await;
    assert_eq!(ada.hear_one("changes").await.body["to"], 1);
    ada.say(&write).await;
    let again = ada.hear_one("changes").await;
    assert_eq!((&again.body["to"], again.rows.len()), (&json!(1), 0));
    assert_eq!(again.body["acks"][0]["id"], 1);
}

#[tokio::test]
async fn binary_messages_are_understood_as_well() {
    let server = Server::start().await;
    let mut ws = Ws::connect(&server).await;
    ws.say_raw(Message::binary(hello("client-a").to_string().into_bytes())).await;
    ws.hear_one("welcome").await;
}

#[tokio::test]
async fn who_asks_for_bytes_gets_them_after_the_welcome() {
    let server = Server::start().await;
    for (encodings, expected) in
        [(json!(["json-bytes", "json"]), true), (json!(["json"]), false), (json!(["x"]), false)]
    {
        let mut ws = Ws::connect(&server).await;
        ws.say(&json!({ "hello": { "protocol": 1, "client": "client-a", "encodings": encodings } })).await;
        assert_eq!(
            ws.hear_one("welcome").await.body["encoding"],
            if expected { "json-bytes" } else { "json" }
        );
        ws.say(&json!({ "ping": 7 })).await;
        let pong = soon(ws.socket.next()).await.unwrap().unwrap();
        assert_eq!((pong.is_binary(), pong.into_data().as_ref()), (expected, &b"{\"pong\":7}"[..]));
    }
}

#[tokio::test]
async fn who_reads_packed_rows_gets_them_in_binary_messages() {
    let server = Server::start().await;
    let mut writer = Ws::open(&server, "client-a").await;
    writer.say(&put("client-a", 1, "list", &note("n1", "a note"))).await;
    writer.hear_one("changes").await;
    let mut ws = Ws::connect(&server).await;
    let encodings = json!(["packed", "json-bytes", "json"]);
    ws.say(&json!({ "hello": { "protocol": 1, "client": "client-b", "encodings": encodings } })).await;
    assert_eq!(ws.hear_one("welcome").await.body["encoding"], "packed");
    ws.say(&subscribe(1, "list")).await;
    let message = soon(ws.socket.next()).await.unwrap().unwrap();
    assert!(message.is_binary());
    let bytes = message.into_data();
    let frame = Frame::parse(&bytes).unwrap();
    let ServerMessage::Snapshot(snapshot) = &frame.message else { panic!("{:?}", frame.message) };
    let rows = frame.encoded_rows().unwrap();
    assert!(matches!(rows[..], [EncodedRow::Packed(_)]));
    let row: Value = rows[0].decode(&snapshot.fields[0]).unwrap();
    assert_eq!((&row["id"], &row["text"]), (&json!("n1"), &json!("a note")));
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("spaces.db");
    for (run, seen) in [(1, vec![]), (2, vec!["run 1"]), (3, vec!["run 1", "run 2"])] {
        let server = Server::of(notes(Sqlite::open(&file).unwrap()).build().await.unwrap()).await;
        let (mut ws, snapshot) = Ws::watch(&server, "client-a", "list").await;
        assert_eq!(snapshot.texts(), seen);
        ws.say(&put("client-a", run, "list", &note(&format!("n{run}"), format!("run {run}")))).await;
        assert_eq!(ws.hear_one("changes").await.body["to"], run);
        ws.close().await;
        server.stop().await;
    }
}

#[tokio::test]
async fn a_snapshot_of_many_chunks_arrives_whole() {
    let server = Server::start().await;
    let mut writer = Ws::open(&server, "client-a").await;
    let text = "x".repeat(1_000);
    let count = 500;
    for number in 1..=count {
        writer.say(&put("client-a", number, "list", &note(&format!("n{number:04}"), &text))).await;
        // an acknowledgement is a frame even where nothing is subscribed
        writer.hear_one("changes").await;
    }
    let (mut reader, first) = Ws::watch(&server, "client-b", "list").await;
    let (mut rows, mut last) = (first.rows.len(), first.body["last"] == true);
    assert!(!last);
    while !last {
        let chunk = reader.hear_one("snapshot").await;
        rows += chunk.rows.len();
        last = chunk.body["last"] == true;
    }
    assert_eq!(rows, count as usize);
}

#[tokio::test]
async fn a_subscription_that_fails_leaves_its_siblings_alone() {
    let server = Server::start().await;
    let (mut ws, _) = Ws::watch(&server, "client-a", "list").await;
    ws.say(&json!({ "subscribe": { "sub": 2, "query": { "space": "list", "collection": "nonsense" } } }))
        .await;
    let failed = ws.hear_one("failed").await;
    assert_eq!((&failed.body["sub"], failed.code()), (&json!(2), "unknown_collection"));
    ws.say(&put("client-a", 1, "list", &note("n1", "Milk"))).await;
    assert_eq!(ws.hear_one("changes").await.texts(), ["Milk"]);
}

#[tokio::test]
async fn many_clients_share_one_server() {
    let server = Server::of(notes(Memory::new()).build().await.unwrap()).await;
    let mut clients = Vec::new();
    for number in 0..50 {
        clients.push(Ws::watch(&server, &format!("client-{number:03}"), "list").await.0);
    }
    let gauges = soon(server.syncline.gauges_when(|gauges| gauges.subscriptions == 50)).await;
    assert_eq!((gauges.connections, gauges.spaces), (50, 1));
    clients[7].say(&put("client-007", 1, "list", &note("n1", "to all"))).await;
    for client in &mut clients {
        assert_eq!(client.hear_one("changes").await.texts(), ["to all"]);
    }
    clients[0].say(&subscribe(2, "other")).await;
    clients[0].hear_one("snapshot").await;
}
