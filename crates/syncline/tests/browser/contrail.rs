//! Requests to a contrail service.

use serde::{Deserialize, Serialize};
use syncline::contrail::Contrail;
use syncline::{Record, Status, TransportPreference, Watch};
use wasm_bindgen_test::wasm_bindgen_test;

use crate::builder;
use crate::fakes::{Fetches, Sockets, until};

const SPACE: &str = "ats://did:plc:alice/space/s";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "message", key = uri)]
struct Message {
    uri: String,
    text: String,
}

fn event(kind: &str, data: &str) -> String {
    format!("event: {kind}\ndata: {data}\n\n")
}

fn texts(watch: &Watch<Message>) -> Vec<String> {
    watch.entries().iter().map(|entry| entry.record.text.clone()).collect()
}

#[wasm_bindgen_test]
async fn an_event_stream() {
    let fetches = Fetches::fake();
    let service = Contrail::new("app.event").ticket("t");
    let client = builder("https://service.example/api?tenant=7")
        .contrail(service)
        .credentials(|| async { " jwt\n" })
        .build();
    let watch = client.watch(Message::in_space(SPACE).order_by(Message::uri));
    let stream = fetches.next().await;
    let url = stream.url();
    assert!(
        url.starts_with(
            "https://service.example/api/xrpc/app.event.message.watchRecords?tenant=7&spaceUri=ats%3A"
        ),
        "{url}"
    );
    assert!(url.contains("&ticket=t"), "{url}");
    assert_eq!(stream.header("accept").as_deref(), Some("text/event-stream"));
    assert_eq!(stream.header("authorization").as_deref(), Some("Bearer jwt"));
    assert_eq!(stream.credentials(), "same-origin");
    stream.answer_stream();
    let snapshot = event("snapshot.start", "{}")
        + &event("snapshot.record", r#"{"record":{"uri":"a","value":{"text":"größe"}}}"#)
        + &event("snapshot.end", "{}")
        + ": keepalive\n\n"
        + &event("record.created", r#"{"record":{"uri":"b","value":{"text":"line\nbreak"}}}"#);
    for piece in snapshot.chars() {
        stream.push(&piece.to_string());
    }
    until(|| texts(&watch) == ["größe", "line\nbreak"]).await;
    assert_eq!(watch.status(), Status::Live);
    // one that is lost begins again
    stream.end();
    let again = fetches.next().await;
    assert_eq!(texts(&watch).len(), 2);
    drop((watch, client));
    until(|| again.is_aborted()).await;
}

#[wasm_bindgen_test]
async fn a_socket_after_its_handshake() {
    let (fetches, sockets) = (Fetches::fake(), Sockets::fake());
    let client = builder("https://service.example/api")
        .contrail(Contrail::new("app.event"))
        .transport(TransportPreference::WebSocket)
        .build();
    let watch = client.watch(Message::in_space(SPACE).order_by(Message::uri));
    let handshake = fetches.next().await;
    assert!(handshake.url().ends_with("&mode=ws"), "{}", handshake.url());
    let record = r#"{"uri":"a","value":{"text":"one"}}"#;
    handshake.answer(
        200,
        &format!(r#"{{"snapshot":{{"records":[{record}]}},"wsUrl":"/live?ticket=x%2By&sinceTs=7"}}"#),
    );
    let socket = sockets.next().await;
    assert_eq!(socket.url(), "wss://service.example/live?ticket=x%2By&sinceTs=7");
    socket.open();
    socket.say(r#"{"kind":"record.created","data":{"record":{"uri":"b","record":{"text":"two"}}}}"#);
    until(|| texts(&watch) == ["one", "two"]).await;
    // the membership is over
    socket.fail(4003, "membership-revoked");
    until(|| watch.status() == Status::Failed).await;
    assert!(texts(&watch).is_empty());
}

#[wasm_bindgen_test]
async fn a_refusal_is_told_in_the_services_words() {
    let fetches = Fetches::fake();
    let client = builder("https://service.example").contrail(Contrail::new("app.event")).build();
    let watch = client.watch(Message::in_space(SPACE));
    fetches.next().await.answer(403, r#"{"error":"Forbidden","reason":"not-member"}"#);
    until(|| watch.status() == Status::Failed).await;
    let error = watch.error().unwrap();
    assert_eq!(error.code(), "forbidden");
    assert!(error.message().contains("not-member"));
}

/// Whichever of its clients they belong to: a browser counts its connections to a host.
#[wasm_bindgen_test]
async fn a_page_has_four_event_streams_to_an_origin() {
    let fetches = Fetches::fake();
    let client = |url: &str| builder(url).contrail(Contrail::new("app.event")).build();
    let query = |limit| Message::in_space(SPACE).order_by(Message::uri).limit(limit);
    let clients = [client("https://service.example/a"), client("https://service.example/b")];
    let (mut watches, mut over_sockets) = (Vec::new(), 0);
    for limit in 1..=3 {
        for client in &clients {
            watches.push(client.watch(query(limit)));
            over_sockets += usize::from(fetches.next().await.url().ends_with("&mode=ws"));
        }
    }
    assert_eq!((watches.len(), over_sockets), (6, 2));
    let other = client("https://other.example");
    let _watch = other.watch(query(1));
    assert!(!fetches.next().await.url().ends_with("&mode=ws"));
    // what ends is free for others
    drop(watches);
    let _watch = clients[1].watch(query(9));
    assert!(!fetches.next().await.url().ends_with("&mode=ws"));
}
