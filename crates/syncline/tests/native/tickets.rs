//! The tickets of a Syncline server that is watched as a contrail service.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use syncline::contrail::{AccessRequest, Contrail};
use syncline::{Client, Error, Record, Status, code};
use syncline_server::ticket::Keys;
use syncline_server::watch_records::{Mapping, WatchRecords};
use syncline_server::{AuthError, Credentials, Memory, Syncline, User};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::Server;
use crate::{BOTH, stands};

/// What the server has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "notes", key = id)]
struct Note {
    id: String,
    author: String,
    at: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "likes", key = id)]
struct Like {
    id: String,
    note: String,
    by: String,
    at: u64,
}

/// The same as a client of contrail's reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "note", key = uri)]
struct NoteRecord {
    uri: String,
    time_us: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "like", key = uri)]
struct LikeRecord {
    uri: String,
    note: String,
}

async fn server() -> Server {
    let likes = Mapping::new(|like: &Like| like.by.clone(), Like::at).named("like");
    let notes = Mapping::new(|note: &Note| note.author.clone(), Note::at).named("note").relation(
        "likes",
        Like::note.children(),
        likes,
    );
    let authenticate = |credentials: Credentials| async move {
        match credentials.token.as_deref() {
            Some("token-of-ada") => Ok(User { id: "ada".into(), name: None }),
            _ => Err(AuthError::new("who are you?")),
        }
    };
    let keys = Keys::new("1", &[7; 32]).unwrap();
    let syncline = Syncline::builder()
        .storage(Memory::new())
        .collection::<Note>(())
        .collection::<Like>(())
        .authenticate(authenticate)
        .watch_records(WatchRecords::namespace("app.example").collection(notes).tickets(keys))
        .build()
        .await
        .unwrap();
    let records = syncline.xrpc_router();
    Server::of(syncline, |app| app.nest("/xrpc", records)).await
}

/// Asks for a ticket as whoever is known by a token.
async fn mint(server: SocketAddr, query: AccessRequest) -> Result<String, Error> {
    let failed = |why: String| Error::new(code::CONNECTION, why);
    let asked = async {
        let mut stream = TcpStream::connect(server).await?;
        let request = format!(
            "POST /xrpc/app.example.{}.watchTicket?{} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\
             authorization: Bearer token-of-ada\r\ncontent-length: 0\r\n\r\n",
            query.collection, query.params
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = asked.await.map_err(|error| failed(error.to_string()))?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    let body: serde_json::Value = serde_json::from_str(body).map_err(|_| failed(answer.clone()))?;
    body["ticket"].as_str().map(Into::into).ok_or_else(|| failed(answer))
}

/// Each list has a ticket of its own, with what comes along.
#[tokio::test]
async fn lists_with_and_without_relations_have_tickets_of_their_own() {
    let server = server().await;
    let address = server.address;
    for transport in BOTH {
        let service = Contrail::new("app.example").ticket_with(move |query| mint(address, query));
        let client =
            Client::builder(format!("http://{address}")).contrail(service).transport(transport).build();
        let newest = || NoteRecord::in_space("room-a").order_by(NoteRecord::time_us.desc()).limit(20);
        let alone = client.watch(newest());
        let along = client.watch(newest().include(LikeRecord::note.children().limit(10).counted()));
        let state = stands(&client, |state| {
            matches!(state.status, Status::Live | Status::NeedsAuth | Status::Failed)
        })
        .await;
        assert_eq!((state.status, alone.error(), along.error()), (Status::Live, None, None), "{transport:?}");
    }
}
