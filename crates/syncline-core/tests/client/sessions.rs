//! Subscriptions: shared, moved, interrupted, refused.

use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{Rig, Todo, all, list, open};
use syncline_core::client::{Output, Status, WatchId};
use syncline_core::wire::MAX_QUERY_BYTES;
use syncline_core::{Query, Record};

#[test]
fn equal_queries_share_one_subscription_and_one_row() {
    let mut rig = Rig::new();
    let (one, two) = (rig.watch(&all()), rig.watch(&all()));
    rig.connect();
    let subscribes = rig.sent().iter().filter(|frame| frame.get("subscribe").is_some()).count();
    assert_eq!(subscribes, 1);
    rig.snapshot(1, &[Todo::new("a", 1)]);
    assert_eq!((rig.shown(one), rig.shown(two)), (vec!["a".into()], vec!["a".into()]));
    rig.core.unwatch(rig.now, one);
    assert!(rig.sent().is_empty());
    rig.core.unwatch(rig.now, two);
    assert_eq!(rig.sent(), [json!({"unsubscribe": {"sub": 1}})]);
}

#[test]
fn a_snapshot_counts_when_it_is_complete() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    assert_eq!(rig.status(watch), "connecting");
    let cursor = rig.cursor();
    let chunk = |chunk: u32, last: bool| json!({"snapshot": {"sub": 1, "cursor": cursor.clone(), "chunk": chunk, "total": 2, "last": last}});
    rig.server_rows(chunk(0, false), &[json!({"id": "a", "text": "", "done": false, "position": 1})]);
    assert_eq!(rig.status(watch), "snapshot");
    assert!(rig.shown(watch).is_empty());
    assert!(!rig.core.watch_state(watch).loaded);
    rig.server_rows(chunk(1, true), &[json!({"id": "b", "text": "", "done": false, "position": 0})]);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["b".into(), "a".into()]));
    assert!(rig.core.watch_state(watch).loaded);
}

#[test]
fn rows_stay_through_a_reconnect_and_what_was_deleted_meanwhile_goes_with_the_snapshot() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1), Todo::new("b", 2)]);
    rig.lose();
    assert_eq!((rig.status(watch), rig.shown(watch).len()), ("reconnecting", 2));
    rig.wait_for_deadline();
    rig.connect();
    let subscribe = rig.sent().pop().unwrap();
    assert_eq!(subscribe["subscribe"]["cursor"]["version"], 0, "it says where it stands");
    assert_eq!(rig.shown(watch).len(), 2);
    rig.snapshot(1, &[Todo::new("b", 2)]);
    assert_eq!(rig.shown(watch), ["b"]);
}

#[test]
fn a_resume_brings_only_what_was_missed() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1), Todo::new("b", 2)]);
    rig.lose();
    rig.wait_for_deadline();
    rig.connect();
    rig.version = 5;
    let head = json!({"resume": {"chunk": 0, "last": true, "sub": 1, "cursor": rig.cursor(), "del": ["a"]}});
    rig.server_rows(head, &[serde_json::to_value(Todo::new("c", 3)).unwrap()]);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["b".into(), "c".into()]));
    rig.change(1, &[Todo::new("d", 4)], &[], &[]);
    assert_eq!(rig.shown(watch).len(), 3);
}

/// Two of three rows of an earlier connection are about to be told anew, in chunks.
fn coming_back(query: &Query<Todo>) -> (Rig, WatchId) {
    let mut rig = Rig::new();
    let watch = rig.watch(query);
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1), Todo::new("b", 2), Todo::new("c", 3)]);
    rig.lose();
    rig.wait_for_deadline();
    rig.connect();
    rig.version = 5;
    (rig, watch)
}

fn resume(rig: &mut Rig, chunk: u32, last: bool, more: Value, rows: &[Value]) {
    let mut resume = json!({"sub": 1, "cursor": rig.cursor(), "chunk": chunk, "last": last});
    resume.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rig.server_rows(json!({"resume": resume}), rows);
}

