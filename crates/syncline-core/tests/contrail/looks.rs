//! The look whether a socket is alive: what it may take for a sign that something was missed, and what not.

use std::time::Duration;

use serde_json::{Value, json};
use syncline_core::client::contrail::refusal;
use syncline_core::client::{TransportPreference, WatchId};
use syncline_core::ops::Put;
use syncline_core::{Query, Record};

use crate::rig::{ALICE, Asked, Message, Reaction, Rig, SPACE, TIME_MS, live, newest, record};

fn page(from: i64, to: i64) -> Vec<Value> {
    (to..from).rev().map(|n| record(&format!("m{n:03}"), n)).collect()
}

/// A list of a first page and a second one, over a socket.
fn two_pages(query: &Query<Message>, first: &[Value], second: &[Value]) -> (Rig, WatchId, Asked) {
    let mut rig = Rig::with(|config| config.transport = TransportPreference::WebSocket);
    let watch = rig.watch(query);
    let ask = rig.asked();
    rig.handshake(&ask, first, Some("c1"), "/socket");
    let socket = rig.asked();
    rig.opened(&socket);
    let side = rig.asked();
    rig.handshake(&side, second, None, "/socket");
    (rig, watch, socket)
}

/// Nothing is doubted: the next thing that is due is another look.
fn is_trusted(rig: &mut Rig, watch: WatchId) -> bool {
    rig.wait_for_deadline().as_secs() == 60 && rig.status(watch) == "live"
}

/// A service has an order of its own then, of which the client knows nothing.
#[test]
fn without_an_order_a_page_does_not_say_how_far_it_goes() {
    let (first, second) = (page(30, 10), page(10, 0));
    let (mut rig, watch, _socket) = two_pages(&Message::in_space(SPACE), &first, &second);
    rig.wait_for_deadline();
    let look = rig.asked();
    rig.handshake(&look, &first, Some("c1"), "/socket");
    assert_eq!(rig.shown(watch).len(), 30);
    assert!(is_trusted(&mut rig, watch));
}

#[test]
fn what_is_told_meanwhile_does_not_say_how_far_a_page_goes() {
    let oldest = Message::in_space(SPACE).order_by(Message::time_us).order_by(Message::rkey);
    let ascending = |to, from| page(to, from).into_iter().rev().collect::<Vec<_>>();
    let first = ascending(20, 0);
    let (mut rig, watch, socket) = two_pages(&oldest, &first, &ascending(30, 20));
    rig.wait_for_deadline();
    let look = rig.asked();
    rig.created(&socket, live("m999", 999));
    rig.handshake(&look, &first, Some("c1"), "/socket");
    assert_eq!(rig.shown(watch).len(), 31);
}

/// The socket has just spoken.
#[test]
fn what_is_told_meanwhile_is_no_sign_that_something_was_missed() {
    let (mut rig, watch, socket) = two_pages(&newest(SPACE), &page(30, 10), &page(10, 0));
    rig.wait_for_deadline();
    let look = rig.asked();
    rig.created(&socket, live("m030", 30));
    rig.wait(Duration::from_secs(1));
    rig.handshake(&look, &page(30, 10), Some("c1"), "/socket");
    assert_eq!(rig.shown(watch).len(), 31);
    assert!(is_trusted(&mut rig, watch));
}

/// Both kinds of socket tell of a record with a time a few ms later than the one with which they list it.
#[test]
fn a_record_that_is_listed_with_another_time_is_the_same() {
    let (mut rig, watch, socket) = two_pages(&newest(SPACE), &page(30, 10), &page(10, 0));
    let mut told = live("m030", 30);
    told["time_us"] = json!((TIME_MS + 35) * 1000);
    rig.created(&socket, told);
    // an edit that waits for its own event is not taken for done by the listing
    let mut edited = Message::of(ALICE, "m030", "mine");
    edited.n = 30;
    rig.core.add_optimistic(rig.now, &SPACE.into(), Put::new(&edited).unwrap()).unwrap();
    rig.drain();
    rig.wait_for_deadline();
    let look = rig.asked();
    rig.handshake(&look, &page(31, 11), Some("c1"), "/socket");
    assert_eq!(rig.shown(watch)[0], "m030?");
    assert!(is_trusted(&mut rig, watch));
    // and one that differs in more than that is another one
    let look = rig.asked();
    let mut others = page(31, 11);
    others[0]["value"]["text"] = json!("theirs");
    rig.handshake(&look, &others, Some("c1"), "/socket");
    assert_eq!(rig.shown(watch)[0], "m030");
    assert_eq!(rig.core.entries::<Message>(watch)[0].record.text, "theirs");
}

fn with_reactions() -> Query<Message> {
    newest(SPACE).include(Reaction::subject.children().limit(1).counted())
}

