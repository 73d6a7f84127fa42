//! Coming back to a result that depends on a limit, or on who asks: the client says which rows it holds.

use std::collections::BTreeMap;

use serde_json::json;
use syncline_core::ops::RowOp;
use syncline_core::space::Config;
use syncline_core::wire::{MAX_HELD, Resume, ServerMessage};
use syncline_core::{Cursor, QuerySpec};

use crate::page::Sub;
use crate::rig::{Rig, SPACE, note, notes, secret, secrets};
use crate::rules::{Note, Secret};

/// Ada watches `spec`, then goes away; Bob has written ten notes.
fn away(spec: QuerySpec) -> (Rig, Sub) {
    let mut rig = Rig::with(Config::default());
    rig.join(2, "bob");
    rig.write(2, "client-bob", (0..10).map(|n| note(&format!("{n}"), "", n)).collect());
    rig.join(1, "ada");
    rig.write(1, "client-ada", vec![secret("mine", "ada", "", 1)]);
    rig.subscribe_spec(1, 1, spec, None);
    let sub = rig.line(1).page.subs.remove(&1).unwrap();
    rig.disconnect(1);
    (rig, sub)
}

/// Ada comes back: what she is told, and the rows she holds then.
fn back(rig: &mut Rig, sub: &Sub) -> (ServerMessage, usize, Vec<String>) {
    rig.join(1, "ada");
    rig.heard(1);
    rig.subscribe_holding(1, 7, sub.kept(), sub.cursor);
    let frames = std::mem::take(&mut rig.line(1).heard);
    let [frame] = &frames[..] else { panic!("{} frames", frames.len()) };
    let frame = syncline_core::wire::Frame::parse(frame).unwrap();
    let (message, rows) = (frame.message.clone(), frame.rows().count());
    (message, rows, rig.page(1).keys(7).into_iter().map(Into::into).collect())
}

fn resumed(message: ServerMessage) -> Resume {
    let ServerMessage::Resume(resume) = message else { panic!("{message:?}") };
    resume
}

#[test]
fn of_a_window_only_the_difference_is_sent() {
    let (mut rig, sub) = away(notes().limit(4).spec().clone());
    assert!(!sub.selective);
    // 1 leaves and 4 takes its place; 2 changes; 9 comes to the front and pushes 4 out again; 7 stays behind the edge
    rig.write(2, "client-bob", vec![RowOp::delete::<Note>("1"), note("2", "changed", 2), note("7", "", 8)]);
    rig.write(2, "client-bob", vec![note("9", "", -1)]);
    let (message, rows, keys) = back(&mut rig, &sub);
    assert_eq!((resumed(message).gone, rows), (vec![1], 2));
    assert_eq!(keys, ["0", "2", "3", "9"]);
    assert_eq!(rig.page(1).subs[&7].rows["2"]["text"], "changed");
    rig.write(2, "client-bob", vec![RowOp::delete::<Note>("0")]);
    assert_eq!(rig.page(1).keys(7), ["2", "3", "4", "9"], "and hears of what follows");
}

#[test]
fn a_window_that_has_not_changed_costs_next_to_nothing() {
    let (mut rig, sub) = away(notes().limit(8).spec().clone());
    rig.write(2, "client-bob", vec![note("behind", "", 100)]);
    let (message, rows, keys) = back(&mut rig, &sub);
    assert_eq!((resumed(message).gone, rows, keys.len()), (vec![], 0, 8));
}

#[test]
fn a_row_that_changed_and_still_stands_there_is_sent() {
    let (mut rig, sub) = away(notes().limit(2).spec().clone());
    rig.write(2, "client-bob", vec![RowOp::delete::<Note>("0")]);
    rig.write(2, "client-bob", vec![note("0", "again", 0)]);
    let (message, rows, _) = back(&mut rig, &sub);
    assert_eq!((resumed(message).gone, rows), (vec![], 1));
    assert_eq!(rig.page(1).subs[&7].rows["0"]["text"], "again");
}

#[test]
fn of_rows_that_are_not_for_everybody_only_the_difference_is_sent() {
    let (mut rig, sub) = away(secrets().spec().clone());
    assert!(sub.selective, "the client is told that it has to say what it holds");
    rig.join(3, "ada");
    rig.write(3, "client-ada", vec![secret("more", "ada", "", 2), secret("other", "ada", "", 3)]);
    rig.write(3, "client-ada", vec![RowOp::delete::<Secret>("mine")]);
    rig.write(2, "client-bob", vec![secret("hidden", "bob", "", 2)]);
    let (message, rows, keys) = back(&mut rig, &sub);
    let resume = resumed(message);
    assert_eq!((resume.gone, resume.del.len(), rows), (vec![0], 0, 2));
    assert_eq!(keys, ["more", "other"]);
}

