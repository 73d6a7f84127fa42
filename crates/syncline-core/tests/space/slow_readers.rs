//! A reader that cannot keep up slows nobody down, and ends up with the same rows.

use serde_json::json;
use syncline_core::space::{Config, Input};
use syncline_core::wire::ServerMessage;
use syncline_core::{Record as _, code};

use crate::rig::{Rig, SPACE, note, notes};
use crate::rules::Note;

fn small() -> Config {
    Config { chunk_bytes: 200, backlog_bytes: 1_000, ..Config::default() }
}

#[test]
fn a_reader_that_lagged_is_reset_and_gets_everything_anew() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.subscribe(2, 1, notes());
    rig.subscribe(2, 2, Note::in_space("room"));
    rig.heard(2);
    rig.stop_reading(2);
    rig.put_note(1, "client-ada", "a", 1);
    rig.lag(2);
    rig.put_note(1, "client-ada", "b", 1);
    rig.write_as(1, "room", "client-ada", 1, vec![note("x", "", 1)]);
    rig.catch_up(2);
    assert_eq!(rig.heard_kinds(2), ["reset", "snapshot", "snapshot"]);
    assert_eq!(rig.page(2).keys(1), ["a", "b"]);
    assert_eq!(rig.page(2).keys(2), ["x"]);
    rig.put_note(1, "client-ada", "c", 1);
    assert_eq!(rig.heard_kinds(2), ["changes"], "and is live again");
    assert_eq!(rig.page(2).keys(1), ["a", "b", "c"]);
}

#[test]
fn nothing_is_sent_to_a_reader_that_lagged_before_it_can_take_it() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.subscribe(2, 1, notes());
    rig.lag(2);
    rig.heard(2);
    rig.put_note(1, "client-ada", "a", 1);
    rig.put_note(2, "client-bob", "b", 1);
    rig.subscribe(2, 2, notes());
    assert_eq!(rig.heard_kinds(2), [""; 0]);
    rig.say(2, json!({"ping": 5}));
    assert_eq!(rig.heard_kinds(2), ["pong"], "but it is not deaf");
    rig.catch_up(2);
    assert_eq!(rig.page(2).keys(1), ["a", "b"]);
    assert_eq!(rig.page(2).keys(2), ["a", "b"]);
}

#[test]
fn verdicts_that_were_lost_come_with_the_reset() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.stop_reading(1);
    rig.put_note(1, "client-ada", "a", 1);
    rig.write(1, "client-ada", vec![note("b", "rude", 1)]);
    rig.write_as(1, "room", "client-ada", 1, vec![note("x", "", 1)]);
    rig.write_as(1, "room", "client-old", 1, vec![note("y", "rude", 1)]);
    rig.lag(1);
    rig.catch_up(1);
    let verdicts: Vec<_> =
        rig.page(1).verdicts.iter().map(|((space, _, id), it)| (space.as_str(), *id, it.is_ok())).collect();
    assert_eq!(verdicts, [(SPACE, 1, true), (SPACE, 2, false), ("room", 1, true), ("room", 1, false)]);
}

/// No account of the writes tells of these.
#[test]
fn a_reader_that_lagged_hears_which_writes_were_not_handled() {
    for lags_before in [true, false] {
        let mut rig = Rig::with(Config { queue_writes: 1, ..Config::default() });
        rig.join(1, "ada");
        rig.subscribe(1, 1, notes());
        rig.stop_reading(1);
        rig.put_note(1, "client-ada", "a", 1);
        if lags_before {
            rig.lag(1);
        }
        rig.disk_waits = true;
        // one is on its way to the disk, one waits, and there is no room for another
        ["b", "c", "d"].iter().for_each(|id| rig.put_note(1, "client-ada", id, 1));
        rig.fail_commit();
        if !lags_before {
            rig.lag(1);
        }
        rig.catch_up(1);
        let expected = [(4, code::TOO_MANY, 4), (2, code::STORAGE, 2), (3, code::WRITE_GAP, 2)];
        assert_eq!(rig.page(1).not_handled, expected.map(|(id, code, next)| (id, code.to_owned(), next)));
        assert_eq!(rig.verdict(1, "client-ada", 1), Some(Ok(())));
        assert_eq!(rig.page(1).keys(1), ["a"]);
    }
}

