//! Requests to a contrail service.

use serde::{Deserialize, Serialize};
use syncline::contrail::Contrail;
use syncline::{Client, Record, Status, TransportPreference, Watch, code};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::refusing::{accept_socket, read_request, redirect, response};
use crate::{BOTH, PATIENCE, soon, stands};

const SPACE: &str = "ats://did:plc:alice/space/s";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "message", key = uri)]
struct Message {
    uri: String,
    text: String,
}

async fn texts(watch: &Watch<Message>, texts: &[&str]) {
    let shown = async {
        while watch.entries().iter().map(|entry| entry.record.text.clone()).collect::<Vec<_>>() != texts {
            watch.next().await.unwrap();
        }
    };
    if tokio::time::timeout(PATIENCE, shown).await.is_err() {
        panic!("{texts:?} did not come: {:?}", watch.state());
    }
}

#[tokio::test]
async fn an_event_stream() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/?tenant=7", listener.local_addr().unwrap());
    let service = Contrail::new("app.event").ticket("t");
    let client = Client::builder(url).contrail(service).credentials(|| async { " jwt\n" }).build();
    let watch = client.watch(Message::in_space(SPACE).order_by(Message::uri));
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    let request = String::from_utf8(read_request(&mut stream).await).unwrap();
    let target = "GET /api/xrpc/app.event.message.watchRecords?tenant=7&spaceUri=ats%3A";
    assert!(request.starts_with(target), "{request}");
    assert!(request.contains("&ticket=t"), "{request}");
    assert!(request.contains("accept: text/event-stream\r\n"), "{request}");
    assert!(request.contains("authorization: Bearer jwt\r\n"), "{request}");
    let events = "event: snapshot.start\ndata: {}\n\n\
        event: snapshot.record\ndata: {\"record\":{\"uri\":\"a\",\"value\":{\"text\":\"größe\"}}}\n\n\
        event: snapshot.end\ndata: {}\n\n: keepalive\n\n\
        event: record.created\ndata: {\"record\":{\"uri\":\"b\",\"value\":{\"text\":\"new\"}}}\n\n";
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await.unwrap();
    for piece in events.as_bytes().chunks(3) {
        stream.write_all(piece).await.unwrap();
    }
    texts(&watch, &["größe", "new"]).await;
    assert_eq!(watch.status(), Status::Live);
    drop((watch, client));
    let _ = soon(stream.read_to_end(&mut Vec::new())).await;
}

#[tokio::test]
async fn a_socket_after_its_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}?tenant=7", listener.local_addr().unwrap());
    let service = Contrail::new("app.event");
    let client = Client::builder(url).contrail(service).transport(TransportPreference::WebSocket).build();
    let watch = client.watch(Message::in_space(SPACE).order_by(Message::uri));
    let (mut asked, _) = soon(listener.accept()).await.unwrap();
    let request = String::from_utf8(read_request(&mut asked).await).unwrap();
    assert!(request.starts_with("GET /xrpc/app.event.message.watchRecords?tenant=7&"), "{request}");
    assert!(request.contains("&mode=ws"), "{request}");
    let answer = r#"{"snapshot":{"records":[{"uri":"a","value":{"text":"one"}}]},"ticket":"secret","wsUrl":"/realtime?ticket=secret"}"#;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        answer.len()
    );
    asked.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
    let (mut socket, _) = soon(listener.accept()).await.unwrap();
    let request = accept_socket(&mut socket).await;
    // whatever the service says of it is whole
    assert!(request.starts_with("GET /realtime?ticket=secret "), "{request}");
    texts(&watch, &["one"]).await;
}

/// It is the service that refuses it, in its own words.
#[tokio::test]
async fn a_socket_that_is_refused_for_good_is_not_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let service = Contrail::new("app.event");
    let client = Client::builder(url).contrail(service).transport(TransportPreference::WebSocket).build();
    let watch = client.watch(Message::in_space(SPACE).order_by(Message::uri));
    let (mut asked, _) = soon(listener.accept()).await.unwrap();
    read_request(&mut asked).await;
    let answer = r#"{"snapshot":{"records":[]},"wsUrl":"/realtime"}"#;
    asked.write_all(response("200 OK", "application/json", answer).as_bytes()).await.unwrap();
    let (mut socket, _) = soon(listener.accept()).await.unwrap();
    read_request(&mut socket).await;
    socket.write_all(response("426 Upgrade Required", "application/json", "{}").as_bytes()).await.unwrap();
    let state = stands(&client, |state| state.last_error.is_some()).await;
    assert_eq!(state.last_error.unwrap().code(), code::UNSUPPORTED_PROTOCOL);
    assert_eq!(watch.status(), Status::Failed);
}

/// Neither does a service say where else to go.
#[tokio::test]
async fn a_redirect_of_a_service_is_a_failure() {
    for transport in BOTH {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = Contrail::new("app.event").ticket("secret");
        let client =
            Client::builder(format!("http://{address}")).contrail(service).transport(transport).build();
        let watch = client.watch(Message::in_space(SPACE).order_by(Message::uri));
        let (mut asked, _) = soon(listener.accept()).await.unwrap();
        read_request(&mut asked).await;
        asked.write_all(redirect(&format!("http://{address}/elsewhere")).as_bytes()).await.unwrap();
        let state = stands(&client, |state| state.last_error.is_some()).await;
        // what was said is not what another place has said
        assert_eq!(state.last_error.unwrap().message(), "the service answered 302", "{transport:?}");
        assert_eq!(watch.status(), Status::Reconnecting);
    }
}

/// A Durable Object does not answer a close, nor end the connection: whoever leaves does not wait for it.
#[tokio::test]
async fn a_socket_whose_server_never_answers_a_close_ends_with_the_client() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let before = Handle::current().metrics().num_alive_tasks();
    let service = Contrail::new("app.event");
    let client = Client::builder(url).contrail(service).transport(TransportPreference::WebSocket).build();
    let watch = client.watch(Message::in_space(SPACE).order_by(Message::uri));
    let (mut asked, _) = soon(listener.accept()).await.unwrap();
    read_request(&mut asked).await;
    let answer = r#"{"snapshot":{"records":[]},"ticket":"t","wsUrl":"/realtime"}"#;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
    asked.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
    let (mut socket, _) = soon(listener.accept()).await.unwrap();
    accept_socket(&mut socket).await;
    texts(&watch, &[]).await;
    drop((watch, client, asked));
    // all that comes is read, and nothing is said
    let _ = soon(socket.read_to_end(&mut Vec::new())).await;
    soon(async {
        while Handle::current().metrics().num_alive_tasks() > before {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
