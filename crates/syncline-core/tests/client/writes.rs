//! Writes: shown at once, sent once each, confirmed without a flicker, refused with a reason.

use serde_json::{Value, json};
use syncline_core::client::{Input, Output};
use syncline_core::ops::{Put, RowOp, RowOps};
use syncline_core::{Diff, Error, RowState};

use crate::rig::{Rig, Todo, all, list, open};

fn writes(frames: &[Value]) -> Vec<u64> {
    frames.iter().filter_map(|frame| frame.get("write")?.get("id")?.as_u64()).collect()
}

fn live() -> (Rig, syncline_core::client::WatchId) {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1)]);
    rig.drain();
    (rig, watch)
}

#[test]
fn a_write_is_shown_at_once_and_settles_in_the_commit_that_brings_it_back() {
    let (mut rig, watch) = live();
    rig.core.take::<Todo>(watch);
    let write = rig.put(&Todo::new("b", 2));
    assert_eq!(rig.shown(watch), ["a", "b?"]);
    assert!(matches!(&rig.core.take::<Todo>(watch)[..], [Diff::Insert { index: 1, .. }]));
    assert_eq!(writes(&rig.sent()), [1]);
    rig.change(1, &[Todo::new("b", 2)], &[], &[1]);
    assert_eq!(rig.settled(), [(write, Ok(1))]);
    assert_eq!(rig.shown(watch), ["a", "b"]);
    assert!(matches!(&rig.core.take::<Todo>(watch)[..], [Diff::Update { .. }]), "one change, no flicker");
}

#[test]
fn a_row_that_comes_back_as_it_was_put_is_not_read_again() {
    let (mut rig, watch) = live();
    let record = |rig: &Rig| {
        let entries = rig.core.entries::<Todo>(watch);
        entries.into_iter().find(|entry| entry.key() == "b").unwrap().record
    };
    // as a server writes it: the fields in their own order
    let confirm = |rig: &mut Rig, todo: &Todo, write: u64| {
        let (from, to) = (rig.version, rig.version + 1);
        rig.version = to;
        let acks = json!([{"client": "client-1", "id": write}]);
        let parts = json!([{"sub": 1, "put": [0]}]);
        let head =
            json!({"changes": {"space": "list", "from": from, "to": to, "parts": parts, "acks": acks}});
        let frame = format!("{head}\n{}", serde_json::to_string(todo).unwrap());
        let attempt = rig.attempt;
        rig.input(Input::Frame { attempt, bytes: frame.as_bytes() });
    };
    rig.put(&Todo::new("b", 2));
    let put = record(&rig);
    confirm(&mut rig, &Todo::new("b", 2), 1);
    assert!(std::sync::Arc::ptr_eq(&put, &record(&rig)));
    assert_eq!(rig.shown(watch), ["a", "b"]);
    // nor is another one taken for it
    rig.put(&Todo::new("b", 3));
    confirm(&mut rig, &Todo::new("b", 4), 2);
    assert_eq!((record(&rig).position, rig.shown(watch)), (4, vec!["a".into(), "b".into()]));
}

#[test]
fn a_write_of_many_rows_settles_whole() {
    let (mut rig, watch) = live();
    let behind = rig.watch(&open());
    let rows: Vec<_> = (0..1_000).map(|n| Todo::new(&format!("{n:04}"), n)).collect();
    let ops = rows.iter().map(|row| RowOp::put(row).unwrap()).collect();
    rig.core.write_rows(rig.now, &list(), &RowOps { ops }).unwrap();
    let shown = |rig: &Rig, watch| rig.shown(watch).iter().filter(|key| !key.ends_with('?')).count();
    assert_eq!((rig.shown(watch).len(), shown(&rig, watch)), (1_001, 1));
    // a list that is behind goes on showing what it has not got yet
    rig.change(1, &rows[..500], &[], &[1]);
    assert_eq!((rig.shown(behind).len(), shown(&rig, watch)), (1_001, 1));
    rig.change(1, &rows, &[], &[]);
    assert_eq!((rig.shown(behind).len(), shown(&rig, watch)), (1_001, 1_001));
}

#[test]
fn writes_made_while_away_wait_and_go_out_in_order() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    for (key, position) in [("a", 1), ("b", 2), ("c", 3)] {
        rig.put(&Todo::new(key, position));
    }
    assert_eq!(rig.shown(watch), ["a?", "b?", "c?"]);
    assert_eq!(rig.core.connection().pending, 3);
    rig.connect();
    assert_eq!(writes(&rig.sent()), [1, 2, 3]);
}