fn row(id: &str, position: i64) -> Value {
    serde_json::to_value(Todo::new(id, position)).unwrap()
}

#[test]
fn a_resume_in_chunks_counts_when_the_last_one_is_there() {
    let (mut rig, watch) = coming_back(&all());
    resume(&mut rig, 0, false, json!({}), &[row("d", 0)]);
    resume(&mut rig, 1, false, json!({"del": ["a"]}), &[row("b", 9), json!({"id": "c", "position": "?"})]);
    assert_eq!((rig.status(watch), rig.shown(watch).len()), ("reconnecting", 3));
    assert!(rig.core.watch_state(watch).error.is_none());
    resume(&mut rig, 2, true, json!({}), &[row("e", 4)]);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", ["d", "e", "b"].map(String::from).to_vec()));
    assert_eq!(rig.core.watch_state(watch).error.unwrap().code(), "bad_row", "c is not what it was");
    rig.change(1, &[Todo::new("c", 3)], &[], &[]);
    assert_eq!((rig.shown(watch).len(), rig.core.watch_state(watch).error), (4, None));
}

#[test]
fn a_resume_with_a_gap_means_a_new_connection_and_what_comes_twice_counts_once() {
    let (mut rig, watch) = coming_back(&all());
    resume(&mut rig, 0, false, json!({}), &[row("d", 0)]);
    resume(&mut rig, 0, false, json!({}), &[row("d", 0)]);
    resume(&mut rig, 2, true, json!({}), &[row("e", 4)]);
    assert_eq!((rig.status(watch), rig.shown(watch).len()), ("reconnecting", 3));
    rig.wait_for_deadline();
    rig.connect();
    let head = json!({"resume": {"sub": 1, "cursor": rig.cursor(), "chunk": 0, "last": true}});
    rig.server(head);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", ["a", "b", "c"].map(String::from).to_vec()));
}

#[test]
fn a_resume_that_is_begun_anew_forgets_what_has_come() {
    let (mut rig, watch) = coming_back(&all());
    resume(&mut rig, 0, false, json!({"del": ["a"]}), &[row("d", 0)]);
    rig.server(json!({"reset": {"subs": [1]}}));
    resume(&mut rig, 0, true, json!({"del": ["b"]}), &[]);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", ["a", "c"].map(String::from).to_vec()));
}

#[test]
fn a_resume_that_stops_half_way_is_given_up() {
    let (mut rig, watch) = coming_back(&all());
    rig.drain();
    resume(&mut rig, 0, false, json!({}), &[row("d", 0)]);
    // the connection itself is well all the time
    let begun = rig.now;
    let mut closed = None;
    while closed.is_none() && rig.now < begun + Duration::from_secs(300) {
        rig.wait_for_deadline();
        let outputs = rig.drain();
        if outputs.iter().any(|output| matches!(output, Output::Close { .. })) {
            closed = Some(rig.now - begun);
        }
        for output in outputs {
            let Output::Send { frame, .. } = output else { continue };
            let sent: Value = serde_json::from_slice(&frame).unwrap();
            rig.server(json!({"pong": sent["ping"]}));
        }
    }
    assert_eq!(closed, Some(Duration::from_secs(30)));
    assert_eq!((rig.status(watch), rig.shown(watch).len()), ("reconnecting", 3));
}

