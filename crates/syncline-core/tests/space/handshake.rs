//! Who is there, and for how long.

use serde_json::json;
use syncline_core::space::{Config, Input};
use syncline_core::wire::{Limits, ServerMessage};
use syncline_core::{Record as _, code};

use crate::rig::{Rig, SPACE, identify, note, notes};

fn error_code(rig: &Rig, conn: u64) -> &str {
    rig.page(conn).error.as_ref().expect("an error").code()
}

#[test]
fn a_client_that_says_hello_is_welcome_and_learns_who_it_is() {
    let mut rig = Rig::new();
    rig.join(1, "ada:Ada");
    let [ServerMessage::Welcome(welcome)] = &rig.heard(1)[..] else { panic!() };
    assert_eq!((welcome.user.id.as_str(), welcome.user.name.as_deref()), ("ada", Some("Ada")));
    assert_eq!((welcome.protocol, &*welcome.encoding, welcome.heartbeat_ms), (1, "json", 30_000));
    assert_eq!(welcome.limits.writes_in_flight, 256);
    assert_eq!(welcome.link, None);
}

#[test]
fn the_welcome_tells_the_secret_of_a_connection_that_sends_elsewhere() {
    let mut rig = Rig::new();
    rig.connect_by(1, Some("psst"));
    rig.say(1, json!({"hello": {"protocol": 1, "client": "client-ada", "token": "ada"}}));
    assert!(rig.heard_text(1).contains(r#""link":"psst""#));
}

#[test]
fn anything_but_hello_first_ends_the_connection() {
    for first in [json!({"ping": 1}), json!({"auth": {"token": "ada"}}), json!({"unsubscribe": {"sub": 1}})] {
        let mut rig = Rig::new();
        rig.connect(1);
        rig.say(1, first);
        assert_eq!(error_code(&rig, 1), code::BAD_FRAME);
        assert!(rig.lines[&1].closed.is_some());
    }
}

#[test]
fn a_second_hello_ends_the_connection() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.say(1, json!({"hello": {"protocol": 1, "client": "client-ada"}}));
    assert_eq!(error_code(&rig, 1), code::BAD_FRAME);
    assert!(rig.lines[&1].closed.is_some());
    assert_eq!(rig.engine.gauges().connections, 0);
}

#[test]
fn another_protocol_is_refused_by_name() {
    let mut rig = Rig::new();
    rig.connect(1);
    rig.say(1, json!({"hello": {"protocol": 2, "client": "client-ada"}}));
    assert_eq!(error_code(&rig, 1), code::UNSUPPORTED_PROTOCOL);
}

#[test]
fn a_client_id_that_is_none_is_refused() {
    let mut rig = Rig::new();
    rig.connect(1);
    rig.say(1, json!({"hello": {"protocol": 1, "client": "a b"}}));
    assert_eq!(error_code(&rig, 1), code::BAD_FRAME);
}

#[test]
fn what_is_asked_during_authentication_is_done_after_it() {
    let mut rig = Rig::new();
    rig.doorman_waits = true;
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.write_as(1, "list-1", "client-ada", 1, vec![note("a", "", 1)]);
    assert_eq!(rig.heard_kinds(1), [""; 0]);
    assert_eq!(rig.stored("notes"), [""; 0]);
    rig.doorman_waits = false;
    rig.feed(Input::Tick);
    assert_eq!(rig.page(1).keys(1), ["a"]);
}

#[test]
fn no_more_than_one_frame_holds_waits_for_authentication() {
    let mut rig = Rig::with(Config {
        limits: Limits { frame_bytes: 10_000, ..Limits::default() },
        ..Config::default()
    });
    rig.doorman_waits = true;
    rig.join(1, "ada");
    for id in 1..=2 {
        rig.write_as(1, SPACE, "client-ada", id, vec![note("a", &"x".repeat(4_000), 1)]);
        assert!(rig.lines[&1].closed.is_none());
    }
    rig.write_as(1, SPACE, "client-ada", 3, vec![note("a", &"x".repeat(4_000), 1)]);
    assert_eq!(error_code(&rig, 1), code::TOO_MANY);
}

#[test]
fn too_much_asked_before_authentication_ends_the_connection() {
    let mut rig = Rig::new();
    rig.doorman_waits = true;
    rig.join(1, "ada");
    for sub in 0..=768 {
        assert!(rig.lines[&1].closed.is_none());
        rig.say(1, json!({"unsubscribe": {"sub": sub}}));
    }
    assert_eq!(error_code(&rig, 1), code::TOO_MANY);
}

#[test]
fn refused_credentials_can_be_mended_on_the_same_connection() {
    let mut rig = Rig::new();
    rig.join(1, "bad");
    rig.subscribe(1, 1, notes());
    assert_eq!(rig.heard_kinds(1), ["expired"]);
    assert_eq!(rig.page(1).expired[0].as_ref().unwrap().code(), code::UNAUTHENTICATED);
    rig.say(1, json!({"auth": {"token": "ada"}}));
    assert_eq!(rig.heard_kinds(1), ["welcome", "snapshot"]);
}

#[test]
fn credentials_that_are_refused_in_place_stop_the_data() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.subscribe(1, 1, notes());
    rig.heard(1);
    rig.say(1, json!({"auth": {"token": "bad"}}));
    rig.put_note(2, "client-bob", "a", 1);
    assert_eq!(rig.heard_kinds(1), ["expired"]);
    rig.say(1, json!({"auth": {"token": "ada"}}));
    assert_eq!(rig.page(1).keys(1), ["a"]);
}