#[test]
fn a_write_without_an_answer_is_sent_again_and_a_verdict_in_the_snapshot_counts() {
    let (mut rig, watch) = live();
    let (kept, lost) = (rig.put(&Todo::new("b", 2)), rig.put(&Todo::new("c", 3)));
    assert_eq!(writes(&rig.sent()), [1, 2]);
    rig.lose();
    rig.wait_for_deadline();
    rig.connect();
    assert_eq!(writes(&rig.sent()), [1, 2], "nobody knows what became of them");
    rig.version = 1;
    rig.snapshot_with(1, &[Todo::new("a", 1), Todo::new("b", 2)], json!([{"client": "client-1", "last": 1}]));
    assert_eq!(rig.settled(), [(kept, Ok(1))]);
    assert_eq!(rig.shown(watch), ["a", "b", "c?"]);
    rig.change(2, &[Todo::new("c", 3)], &[], &[2]);
    assert_eq!(rig.settled(), [(lost, Ok(2))]);
}

#[test]
fn a_refused_write_is_marked_and_can_be_retried_or_dismissed() {
    let (mut rig, watch) = live();
    let write = rig.put(&Todo::new("b", 2));
    let refuse = |id: u64| {
        json!({"changes": {"space": "list", "from": 0, "to": 0, "acks": [
            {"client": "client-1", "id": id, "error": {"code": "name_required", "message": "choose a name"}},
        ]}})
    };
    rig.server(refuse(1));
    assert_eq!(rig.settled(), [(write, Err(Error::new("name_required", "choose a name")))]);
    assert_eq!(rig.shown(watch), ["a", "b!"]);
    assert_eq!(rig.core.retry(rig.now, &list(), "todos", "b").len(), 1);
    assert_eq!(rig.shown(watch), ["a", "b?"]);
    assert_eq!(writes(&rig.sent()), [2], "under a new id");
    rig.server(refuse(2));
    assert_eq!(rig.core.dismiss(rig.now, &list(), "todos", "b"), 1);
    assert_eq!(rig.shown(watch), ["a"]);
}

fn refuse(rig: &mut Rig, ids: &[(u64, &str)]) {
    let ack = |(id, code): &(u64, &str)| json!({"client": "client-1", "id": id, "error": {"code": code, "message": "no"}});
    let acks: Vec<_> = ids.iter().map(ack).collect();
    let version = rig.version;
    rig.server(json!({"changes": {"space": "list", "from": version, "to": version, "acks": acks}}));
}

#[test]
fn what_makes_a_refused_edit_good_takes_its_place() {
    let (mut rig, watch) = live();
    let text = |rig: &Rig| rig.core.entries::<Todo>(watch)[0].record.text.clone();
    let write = |rig: &mut Rig, text: &str| {
        let update = |todo: &mut Todo| todo.text = text.into();
        rig.core.update::<Todo>(rig.now, &list(), "a", update).unwrap();
    };
    write(&mut rig, "bad");
    refuse(&mut rig, &[(1, "name_required")]);
    assert_eq!(rig.shown(watch), ["a!"]);
    // another field leaves it as it is
    rig.core.update::<Todo>(rig.now, &list(), "a", |todo| todo.done = true).unwrap();
    assert_eq!(rig.core.intents(&list()), 2);
    write(&mut rig, "good");
    assert_eq!(rig.core.intents(&list()), 2);
    rig.change(1, &[Todo { text: "good".into(), done: true, ..Todo::new("a", 1) }], &[], &[2, 3]);
    assert_eq!((rig.shown(watch), text(&rig)), (vec!["a".to_owned()], "good".into()));
}

#[test]
fn a_refused_row_is_put_again_as_it_has_been_corrected() {
    let (mut rig, watch) = live();
    rig.put(&Todo { text: "bad".into(), ..Todo::new("b", 2) });
    refuse(&mut rig, &[(1, "name_required")]);
    rig.sent();
    let none = rig.core.update::<Todo>(rig.now, &list(), "b", |_| {}).unwrap();
    assert_eq!((none, rig.shown(watch)), (None, vec!["a".into(), "b!".into()]));
    rig.core.update::<Todo>(rig.now, &list(), "b", |todo| todo.text = "good".into()).unwrap();
    assert_eq!(rig.shown(watch), ["a", "b?"]);
    let good = Todo { text: "good".into(), ..Todo::new("b", 2) };
    assert_eq!(rig.sent()[0]["write"]["payload"], json!({"ops": [{"put": ["todos", good]}]}));
    rig.change(1, &[good], &[], &[2]);
    assert_eq!((rig.shown(watch), rig.core.intents(&list())), (vec!["a".into(), "b".into()], 0));
}

