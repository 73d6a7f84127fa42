//! Subscribing, and what follows.

use syncline_core::space::Config;
use syncline_core::wire::{Limits, ServerMessage};
use syncline_core::{Record as _, code};

use crate::rig::{Rig, SPACE, note, notes};
use crate::rules::Note;

#[test]
fn a_snapshot_has_the_rows_in_the_order_of_the_query() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.write(1, "client-ada", vec![note("a", "", 3), note("b", "", 1), note("c", "", 2), note("d", "", 2)]);
    rig.subscribe(1, 1, notes());
    assert_eq!(rig.page(1).subs[&1].order, ["b", "c", "d", "a"]);
    rig.subscribe(1, 2, Note::in_space(SPACE).order_by(Note::n.desc()).filter(Note::n.gt(1)));
    assert_eq!(rig.page(1).subs[&2].order, ["a", "c", "d"]);
}

#[test]
fn an_empty_space_is_a_snapshot_too() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.heard(1);
    rig.subscribe(1, 1, notes());
    let [ServerMessage::Snapshot(snapshot)] = &rig.heard(1)[..] else { panic!() };
    assert!(snapshot.last);
    assert_eq!((snapshot.total, snapshot.cursor.version, snapshot.cursor.schema), (0, 0, 3));
}

#[test]
fn a_snapshot_comes_in_chunks_the_next_when_the_last_has_left() {
    let mut rig = Rig::with(Config { chunk_bytes: 100, ..Config::default() });
    rig.join(1, "ada");
    let long = "x".repeat(300);
    rig.write(
        1,
        "client-ada",
        vec![note("a", "", 1), note("b", "", 2), note("c", &long, 3), note("d", "", 4)],
    );
    rig.heard(1);
    rig.stop_reading(1);
    rig.subscribe(1, 1, notes());
    rig.read_on(1);
    let chunks: Vec<_> =
        rig.line(1).heard.iter().map(|frame| frame.split(|b| *b == b'\n').count() - 1).collect();
    assert_eq!(chunks, [2, 1, 1], "rows in each chunk; one that is too large stands alone");
    let last: Vec<_> = rig
        .heard(1)
        .into_iter()
        .map(|message| matches!(message, ServerMessage::Snapshot(snapshot) if snapshot.last))
        .collect();
    assert_eq!(last, [false, false, true]);
    assert_eq!(rig.page(1).subs[&1].order, ["a", "b", "c", "d"]);
}

#[test]
fn of_a_snapshot_no_more_than_a_chunk_is_on_its_way_to_a_slow_reader() {
    let mut rig = Rig::with(Config { chunk_bytes: 100, ..Config::default() });
    rig.join(1, "ada");
    rig.write(1, "client-ada", (0..50).map(|n| note(&format!("{n:02}"), "", n)).collect());
    rig.stop_reading(1);
    (1..=10).for_each(|sub| rig.subscribe(1, sub, notes()));
    assert_eq!(rig.waiting(1), 1);
    rig.read_on(1);
    assert!((1..=10).all(|sub| rig.page(1).keys(sub).len() == 50));
}

#[test]
fn a_snapshot_is_of_one_version_and_changes_wait_behind_it() {
    let mut rig = Rig::with(Config { chunk_bytes: 100, ..Config::default() });
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.write(1, "client-ada", (0..10).map(|n| note(&format!("{n:02}"), "", n)).collect());
    rig.heard(2);
    rig.stop_reading(2);
    rig.subscribe(2, 1, notes());
    rig.write(1, "client-ada", vec![note("09", "changed", 9), note("99", "", 99)]);
    rig.read_on(2);
    let kinds = rig.heard_kinds(2);
    assert_eq!(kinds.iter().filter(|kind| **kind == "changes").count(), 1);
    assert_eq!(kinds.last(), Some(&"changes"));
    let sub = &rig.page(2).subs[&1];
    assert_eq!(sub.order.len(), 10, "the snapshot did not have the new row");
    assert_eq!(sub.rows.len(), 11);
    assert_eq!(sub.rows["09"]["text"], "changed");
}

#[test]
fn changes_of_another_space_do_not_wait_behind_a_snapshot() {
    let mut rig = Rig::with(Config { chunk_bytes: 100, ..Config::default() });
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.write(1, "client-ada", (0..10).map(|n| note(&format!("{n:02}"), "", n)).collect());
    rig.subscribe(2, 1, Note::in_space("room"));
    rig.stop_reading(2);
    rig.subscribe(2, 2, notes());
    rig.heard(2);
    rig.write_as(1, "room", "client-ada", 1, vec![note("a", "", 1)]);
    rig.read_on(2);
    let kinds = rig.heard_kinds(2);
    assert_eq!(kinds[..3], ["snapshot", "changes", "snapshot"]);
}

