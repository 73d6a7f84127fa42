//! A snapshot holds at most 200 records: the rest comes in pages.

use serde_json::{Value, json};
use syncline_core::Query;
use syncline_core::client::TransportPreference;
use syncline_core::client::contrail::Answer;

use crate::rig::{Asked, Message, Rig, SPACE, live, newest, record};

fn page(from: i64, to: i64) -> Vec<Value> {
    (to..from).rev().map(|n| record(&format!("m{n:03}"), n)).collect()
}

fn answer(rig: &mut Rig, asked: &Asked, records: &[Value], cursor: Option<&str>) {
    rig.opened(asked);
    rig.snapshot(asked, records, cursor);
}

#[test]
fn a_query_without_a_limit_gets_all_pages() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    assert_eq!(stream.param("limit").as_deref(), Some("200"));
    answer(&mut rig, &stream, &page(450, 250), Some("c1"));
    assert_eq!((rig.shown(watch).len(), rig.status(watch)), (200, "snapshot"));
    let second = rig.asked();
    assert_eq!(second.param("cursor").as_deref(), Some("c1"));
    // what happens meanwhile is not lost
    rig.created(&stream, live("new", 999));
    answer(&mut rig, &second, &page(250, 50), Some("c2"));
    let third = rig.asked();
    assert_eq!(third.param("cursor").as_deref(), Some("c2"));
    answer(&mut rig, &third, &page(50, 0), None);
    assert_eq!((rig.shown(watch).len(), rig.status(watch)), (451, "live"));
    assert_eq!(rig.open.len(), 1, "the pages are closed, the stream is not");
}

#[test]
fn a_limit_says_how_many_pages() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE).limit(250));
    let stream = rig.asked();
    answer(&mut rig, &stream, &page(450, 250), Some("c1"));
    let second = rig.asked();
    answer(&mut rig, &second, &page(250, 50), Some("c2"));
    assert_eq!((rig.shown(watch).len(), rig.status(watch)), (250, "live"));
    assert!(rig.asks_nothing());
    // the next page is fetched when the window runs out of rows
    for n in (50..250).rev() {
        rig.deleted(&stream, &format!("m{n:03}"));
    }
    let third = rig.asked();
    assert_eq!(third.param("cursor").as_deref(), Some("c2"));
    answer(&mut rig, &third, &page(50, 0), None);
    assert_eq!((rig.shown(watch).len(), rig.status(watch)), (250, "live"));
}

/// Rows of pages that a person has loaded are evicted only after those pages were fetched again.
#[test]
fn loaded_pages_stay_until_they_are_fetched_again() {
    loaded_pages_stay(&newest(SPACE));
    loaded_pages_stay(&newest(SPACE).limit(300));
}

fn loaded_pages_stay(query: &Query<Message>) {
    let mut rig = Rig::new();
    let watch = rig.watch(query);
    let stream = rig.asked();
    answer(&mut rig, &stream, &page(300, 100), Some("c1"));
    let second = rig.asked();
    answer(&mut rig, &second, &page(100, 0), None);
    rig.closed(&stream, None);
    rig.wait_for_deadline();
    let stream = rig.asked();
    // of each page half was deleted meanwhile
    answer(&mut rig, &stream, &page(300, 200), Some("c1"));
    assert_eq!((rig.shown(watch).len(), rig.status(watch)), (300, "snapshot"));
    let second = rig.asked();
    answer(&mut rig, &second, &page(100, 50), None);
    assert_eq!((rig.shown(watch).len(), rig.status(watch)), (150, "live"));
}

/// How a server tells: over an event stream, or over a socket of one of the two kinds.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Events,
    DurableObject,
    InMemory,
}

const SHAPES: [Shape; 3] = [Shape::Events, Shape::DurableObject, Shape::InMemory];

impl Shape {
    fn rig(self) -> Rig {
        Rig::with(|config| {
            if !matches!(self, Self::Events) {
                config.transport = TransportPreference::WebSocket;
            }
        })
    }

    /// Begins with this first page, up to the line that live events come by.
    fn begin(self, rig: &mut Rig, records: &[Value], cursor: Option<&str>) -> Asked {
        let asked = rig.asked();
        if let Self::Events = self {
            answer(rig, &asked, records, cursor);
            return asked;
        }
        rig.handshake(&asked, records, cursor, "/socket");
        let socket = rig.asked_for(Answer::Socket);
        rig.opened(&socket);
        if let Self::InMemory = self {
            // it says all of its first page again
            rig.snapshot(&socket, records, cursor);
        }
        socket
    }

    /// The next page, asked for with this cursor.
    fn page(self, rig: &mut Rig, asked_with: &str, records: &[Value], cursor: Option<&str>) {
        let asked = rig.asked();
        assert_eq!(asked.param("cursor").as_deref(), Some(asked_with), "{self:?}");
        match asked.call.answer {
            Answer::Json => rig.handshake(&asked, records, cursor, "/socket"),
            _ => answer(rig, &asked, records, cursor),
        }
    }
}

