//! What contrail's servers and its own client are known to get wrong, one test each.

use std::time::Duration;

use serde_json::json;
use syncline_core::client::contrail::record_uri;
use syncline_core::ops::Put;
use syncline_core::{Entry, Record as _, RowState};

use crate::rig::{ALICE, BOB, Message, NSID, Rig, SPACE, TIME_MS, live, newest, record};

/// `time_us` is ms in snapshots and µs in live events.
#[test]
fn times_in_two_units_sort_as_one() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("b", 20), record("a", 10)], None);
    rig.created(&stream, live("between", 15));
    rig.created(&stream, live("new", 30));
    assert_eq!(rig.shown(watch), ["new", "b", "between", "a"]);
    // what came live comes again in a snapshot, in the other unit, and stays where it is
    rig.snapshot(
        &stream,
        &[record("new", 30), record("b", 20), record("between", 15), record("a", 10)],
        None,
    );
    assert_eq!(rig.shown(watch), ["new", "b", "between", "a"]);
}

/// A browser's own retry asks again with the same URL and ticket, and the status stays `live`.
#[test]
fn every_attempt_has_a_ticket_of_its_own() {
    let mut rig = Rig::with_tickets(|_| {});
    let watch = rig.watch(&newest(SPACE));
    assert!(rig.asks_nothing(), "nothing goes out without a ticket");
    rig.give_ticket("first");
    let stream = rig.asked();
    assert_eq!(stream.param("ticket").as_deref(), Some("first"));
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("a", 1)], None);
    rig.closed(&stream, None);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("reconnecting", vec!["a".to_owned()]));
    rig.wait_for_deadline();
    rig.give_ticket("second");
    assert_eq!(rig.asked().param("ticket").as_deref(), Some("second"));
}

/// Live events come for every record of the collection, whatever the query asks for.
#[test]
fn live_events_obey_the_filter() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE).filter(Message::n.lt(100)));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("a", 10)], None);
    rig.created(&stream, live("late", 200));
    assert_eq!(rig.shown(watch), ["a"]);
    // and what stops to match leaves
    let mut changed = live("a", 10);
    changed["value"]["n"] = json!(300);
    rig.created(&stream, changed);
    assert!(rig.shown(watch).is_empty());
}

#[test]
fn live_events_obey_the_limit() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE).limit(2));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("b", 20), record("a", 10)], None);
    rig.created(&stream, live("c", 30));
    assert_eq!(rig.shown(watch), ["c", "b"]);
    // a window: what leaves it is replaced by the next one
    rig.deleted(&stream, "b");
    assert_eq!(rig.shown(watch), ["c", "a"]);
}

/// Their store forgets its rows when it is stopped.
#[test]
fn rows_stay_when_a_watch_is_stopped() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE).limit(5));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("b", 20), record("a", 10)], None);
    rig.core.stop(rig.now, watch);
    rig.drain();
    assert!(rig.open.is_empty(), "nothing stays open");
    assert_eq!((rig.status(watch), rig.shown(watch)), ("closed", vec!["b".to_owned(), "a".to_owned()]));
}

/// Theirs cannot be started again.
#[test]
fn a_stopped_watch_starts_again() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE).limit(5));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("b", 20), record("a", 10)], None);
    rig.core.stop(rig.now, watch);
    rig.core.start(rig.now, watch);
    rig.drain();
    let stream = rig.asked();
    assert_eq!(rig.shown(watch), ["b", "a"]);
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("c", 30), record("a", 10)], None);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["c".to_owned(), "a".to_owned()]));
}

/// Their client never evicts over a socket: what was deleted while it was away stays for ever.
#[test]
fn a_socket_evicts_what_was_not_sent_again() {
    let mut rig =
        Rig::with(|config| config.transport = syncline_core::client::TransportPreference::WebSocket);
    let watch = rig.watch(&newest(SPACE));
    let ask = rig.asked();
    rig.handshake(&ask, &[record("b", 20), record("a", 10)], None, "/socket?ticket=t1");
    let socket = rig.asked();
    rig.opened(&socket);
    rig.closed(&socket, None);
    rig.wait_for_deadline();
    let ask = rig.asked();
    rig.handshake(&ask, &[record("b", 20)], None, "/socket?ticket=t2");
    assert_eq!(rig.shown(watch), ["b", "a"], "not before the snapshot is complete");
    let socket = rig.asked();
    rig.opened(&socket);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["b".to_owned()]));
}

#[test]
fn an_optimistic_row_stands_wherever_a_service_has_a_space() {
    let mut rig = Rig::new();
    let space = format!("ats://did:web:localhost%3A3000/tools.atmo.event.space/{}", "s".repeat(120));
    let watch = rig.watch(&newest(&space));
    rig.core
        .add_optimistic(rig.now, &space.into(), Put::new(&Message::of(ALICE, "k", "mine")).unwrap())
        .unwrap();
    assert_eq!(rig.shown(watch), ["k?"]);
}

