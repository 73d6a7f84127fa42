//! The connection: made when needed, known dead when it is, tried again with patience.

use std::time::Duration;

use serde_json::json;
use syncline_core::client::{Input, Output, Status, Transport, TransportPreference};
use syncline_core::{Error, code};

use crate::rig::{Rig, Todo, all, open};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn connects_when_something_is_watched_and_lets_go_after_the_last() {
    let mut rig = Rig::new();
    assert!(rig.drain().is_empty());
    assert_eq!(rig.core.connection().status, Status::Idle);
    let watch = rig.watch(&all());
    assert_eq!(rig.opened(), [Transport::WebSocket]);
    rig.connect();
    assert_eq!(rig.core.connection().status, Status::Live);
    rig.core.unwatch(rig.now, watch);
    assert!(rig.sent().iter().any(|frame| frame.get("unsubscribe").is_some()));
    assert!(rig.wait_for_deadline() <= secs(2));
    assert!(rig.drain().iter().any(|output| matches!(output, Output::Close { .. })));
    assert_eq!(rig.core.connection().status, Status::Idle);
    assert_eq!(rig.core.deadline(), None);
}

#[test]
fn a_connection_used_again_within_the_linger_stays() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.core.unwatch(rig.now, watch);
    rig.wait(secs(1));
    rig.watch(&all());
    rig.wait(secs(3));
    assert!(!rig.drain().iter().any(|output| matches!(output, Output::Close { .. })));
}

#[test]
fn many_signs_of_one_failure_are_one_reconnect() {
    let mut rig = Rig::new();
    rig.watch(&all());
    rig.connect();
    let attempt = rig.attempt;
    rig.drain();
    for _ in 0..3 {
        rig.input(Input::Closed { attempt, error: None });
    }
    assert_eq!(rig.drain().iter().filter(|output| matches!(output, Output::Close { .. })).count(), 1);
    rig.wait_for_deadline();
    assert_eq!(rig.opened().len(), 1);
    rig.input(Input::Frame { attempt, bytes: b"{\"pong\":1}" });
    rig.input(Input::Opened { attempt });
    assert!(rig.sent().is_empty(), "the old connection is of no concern any more");
}

#[test]
fn a_silent_connection_is_asked_and_then_given_up() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[]);
    rig.drain();
    assert_eq!(rig.wait_for_deadline(), secs(30));
    assert_eq!(rig.sent(), [json!({"ping": 1})]);
    assert_eq!(rig.wait_for_deadline(), secs(10));
    assert_eq!(rig.status(watch), "reconnecting");
    assert_eq!(rig.core.connection().last_error.unwrap().code(), "timeout");
}

#[test]
fn an_answer_keeps_it() {
    let mut rig = Rig::new();
    rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[]);
    for number in 1..5 {
        rig.drain();
        rig.wait_for_deadline();
        assert_eq!(rig.sent(), [json!({"ping": number})]);
        rig.server(json!({"pong": number}));
    }
    assert_eq!(rig.core.connection().status, Status::Live);
}

#[test]
fn a_server_that_never_says_welcome_is_given_up() {
    let mut rig = Rig::new();
    rig.watch(&all());
    rig.accept();
    assert_eq!(rig.wait_for_deadline(), secs(10));
    assert!(rig.drain().iter().any(|output| matches!(output, Output::Close { .. })));
    assert_eq!(rig.core.connection().status, Status::Reconnecting);
}

#[test]
fn where_websockets_are_refused_streaming_is_tried_at_once_and_remembered() {
    let mut rig = Rig::new();
    rig.watch(&all());
    rig.drain();
    rig.lose();
    assert_eq!(rig.wait_for_deadline(), Duration::ZERO);
    assert_eq!(rig.opened(), [Transport::Sse]);
    rig.connect();
    assert!(rig.drain().iter().any(|output| matches!(output, Output::Remember(Transport::Sse))));
    assert_eq!(rig.core.connection().transport, Some(Transport::Sse));
    rig.lose();
    rig.wait_for_deadline();
    assert_eq!(rig.opened(), [Transport::Sse], "what works is kept");
}

#[test]
fn a_preference_is_obeyed() {
    for (preference, transport) in
        [(TransportPreference::WebSocket, Transport::WebSocket), (TransportPreference::Sse, Transport::Sse)]
    {
        let mut rig = Rig::with(|config| config.transport = preference);
        rig.watch(&all());
        for _ in 0..6 {
            assert_eq!(rig.opened(), [transport]);
            rig.lose();
            rig.wait_for_deadline();
        }
    }
}

