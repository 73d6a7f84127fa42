//! A client that does not read is reset, and slows nobody.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use syncline_server::{Memory, Storage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, client_async};

use crate::support::http::{Sse, post};
use crate::support::ws::Ws;
use crate::support::{Heard, Server, hello, note, notes, put, soon, subscribe};

/// More than the buffers of two sockets and an outbox together.
const WRITES: u64 = 40;
const BYTES: usize = 400_000;

fn large(number: u64) -> String {
    format!("{number} {}", "x".repeat(BYTES))
}

fn number(text: &str) -> u64 {
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Writes the one note again and again; everybody who reads keeps up.
async fn write_a_lot(server: &Server) {
    let (mut writer, _) = Ws::watch(server, "client-w", "list").await;
    let (mut reader, _) = Ws::watch(server, "client-r", "list").await;
    for id in 1..=WRITES {
        writer.say(&put("client-w", id, "list", &note("n1", large(id)))).await;
        assert_eq!(number(writer.hear_one("changes").await.texts()[0]), id);
        assert_eq!(number(reader.hear_one("changes").await.texts()[0]), id);
    }
}

/// What a client sees that follows the frames: the number of the last text, and how often it was reset.
struct Follower {
    seen: u64,
    resets: u32,
}

impl Follower {
    fn take(&mut self, heard: &Heard) {
        match heard.name.as_str() {
            "reset" => self.resets += 1,
            "snapshot" | "changes" => {
                let next = heard.texts().last().map_or(0, |text| number(text));
                assert!(next >= self.seen, "{next} came after {}", self.seen);
                self.seen = next;
            }
            other => panic!("unexpected {other}"),
        }
    }
}

/// A client with a small receive buffer, so that little is on its way to it.
async fn slow(server: &Server) -> Ws {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let stream = soon(socket.connect(server.address)).await.unwrap();
    let request = server.url("ws", "ws").into_client_request().unwrap();
    let (socket, _) = soon(client_async(request, MaybeTlsStream::Plain(stream))).await.unwrap();
    let mut slow = Ws { socket };
    slow.say(&hello("client-s")).await;
    slow.hear_one("welcome").await;
    slow.say(&subscribe(1, "list")).await;
    slow.hear_one("snapshot").await;
    slow
}

#[tokio::test]
async fn a_socket_that_is_not_read_is_reset_and_catches_up() {
    let server = Server::start().await;
    let mut slow = slow(&server).await;

    write_a_lot(&server).await;

    let mut follower = Follower { seen: 0, resets: 0 };
    while follower.seen < WRITES {
        follower.take(&slow.hear().await);
    }
    assert!(follower.resets >= 1, "it was never reset");
    // and it follows again
    slow.say(&put("client-s", 1, "list", &note("n1", "41"))).await;
    assert_eq!(slow.hear_one("changes").await.texts(), ["41"]);
}

#[tokio::test]
async fn what_the_protocol_has_to_say_does_not_wait_for_a_backlog() {
    let server = Server::start().await;
    let mut slow = slow(&server).await;
    write_a_lot(&server).await;

    slow.say_raw(Message::Ping(b"still there?".as_slice().into())).await;
    let answer = loop {
        match soon(slow.socket.next()).await.unwrap().unwrap() {
            Message::Pong(answer) => break answer,
            message => {
                assert!(!message.to_text().is_ok_and(|text| text.contains("reset")), "first the backlog")
            }
        }
    };
    assert_eq!(answer, b"still there?".as_slice());
    slow.say_raw(Message::Close(None)).await;
    let rest: Vec<_> = soon(slow.socket.collect()).await;
    assert!(rest.iter().all(Result::is_ok), "it ends in order");
    assert!(matches!(rest.last(), Some(Ok(Message::Close(_)))), "with an answer");
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_reset_and_catches_up() {
    let server = Server::start().await;
    let mut slow = Sse::open(&server, "client-s").await;
    slow.say(&[subscribe(1, "list")]).await;
    assert_eq!(slow.hear().await.name, "snapshot");

    write_a_lot(&server).await;

    let mut follower = Follower { seen: 0, resets: 0 };
    while follower.seen < WRITES {
        follower.take(&slow.hear().await);
    }
    assert!(follower.resets >= 1, "it was never reset");
    slow.say(&[put("client-s", 1, "list", &note("n1", "41"))]).await;
    assert_eq!(slow.hear().await.texts(), ["41"]);
}

#[tokio::test]
async fn a_socket_that_is_never_read_leaves_with_its_client() {
    let storage = Memory::new();
    let server = Server::of(notes(storage.clone()).build().await.unwrap()).await;
    let (slow, _) = Ws::watch(&server, "client-s", "list").await;
    write_a_lot(&server).await;
    drop(slow);
    soon(server.syncline.gauges_when(|gauges| gauges.connections == 0)).await;
    assert_eq!(storage.load(&"list".into()).await.unwrap().version, WRITES);
}

#[tokio::test]
async fn a_stream_that_is_never_read_does_not_outlive_the_server() {
    let server = Server::start().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = soon(socket.connect(server.address)).await.unwrap();
    let hello = hello("client-s").to_string();
    let head =
        format!("POST /sync/stream HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", hello.len());
    stream.write_all((head + &hello).as_bytes()).await.unwrap();
    let mut heard = String::new();
    while !heard.contains("\n\ndata: ") && !heard.contains("\"link\":\"") {
        let mut bytes = [0; 1024];
        let count = soon(stream.read(&mut bytes)).await.unwrap();
        heard.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    let link = heard.split("\"link\":\"").nth(1).unwrap().split('"').next().unwrap();
    let request = post(&server, "send").header("x-syncline-link", link);
    soon(request.body(subscribe(1, "list").to_string()).send()).await.unwrap();
    soon(server.syncline.gauges_when(|gauges| gauges.subscriptions == 1)).await;

    write_a_lot(&server).await;

    let (syncline, began) = (server.syncline.clone(), Instant::now());
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(8), "the whole time of a shutdown was waited for");
    assert_eq!(syncline.gauges().connections, 0);
    drop(stream);
}

#[tokio::test]
async fn a_snapshot_waits_for_its_reader_chunk_by_chunk() {
    let server = Server::start().await;
    let mut writer = Ws::open(&server, "client-w").await;
    for id in 1..=30 {
        writer.say(&put("client-w", id, "list", &note(&format!("n{id:03}"), large(id)))).await;
        writer.hear_one("changes").await;
    }
    // 12 MB, for somebody who takes only the welcome for now
    let mut slow = Ws::open(&server, "client-s").await;
    slow.say(&subscribe(1, "list")).await;
    writer.say(&put("client-w", 31, "list", &note("n001", "changed meanwhile"))).await;
    writer.hear_one("changes").await;
    let (mut rows, mut last) = (0, false);
    while !last {
        let chunk = slow.hear_one("snapshot").await;
        rows += chunk.rows.len();
        last = chunk.body["last"] == true;
    }
    assert_eq!(rows, 30);
    let Some(Ok(_)) = soon(slow.socket.next()).await else { panic!("the change of the meantime follows") };
}