/// Lost verdicts, of which the answer to the first subscription is to tell; its snapshot has begun.
fn verdicts_owed_with_a_snapshot() -> Rig {
    let mut rig = Rig::with(small());
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.write(2, "client-bob", (0..20).map(|n| note(&format!("{n:02}"), "", n)).collect());
    rig.subscribe(1, 1, notes());
    rig.stop_reading(1);
    rig.put_note(1, "client-ada", "a", 1);
    rig.write(1, "client-ada", vec![note("b", "rude", 1)]);
    rig.lag(1);
    rig.feed(Input::Drained { conn: 1 });
    rig
}

fn are_told(rig: &Rig) -> bool {
    (rig.verdict(1, "client-ada", 1), rig.verdict(1, "client-ada", 2))
        == (Some(Ok(())), Some(Err("rude".into())))
}

#[test]
fn verdicts_that_were_lost_come_without_the_subscription_whose_answer_was_to_tell_them() {
    let mut rig = verdicts_owed_with_a_snapshot();
    rig.unsubscribe(1, 1);
    rig.read_on(1);
    let kinds = rig.heard_kinds(1);
    assert_eq!(kinds[kinds.len() - 3..], ["reset", "snapshot", "changes"], "{kinds:?}");
    assert!(are_told(&rig));
    rig.wait(30_000);
    (1..=2).for_each(|conn| rig.say(conn, json!({"ping": 1})));
    rig.wait(60_001);
    assert_eq!(rig.engine.gauges().spaces, 0, "and the space is not kept for it");
}

#[test]
fn so_they_do_without_one_that_has_not_begun_either() {
    let mut rig = verdicts_owed_with_a_snapshot();
    rig.subscribe(1, 2, notes());
    rig.unsubscribe(1, 1);
    // it would have told as well
    rig.unsubscribe(1, 2);
    rig.read_on(1);
    assert!(are_told(&rig));
}

#[test]
fn verdicts_are_told_once_when_another_answer_tells_them() {
    let mut rig = verdicts_owed_with_a_snapshot();
    rig.subscribe(1, 2, notes());
    rig.unsubscribe(1, 1);
    rig.read_on(1);
    assert!(are_told(&rig));
    let told = rig.heard(1).iter().filter(|message| matches!(message, ServerMessage::Changes(_))).count();
    assert_eq!(told, 0, "the snapshot says it");
}

#[test]
fn verdicts_come_even_of_a_space_that_has_left_memory() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.stop_reading(1);
    rig.put_note(1, "client-ada", "a", 1);
    rig.wait(30_000);
    rig.say(1, json!({"ping": 1}));
    rig.wait(30_001);
    assert_eq!(rig.engine.gauges().spaces, 0);
    rig.lag(1);
    rig.catch_up(1);
    assert_eq!(rig.verdict(1, "client-ada", 1), Some(Ok(())));
    rig.wait(60_000);
    assert_eq!(rig.engine.gauges().spaces, 0, "and it leaves again");
}

/// A page that has lost the verdict on a write to a space which it does not watch.
fn verdict_lost() -> Rig {
    let mut rig = Rig::with(small());
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.stop_reading(1);
    rig.put_note(1, "client-ada", "a", 1);
    rig.wait(30_000);
    (1..=2).for_each(|conn| rig.say(conn, json!({"ping": 1})));
    rig.wait(30_001);
    assert_eq!(rig.engine.gauges().spaces, 0);
    rig
}

#[test]
fn a_space_stays_in_memory_as_long_as_a_verdict_is_owed() {
    let mut rig = verdict_lost();
    rig.write_as(2, "room", "client-bob", 1, (0..20).map(|n| note(&format!("{n:02}"), "", n)).collect());
    rig.subscribe(1, 1, Note::in_space("room"));
    rig.lag(1);
    rig.feed(Input::Drained { conn: 1 });
    for _ in 0..4 {
        rig.wait(30_000);
        (1..=2).for_each(|conn| rig.say(conn, json!({"ping": 1})));
    }
    rig.read_on(1);
    assert_eq!(rig.verdict(1, "client-ada", 1), Some(Ok(())));
}

#[test]
fn a_space_leaves_memory_when_whoever_was_owed_a_verdict_left() {
    let mut rig = verdict_lost();
    rig.disk_waits = true;
    rig.lag(1);
    rig.catch_up(1);
    rig.disconnect(1);
    rig.load();
    rig.wait(60_000);
    assert_eq!(rig.engine.gauges().spaces, 0);
}

