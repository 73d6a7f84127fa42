//! Lists that have rows in common: what one has, the next one need not load.

use serde_json::{Value, json};
use syncline_core::Query;
use syncline_core::client::WatchId;
use syncline_core::wire::Held;

use crate::rig::{Rig, Todo, all, open};

fn todos(count: i64) -> Vec<Todo> {
    (0..count).map(|n| Todo { done: n % 2 == 1, ..Todo::new(&format!("{n}"), n) }).collect()
}

/// A live list of a query with these rows, and then a watch of another query.
fn beside(first: &Query<Todo>, rows: &[Todo], second: &Query<Todo>) -> (Rig, WatchId) {
    let (rig, _, watch) = both(first, rows, second);
    (rig, watch)
}

/// The same, and the live list's watch.
fn both(first: &Query<Todo>, rows: &[Todo], second: &Query<Todo>) -> (Rig, WatchId, WatchId) {
    let mut rig = Rig::new();
    let live = rig.watch(first);
    rig.connect();
    rig.snapshot(1, rows);
    rig.drain();
    let watch = rig.watch(second);
    (rig, live, watch)
}

/// What was asked for last.
fn subscribe(rig: &mut Rig) -> Value {
    rig.sent().into_iter().find_map(|frame| frame.get("subscribe").cloned()).unwrap()
}

fn held(subscribe: &Value) -> usize {
    serde_json::from_value::<Held>(subscribe["held"].clone()).unwrap().len()
}

#[test]
fn another_filter_of_rows_that_are_there_shows_them_at_once() {
    let (mut rig, watch) = beside(&all(), &todos(4), &open());
    assert_eq!(rig.shown(watch), ["0", "2"]);
    let state = rig.core.watch_state(watch);
    assert_eq!((state.status.as_str(), state.loaded), ("connecting", true), "all of it was there");
    let asked = subscribe(&mut rig);
    assert!(asked["cursor"].is_object() && asked.get("held").is_none(), "the log alone tells the rest");
    rig.server(json!({"resume": {"chunk": 0, "last": true, "sub": 2, "cursor": rig.cursor()}}));
    assert_eq!((rig.status(watch), rig.shown(watch).len()), ("live", 2));
}

#[test]
fn a_wider_list_need_not_load_what_a_narrower_one_has() {
    let (mut rig, watch) = beside(&open(), &todos(1), &all());
    assert!(rig.shown(watch).is_empty(), "it could be half of a write");
    assert!(!rig.core.watch_state(watch).loaded);
    let asked = subscribe(&mut rig);
    assert_eq!((held(&asked), asked["cursor"]["version"].as_u64()), (1, Some(0)));
    let head = json!({"resume": {"chunk": 0, "last": true, "sub": 2, "cursor": rig.cursor()}});
    rig.server_rows(head, &[serde_json::to_value(Todo::new("more", 9)).unwrap()]);
    assert_eq!(rig.shown(watch), ["0", "more"]);
    assert!(rig.core.watch_state(watch).loaded);
}

#[test]
fn a_longer_window_loads_the_rest_only() {
    let (mut rig, watch) = beside(&all().limit(2), &todos(2), &all().limit(4));
    assert_eq!(rig.shown(watch), ["0", "1"]);
    assert!(!rig.core.watch_state(watch).loaded);
    assert_eq!(held(&subscribe(&mut rig)), 2);
    let head = json!({"resume": {"chunk": 0, "last": true, "sub": 2, "cursor": rig.cursor()}});
    let rest: Vec<_> = todos(4)[2..].iter().map(|row| serde_json::to_value(row).unwrap()).collect();
    rig.server_rows(head, &rest);
    assert_eq!(rig.shown(watch), ["0", "1", "2", "3"]);
}

#[test]
fn a_window_that_grows_again_before_its_answer_shows_what_there_is() {
    let (mut rig, first, second) = both(&all().limit(2), &todos(2), &all().limit(4));
    rig.core.unwatch(rig.now, first);
    for limit in [6, 3] {
        let next = rig.watch(&all().limit(limit));
        assert_eq!(rig.shown(next), ["0", "1"]);
        assert!(!rig.core.watch_state(next).loaded);
        assert_eq!(held(&subscribe(&mut rig)), 2, "and asks for the rest only");
        rig.core.unwatch(rig.now, if limit == 6 { second } else { next });
    }
}