/// Answers are held until all lists of a space are back; a change comes between the end of one and the beginning of the next.
#[test]
fn a_resume_in_chunks_goes_on_from_what_is_held() {
    let mut rig = Rig::new();
    let lists = [rig.watch(&all()), rig.watch(&open()), rig.watch(&all().limit(9))];
    rig.connect();
    for sub in 1..=3 {
        rig.snapshot(sub, &[Todo::new("a", 1)]);
    }
    for list in &lists[1..] {
        rig.core.stop(rig.now, *list);
    }
    for list in &lists[1..] {
        rig.core.start(rig.now, *list);
    }
    let answer = |rig: &mut Rig, sub: u32, chunk: u32, last: bool, rows: &[Value]| {
        let head = json!({"sub": sub, "cursor": rig.cursor(), "chunk": chunk, "last": last});
        rig.server_rows(json!({"resume": head}), rows);
    };
    answer(&mut rig, 4, 0, true, &[]);
    rig.change(1, &[Todo::new("b", 2)], &[], &[]);
    assert_eq!(rig.shown(lists[0]), ["a"], "it waits for the other list");
    answer(&mut rig, 5, 0, false, &[row("b", 2)]);
    answer(&mut rig, 5, 1, true, &[]);
    assert!(lists.iter().all(|list| rig.status(*list) == "live"));
    assert_eq!(
        (rig.shown(lists[0]), rig.shown(lists[2])),
        (rig.shown(lists[2]), vec!["a".into(), "b".into()])
    );
}

#[test]
fn what_is_held_is_said_as_far_as_the_server_takes_it() {
    for (frame_bytes, says) in [(65_536 + 32, true), (65_536 + 31, false)] {
        let mut rig = Rig::new();
        rig.watch(&all().limit(3));
        rig.connect();
        rig.snapshot(1, &[Todo::new("a", 1), Todo::new("b", 2), Todo::new("c", 3)]);
        rig.lose();
        rig.wait_for_deadline();
        rig.accept();
        rig.welcome_with(frame_bytes);
        let subscribe = rig.sent().into_iter().find_map(|frame| frame.get("subscribe").cloned()).unwrap();
        assert_eq!(subscribe.get("held").is_some(), says, "{frame_bytes}");
    }
}

#[test]
fn a_missed_frame_means_a_new_connection() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[]);
    rig.version = 3;
    rig.change(1, &[Todo::new("a", 1)], &[], &[]);
    assert_eq!((rig.status(watch), rig.shown(watch).len()), ("reconnecting", 0));
}

#[test]
fn a_frame_that_comes_twice_counts_once() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[]);
    rig.change(1, &[Todo::new("a", 1)], &[], &[]);
    rig.change(1, &[], &["a"], &[]);
    rig.version = 0;
    rig.change(1, &[Todo::new("a", 1)], &[], &[]);
    assert_eq!((rig.status(watch), rig.shown(watch).len()), ("live", 0));
}

#[test]
fn a_refused_subscription_fails_alone() {
    let mut rig = Rig::new();
    let (good, bad) = (rig.watch(&all()), rig.watch(&open()));
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1)]);
    rig.server(json!({"failed": {"sub": 2, "error": {"code": "forbidden", "message": "not yours"}}}));
    assert_eq!((rig.status(good), rig.status(bad)), ("live", "failed"));
    assert_eq!(rig.core.watch_state(bad).error.unwrap().code(), "forbidden");
    rig.change(1, &[Todo::new("b", 2)], &[], &[]);
    assert_eq!(rig.shown(good).len(), 2);
}

fn refuse(rig: &mut Rig, sub: u32, code: &str) {
    rig.server(json!({"failed": {"sub": sub, "error": {"code": code, "message": "no"}}}));
}

#[test]
fn with_the_right_to_them_the_rows_go() {
    let mut rig = Rig::new();
    let (kept, lost) = (rig.watch(&all()), rig.watch(&open()));
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1)]);
    rig.snapshot(2, &[Todo::new("a", 1), Todo::new("b", 2)]);
    refuse(&mut rig, 2, "forbidden");
    assert_eq!((rig.status(lost), rig.shown(lost).len()), ("failed", 0));
    assert_eq!((rig.status(kept), rig.shown(kept)), ("live", vec!["a".into()]));
    assert_eq!(rig.core.row::<Todo>(&list(), "b").unwrap_err().code(), "unknown_row");
}

