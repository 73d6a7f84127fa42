//! `watch` and `tail`.

use serde_json::{Value, json};

use crate::server::Server;
use crate::tool::{Tool, ran};

async fn put(url: &str, space: &str, row: &str) {
    let (code, _, complaint) = ran(&["send", url, space, "--put", "todos", row]).await;
    assert_eq!(code, 0, "{complaint}");
}

#[tokio::test]
async fn a_watch_shows_the_rows_and_then_every_change() {
    let server = Server::start().await;
    let url = &*server.url();
    put(url, "l", r#"{"id":"a","text":"Milk","position":2.5}"#).await;
    put(url, "l", r#"{"id":"b","text":"Größe\u001b[2J","position":1}"#).await;
    put(url, "another", r#"{"id":"c","text":"elsewhere"}"#).await;
    let mut tool = Tool::start(&["watch", url, "l", "todos", "--order", "position"]);
    let shown = [
        r#"  b  done=false id="b" position=1.0 text="Größe\u001b[2J""#,
        r#"  a  done=false id="a" position=2.5 text="Milk""#,
        "-- live at version 2, rows: 2",
    ];
    tool.says(&shown).await;
    put(url, "l", r#"{"id":"c","text":"new"}"#).await;
    let steps = ["--patch", "todos", "a", r#"{"done":true}"#, "--delete", "todos", "b"];
    assert_eq!(ran(&[&["send", url, "l"], &steps[..]].concat()).await.0, 0);
    tool.says(&[r#"+ c  done=false id="c" position=0.0 text="new""#]).await;
    // what one write did comes together
    let mut both = [tool.line().await, tool.line().await];
    both.sort();
    assert_eq!(both, ["- b", "~ a  done=true"]);
    server.connections(1).await;
    assert_eq!(tool.interrupt().await, 0);
    server.connections(0).await;
}

#[tokio::test]
async fn a_tail_shows_changes_alone_over_a_stream_too() {
    let server = Server::start().await;
    let url = &*server.url();
    put(url, "l", r#"{"id":"a","text":"Milk"}"#).await;
    let mut tool = Tool::start(&["tail", url, "l", "todos", "--transport", "sse"]);
    tool.says(&["-- live at version 1, rows: 1"]).await;
    // what changes nothing is no change
    put(url, "l", r#"{"id":"a","text":"Milk"}"#).await;
    put(url, "l", r#"{"id":"a","text":"Bread"}"#).await;
    tool.says(&[r#"~ a  text="Bread""#]).await;
    assert_eq!(tool.interrupt().await, 0);
}

#[tokio::test]
async fn filters_and_limits_hold_for_what_comes_too() {
    let server = Server::start().await;
    let url = &*server.url();
    for (id, position) in [("a", 1), ("b", 2), ("c", 3)] {
        put(url, "l", &json!({ "id": id, "text": id, "position": position }).to_string()).await;
    }
    let options =
        ["--filter", "done=false", "--filter", "position>0", "--order", "position:desc", "--limit", "2"];
    let mut tool = Tool::start(&[&["watch", url, "l", "todos", "--json"], &options[..]].concat());
    let mut next = async || serde_json::from_str::<Value>(&tool.line().await).unwrap();
    let row = |id: &str, position: f64, done: bool| json!({ "id": id, "text": id, "position": position, "done": done });
    assert_eq!(next().await, json!({ "event": "row", "key": "c", "row": row("c", 3.0, false) }));
    assert_eq!(next().await, json!({ "event": "row", "key": "b", "row": row("b", 2.0, false) }));
    assert_eq!(next().await, json!({ "event": "live", "rows": 2, "version": 3 }));
    // one leaves, and the next one comes in
    assert_eq!(ran(&["send", url, "l", "--patch", "todos", "c", r#"{"done":true}"#]).await.0, 0);
    assert_eq!(next().await, json!({ "event": "delete", "key": "c", "version": 4 }));
    assert_eq!(
        next().await,
        json!({ "event": "insert", "key": "a", "row": row("a", 1.0, false), "version": 4 })
    );
    put(url, "l", r#"{"id":"d","text":"d","position":-1}"#).await;
    put(url, "l", r#"{"id":"b","text":"b","position":7}"#).await;
    assert_eq!(
        next().await,
        json!({ "event": "update", "key": "b", "row": row("b", 7.0, false), "version": 6 })
    );
}

#[tokio::test]
async fn a_watch_outlives_its_server_and_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    // resumed by the log, and by what is held
    for limit in [&[][..], &["--limit", "10"]] {
        let space = if limit.is_empty() { "log" } else { "held" };
        let server = Server::of(&file, None).await;
        let (address, url) = (server.address, server.url());
        for id in ["a", "b", "c"] {
            put(&url, space, &json!({ "id": id, "text": "before" }).to_string()).await;
        }
        let mut tool = Tool::start(&[&["tail", &url, space, "todos", "--json"], limit].concat());
        assert!(tool.line().await.contains("live"));
        server.stop().await;
        let complaint = tool.complaint().await;
        let complaint: Value = serde_json::from_str(&complaint).unwrap();
        assert_eq!(complaint["retry"]["error"]["code"], "connection");

        // what happened while nobody listened comes once, and nothing else
        let elsewhere = Server::of(&file, None).await;
        put(&elsewhere.url(), space, r#"{"id":"a","text":"meanwhile"}"#).await;
        let gone = ["send", &elsewhere.url(), space, "--delete", "todos", "b"];
        assert_eq!(ran(&gone).await.0, 0);
        elsewhere.stop().await;
        let server = Server::of(&file, Some(address)).await;
        let mut said = Vec::new();
        while said.last().is_none_or(|line: &Value| line["event"] != "live") {
            said.push(serde_json::from_str(&tool.line().await).unwrap());
        }
        said.sort_by_key(|line| line["event"].to_string());
        let row = json!({ "id": "a", "text": "meanwhile", "done": false, "position": 0.0 });
        let expected = [
            json!({ "event": "delete", "key": "b", "version": 5 }),
            json!({ "event": "live", "rows": 2, "version": 5 }),
            json!({ "event": "update", "key": "a", "row": row, "version": 5 }),
        ];
        assert_eq!(said, expected);
        // and it goes on from there
        put(&server.url(), space, r#"{"id":"d","text":"after"}"#).await;
        assert_eq!(serde_json::from_str::<Value>(&tool.line().await).unwrap()["key"], "d");
        assert_eq!(tool.interrupt().await, 0);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_has_forgotten_everything_is_shown_as_it_is() {
    let server = Server::start().await;
    let (address, url) = (server.address, server.url());
    put(&url, "l", r#"{"id":"a","text":"before"}"#).await;
    let mut tool = Tool::start(&["tail", &url, "l", "todos"]);
    tool.says(&["-- live at version 1, rows: 1"]).await;
    server.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let _another = Server::of(&folder.path().join("app.db"), Some(address)).await;
    tool.says(&["- a", "-- live at version 0, rows: 0"]).await;
}

#[tokio::test]
async fn what_cannot_be_watched_is_an_error_with_its_code() {
    let server = Server::start().await;
    let url = &*server.url();
    put(url, "l", r#"{"id":"a","text":"Milk"}"#).await;
    let watch = ["watch", url, "l"];
    for (more, expected) in [
        (&["nothing"][..], "(unknown_collection"),
        (&["todos", "--filter", "colour=red"], "(unknown_field: colour)"),
        (&["todos", "--token", "wrong"], "Who are you? (unauthenticated)"),
        (&["todos", "--key", "done"], "(bad_row: done)"),
    ] {
        let (code, said, complaint) = ran(&[&watch, more].concat()).await;
        assert!(code == 1 && said.is_empty() && complaint.contains(expected), "{code} {said} {complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
    let (code, _, complaint) = ran(&["tail", url, "l", "todos", "--token", "wrong", "--json"]).await;
    let complaint: Value = serde_json::from_str(&complaint).unwrap();
    assert_eq!(
        (code, complaint),
        (1, json!({ "error": { "code": "unauthenticated", "message": "Who are you?" } }))
    );
    // nobody there, and no address
    for url in ["http://127.0.0.1:1/sync", "/sync", "https://nobody.invalid"] {
        let (code, _, complaint) = ran(&["watch", url, "l", "todos"]).await;
        assert!(code == 1 && complaint.contains("(connection)"), "{code} {complaint}");
    }
}

#[tokio::test]
async fn it_ends_when_nobody_reads_it_any_more() {
    let server = Server::start().await;
    let url = &*server.url();
    let mut tool = Tool::start(&["watch", url, "l", "todos"]);
    tool.says(&["-- live at version 0, rows: 0"]).await;
    let ending = tool.stop_reading();
    let writing = async {
        for number in 0.. {
            put(url, "l", &json!({ "id": "a", "text": number.to_string() }).to_string()).await;
        }
    };
    tokio::select! {
        code = ending => assert_eq!(code, 0),
        () = writing => {}
    }
}

#[tokio::test]
async fn who_calls_it_wrongly_is_told_so() {
    let (code, said, complaint) = ran(&["look"]).await;
    assert_eq!((code, said.as_str()), (2, ""));
    assert!(complaint.starts_with("syncline: there is no `look`"), "{complaint}");
    for wrong in [&["look", "--json"][..], &["--json", "--limit", "many"], &["watch", "--no-such", "--json"]]
    {
        let (code, said, complaint) = ran(wrong).await;
        assert_eq!((code, said.as_str()), (2, ""));
        let complaint: Value = serde_json::from_str(&complaint).unwrap();
        assert_eq!(complaint["error"]["code"], "usage");
    }
    let (code, said, complaint) = ran(&["--help"]).await;
    assert!(code == 0 && said.contains("Exit codes") && complaint.is_empty());
}
