//! The way round WebSockets: a stream and POSTs.

use reqwest::StatusCode;
use serde_json::json;
use std::time::Duration;
use syncline_server::{Config, Memory};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::http::{Sse, post, refusal};
use crate::support::ws::Ws;
use crate::support::{Server, hello, note, notes, put, soon, subscribe};

#[tokio::test]
async fn a_stream_and_a_socket_follow_each_other() {
    let server = Server::start().await;
    let mut ada = Sse::open(&server, "client-a").await;
    let (mut eve, _) = Ws::watch(&server, "client-b", "list").await;

    // one POST carries several frames
    ada.say(&[subscribe(1, "list"), put("client-a", 1, "list", &note("n1", "by POST"))]).await;
    assert_eq!(ada.hear().await.name, "snapshot");
    assert_eq!(ada.hear().await.texts(), ["by POST"]);
    assert_eq!(eve.hear_one("changes").await.texts(), ["by POST"]);

    eve.say(&put("client-b", 1, "list", &note("n2", "by socket"))).await;
    assert_eq!(ada.hear().await.texts(), ["by socket"]);
}

#[tokio::test]
async fn a_stream_is_not_cached_nor_held_back() {
    let server = Server::start().await;
    let sse = Sse::open(&server, "client-a").await;
    let header = |name: &str| sse.response().headers()[name].to_str().unwrap();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-accel-buffering"), "no");
    // 128 bits as hex digits
    assert!(sse.link.len() == 32 && sse.link.bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive() {
    let config = Config { keepalive: Duration::from_millis(10), ..Config::default() };
    let server = Server::of(notes(Memory::new()).config(config).build().await.unwrap()).await;
    let mut sse = Sse::open(&server, "client-a").await;
    assert_eq!(sse.next_block().await.unwrap(), ": keepalive");
    sse.say(&[json!({ "ping": 7 })]).await;
    assert_eq!(sse.hear().await.name, "pong");
}

#[tokio::test]
async fn a_stream_begins_with_hello() {
    let server = Server::start().await;
    let refused = async |body: String| refusal(post(&server, "stream").body(body)).await;
    assert_eq!(
        refused(json!({ "ping": 1 }).to_string()).await,
        (StatusCode::BAD_REQUEST, "bad_frame".into())
    );
    assert_eq!(refused("nonsense".into()).await, (StatusCode::BAD_REQUEST, "bad_frame".into()));
    let future = json!({ "hello": { "protocol": 99, "client": "client-a" } }).to_string();
    assert_eq!(refused(future).await, (StatusCode::BAD_REQUEST, "unsupported_protocol".into()));
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(refused(deep).await, (StatusCode::PAYLOAD_TOO_LARGE, "frame_too_large".into()));
    soon(server.syncline.gauges_when(|gauges| gauges.connections == 0)).await;
}

#[tokio::test]
async fn a_link_is_known_as_long_as_its_stream_is_open() {
    let server = Server::start().await;
    let send = |link: &str| {
        post(&server, "send").header("x-syncline-link", link).body(json!({ "ping": 1 }).to_string())
    };
    assert_eq!(
        refusal(send("0123456789abcdef0123456789abcdef")).await,
        (StatusCode::NOT_FOUND, "unknown_link".into())
    );
    assert_eq!(refusal(post(&server, "send").body("")).await, (StatusCode::BAD_REQUEST, "bad_frame".into()));

    let sse = Sse::open(&server, "client-a").await;
    let link = sse.link.clone();
    assert_eq!(soon(send(&link).send()).await.unwrap().status(), StatusCode::NO_CONTENT);
    drop(sse);
    soon(server.syncline.gauges_when(|gauges| gauges.connections == 0)).await;
    assert_eq!(refusal(send(&link)).await, (StatusCode::NOT_FOUND, "unknown_link".into()));
}

#[tokio::test]
async fn a_frame_that_is_none_ends_the_stream_with_a_word() {
    let server = Server::start().await;
    let mut sse = Sse::open(&server, "client-a").await;
    sse.say(&[json!({ "nonsense": 1 })]).await;
    assert_eq!(sse.hear().await.code(), "bad_frame");
    assert!(sse.next_event().await.is_none());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_by_name() {
    let server = Server::start().await;
    let sse = Sse::open(&server, "client-a").await;
    let large = " ".repeat(2 * 1024 * 1024 + 1);
    let too_large = (StatusCode::PAYLOAD_TOO_LARGE, "frame_too_large".to_owned());
    let send = post(&server, "send").header("x-syncline-link", &sse.link).body(large.clone());
    assert_eq!(refusal(send).await, too_large);
    assert_eq!(refusal(post(&server, "stream").body(large)).await, too_large);
    // and the stream goes on
    sse.say(&[json!({ "ping": 1 })]).await;
}

#[tokio::test]
async fn what_is_no_hello_is_not_repeated_at_length() {
    let server = Server::start().await;
    let nonsense = format!(r#"{{"hello":"{}"}}"#, "\u{7f}".repeat(1 << 20));
    let response = soon(post(&server, "stream").body(nonsense).send()).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let body = soon(response.text()).await.unwrap();
    assert!(body.contains("bad_frame") && body.len() <= 2 * 1024, "{} bytes", body.len());
}

/// The beginning of a POST, which the server reads; the rest does not come.
async fn begin_post(server: &Server, route: &str, header: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /sync/{route} HTTP/1.1\r\nhost: x\r\n{header}expect: 100-continue\r\ncontent-length: 1000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 21];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue");
    stream.write_all(b"0123456789").await.unwrap();
    stream
}

/// Asks until there is room, for `wanted` then.
async fn answered(ask: impl AsyncFn() -> reqwest::Response, wanted: StatusCode) {
    loop {
        let status = ask().await.status();
        if status == wanted {
            return;
        }
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    }
}

#[tokio::test]
async fn a_hello_that_is_on_its_way_takes_a_place() {
    let config = Config { connections: 1, ..Config::default() };
    let server = Server::of(notes(Memory::new()).config(config).build().await.unwrap()).await;
    let first = begin_post(&server, "stream", "").await;
    let second =
        async || soon(post(&server, "stream").body(hello("client-b").to_string()).send()).await.unwrap();
    assert_eq!(second().await.status(), StatusCode::TOO_MANY_REQUESTS);
    drop(first);
    soon(answered(second, StatusCode::OK)).await;
}

#[tokio::test]
async fn a_link_has_one_call_at_a_time() {
    let server = Server::start().await;
    let sse = Sse::open(&server, "client-a").await;
    let first = begin_post(&server, "send", &format!("x-syncline-link: {}\r\n", sse.link)).await;
    let ping = async || {
        let ping = post(&server, "send").header("x-syncline-link", &sse.link);
        soon(ping.body(json!({ "ping": 1 }).to_string()).send()).await.unwrap()
    };
    assert_eq!(ping().await.status(), StatusCode::TOO_MANY_REQUESTS);
    // and goes on when the one before is given up
    drop(first);
    soon(answered(ping, StatusCode::NO_CONTENT)).await;
}

#[tokio::test]
async fn a_method_or_upgrade_that_is_missing_is_refused_by_name() {
    let server = Server::start().await;
    let get = |route| reqwest::Client::new().get(server.url("http", route));
    assert_eq!(refusal(get("send")).await, (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed".into()));
    assert_eq!(refusal(get("stream")).await, (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed".into()));
    assert_eq!(refusal(get("ws")).await, (StatusCode::UPGRADE_REQUIRED, "upgrade_required".into()));
    let response = soon(get("ws").send()).await.unwrap();
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!((header("upgrade"), header("sec-websocket-version")), (Some("websocket"), Some("13")));
    assert_eq!(refusal(post(&server, "ws").body(hello("client-a").to_string())).await.1, "upgrade_required");
}

#[tokio::test]
async fn a_path_that_is_no_route_is_refused_by_name() {
    let server = Server::start().await;
    let unknown = (StatusCode::NOT_FOUND, "unknown_route".to_owned());
    for path in ["nowhere", "ws/further"] {
        assert_eq!(refusal(reqwest::Client::new().get(server.url("http", path))).await, unknown, "{path:?}");
        assert_eq!(refusal(post(&server, path).body("{}")).await, unknown, "{path:?}");
    }
}