#[test]
fn while_away_a_window_grows_from_what_there_is_though_others_stand_elsewhere() {
    let (mut rig, first, second) = both(&all().limit(2), &todos(2), &all().limit(4));
    rig.core.unwatch(rig.now, first);
    let other = rig.watch(&open().filter(Todo::position.eq(9)));
    rig.version = 3;
    let sub = rig.newest_sub();
    rig.snapshot(sub, &[]);
    assert_eq!(rig.status(other), "live");
    let third = rig.watch(&all().limit(6));
    rig.core.unwatch(rig.now, second);
    assert_eq!(rig.shown(third), ["0", "1"]);
}

#[test]
fn a_shorter_window_shows_no_more_than_it_asks_for() {
    let (rig, watch) = beside(&all().limit(4), &todos(4), &all().limit(2));
    assert_eq!(rig.shown(watch), ["0", "1"]);
    assert!(rig.core.watch_state(watch).loaded);
    let (rig, watch) = beside(&all(), &todos(4), &open().limit(1));
    assert_eq!(rig.shown(watch), ["0"]);
    assert!(rig.core.watch_state(watch).loaded);
}

#[test]
fn what_the_server_does_not_confirm_goes() {
    for (query, gone) in [(open(), json!({"del": ["0"]})), (open().limit(2), json!({"gone": [0]}))] {
        let (mut rig, watch) = beside(&all(), &todos(4), &query);
        rig.change(1, &[], &["0"], &[]);
        let mut resume = json!({"chunk": 0, "last": true, "sub": 2, "cursor": rig.cursor()});
        resume.as_object_mut().unwrap().extend(gone.as_object().unwrap().clone());
        rig.server(json!({"resume": resume}));
        assert_eq!(rig.shown(watch), ["2"]);
    }
}

#[test]
fn a_row_that_could_not_be_read_is_reported_to_the_next_list_too() {
    let mut rig = Rig::new();
    rig.watch(&all());
    rig.connect();
    let bad = json!({"id": "bad", "text": 7});
    let good = serde_json::to_value(Todo::new("a", 1)).unwrap();
    let head = json!({"snapshot": {"sub": 1, "cursor": rig.cursor(), "chunk": 0, "total": 2, "last": true}});
    rig.server_rows(head, &[good, bad.clone()]);
    rig.drain();
    let watch = rig.watch(&open());
    assert_eq!(held(&subscribe(&mut rig)), 1, "so that the server sends what is lacking");
    rig.server_rows(json!({"resume": {"chunk": 0, "last": true, "sub": 2, "cursor": rig.cursor()}}), &[bad]);
    assert_eq!(rig.shown(watch), ["a"]);
    assert_eq!(rig.core.watch_state(watch).error.unwrap().field(), Some("todos/bad"));
}

#[test]
fn nobody_else_waits_for_its_answer() {
    let mut rig = Rig::new();
    let first = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &todos(2));
    rig.watch(&open());
    rig.change(1, &[Todo::new("new", 5)], &[], &[]);
    assert_eq!(rig.shown(first).len(), 3);
}

#[test]
fn rows_of_lists_that_are_behind_are_not_passed_on() {
    let mut rig = Rig::new();
    let stopped = rig.watch(&open());
    rig.watch(&all().limit(1));
    rig.connect();
    rig.snapshot(1, &[Todo::new("old", 9)]);
    rig.snapshot(2, &[Todo::new("a", 1)]);
    rig.core.stop(rig.now, stopped);
    rig.change(2, &[Todo::new("b", 0)], &["a"], &[]);
    rig.drain();
    let watch = rig.watch(&all());
    assert_eq!(rig.shown(watch), ["b"], "nobody knows what has become of `old`");
    assert_eq!(held(&subscribe(&mut rig)), 1);
}

#[test]
fn a_list_that_was_stopped_does_not_show_what_it_would_not_want_any_more() {
    let (mut rig, _, open_ones) = both(&all(), &todos(4), &open());
    let sub = rig.newest_sub();
    rig.server(json!({"resume": {"chunk": 0, "last": true, "sub": sub, "cursor": rig.cursor()}}));
    assert_eq!(rig.shown(open_ones), ["0", "2"]);
    rig.core.stop(rig.now, open_ones);
    let done = Todo { done: true, ..todos(4)[0].clone() };
    rig.change(1, &[done], &[], &[]);
    rig.core.start(rig.now, open_ones);
    assert_eq!(rig.shown(open_ones), ["2"], "the other list knows it already");
    let sub = rig.newest_sub();
    // rights may let somebody see less than the query says, and never more: what the server says counts again
    rig.server(
        json!({"resume": {"chunk": 0, "last": true, "sub": sub, "cursor": rig.cursor(), "del": ["0"]}}),
    );
    assert_eq!(rig.shown(open_ones), ["2"]);
}