/// Theirs takes anybody's record with the same `rkey` for the one that was waited for.
#[test]
fn an_optimistic_row_waits_for_its_own_author() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[], None);
    rig.core
        .add_optimistic(rig.now, &SPACE.into(), Put::new(&Message::of(ALICE, "k", "mine")).unwrap())
        .unwrap();
    let mut theirs = live("k", 5);
    (theirs["uri"], theirs["did"]) = (json!(record_uri(BOB, NSID, "k")), json!(BOB));
    rig.created(&stream, theirs);
    assert_eq!(rig.shown(watch), ["k?", "k"]);
    rig.created(&stream, live("k", 1));
    assert_eq!(rig.shown(watch), ["k", "k"]);
    let texts = rig.core.entries::<Message>(watch).into_iter().map(|entry| entry.record.did.clone());
    assert_eq!(texts.collect::<Vec<_>>(), [BOB, ALICE]);
}

/// What the application writes by its own means may fail, or be taken back.
#[test]
fn an_optimistic_row_may_fail_or_go() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[], None);
    let space = SPACE.into();
    for rkey in ["a", "b"] {
        rig.core
            .add_optimistic(rig.now, &space, Put::new(&Message::of(ALICE, rkey, "mine")).unwrap())
            .unwrap();
    }
    let [a, b] = ["a", "b"].map(|rkey| record_uri(ALICE, NSID, rkey));
    let why = syncline_core::Error::new("refused", "no");
    assert!(rig.core.mark_failed(rig.now, &space, Message::COLLECTION, &a, why.clone()));
    assert_eq!(rig.shown(watch), ["b?", "a!"]);
    assert!(rig.core.remove_optimistic(rig.now, &space, Message::COLLECTION, &b));
    // tried again, and it comes
    assert_eq!(rig.core.retry(rig.now, &space, Message::COLLECTION, &a).len(), 1);
    assert_eq!(rig.shown(watch), ["a?"]);
    rig.created(&stream, live("a", 1));
    assert_eq!(rig.shown(watch), ["a"]);
}

/// Every connection sends all records again: those that are what they were say nothing of an edit.
#[test]
fn an_optimistic_edit_waits_for_news_of_its_record() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("b", 2), record("a", 1)], None);
    let space = SPACE.into();
    for rkey in ["a", "b"] {
        let edited = Message { time_us: (TIME_MS + 1) * 1000, ..Message::of(ALICE, rkey, "edited") };
        rig.core.add_optimistic(rig.now, &space, Put::new(&edited).unwrap()).unwrap();
    }
    let b = record_uri(ALICE, NSID, "b");
    let why = syncline_core::Error::new("refused", "no");
    assert!(rig.core.mark_failed(rig.now, &space, Message::COLLECTION, &b, why));
    let edits = ["a?", "b!"];
    let shown = |rig: &mut Rig| {
        let mut shown = rig.shown(watch);
        shown.sort();
        shown
    };
    assert_eq!(shown(&mut rig), edits);
    rig.closed(&stream, None);
    rig.wait_for_deadline();
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("b", 2), record("a", 1)], None);
    assert_eq!(shown(&mut rig), edits);
    let mut news = live("a", 1);
    news["value"]["text"] = json!("edited");
    rig.created(&stream, news);
    assert_eq!(shown(&mut rig), ["a", "b!"]);
    // and whoever tries again waits for something newer than what is there now
    assert_eq!(rig.core.retry(rig.now, &space, Message::COLLECTION, &b).len(), 1);
    rig.created(&stream, live("b", 2));
    assert_eq!(shown(&mut rig), ["a", "b?"]);
    rig.deleted(&stream, "b");
    assert_eq!(shown(&mut rig), ["a"]);
}

