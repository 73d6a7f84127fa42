//! Lists of a space that come back together, and what is on the screen until the last of them is there.

use serde_json::json;
use syncline_core::client::WatchId;
use syncline_core::ops::RowOp;
use syncline_core::{Query, Record};

use crate::related::{Mark, change, count, mark, write};
use crate::rig::{Rig, Todo, all, list, open};

/// A live list beside two others, which are asked for again, as 4 and 5.
fn beside_returning<R: Record>(query: &Query<Todo>, todos: &[Todo], others: [Query<R>; 2]) -> (Rig, WatchId) {
    let mut rig = Rig::new();
    let watch = rig.watch(query);
    let others = others.map(|query| rig.core.watch(rig.now, &query));
    rig.connect();
    rig.snapshot(1, todos);
    for sub in [2, 3] {
        rig.snapshot(sub, &[]);
    }
    others.iter().for_each(|other| rig.core.stop(rig.now, *other));
    others.iter().for_each(|other| rig.core.start(rig.now, *other));
    (rig, watch)
}

fn marks() -> [Query<Mark>; 2] {
    [Mark::in_space("list"), Mark::in_space("list").order_by(Mark::at)]
}

fn counted() -> Query<Todo> {
    all().include(Mark::todo.children().limit(0).counted())
}

#[test]
fn an_own_row_stays_while_what_brings_it_is_held() {
    let (mut rig, watch) = beside_returning(&all(), &[], marks());
    rig.put(&Todo::new("a", 1));
    rig.snapshot(4, &[]);
    rig.change(1, &[Todo::new("a", 1)], &[], &[1]);
    assert_eq!(rig.settled().len(), 1);
    assert_eq!(rig.shown(watch), ["a?"], "its row waits for the other list");
    rig.snapshot(5, &[]);
    assert_eq!(rig.shown(watch), ["a"]);
}

#[test]
fn an_own_child_counts_once_whether_what_brings_it_has_come_or_is_held() {
    let (mut rig, watch) = beside_returning(&counted(), &[Todo::new("a", 1)], marks());
    write(&mut rig, RowOp::put(&mark("x", "a")).unwrap());
    change(&mut rig, json!({"counts": count("a", 1)}), &[], &[1]);
    assert_eq!(rig.core.count(watch, 0, "a"), 1, "both others wait for it");
    write(&mut rig, RowOp::put(&mark("y", "a")).unwrap());
    assert_eq!(rig.core.count(watch, 0, "a"), 2);
    let answer = |rig: &mut Rig, sub: u32, marks: &[Mark]| {
        let rows: Vec<_> = marks.iter().map(|mark| serde_json::to_value(mark).unwrap()).collect();
        let head = json!({"snapshot": {
            "sub": sub, "cursor": rig.cursor(), "chunk": 0, "total": rows.len(), "last": true,
        }});
        rig.server_rows(head, &rows);
    };
    answer(&mut rig, 4, &[mark("x", "a")]);
    assert_eq!(rig.core.count(watch, 0, "a"), 2, "the first is in the server's number");
    change(&mut rig, json!({"counts": count("a", 2)}), &[], &[2]);
    assert_eq!(rig.settled().len(), 2);
    assert_eq!(rig.core.count(watch, 0, "a"), 2, "the number with the second is held");
    answer(&mut rig, 5, &[mark("x", "a"), mark("y", "a")]);
    assert_eq!(rig.core.count(watch, 0, "a"), 2);
    assert_eq!(rig.core.intents(&list()), 0);
}

#[test]
fn an_own_child_counts_once_though_a_new_list_still_waits_for_it() {
    let todos = [Todo::new("a", 1)];
    let (mut rig, watch) = beside_returning(&counted(), &todos, [open(), all().limit(9)]);
    change(&mut rig, json!({"counts": count("a", 1)}), &[], &[]);
    rig.core.watch(rig.now, &Mark::in_space("list"));
    write(&mut rig, RowOp::put(&mark("mine", "a")).unwrap());
    rig.snapshot(4, &todos);
    // somebody has taken theirs away, so that the number is what it was
    change(&mut rig, json!({}), &[], &[1]);
    assert_eq!(rig.core.count(watch, 0, "a"), 2);
    rig.snapshot(5, &todos);
    assert_eq!((rig.core.count(watch, 0, "a"), rig.core.intents(&list())), (1, 1));
}

/// The connection is lost, and the lists are answered on another one by a server that has lost all it knew.
fn come_back_to_another_history(rig: &mut Rig, todos: &[Todo]) {
    rig.reopen();
    rig.connect();
    for sub in 1..=3 {
        let rows: &[Todo] = if sub == 1 { todos } else { &[] };
        let rows: Vec<_> = rows.iter().map(|row| serde_json::to_value(row).unwrap()).collect();
        let cursor = json!({"incarnation": "00000000000000bb", "schema": 0, "epoch": 0, "version": 0});
        let head = json!({"snapshot": {
            "sub": sub, "cursor": cursor, "chunk": 0, "total": rows.len(), "last": true,
        }});
        rig.server_rows(head, &rows);
    }
}

#[test]
fn an_own_row_that_was_applied_does_not_stay_when_another_history_is_without_it() {
    let (mut rig, watch) = beside_returning(&all(), &[], marks());
    rig.put(&Todo::new("a", 1));
    rig.snapshot(4, &[]);
    rig.change(1, &[Todo::new("a", 1)], &[], &[1]);
    assert_eq!(rig.shown(watch), ["a?"]);
    come_back_to_another_history(&mut rig, &[]);
    assert_eq!((rig.shown(watch).len(), rig.core.intents(&list())), (0, 0));
}

#[test]
fn an_own_child_that_was_applied_is_not_counted_when_another_history_is_without_it() {
    let todos = [Todo::new("a", 1)];
    let (mut rig, watch) = beside_returning(&counted(), &todos, marks());
    write(&mut rig, RowOp::put(&mark("x", "a")).unwrap());
    rig.snapshot(4, &[]);
    change(&mut rig, json!({"counts": count("a", 1)}), &[], &[1]);
    assert_eq!(rig.core.count(watch, 0, "a"), 1);
    come_back_to_another_history(&mut rig, &todos);
    assert_eq!((rig.core.count(watch, 0, "a"), rig.core.intents(&list())), (0, 0));
}
