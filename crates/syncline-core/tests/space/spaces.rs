//! Spaces come into memory and leave it; the server stops.

use serde_json::json;
use syncline_core::space::{Config, Input, SpaceImage};
use syncline_core::{Record as _, code};

use crate::rig::{Rig, SPACE, note, notes};
use crate::rules::Note;

#[test]
fn requests_wait_until_their_space_is_loaded() {
    let mut rig = Rig::new();
    rig.disk_waits = true;
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.put_note(1, "client-ada", "a", 1);
    rig.subscribe(1, 2, notes());
    assert_eq!(rig.loads.len(), 1, "loaded once");
    assert_eq!(rig.heard_kinds(1), ["welcome"]);
    rig.load();
    rig.commit();
    assert_eq!(rig.page(1).keys(1), ["a"]);
    assert_eq!(rig.page(1).keys(2), ["a"]);
}

#[test]
fn a_space_that_takes_long_to_load_holds_up_no_other() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, Note::in_space("quick"));
    rig.disk_waits = true;
    rig.subscribe(1, 2, notes());
    rig.subscribe(1, 3, Note::in_space("quick"));
    assert_eq!(rig.heard_kinds(1), ["welcome", "snapshot", "snapshot"]);
    rig.load();
    assert_eq!(rig.heard_kinds(1), ["snapshot"]);
}

#[test]
fn a_space_that_cannot_be_loaded_fails_what_waits_for_it_and_is_tried_again() {
    let mut rig = Rig::new();
    rig.disk_waits = true;
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.put_note(1, "client-ada", "a", 1);
    rig.fail_load();
    assert_eq!(rig.page(1).failed[&1].code(), code::STORAGE);
    assert_eq!(rig.page(1).not_handled, [(1, code::STORAGE.to_owned(), 1)]);
    let gauges = rig.engine.gauges();
    assert_eq!((gauges.subscriptions, gauges.spaces, gauges.writes_waiting), (0, 0, 0));
    rig.disk_waits = false;
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "", 1)]);
    rig.subscribe(1, 2, notes());
    assert_eq!(rig.page(1).keys(2), ["a"]);
}

#[test]
fn an_idle_space_leaves_memory_and_comes_back_as_it_was() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.put_note(1, "client-ada", "a", 1);
    let cursor = rig.page(1).subs[&1].cursor.unwrap();
    rig.wait(30_000);
    rig.say(1, json!({"ping": 1}));
    rig.wait(40_000);
    assert_eq!(rig.engine.gauges().spaces, 1, "not while somebody watches");
    rig.unsubscribe(1, 1);
    rig.wait(59_999);
    assert_eq!(rig.engine.gauges().spaces, 1);
    rig.wait(1);
    assert_eq!(rig.engine.gauges().spaces, 0);
    rig.join(2, "bob");
    rig.subscribe(2, 1, notes());
    assert_eq!(rig.page(2).keys(1), ["a"]);
    assert_eq!(rig.page(2).subs[&1].cursor.unwrap(), cursor, "the same history");
}

#[test]
fn a_space_that_was_asked_for_in_vain_leaves_memory_too() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "", 1)]);
    rig.crash();
    rig.join(1, "ada");
    rig.disk_waits = true;
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "", 1)]);
    rig.write_as(1, "room", "client-ada", 2, vec![note("a", "", 1)]);
    rig.load();
    rig.load();
    rig.write_as(1, "room", "client-ada", 2, vec![note("a", "", 1)]);
    assert_eq!(rig.engine.gauges().spaces, 2);
    rig.wait(60_000);
    assert_eq!(rig.engine.gauges().spaces, 0);
}

#[test]
fn a_space_with_a_commit_on_its_way_does_not_leave_memory() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.put_note(1, "client-ada", "a", 1);
    rig.disk_waits = true;
    rig.put_note(1, "client-ada", "b", 1);
    rig.wait(36_000);
    rig.say(1, json!({"ping": 1}));
    rig.wait(70_000);
    rig.commit();
    assert_eq!(rig.verdict(1, "client-ada", 2), Some(Ok(())));
}

#[test]
fn spaces_know_nothing_of_each_other() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, Note::in_space("one"));
    rig.subscribe(1, 2, Note::in_space("two"));
    rig.write_as(1, "one", "client-ada", 1, vec![note("a", "", 1)]);
    rig.write_as(1, "two", "client-ada", 1, vec![note("b", "", 1)]);
    assert_eq!(rig.page(1).keys(1), ["a"]);
    assert_eq!(rig.page(1).keys(2), ["b"]);
    assert_ne!(rig.disk["one"].incarnation, rig.disk["two"].incarnation);
}

#[test]
fn after_everybody_left_nothing_is_left() {
    let mut rig = Rig::new();
    for round in 0..20 {
        for conn in round * 10..round * 10 + 10 {
            rig.join(conn, "ada");
            rig.subscribe(conn, 1, notes());
            rig.subscribe(conn, 2, notes().limit(3));
            rig.unsubscribe(conn, 1);
        }
        rig.conns().into_iter().for_each(|conn| rig.disconnect(conn));
    }
    rig.wait(60_000);
    assert_eq!(rig.engine.gauges(), syncline_core::space::Gauges::default());
    assert_eq!(rig.engine.deadline(), None, "not even a timer");
}

