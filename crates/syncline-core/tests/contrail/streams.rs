//! Streams: when they are made, what over, how they end, and when they are made again.

use std::time::Duration;

use serde_json::json;
use syncline_core::client::contrail::{Answer, refusal};
use syncline_core::client::{Input, Status, TransportPreference, WatchId};
use syncline_core::{Error, Record, code};

use crate::rig::{BOB, Message, Rig, SPACE, live, newest, record};

#[test]
fn a_query_becomes_a_request() {
    let mut rig = Rig::with(|config| {
        config.contrail.as_mut().unwrap().invite = Some("come in".into());
    });
    let query = Message::in_space("did:plc:alice")
        .filter(Message::n.eq(3).and(Message::rkey.ne("x")))
        .order_by(Message::n)
        .limit(20);
    rig.watch(&query);
    let asked = rig.asked();
    assert_eq!(asked.call.answer, Answer::Events);
    assert!(asked.call.address.as_str().starts_with("xrpc/test.rt.message.watchRecords?"));
    let param = |name| asked.param(name).unwrap_or_default();
    assert_eq!(param("actor"), "did:plc:alice");
    assert_eq!((param("limit"), param("n")), ("20".into(), "3".into()));
    assert_eq!((param("sort"), param("order")), ("n".into(), "asc".into()));
    assert_eq!(param("inviteToken"), "come in");
    assert_eq!((asked.param("spaceUri"), asked.param("rkey"), asked.param("mode")), (None, None, None));
    rig.watch(&newest(SPACE));
    let asked = rig.asked();
    assert_eq!(asked.param("spaceUri").as_deref(), Some(SPACE));
    assert_eq!(asked.param("sort"), None);
}

#[test]
fn secrets_are_not_shown() {
    let mut rig = Rig::with_tickets(|config| {
        config.contrail.as_mut().unwrap().invite = Some("secret-invite".into());
    });
    rig.watch(&newest(SPACE));
    rig.give_ticket("secret-ticket");
    let asked = rig.asked();
    let shown = format!("{asked:?}");
    assert!(!shown.contains("secret-") && shown.contains("ticket=…"), "{shown}");
}

/// What stands in a header never stands in a URL.
#[test]
fn a_bearer_token_is_no_parameter() {
    let mut rig = Rig::with_tickets(|_| {});
    rig.watch(&newest(SPACE));
    let attempt = rig.asking.remove(0);
    let access = syncline_core::client::contrail::Access { ticket: None, bearer: Some("secret".into()) };
    rig.input(Input::Access { attempt, result: Ok(access) });
    let asked = rig.asked();
    assert_eq!(asked.call.bearer.0.as_deref(), Some("secret"));
    assert!(!asked.call.address.as_str().contains("secret") && !format!("{asked:?}").contains("secret"));
}

#[test]
fn four_event_streams_and_then_sockets() {
    let mut rig = Rig::new();
    let watches: Vec<_> = (1..=6).map(|limit| rig.watch(&newest(SPACE).limit(limit))).collect();
    let answers: Vec<_> = rig.open.iter().map(|asked| asked.call.answer).collect();
    let (sse, ws) = (Answer::Events, Answer::Json);
    assert_eq!(answers, [sse, sse, sse, sse, ws, ws]);
    // equal queries share one stream, and the last watch ends it
    let twin = rig.watch(&newest(SPACE).limit(1));
    assert_eq!(rig.open.len(), 6);
    for watch in watches.into_iter().chain([twin]) {
        rig.core.unwatch(rig.now, watch);
        rig.drain();
    }
    assert!(rig.open.is_empty());
    assert_eq!(rig.core.deadline(), None);
}