fn added(rig: &mut Rig, socket: &Asked, reaction: &Reaction) {
    let data = json!({"parentUri": reaction.subject, "relation": "reactions", "child": reaction.record()});
    rig.event(socket, "hydration.added", data);
}

#[test]
fn a_child_of_a_record_that_the_page_does_not_list_is_counted_once() {
    let [one, two] = ["1", "2"].map(|n| Reaction::to("m005", &format!("r{n}"), n));
    let mut second = page(10, 0);
    second[4]["reactions"] = json!([one.record()]);
    second[4]["reactionsCount"] = json!(1);
    let (mut rig, watch, socket) = two_pages(&with_reactions(), &page(30, 10), &second);
    assert_eq!(rig.reactions(watch, "m005"), ("1".into(), 1));
    rig.wait_for_deadline();
    let look = rig.asked();
    added(&mut rig, &socket, &two);
    rig.handshake(&look, &page(30, 10), Some("c1"), "/socket");
    assert_eq!(rig.reactions(watch, "m005"), ("1".into(), 2));
}

/// A Durable Object's socket says nothing of the children of records that were in the snapshot.
#[test]
fn with_relations_there_is_a_look_however_much_is_told() {
    let (mut rig, watch, socket) = two_pages(&with_reactions(), &page(30, 10), &page(10, 0));
    for n in 0..2 {
        rig.wait(Duration::from_secs(29));
        rig.created(&socket, live(&format!("m10{n}"), 100 + n));
    }
    assert_eq!(rig.wait_for_deadline().as_secs(), 2);
    let look = rig.asked();
    let mut first = page(30, 11);
    first.insert(0, live("m100", 100));
    first.insert(0, live("m101", 101));
    first[1]["reactions"] = json!([Reaction::to("m100", "r1", "1").record()]);
    first[1]["reactionsCount"] = json!(1);
    rig.handshake(&look, &first, Some("c1"), "/socket");
    assert_eq!(rig.reactions(watch, "m100"), ("1".into(), 1));
}

#[test]
fn a_record_that_moves_meanwhile_does_not_say_how_far_the_page_goes() {
    let by_n = Message::in_space(SPACE).order_by(Message::n);
    let ascending = |to, from| page(to, from).into_iter().rev().collect::<Vec<_>>();
    let (mut rig, watch, socket) = two_pages(&by_n, &ascending(20, 0), &ascending(30, 20));
    rig.wait_for_deadline();
    let look = rig.asked();
    let mut moved = live("m005", 5);
    moved["value"]["n"] = json!(999);
    rig.created(&socket, moved);
    rig.handshake(&look, &ascending(20, 0), Some("c1"), "/socket");
    assert_eq!(rig.shown(watch).len(), 30);
}

#[test]
fn a_look_that_fails_is_of_no_matter_where_the_socket_speaks() {
    for speaks in [true, false] {
        let (mut rig, watch, socket) = two_pages(&with_reactions(), &page(30, 10), &page(10, 0));
        rig.wait_for_deadline();
        let look = rig.asked();
        rig.wait(Duration::from_secs(1));
        if speaks {
            rig.created(&socket, live("m030", 30));
        }
        rig.closed(&look, Some(refusal(503, b"")));
        assert_eq!(rig.status(watch), if speaks { "live" } else { "reconnecting" });
        if speaks {
            assert!(is_trusted(&mut rig, watch));
        }
    }
}

/// Only a page itself says what pages have brought.
#[test]
fn what_a_look_has_listed_is_still_news_on_its_own_page() {
    let mut rig = Rig::with(|config| config.transport = TransportPreference::WebSocket);
    let watch = rig.watch(&newest(SPACE).filter(Message::n.lt(100)).limit(2));
    let ask = rig.asked();
    rig.handshake(&ask, &[record("f", 6), record("e", 5)], Some("c1"), "/socket");
    let socket = rig.asked();
    rig.opened(&socket);
    rig.wait_for_deadline();
    // the first two are gone, of which the socket has said nothing
    let look = rig.asked();
    rig.handshake(&look, &[record("d", 4), record("c", 3)], Some("c2"), "/socket");
    assert_eq!(rig.shown(watch), ["d", "c"]);
    let mut changed = live("d", 4);
    changed["value"]["n"] = json!(300);
    rig.created(&socket, changed);
    let next = rig.asked();
    assert_eq!(next.param("cursor").as_deref(), Some("c1"));
    let mut changed = record("d", 4);
    changed["value"]["n"] = json!(300);
    rig.handshake(&next, &[changed, record("c", 3)], Some("c3"), "/socket");
    let last = rig.asked();
    assert_eq!(last.param("cursor").as_deref(), Some("c3"));
    rig.handshake(&last, &[record("b", 2), record("a", 1)], None, "/socket");
    assert_eq!((rig.shown(watch), rig.status(watch)), (vec!["c".to_owned(), "b".to_owned()], "live"));
}