#[test]
fn the_third_refusal_in_a_row_ends_the_connection() {
    let mut rig = Rig::new();
    rig.join(1, "bad");
    rig.say(1, json!({"auth": {"token": "bad"}}));
    assert!(rig.lines[&1].closed.is_none());
    rig.say(1, json!({"auth": {"token": "bad"}}));
    assert_eq!(error_code(&rig, 1), code::UNAUTHENTICATED);
    assert!(rig.lines[&1].closed.is_some());
}

#[test]
fn a_connection_that_says_nothing_is_closed_in_time() {
    let mut rig = Rig::new();
    rig.connect(1);
    rig.wait(29_999);
    assert!(rig.lines[&1].closed.is_none());
    rig.wait(1);
    assert!(rig.lines[&1].closed.is_some());
}

#[test]
fn a_connection_without_good_credentials_is_closed_in_time() {
    let mut rig = Rig::new();
    rig.join(1, "bad");
    rig.wait(30_000);
    assert_eq!(error_code(&rig, 1), code::UNAUTHENTICATED);
}

#[test]
fn nothing_is_shown_after_credentials_expired_until_there_are_good_ones() {
    let mut rig = Rig::new();
    let expiry = rig.now + 60_000;
    rig.join(1, &format!("ada@{expiry}"));
    rig.join(2, "bob");
    rig.subscribe(1, 1, notes());
    rig.subscribe(2, 1, notes());
    rig.wait(30_000);
    rig.say(1, json!({"ping": 1}));
    rig.wait(30_000);
    rig.heard(1);
    assert_eq!(rig.page(1).expired, [None]);

    rig.put_note(2, "client-bob", "a", 1);
    rig.say(1, json!({"ping": 1}));
    assert_eq!(rig.heard_kinds(1), ["pong"]);
    rig.say(1, json!({"auth": {"token": "ada"}}));
    assert_eq!(rig.heard_kinds(1), ["welcome", "changes"]);
    assert_eq!(rig.page(1).keys(1), ["a"]);
}

#[test]
fn what_is_asked_with_expired_credentials_waits_for_good_ones() {
    let mut rig = Rig::new();
    rig.join(1, &format!("ada@{}", rig.now + 10));
    rig.wait(10);
    rig.subscribe(1, 1, notes());
    rig.put_note(1, "client-ada", "a", 1);
    assert_eq!(rig.heard_kinds(1), ["welcome", "expired"]);
    assert_eq!(rig.stored("notes"), [""; 0]);
    rig.say(1, json!({"auth": {"token": "ada"}}));
    assert_eq!(rig.page(1).keys(1), ["a"]);
    assert_eq!(rig.verdict(1, "client-ada", 1), Some(Ok(())));
}

