//! Servers that are none, or say no.

use std::net::SocketAddr;

use futures::{FutureExt as _, SinkExt as _};
use syncline::transport::{ConnectRequest, Connector as _, Link, TokioConnector};
use syncline::{Backoff, Client, Error, Record as _, Status, Transport, TransportPreference, Watch, code};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{BOTH, Todo, soon};

/// Answers everybody with these bytes, and hangs up.
async fn saying(answer: impl Into<Vec<u8>>) -> (SocketAddr, JoinHandle<()>) {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
            // read to the end: a socket that is closed with something unread takes back what it has sent
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    (address, task)
}

pub(crate) async fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            break;
        }
    }
    request
}

pub(crate) fn redirect(elsewhere: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n")
}

pub(crate) fn response(status: &str, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn connect(address: SocketAddr, transport: Transport) -> Result<Link, Error> {
    let request = ConnectRequest::new(format!("http://{address}/sync"), transport, "{}");
    soon(TokioConnector::new().connect(request)).await
}

async fn refused(transport: Transport, answer: String) -> Error {
    let (address, _task) = saying(answer).await;
    connect(address, transport).await.unwrap_err()
}

#[tokio::test]
async fn a_refusal_is_the_servers_own_error_where_it_gives_one() {
    for transport in [Transport::WebSocket, Transport::Sse] {
        let json = |status, body| refused(transport, response(status, "application/json", body));
        let html = |status, body| refused(transport, response(status, "text/html", body));
        let error = json("403 Forbidden", r#"{"code":"forbidden_origin","message":"not from here"}"#).await;
        assert_eq!((error.code(), error.message()), (code::FORBIDDEN_ORIGIN, "not from here"));
        let error =
            json("404 Not Found", r#"{"code":"unknown_route","message":"there is no such route"}"#).await;
        assert_eq!(error.code(), "unknown_route");
        // something on the way said it, which may let it pass the next time
        let error = html("403 Forbidden", "<h1>Sign in to the hotel's network</h1>").await;
        assert_eq!((error.code(), error.message()), (code::CONNECTION, "the server answered 403 Forbidden"));
        assert_eq!(html("401 Unauthorized", "<h1>no</h1>").await.code(), code::UNAUTHENTICATED);
        assert_eq!(html("404 Not Found", "").await.code(), code::CONNECTION);
        assert_eq!(html("413 Content Too Large", "").await.code(), code::FRAME_TOO_LARGE);
        assert_eq!(html("429 Too Many Requests", "").await.code(), code::TOO_MANY);
        assert_eq!(html("503 Service Unavailable", "").await.code(), code::CONNECTION);
        // as of a page that is served for every address there is
        assert_eq!(html("200 OK", "<h1>welcome</h1>").await.code(), code::CONNECTION);
        assert_eq!(html("204 No Content", "").await.code(), code::CONNECTION);
        // nor is it followed elsewhere, where somebody else would answer
        let (elsewhere, _task) = saying(response("500 Internal Server Error", "text/html", "")).await;
        let error = refused(transport, redirect(&format!("http://{elsewhere}/"))).await;
        assert_eq!((error.code(), error.message()), (code::CONNECTION, "the server answered 302 Found"));
        for nonsense in ["", "220 mail.example ESMTP\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"] {
            assert_eq!(refused(transport, nonsense.into()).await.code(), code::CONNECTION, "{nonsense:?}");
        }
    }
}

#[tokio::test]
async fn a_port_at_which_nobody_listens_is_one_failure() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for transport in BOTH {
        let once = Backoff { attempts: Some(1), ..Backoff::default() };
        let client = Client::builder(format!("http://{gone}/")).transport(transport).backoff(once).build();
        let list = client.watch(Todo::in_space("l"));
        let error = soon(list.loaded()).await.unwrap_err();
        assert_eq!((error.code(), list.status()), (code::CONNECTION, Status::Failed));
    }
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_a_failed_connection() {
    let request = ConnectRequest::new("https://nobody.invalid/sync", Transport::WebSocket, "");
    let error = soon(TokioConnector::new().connect(request)).await.unwrap_err();
    assert_eq!(error.code(), code::CONNECTION);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for transport in [Transport::WebSocket, Transport::Sse] {
        let request = ConnectRequest::new(format!("http://{address}/sync"), transport, "{}");
        let connecting = TokioConnector::new().connect(request);
        let waiting = tokio::spawn(connecting);
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        // half a minute passes at once, as nobody does anything
        tokio::time::pause();
        let error = soon(waiting).await.unwrap().unwrap_err();
        tokio::time::resume();
        assert_eq!(error.code(), code::TIMEOUT);
        assert_eq!(soon(stream.read_buf(&mut Vec::new())).await.unwrap(), 0, "it is still open");
    }
}

/// Answers the request for a WebSocket by hand. Gives the request.
pub(crate) async fn accept_socket(stream: &mut TcpStream) -> String {
    let request = String::from_utf8(read_request(stream).await).unwrap();
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    request
}

/// A WebSocket, and a server's end of it.
async fn socket() -> (Link, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = accept_socket(&mut stream).await;
        assert!(request.starts_with("GET /sync/ws HTTP/1.1\r\n"), "{request}");
        assert!(request.to_lowercase().contains("user-agent: syncline/"), "{request}");
        stream
    };
    let (link, stream) = tokio::join!(connect(address, Transport::WebSocket), serving);
    (link.unwrap(), stream)
}

#[tokio::test]
async fn a_socket_says_why_it_was_closed_once() {
    let (mut link, mut stream) = socket().await;
    // what came before the end is not lost
    stream.write_all(b"\x81\x02{}").await.unwrap();
    stream.write_all(b"\x88\x0a\x03\xf3on fire!").await.unwrap();
    assert_eq!(soon(link.receive()).await, Ok(Some(b"{}".to_vec())));
    let error = soon(link.receive()).await.unwrap_err();
    assert_eq!(error.message(), "the WebSocket was closed with 1011: on fire!");
    assert_eq!(soon(link.receive()).await, Ok(None));

    let (mut link, stream) = socket().await;
    drop(stream);
    assert_eq!(soon(link.receive()).await.unwrap_err().message(), "the WebSocket was closed with 1006");
    assert_eq!(soon(link.receive()).await, Ok(None));
}

#[tokio::test]
async fn what_the_server_said_last_is_heard_by_whoever_cannot_send_any_more() {
    let (mut link, mut stream) = socket().await;
    stream.write_all(b"\x81\x02{}\x88\x02\x03\xe9").await.unwrap();
    drop(stream);
    // however much is sent into nothing, that is not what ended the connection
    for _ in 0..100 {
        match link.sender.send(b"{}".to_vec()).now_or_never() {
            Some(sent) => sent.unwrap(),
            None => break,
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(soon(link.receive()).await, Ok(Some(b"{}".to_vec())));
    assert_eq!(soon(link.receive()).await.unwrap_err().message(), "the WebSocket was closed with 1001");
}

#[tokio::test]
async fn a_frame_that_is_larger_than_any_is_refused_before_it_has_come() {
    let (mut link, mut stream) = socket().await;
    let mut header = vec![0x82, 127];
    header.extend((64_u64 * 1024 * 1024 + 1).to_be_bytes());
    stream.write_all(&header).await.unwrap();
    assert_eq!(soon(link.receive()).await.unwrap_err().code(), code::FRAME_TOO_LARGE);
    assert_eq!(soon(link.receive()).await, Ok(None));
}

/// A stream, and the first POST to it, which has been read.
async fn posted() -> ((Client, Watch<Todo>), TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sync", listener.local_addr().unwrap());
    let client = Client::builder(url).transport(TransportPreference::Sse).build();
    let list = client.watch(Todo::in_space("l"));
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream).await;
    let welcome = r#"data: {"welcome":{"protocol":1,"user":{"id":"ada"},"encoding":"json","heartbeat_ms":30000,"limits":{"frame_bytes":2097152,"writes_in_flight":256,"subscriptions":256},"link":"l-1"}}"#;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    stream.write_all(format!("{head}{welcome}\n\n").as_bytes()).await.unwrap();
    let (mut post, _) = soon(listener.accept()).await.unwrap();
    let request = String::from_utf8(read_request(&mut post).await).unwrap();
    assert!(request.starts_with("POST /sync/send ") && request.contains("x-syncline-link: l-1"), "{request}");
    ((client, list), stream, post)
}

#[tokio::test]
async fn a_post_that_fails_ends_the_connection() {
    let ((client, _list), mut stream, mut post) = posted().await;
    let gone = response(
        "404 Not Found",
        "application/json",
        r#"{"code":"unknown_link","message":"not open any more"}"#,
    );
    post.write_all(gone.as_bytes()).await.unwrap();
    // the stream ends with it
    let _ = soon(stream.read_to_end(&mut Vec::new())).await;
    let state = crate::stands(&client, |state| state.last_error.is_some()).await;
    assert_eq!(state.last_error.unwrap().code(), code::UNKNOWN_LINK);
}

/// Only one answer says that what was sent has been read.
#[tokio::test]
async fn a_post_that_somebody_else_answers_ends_the_connection() {
    for (answer, words) in [
        (redirect("http://127.0.0.1:1/"), "the server answered 302 Found"),
        (response("200 OK", "text/html", "<h1>hi</h1>"), "the answer to what was sent is 200"),
    ] {
        let ((client, _list), mut stream, mut post) = posted().await;
        post.write_all(answer.as_bytes()).await.unwrap();
        let _ = soon(stream.read_to_end(&mut Vec::new())).await;
        let state = crate::stands(&client, |state| state.last_error.is_some()).await;
        assert_eq!(state.last_error.unwrap().message(), words);
    }
}