#[test]
fn every_shape_pages_on_and_fills_its_window_up() {
    for shape in SHAPES {
        let mut rig = shape.rig();
        let watch = rig.watch(&newest(SPACE).limit(250));
        let line = shape.begin(&mut rig, &page(450, 250), Some("c1"));
        shape.page(&mut rig, "c1", &page(250, 50), Some("c2"));
        assert_eq!((rig.shown(watch).len(), rig.status(watch)), (250, "live"), "{shape:?}");
        assert!(rig.asks_nothing());
        rig.created(&line, live("new", 999));
        assert_eq!((rig.shown(watch).len(), &*rig.shown(watch)[0]), (250, "new"), "{shape:?}");
        for n in (50..250).rev() {
            rig.deleted(&line, &format!("m{n:03}"));
        }
        shape.page(&mut rig, "c2", &page(50, 0), None);
        assert_eq!((rig.shown(watch).len(), rig.status(watch)), (250, "live"), "{shape:?}");
        assert_eq!(rig.open.len(), 1, "{shape:?}: the pages are closed, the line is not");
    }
}

#[test]
fn every_shape_keeps_loaded_pages_until_they_are_fetched_again() {
    for shape in SHAPES {
        let mut rig = shape.rig();
        let watch = rig.watch(&newest(SPACE).limit(300));
        let line = shape.begin(&mut rig, &page(300, 100), Some("c1"));
        shape.page(&mut rig, "c1", &page(100, 0), None);
        rig.closed(&line, None);
        rig.wait_for_deadline();
        // of each page half was deleted meanwhile
        shape.begin(&mut rig, &page(300, 200), Some("c1"));
        assert_eq!(rig.shown(watch).len(), 300, "{shape:?}");
        shape.page(&mut rig, "c1", &page(100, 50), None);
        assert_eq!((rig.shown(watch).len(), rig.status(watch)), (150, "live"), "{shape:?}");
    }
}

#[test]
fn a_live_event_does_not_end_a_snapshot() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    answer(&mut rig, &stream, &page(3, 0), None);
    rig.event(&stream, "snapshot.start", json!({}));
    rig.created(&stream, live("new", 10));
    assert_eq!(rig.shown(watch), ["new", "m002", "m001", "m000"]);
    rig.event(&stream, "snapshot.record", json!({"record": record("m001", 1)}));
    rig.event(&stream, "snapshot.end", json!({}));
    assert_eq!(rig.shown(watch), ["new", "m001"]);
}

#[test]
fn deletions_between_the_pages_count() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    answer(&mut rig, &stream, &page(20, 10), Some("c1"));
    let second = rig.asked();
    rig.deleted(&stream, "m015");
    answer(&mut rig, &second, &page(10, 0), None);
    assert_eq!(rig.shown(watch).len(), 19);
}

#[test]
fn a_service_that_goes_in_circles_is_left() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    answer(&mut rig, &stream, &page(20, 10), Some("c1"));
    let second = rig.asked();
    answer(&mut rig, &second, &page(20, 10), Some("c2"));
    assert!(rig.asks_nothing());
    assert_eq!((rig.shown(watch).len(), rig.status(watch)), (10, "live"));
}

#[test]
fn a_page_that_fails_is_a_failure_of_the_stream() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    answer(&mut rig, &stream, &page(20, 10), Some("c1"));
    let second = rig.asked();
    rig.closed(&second, None);
    assert_eq!((rig.status(watch), rig.shown(watch).len(), rig.open.len()), ("reconnecting", 10, 0));
}

/// Rows beyond the window are not kept without end, and fetched again when they are needed.
#[test]
fn the_reserve_behind_a_window_is_bounded() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE).limit(2));
    let stream = rig.asked();
    answer(&mut rig, &stream, &page(2, 0), None);
    for n in 0..1_200 {
        rig.created(&stream, live(&format!("n{n:04}"), 1_000 + n));
    }
    assert_eq!(rig.shown(watch), ["n1199", "n1198"]);
    assert!(rig.core.row::<Message>(&SPACE.into(), record("m000", 0)["uri"].as_str().unwrap()).is_err());
    for n in (0..1_200).rev() {
        rig.deleted(&stream, &format!("n{n:04}"));
        if !rig.asks_nothing() {
            break;
        }
    }
    let again = rig.asked();
    assert_eq!(again.param("cursor"), None);
    answer(&mut rig, &again, &page(2, 0), None);
    assert_eq!((rig.shown(watch), rig.status(watch)), (vec!["m001".to_owned(), "m000".to_owned()], "live"));
}

/// A browser has six connections to a host: four streams, and one page at a time.
#[test]
fn pages_of_several_streams_come_one_at_a_time() {
    let mut rig = Rig::new();
    let queries = (0..4).map(|n| newest(SPACE).filter(Message::n.ge(n)));
    let watches: Vec<_> = queries.map(|query| (rig.watch(&query), rig.asked())).collect();
    for (_, stream) in &watches {
        rig.opened(stream);
        rig.snapshot(stream, &page(20, 10), Some("c1"));
    }
    assert_eq!(rig.open.len(), 5);
    // the second of those that wait is not looked at any more
    rig.core.unwatch(rig.now, watches[2].0);
    rig.drain();
    for _ in 0..2 {
        let next = rig.asked();
        answer(&mut rig, &next, &page(10, 5), None);
    }
    let last = rig.asked();
    // and one that fails holds nobody up
    rig.closed(&last, None);
    assert!(rig.asks_nothing());
    let live = watches.iter().filter(|(watch, _)| rig.status(*watch) == "live").count();
    assert_eq!((live, rig.status(watches[3].0)), (2, "reconnecting"));
}