#[test]
fn a_snapshot_stops_where_it_is_when_credentials_expire() {
    let mut rig = Rig::with(syncline_core::space::Config { chunk_bytes: 64, ..Default::default() });
    rig.join(2, "bob");
    rig.write(2, "client-bob", (0..20).map(|n| note(&format!("{n:02}"), "", n)).collect());
    rig.join(1, &format!("ada@{}", rig.now + 10));
    rig.stop_reading(1);
    rig.subscribe(1, 1, notes());
    rig.wait(10);
    rig.read_on(1);
    assert_eq!(rig.heard_kinds(1), ["welcome", "snapshot", "expired"]);
    rig.say(1, json!({"auth": {"token": "ada"}}));
    assert_eq!(rig.page(1).keys(1).len(), 20);
}

#[test]
fn expired_credentials_that_are_not_replaced_end_the_connection() {
    let mut rig = Rig::new();
    rig.join(1, &format!("ada@{}", rig.now + 10));
    rig.wait(10 + 30_000);
    assert_eq!(error_code(&rig, 1), code::UNAUTHENTICATED);
    assert_eq!(rig.engine.gauges().connections, 0);
}

#[test]
fn credentials_that_come_expired_are_refused() {
    let mut rig = Rig::new();
    rig.join(1, &format!("ada@{}", rig.now));
    assert_eq!(rig.heard_kinds(1), ["expired"]);
}

#[test]
fn credentials_are_renewed_in_place() {
    let mut rig = Rig::new();
    rig.join(1, &format!("ada@{}", rig.now + 1_000));
    rig.subscribe(1, 1, notes());
    rig.say(1, json!({"auth": {"token": "ada"}}));
    rig.wait(2_000);
    assert_eq!(rig.heard_kinds(1), ["welcome", "snapshot", "welcome"]);
}

#[test]
fn of_credentials_that_come_in_quick_succession_the_last_count() {
    let mut rig = Rig::new();
    rig.doorman_waits = true;
    rig.join(1, "bad");
    rig.say(1, json!({"auth": {"token": "bad"}}));
    rig.say(1, json!({"auth": {"token": "ada"}}));
    rig.doorman_waits = false;
    rig.feed(Input::Tick);
    assert_eq!(rig.heard_kinds(1), ["welcome"]);
}

#[test]
fn a_connection_cannot_become_somebody_elses() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.say(1, json!({"auth": {"token": "bob"}}));
    assert_eq!(error_code(&rig, 1), code::CONNECTION);
    assert!(rig.lines[&1].closed.is_some());
    assert_eq!(rig.engine.gauges().subscriptions, 0);
}

#[test]
fn an_answer_that_nobody_asked_for_changes_nothing() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.feed(Input::Authenticated { conn: 1, result: identify(Some("bob")) });
    rig.feed(Input::Authenticated { conn: 7, result: identify(Some("bob")) });
    assert_eq!(rig.heard_kinds(1), ["welcome"]);
}

#[test]
fn a_silent_connection_is_pinged_then_closed() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.wait(37_500);
    assert_eq!(rig.heard_kinds(1), ["welcome", "ping"]);
    rig.wait(37_499);
    assert!(rig.lines[&1].closed.is_none());
    rig.wait(1);
    assert!(rig.lines[&1].closed.is_some());
}

#[test]
fn a_connection_that_answers_stays_open() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    for _ in 0..10 {
        rig.wait(40_000);
        rig.say(1, json!({"pong": 1}));
    }
    assert!(rig.lines[&1].closed.is_none());
    assert_eq!(rig.heard_kinds(1).len(), 1 + 10);
}

#[test]
fn a_person_who_lost_the_right_to_a_space_loses_their_subscription_to_it() {
    let mut rig = Rig::new();
    rig.join(1, "ada:Ada");
    let members = crate::rules::Note::in_space("members");
    rig.subscribe(1, 1, members);
    rig.subscribe(1, 2, notes());
    rig.put_note(1, "client-ada", "a", 1);
    rig.say(1, json!({"auth": {"token": "ada"}}));
    assert_eq!(rig.page(1).failed[&1].code(), "name_required");
    assert_eq!(rig.page(1).keys(2), ["a"]);
    assert_eq!(rig.engine.gauges().subscriptions, 1);
}