#[test]
fn what_is_refused_for_now_keeps_its_rows_and_forgets_its_error_when_it_is_back() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1)]);
    refuse(&mut rig, 1, "storage");
    assert_eq!(rig.shown(watch), ["a"]);
    assert_eq!(rig.core.watch_state(watch).error.unwrap().code(), "storage");
    rig.wait_for_deadline();
    let head = json!({"resume": {"chunk": 0, "last": true, "sub": 2, "cursor": rig.cursor(), "del": []}});
    rig.server(head);
    assert_eq!((rig.status(watch), rig.core.watch_state(watch).error), ("live", None));
}

#[test]
fn what_was_refused_is_asked_again_with_other_credentials() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    refuse(&mut rig, 1, "forbidden");
    rig.drain();
    rig.core.refresh_credentials(rig.now);
    assert_eq!(rig.core.watch_state(watch).error, None);
    rig.welcome();
    rig.snapshot(2, &[Todo::new("a", 1)]);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["a".into()]));
}

#[test]
fn a_row_that_does_not_decode_is_reported_by_its_key_and_skipped() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1)]);
    rig.version = 1;
    let head =
        json!({"changes": {"space": "list", "from": 0, "to": 1, "parts": [{"sub": 1, "put": [0, 1]}]}});
    let good = serde_json::to_value(Todo::new("c", 3)).unwrap();
    rig.server_rows(head, &[json!({"id": "b", "text": 7}), good]);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["a".into(), "c".into()]));
    let error = rig.core.watch_state(watch).error.unwrap();
    assert_eq!((error.code(), error.field()), ("bad_row", Some("todos/b")));
}

#[test]
fn a_row_that_cannot_be_read_any_more_is_not_shown_as_it_was() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1), Todo::new("b", 2)]);
    let put = |rig: &mut Rig, row| {
        let from = rig.version;
        rig.version += 1;
        let parts = json!([{"sub": 1, "put": [0]}]);
        rig.server_rows(
            json!({"changes": {"space": "list", "from": from, "to": from + 1, "parts": parts}}),
            &[row],
        );
    };
    put(&mut rig, json!({"id": "b", "text": 7}));
    assert_eq!(rig.shown(watch), ["a"]);
    assert_eq!(rig.core.watch_state(watch).error.unwrap().field(), Some("todos/b"));
    put(&mut rig, serde_json::to_value(Todo::new("b", 2)).unwrap());
    assert_eq!((rig.shown(watch).len(), rig.core.watch_state(watch).error), (2, None), "repaired");
    put(&mut rig, json!({"id": "b", "text": 7}));
    rig.change(1, &[], &["b"], &[]);
    assert_eq!(rig.core.watch_state(watch).error, None, "deleted");
}

#[test]
fn a_list_is_not_complete_again_while_one_of_many_unreadable_rows_may_be_missing() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    let keys: Vec<_> = (0..65).map(|n| format!("{n:02}")).collect();
    let head = json!({"snapshot": {
        "sub": 1, "cursor": rig.cursor(), "chunk": 0, "total": keys.len(), "last": true,
    }});
    let rows: Vec<_> = keys.iter().map(|key| json!({"id": key, "text": 7})).collect();
    rig.server_rows(head, &rows);
    let gone: Vec<_> = keys[..64].iter().map(String::as_str).collect();
    rig.change(1, &[], &gone, &[]);
    let error = rig.core.watch_state(watch).error.unwrap();
    assert_eq!((error.code(), error.field()), ("bad_row", Some("todos/64")));
    // whether it was this one is not known either, before it is told that there are none that it lacks
    rig.change(1, &[], &["64"], &[]);
    assert!(rig.core.watch_state(watch).error.is_some());
    rig.reopen();
    rig.connect();
    let asked = rig.sent().into_iter().find_map(|frame| frame.get("subscribe").cloned()).unwrap();
    assert!(asked.get("held").is_some(), "{asked}");
    rig.server(json!({"resume": {"chunk": 0, "last": true, "sub": 1, "cursor": rig.cursor(), "del": []}}));
    assert_eq!((rig.status(watch), rig.core.watch_state(watch).error), ("live", None));
}

