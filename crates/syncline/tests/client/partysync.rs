//! A client in rooms of a partysync server, over a connector whose other end the test holds.

use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use syncline::partysync::{Address, Partysync};
use syncline::transport::{ConnectRequest, Connector, Link, memory};
use syncline::{
    ActionError, BoxFuture, Channel, Client, Draft, Error, Record, RowState, Status, Watch, code,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "todos", key = id)]
struct Todo {
    id: String,
    text: String,
    created_at: i64,
    updated_at: i64,
    deleted_at: Option<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "snake_case")]
enum TodoAction {
    Create { id: String, text: String },
}

struct Todos;

impl Channel for Todos {
    const NAME: &'static str = "todos";
    type Record = Todo;
    type Action = TodoAction;
    type Output = Vec<Todo>;
    type Error = Error;

    fn reduce(todos: &mut Draft<'_, Todo>, action: &TodoAction) {
        let TodoAction::Create { id, text } = action;
        let (id, text) = (id.clone(), text.clone());
        todos.put(Todo { id, text, created_at: 0, updated_at: 0, deleted_at: None });
    }
}

fn create(id: &str) -> TodoAction {
    TodoAction::Create { id: id.into(), text: id.into() }
}

/// Every room that is joined arrives at the test.
struct Rooms(mpsc::UnboundedSender<(Address, Link)>);

impl Connector for Rooms {
    fn connect(&self, _: ConnectRequest) -> BoxFuture<Result<Link, Error>> {
        Box::pin(async { Err(Error::new(code::CONNECTION, "no Syncline server here")) })
    }

    fn join(&self, url: &str, address: Address) -> BoxFuture<Result<Link, Error>> {
        assert_eq!(url, "wss://server.example/parties/todos");
        let (client, server) = memory::link_pair();
        let sent = self.0.unbounded_send((address, server));
        let gone = |_| Error::new(code::CONNECTION, "nobody listens");
        Box::pin(async move { sent.map(|()| client).map_err(gone) })
    }
}

fn rig() -> (Client, mpsc::UnboundedReceiver<(Address, Link)>) {
    let (sender, rooms) = mpsc::unbounded();
    let builder = Client::builder("wss://server.example/parties/todos").connector(Rooms(sender));
    let client = builder.partysync(Partysync::new()).seed(1).build();
    client.register_channel::<Todos>();
    (client, rooms)
}

async fn next(link: &mut Link) -> Value {
    serde_json::from_slice(&link.receive().await.unwrap().unwrap()).unwrap()
}

async fn say(link: &mut Link, frame: Value) {
    link.send(frame.to_string()).await.unwrap();
}

/// Answers the question for all rows, which comes first.
async fn sync(link: &mut Link, ids: &[&str]) {
    assert_eq!(next(link).await, json!({"channel": "todos", "sync": true, "from": null}));
    let rows: Vec<_> = ids.iter().map(|id| json!([id, id, 1, 1, null])).collect();
    say(link, json!({"sync": true, "channel": "todos", "payload": rows})).await;
}

async fn shows(watch: &Watch<Todo>, ids: &[&str]) {
    let shown = || watch.entries().iter().map(|entry| entry.record.id.clone()).collect::<Vec<_>>();
    while shown() != ids {
        watch.next().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn rows_and_actions_share_the_rooms_socket() {
    let (client, mut rooms) = rig();
    let watch = client.watch(Todo::in_space("list-42"));
    let (address, mut link) = rooms.next().await.unwrap();
    assert_eq!(address.segment(), "list-42");
    sync(&mut link, &["a"]).await;
    watch.loaded().await.unwrap();
    let action = client.send::<Todos>("list-42", create("b"));
    shows(&watch, &["a", "b"]).await;
    let frame = next(&mut link).await;
    assert_eq!(frame["action"], json!({"type": "create", "payload": {"id": "b", "text": "b"}}));
    let result = json!([["b", "b", 2, 2, null]]);
    say(
        &mut link,
        json!({"type": "success", "rpc": true, "channel": "todos", "id": frame["id"], "result": result}),
    )
    .await;
    assert_eq!(action.await.unwrap()[0].created_at, 2);
    assert!(watch.entries().iter().all(|entry| entry.state == RowState::Confirmed));
    // what was on its way when the line was lost is not sent again
    let lost = client.send::<Todos>("list-42", create("c"));
    next(&mut link).await;
    drop(link);
    let Err(ActionError::Failed(error)) = lost.await else { panic!("it has no answer") };
    assert_eq!(error.code(), code::OUTCOME_UNKNOWN);
    let (_, mut link) = rooms.next().await.unwrap();
    shows(&watch, &["a", "b"]).await;
    sync(&mut link, &["b", "c"]).await;
    shows(&watch, &["b", "c"]).await;
    assert_eq!(client.connection().status, Status::Live);
}

#[tokio::test(start_paused = true)]
async fn an_action_without_an_answer_fails_after_ten_seconds() {
    let (client, mut rooms) = rig();
    let start = tokio::time::Instant::now();
    let action = client.send::<Todos>("list-42", create("a"));
    let (_, mut link) = rooms.next().await.unwrap();
    next(&mut link).await;
    let error = action.await.unwrap_err();
    assert_eq!((error.error().code(), error.error().field()), (code::OUTCOME_UNKNOWN, Some("todos/create")));
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_room_closes_a_while_after_its_last_watch() {
    let (client, mut rooms) = rig();
    let watch = client.watch(Todo::in_space("list-42"));
    let (_, mut link) = rooms.next().await.unwrap();
    sync(&mut link, &[]).await;
    watch.loaded().await.unwrap();
    drop(watch);
    assert_eq!(link.receive().await, Ok(None));
    assert_eq!(client.connection().status, Status::Idle);
}

#[tokio::test(start_paused = true)]
async fn rows_are_not_written() {
    let (client, _rooms) = rig();
    let todo = Todo { id: "a".into(), text: String::new(), created_at: 0, updated_at: 0, deleted_at: None };
    assert_eq!(client.put("list-42", todo.clone()).await.unwrap_err().code(), code::BAD_WRITE);
    assert_eq!(client.add_optimistic("list-42", todo).unwrap_err().code(), code::BAD_WRITE);
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_knows_no_rooms_says_so() {
    let (connector, _listener) = memory::pair();
    let client = Client::builder("memory").connector(connector).partysync(Partysync::new()).build();
    client.register_channel::<Todos>();
    let watch = client.watch(Todo::in_space("list-42"));
    while watch.status() != Status::Failed {
        tokio::task::yield_now().await;
    }
    assert_eq!(watch.error().unwrap().code(), code::UNSUPPORTED_PROTOCOL);
}
