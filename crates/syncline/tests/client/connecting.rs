//! The connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use syncline::{ConnectionState, Error, Record as _, Status, Transport, TransportPreference, code};
use syncline_core::wire::{ClientMessage, Expired, Limits, ServerMessage};
use tokio::time::Instant;

use crate::{Todo, keys, rig, rig_with, todo, watching};

#[tokio::test(start_paused = true)]
async fn one_failure_is_one_attempt_to_connect() {
    let (client, mut server, peer, watch) = watching(&[todo("a")]).await;
    drop(peer);
    let mut peer = server.welcome().await;
    let subscribe = peer.subscribed().await;
    assert!(subscribe.cursor.is_some());
    assert_eq!(keys(&watch.entries()), ["a"]);
    peer.snapshot(subscribe.sub, 2, &[todo("b")]).await;
    while keys(&watch.entries()) != ["b"] {
        watch.next().await.unwrap();
    }
    assert_eq!((watch.status(), client.connection().status), (Status::Live, Status::Live));
    assert!(!server.is_asked_within(Duration::from_secs(20)).await);
}

#[tokio::test(start_paused = true)]
async fn where_one_transport_is_refused_the_other_is_tried_at_once() {
    let (client, mut server) = rig();
    let _watch = client.watch(Todo::in_space("l"));
    let start = Instant::now();
    let first = server.asked().await;
    assert_eq!((first.request().transport, first.request().url.as_str()), (Transport::WebSocket, "memory"));
    first.refuse(Error::new(code::CONNECTION, "no WebSockets here"));
    let second = server.asked().await;
    assert_eq!((second.request().transport, start.elapsed()), (Transport::Sse, Duration::ZERO));
    assert!(second.request().hello.starts_with(b"{\"hello\""));
    let mut peer = crate::server::Peer { link: second.accept() };
    peer.welcome(Limits::default()).await;
    peer.subscribed().await;
    assert_eq!(client.connection().transport, Some(Transport::Sse));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_is_shown_and_not_repeated() {
    let (builder, mut server) = rig_with();
    let client = builder.transport(TransportPreference::Sse).build();
    let watch = client.watch(Todo::in_space("l"));
    let why = Error::new(code::FORBIDDEN_ORIGIN, "not from this page");
    server.asked().await.refuse(why.clone());
    assert_eq!(watch.loaded().await, Err(why.clone()));
    let ConnectionState { status, last_error, .. } = client.connection();
    assert_eq!((status, last_error), (Status::Failed, Some(why)));
    assert!(!server.is_asked_within(Duration::from_secs(600)).await);
    client.retry_now();
    server.asked().await;
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_refused_are_asked_for_once_more_and_then_a_person_is_needed() {
    let (builder, mut server) = rig_with();
    let asked = AtomicUsize::new(0);
    let client = builder
        .transport(TransportPreference::Sse)
        .credentials(move || {
            let token = asked.fetch_add(1, Ordering::Relaxed) + 1;
            async move { format!("token {token}") }
        })
        .build();
    let watch = client.watch(Todo::in_space("l"));
    let start = Instant::now();
    for token in ["token 1", "token 2"] {
        let incoming = server.asked().await;
        assert!(String::from_utf8_lossy(&incoming.request().hello).contains(token));
        incoming.refuse(Error::new(code::UNAUTHENTICATED, "too old"));
    }
    assert_eq!(watch.loaded().await.unwrap_err().code(), code::UNAUTHENTICATED);
    assert_eq!((watch.status(), start.elapsed()), (Status::NeedsAuth, Duration::ZERO));
    assert!(!server.is_asked_within(Duration::from_secs(600)).await);
    client.refresh_credentials();
    let incoming = server.asked().await;
    assert!(String::from_utf8_lossy(&incoming.request().hello).contains("token 3"));
}

#[tokio::test(start_paused = true)]
async fn credentials_are_asked_for_once_and_renewed_in_place() {
    let (builder, mut server) = rig_with();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let client = builder
        .credentials(move || {
            let token = counter.fetch_add(1, Ordering::Relaxed) + 1;
            async move { format!("token {token}") }
        })
        .build();
    let watch = client.watch(Todo::in_space("l"));
    let (mut peer, hello) = server.hello().await;
    assert_eq!(hello.token.as_deref(), Some("token 1"));
    peer.welcome(Limits::default()).await;
    let subscribe = peer.subscribed().await;
    peer.snapshot(subscribe.sub, 1, &[todo("a")]).await;
    watch.loaded().await.unwrap();

    // because the server says so, and because the application does
    peer.say(&ServerMessage::Expired(Expired::default()), &[]).await;
    assert_eq!(peer.authenticated().await.token.as_deref(), Some("token 2"));
    peer.welcome(Limits::default()).await;
    while client.connection().status != Status::Live {
        tokio::task::yield_now().await;
    }
    client.refresh_credentials();
    assert_eq!(peer.authenticated().await.token.as_deref(), Some("token 3"));
    peer.welcome(Limits::default()).await;
    assert_eq!((asked.load(Ordering::Relaxed), keys(&watch.entries())), (3, vec!["a"]));
}

#[tokio::test(start_paused = true)]
async fn credentials_that_cannot_be_had_are_asked_for_again_later() {
    let (builder, mut server) = rig_with();
    let asked = AtomicUsize::new(0);
    let client = builder
        .credentials(move || {
            let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
            async move { if first { Err("the session service is down") } else { Ok("token") } }
        })
        .build();
    let _watch = client.watch(Todo::in_space("l"));
    let (_, hello) = server.hello().await;
    assert_eq!(hello.token.as_deref(), Some("token"));
}

#[tokio::test(start_paused = true)]
async fn a_silent_line_is_found_dead() {
    let (client, mut server, peer, watch) = watching(&[todo("a")]).await;
    let start = Instant::now();
    // half-open: nothing is read, nothing is closed
    let mut next = server.welcome().await;
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(40) && waited < Duration::from_secs(45), "{waited:?}");
    next.subscribed().await;
    assert_eq!(
        (keys(&watch.entries()), client.connection().transport),
        (vec!["a"], Some(Transport::WebSocket))
    );
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn the_offline_switch_closes_and_opens() {
    let (client, mut server, mut peer, watch) = watching(&[todo("a")]).await;
    client.set_online(false);
    peer.closed().await;
    let write = client.put("l", todo("b"));
    assert_eq!(keys(&watch.entries()), ["a", "b"]);
    assert!(!server.is_asked_within(Duration::from_secs(600)).await);
    client.set_online(true);
    let mut peer = server.welcome().await;
    let subscribe = peer.subscribed().await;
    let sent = peer.written().await;
    peer.snapshot(subscribe.sub, 1, &[todo("a")]).await;
    peer.ack(subscribe.sub, 2, &sent, todo("b")).await;
    assert_eq!(write.await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn latency_delays_frames_both_ways_and_nothing_else() {
    const SLOW: Duration = Duration::from_millis(800);
    let (client, _server, mut peer, watch) = watching(&[]).await;
    client.set_latency(SLOW);
    let start = Instant::now();
    let write = client.put("l", todo("a"));
    assert_eq!((keys(&watch.entries()), start.elapsed()), (vec!["a"], Duration::ZERO));
    let sent = peer.written().await;
    assert_eq!(start.elapsed(), SLOW);
    peer.ack(1, 2, &sent, todo("a")).await;
    write.await.unwrap();
    assert_eq!(start.elapsed(), SLOW * 2);
    client.set_latency(Duration::ZERO);
    client.put("l", todo("b"));
    peer.written().await;
    assert_eq!(start.elapsed(), SLOW * 2);
}

#[tokio::test(start_paused = true)]
async fn changes_of_the_connection_are_a_stream() {
    let (client, mut server) = rig();
    let mut changes = client.connection_changes();
    assert_eq!(changes.next().await.unwrap().status, Status::Idle);
    let watch = client.watch(Todo::in_space("l"));
    assert_eq!(changes.next().await.unwrap().status, Status::Connecting);
    let mut peer = server.welcome().await;
    let live = changes.next().await.unwrap();
    assert_eq!((live.status, live.user.unwrap().id.as_str()), (Status::Live, "ada"));
    assert!(matches!(peer.next().await, ClientMessage::Subscribe(_)));
    client.put("l", todo("a"));
    assert_eq!(changes.next().await.unwrap().pending, 1);
    assert!(changes.next().now_or_never().is_none());
    drop(watch);
    client.close();
    assert_eq!(changes.next().await.unwrap().status, Status::Closed);
    assert!(changes.next().await.is_none());
}
