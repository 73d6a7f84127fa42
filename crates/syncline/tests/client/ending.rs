//! Nothing outlives its owner.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use syncline::{Error, Record as _, Status, code};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::{Todo, rig, todo, watching};

/// Tasks there are, once those that are about to end have had their turn.
async fn tasks() -> usize {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_last_handle() {
    let (client, _server) = rig();
    assert_eq!(tasks().await, 0);
    let watch = client.watch(Todo::in_space("l"));
    let clone = client.clone();
    assert_eq!(tasks().await, 1);
    drop(client);
    drop(clone);
    assert_eq!(tasks().await, 1);
    drop(watch);
    assert_eq!(tasks().await, 0);
}

#[tokio::test(start_paused = true)]
async fn many_comings_and_goings_leave_nothing() {
    for _ in 0..50 {
        let (client, _server, mut peer, watch) = watching(&[todo("a")]).await;
        let write = client.put("l", todo("b"));
        drop(watch);
        drop(client);
        peer.closed().await;
        assert_eq!(write.await.unwrap_err().code(), code::CLOSED);
    }
    assert_eq!(tasks().await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_connection_closes_a_while_after_the_last_watch() {
    let (client, mut server, mut peer, watch) = watching(&[todo("a")]).await;
    let start = Instant::now();
    drop(watch);
    peer.closed().await;
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    assert_eq!(client.connection().status, Status::Idle);
    // and opens with the next one
    let _watch = client.watch(Todo::in_space("l"));
    server.welcome().await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_client_says_so_everywhere() {
    let (client, mut server, mut peer, watch) = watching(&[todo("a")]).await;
    let mut updates = watch.updates();
    let waiting = client.put("l", todo("b"));
    client.close();
    peer.closed().await;
    assert_eq!(tasks().await, 0);
    assert_eq!((watch.status(), client.connection().status), (Status::Closed, Status::Closed));
    assert_eq!(waiting.await.unwrap_err().code(), code::CLOSED);
    assert_eq!(client.put("l", todo("c")).await.unwrap_err().code(), code::CLOSED);
    assert_eq!(client.add_optimistic("l", todo("c")).unwrap_err().code(), code::CLOSED);
    // one last batch, because the status changed
    assert!(updates.next().await.is_some());
    assert!(updates.next().await.is_none());

    let late = client.watch(Todo::in_space("other"));
    assert_eq!((late.status(), late.loaded().await.unwrap_err().code()), (Status::Closed, code::CLOSED));
    assert!(late.next().await.is_some());
    assert!(late.next().await.is_none());
    client.set_online(true);
    client.retry_now();
    assert!(!server.is_asked_within(Duration::from_secs(600)).await);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tried_again_by_a_client_that_is_closed() {
    let (client, _server, mut peer, _watch) = watching(&[]).await;
    let write = client.put("l", todo("a"));
    let sent = peer.written().await;
    peer.refuse(1, &sent, Error::new("too_rude", "Be kind.")).await;
    assert!(write.await.is_err());
    client.close();
    assert_eq!(client.retry::<Todo>("l", "a"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_written_just_before_the_end_still_leaves() {
    let (client, _server, mut peer, _watch) = watching(&[]).await;
    client.put("l", todo("a"));
    client.close();
    assert_eq!(peer.written().await.id, 1);
    peer.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_handle_may_be_dropped_before_its_write_has_a_verdict() {
    let (client, _server, mut peer, _watch) = watching(&[]).await;
    let dropped = client.put("l", todo("a"));
    let kept = client.put("l", todo("b"));
    drop(dropped);
    let sent = peer.written().await;
    peer.ack(1, 2, &sent, todo("a")).await;
    let sent = peer.written().await;
    peer.ack(1, 3, &sent, todo("b")).await;
    assert_eq!(kept.await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn giving_up_waiting_loses_nothing() {
    let (_client, _server, mut peer, watch) = watching(&[]).await;
    let _ = watch.next().await;
    assert!(watch.next().now_or_never().is_none());
    peer.change(1, 2, &[todo("a")]).await;
    assert_eq!(watch.next().await.unwrap().len(), 1);
}