/// Events say what was done, one after the other: the first edit's own is not the second one's, which would else be taken
/// back until its own comes.
#[test]
fn each_edit_of_a_record_waits_for_its_own_event() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let first = rig.asked();
    let beside = rig.watch(&newest(SPACE).limit(5));
    let streams = [first, rig.asked()];
    for stream in &streams {
        rig.opened(stream);
        rig.snapshot(stream, &[record("a", 1)], None);
    }
    let space = SPACE.into();
    let edit = |rig: &mut Rig, text: &str| {
        let edited = Message { time_us: (TIME_MS + 1) * 1000, ..Message::of(ALICE, "a", text) };
        rig.core.add_optimistic(rig.now, &space, Put::new(&edited).unwrap()).unwrap();
    };
    let texts = |rig: &mut Rig| {
        let entries = rig.core.entries::<Message>(watch);
        let is_pending = |entry: &Entry<Message>| entry.state != RowState::Confirmed;
        entries.iter().map(|entry| (entry.record.text.clone(), is_pending(entry))).collect::<Vec<_>>()
    };
    let event = |text: &str| {
        let mut event = live("a", 1);
        event["value"]["text"] = json!(text);
        event
    };
    for text in ["one", "two", "three"] {
        edit(&mut rig, text);
    }
    assert_eq!(texts(&mut rig), [("three".to_owned(), true)]);
    // the same event on both streams is one
    for text in ["one", "two"] {
        for stream in &streams {
            rig.created(stream, event(text));
            assert_eq!(texts(&mut rig), [("three".to_owned(), true)], "{text}");
        }
    }
    rig.created(&streams[0], event("three"));
    assert_eq!(texts(&mut rig), [("three".to_owned(), false)]);
    // a service may say once what was done twice: nobody waits for ever for what does not come
    for text in ["four", "four", "five"] {
        edit(&mut rig, text);
    }
    rig.created(&streams[0], event("four"));
    rig.created(&streams[0], event("five"));
    assert_eq!(texts(&mut rig), [("five".to_owned(), true)]);
    assert_eq!(rig.wait_for_deadline(), Duration::from_secs(10));
    assert_eq!(texts(&mut rig), [("five".to_owned(), false)]);
    // but one that has failed keeps its error
    edit(&mut rig, "right");
    edit(&mut rig, "wrong");
    rig.created(&streams[0], event("right"));
    let (a, why) = (record_uri(ALICE, NSID, "a"), syncline_core::Error::new("refused", "no"));
    assert!(rig.core.mark_failed(rig.now, &space, Message::COLLECTION, &a, why));
    rig.wait(Duration::from_secs(11));
    assert_eq!(rig.shown(watch), ["a!"]);
    assert!(rig.core.remove_optimistic(rig.now, &space, Message::COLLECTION, &a));
    // what a new connection begins with is how the record is after all of them
    edit(&mut rig, "six");
    edit(&mut rig, "seven");
    rig.closed(&streams[0], None);
    rig.wait_for_deadline();
    let stream = rig.asked();
    rig.opened(&stream);
    let mut seven = record("a", 1);
    seven["value"]["text"] = json!("seven");
    rig.snapshot(&stream, &[seven], None);
    assert_eq!(texts(&mut rig), [("seven".to_owned(), false)]);
    assert_eq!(rig.shown(beside), ["a"]);
}

/// A record may come twice, and may be deleted without ever having been there.
#[test]
fn events_may_come_twice_or_for_nothing() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("a", 10), record("a", 10)], None);
    rig.created(&stream, live("a", 10));
    rig.deleted(&stream, "never");
    assert_eq!(rig.shown(watch), ["a"]);
    rig.deleted(&stream, "a");
    rig.deleted(&stream, "a");
    assert!(rig.shown(watch).is_empty());
}

/// A socket gives no sign of life: the snapshot is asked for again, and shows what the socket should have told.
#[test]
fn a_socket_that_has_died_is_noticed() {
    let mut rig =
        Rig::with(|config| config.transport = syncline_core::client::TransportPreference::WebSocket);
    let watch = rig.watch(&newest(SPACE));
    let ask = rig.asked();
    rig.handshake(&ask, &[record("a", 10)], None, "/socket");
    let socket = rig.asked();
    rig.opened(&socket);
    // all is quiet, and the service has nothing new
    assert_eq!(rig.wait_for_deadline().as_secs(), 60);
    let probe = rig.asked();
    rig.handshake(&probe, &[record("a", 10)], None, "/socket");
    assert_eq!((rig.status(watch), rig.open.len()), ("live", 1));
    // it has, and the socket said nothing: the row shows, and the socket has five seconds to tell
    assert_eq!(rig.wait_for_deadline().as_secs(), 60);
    let probe = rig.asked();
    rig.handshake(&probe, &[record("b", 20), record("a", 10)], None, "/socket");
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["b".to_owned(), "a".to_owned()]));
    assert_eq!(rig.wait_for_deadline().as_secs(), 5);
    assert_eq!((rig.status(watch), rig.open.len()), ("reconnecting", 0));
}

#[test]
fn a_socket_that_was_only_slow_stays() {
    let mut rig =
        Rig::with(|config| config.transport = syncline_core::client::TransportPreference::WebSocket);
    let watch = rig.watch(&newest(SPACE));
    let ask = rig.asked();
    rig.handshake(&ask, &[record("a", 10)], None, "/socket");
    let socket = rig.asked();
    rig.opened(&socket);
    rig.wait_for_deadline();
    let probe = rig.asked();
    rig.handshake(&probe, &[record("b", 20), record("a", 10)], None, "/socket");
    rig.created(&socket, live("b", 20));
    assert_eq!(rig.wait_for_deadline().as_secs(), 60);
    assert_eq!(rig.status(watch), "live");
}

/// One that keeps alive is believed; one that does not is not.
#[test]
fn silence_ends_an_event_stream() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("a", TIME_MS)], None);
    for _ in 0..10 {
        rig.wait(std::time::Duration::from_secs(15));
        rig.frame(&stream, "");
    }
    assert_eq!(rig.status(watch), "live");
    assert_eq!(rig.wait_for_deadline().as_secs(), 45);
    assert_eq!(rig.status(watch), "reconnecting");
}