#[test]
fn where_there_are_no_sockets_streams_wait_for_their_turn() {
    let mut rig = Rig::new();
    let watches: Vec<_> = (1..=5).map(|limit| rig.watch(&newest(SPACE).limit(limit))).collect();
    let handshake = rig.open[4].clone();
    rig.closed(&handshake, Some(refusal(426, b"{}")));
    rig.wait_for_deadline();
    assert_eq!((rig.open.len(), rig.status(watches[4])), (4, "connecting"));
    // it may have been this one query: the next one asks for itself
    let sixth = rig.watch(&newest(SPACE).limit(6));
    let handshake = rig.open[4].clone();
    assert_eq!((handshake.call.answer, handshake.param("limit").as_deref()), (Answer::Json, Some("6")));
    rig.closed(&handshake, Some(refusal(400, br#"{"error":"NotSupported"}"#)));
    rig.wait_for_deadline();
    assert_eq!((rig.open.len(), rig.status(sixth)), (4, "connecting"));
    // and who wants it is given another try
    rig.core.retry_now(rig.now);
    rig.drain();
    assert_eq!(rig.open.len(), 6);
    let sockets = rig.open.split_off(4);
    for asked in sockets {
        rig.closed(&asked, Some(refusal(426, b"{}")));
    }
    rig.wait_for_deadline();
    rig.core.unwatch(rig.now, watches[0]);
    rig.drain();
    assert_eq!(rig.open.len(), 4);
    assert_eq!(rig.open[3].param("limit").as_deref(), Some("5"));
}

#[test]
fn one_failure_is_one_decision() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("a", 1)], None);
    rig.event(&stream, "error", json!({"message": "database is down"}));
    assert_eq!(rig.core.connection().last_error.unwrap().message(), "database is down");
    rig.closed(&stream, None);
    rig.closed(&stream, Some(Error::new(code::CONNECTION, "again")));
    assert_eq!((rig.status(watch), rig.open.len()), ("reconnecting", 0));
    rig.wait_for_deadline();
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("a", 1)], None);
    assert_eq!((rig.status(watch), rig.core.connection().last_error), ("live", None));
}

#[test]
fn waits_grow_and_are_reset_by_a_whole_snapshot() {
    let mut rig = Rig::new();
    rig.watch(&newest(SPACE));
    let mut waits = Vec::new();
    for _ in 0..12 {
        let stream = rig.asked();
        rig.closed(&stream, None);
        waits.push(rig.wait_for_deadline());
    }
    assert!(waits.iter().all(|wait| wait.as_secs() <= 30) && waits.iter().any(|wait| wait.as_secs() > 5));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[], None);
    rig.closed(&stream, None);
    assert!(rig.wait_for_deadline().as_millis() <= 1_000);
}

#[test]
fn refusals_that_stay_refusals_end_it() {
    for (status, code) in
        [(403, "forbidden"), (404, "unknown_space"), (400, "bad_query"), (501, "unsupported_protocol")]
    {
        let mut rig = Rig::new();
        let watch = rig.watch(&newest(SPACE));
        let stream = rig.asked();
        rig.closed(&stream, Some(refusal(status, b"{}")));
        assert_eq!((rig.status(watch), rig.error(watch).as_deref()), ("failed", Some(code)));
        assert_eq!(rig.core.deadline(), None);
        assert_eq!(rig.core.connection().status, Status::Failed, "there is nothing else");
        let other = rig.watch(&newest("ats://did:plc:bob/tools.atmo.event.space/s"));
        assert_eq!(rig.core.connection().status, Status::Connecting);
        rig.core.unwatch(rig.now, other);
        rig.core.unwatch(rig.now, watch);
        assert_eq!(rig.core.connection().status, Status::Idle);
    }
}

#[test]
fn a_bad_ticket_is_replaced_once() {
    let mut rig = Rig::with_tickets(|_| {});
    let watch = rig.watch(&newest(SPACE));
    rig.give_ticket("old");
    let stream = rig.asked();
    rig.closed(&stream, Some(refusal(401, b"{}")));
    rig.wait_for_deadline();
    rig.give_ticket("new");
    let stream = rig.asked();
    rig.closed(&stream, Some(refusal(401, b"{}")));
    assert_eq!((rig.status(watch), rig.core.deadline()), ("needs-auth", None));
    rig.core.refresh_credentials(rig.now);
    rig.drain();
    rig.give_ticket("good");
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[], None);
    assert_eq!(rig.status(watch), "live");
}

#[test]
fn a_ticket_that_does_not_come_is_a_failure() {
    let mut rig = Rig::with_tickets(|_| {});
    let watch = rig.watch(&newest(SPACE));
    assert_eq!(rig.wait_for_deadline().as_secs(), 10);
    assert_eq!((rig.status(watch), rig.asking.len()), ("reconnecting", 0));
    rig.wait_for_deadline();
    let attempt = rig.asking[0];
    rig.input(Input::Access { attempt, result: Err(Error::new(code::CONNECTION, "no ticket")) });
    assert_eq!((rig.status(watch), rig.open.len()), ("reconnecting", 0));
}

#[test]
fn a_member_that_is_removed_sees_nothing_more() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE).limit(3));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("a", 1)], None);
    rig.event(&stream, "member.removed", json!({"space": SPACE, "did": "did:plc:me"}));
    rig.closed(&stream, None);
    assert_eq!((rig.status(watch), rig.error(watch).as_deref()), ("failed", Some("forbidden")));
    assert!(rig.shown(watch).is_empty() && rig.open.is_empty());
    assert_eq!(rig.core.deadline(), None);
}

