//! The socket of a room of a partysync server.

use futures::{SinkExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use syncline::partysync::Partysync;
use syncline::{Channel, Client, Draft, Error, Record, code};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::soon;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "party_todos", key = id)]
struct Todo {
    id: String,
    created_at: i64,
    updated_at: i64,
    deleted_at: Option<i64>,
}

struct Todos;

impl Channel for Todos {
    const NAME: &'static str = "todos";
    type Record = Todo;
    type Action = String;
    type Output = ();
    type Error = Error;

    fn reduce(todos: &mut Draft<'_, Todo>, id: &String) {
        todos.put(Todo { id: id.clone(), created_at: 0, updated_at: 0, deleted_at: None });
    }
}

#[tokio::test]
async fn a_room_is_a_socket_with_a_name_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/parties/todos?token=x", listener.local_addr().unwrap());
    let client = Client::builder(url).partysync(Partysync::new()).build();
    client.register_channel::<Todos>();
    let watch = client.watch(Todo::in_space("a/b"));
    let (stream, _) = soon(listener.accept()).await.unwrap();
    let mut target = String::new();
    #[expect(clippy::result_large_err, reason = "tungstenite's own type")]
    let note = |request: &Request, response: Response| {
        target = request.uri().to_string();
        Ok(response)
    };
    let mut socket = soon(tokio_tungstenite::accept_hdr_async(stream, note)).await.unwrap();
    let (place, name) = target.split_once("&_pk=").unwrap();
    assert_eq!((place, name.len()), ("/parties/todos/a%2Fb?token=x", 36));
    let sync = soon(socket.next()).await.unwrap().unwrap();
    assert_eq!(sync, Message::text(r#"{"channel":"todos","sync":true,"from":null}"#));
    let rows = r#"{"sync":true,"channel":"todos","payload":[["a",1,"2026-11-20 08:57:48",null]]}"#;
    socket.send(Message::text(rows)).await.unwrap();
    soon(watch.loaded()).await.unwrap();
    assert_eq!(watch.entries()[0].record.updated_at, 1_795_165_068_000);
    let action = client.send::<Todos>("a/b", "b".into());
    let frame = soon(socket.next()).await.unwrap().unwrap();
    assert!(frame.to_text().unwrap().ends_with(r#""channel":"todos","rpc":true,"action":"b"}"#), "{frame}");
    // the line is lost: nobody knows what became of it
    drop(socket);
    assert_eq!(soon(action).await.unwrap_err().error().code(), code::OUTCOME_UNKNOWN);
    soon(listener.accept()).await.unwrap();
    assert_eq!(watch.entries().len(), 1);
}