#[test]
fn a_correction_on_its_way_is_not_lost_with_the_row_that_is_refused() {
    let (mut rig, watch) = live();
    rig.put(&Todo { text: "bad".into(), ..Todo::new("b", 2) });
    rig.core.update::<Todo>(rig.now, &list(), "b", |todo| todo.text = "good".into()).unwrap();
    refuse(&mut rig, &[(1, "name_required"), (2, "unknown_row")]);
    let entry = &rig.core.entries::<Todo>(watch)[1];
    assert_eq!(entry.record.text, "good");
    let why = match &entry.state {
        RowState::Failed(error) => error.code().to_owned(),
        state => format!("{state:?}"),
    };
    assert_eq!(why, "name_required", "why the row is not there");
    rig.sent();
    rig.core.update::<Todo>(rig.now, &list(), "b", |todo| todo.done = true).unwrap();
    let whole = Todo { text: "good".into(), done: true, ..Todo::new("b", 2) };
    assert_eq!(rig.sent()[0]["write"]["payload"], json!({"ops": [{"put": ["todos", whole]}]}));
    assert_eq!(rig.core.intents(&list()), 1);
}

#[test]
fn a_refused_delete_brings_the_row_back_marked() {
    let (mut rig, watch) = live();
    rig.delete("a");
    assert!(rig.shown(watch).is_empty());
    rig.server(json!({"changes": {"space": "list", "from": 0, "to": 0, "acks": [
        {"client": "client-1", "id": 1, "error": {"code": "forbidden", "message": "not yours"}},
    ]}}));
    assert_eq!(rig.shown(watch), ["a!"]);
    rig.core.dismiss(rig.now, &list(), "todos", "a");
    assert_eq!(rig.shown(watch), ["a"]);
}

#[test]
fn an_update_writes_the_changed_fields_only_and_keeps_what_others_change() {
    let (mut rig, watch) = live();
    rig.core.update::<Todo>(rig.now, &list(), "a", |todo| todo.done = true).unwrap();
    let sent = rig.sent();
    assert_eq!(sent[0]["write"]["payload"], json!({"ops": [{"patch": ["todos", "a", {"done": true}]}]}));
    rig.change(1, &[Todo { text: "theirs".into(), ..Todo::new("a", 1) }], &[], &[]);
    let entry = &rig.core.entries::<Todo>(watch)[0];
    assert_eq!((entry.record.text.as_str(), entry.record.done), ("theirs", true));
}

#[test]
fn an_update_that_leaves_the_query_leaves_the_view_at_once() {
    let mut rig = Rig::new();
    let watch = rig.watch(&open());
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1), Todo::new("b", 2)]);
    rig.core.update::<Todo>(rig.now, &list(), "a", |todo| todo.done = true).unwrap();
    assert_eq!(rig.shown(watch), ["b"]);
    rig.change(1, &[], &["a"], &[1]);
    assert_eq!(rig.shown(watch), ["b"]);
}

#[test]
fn what_the_server_could_not_handle_is_sent_again_later() {
    let (mut rig, watch) = live();
    rig.put(&Todo::new("b", 2));
    rig.put(&Todo::new("c", 3));
    assert_eq!(writes(&rig.sent()), [1, 2]);
    let error = json!({"code": "storage", "message": "the disk is full"});
    rig.server(json!({"changes": {"space": "list", "from": 0, "to": 0, "acks": [
        {"client": "client-1", "id": 1, "error": error, "expected": 1},
    ]}}));
    assert!(rig.sent().is_empty(), "not at once");
    assert_eq!(rig.shown(watch), ["a", "b?", "c?"]);
    rig.wait_for_deadline();
    assert_eq!(writes(&rig.sent()), [1, 2]);
}

