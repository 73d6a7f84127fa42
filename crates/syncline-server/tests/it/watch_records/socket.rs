//! The watch over a WebSocket: handshake, snapshot again, then what happens.

use std::time::Duration;

use axum::http::StatusCode;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use syncline_server::Config;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WsMessage};

use crate::support::records::{
    MESSAGES, RecordsSocket, Writer, all_have_gone, app, ask, keys, message, messages, request, watch,
};
use crate::support::{Server, soon};

#[tokio::test]
async fn a_handshake_and_its_socket() {
    let syncline = messages(watch().tickets(keys())).build().await.unwrap();
    let app = app(&syncline);
    let server = Server::of(syncline).await;
    let mut ada = Writer::new(&app, "ada").await;
    for number in 1..=3 {
        ada.put("room-a", &message(&format!("m{number}"), "text", number)).await;
    }
    let uri = format!("{MESSAGES}?spaceUri=room-a&limit=2&mode=ws");
    let (status, handshake) = ask(&app, request("GET", &uri, Some("token-of-ada"))).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(handshake["transport"], "ws");
    assert_eq!(handshake["querySpec"], json!({ "collection": "app.example.message", "spaceUri": "room-a" }));
    assert_eq!(handshake["ticketTtlMs"], 120_000);
    let records = handshake["snapshot"]["records"].as_array().unwrap();
    let keys: Vec<&Value> = records.iter().map(|record| &record["rkey"]).collect();
    assert_eq!(keys, ["m3", "m2"]);
    assert!(handshake["snapshot"]["cursor"].is_string());
    assert_eq!(records[0]["time_us"], 3_000);
    let url = handshake["wsUrl"].as_str().unwrap();
    let since = handshake["sinceTs"].as_u64().unwrap();
    let ticket = handshake["ticket"].as_str().unwrap();
    assert_eq!(url, format!("{MESSAGES}?spaceUri=room-a&limit=2&ticket={ticket}&sinceTs={since}"));

    // what happens between the two is not lost
    ada.put("room-a", &message("gap", "in the gap", 4)).await;
    let mut socket = RecordsSocket::open(&server, url, None).await.unwrap();
    assert_eq!(socket.snapshot().await, ["gap", "m3"]);
    ada.put("room-a", &message("m9", "live", 9)).await;
    let heard = [socket.event().await.unwrap(), socket.event().await.unwrap()];
    assert!(heard.iter().any(|(kind, data)| kind == "record.created" && data["record"]["rkey"] == "m9"));
    assert!(heard.iter().any(|(kind, data)| kind == "record.deleted" && data["rkey"] == "m3"));

    // whatever the client says, even what it should not
    socket.socket.send(WsMessage::text("hello")).await.unwrap();
    socket.socket.send(WsMessage::text(r#"{"kind":"ping"}"#)).await.unwrap();
    socket.socket.send(WsMessage::Pong(vec![1, 2].into())).await.unwrap();
    ada.delete("room-a", "m9").await;
    let heard = [socket.event().await.unwrap(), socket.event().await.unwrap()];
    assert!(heard.iter().any(|(kind, _)| kind == "record.deleted"), "{heard:?}");
}

#[tokio::test]
async fn a_socket_without_a_handshake_needs_credentials() {
    let syncline = messages(watch().tickets(keys())).build().await.unwrap();
    let server = Server::of(syncline).await;
    let path = format!("{MESSAGES}?spaceUri=room-a");
    let mut socket = RecordsSocket::open(&server, &path, Some("token-of-ada")).await.unwrap();
    assert_eq!(socket.snapshot().await, [""; 0]);
    for path in [path.clone(), format!("{path}&ticket=bad.blob&sinceTs=1")] {
        match RecordsSocket::open(&server, &path, None).await {
            Err(WsError::Http(response)) => {
                assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
                let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
                assert_eq!(body["error"], "AuthRequired");
            }
            _ => panic!("let in"),
        }
    }
}

#[tokio::test]
async fn a_plain_client_is_asked_for_a_sign_of_life_and_gives_it_by_itself() {
    let mut config = Config::default();
    config.engine.silence = Duration::from_secs(1);
    let syncline = messages(watch()).config(config).build().await.unwrap();
    let app = app(&syncline);
    let server = Server::of(syncline).await;
    let path = format!("{MESSAGES}?spaceUri=room-a");
    let mut there = RecordsSocket::open(&server, &path, Some("token-of-ada")).await.unwrap();
    there.snapshot().await;
    // a peer that is gone without a word: nobody reads its socket
    let gone = RecordsSocket::open(&server, &path, Some("token-of-bob")).await.unwrap();
    soon(server.syncline.gauges_when(|gauges| gauges.connections == 2)).await;
    let pings = async {
        let mut pings = 0;
        while pings < 3 {
            match soon(there.socket.next()).await.unwrap().unwrap() {
                WsMessage::Ping(_) => pings += 1,
                other => panic!("{other:?} instead of a ping"),
            }
        }
    };
    pings.await;
    let reading = async { while there.socket.next().await.is_some() {} };
    tokio::select! {
        () = reading => panic!("ended"),
        _ = soon(server.syncline.gauges_when(|gauges| gauges.connections == 1)) => {}
    }
    let mut writer = Writer::new(&app, "ada").await;
    writer.put("room-a", &message("m1", "still here", 1)).await;
    there.hear("record.created").await;
    drop(gone);
}

#[tokio::test]
async fn nothing_is_left_of_sockets_that_have_gone() {
    let syncline = messages(watch()).build().await.unwrap();
    let server = Server::of(syncline).await;
    let path = format!("{MESSAGES}?spaceUri=room-a");
    for _ in 0..5 {
        let mut polite = RecordsSocket::open(&server, &path, Some("token-of-ada")).await.unwrap();
        polite.snapshot().await;
        let abrupt = RecordsSocket::open(&server, &path, Some("token-of-ada")).await.unwrap();
        polite.socket.close(None).await.unwrap();
        while soon(polite.socket.next()).await.is_some() {}
        drop(abrupt);
    }
    all_have_gone(&server.syncline).await;
}

#[tokio::test]
async fn what_is_too_long_ends_the_socket() {
    let syncline = messages(watch()).build().await.unwrap();
    let server = Server::of(syncline).await;
    let path = format!("{MESSAGES}?spaceUri=room-a");
    let mut socket = RecordsSocket::open(&server, &path, Some("token-of-ada")).await.unwrap();
    socket.snapshot().await;
    let _ = socket.socket.send(WsMessage::binary(vec![0; 100_000])).await;
    assert!(socket.event().await.is_err());
    all_have_gone(&server.syncline).await;
}

#[tokio::test]
async fn a_server_that_stops_says_goodbye() {
    let syncline = messages(watch()).build().await.unwrap();
    let server = Server::of(syncline).await;
    let path = format!("{MESSAGES}?spaceUri=room-a");
    let mut socket = RecordsSocket::open(&server, &path, Some("token-of-ada")).await.unwrap();
    socket.snapshot().await;
    let hearing = async {
        assert!(socket.hear("error").await["message"].is_string());
        assert_eq!(socket.event().await.unwrap_err(), Some((1001, String::new())));
    };
    tokio::join!(server.stop(), hearing);
}
