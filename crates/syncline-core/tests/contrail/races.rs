//! What crosses on the way: live events and pages, snapshots and commits of others, doubts and refills.

use std::time::Duration;

use serde_json::{Value, json};
use syncline_core::client::contrail::refusal;
use syncline_core::client::{Backoff, Input, TransportPreference};
use syncline_core::ops::Put;

use crate::rig::{ALICE, Asked, Message, Reaction, Rig, SPACE, live, newest, record};

fn page(from: i64, to: i64) -> Vec<Value> {
    (to..from).rev().map(|n| record(&format!("m{n:03}"), n)).collect()
}

fn answer(rig: &mut Rig, asked: &Asked, records: &[Value], cursor: Option<&str>) {
    rig.opened(asked);
    rig.snapshot(asked, records, cursor);
}

fn texts(rig: &Rig, watch: syncline_core::client::WatchId) -> Vec<String> {
    rig.core.entries::<Message>(watch).iter().map(|entry| entry.record.text.clone()).collect()
}

/// A page may have been read before what was told live while it was on its way.
#[test]
fn a_page_does_not_undo_what_was_told_live() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    answer(&mut rig, &stream, &page(20, 10), Some("c1"));
    let second = rig.asked();
    rig.deleted(&stream, "m005");
    let mut changed = live("m006", 6);
    changed["value"]["text"] = json!("changed");
    rig.created(&stream, changed);
    answer(&mut rig, &second, &page(10, 0), None);
    assert_eq!((rig.shown(watch).len(), rig.shown(watch).contains(&"m005".to_owned())), (19, false));
    assert!(texts(&rig, watch).contains(&"changed".to_owned()));
}

/// The same of the look whether a socket is alive.
#[test]
fn a_look_does_not_undo_what_was_told_live() {
    let mut rig = Rig::with(|config| config.transport = TransportPreference::WebSocket);
    let watch = rig.watch(&newest(SPACE));
    let ask = rig.asked();
    rig.handshake(&ask, &page(3, 0), None, "/socket");
    let socket = rig.asked();
    rig.opened(&socket);
    rig.wait_for_deadline();
    let look = rig.asked();
    rig.deleted(&socket, "m001");
    rig.handshake(&look, &page(3, 0), None, "/socket");
    assert_eq!(rig.shown(watch), ["m002", "m000"]);
    assert_eq!(rig.status(watch), "live");
}

/// A look asks for the first page only, and sees what is missing there.
#[test]
fn a_look_is_one_request() {
    let mut rig = Rig::with(|config| config.transport = TransportPreference::WebSocket);
    let watch = rig.watch(&newest(SPACE));
    let ask = rig.asked();
    rig.handshake(&ask, &page(300, 100), Some("c1"), "/socket");
    let socket = rig.asked();
    rig.opened(&socket);
    let second = rig.asked();
    rig.handshake(&second, &page(100, 0), None, "/socket");
    rig.wait_for_deadline();
    let look = rig.asked();
    let mut first = page(300, 100);
    first.retain(|record| record["rkey"] != "m200");
    rig.handshake(&look, &first, Some("c1"), "/socket");
    assert!(rig.asks_nothing());
    assert_eq!(rig.shown(watch).len(), 299);
    // the socket should have told of it
    assert_eq!(rig.wait_for_deadline().as_secs(), 5);
    assert_eq!(rig.status(watch), "reconnecting");
}

/// A page on which nothing passes the client's own part of the filter is no end.
#[test]
fn paging_goes_on_where_nothing_matches() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE).filter(Message::n.lt(5)));
    let stream = rig.asked();
    answer(&mut rig, &stream, &page(30, 20), Some("c1"));
    let second = rig.asked();
    answer(&mut rig, &second, &page(20, 10), Some("c2"));
    let third = rig.asked();
    answer(&mut rig, &third, &page(10, 0), None);
    assert_eq!((rig.shown(watch).len(), rig.status(watch)), (5, "live"));
}

/// An edit of an old record does not bring it into a window before those that stand between.
#[test]
fn a_window_is_filled_up_with_the_next_rows() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE).limit(2));
    let stream = rig.asked();
    answer(&mut rig, &stream, &[record("d", 40), record("c", 30)], Some("c1"));
    rig.created(&stream, live("a", 10));
    rig.deleted(&stream, "d");
    let next = rig.asked();
    assert_eq!((rig.shown(watch), next.param("cursor").as_deref()), (vec!["c".to_owned()], Some("c1")));
    answer(&mut rig, &next, &[record("b", 20), record("a", 10)], None);
    assert_eq!(rig.shown(watch), ["c", "b"]);
    // what is new and before the end of what is known is in at once
    rig.created(&stream, live("b2", 25));
    assert_eq!(rig.shown(watch), ["c", "b2"]);
}