#[test]
fn clients_that_were_turned_away_together_do_not_come_back_together() {
    let again = |seed: u64| {
        let mut rig = Rig::with(|config| config.seed = seed);
        rig.watch(&all());
        rig.connect();
        rig.snapshot(1, &[]);
        rig.put(&Todo::new("b", 2));
        rig.drain();
        let error = json!({"code": "too_many", "message": "not now"});
        rig.server(json!({"changes": {"space": "list", "from": 0, "to": 0, "acks": [
            {"client": "client-1", "id": 1, "error": error, "expected": 1},
        ]}}));
        rig.wait_for_deadline();
        assert_eq!(writes(&rig.sent()), [1]);
        rig.now
    };
    assert_ne!(again(1), again(2));
}

#[test]
fn that_a_write_was_not_handled_is_heard_wherever_the_list_stands() {
    let (mut rig, watch) = live();
    rig.put(&Todo::new("b", 2));
    rig.change(1, &[Todo::new("b", 2)], &[], &[1]);
    rig.put(&Todo::new("c", 3));
    rig.sent();
    let error = json!({"code": "too_many", "message": "too many writes wait already"});
    rig.server(json!({"changes": {"space": "list", "from": 0, "to": 0, "acks": [
        {"client": "client-1", "id": 2, "error": error, "expected": 2},
    ]}}));
    rig.wait_for_deadline();
    assert_eq!(writes(&rig.sent()), [2]);
    rig.change(1, &[Todo::new("c", 3)], &[], &[2]);
    assert_eq!(rig.shown(watch), ["a", "b", "c"]);
}

#[test]
fn a_server_that_lost_its_memory_gets_a_sequence_it_knows() {
    let (mut rig, _) = live();
    for position in 0..3 {
        rig.put(&Todo::new("b", position));
    }
    rig.change(1, &[Todo::new("b", 2)], &[], &[1, 2, 3]);
    rig.lose();
    rig.wait_for_deadline();
    rig.connect();
    rig.snapshot(2, &[]);
    rig.put(&Todo::new("c", 3));
    rig.lose();
    rig.wait_for_deadline();
    rig.connect();
    assert_eq!(writes(&rig.sent()), [4]);
    let gap = json!({"code": "write_gap", "message": "an earlier write is missing"});
    rig.server(json!({"changes": {"space": "list", "from": 1, "to": 1, "acks": [
        {"client": "client-1", "id": 4, "error": gap, "expected": 1},
    ]}}));
    rig.wait_for_deadline();
    assert_eq!(writes(&rig.sent()), [1]);
}

#[test]
fn an_answer_that_was_overtaken_does_not_make_a_server_forgetful() {
    let (mut rig, _) = live();
    for position in 0..3 {
        rig.put(&Todo::new("b", position));
    }
    rig.change(1, &[Todo::new("b", 0)], &[], &[1]);
    let gap = json!({"code": "write_gap", "message": "an earlier write is missing"});
    rig.server(json!({"changes": {"space": "list", "from": 1, "to": 1, "acks": [
        {"client": "client-1", "id": 2, "error": gap, "expected": 1},
    ]}}));
    rig.change(1, &[Todo::new("b", 2)], &[], &[2, 3]);
    assert_eq!(rig.settled().len(), 3);
    rig.put(&Todo::new("b", 3));
    assert_eq!(writes(&rig.sent()), [4], "the others were handled under the ids they had");
}

fn uncounted(rig: &mut Rig, id: u64) {
    let error = json!({"code": "forbidden", "message": "not yet"});
    rig.server(json!({"changes": {"space": "list", "from": 0, "to": 0, "acks": [
        {"client": "client-1", "id": id, "error": error, "uncounted": true},
    ]}}));
}

fn gap(rig: &mut Rig, id: u64, expected: u64) {
    let gap = json!({"code": "write_gap", "message": "an earlier write is missing"});
    rig.server(json!({"changes": {"space": "list", "from": 0, "to": 0, "acks": [
        {"client": "client-1", "id": id, "error": gap, "expected": expected},
    ]}}));
}

#[test]
fn what_comes_after_a_refusal_that_was_not_counted_takes_its_number() {
    let (mut rig, _) = live();
    rig.put(&Todo::new("b", 2));
    uncounted(&mut rig, 1);
    assert_eq!(rig.settled().len(), 1);
    rig.put(&Todo::new("c", 3));
    assert_eq!(writes(&rig.sent()), [2]);
    gap(&mut rig, 2, 1);
    rig.wait_for_deadline();
    assert_eq!(writes(&rig.sent()), [1]);
    rig.change(1, &[Todo::new("c", 3)], &[], &[1]);
    assert_eq!(rig.settled().len(), 1);
}