#[test]
fn a_socket_is_looked_for_on_its_own_server_only() {
    for url in ["wss://evil.example/x?ticket=t", "//evil.example/x", "/\\evil.example", "socket", ""] {
        let mut rig = Rig::with(|config| config.transport = TransportPreference::WebSocket);
        let watch = rig.watch(&newest(SPACE));
        let ask = rig.asked();
        rig.handshake(&ask, &[], None, url);
        assert!(rig.open.is_empty(), "{url}");
        assert_eq!(rig.status(watch), "reconnecting");
    }
}

/// The first page comes whole and as one answer, as a later one does.
#[test]
fn a_handshake_that_takes_long_to_come_is_waited_for_as_any_page() {
    let mut rig = Rig::with(|config| config.transport = TransportPreference::WebSocket);
    let watch = rig.watch(&newest(SPACE));
    let ask = rig.asked();
    rig.wait(Duration::from_secs(29));
    assert_eq!((rig.open.len(), rig.status(watch)), (1, "connecting"));
    rig.handshake(&ask, &[record("a", 1)], None, "/socket");
    rig.asked();
    // the socket itself brings nothing
    assert_eq!(rig.wait_for_deadline().as_secs(), 10);
    assert_eq!((rig.open.len(), rig.status(watch)), (0, "reconnecting"));
    rig.wait_for_deadline();
    rig.asked();
    assert_eq!(rig.wait_for_deadline().as_secs(), 30);
    assert_eq!((rig.open.len(), rig.status(watch)), (0, "reconnecting"));
}

#[test]
fn an_error_is_forgotten_with_the_last_stream_that_is_not_well() {
    let mut rig = Rig::new();
    let watches: Vec<_> = (1..=3).map(|limit| rig.watch(&newest(SPACE).limit(limit))).collect();
    let streams = rig.open.clone();
    for stream in &streams {
        rig.opened(stream);
        rig.snapshot(stream, &[record("a", 1)], None);
    }
    for stream in &streams[..2] {
        rig.closed(stream, Some(Error::new(code::CONNECTION, "gone")));
    }
    rig.core.unwatch(rig.now, watches[0]);
    rig.drain();
    let state = rig.core.connection();
    assert_eq!((state.status, state.last_error.is_some()), (Status::Reconnecting, true));
    rig.core.unwatch(rig.now, watches[1]);
    rig.drain();
    let state = rig.core.connection();
    assert_eq!((state.status, state.last_error), (Status::Live, None));
}

#[test]
fn the_error_of_a_list_that_has_failed_outlasts_the_end_of_another() {
    let mut rig = Rig::new();
    let refused = rig.watch(&newest(SPACE).limit(1));
    let stream = rig.asked();
    let well = rig.watch(&newest(SPACE).limit(2));
    rig.closed(&stream, Some(refusal(403, b"{}")));
    rig.core.unwatch(rig.now, well);
    rig.drain();
    let state = rig.core.connection();
    assert_eq!((state.status, rig.error(refused).as_deref()), (Status::Failed, Some("forbidden")));
    assert_eq!(state.last_error.unwrap().code(), "forbidden");
}

/// A list of two is refused, and the other one is live.
fn one_of_two_refused(is_refused_first: bool) -> (Rig, [WatchId; 2]) {
    let mut rig = Rig::new();
    let watches = [1, 2].map(|limit| rig.watch(&newest(SPACE).limit(limit)));
    let streams = rig.open.clone();
    let refuse = |rig: &mut Rig| rig.closed(&streams[0], Some(refusal(403, b"{}")));
    if is_refused_first {
        refuse(&mut rig);
    }
    rig.opened(&streams[1]);
    rig.snapshot(&streams[1], &[record("a", 1)], None);
    if !is_refused_first {
        refuse(&mut rig);
    }
    (rig, watches)
}

#[test]
fn the_error_of_a_list_that_has_failed_is_there_as_long_as_the_list() {
    for is_refused_first in [true, false] {
        let (mut rig, [refused, well]) = one_of_two_refused(is_refused_first);
        assert_eq!((rig.status(refused), rig.status(well)), ("failed", "live"));
        assert_eq!(
            rig.core.connection().last_error.map(|error| error.code().to_owned()),
            Some("forbidden".into())
        );
        rig.core.unwatch(rig.now, refused);
        rig.drain();
        let state = rig.core.connection();
        assert_eq!((state.status, state.last_error), (Status::Live, None));
    }
}

#[test]
fn the_error_of_a_list_that_has_failed_is_said_again_when_the_others_are_well() {
    let (mut rig, _) = one_of_two_refused(true);
    let well = rig.open[0].clone();
    rig.closed(&well, None);
    rig.wait_for_deadline();
    let again = rig.asked();
    rig.opened(&again);
    rig.snapshot(&again, &[record("a", 1)], None);
    let error = rig.core.connection().last_error.map(|error| error.code().to_owned());
    assert_eq!(error, Some("forbidden".into()));
}

