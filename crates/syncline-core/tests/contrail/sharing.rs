//! What several clients or lists have in common: a browser's connections, and the rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use serde_json::json;
use syncline_core::Record;
use syncline_core::client::TransportPreference;
use syncline_core::client::contrail::{Allowance, Answer};

use crate::rig::{Message, Reaction, Rig, SPACE, live, newest, record};

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn sharing(allowance: &Allowance, transport: TransportPreference) -> Rig {
    Rig::with(|config| {
        config.transport = transport;
        config.contrail.as_mut().unwrap().allowance = allowance.clone();
    })
}

fn answers(rig: &Rig) -> Vec<Answer> {
    rig.open.iter().map(|asked| asked.call.answer).collect()
}

#[test]
fn four_event_streams_for_all_clients_of_a_page() {
    let page = Allowance::default();
    let mut rigs = [(); 2].map(|()| sharing(&page, TransportPreference::Auto));
    for rig in &mut rigs {
        for limit in 1..=3 {
            rig.watch(&newest(SPACE).limit(limit));
        }
    }
    let (sse, ws) = (Answer::Events, Answer::Json);
    assert_eq!((answers(&rigs[0]), answers(&rigs[1])), (vec![sse; 3], vec![sse, ws, ws]));
    // a client that is gone needs none any more
    let [first, mut second] = rigs;
    drop(first);
    second.watch(&newest(SPACE).limit(9));
    assert_eq!(answers(&second), [sse, ws, ws, sse]);
}

#[test]
fn a_stream_that_waits_begins_when_another_client_ends_one() {
    let page = Allowance::new(1);
    let [mut first, mut second] = [(); 2].map(|()| sharing(&page, TransportPreference::Sse));
    let watch = first.watch(&newest(SPACE));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(!second.core.may_begin(&waker), "it waits for nothing");
    second.watch(&newest(SPACE));
    assert!(second.asks_nothing() && !second.core.may_begin(&waker) && !second.core.may_begin(&waker));
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    // one that is lost is free for others until it begins again
    let stream = first.asked();
    first.closed(&stream, None);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(second.core.may_begin(&waker));
    second.wait(std::time::Duration::ZERO);
    assert_eq!(answers(&second), [Answer::Events]);
    first.wait_for_deadline();
    assert!(first.open.is_empty() && !first.core.may_begin(&waker));
    first.core.unwatch(first.now, watch);
    first.drain();
    assert!(!first.core.may_begin(&waker), "nobody looks any more");
}

#[test]
fn pages_of_all_clients_come_one_at_a_time() {
    let page = Allowance::default();
    let mut rigs = [(); 2].map(|()| sharing(&page, TransportPreference::Sse));
    for rig in &mut rigs {
        rig.watch(&newest(SPACE));
        let stream = rig.asked();
        rig.opened(&stream);
        rig.snapshot(&stream, &[record("a", 1)], Some("1"));
    }
    let [mut first, mut second] = rigs;
    assert_eq!((first.open.len(), second.open.len()), (2, 1));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(!second.core.may_begin(&waker));
    let rest = first.asked();
    first.opened(&rest);
    first.snapshot(&rest, &[record("b", 0)], None);
    assert!(woken.0.load(Ordering::Relaxed) == 1 && second.core.may_begin(&waker));
    second.wait(std::time::Duration::ZERO);
    assert_eq!(second.asked().param("cursor").as_deref(), Some("1"));
}

/// Two lists, one of all records and one of those with `n` 3, both live.
fn two_lists() -> (Rig, [syncline_core::client::WatchId; 2], [crate::rig::Asked; 2]) {
    let mut rig = Rig::new();
    let lists = [newest(SPACE), newest(SPACE).filter(Message::n.eq(3))].map(|query| {
        let watch = rig.watch(&query);
        let stream = rig.asked();
        rig.opened(&stream);
        rig.snapshot(&stream, &[record("a", 3)], None);
        (watch, stream)
    });
    let (watches, streams) = (lists.clone().map(|(watch, _)| watch), lists.map(|(_, stream)| stream));
    (rig, watches, streams)
}

/// The rows are shared, the streams are not, and neither waits for the other.
#[test]
fn a_record_that_another_stream_changes_leaves_a_list_that_does_not_want_it() {
    let (mut rig, [all, threes], [first, second]) = two_lists();
    rig.created(&first, live("a", 4));
    assert_eq!((rig.shown(all), rig.shown(threes).len()), (vec!["a".into()], 0));
    // it may be back before its own stream has said anything
    rig.created(&first, live("a", 3));
    assert_eq!(rig.shown(threes), ["a"]);
    // and its own stream, which is late, changes nothing in the end
    rig.created(&second, live("a", 4));
    rig.created(&second, live("a", 3));
    assert_eq!((rig.shown(all), rig.shown(threes)), (vec!["a".into()], vec!["a".into()]));
}

#[test]
fn children_may_be_watched_by_themselves_too() {
    let mut rig = Rig::new();
    let messages = rig.core.watch(rig.now, &newest(SPACE).include(Reaction::subject));
    rig.drain();
    let stream = rig.asked();
    rig.opened(&stream);
    let up = Reaction::to("a", "1", "up");
    let mut message = record("a", 1);
    message["reactions"] = json!([up.record()]);
    rig.snapshot(&stream, &[message], None);
    let reactions = rig.core.watch(rig.now, &Reaction::in_space(SPACE));
    rig.drain();
    let own = rig.asked();
    rig.opened(&own);
    // as a record of its own it has the whole reference
    let mut alone = up.record();
    alone["value"]["subject"] = json!({"uri": up.subject, "cid": "bafy"});
    rig.snapshot(&own, &[alone.clone()], None);
    let rows = rig.core.entries::<Reaction>(reactions);
    assert_eq!((&*rows[0].record, rig.error(reactions)), (&up, None));
    assert_eq!(rig.reactions(messages, "a").0, "up");
    // what is wrong with a row is still said
    alone["value"]["emoji"] = json!({"uri": 7});
    rig.created(&own, alone);
    assert_eq!(rig.error(reactions).as_deref(), Some("bad_row"));
}
