//! The client as it is, against the engine as it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use syncline::{Client, Record, RowState, Status, Watch};
use syncline_testkit::{LocalServer, Policy};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "todos", key = id)]
struct Todo {
    id: String,
    owner: String,
}

fn todo(id: &str) -> Todo {
    Todo { id: id.into(), owner: "ann".into() }
}

fn client(server: &LocalServer, name: &'static str) -> Client {
    Client::builder("local").connector(server.connector()).credentials(move || async move { name }).build()
}

fn ids(watch: &Watch<Todo>) -> Vec<String> {
    watch.entries().iter().map(|entry| entry.key().to_owned()).collect()
}

/// Lets everything happen that is going to, whatever it waits for.
async fn until(mut so: impl FnMut() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(300), wait).await.is_ok(), "it never came");
}

/// Lets everything happen that needs no time: what lasts only a moment is not seen by who looks now and then.
async fn at_once(mut so: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it takes time");
}

#[tokio::test(start_paused = true)]
async fn two_clients_follow_each_other() {
    let server = LocalServer::builder().record::<Todo>().start();
    let (ann, bob) = (client(&server, "ann"), client(&server, "bob"));
    let (at_ann, at_bob) = (ann.watch(Todo::in_space("home")), bob.watch(Todo::in_space("home")));
    at_ann.loaded().await.unwrap();
    at_bob.loaded().await.unwrap();
    ann.put("home", todo("1")).await.unwrap();
    until(|| ids(&at_bob) == ["1"]).await;
    assert_eq!(ids(&at_ann), ["1"]);
    assert_eq!(server.gauges().connections, 2);
}

#[tokio::test(start_paused = true)]
async fn a_write_is_pending_while_the_disk_is_held() {
    let server = LocalServer::builder().record::<Todo>().start();
    let ann = client(&server, "ann");
    let watch = ann.watch(Todo::in_space("home"));
    watch.loaded().await.unwrap();
    server.hold_commits();
    let write = ann.put("home", todo("1"));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(watch.entries()[0].state, RowState::Pending);
    server.release_commits();
    write.await.unwrap();
    assert_eq!(watch.entries()[0].state, RowState::Confirmed);
}

#[tokio::test(start_paused = true)]
async fn a_crash_loses_nothing_that_was_acknowledged() {
    let server = LocalServer::builder().record::<Todo>().start();
    let ann = client(&server, "ann");
    let watch = ann.watch(Todo::in_space("home"));
    ann.put("home", todo("1")).await.unwrap();
    server.crash();
    until(|| watch.state().status == Status::Reconnecting).await;
    let write = ann.put("home", todo("2"));
    server.start_again();
    write.await.unwrap();
    assert_eq!(server.rows(&Todo::in_space("home")).len(), 2);
    server.cut();
    at_once(|| watch.state().status == Status::Reconnecting).await;
    until(|| watch.state().status == Status::Live).await;
    assert_eq!(ids(&watch), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn people_are_who_their_token_says() {
    let policy = Policy::new().read::<Todo>(|user, _, todo| user.id == *todo.owner);
    let server = LocalServer::builder().record::<Todo>().access(policy).start();
    let (ann, bob) = (client(&server, "ann"), client(&server, "bob"));
    ann.put("home", todo("1")).await.unwrap();
    let (at_ann, at_bob) = (ann.watch(Todo::in_space("home")), bob.watch(Todo::in_space("home")));
    at_ann.loaded().await.unwrap();
    at_bob.loaded().await.unwrap();
    assert_eq!((ids(&at_ann).len(), ids(&at_bob).len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn when_everybody_has_gone_nothing_is_left() {
    let server = LocalServer::builder().record::<Todo>().start();
    let ann = client(&server, "ann");
    let watch = ann.watch(Todo::in_space("home"));
    watch.loaded().await.unwrap();
    drop((watch, ann));
    until(|| server.gauges().connections == 0).await;
}