#[test]
fn the_error_of_a_list_that_has_failed_is_not_for_somebody_else() {
    let (mut rig, _) = one_of_two_refused(false);
    rig.core.set_identity(rig.now, Some(BOB.into()));
    rig.drain();
    assert_eq!(rig.core.connection().last_error, None);
}

/// What a Durable Object replays since the handshake, and what the in-memory server sends anew.
#[test]
fn both_kinds_of_socket_end_in_the_same_rows() {
    let socket_of = |rig: &mut Rig| {
        rig.watch(&newest(SPACE));
        let ask = rig.asked();
        rig.handshake(&ask, &[record("b", 2), record("a", 1)], None, "/socket");
        let socket = rig.asked();
        assert_eq!(socket.call.bearer.0, None);
        rig.opened(&socket);
        socket
    };
    let sockets =
        |config: &mut syncline_core::client::Config| config.transport = TransportPreference::WebSocket;
    let mut durable = Rig::with(sockets);
    let watch = durable.core.watch(durable.now, &newest(SPACE));
    let socket = socket_of(&mut durable);
    let mut gap = live("gap", 3);
    gap["record"] = gap["value"].take();
    gap.as_object_mut().unwrap().remove("value");
    durable.created(&socket, gap);
    durable.deleted(&socket, "a");
    assert_eq!(
        (durable.shown(watch), durable.status(watch)),
        (vec!["gap".to_owned(), "b".to_owned()], "live")
    );

    let mut memory = Rig::with(sockets);
    let watch = memory.core.watch(memory.now, &newest(SPACE));
    let socket = socket_of(&mut memory);
    memory.snapshot(&socket, &[record("gap", 3), record("b", 2)], None);
    assert_eq!((memory.shown(watch), memory.status(watch)), (vec!["gap".to_owned(), "b".to_owned()], "live"));
}

#[test]
fn nonsense_is_a_failure_and_no_panic() {
    for text in ["hello", "{}", "[]", r#"{"kind":"snapshot.record","data":{"record":7}}"#] {
        let mut rig = Rig::new();
        let watch = rig.watch(&newest(SPACE));
        let stream = rig.asked();
        rig.opened(&stream);
        rig.frame(&stream, text);
        assert_eq!((rig.status(watch), rig.open.len()), ("reconnecting", 0), "{text}");
    }
    // a record that is no message of ours is left out, and said
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    let stream = rig.asked();
    rig.opened(&stream);
    let mut strange = record("strange", 5);
    strange["value"] = json!({"text": 7});
    rig.snapshot(&stream, &[record("a", 1), strange], None);
    assert_eq!((rig.shown(watch), rig.status(watch)), (vec!["a".to_owned()], "live"));
    assert_eq!(rig.error(watch).as_deref(), Some("bad_row"));
}

#[test]
fn the_application_cannot_write_here() {
    let mut rig = Rig::new();
    rig.core.register::<Message>();
    let op = syncline_core::ops::RowOp::put(&Message::of("did:plc:alice", "k", "hi")).unwrap();
    let ops = syncline_core::ops::RowOps { ops: vec![op] };
    let refused = rig.core.write_rows(rig.now, &SPACE.into(), &ops).unwrap_err();
    assert_eq!(refused.code(), code::BAD_WRITE);
    assert!(refused.message().contains("add_optimistic"));
}

#[test]
fn the_persons_switch_closes_everything() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE).limit(3));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("a", 1)], None);
    rig.core.set_enabled(rig.now, false);
    rig.drain();
    assert_eq!((rig.status(watch), rig.open.len(), rig.core.deadline()), ("closed", 0, None));
    assert_eq!(rig.shown(watch), ["a"]);
    rig.core.set_enabled(rig.now, true);
    rig.drain();
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("b", 2)], None);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["b".to_owned()]));
    rig.core.close(rig.now);
    rig.drain();
    assert_eq!((rig.open.len(), rig.core.deadline()), (0, None));
}

#[test]
fn progress_shows() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE).limit(50));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.event(&stream, "snapshot.start", json!({}));
    for n in 0..7 {
        rig.event(&stream, "snapshot.record", json!({"record": record(&format!("m{n}"), n)}));
    }
    let status = rig.core.watch_state(watch).status;
    assert_eq!(status, syncline_core::client::Status::Snapshot { done: 7, total: 50 });
    assert!(rig.shown(watch).is_empty(), "shown at once, when it is complete");
}