#[test]
fn while_the_server_is_away_attempts_grow_rare() {
    let mut rig = Rig::new();
    rig.watch(&all());
    let (start, mut attempts) = (rig.now, 0);
    while rig.now < start + secs(600) {
        attempts += rig.opened().len();
        rig.lose();
        rig.wait_for_deadline();
    }
    assert!((20..120).contains(&attempts), "{attempts} attempts in ten minutes");
}

#[test]
fn gives_up_after_the_attempts_it_was_given_until_told_otherwise() {
    let mut rig = Rig::with(|config| config.backoff.attempts = Some(3));
    let watch = rig.watch(&all());
    for _ in 0..2 {
        rig.drain();
        rig.lose();
        rig.wait_for_deadline();
    }
    rig.drain();
    rig.lose();
    assert_eq!(rig.status(watch), "failed");
    assert_eq!(rig.core.deadline(), None);
    rig.core.retry_now(rig.now);
    assert_eq!(rig.opened().len(), 1);
}

#[test]
fn being_online_again_or_seen_again_does_not_wait() {
    let mut rig = Rig::new();
    rig.watch(&all());
    rig.connect();
    rig.lose();
    rig.drain();
    rig.input(Input::Online(true));
    assert_eq!(rig.opened().len(), 1);
    rig.connect();
    rig.drain();
    rig.input(Input::Visible(true));
    assert_eq!(rig.sent(), [json!({"ping": 1})], "an open connection is looked at");
}

#[test]
fn credentials_are_asked_for_once_and_renewed_in_place_once() {
    let mut rig = Rig::with(|config| config.has_credentials = true);
    rig.watch(&all());
    assert!(matches!(rig.drain()[..], [Output::Credentials, ..]));
    rig.input(Input::Credentials(Ok(Some("one".into()))));
    rig.connect();
    let hello = rig.sent();
    assert!(hello.iter().all(|frame| frame.get("auth").is_none()));
    rig.server(json!({"expired": {}}));
    assert!(rig.drain().iter().any(|output| matches!(output, Output::Credentials)));
    rig.input(Input::Credentials(Ok(Some("two".into()))));
    assert_eq!(rig.sent(), [json!({"auth": {"token": "two"}})]);
    rig.server(json!({"expired": {"error": {"code": "unauthenticated", "message": "no"}}}));
    let outputs = rig.drain();
    assert!(outputs.iter().any(|output| matches!(output, Output::Close { .. })));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Credentials)));
    assert_eq!(rig.core.connection().status, Status::NeedsAuth);
    assert_eq!(rig.core.deadline(), None, "a person is needed");
    rig.core.refresh_credentials(rig.now);
    assert!(rig.drain().iter().any(|output| matches!(output, Output::Credentials)));
}

#[test]
fn the_switch_ends_the_connection_and_brings_it_back() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1)]);
    rig.core.set_enabled(rig.now, false);
    assert_eq!(rig.status(watch), "closed");
    assert_eq!(rig.shown(watch), ["a"]);
    assert_eq!(rig.core.deadline(), None);
    rig.drain();
    rig.core.set_enabled(rig.now, true);
    assert_eq!(rig.opened().len(), 1);
}

#[test]
fn what_cannot_help_is_not_tried_again() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.accept();
    rig.server(json!({"error": {"code": "unsupported_protocol", "message": "too old"}}));
    assert_eq!(rig.status(watch), "failed");
    assert_eq!(rig.core.watch_state(watch).error.unwrap().code(), "unsupported_protocol");
    assert_eq!(rig.core.deadline(), None);
}

#[test]
fn nonsense_from_a_server_is_a_lost_connection_not_a_panic() {
    for bytes in [&b"\xff"[..], b"{", b"[]", b"{\"changes\":1}", b"{\"welcome\":{\"protocol\":\"x\"}}"] {
        let mut rig = Rig::new();
        rig.watch(&all());
        rig.connect();
        let attempt = rig.attempt;
        rig.input(Input::Frame { attempt, bytes });
        assert_eq!(rig.core.connection().status, Status::Reconnecting);
        assert_eq!(rig.core.connection().last_error.unwrap().code(), "bad_frame");
    }
}

