//! Writes.

use std::cell::RefCell;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use serde::{Deserialize, Serialize, Serializer};
use syncline::{Client, Error, Record, RowOp, RowOps, RowState, code};

use crate::{Screen, Todo, keys, rig, todo, watching};

#[tokio::test(start_paused = true)]
async fn the_persons_own_edit_is_there_before_anything_else_happens() {
    let (client, _server) = rig();
    let watch = client.watch(Todo::in_space("l"));
    let mut screen = Screen::default();
    screen.apply(watch.next().await.unwrap());
    client.put("l", todo("a"));
    // no other task has run since
    screen.apply(watch.next().now_or_never().unwrap().unwrap());
    assert_eq!((keys(&screen.0), &screen.0[0].state), (vec!["a"], &RowState::Pending));
}

#[tokio::test(start_paused = true)]
async fn a_write_ends_with_the_servers_verdict() {
    let (client, _server, mut peer, watch) = watching(&[]).await;
    let write = client.put("l", todo("a"));
    let sent = peer.written().await;
    assert_eq!((sent.id, &*sent.kind, sent.space.as_str()), (1, "rows", "l"));
    peer.ack(1, 2, &sent, todo("a")).await;
    assert_eq!(write.await, Ok(2));
    assert_eq!(watch.entries()[0].state, RowState::Confirmed);
    assert_eq!(client.connection().pending, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_marks_its_row_until_it_is_retried_or_dismissed() {
    let (client, _server, mut peer, watch) = watching(&[]).await;
    let write = client.put("l", todo("a"));
    let why = Error::new("too_rude", "Be kind.");
    let sent = peer.written().await;
    peer.refuse(1, &sent, why.clone()).await;
    assert_eq!(write.await, Err(why.clone()));
    assert_eq!(watch.entries()[0].state, RowState::Failed(why.clone().into()));

    assert_eq!(client.retry::<Todo>("l", "a"), 1);
    assert_eq!(watch.entries()[0].state, RowState::Pending);
    let again = peer.written().await;
    assert_eq!(again.id, sent.id + 1);
    peer.refuse(1, &again, why).await;
    while watch.entries()[0].state == RowState::Pending {
        watch.next().await.unwrap();
    }
    assert_eq!(client.dismiss::<Todo>("l", "a"), 1);
    assert!(watch.entries().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_row_is_put_again_by_whoever_corrects_it() {
    let (client, _server, mut peer, watch) = watching(&[]).await;
    let write = client.put("l", todo("a"));
    let sent = peer.written().await;
    peer.refuse(1, &sent, Error::new("too_rude", "Be kind.")).await;
    assert!(write.await.is_err());

    let write = client.update("l", "a", |todo: &mut Todo| todo.text = "kind".into());
    let sent = peer.written().await;
    let kind = Todo { text: "kind".into(), ..todo("a") };
    let row = serde_json::to_string(&kind).unwrap();
    assert_eq!(sent.payload.get(), format!(r#"{{"ops":[{{"put":["todos",{row}]}}]}}"#));
    peer.ack(1, 2, &sent, kind).await;
    assert_eq!(write.await, Ok(2));
    assert_eq!(watch.entries()[0].state, RowState::Confirmed);
}

#[tokio::test(start_paused = true)]
async fn an_update_sends_only_what_it_changed() {
    let (client, _server, mut peer, watch) = watching(&[todo("a")]).await;
    let write = client.update("l", "a", |todo: &mut Todo| todo.done = true);
    assert!(watch.entries()[0].record.done);
    let sent = peer.written().await;
    assert_eq!(sent.payload.get(), r#"{"ops":[{"patch":["todos","a",{"done":true}]}]}"#);
    peer.ack(1, 2, &sent, Todo { done: true, ..todo("a") }).await;
    assert_eq!(write.await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn the_closure_of_an_update_may_use_the_client() {
    let (client, _server, _peer, watch) = watching(&[todo("a"), todo("b")]).await;
    client.update("l", "a", |todo: &mut Todo| todo.text = format!("one of {}", watch.entries().len()));
    assert_eq!(watch.entries()[0].record.text, "one of 2");
}

#[tokio::test(start_paused = true)]
async fn an_update_that_cannot_be_made_says_so_at_once() {
    let (client, _server, _peer, _watch) = watching(&[todo("a")]).await;
    let update = |key: &str, change: fn(&mut Todo)| client.update("l", key, change).now_or_never().unwrap();
    assert_eq!(update("a", |_| {}), Ok(0));
    assert_eq!(update("b", |todo| todo.done = true).unwrap_err().code(), code::UNKNOWN_ROW);
    assert_eq!(update("a", |todo| todo.id = "c".into()).unwrap_err().code(), code::BAD_KEY);
}

#[tokio::test(start_paused = true)]
async fn several_steps_are_one_write() {
    let (client, _server, mut peer, watch) = watching(&[todo("a")]).await;
    let ops = RowOps { ops: vec![RowOp::put(&todo("b")).unwrap(), RowOp::delete::<Todo>("a")] };
    client.write("l", ops);
    assert_eq!(keys(&watch.entries()), ["b"]);
    assert_eq!(peer.written().await.id, 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_needs_no_watch_and_survives_a_lost_connection() {
    let (client, mut server) = rig();
    let write = client.put("l", todo("a"));
    let mut peer = server.welcome().await;
    let sent = peer.written().await;
    drop(peer);
    let mut peer = server.welcome().await;
    let again = peer.written().await;
    assert_eq!((again.id, &again.client), (sent.id, &sent.client));
    peer.ack(1, 1, &again, todo("a")).await;
    assert_eq!(write.await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_row_written_by_other_means_shows_until_it_comes() {
    let (client, _server, mut peer, watch) = watching(&[]).await;
    client.add_optimistic("l", todo("a")).unwrap();
    assert_eq!(watch.entries()[0].state, RowState::Pending);
    assert!(client.mark_failed::<Todo>("l", "a", "the upload broke off"));
    let RowState::Failed(error) = watch.entries()[0].state.clone() else { panic!("not marked") };
    assert_eq!((error.code(), error.message()), ("failed", "the upload broke off"));
    assert!(client.remove_optimistic::<Todo>("l", "a"));
    assert!(watch.entries().is_empty());

    client.add_optimistic("l", todo("b")).unwrap();
    peer.change(1, 2, &[todo("b")]).await;
    while watch.entries()[0].state != RowState::Confirmed {
        watch.next().await.unwrap();
    }
}

thread_local! {
    static CLIENT: RefCell<Option<Client>> = const { RefCell::new(None) };
}

/// A row that looks at the client while it is written.
#[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "curious", key = id)]
struct Curious {
    #[serde(serialize_with = "look")]
    id: String,
}

fn look<S: Serializer>(id: &str, serializer: S) -> Result<S::Ok, S::Error> {
    CLIENT.with_borrow(|client| client.as_ref().map(Client::connection));
    serializer.serialize_str(id)
}

#[test]
fn the_code_of_a_row_may_use_the_client() {
    let (done, is_done) = mpsc::channel();
    // whoever waits for a lock that it holds itself waits for ever
    thread::spawn(move || {
        let (client, _server) = rig();
        CLIENT.set(Some(client.clone()));
        client.put("l", Curious { id: "a".into() });
        let added = client.add_optimistic("l", Curious { id: "b".into() });
        CLIENT.take();
        done.send(added).unwrap();
    });
    is_done.recv_timeout(Duration::from_secs(60)).unwrap().unwrap();
}
