//! A database that was put back from an older copy, and clients that have seen more than it has.

use serde_json::json;
use syncline_core::space::Config;
use syncline_core::wire::{Held, MAX_HELD};
use syncline_core::{Cursor, Record as _};

use crate::page::Sub;
use crate::rig::{Rig, SPACE, note, notes};
use crate::rules::Note;

/// Ada has seen three versions; the disk has one of them.
fn restored() -> (Rig, Sub, Cursor) {
    restored_with(Config::default())
}

fn restored_with(config: Config) -> (Rig, Sub, Cursor) {
    let mut rig = Rig::with(config);
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.put_note(1, "client-ada", "kept", 1);
    let copy = rig.disk.clone();
    rig.put_note(1, "client-ada", "lost-1", 2);
    rig.put_note(1, "client-ada", "lost-2", 3);
    let sub = rig.line(1).page.subs.remove(&1).unwrap();
    let cursor = sub.cursor.unwrap();
    rig.crash();
    rig.disk = copy;
    (rig, sub, cursor)
}

#[test]
fn who_has_seen_more_ends_the_history_for_everybody_and_for_good() {
    let (mut rig, ada, cursor) = restored();
    // bob has seen as much, and stays away
    let bob = ada.kept();
    rig.join(2, "carl");
    rig.subscribe(2, 1, notes());
    rig.subscribe(2, 2, Note::in_space("room"));
    rig.heard(2);
    rig.join(1, "ada");
    rig.heard(1);
    rig.subscribe_again(1, 1, ada.kept(), Some(cursor));
    assert_eq!(rig.heard_kinds(1), ["snapshot"]);
    assert_eq!(rig.page(1).keys(1), ["kept"]);
    let fresh = rig.page(1).subs[&1].cursor.unwrap().incarnation;
    assert_ne!(fresh, cursor.incarnation);
    assert_eq!(rig.disk[SPACE].incarnation, Some(fresh), "stored at once");
    // carl was told versions of the old history
    assert_eq!(rig.heard_kinds(2), ["reset", "snapshot", "snapshot"]);
    assert_eq!(rig.page(2).subs[&1].cursor.unwrap().incarnation, fresh);

    rig.crash();
    rig.join(2, "carl");
    for (id, n) in (1..).zip(10..15) {
        rig.write_as(2, SPACE, "client-carl", id, vec![note(&n.to_string(), "", n)]);
    }
    rig.join(3, "bob");
    rig.heard(3);
    rig.subscribe_again(3, 1, bob, Some(cursor));
    assert_eq!(rig.heard_kinds(3), ["snapshot"], "though its version is known here too");
    assert_eq!(rig.page(3).keys(1), ["10", "11", "12", "13", "14", "kept"]);
}

#[test]
fn who_has_seen_more_and_holds_other_rows_misses_nothing_behind_a_large_answer() {
    let (mut rig, ada, cursor) =
        restored_with(Config { chunk_bytes: 200, backlog_bytes: 1_000, ..Config::default() });
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.write(2, "client-bob", (0..20).map(|n| note(&format!("{n:02}"), "", n)).collect());
    rig.subscribe(1, 2, notes().limit(1));
    rig.heard(1);
    rig.stop_reading(1);
    rig.subscribe_again(1, 1, ada, Some(cursor));
    rig.put_note(2, "client-bob", "new", 99);
    rig.read_on(1);
    assert_eq!(rig.heard_kinds(1)[0], "reset", "before any answer");
    assert_eq!(rig.page(1).keys(1).len(), 22);
    assert_eq!(rig.page(1).subs[&1].rows["new"]["n"], 99);
    assert_eq!(rig.page(1).keys(2), ["00"]);
}

#[test]
fn a_commit_on_its_way_still_belongs_to_the_old_history() {
    let (mut rig, ada, cursor) = restored();
    rig.join(2, "bob");
    rig.write_as(2, "room", "client-bob", 1, vec![note("x", "", 1)]);
    rig.subscribe(2, 1, notes());
    rig.disk_waits = true;
    rig.write_as(2, SPACE, "client-bob", 1, vec![note("b", "", 1)]);
    rig.join(1, "ada");
    rig.subscribe_again(1, 1, ada.kept(), Some(cursor));
    rig.write_as(2, SPACE, "client-bob", 2, vec![note("c", "", 1)]);
    rig.commit_all();
    assert_eq!(rig.stored("notes"), ["b", "c", "kept"]);
    let fresh = rig.page(1).subs[&1].cursor.unwrap().incarnation;
    assert!(fresh != cursor.incarnation && rig.disk[SPACE].incarnation == Some(fresh));
    assert_eq!(rig.page(1).keys(1), ["b", "c", "kept"]);
    assert_eq!(rig.page(2).keys(1), ["b", "c", "kept"]);
}

#[test]
fn a_new_history_that_cannot_be_stored_goes_with_the_next_write() {
    let (mut rig, ada, cursor) = restored();
    rig.disk_waits = true;
    rig.join(1, "ada");
    rig.subscribe_again(1, 1, ada.kept(), Some(cursor));
    rig.load();
    rig.fail_commit();
    assert!(rig.commits.is_empty(), "a full disk is not asked again and again");
    rig.write_as(1, SPACE, "client-ada", 2, vec![note("b", "", 1)]);
    rig.commit();
    let fresh = rig.page(1).subs[&1].cursor.unwrap().incarnation;
    assert_eq!(rig.disk[SPACE].incarnation, Some(fresh));
    rig.write_as(1, SPACE, "client-ada", 3, vec![note("c", "", 1)]);
    rig.commit();
    assert_eq!(rig.page(1).keys(1), ["b", "c", "kept"]);
}

#[test]
fn who_has_seen_more_ends_the_history_however_much_they_hold() {
    let (mut rig, ada, cursor) = restored();
    rig.join(1, "ada");
    rig.disk_waits = true;
    // all that is remembered of a connection is remembered of this space, until it is there
    let keys: Vec<_> = (0..MAX_HELD).map(|n| n.to_string()).collect();
    let held = Held::new(1, keys.iter().map(String::as_str));
    let room = Note::in_space("room").spec().clone();
    rig.line(1).page.subscribe(2, room.clone());
    rig.say(1, json!({"subscribe": {"sub": 2, "query": room, "cursor": cursor, "held": held}}));
    rig.subscribe_holding(1, 1, ada.kept(), Some(cursor));
    while !rig.loads.is_empty() {
        rig.load();
    }
    rig.commit_all();
    let fresh = rig.page(1).subs[&1].cursor.unwrap().incarnation;
    assert_ne!(fresh, cursor.incarnation);
    assert_eq!(rig.disk[SPACE].incarnation, Some(fresh));
    assert_eq!(rig.page(1).keys(1), ["kept"]);
}

#[test]
fn who_makes_versions_up_does_not_end_one_history_after_the_other() {
    let (mut rig, ada, cursor) = restored();
    rig.join(1, "ada");
    rig.subscribe_again(1, 1, ada.kept(), Some(cursor));
    let known = rig.page(1).subs[&1].cursor.unwrap();
    rig.join(2, "eve");
    rig.heard(1);
    rig.subscribe_spec(2, 1, notes().spec().clone(), Some(Cursor { version: 99, ..known }));
    assert_eq!(rig.heard_kinds(2)[1..], ["snapshot"]);
    assert_eq!(rig.heard_kinds(1), [""; 0]);
    assert_eq!(rig.disk[SPACE].incarnation, Some(known.incarnation));
}