#[test]
fn a_refused_page_origin_is_named() {
    let mut rig = Rig::new();
    rig.watch(&all());
    rig.drain();
    let error = Error::new("forbidden_origin", "this page may not connect");
    rig.input(Input::Closed { attempt: rig.attempt, error: Some(error) });
    assert_eq!(rig.core.connection().status, Status::Failed);
}

#[test]
fn nobody_waits_for_an_answer_to_an_unsubscribe() {
    let mut rig = Rig::new();
    let (kept, left) = (rig.watch(&all()), rig.watch(&open()));
    rig.connect();
    rig.snapshot(1, &[]);
    rig.snapshot(2, &[]);
    rig.core.unwatch(rig.now, left);
    rig.drain();
    assert_eq!(rig.wait_for_deadline(), secs(30), "the next heartbeat");
    assert_eq!(rig.sent(), [json!({"ping": 1})]);
    assert_eq!(rig.status(kept), "live");
}

#[test]
fn credentials_refreshed_while_nobody_is_connected_are_asked_for_anew() {
    let mut rig = Rig::with(|config| config.has_credentials = true);
    let watch = rig.watch(&all());
    rig.answer("one");
    rig.connect();
    rig.core.unwatch(rig.now, watch);
    rig.wait(secs(3));
    assert_eq!(rig.core.connection().status, Status::Idle);
    rig.core.refresh_credentials(rig.now);
    rig.watch(&all());
    rig.answer("two");
    assert_eq!(rig.hello()["token"], "two");
}

#[test]
fn credentials_refreshed_while_older_ones_are_on_their_way_follow_them() {
    // while the application thinks, while the line is being made, and while the server has not said welcome; and while it
    // thinks of a line that is lost
    for stage in 0..4 {
        let mut rig = Rig::with(|config| config.has_credentials = true);
        rig.watch(&all());
        rig.drain();
        if stage == 0 {
            rig.core.refresh_credentials(rig.now);
            assert!(!rig.asks(), "it is being asked already");
            rig.answer("one");
            assert!(rig.asks(), "its answer was out of date");
            rig.answer("two");
            assert_eq!(rig.hello()["token"], "two");
            continue;
        }
        rig.answer("one");
        if stage == 3 {
            rig.connect();
            rig.server(json!({"expired": {}}));
            assert!(rig.asks());
            rig.lose();
            rig.core.refresh_credentials(rig.now);
            assert!(!rig.asks(), "it is being asked already");
            rig.answer("two");
            assert!(rig.asks(), "its answer was out of date");
            rig.answer("three");
            assert_eq!(rig.hello()["token"], "three");
            continue;
        }
        if stage == 2 {
            rig.accept();
        }
        rig.core.refresh_credentials(rig.now);
        rig.connect();
        assert!(rig.asks(), "stage {stage}");
        rig.answer("two");
        assert_eq!(rig.sent(), [json!({"auth": {"token": "two"}})], "nothing is asked under the old ones");
        rig.welcome();
        assert!(rig.sent().iter().any(|frame| frame.get("subscribe").is_some()));
    }
}

#[test]
fn a_person_may_take_their_time_and_is_asked_once() {
    let mut rig = Rig::with(|config| config.has_credentials = true);
    let watch = rig.watch(&all());
    rig.answer("one");
    rig.connect();
    rig.snapshot(1, &[]);
    rig.server(json!({"expired": {}}));
    assert!(rig.asks());
    for _ in 0..6 {
        rig.wait(secs(20));
    }
    assert!(!rig.asks());
    // the server does not wait that long
    rig.lose();
    rig.wait_for_deadline();
    assert!(!rig.asks(), "it is still being asked");
    rig.answer("two");
    assert_eq!(rig.hello()["token"], "two");
    rig.connect();
    assert_eq!(rig.status(watch), "reconnecting");
}

#[test]
fn a_server_that_waits_no_longer_for_a_person_is_come_back_to() {
    let mut rig = Rig::with(|config| config.has_credentials = true);
    let watch = rig.watch(&all());
    rig.answer("one");
    rig.connect();
    rig.snapshot(1, &[]);
    rig.server(json!({"expired": {}}));
    assert!(rig.asks());
    rig.wait(secs(30));
    let attempt = rig.attempt;
    let error = Some(Error::new(code::UNAUTHENTICATED, "no good credentials came in time"));
    rig.input(Input::Closed { attempt, error });
    assert_eq!(rig.status(watch), "reconnecting", "nobody has refused what the person has yet to give");
    rig.wait_for_deadline();
    assert!(!rig.asks(), "it is still being asked");
    rig.answer("two");
    assert_eq!(rig.hello()["token"], "two");
    rig.lose_with(Error::new(code::UNAUTHENTICATED, "no"));
    assert_eq!(rig.status(watch), "needs-auth", "what was given is refused");
}

