//! Actions in a room: on the screen at once, sent in order, and what becomes of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use syncline_core::channel::ActionError;
use syncline_core::client::Applied;
use syncline_core::ops::{Put, RowOp, RowOps};
use syncline_core::{Channel as _, Error};

use crate::channels::Notes;
use crate::rig::{Rig, Todo, TodoAction, Todos, all, create, delete, gone, list, rename, row};

/// The rows that an action has changed, as its sender's output.
fn output(result: &Result<Applied, Error>) -> Option<Vec<Todo>> {
    let output = result.as_ref().unwrap().output.as_ref()?;
    serde_json::from_str::<<Todos as syncline_core::Channel>::Output>(output.get()).ok()
}

#[test]
fn an_action_shows_at_once_and_is_done() {
    let (mut rig, socket, watch) = Rig::live(&[]);
    let write = rig.act(create("a"));
    let sent = rig.sent();
    let id = sent[0]["id"].as_str().unwrap().to_owned();
    let action = json!({"type": "create", "payload": {"id": "a", "text": "text of a", "completed": 0}});
    assert_eq!(sent, [json!({"id": id, "channel": "todos", "rpc": true, "action": action})]);
    assert_eq!(rig.shown(watch), ["a?"]);
    assert_eq!(rig.core.connection().pending, 1);
    rig.core.take::<Todo>(watch);
    rig.success(&socket, &id, &[row("a", "text of a", 1_000)]);
    let (settled, result) = rig.verdicts().remove(0);
    assert_eq!((settled, rig.shown(watch)), (write, vec!["a".into()]));
    assert_eq!(rig.core.take::<Todo>(watch).len(), 1, "the row and its being confirmed are one change");
    assert_eq!(output(&result).unwrap()[0].updated_at, 1_000);
    assert_eq!((result.unwrap().version, rig.core.connection().pending), (0, 0));
}

/// What cannot be read as the channel's output is not one: partysync knows of none beside the rows.
#[test]
fn an_output_is_the_rows_or_nothing() {
    let (mut rig, socket, _) = Rig::live(&[]);
    rig.core.send_action::<Notes>(rig.now, &list(), "shout".into()).unwrap();
    let id = rig.request();
    rig.say(
        &socket,
        json!({"type": "success", "channel": "notes", "id": id, "result": [["n", "x", 1, 1, null]]}),
    );
    let (_, result) = rig.verdicts().remove(0);
    assert!(result.unwrap().output.is_none());
    rig.act(rename("nope", "x"));
    let id = rig.request();
    rig.success(&socket, &id, &[]);
    assert_eq!(output(&rig.verdicts().remove(0).1), Some(vec![]));
    for odd in [json!(null), json!("done"), json!({"rows": []})] {
        rig.act(rename("nope", "x"));
        let id = rig.request();
        rig.say(&socket, json!({"type": "success", "channel": "todos", "id": id, "result": odd}));
        let (_, result) = rig.verdicts().remove(0);
        assert!(result.unwrap().output.is_none());
    }
}

#[test]
fn a_refused_action_is_undone_and_later_ones_stay() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Words {
        error: Vec<String>,
    }
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
    let again = rig.act(create("a"));
    let renamed = rig.act(rename("a", "two"));
    let [(first, _), (second, _)] = <[_; 2]>::try_from(rig.actions()).unwrap();
    assert_eq!(rig.texts(watch), ["two"]);
    rig.error(&socket, &first, "UNIQUE constraint failed: todos.id");
    let (settled, result) = rig.verdicts().remove(0);
    let error = result.unwrap_err();
    assert_eq!((settled, error.code(), error.field()), (again, "action_failed", Some("todos/create")));
    assert_eq!(rig.texts(watch), ["two"]);
    // the server's words are there for a person, and for a program that knows them
    assert_eq!(error.message(), "UNIQUE constraint failed: todos.id");
    let typed = ActionError::<Words>::from(error.clone());
    assert_eq!(typed.refusal(), Some(&Words { error: vec!["UNIQUE constraint failed: todos.id".into()] }));
    assert_eq!(ActionError::<Error>::from(error.clone()), ActionError::Failed(error));
    rig.error(&socket, &second, "no");
    assert_eq!(
        (rig.outcomes(), rig.texts(watch)),
        (vec![(renamed, "action_failed".into())], vec!["one".into()])
    );
}