/// Somebody else's commit in the space shows nothing of a snapshot that is still coming in.
#[test]
fn half_a_snapshot_is_not_shown() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.core
        .add_optimistic(rig.now, &SPACE.into(), Put::new(&Message::of(ALICE, "k", "mine")).unwrap())
        .unwrap();
    rig.event(&stream, "snapshot.start", json!({}));
    rig.event(&stream, "snapshot.record", json!({"record": record("k", 1)}));
    rig.core
        .add_optimistic(rig.now, &SPACE.into(), Put::new(&Message::of(ALICE, "z", "mine")).unwrap())
        .unwrap();
    assert_eq!(rig.shown(watch), ["z?", "k?"]);
    rig.event(&stream, "snapshot.end", json!({}));
    assert_eq!(rig.shown(watch), ["z?", "k"], "and it settles what waited for it");
}

/// Rows that were thrown away are fetched, which is no reason to doubt the stream.
#[test]
fn a_refill_is_no_doubt() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE).limit(2));
    let stream = rig.asked();
    answer(&mut rig, &stream, &page(2, 0), None);
    for n in 0..1_100 {
        rig.created(&stream, live(&format!("n{n:04}"), 1_000 + n));
    }
    let mut n = 1_100;
    while rig.asks_nothing() {
        n -= 1;
        rig.deleted(&stream, &format!("n{n:04}"));
    }
    let refill = rig.asked();
    rig.wait(Duration::from_secs(1));
    answer(&mut rig, &refill, &page(2, 0), None);
    rig.wait(Duration::from_secs(10));
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["m001".to_owned(), "m000".to_owned()]));
}

#[test]
fn other_credentials_reach_streams_that_are_open() {
    let mut rig = Rig::with_tickets(|_| {});
    let watch = rig.watch(&newest(SPACE));
    rig.give_ticket("ann");
    let stream = rig.asked();
    answer(&mut rig, &stream, &[record("a", 1)], None);
    rig.core.refresh_credentials(rig.now);
    rig.drain();
    assert!(rig.open.is_empty());
    assert_ne!(rig.status(watch), "live", "nothing of it is known to be for these");
    rig.give_ticket("bob");
    let stream = rig.asked();
    assert_eq!((stream.param("ticket").as_deref(), rig.shown(watch)), (Some("bob"), vec!["a".to_owned()]));
    answer(&mut rig, &stream, &[record("b", 2)], None);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["b".to_owned()]));
}

/// A cursor may have grown old: that says nothing of the query.
#[test]
fn a_page_that_is_refused_does_not_end_the_watch() {
    for status in [400, 404, 501] {
        let mut rig = Rig::new();
        let watch = rig.watch(&newest(SPACE));
        let stream = rig.asked();
        answer(&mut rig, &stream, &page(20, 10), Some("c1"));
        let second = rig.asked();
        rig.closed(&second, Some(refusal(status, b"{}")));
        assert_eq!((rig.status(watch), rig.shown(watch).len()), ("reconnecting", 10));
    }
}

#[test]
fn a_person_can_try_again_after_the_client_has_given_up() {
    let mut rig = Rig::with(|config| config.backoff = Backoff { attempts: Some(1), ..Backoff::default() });
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    rig.closed(&stream, None);
    assert_eq!(rig.status(watch), "failed");
    rig.core.retry_now(rig.now);
    rig.drain();
    let stream = rig.asked();
    answer(&mut rig, &stream, &[record("a", 1)], None);
    assert_eq!((rig.status(watch), rig.error(watch)), ("live", None));
}

/// One that only keeps alive and never ends its snapshot is given up.
#[test]
fn a_snapshot_that_never_ends_is_given_up() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.event(&stream, "snapshot.start", json!({}));
    for _ in 0..10 {
        rig.wait(Duration::from_secs(15));
        if rig.status(watch) != "snapshot" {
            break;
        }
        rig.frame(&stream, "");
    }
    assert_eq!(rig.status(watch), "reconnecting");
}

/// When the network is back, a stream gets one keepalive's time to show that it is there.
#[test]
fn a_stream_is_hurried_when_the_network_comes_back() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    answer(&mut rig, &stream, &[], None);
    rig.input(Input::Online(true));
    assert_eq!(rig.wait_for_deadline().as_secs(), 20);
    assert_eq!(rig.status(watch), "reconnecting");
}

#[test]
fn an_unreadable_row_that_is_gone_is_no_error() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    let mut strange = record("strange", 5);
    strange["value"] = json!({"text": 7});
    answer(&mut rig, &stream, &[strange], None);
    assert_eq!(rig.error(watch).as_deref(), Some("bad_row"));
    rig.deleted(&stream, "strange");
    assert_eq!(rig.error(watch), None);
}

#[test]
fn what_a_service_cannot_answer_is_refused() {
    let mut rig = Rig::new();
    use syncline_core::Record as _;
    let without_order = rig.watch(&Message::in_space(SPACE).limit(5));
    let counted = Reaction::subject.children().filter(Reaction::emoji.eq("👍")).counted();
    let filtered = rig.watch(&newest(SPACE).include(counted));
    for watch in [without_order, filtered] {
        assert_eq!((rig.status(watch), rig.error(watch).as_deref()), ("failed", Some("bad_query")));
    }
    assert!(rig.open.is_empty());
    // names that are parameters, and the envelope, are no filters of a service
    rig.watch(&newest(SPACE).filter(Message::time_us.eq(5).and(Message::n.eq(1))));
    let asked = rig.asked();
    assert_eq!((asked.param("time_us"), asked.param("n").as_deref()), (None, Some("1")));
}