#[test]
fn a_long_list_of_which_unreadable_rows_may_be_missing_comes_back_as_a_whole() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    let todos: Vec<_> = (0..1_000).map(|n| Todo::new(&format!("{n:03}"), n)).collect();
    rig.snapshot(1, &todos);
    let head = json!({"changes": {"space": "list", "from": 0, "to": 1, "parts": [{"sub": 1, "put": [0]}]}});
    // not even its key can be read
    rig.server_rows(head, &[json!({"id": 7})]);
    rig.reopen();
    rig.accept();
    rig.welcome_with(8192);
    let asked = rig.sent().into_iter().find_map(|frame| frame.get("subscribe").cloned()).unwrap();
    assert_eq!((asked.get("cursor"), asked.get("held")), (None, None));
    rig.version = 1;
    rig.snapshot(1, &todos);
    let state = rig.core.watch_state(watch);
    assert_eq!((rig.status(watch), rig.shown(watch).len(), state.error), ("live", 1_000, None));
}

#[test]
fn a_stopped_watch_keeps_its_rows_and_goes_on_from_there() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1), Todo::new("b", 2)]);
    rig.core.stop(rig.now, watch);
    assert_eq!(rig.status(watch), "closed");
    assert!(rig.sent().iter().any(|frame| frame.get("unsubscribe").is_some()));
    rig.core.start(rig.now, watch);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("reconnecting", vec!["a".into(), "b".into()]));
    let frames = rig.sent();
    assert_eq!(frames[0]["subscribe"]["cursor"]["version"], 0, "only what it missed is to come");
    rig.version = 1;
    let head = json!({"resume": {"chunk": 0, "last": true, "sub": 2, "cursor": rig.cursor(), "del": ["a"]}});
    rig.server_rows(head, &[serde_json::to_value(Todo::new("c", 3)).unwrap()]);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["b".into(), "c".into()]));
}

#[test]
fn a_stopped_watch_holds_no_connection_and_lets_go_of_its_rows_when_it_ends() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1)]);
    rig.core.stop(rig.now, watch);
    rig.wait_for_deadline();
    assert_eq!(rig.core.connection().status, Status::Idle);
    rig.core.unwatch(rig.now, watch);
    assert_eq!(rig.core.row::<Todo>(&list(), "a").unwrap_err().code(), "unknown_row");
}

#[test]
fn another_look_at_a_stopped_list_starts_from_its_rows() {
    let mut rig = Rig::new();
    let stopped = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1)]);
    rig.core.stop(rig.now, stopped);
    let other = rig.watch(&all());
    assert_eq!(rig.shown(other), ["a"]);
    rig.drain();
    rig.core.unwatch(rig.now, stopped);
    assert!(rig.sent().is_empty(), "the other one still looks");
    let head = json!({"resume": {"chunk": 0, "last": true, "sub": 2, "cursor": rig.cursor(), "del": []}});
    rig.server(head);
    assert_eq!(rig.status(other), "live");
}

#[test]
fn after_a_reset_the_answer_comes_anew() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1)]);
    rig.server(json!({"reset": {"subs": [1]}}));
    assert_eq!(rig.shown(watch), ["a"], "rows stay visible");
    rig.version = 9;
    rig.snapshot(1, &[Todo::new("b", 1)]);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["b".into()]));
}

#[test]
fn a_query_that_cannot_be_asked_fails_at_once() {
    let mut rig = Rig::new();
    let filter = syncline_core::Filter::And(vec![]);
    let watch = rig.watch(&Todo::in_space(list()).filter(filter).limit(0));
    assert_eq!(rig.status(watch), "failed");
    assert_eq!(rig.core.watch_state(watch).error.unwrap().field(), Some("limit"));
    assert!(rig.opened().is_empty());
}