/// Syncline's own servers say more than partysync's do.
#[test]
fn a_refusal_is_the_handlers_own_where_the_server_says_so() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Refusal {
        Full { most: u32 },
    }
    let (mut rig, socket, _) = Rig::live(&[]);
    let mut refused = |more: Value| {
        rig.act(create("a"));
        let mut frame =
            json!({"type": "error", "rpc": true, "channel": "todos", "id": rig.request(), "error": ["no"]});
        frame.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rig.say(&socket, frame);
        rig.verdicts().remove(0).1.unwrap_err()
    };
    let full = json!({"code": "full", "field": "todos/create", "data": {"Full": {"most": 3}}});
    let error = refused(full);
    assert_eq!((error.code(), error.message(), error.field()), ("full", "no", Some("todos/create")));
    assert_eq!(ActionError::<Refusal>::from(error).refusal(), Some(&Refusal::Full { most: 3 }));
    // by name alone
    let error = refused(json!({"code": "full"}));
    assert_eq!((error.code(), error.field(), error.data()), ("full", Some("todos/create"), None));
    // what is no code is none
    for odd in [json!({"code": 7}), json!({"code": ""}), json!({"code": null, "data": 1})] {
        let error = refused(odd);
        assert_eq!((error.code(), error.data()), ("action_failed", Some(&json!({"error": ["no"]}))));
    }
}

#[test]
fn words_are_cut_to_a_length_that_can_be_kept() {
    let (mut rig, socket, _) = Rig::live(&[]);
    rig.act(create("a"));
    let id = rig.request();
    rig.error(&socket, &id, &"ü".repeat(100_000));
    let error = rig.verdicts().remove(0).1.unwrap_err();
    assert!(error.message().len() < 600);
    assert!(error.data().is_none());
}

#[test]
fn replies_may_overtake_each_other() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
    let writes = [rig.act(rename("a", "two")), rig.act(rename("a", "three")), rig.act(create("b"))];
    let [two, three, b] = <[_; 3]>::try_from(rig.actions()).unwrap().map(|(id, _)| id);
    rig.success(&socket, &b, &[row("b", "text of b", 4_000)]);
    assert_eq!(
        (rig.texts(watch), rig.outcomes()),
        (vec!["three".into(), "text of b".into()], vec![(writes[2], "ok".into())])
    );
    // the one before it is on its way, and would undo it: it waits, and no longer than that one
    rig.success(&socket, &three, &[row("a", "three", 3_000)]);
    assert_eq!(
        (rig.texts(watch), rig.shown(watch)),
        (vec!["three".into(), "text of b".into()], vec!["a?".into(), "b".into()])
    );
    assert!(rig.outcomes().is_empty());
    rig.core.take::<Todo>(watch);
    rig.success(&socket, &two, &[row("a", "two", 2_000)]);
    assert_eq!((rig.texts(watch), rig.outcomes().len()), (vec!["three".into(), "text of b".into()], 2));
    assert_eq!(rig.core.take::<Todo>(watch).len(), 1);
    assert_eq!(rig.shown(watch), ["a", "b"]);
}

#[test]
fn what_waits_for_an_answer_that_does_not_come_is_done_all_the_same() {
    for lost in [false, true] {
        let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
        let [two, three, four] = ["two", "three", "four"].map(|text| rig.act(rename("a", text)));
        let [_, third, fourth] = <[_; 3]>::try_from(rig.actions()).unwrap().map(|(id, _)| id);
        rig.success(&socket, &third, &[row("a", "three", 3_000)]);
        rig.success(&socket, &fourth, &[row("a", "four", 4_000)]);
        assert!(rig.outcomes().is_empty());
        if lost {
            rig.closed(&socket);
        } else {
            rig.wait(Duration::from_secs(10));
        }
        let expected = [(two, "outcome_unknown".into()), (three, "ok".into()), (four, "ok".into())];
        assert_eq!((rig.outcomes(), rig.texts(watch)), (expected.to_vec(), vec!["four".into()]));
    }
}

/// Somebody else's changes and one's own never mix up.
#[test]
fn what_is_pending_lies_over_what_others_do() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
    rig.act(rename("a", "mine"));
    let id = rig.request();
    rig.update(&socket, &[row("a", "theirs", 2_000), row("b", "two", 2_000)]);
    assert_eq!(rig.texts(watch), ["mine", "two"]);
    rig.error(&socket, &id, "no");
    assert_eq!(rig.texts(watch), ["theirs", "two"]);
    // one whose row has gone does nothing
    rig.act(rename("b", "mine"));
    let id = rig.request();
    rig.update(&socket, &[gone("b", "two", 2_000, 3_000)]);
    assert_eq!(rig.texts(watch), ["theirs"]);
    rig.success(&socket, &id, &[]);
    assert_eq!(rig.texts(watch), ["theirs"]);
}