#[test]
fn a_connection_whose_lost_verdicts_cannot_be_read_is_closed() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.stop_reading(1);
    rig.put_note(1, "client-ada", "a", 1);
    rig.wait(30_000);
    rig.say(1, json!({"ping": 1}));
    rig.wait(30_001);
    rig.lag(1);
    rig.disk_waits = true;
    rig.catch_up(1);
    rig.fail_load();
    assert!(rig.lines[&1].closed.is_some());
}

#[test]
fn too_much_behind_a_snapshot_is_thrown_away_and_the_snapshot_comes_to_its_end() {
    let mut rig = Rig::with(small());
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.write(1, "client-ada", (0..20).map(|n| note(&format!("{n:02}"), "", n)).collect());
    rig.subscribe(2, 1, notes().limit(1));
    rig.stop_reading(2);
    rig.subscribe(2, 2, notes());
    rig.heard(2);
    for n in 0..20 {
        rig.write(1, "client-ada", vec![note("19", &"x".repeat(100), n)]);
    }
    rig.read_on(2);
    let kinds = rig.heard_kinds(2);
    let reset = kinds.iter().position(|kind| *kind == "reset").expect("a reset");
    assert!(kinds[..reset].iter().all(|kind| *kind == "snapshot"), "{kinds:?}");
    assert_eq!(reset, 3, "the snapshot was finished first");
    assert_eq!(rig.page(2).resets, 1);
    assert_eq!(rig.page(2).subs[&2].rows["19"]["n"], 19);
    assert_eq!(rig.page(2).keys(1), ["00"]);
}

#[test]
fn changes_too_large_for_a_frame_are_a_snapshot() {
    let mut rig = Rig::with(small());
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.subscribe(2, 1, notes());
    rig.heard(2);
    rig.write(1, "client-ada", (0..40).map(|n| note(&format!("{n:02}"), "", n)).collect());
    let kinds = rig.heard_kinds(2);
    assert_eq!(kinds[0], "reset");
    assert!(kinds.len() > 5 && kinds[1..].iter().all(|kind| *kind == "snapshot"));
    assert_eq!(rig.page(2).keys(1).len(), 40);
}

#[test]
fn a_reader_that_never_reads_is_owed_one_snapshot_however_much_is_written() {
    let mut rig = Rig::with(small());
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.subscribe(2, 1, notes());
    rig.stop_reading(2);
    rig.lag(2);
    for n in 0..500 {
        rig.put_note(1, "client-ada", "a", n);
        assert_eq!(rig.verdict(1, "client-ada", n as u64 + 1), Some(Ok(())), "nobody waits for it");
    }
    rig.heard(2);
    rig.catch_up(2);
    assert_eq!(rig.heard_kinds(2), ["reset", "snapshot"]);
}

#[test]
fn lagging_in_the_middle_of_a_snapshot_starts_it_anew() {
    let mut rig = Rig::with(small());
    rig.join(1, "ada");
    rig.write(1, "client-ada", (0..20).map(|n| note(&format!("{n:02}"), "", n)).collect());
    rig.join(2, "bob");
    rig.heard(2);
    rig.stop_reading(2);
    rig.subscribe(2, 1, notes());
    rig.lag(2);
    rig.lag(2);
    rig.unsubscribe(2, 9);
    rig.catch_up(2);
    assert_eq!(rig.page(2).subs[&1].order.len(), 20);
    assert_eq!(rig.heard_kinds(2)[0], "reset");
}

#[test]
fn small_snapshots_do_not_wait_for_each_other() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.heard(1);
    rig.stop_reading(1);
    (1..=50).for_each(|sub| rig.subscribe(1, sub, notes()));
    assert_eq!(rig.waiting(1), 50);
}

#[test]
fn nor_do_they_after_a_large_one_has_left() {
    let mut rig = Rig::with(Config { chunk_bytes: 1_000, ..Config::default() });
    rig.join(1, "ada");
    rig.write(1, "client-ada", (0..100).map(|n| note(&format!("{n:02}"), "", n)).collect());
    rig.subscribe(1, 1, notes());
    rig.stop_reading(1);
    (2..=3).for_each(|sub| rig.subscribe(1, sub, Note::in_space("r")));
    assert_eq!(rig.waiting(1), 2);
}

#[test]
fn who_came_back_with_a_cursor_and_lags_gets_all_rows() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    let kept = rig.page(1).subs[&1].kept();
    let cursor = kept.cursor;
    rig.subscribe_again(1, 2, kept, cursor);
    rig.unsubscribe(1, 1);
    rig.heard(1);
    rig.lag(1);
    rig.catch_up(1);
    assert_eq!(rig.heard_kinds(1), ["reset", "snapshot"]);
}