#[test]
fn a_query_that_no_server_takes_fails_alone_and_at_once() {
    let of = |bytes: usize| all().filter(Todo::text.eq("x".repeat(bytes)));
    let mut rig = Rig::new();
    let long = rig.watch(&of(3 << 20));
    let error = rig.core.watch_state(long).error.unwrap();
    assert_eq!((rig.status(long), error.code()), ("failed", "bad_query"));
    assert!(rig.opened().is_empty());
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1)]);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["a".into()]));
    rig.drain();
    // what is asked fits, with all that may be said beside it
    let mut fits = 0;
    for bytes in (64_000..66_000).step_by(64) {
        let watch = rig.watch(&of(bytes));
        let asked = rig.drain().into_iter().filter_map(|output| match output {
            Output::Send { frame, .. } => Some(frame.len()),
            _ => None,
        });
        let asked: Vec<_> = asked.collect();
        assert!(asked.iter().all(|&bytes| bytes + 256 <= MAX_QUERY_BYTES), "{asked:?}");
        assert_eq!(asked.is_empty(), rig.status(watch) == "failed");
        fits += asked.len();
        rig.core.unwatch(rig.now, watch);
        rig.drain();
    }
    assert!(fits > 0, "short ones are asked");
}

#[test]
fn a_watch_that_is_gone_leaves_nothing_behind() {
    let mut rig = Rig::new();
    let mut left = 0;
    for round in 1..=50 {
        let watch = rig.watch(&all());
        if round == 1 {
            rig.connect();
        }
        rig.snapshot(round, &[Todo::new("a", 1)]);
        assert_eq!(rig.shown(watch), ["a"]);
        rig.core.unwatch(rig.now, watch);
        left += rig.sent().iter().filter(|frame| frame.get("unsubscribe").is_some()).count();
        assert_eq!(rig.core.row::<Todo>(&list(), "a").unwrap_err().code(), "unknown_row", "round {round}");
    }
    assert_eq!(left, 50);
    rig.wait_for_deadline();
    assert_eq!((rig.core.connection().status, rig.core.deadline()), (Status::Idle, None));
}

#[test]
fn another_identity_sees_and_sends_nothing_of_the_one_before() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1)]);
    rig.put(&Todo::new("mine", 2));
    rig.lose();
    rig.wait_for_deadline();
    rig.accept();
    rig.drain();
    rig.server(json!({"welcome": {
        "protocol": 1, "user": {"id": "bob"}, "encoding": "json", "heartbeat_ms": 30_000,
        "limits": {"frame_bytes": 2_097_152, "writes_in_flight": 256, "subscriptions": 256},
    }}));
    assert!(rig.shown(watch).is_empty());
    assert_eq!(rig.core.connection().pending, 0);
    rig.wait_for_deadline();
    rig.connect();
    assert!(rig.sent().iter().all(|frame| frame.get("write").is_none()));
}

#[test]
fn of_a_window_the_client_says_what_it_holds_and_lets_go_of_what_is_named_by_its_place() {
    let mut rig = Rig::new();
    let window = rig.watch(&all().limit(3));
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1), Todo::new("b", 2), Todo::new("c", 3)]);
    rig.lose();
    rig.wait_for_deadline();
    rig.connect();
    let subscribe = rig.sent().into_iter().find_map(|frame| frame.get("subscribe").cloned()).unwrap();
    let held: syncline_core::wire::Held = serde_json::from_value(subscribe["held"].clone()).unwrap();
    assert_eq!(held.len(), 3);
    rig.version = 5;
    let head =
        json!({"resume": {"chunk": 0, "last": true, "sub": 1, "cursor": rig.cursor(), "gone": [0, 9]}});
    rig.server_rows(head, &[serde_json::to_value(Todo::new("d", 4)).unwrap()]);
    assert_eq!((rig.status(window), rig.shown(window).len()), ("live", 3));
    assert!(!rig.shown(window).contains(&"a".to_owned()), "{:?}", rig.shown(window));
}