/// A reply may come while all rows are on their way: what it has done does not vanish until they are there.
#[test]
fn an_action_that_is_done_before_the_rows_are_there_does_not_flicker() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
    rig.closed(&socket);
    let write = rig.act(create("b"));
    rig.wait_for_deadline();
    let socket = rig.join();
    let id = rig.request();
    assert_eq!(rig.shown(watch), ["a", "b?"]);
    rig.success(&socket, &id, &[row("b", "text of b", 2_000)]);
    assert_eq!(
        (rig.outcomes(), rig.texts(watch)),
        (vec![(write, "ok".into())], vec!["one".into(), "text of b".into()])
    );
    rig.say(&socket, json!({"sync": true, "channel": "todos", "payload": [row("a", "one", 1_000)]}));
    assert_eq!((rig.shown(watch), rig.status(watch)), (vec!["a".into(), "b".into()], "live"));
}

#[test]
fn actions_made_without_a_line_go_out_in_order() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.act(create("a"));
    rig.act(rename("a", "x"));
    rig.act(delete("a"));
    rig.act(TodoAction::Clear(()));
    assert!(rig.sent().is_empty());
    rig.join();
    let sent = rig.sent();
    assert_eq!(sent[0], json!({"channel": "todos", "sync": true, "from": null}));
    let kinds: Vec<&Value> = sent[1..].iter().map(|frame| &frame["action"]["type"]).collect();
    assert_eq!(kinds, ["create", "update", "delete", "clear"]);
    let mut ids: Vec<_> = sent[1..].iter().map(|frame| frame["id"].as_str().unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    assert!(rig.shown(watch).is_empty());
}

/// No more are on their way than a line can be expected to take.
#[test]
fn no_more_than_64_actions_are_on_their_way() {
    let (mut rig, socket, _) = Rig::live(&[]);
    let writes: Vec<_> = (0..100).map(|n| rig.act(create(&format!("t{n:03}")))).collect();
    let first = rig.actions();
    assert_eq!(first.len(), 64);
    rig.error(&socket, &first[5].0, "no");
    let next = rig.request();
    assert_eq!(rig.outcomes(), [(writes[5], "action_failed".into())]);
    rig.closed(&socket);
    let lost = rig.outcomes();
    assert_eq!(lost.len(), 64);
    assert!(lost.iter().all(|(_, code)| code == "outcome_unknown"));
    assert_eq!(lost.last().unwrap().0, writes[64]);
    rig.wait_for_deadline();
    rig.join();
    let rest = rig.actions();
    assert_eq!((rest.len(), rest.iter().all(|(id, _)| *id != next)), (35, true));
    assert_eq!(rest[0].1["payload"]["id"], "t065");
}

#[test]
fn rows_are_not_written() {
    let (mut rig, _, watch) = Rig::live(&[row("a", "one", 1_000)]);
    let todo = Todo::clone(&rig.core.entries::<Todo>(watch)[0].record);
    let ops = RowOps { ops: vec![RowOp::put(&todo).unwrap()] };
    let space = list();
    assert_eq!(rig.core.write_rows(rig.now, &space, &ops).unwrap_err().code(), "bad_write");
    assert_eq!(
        rig.core.add_optimistic(rig.now, &space, Put::new(&todo).unwrap()).unwrap_err().code(),
        "bad_write"
    );
    let updated = rig.core.update::<Todo>(rig.now, &space, "a", |todo| todo.completed = 1);
    assert_eq!(updated.unwrap_err().code(), "bad_write");
    assert_eq!(rig.shown(watch), ["a"]);
    let _ = Todos::in_space("list");
}

/// One that comes too late is overdue by its own time, whatever the others do.
#[test]
fn each_action_has_its_own_deadline() {
    let (mut rig, socket, _) = Rig::live(&[]);
    let mut writes = Vec::new();
    for n in 0..5 {
        writes.push(rig.act(create(&format!("t{n}"))));
        rig.wait(Duration::from_secs(2));
        rig.update(&socket, &[]);
    }
    for write in writes {
        assert_eq!(rig.outcomes(), [(write, "outcome_unknown".into())]);
        rig.syncs();
        rig.say(&socket, json!({"sync": true, "channel": "todos", "payload": []}));
        rig.wait(Duration::from_secs(2));
    }
}