#[test]
fn a_refusal_is_not_taken_for_that_of_the_write_that_has_its_number_now() {
    let (mut rig, _) = live();
    for key in ["b", "c", "d", "e"] {
        rig.put(&Todo::new(key, 2));
    }
    assert_eq!(writes(&rig.sent()), [1, 2, 3, 4]);
    uncounted(&mut rig, 1);
    // the door was open for a moment
    gap(&mut rig, 2, 1);
    assert_eq!(rig.settled().len(), 1);
    uncounted(&mut rig, 3);
    uncounted(&mut rig, 4);
    assert!(rig.settled().is_empty());
    rig.wait_for_deadline();
    assert_eq!(writes(&rig.sent()), [1, 2, 3]);
}

#[test]
fn no_more_writes_are_in_flight_than_the_server_allows() {
    let (mut rig, _) = live();
    for position in 0..300 {
        rig.put(&Todo::new("b", position));
    }
    assert_eq!(writes(&rig.sent()).len(), 256);
    rig.change(1, &[], &[], &[1, 2]);
    assert_eq!(writes(&rig.sent()), [257, 258]);
}

#[test]
fn a_row_of_the_application_shows_until_the_real_one_comes() {
    let (mut rig, watch) = live();
    rig.core.add_optimistic(rig.now, &list(), Put::new(&Todo::new("b", 2)).unwrap()).unwrap();
    assert_eq!(rig.shown(watch), ["a", "b?"]);
    assert!(writes(&rig.sent()).is_empty());
    assert!(rig.core.mark_failed(rig.now, &list(), "todos", "b", Error::new("offline", "could not post")));
    assert_eq!(rig.shown(watch), ["a", "b!"]);
    rig.change(1, &[Todo::new("b", 2)], &[], &[]);
    assert_eq!(rig.shown(watch), ["a", "b"]);
    rig.core.add_optimistic(rig.now, &list(), Put::new(&Todo::new("c", 3)).unwrap()).unwrap();
    assert!(rig.core.remove_optimistic(rig.now, &list(), "todos", "c"));
    assert_eq!(rig.shown(watch), ["a", "b"]);
}

#[test]
fn a_row_of_the_application_stays_when_lists_load_that_do_not_hold_it() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    for key in ["b", "c"] {
        rig.core.add_optimistic(rig.now, &list(), Put::new(&Todo::new(key, 2)).unwrap()).unwrap();
    }
    rig.core.mark_failed(rig.now, &list(), "todos", "c", Error::new("offline", "could not post"));
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1)]);
    assert_eq!(rig.shown(watch), ["a", "b?", "c!"]);
    rig.watch(&open());
    rig.snapshot(2, &[Todo::new("a", 1)]);
    assert_eq!(rig.shown(watch), ["a", "b?", "c!"]);
}

#[test]
fn a_change_of_a_row_that_is_gone_leaves_with_its_verdict() {
    let (mut rig, watch) = live();
    let write = rig.core.update::<Todo>(rig.now, &list(), "a", |todo| todo.done = true).unwrap().unwrap();
    rig.change(1, &[], &["a"], &[]);
    rig.version += 1;
    let error = json!({"code": "unknown_row", "message": "the row is not there any more", "field": "a"});
    rig.server(json!({"changes": {"space": "list", "from": 1, "to": 2, "parts": [],
        "acks": [{"client": "client-1", "id": 1, "error": error}]}}));
    assert_eq!(rig.settled()[0].0, write);
    assert_eq!(rig.core.intents(&list()), 0, "nobody could retry or dismiss it");
    rig.change(1, &[Todo::new("a", 1)], &[], &[]);
    assert_eq!(rig.shown(watch), ["a"], "and it does not haunt the row that is there again");
}