#[test]
fn a_row_that_could_not_be_read_and_is_gone_is_not_reported_after_a_comparison() {
    let bad = json!({"id": "bad", "text": 7});
    for is_there in [true, false] {
        let mut rig = Rig::new();
        let window = rig.watch(&all().limit(3));
        rig.connect();
        let head =
            json!({"snapshot": {"sub": 1, "cursor": rig.cursor(), "chunk": 0, "total": 2, "last": true}});
        rig.server_rows(head, &[serde_json::to_value(Todo::new("a", 1)).unwrap(), bad.clone()]);
        assert!(rig.core.watch_state(window).error.is_some());
        rig.lose();
        rig.wait_for_deadline();
        rig.connect();
        // it was not among what is held, so that it comes once more as long as it is there
        let head = json!({"resume": {"chunk": 0, "last": true, "sub": 1, "cursor": rig.cursor()}});
        rig.server_rows(head, if is_there { std::slice::from_ref(&bad) } else { &[] });
        assert_eq!((rig.shown(window).len(), rig.core.watch_state(window).error.is_some()), (1, is_there));
    }
}

#[test]
fn a_list_of_which_everybody_sees_the_same_comes_back_by_the_log_alone() {
    for selective in [false, true] {
        let mut rig = Rig::new();
        rig.watch(&all());
        rig.connect();
        let head = json!({"snapshot": {
            "sub": 1, "cursor": rig.cursor(), "chunk": 0, "total": 1, "last": true, "selective": selective,
        }});
        rig.server_rows(head, &[serde_json::to_value(Todo::new("a", 1)).unwrap()]);
        rig.lose();
        rig.wait_for_deadline();
        rig.connect();
        let subscribe = rig.sent().into_iter().find_map(|frame| frame.get("subscribe").cloned()).unwrap();
        assert_eq!(subscribe.get("held").is_some(), selective);
    }
}

#[test]
fn who_sees_a_part_only_and_cannot_say_which_is_told_everything() {
    let mut rig = Rig::new();
    rig.watch(&all());
    rig.connect();
    let head = json!({"snapshot": {
        "sub": 1, "cursor": rig.cursor(), "chunk": 0, "total": 1, "last": true, "selective": true,
    }});
    rig.server_rows(head, &[row("a", 1)]);
    rig.lose();
    rig.wait_for_deadline();
    rig.accept();
    rig.welcome_with(MAX_QUERY_BYTES);
    let subscribe = rig.sent().into_iter().find_map(|frame| frame.get("subscribe").cloned()).unwrap();
    assert_eq!((subscribe.get("held"), subscribe.get("cursor")), (None, None));
}

#[test]
fn verdicts_count_in_the_order_in_which_they_are_told_though_rows_are_held() {
    let mut rig = Rig::new();
    let (first, second) = (rig.watch(&all()), rig.watch(&open()));
    rig.connect();
    rig.snapshot(1, &[]);
    rig.snapshot(2, &[]);
    let writes = [rig.put(&Todo::new("a", 1)), rig.put(&Todo::new("b", 2))];
    rig.lose();
    rig.wait_for_deadline();
    rig.connect();
    rig.settled();
    // the account is too long for one frame: the first write was refused, the second was not
    let refused = json!([{"id": 1, "error": {"code": "rude", "message": "no"}}]);
    rig.version = 1;
    rig.snapshot_with(
        1,
        &[Todo::new("b", 2)],
        json!([{"client": "client-1", "last": 1, "refused": refused}]),
    );
    let rest = json!([{"client": "client-1", "last": 2}]);
    rig.server(json!({"changes": {"space": "list", "from": 1, "to": 1, "writes": rest}}));
    let settled = rig.settled();
    let verdict = |write| settled.iter().find(|(of, _)| *of == write).map(|(_, verdict)| verdict.is_ok());
    assert_eq!(writes.map(verdict), [Some(false), Some(true)]);
    assert_eq!(rig.shown(first), ["a!", "b?"], "the rows wait for the other list");
    rig.snapshot(2, &[Todo::new("b", 2)]);
    assert_eq!((rig.shown(first), rig.shown(second)), (vec!["a!".into(), "b".into()], rig.shown(first)));
}