#[test]
fn a_server_that_is_there_may_take_its_time_with_an_answer() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.drain();
    assert_eq!((rig.wait_for_deadline(), rig.sent()), (secs(5), vec![json!({"ping": 1})]));
    rig.server(json!({"pong": 1}));
    rig.wait(secs(14));
    assert!(!rig.drain().iter().any(|output| matches!(output, Output::Close { .. })));
    rig.snapshot(1, &[]);
    assert_eq!(rig.status(watch), "live");
}

#[test]
fn a_server_that_is_gone_is_known_to_be_within_ten_seconds_of_a_question() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    assert_eq!((rig.wait_for_deadline(), rig.sent().last()), (secs(5), Some(&json!({"ping": 1}))));
    assert_eq!(rig.wait_for_deadline(), secs(5));
    assert_eq!(rig.status(watch), "reconnecting");
}

#[test]
fn where_time_has_stood_still_a_server_is_asked_before_it_is_given_up() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[]);
    rig.put(&Todo::new("a", 1));
    rig.drain();
    rig.now += secs(12);
    rig.input(Input::Tick);
    assert_eq!((rig.sent(), rig.status(watch)), (vec![json!({"ping": 1})], "live"));
    assert_eq!(rig.wait_for_deadline(), secs(5));
    assert_eq!(rig.status(watch), "reconnecting");
}

#[test]
fn a_client_id_that_no_server_takes_is_not_tried_for_ever() {
    let mut rig = Rig::with(|config| config.client = "my app".into());
    let watch = rig.watch(&all());
    assert!(rig.opened().is_empty());
    let error = rig.core.connection().last_error.unwrap();
    assert_eq!((rig.status(watch), error.code(), error.field()), ("failed", "bad_frame", Some("client")));
}

#[test]
fn renewed_in_place_the_connection_stays_live() {
    let mut rig = Rig::with(|config| config.has_credentials = true);
    rig.watch(&all());
    rig.answer("one");
    rig.connect();
    rig.snapshot(1, &[]);
    rig.core.refresh_credentials(rig.now);
    assert_eq!(rig.core.connection().status, Status::Live);
    // the heartbeat goes on, however long it takes
    rig.drain();
    rig.wait_for_deadline();
    assert_eq!(rig.sent(), [json!({"ping": 1})]);
    rig.server(json!({"pong": 1}));
    rig.answer("two");
    rig.welcome();
    assert_eq!(rig.core.connection().status, Status::Live);
    rig.server(json!({"expired": {}}));
    assert_eq!(rig.core.connection().status, Status::Reconnecting, "nothing goes on before there are others");
}

#[test]
fn a_list_that_is_left_while_credentials_are_renewed_is_left_on_the_server_too() {
    let mut rig = Rig::with(|config| config.has_credentials = true);
    rig.watch(&all());
    let left = rig.watch(&open());
    rig.answer("one");
    rig.connect();
    rig.core.refresh_credentials(rig.now);
    rig.drain();
    rig.core.unwatch(rig.now, left);
    assert!(rig.sent().iter().any(|frame| frame.get("unsubscribe").is_some()));
}

#[test]
fn a_line_that_breaks_as_soon_as_it_is_open_is_tried_with_growing_patience() {
    let mut rig = Rig::new();
    rig.watch(&all());
    let (start, mut attempts) = (rig.now, 0);
    while rig.now < start + secs(600) {
        attempts += rig.opened().len();
        rig.connect();
        rig.lose();
        rig.wait_for_deadline();
    }
    assert!((20..120).contains(&attempts), "{attempts} attempts in ten minutes");
    // one that lasts is a good one
    rig.connect();
    let sub = rig.newest_sub();
    rig.snapshot(sub, &[]);
    rig.wait(secs(11));
    rig.lose();
    assert!(rig.wait_for_deadline() <= secs(1));
}

#[test]
fn a_remembered_transport_is_doubted_and_what_works_now_is_remembered() {
    let mut rig = Rig::with(|config| config.remembered = Some(Transport::WebSocket));
    rig.watch(&all());
    assert_eq!(rig.opened(), [Transport::WebSocket]);
    rig.lose();
    rig.wait_for_deadline();
    assert_eq!(rig.opened(), [Transport::WebSocket], "once may be chance");
    rig.lose();
    rig.wait_for_deadline();
    assert_eq!(rig.opened(), [Transport::Sse]);
    rig.connect();
    assert!(rig.drain().iter().any(|output| matches!(output, Output::Remember(Transport::Sse))));
}

