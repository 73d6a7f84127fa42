//! Live queries.

use futures::{FutureExt, StreamExt};
use syncline::{Diff, RowState, Status, code};
use syncline_core::wire::{ClientMessage, Count, Failed, Part, RelatedPart, Run, ServerMessage, Snapshot};
use syncline_core::{Cursor, Incarnation};

use crate::{Screen, Todo, keys, rig, todo, watching};

use syncline::Record as _;

#[tokio::test(start_paused = true)]
async fn rows_come_as_a_snapshot_and_then_live() {
    let (client, mut server) = rig();
    let watch = client.watch(Todo::in_space("l"));
    assert_eq!((watch.status(), client.connection().status), (Status::Connecting, Status::Connecting));
    let mut screen = Screen::default();
    screen.apply(watch.next().await.unwrap());
    assert!(screen.0.is_empty());

    let mut peer = server.welcome().await;
    let subscribe = peer.subscribed().await;
    peer.snapshot(subscribe.sub, 1, &[todo("a"), todo("b")]).await;
    watch.loaded().await.unwrap();
    screen.apply(watch.next().await.unwrap());
    assert_eq!((keys(&screen.0), watch.status()), (vec!["a", "b"], Status::Live));
    assert!(screen.0.iter().all(|entry| entry.state == RowState::Confirmed));

    peer.change(subscribe.sub, 2, &[todo("c")]).await;
    screen.apply(watch.next().await.unwrap());
    assert_eq!(keys(&screen.0), ["a", "b", "c"]);
    assert_eq!(keys(&watch.entries()), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn children_come_with_the_batches_of_their_parents() {
    let (client, mut server) = rig();
    let parts = Todo::text.children().order_by(Todo::id).counted();
    let watch = client.watch(Todo::in_space("l").filter(Todo::text.eq("")).include(parts));
    let related = watch.related(Todo::text);
    let mut peer = server.welcome().await;
    let sub = peer.subscribed().await.sub;
    let (whole, part) = (Todo { text: String::new(), ..todo("a") }, Todo { text: "a".into(), ..todo("b") });
    let cursor = Cursor { incarnation: Incarnation(1), schema: 0, epoch: 0, version: 1 };
    let count = |n| Count { relation: 0, parent: "a".into(), n };
    let snapshot = Snapshot {
        sub,
        cursor,
        chunk: 0,
        total: 2,
        last: true,
        selective: false,
        fields: Vec::new(),
        related: vec![Run { relation: 0, rows: 1 }],
        counts: vec![count(1)],
        writes: Vec::new(),
    };
    peer.say(&ServerMessage::Snapshot(snapshot), &[whole, part]).await;
    watch.loaded().await.unwrap();
    assert_eq!(
        (keys(&watch.entries()), keys(&related.of("a")), related.count("a")),
        (vec!["a"], vec!["b"], 1)
    );
    assert!(related.of("b").is_empty() && watch.related(Todo::id).of("a").is_empty());

    while watch.next().await.unwrap().is_empty() {}
    let del = vec![RelatedPart { relation: 0, put: Vec::new(), del: vec!["b".into()] }];
    let part = Part { sub, related: del, counts: vec![count(0)], ..Part::default() };
    peer.changes(2, vec![part], Vec::new(), &[]).await;
    assert!(watch.next().await.unwrap().is_empty(), "whoever waits for the watch is woken");
    assert_eq!((related.of("a").len(), related.count("a")), (0, 0));
    drop(watch);
    assert_eq!(related.count("a"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_was_away_gets_one_batch() {
    let (_client, _server, mut peer, watch) = watching(&[]).await;
    let _ = watch.next().await;
    for (version, key) in [(2, "a"), (3, "b"), (4, "c")] {
        peer.change(1, version, &[todo(key)]).await;
    }
    while watch.entries().len() < 3 {
        tokio::task::yield_now().await;
    }
    let batch = watch.next().await.unwrap();
    assert_eq!(batch.len(), 3);
    assert!(watch.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn equal_queries_share_a_subscription_and_all_share_the_connection() {
    let (client, mut server) = rig();
    let first = client.watch(Todo::in_space("l"));
    let same = client.watch(Todo::in_space("l"));
    let other = client.watch(Todo::in_space("l").filter(Todo::done.eq(true)));
    let mut peer = server.welcome().await;
    let (one, two) = (peer.subscribed().await, peer.subscribed().await);
    assert_ne!(one.query, two.query);
    peer.snapshot(one.sub, 1, &[todo("a")]).await;
    peer.snapshot(two.sub, 1, &[]).await;
    for watch in [&first, &same, &other] {
        watch.loaded().await.unwrap();
    }
    assert_eq!((keys(&first.entries()), keys(&same.entries())), (vec!["a"], vec!["a"]));

    // the subscription ends with the last of its watches
    drop(first);
    drop(same);
    match peer.next().await {
        ClientMessage::Unsubscribe(ended) => assert_eq!(ended.sub, one.sub),
        message => panic!("expected the end of a subscription, got {message:?}"),
    }
    assert_eq!(other.status(), Status::Live);
}

#[tokio::test(start_paused = true)]
async fn a_refused_query_fails_alone() {
    let (client, mut server) = rig();
    let watch = client.watch(Todo::in_space("nowhere"));
    let fine = client.watch(Todo::in_space("l"));
    let mut peer = server.welcome().await;
    let (refused, other) = (peer.subscribed().await, peer.subscribed().await);
    let error = syncline::Error::new(code::UNKNOWN_SPACE, "there is no such space");
    peer.say(&ServerMessage::Failed(Failed { sub: refused.sub, error: error.clone() }), &[]).await;
    peer.snapshot(other.sub, 1, &[todo("a")]).await;
    assert_eq!(watch.loaded().await, Err(error.clone()));
    assert_eq!((watch.status(), watch.error()), (Status::Failed, Some(error)));
    fine.loaded().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stopped_watch_hears_nothing_until_it_is_started_again() {
    let (_client, _server, mut peer, watch) = watching(&[todo("a")]).await;
    watch.stop();
    assert!(matches!(peer.next().await, ClientMessage::Unsubscribe(_)));
    assert_eq!(watch.status(), Status::Closed);
    assert_eq!(watch.loaded().await.unwrap_err().code(), code::CLOSED);
    let _ = watch.next().await;
    assert!(watch.next().now_or_never().is_none());

    watch.start();
    let subscribe = peer.subscribed().await;
    watch.loaded().await.unwrap();
    let batch = watch.next().await.unwrap();
    assert!(matches!(batch.first(), Some(Diff::Reset(entries)) if keys(entries) == ["a"]), "what it had");
    peer.snapshot(subscribe.sub, 2, &[todo("b")]).await;
    while keys(&watch.entries()) != ["b"] {
        watch.next().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn each_diff_is_given_out_once_whoever_asks() {
    let (_client, _server, mut peer, watch) = watching(&[todo("a")]).await;
    let mut updates = watch.updates();
    assert!(matches!(updates.next().await.unwrap()[..], [Diff::Reset(_)]));
    assert!(watch.next().now_or_never().is_none());
    peer.change(1, 2, &[todo("b")]).await;
    assert_eq!(watch.next().await.unwrap().len(), 1);
    assert!(updates.next().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn updates_end_with_their_watch_and_do_not_keep_it() {
    let (_client, _server, mut peer, watch) = watching(&[todo("a")]).await;
    let mut updates = watch.updates();
    drop(watch);
    // what had not been read is nobody's business any more
    assert!(updates.next().await.is_none());
    assert!(matches!(peer.next().await, ClientMessage::Unsubscribe(_)));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_cannot_be_read_is_reported_with_its_key_and_skipped() {
    let (client, mut server) = rig();
    let watch = client.watch(Todo::in_space("l"));
    let mut peer = server.welcome().await;
    let subscribe = peer.subscribed().await;
    peer.snapshot(subscribe.sub, 1, &[todo("a")]).await;
    watch.loaded().await.unwrap();
    let changes = br#"{"changes":{"space":"l","from":1,"to":2,"parts":[{"sub":1,"put":[0,1]}]}}
{"id":"b","text":7,"done":false}
{"id":"c","text":"c","done":false}"#;
    peer.link.send(changes.to_vec()).await.unwrap();
    while keys(&watch.entries()) != ["a", "c"] {
        watch.next().await.unwrap();
    }
    let error = watch.error().unwrap();
    assert_eq!((error.code(), error.field(), watch.status()), (code::BAD_ROW, Some("todos/b"), Status::Live));
}
