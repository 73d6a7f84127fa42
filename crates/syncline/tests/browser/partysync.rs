//! The socket of a room of a partysync server.

use serde::{Deserialize, Serialize};
use syncline::partysync::Partysync;
use syncline::{Channel, Draft, Error, Record, Status, code};
use wasm_bindgen_test::wasm_bindgen_test;

use crate::builder;
use crate::fakes::{Sockets, until};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "party_todos", key = id)]
struct Todo {
    id: String,
    text: String,
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
        todos.put(Todo {
            id: id.clone(),
            text: "new".into(),
            created_at: 0,
            updated_at: 0,
            deleted_at: None,
        });
    }
}

const SYNC: &str = r#"{"channel":"todos","sync":true,"from":null}"#;

#[wasm_bindgen_test]
async fn a_room_is_a_socket_with_a_name_of_its_own() {
    let sockets = Sockets::fake();
    let client =
        builder("https://server.example/parties/todos/?token=x%2By").partysync(Partysync::new()).build();
    client.register_channel::<Todos>();
    let watch = client.watch(Todo::in_space("a/b"));
    let socket = sockets.next().await;
    let (place, name) = socket.url().split_once("&_pk=").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(place, "wss://server.example/parties/todos/a%2Fb?token=x%2By");
    assert_eq!(name.len(), 36, "{name}");
    socket.open();
    assert_eq!(socket.frame().await, SYNC);
    socket.say(r#"{"sync":true,"channel":"todos","payload":[["a","größe",1,"2026-11-20 08:57:48",null]]}"#);
    watch.loaded().await.unwrap();
    assert_eq!(watch.entries()[0].record.text, "größe");
    let action = client.send::<Todos>("a/b", "b".into());
    assert_eq!(watch.entries().len(), 2);
    assert!(socket.frame().await.ends_with(r#""channel":"todos","rpc":true,"action":"b"}"#));
    // the line is lost: nobody knows what became of it
    socket.fail(1006, "");
    assert_eq!(action.await.unwrap_err().error().code(), code::OUTCOME_UNKNOWN);
    let again = sockets.next().await;
    assert!(!again.url().ends_with(&name));
    assert_eq!((watch.status(), watch.entries().len()), (Status::Reconnecting, 1));
    again.open();
    assert_eq!(again.frame().await, SYNC);
    drop((watch, client));
    until(|| again.is_closed()).await;
}

#[wasm_bindgen_test]
async fn an_address_beside_the_page() {
    let sockets = Sockets::fake();
    let client = builder("/parties/todos").partysync(Partysync::new()).build();
    client.register_channel::<Todos>();
    let _watch = client.watch(Todo::in_space("list-42"));
    let url = sockets.next().await.url();
    assert!(url.starts_with("ws://") && url.contains("/parties/todos/list-42?_pk="), "{url}");
}