#[test]
fn answers_that_come_late_or_twice_change_nothing() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.put_note(1, "client-ada", "a", 1);
    rig.feed(Input::Loaded { space: SPACE.into(), result: Ok(SpaceImage::default()) });
    rig.feed(Input::Loaded { space: "other".into(), result: Ok(SpaceImage::default()) });
    rig.feed(Input::Committed { space: SPACE.into(), commit: 1, result: Ok(()) });
    rig.feed(Input::Committed { space: "other".into(), commit: 9, result: Ok(()) });
    rig.feed(Input::Drained { conn: 77 });
    rig.feed(Input::Lagged { conn: 77 });
    rig.feed(Input::Disconnected { conn: 77 });
    rig.feed(Input::Frame { conn: 77, bytes: b"{}".to_vec() });
    rig.put_note(1, "client-ada", "b", 1);
    assert_eq!(rig.page(1).keys(1), ["a", "b"]);
    assert_eq!(rig.disk[SPACE].version, 2);
}

#[test]
fn a_server_that_stops_finishes_what_it_has_and_takes_nothing_more() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.disk_waits = true;
    rig.put_note(1, "client-ada", "a", 1);
    rig.put_note(1, "client-ada", "b", 1);
    rig.feed(Input::Shutdown);
    assert!(rig.lines[&1].closed.is_none());
    rig.put_note(1, "client-ada", "c", 1);
    rig.commit();
    assert!(rig.lines[&1].closed.is_none());
    rig.commit();
    assert_eq!(rig.verdict(1, "client-ada", 2), Some(Ok(())));
    assert_eq!(rig.verdict(1, "client-ada", 3), None);
    assert!(rig.lines[&1].closed.is_some());
    assert_eq!(rig.stored("notes"), ["a", "b"]);
    rig.connect(2);
    assert!(rig.lines[&2].closed.is_some());
}

#[test]
fn the_same_inputs_and_seed_give_the_same_outputs() {
    let run = || {
        let mut rig = Rig::new();
        for conn in 1..=5 {
            rig.join(conn, &format!("user{conn}"));
            rig.subscribe(conn, 1, notes().limit(3));
            rig.subscribe(conn, 2, Note::in_space("room"));
        }
        for n in 0..20 {
            let conn = n % 5 + 1;
            rig.put_note(conn, &format!("client-user{conn}"), &format!("{}", n % 7), n as i64);
        }
        (1..=5).map(|conn| rig.heard_text(conn)).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn an_engine_can_be_moved_to_another_thread() {
    let rig = Rig::new();
    std::thread::spawn(move || drop(rig.engine)).join().unwrap();
}

#[test]
fn spaces_are_read_a_few_at_a_time() {
    let mut rig = Rig::new();
    rig.disk_waits = true;
    rig.join(1, "ada");
    for sub in 1..=200 {
        rig.subscribe(1, sub, Note::in_space(format!("room-{sub}")));
    }
    assert_eq!(rig.loads.len(), 64);
    rig.load();
    assert_eq!(rig.loads.len(), 64, "one has ended, the next one has begun");
    rig.fail_load();
    assert_eq!(rig.loads.len(), 64);
    while !rig.loads.is_empty() {
        rig.load();
    }
    assert_eq!((rig.page(1).failed.len(), rig.engine.gauges().spaces), (1, 199));
}

#[test]
fn what_nobody_wants_any_more_is_not_read() {
    let mut rig = Rig::new();
    rig.disk_waits = true;
    rig.join(1, "ada");
    for sub in 1..=1_000 {
        rig.subscribe(1, sub, Note::in_space(format!("room-{sub}")));
        rig.unsubscribe(1, sub);
    }
    assert_eq!((rig.loads.len(), rig.engine.gauges().spaces), (64, 64));
    rig.subscribe(1, 1_001, notes());
    rig.subscribe(1, 1_002, Note::in_space("room-1"));
    while !rig.loads.is_empty() {
        rig.load();
    }
    assert_eq!(rig.engine.gauges().spaces, 2, "what was asked for in vain is not kept");
    assert!(rig.page(1).subs[&1_001].live && rig.page(1).subs[&1_002].live);
}

#[test]
fn of_too_many_idle_spaces_the_one_used_longest_ago_leaves() {
    let mut rig = Rig::with(Config { idle_spaces: 3, ..Config::default() });
    rig.join(1, "ada");
    let visit = |rig: &mut Rig, sub, space: &str| {
        rig.wait(1);
        rig.subscribe(1, sub, Note::in_space(space));
        rig.unsubscribe(1, sub);
    };
    for (sub, space) in ["one", "two", "three", "one", "four"].into_iter().enumerate() {
        visit(&mut rig, sub as u32 + 1, space);
    }
    assert_eq!(rig.engine.gauges().spaces, 3);
    rig.disk_waits = true;
    for (sub, space) in ["one", "three", "four"].into_iter().enumerate() {
        rig.subscribe(1, sub as u32 + 10, Note::in_space(space));
    }
    assert!(rig.loads.is_empty());
    rig.subscribe(1, 20, Note::in_space("two"));
    assert_eq!(rig.loads.len(), 1);
}