/// Fails until the other transport is tried.
fn until_the_other(rig: &mut Rig, other: Transport) -> usize {
    for attempt in 1..=20 {
        rig.wait_for_deadline();
        if rig.opened().contains(&other) {
            return attempt;
        }
        rig.lose();
    }
    panic!("the other one is never tried");
}

#[test]
fn what_has_worked_is_come_back_to_after_a_time_in_which_nothing_did() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.drain();
    rig.lose();
    assert_eq!(until_the_other(&mut rig, Transport::Sse), 5);
    // one look at it, and not until that fails as often
    rig.lose();
    rig.wait_for_deadline();
    assert_eq!(rig.opened(), [Transport::WebSocket]);
    rig.lose();
    assert_eq!(until_the_other(&mut rig, Transport::Sse), 3);
    // it stands in, as it was tried at the right time
    rig.connect();
    assert!(!rig.drain().iter().any(|output| matches!(output, Output::Remember(_))));
    rig.lose();
    rig.wait_for_deadline();
    assert_eq!(rig.opened(), [Transport::WebSocket]);
    // where it does so once more, it is what works here
    rig.lose();
    until_the_other(&mut rig, Transport::Sse);
    rig.connect();
    assert!(rig.drain().iter().any(|output| matches!(output, Output::Remember(Transport::Sse))));
    rig.lose();
    rig.wait_for_deadline();
    assert_eq!((rig.opened(), rig.status(watch)), (vec![Transport::Sse], "reconnecting"));
}

#[test]
fn being_offline_says_nothing_of_the_transport() {
    let mut rig = Rig::new();
    rig.watch(&all());
    rig.connect();
    rig.drain();
    rig.lose();
    rig.input(Input::Online(false));
    for _ in 0..20 {
        rig.wait_for_deadline();
        assert_eq!(rig.opened(), [Transport::WebSocket]);
        rig.lose();
    }
    rig.input(Input::Online(true));
    assert_eq!(rig.opened(), [Transport::WebSocket]);
}

#[test]
fn what_is_large_may_take_its_time_to_leave() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[]);
    rig.put(&Todo { text: "x".repeat(800_000), ..Todo::new("a", 1) });
    // at 16 KiB a second
    rig.wait(secs(45));
    assert_eq!(rig.status(watch), "live");
    rig.change(1, &[], &[], &[1]);
    // a small one is not given that long
    rig.put(&Todo::new("b", 1));
    rig.wait(secs(6));
    rig.wait(secs(5));
    assert_eq!(rig.status(watch), "reconnecting");
}

#[test]
fn a_sign_of_life_is_no_message() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[]);
    rig.drain();
    let attempt = rig.attempt;
    for _ in 0..10 {
        rig.wait(secs(20));
        rig.input(Input::Frame { attempt, bytes: b"" });
    }
    assert_eq!((rig.sent().len(), rig.status(watch)), (0, "live"));
}

#[test]
fn what_is_remembered_rightly_is_not_said_again() {
    let mut rig = Rig::with(|config| config.remembered = Some(Transport::WebSocket));
    rig.watch(&all());
    rig.connect();
    assert!(!rig.drain().iter().any(|output| matches!(output, Output::Remember(_))));
}

#[test]
fn going_offline_starts_no_attempt() {
    let mut rig = Rig::new();
    rig.watch(&all());
    rig.connect();
    rig.drain();
    rig.input(Input::Online(false));
    assert_eq!(rig.sent(), [json!({"ping": 1})], "an open connection is looked at");
    rig.lose();
    rig.drain();
    rig.input(Input::Online(false));
    assert!(rig.opened().is_empty());
}

#[test]
fn told_to_try_again_it_has_all_its_attempts_again() {
    let mut rig = Rig::with(|config| config.backoff.attempts = Some(3));
    let watch = rig.watch(&all());
    for _ in 0..2 {
        for _ in 0..3 {
            assert_ne!(rig.status(watch), "failed");
            rig.drain();
            rig.lose();
            if rig.status(watch) != "failed" {
                rig.wait_for_deadline();
            }
        }
        assert_eq!(rig.status(watch), "failed");
        rig.core.retry_now(rig.now);
    }
}