#[test]
fn the_same_subscription_twice_is_answered_once() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.subscribe(1, 1, notes());
    assert_eq!(rig.heard_kinds(1), ["welcome", "snapshot"]);
}

#[test]
fn a_number_that_is_used_for_another_query_fails() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.subscribe(1, 1, notes().limit(1));
    assert_eq!(rig.page(1).failed[&1].code(), code::BAD_FRAME);
    assert_eq!(rig.engine.gauges().subscriptions, 0);
}

#[test]
fn one_subscription_too_many_fails_alone() {
    let mut rig =
        Rig::with(Config { limits: Limits { subscriptions: 2, ..Limits::default() }, ..Config::default() });
    rig.join(1, "ada");
    (1..=3).for_each(|sub| rig.subscribe(1, sub, notes()));
    assert_eq!(rig.page(1).failed[&3].code(), code::TOO_MANY);
    rig.unsubscribe(1, 1);
    rig.subscribe(1, 4, notes());
    assert_eq!(rig.heard_kinds(1), ["welcome", "snapshot", "snapshot", "failed", "snapshot"]);
}

#[test]
fn after_unsubscribing_nothing_more_comes() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.subscribe(1, 1, notes());
    rig.unsubscribe(1, 1);
    rig.heard(1);
    rig.put_note(2, "client-bob", "a", 1);
    assert_eq!(rig.heard_kinds(1), [""; 0]);
    assert_eq!(rig.engine.gauges().subscriptions, 0);
}

#[test]
fn unsubscribing_in_the_middle_of_a_snapshot_ends_it_and_the_next_one_begins() {
    let mut rig = Rig::with(Config { chunk_bytes: 100, ..Config::default() });
    rig.join(1, "ada");
    rig.subscribe(1, 1, Note::in_space(SPACE).filter(Note::text.eq("")));
    rig.write(1, "client-ada", (0..10).map(|n| note(&format!("{n:02}"), "", n)).collect());
    rig.stop_reading(1);
    rig.subscribe(1, 2, notes());
    rig.put_note(1, "client-ada", "99", 99);
    rig.unsubscribe(1, 2);
    rig.subscribe(1, 3, notes());
    rig.read_on(1);
    let text = rig.heard_text(1);
    assert_eq!(text.matches(r#""snapshot":{"sub":2,"#).count(), 1, "the chunk that was on its way");
    assert_eq!(rig.page(1).keys(1).len(), 11);
    assert_eq!(rig.page(1).keys(3).len(), 11);
}

#[test]
fn a_row_follows_the_filter_in_and_out() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, Note::in_space(SPACE).filter(Note::n.lt(5)));
    rig.put_note(1, "client-ada", "a", 9);
    assert_eq!(rig.page(1).keys(1), [""; 0]);
    rig.put_note(1, "client-ada", "a", 1);
    assert_eq!(rig.page(1).keys(1), ["a"]);
    rig.put_note(1, "client-ada", "a", 8);
    assert_eq!(rig.page(1).keys(1), [""; 0]);
}

#[test]
fn a_second_subscription_brings_the_first_up_to_date() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.subscribe(1, 1, Note::in_space(SPACE).filter(Note::n.gt(100)));
    rig.put_note(2, "client-bob", "a", 1);
    rig.heard(1);
    rig.subscribe(1, 2, notes());
    let [ServerMessage::Changes(changes), ServerMessage::Snapshot(snapshot)] = &rig.heard(1)[..] else {
        panic!()
    };
    assert_eq!((changes.from, changes.to, changes.parts.len()), (0, 1, 0));
    assert_eq!(snapshot.cursor.version, 1);
    rig.unsubscribe(1, 2);
    rig.put_note(2, "client-bob", "b", 101);
    assert_eq!(rig.page(1).keys(1), ["b"]);
}

#[test]
fn the_last_chunk_tells_what_became_of_the_clients_writes() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.put_note(1, "client-ada", "a", 1);
    rig.write(1, "client-ada", vec![note("b", "rude", 1)]);
    rig.disconnect(1);
    rig.join(2, "ada");
    rig.heard(2);
    rig.subscribe(2, 1, notes());
    let refused = r#"[{"id":2,"error":{"code":"rude","message":"mind your language"}}]"#;
    let writes = format!(r#""writes":[{{"client":"client-ada","last":2,"refused":{refused}}}]"#);
    assert!(rig.heard_text(2).contains(&writes));
}
