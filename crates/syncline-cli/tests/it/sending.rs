//! `send`.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::server::Server;
use crate::tool::{Tool, ran, ran_reading};

#[tokio::test]
async fn a_write_is_done_whole_or_refused_with_its_code() {
    let server = Server::start().await;
    let url = &*server.url();
    let mut tool = Tool::start(&["tail", url, "l", "todos"]);
    tool.says(&["-- live at version 0, rows: 0"]).await;
    let row = r#"{"id":"a","text":"Milk"}"#;
    for transport in ["ws", "sse"] {
        let (code, said, complaint) = ran(&[
            "send",
            url,
            "l",
            "--put",
            "todos",
            row,
            "--delete",
            "todos",
            "b",
            "--transport",
            transport,
        ])
        .await;
        assert_eq!((code, complaint.as_str()), (0, ""));
        assert!(said.starts_with("done at version "), "{said}");
    }
    let refused =
        ["send", url, "l", "--put", "todos", r#"{"id":"c","text":"c"}"#, "--patch", "todos", "gone", "{}"];
    let (code, said, complaint) = ran(&refused).await;
    assert!(code == 1 && said.is_empty() && complaint.contains("(unknown_row"), "{code} {said} {complaint}");
    let (code, said, _) = ran(&["send", url, "l", "--put", "todos", row, "--json"]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &said["event"]), (0, &json!("applied")));
    for (steps, expected) in [
        (["--put", "todos", r#"{"id":7}"#], "(bad_row"),
        (["--put", "nothing", r#"{"id":"a"}"#], "(unknown_collection"),
        (["--delete", "todos", ""], "(bad_key"),
    ] {
        let (code, _, complaint) = ran(&[&["send", url, "l"], &steps[..]].concat()).await;
        assert!(code == 1 && complaint.contains(expected), "{code} {complaint}");
    }
    // nothing of what was refused
    tool.says(&[r#"+ a  done=false id="a" position=0.0 text="Milk""#]).await;
    assert_eq!(ran(&["send", url, "l", "--delete", "todos", "a"]).await.0, 0);
    tool.says(&["- a"]).await;
}

#[tokio::test]
async fn an_action_is_done_and_its_output_said() {
    let server = Server::start().await;
    let url = &*server.url();
    for row in [r#"{"id":"a","text":"Milk","done":true}"#, r#"{"id":"b","text":"Bread"}"#] {
        assert_eq!(ran(&["send", url, "l", "--put", "todos", row]).await.0, 0);
    }
    let mut tool = Tool::start(&["tail", url, "l", "todos"]);
    tool.says(&["-- live at version 2, rows: 2"]).await;
    let rename = r#"{"type":"rename","payload":{"id":"b","text":"Rye bread"}}"#;
    for (action, transport, expected) in [
        (r#"{"type":"clear_completed"}"#, "ws", "done at version 3: 1\n"),
        (rename, "sse", "done at version 4: 1\n"),
    ] {
        let done = ran(&["send", url, "l", "lists", action, "--transport", transport]).await;
        assert_eq!(done, (0, expected.to_owned(), String::new()));
    }
    tool.says(&["- a", r#"~ b  text="Rye bread""#]).await;
    let (_, said, _) = ran(&["send", url, "l", "lists", rename, "--json"]).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["event"], &said["output"]), (&json!("applied"), &json!(1)));
}

#[tokio::test]
async fn what_is_read_may_have_several_lines() {
    let server = Server::start().await;
    let url = &*server.url();
    for transport in ["ws", "sse"] {
        let row = "{\n  \"id\": \"a\",\n  \"text\": \"Milk\"\n}\n";
        let put = ["send", url, "l", "--put", "todos", "-", "--transport", transport, "--timeout", "5"];
        let (code, said, complaint) = ran_reading(&put, row).await;
        assert!(code == 0 && said.starts_with("done"), "{transport}: {code} {said} {complaint}");
        let rename = "{\n  \"type\": \"rename\",\n  \"payload\": { \"id\": \"a\", \"text\": \"Bread\" }\n}\n";
        let act = ["send", url, "l", "lists", "-", "--transport", transport, "--timeout", "5"];
        let (code, said, complaint) = ran_reading(&act, rename).await;
        assert!(code == 0 && said.ends_with(": 1\n"), "{transport}: {code} {said} {complaint}");
    }
}

#[tokio::test]
async fn what_is_larger_than_the_server_takes_is_not_sent_again() {
    let server = Server::start().await;
    let url = &*server.url();
    let row = json!({ "id": "a", "text": "m".repeat(3 << 20) }).to_string();
    for transport in ["ws", "sse"] {
        let put = ["send", url, "l", "--put", "todos", "-", "--transport", transport, "--timeout", "5"];
        let (code, said, complaint) = ran_reading(&put, &row).await;
        let is_said = complaint.contains("(frame_too_large") && !complaint.contains("trying again");
        assert!(code == 1 && said.is_empty() && is_said, "{transport}: {code} {said} {complaint}");
    }
}

#[tokio::test]
async fn a_write_that_is_interrupted_says_so_and_is_no_success() {
    let (_, help, _) = ran(&["--help"]).await;
    assert!(help.contains("130 Ctrl-C during `send`"), "{help}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sync", listener.local_addr().unwrap());
    let send = ["send", &url, "l", "--delete", "todos", "a"];
    for json in [false, true] {
        let more: &[&str] = if json { &["--json"] } else { &[] };
        let tool = Tool::start(&[&send, more].concat());
        let _silent = listener.accept().await.unwrap();
        let (code, complaints) = tool.interrupted().await;
        let [complaint] = complaints.as_slice() else { panic!("{complaints:?}") };
        assert_eq!(code, 130);
        if json {
            let complaint: Value = serde_json::from_str(complaint).unwrap();
            assert_eq!(complaint["error"]["code"], "outcome_unknown");
        } else {
            assert!(complaint.starts_with("syncline: interrupted: "), "{complaint}");
        }
    }
}

#[tokio::test]
async fn an_action_that_is_refused_says_why() {
    let server = Server::start().await;
    let url = &*server.url();
    let cases = [
        ("lists", r#"{"type":"rename","payload":{"id":"a","text":"Milk"}}"#, "(gone"),
        ("lists", r#"{"type":"no_such_action"}"#, "(bad_action"),
        ("nothing", r#"{"type":"clear_completed"}"#, "(unknown_channel"),
    ];
    for (channel, action, expected) in cases {
        let (code, said, complaint) = ran(&["send", url, "l", channel, action]).await;
        assert!(code == 1 && said.is_empty() && complaint.contains(expected), "{code} {said} {complaint}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for_beyond_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sync", listener.local_addr().unwrap());
    let (code, _, complaint) = ran(&["send", &url, "l", "--delete", "todos", "a", "--timeout", "1"]).await;
    assert!(code == 1 && complaint.contains("(timeout)"), "{code} {complaint}");
}

/// Stands before a server, and cuts the first connection when the server answers the write on it: the upgrade and the
/// welcome pass.
async fn cutting(server: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let (mut up, mut down) = client.split();
        let (mut from, mut to) = TcpStream::connect(server).await.unwrap().into_split();
        tokio::select! {
            _ = tokio::io::copy(&mut up, &mut to) => panic!("the tool has ended it"),
            () = async {
                let mut bytes = [0; 4096];
                for _ in 0..2 {
                    let length = from.read(&mut bytes).await.unwrap();
                    down.write_all(&bytes[..length]).await.unwrap();
                }
                assert_ne!(from.read(&mut bytes).await.unwrap(), 0);
            } => {}
        }
        drop((client, from, to));
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(server).await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
    });
    (address, task)
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_sent_again_and_done_once() {
    let server = Server::start().await;
    let (address, _cutting) = cutting(server.address).await;
    let url = format!("ws://{address}/sync");
    let row = r#"{"id":"a","text":"Milk"}"#;
    let (code, said, complaint) = ran(&["send", &url, "l", "--put", "todos", row]).await;
    assert_eq!((code, said.as_str()), (0, "done at version 1\n"), "{complaint}");
    assert_eq!(complaint.matches("trying again").count(), 1, "{complaint}");
    // the same for a program
    let (address, _cutting) = cutting(server.address).await;
    let url = format!("ws://{address}/sync");
    let (code, _, complaint) = ran(&["send", &url, "l", "--put", "todos", row, "--json"]).await;
    let complaint: Value = serde_json::from_str(&complaint).unwrap();
    assert_eq!((code, &complaint["retry"]["error"]["code"]), (0, &json!("connection")));
    assert!(complaint["retry"]["in_ms"].is_u64() && complaint.get("error").is_none(), "{complaint}");
}