#[test]
fn what_the_server_would_not_take_is_refused_alone() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    let large = Todo { text: "x".repeat(10_000), ..Todo::new("b", 2) };
    let writes_of = |rig: &mut Rig| writes(&rig.sent());
    rig.put(&Todo::new("a", 1));
    let refused = rig.put(&large);
    rig.put(&Todo::new("c", 3));
    rig.accept();
    rig.welcome_with(8192);
    let settled = rig.core.intents(&list());
    assert_eq!(settled, 3, "the refused one waits for a person");
    let outputs = rig.drain();
    let verdict = outputs.iter().find_map(|output| match output {
        Output::Settled { write, result: Err(error) } => Some((*write, error.code().to_owned())),
        _ => None,
    });
    assert_eq!(verdict, Some((refused, "value_too_large".into())));
    let sent: Vec<Value> = outputs
        .into_iter()
        .filter_map(|output| match output {
            Output::Send { frame, .. } => serde_json::from_slice(&frame).ok(),
            _ => None,
        })
        .collect();
    assert_eq!(writes(&sent), [1, 2], "no gap where it stood");
    assert_eq!(rig.shown(watch), ["a?", "b!", "c?"]);
    // and now that the limit is known, it is refused at once
    let ops = RowOps { ops: vec![RowOp::put(&large).unwrap()] };
    let error = rig.core.write_rows(rig.now, &list(), &ops).unwrap_err();
    assert_eq!(error.code(), "value_too_large");
    rig.put(&Todo::new("d", 4));
    assert_eq!(writes_of(&mut rig), [3]);
    // nor does it go out when a person says so
    assert_eq!(rig.core.retry(rig.now, &list(), "todos", "b").len(), 1);
    let outputs = rig.drain();
    let is_refused = |output: &Output| match output {
        Output::Settled { result: Err(error), .. } => error.code() == "value_too_large",
        _ => false,
    };
    assert!(outputs.iter().any(is_refused));
    assert!(outputs.iter().all(|output| !matches!(output, Output::Send { .. })));
    assert_eq!(rig.shown(watch), ["a?", "b!", "c?", "d?"]);
    rig.put(&Todo::new("e", 5));
    assert_eq!(writes_of(&mut rig), [4]);
}

#[test]
fn what_the_server_may_know_of_keeps_its_id() {
    let mut rig = Rig::new();
    rig.watch(&all());
    rig.connect();
    rig.put(&Todo { text: "x".repeat(10_000), ..Todo::new("b", 2) });
    rig.drain();
    rig.lose();
    rig.wait_for_deadline();
    rig.accept();
    rig.welcome_with(8192);
    rig.put(&Todo::new("c", 3));
    assert_eq!(writes(&rig.sent()), [1, 2], "it may have been applied already");
}

#[test]
fn bad_writes_are_refused_before_they_are_queued() {
    let (mut rig, _) = live();
    let too_long = Todo::new(&"k".repeat(257), 1);
    let ops =
        |todo: &Todo| syncline_core::ops::RowOps { ops: vec![syncline_core::ops::RowOp::put(todo).unwrap()] };
    assert_eq!(rig.core.write_rows(rig.now, &list(), &ops(&too_long)).unwrap_err().code(), "bad_key");
    let too_large = Todo { text: "x".repeat(1_000_001), ..Todo::new("a", 1) };
    assert_eq!(
        rig.core.write_rows(rig.now, &list(), &ops(&too_large)).unwrap_err().code(),
        "value_too_large"
    );
    let space = syncline_core::SpaceId::from("no such space!");
    assert_eq!(
        rig.core.write_rows(rig.now, &space, &ops(&Todo::new("a", 1))).unwrap_err().code(),
        "unknown_space"
    );
    let many = RowOps { ops: vec![RowOp::delete::<Todo>("a"); 1001] };
    assert_eq!(rig.core.write_rows(rig.now, &list(), &many).unwrap_err().code(), "bad_write");
    let optimistic = rig.core.add_optimistic(rig.now, &space, Put::new(&Todo::new("a", 1)).unwrap());
    assert_eq!(optimistic.unwrap_err().code(), "unknown_space");
    assert_eq!(
        rig.core.update::<Todo>(rig.now, &list(), "nobody", |_| ()).unwrap_err().code(),
        "unknown_row"
    );
    assert!(writes(&rig.sent()).is_empty());
}

#[test]
fn a_reader_that_never_takes_its_diffs_gets_a_reset() {
    let (mut rig, watch) = live();
    rig.core.take::<Todo>(watch);
    for position in 0..10_000 {
        rig.change(1, &[Todo::new("a", position)], &[], &[]);
    }
    assert!(
        matches!(&rig.core.take::<Todo>(watch)[..], [Diff::Reset(rows)] if rows[0].record.position == 9_999)
    );
}