#[test]
fn rights_that_were_lost_or_won_meanwhile_count() {
    let (mut rig, sub) = away(secrets().spec().clone());
    rig.say(2, json!({"auth": {"token": "bob:Bob"}}));
    rig.write(2, "client-bob", vec![secret("club", "members", "", 1)]);
    // with a name, Ada is a member
    rig.join(1, "ada:Ada");
    rig.subscribe_holding(1, 7, sub.kept(), sub.cursor);
    assert_eq!(rig.page(1).keys(7), ["club", "mine"]);
    let as_member = rig.line(1).page.subs.remove(&7).unwrap();
    rig.disconnect(1);
    // and without one, no more: nothing was written in between
    rig.join(1, "ada");
    rig.heard(1);
    rig.subscribe_holding(1, 7, as_member.kept(), as_member.cursor);
    assert_eq!(rig.page(1).keys(7), ["mine"]);
    assert!(!rig.heard_text(1).contains("club"), "its key is not named any more");
}

#[test]
fn another_access_epoch_is_no_reason_to_send_everything() {
    let (mut rig, mut sub) = away(notes().limit(4).spec().clone());
    sub.cursor = sub.cursor.map(|cursor| Cursor { epoch: cursor.epoch + 1, ..cursor });
    let (message, rows, _) = back(&mut rig, &sub);
    assert_eq!((resumed(message).gone, rows), (vec![], 0));
}

#[test]
fn beyond_the_log_and_in_another_history_all_rows_are_sent() {
    let (mut rig, mut sub) = away(notes().limit(4).spec().clone());
    sub.cursor = sub.cursor.map(|cursor| Cursor { schema: cursor.schema + 1, ..cursor });
    let (message, rows, _) = back(&mut rig, &sub);
    assert!(matches!(message, ServerMessage::Snapshot(_)) && rows == 4);

    let config = Config { log_retention: 2, ..Config::default() };
    let mut rig = Rig::with(config);
    rig.join(1, "ada");
    rig.write(1, "client-ada", vec![note("a", "", 1)]);
    rig.subscribe_spec(1, 1, notes().limit(4).spec().clone(), None);
    let sub = rig.line(1).page.subs.remove(&1).unwrap();
    for n in 0..3 {
        rig.write(1, "client-ada", vec![note("b", "", n)]);
    }
    rig.disconnect(1);
    let (message, ..) = back(&mut rig, &sub);
    assert!(matches!(message, ServerMessage::Snapshot(_)));
}

#[test]
fn who_claims_to_hold_too_much_is_refused_or_answered_in_full() {
    // else all rows are less than the names of those that are gone
    let mut rig = Rig::with(Config { chunk_bytes: 1 << 20, ..Config::default() });
    rig.join(1, "ada");
    rig.write(1, "client-ada", vec![note("a", "", 1)]);
    let cursor = {
        rig.subscribe(1, 1, notes());
        rig.page(1).subs[&1].cursor
    };
    let query = notes().limit(4).spec().clone();
    let keys = |count: usize| (0..count).map(|n| format!("k{n}")).collect::<Vec<_>>();
    let held = |count| syncline_core::wire::Held::new(1, keys(count).iter().map(String::as_str));
    let subscribe = |held| json!({"subscribe": {"sub": 2, "query": query, "cursor": cursor, "held": held}});
    rig.say(1, subscribe(serde_json::to_value(held(MAX_HELD + 1)).unwrap()));
    assert_eq!(rig.page(1).failed[&2].code(), "bad_query");
    rig.heard(1);
    rig.say(1, json!({"subscribe": {"sub": 3, "query": query, "cursor": cursor, "held": held(MAX_HELD)}}));
    let gone = rig.heard(1).into_iter().map(|message| resumed(message).gone.len());
    assert_eq!(gone.sum::<usize>(), MAX_HELD);
    assert_eq!(rig.disk[SPACE].rows.len(), 1);
}

/// Without what it holds, a cursor says that nothing of the list is missing.
#[test]
fn whose_rows_are_too_many_to_remember_is_answered_with_all_rows() {
    let mut rig = Rig::with(Config { chunk_bytes: 500, ..Config::default() });
    rig.join(1, "ada");
    rig.write(1, "client-ada", (0..50).map(|n| note(&format!("{n}"), "", n)).collect());
    rig.subscribe(1, 1, notes());
    let cursor = rig.page(1).subs[&1].cursor;
    rig.stop_reading(1);
    // what is asked now waits for its turn
    rig.subscribe(1, 2, notes().limit(40));
    let keys: Vec<_> = (0..MAX_HELD - 10).map(|n| n.to_string()).collect();
    let held = |count: usize| syncline_core::wire::Held::new(1, keys[..count].iter().map(String::as_str));
    for (sub, spec, held) in [
        (3, notes().limit(4).spec().clone(), held(MAX_HELD - 10)),
        (4, notes().spec().clone(), held(50)),
        (5, notes().spec().clone(), held(1)),
    ] {
        rig.line(1).page.subscribe(sub, spec.clone());
        let subscribe = json!({"sub": sub, "query": spec, "cursor": cursor, "held": held});
        rig.say(1, json!({"subscribe": subscribe}));
    }
    rig.heard(1);
    rig.read_on(1);
    let answers = rig.heard(1).into_iter().filter_map(|message| match message {
        ServerMessage::Snapshot(snapshot) => Some((snapshot.sub, "snapshot")),
        ServerMessage::Resume(resume) => Some((resume.sub, "resume")),
        _ => None,
    });
    let answers: BTreeMap<_, _> = answers.collect();
    assert_eq!(answers[&4], "snapshot", "{answers:?}");
    assert_eq!(answers[&5], "resume", "{answers:?}");
}
