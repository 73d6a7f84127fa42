//! What partysync's servers are known to get wrong, one test each.

use std::time::Duration;

use serde_json::{Value, json};
use syncline_core::Record as _;

use crate::rig::{Rig, Todo, all, create, delete, gone, rename, row, text_row};

/// `sync` never tells of deletions, whatever it is asked from: all rows are asked for, and what is not among them goes.
#[test]
fn deletions_while_away_are_found_by_asking_for_everything() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000), row("b", "two", 2_000)]);
    rig.closed(&socket);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("reconnecting", vec!["a".into(), "b".into()]));
    rig.wait_for_deadline();
    let socket = rig.join();
    assert_eq!(rig.shown(watch), ["a", "b"], "rows stay until the answer is there");
    rig.answer_sync(&socket, &[row("b", "two", 2_000), row("c", "three", 3_000)]);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["b".into(), "c".into()]));
}

/// Times are ms here and texts there: a record with numbers reads both, and they sort as one.
#[test]
fn times_as_text_are_read_as_ms() {
    let (mut rig, socket, watch) = Rig::live(&[text_row("a", "one", 48)]);
    rig.update(&socket, &[row("b", "two", 1_795_165_068_514)]);
    let times: Vec<_> = rig.core.entries::<Todo>(watch).iter().map(|entry| entry.record.updated_at).collect();
    assert_eq!(times, [1_795_165_068_000, 1_795_165_068_514]);
    assert_eq!(rig.core.watch_state(watch).error, None);
    // a deleted row has its time as text too
    rig.update(
        &socket,
        &[json!(["a", "one", 0, "2026-11-20 08:57:00", "2026-11-20 08:57:48", "2026-11-20 08:57:54"])],
    );
    assert_eq!(rig.shown(watch), ["b"]);
}

/// A deleted row is an update with `deleted_at`.
#[test]
fn a_row_with_deleted_at_is_gone() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000), row("b", "two", 2_000)]);
    rig.update(&socket, &[gone("a", "one", 1_000, 3_000), gone("never", "", 1, 3_000)]);
    assert_eq!(rig.shown(watch), ["b"]);
    rig.update(&socket, &[gone("a", "one", 1_000, 4_000)]);
    assert_eq!(rig.shown(watch), ["b"]);
}

/// What one's own server adds to `sync`.
#[test]
fn deleted_rows_in_a_sync_are_gone_too() {
    let (rig, _, watch) = Rig::live(&[row("a", "one", 1_000), gone("b", "two", 1_000, 2_000)]);
    assert_eq!(rig.shown(watch), ["a"]);
}

/// Broadcasts come also when nothing has changed.
#[test]
fn an_update_may_be_empty() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
    rig.core.take::<Todo>(watch);
    rig.update(&socket, &[]);
    assert!(rig.core.take::<Todo>(watch).is_empty());
    assert_eq!(rig.shown(watch), ["a"]);
    assert!(rig.core.deadline().unwrap() >= rig.now + Duration::from_secs(30), "nothing is in doubt");
}

/// Replies overtake each other: what comes last need not be what was done last.
#[test]
fn an_older_state_of_a_row_does_not_undo_a_newer_one() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
    rig.update(&socket, &[row("a", "three", 3_000)]);
    rig.update(&socket, &[row("a", "two", 2_000)]);
    assert_eq!(rig.texts(watch), ["three"]);
    // and one that is gone does not come back
    rig.update(&socket, &[gone("a", "three", 3_000, 4_000)]);
    rig.update(&socket, &[row("a", "three", 3_000)]);
    assert!(rig.texts(watch).is_empty());
    // it is asked whether that is so: a row may have been brought back with its old time
    assert_eq!(rig.wait_for_deadline().as_secs(), 1);
    rig.answer_sync(&socket, &[row("a", "three", 3_000)]);
    assert_eq!(rig.texts(watch), ["three"]);
}

/// What was told of a deletion is remembered beyond the next answer, which does not tell of it.
#[test]
fn an_update_that_a_deletion_and_an_answer_have_overtaken_does_not_bring_the_row_back() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000), row("b", "two", 1_000)]);
    rig.update(&socket, &[gone("a", "three", 2_000, 3_000)]);
    rig.wait_for_deadline();
    rig.answer_sync(&socket, &[row("b", "two", 1_000)]);
    rig.update(&socket, &[row("a", "three", 2_000)]);
    assert_eq!(rig.texts(watch), ["two"]);
    // it is asked whether that is so
    assert_eq!(rig.wait_for_deadline().as_secs(), 1);
    rig.answer_sync(&socket, &[row("a", "three", 2_000), row("b", "two", 1_000)]);
    assert_eq!(rig.texts(watch), ["three", "two"]);
}

/// Texts say no more than the second: of two states in one second the order of the actions decides, and then the server.
#[test]
fn replies_that_overtake_each_other_within_a_second_are_asked_about() {
    let (mut rig, socket, watch) = Rig::live(&[text_row("a", "one", 1)]);
    rig.act(rename("a", "two"));
    rig.act(rename("a", "three"));
    let [two, three] = <[_; 2]>::try_from(rig.actions()).unwrap().map(|(id, _)| id);
    rig.success(&socket, &three, &[text_row("a", "three", 2)]);
    assert_eq!(rig.texts(watch), ["three"]);
    rig.success(&socket, &two, &[text_row("a", "two", 2)]);
    assert_eq!(rig.texts(watch), ["three"]);
    assert_eq!(rig.wait_for_deadline().as_secs(), 1);
    rig.answer_sync(&socket, &[text_row("a", "two", 2)]);
    assert_eq!(rig.texts(watch), ["two"], "the last word is the server's");
}

/// The same where the actions have nothing to do with each other as far as is known here.
#[test]
fn a_reply_that_was_overtaken_does_not_undo_what_has_overtaken_it() {
    let (mut rig, socket, watch) = Rig::live(&[text_row("a", "one", 1)]);
    rig.act(rename("x", "two"));
    rig.act(rename("y", "three"));
    let [two, three] = <[_; 2]>::try_from(rig.actions()).unwrap().map(|(id, _)| id);
    rig.success(&socket, &three, &[text_row("a", "three", 2)]);
    assert_eq!(rig.outcomes().len(), 1);
    rig.success(&socket, &two, &[text_row("a", "two", 2)]);
    assert_eq!((rig.texts(watch), rig.outcomes().len()), (vec!["three".into()], 1));
    // nor does one that was not waited for any more
    rig.act(rename("x", "four"));
    let four = rig.request();
    rig.wait(Duration::from_secs(10));
    rig.syncs();
    rig.say(&socket, json!({"sync": true, "channel": "todos", "payload": [text_row("a", "five", 3)]}));
    rig.success(&socket, &four, &[text_row("a", "four", 3)]);
    assert_eq!(rig.texts(watch), ["five"]);
    assert_eq!(rig.wait_for_deadline().as_secs(), 1);
}

/// An answer that is given up may still come, and is then older than it seems.
#[test]
fn an_answer_that_comes_after_all_undoes_nothing() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000), row("b", "two", 1_000)]);
    rig.wait_for_deadline();
    assert_eq!(rig.syncs(), ["todos"]);
    rig.update(&socket, &[gone("b", "two", 1_000, 2_000)]);
    rig.wait_for_deadline();
    rig.answer_sync(&socket, &[row("a", "one", 1_000), row("b", "two", 1_000)]);
    assert_eq!(rig.shown(watch), ["a"]);
    // and that to the second question
    rig.say(&socket, json!({"sync": true, "channel": "todos", "payload": [row("a", "one", 1_000)]}));
    assert_eq!((rig.shown(watch), rig.status(watch)), (vec!["a".into()], "live"));
}

/// A `sync` may be older than what was broadcast while it was on its way.
#[test]
fn an_answer_does_not_undo_what_was_told_meanwhile() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000), row("b", "two", 1_000)]);
    rig.wait_for_deadline();
    rig.update(
        &socket,
        &[row("a", "changed", 2_000), gone("b", "two", 1_000, 2_000), row("c", "new", 2_000)],
    );
    rig.answer_sync(&socket, &[row("a", "one", 1_000), row("b", "two", 1_000)]);
    assert_eq!(rig.texts(watch), ["changed", "new"]);
    // and may be newer
    rig.wait_for_deadline();
    rig.update(&socket, &[row("a", "changed again", 3_000)]);
    rig.answer_sync(&socket, &[row("a", "and again", 4_000)]);
    assert_eq!(rig.texts(watch), ["and again"]);
}

/// `delete-all` may reach the sender before its success: nothing flickers, and later actions stay.
#[test]
fn delete_all_before_its_success() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
    let clear = rig.act(crate::rig::TodoAction::Clear(()));
    let make = rig.act(create("b"));
    let [(cleared, _), (made, _)] = <[_; 2]>::try_from(rig.actions()).unwrap();
    assert_eq!(rig.shown(watch), ["b?"]);
    rig.delete_all(&socket);
    assert_eq!((rig.shown(watch), rig.outcomes()), (vec!["b?".into()], vec![]));
    rig.success(&socket, &cleared, &[]);
    assert_eq!((rig.shown(watch), rig.outcomes()), (vec!["b?".into()], vec![(clear, "ok".into())]));
    rig.success(&socket, &made, &[row("b", "text of b", 2_000)]);
    assert_eq!((rig.shown(watch), rig.outcomes()), (vec!["b".into()], vec![(make, "ok".into())]));
}

/// `delete-all` does not say what it has deleted: what was on its way may have come before or after it.
#[test]
fn what_delete_all_has_overtaken_is_asked_about() {
    let (mut rig, socket, watch) = Rig::live(&[]);
    rig.act(create("a"));
    let made = rig.request();
    rig.delete_all(&socket);
    assert_eq!(rig.wait_for_deadline().as_secs(), 1);
    // the reply was slow: the row was made before everything was deleted
    assert_eq!(rig.syncs(), ["todos"]);
    rig.success(&socket, &made, &[row("a", "text of a", 1_000)]);
    assert_eq!(rig.shown(watch), ["a"]);
    rig.say(&socket, json!({"sync": true, "channel": "todos", "payload": []}));
    assert_eq!(rig.shown(watch), ["a"], "the answer may be older than the reply");
    assert_eq!(rig.wait_for_deadline().as_secs(), 1);
    rig.answer_sync(&socket, &[]);
    assert!(rig.shown(watch).is_empty());
}

/// An answer from before `delete-all` does not bring rows back.
#[test]
fn an_answer_may_be_older_than_delete_all() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
    rig.wait_for_deadline();
    rig.delete_all(&socket);
    rig.update(&socket, &[row("b", "two", 2_000)]);
    rig.answer_sync(&socket, &[row("a", "one", 1_000)]);
    assert_eq!(rig.shown(watch), ["b"]);
    rig.wait_for_deadline();
    rig.answer_sync(&socket, &[row("b", "two", 2_000)]);
    assert_eq!(rig.shown(watch), ["b"]);
}

/// Some requests are never answered.
#[test]
fn an_action_without_an_answer_has_an_unknown_outcome_after_ten_seconds() {
    let (mut rig, socket, watch) = Rig::live(&[]);
    let lost = rig.act(create("a"));
    let first = rig.request();
    rig.wait(Duration::from_millis(9_999));
    let later = rig.act(create("b"));
    let second = rig.request();
    assert_eq!((rig.shown(watch), rig.outcomes()), (vec!["a?".into(), "b?".into()], vec![]));
    rig.wait(Duration::from_millis(1));
    // its effect is gone, later ones stay
    assert_eq!(rig.outcomes(), [(lost, "outcome_unknown".into())]);
    assert_eq!(rig.shown(watch), ["b?"]);
    // it is not sent again; what became of it is asked for
    assert_eq!(rig.sent(), [json!({"channel": "todos", "sync": true, "from": null})]);
    rig.say(&socket, json!({"sync": true, "channel": "todos", "payload": [row("a", "text of a", 1_000)]}));
    assert_eq!(rig.shown(watch), ["a", "b?"]);
    rig.success(&socket, &second, &[row("b", "text of b", 2_000)]);
    assert_eq!(rig.outcomes(), [(later, "ok".into())]);
    // an answer that is later than late changes nothing of that
    rig.success(&socket, &first, &[row("a", "text of a", 1_000)]);
    assert_eq!((rig.shown(watch), rig.outcomes()), (vec!["a".into(), "b".into()], vec![]));
}

/// There is nothing by which a server could tell that it has done an action already.
#[test]
fn an_action_on_a_line_that_is_lost_is_not_sent_again() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
    let sent = rig.act(rename("a", "two"));
    assert_eq!(rig.actions().len(), 1);
    rig.closed(&socket);
    assert_eq!(rig.outcomes(), [(sent, "outcome_unknown".into())]);
    assert_eq!(rig.texts(watch), ["one"]);
    // what is made meanwhile has not been sent, and is
    let [b, c] = [rig.act(create("b")), rig.act(create("c"))];
    rig.wait_for_deadline();
    let socket = rig.join();
    assert_eq!(rig.syncs(), ["todos"]);
    let actions = rig.actions();
    let names: Vec<&Value> = actions.iter().map(|(_, action)| &action["payload"]["id"]).collect();
    assert_eq!(names, ["b", "c"]);
    rig.say(&socket, json!({"sync": true, "channel": "todos", "payload": [row("a", "two", 2_000)]}));
    assert_eq!(rig.texts(watch), ["two", "text of b", "text of c"], "it had been done");
    for (id, _) in &actions {
        rig.success(&socket, id, &[]);
    }
    assert_eq!(rig.outcomes(), [(b, "ok".into()), (c, "ok".into())]);
}

/// Exceptions name no request: the one that was on its way, if it cannot have been another one.
#[test]
fn an_exception_is_that_of_the_only_request() {
    let (mut rig, socket, watch) = Rig::live(&[]);
    let write = rig.act(create("a"));
    rig.exception(&socket);
    let (settled, result) = rig.verdicts().remove(0);
    let error = result.unwrap_err();
    assert_eq!((settled, error.code(), error.field()), (write, "bad_action", Some("todos/create")));
    assert!(error.message().contains("cannot be read"));
    assert!(rig.shown(watch).is_empty());
    // and with nothing on its way it is nobody's
    rig.exception(&socket);
    assert!(rig.outcomes().is_empty());
    assert_eq!(rig.status(watch), "live");
}

#[test]
fn an_exception_is_nobodys_when_it_may_be_that_of_several() {
    let (mut rig, socket, watch) = Rig::live(&[]);
    let [a, b] = [rig.act(create("a")), rig.act(create("b"))];
    let [(_, _), (second, _)] = <[_; 2]>::try_from(rig.actions()).unwrap();
    rig.exception(&socket);
    assert_eq!((rig.outcomes(), rig.shown(watch)), (vec![], vec!["a?".into(), "b?".into()]));
    rig.success(&socket, &second, &[row("b", "text of b", 1_000)]);
    assert_eq!(rig.outcomes(), [(b, "ok".into())]);
    rig.wait(Duration::from_secs(10));
    assert_eq!(rig.outcomes(), [(a, "outcome_unknown".into())]);
    rig.answer_sync(&socket, &[row("b", "text of b", 1_000)]);
    // that of the one that was given up may still come
    let c = rig.act(create("c"));
    rig.exception(&socket);
    assert!(rig.outcomes().is_empty());
    rig.wait(Duration::from_secs(10));
    assert_eq!(rig.outcomes(), [(c, "outcome_unknown".into())]);
}

#[test]
fn an_exception_may_be_that_of_a_question_for_rows() {
    let (mut rig, socket, _) = Rig::live(&[]);
    rig.wait_for_deadline();
    rig.act(create("a"));
    rig.exception(&socket);
    assert!(rig.outcomes().is_empty());
    rig.answer_sync(&socket, &[]);
    rig.exception(&socket);
    assert_eq!(rig.outcomes().len(), 1, "now it can be no other");
}

/// Two sockets with one `_pk` miss each other's changes.
#[test]
fn every_socket_has_a_name_of_its_own() {
    let (mut rig, mut socket, _) = Rig::live(&[]);
    let other = rig.watch(&Todo::in_space("other/room"));
    let elsewhere = rig.join();
    assert_eq!((elsewhere.address.segment().as_ref(), rig.status(other)), ("other%2Froom", "snapshot"));
    let mut names = vec![socket.address.params(), elsewhere.address.params()];
    for _ in 0..5 {
        rig.closed(&socket);
        while rig.asks_nothing() {
            rig.wait_for_deadline();
            rig.say(&elsewhere, json!({"sync": true, "channel": "todos", "payload": []}));
        }
        socket = rig.join();
        rig.say(&socket, json!({"sync": true, "channel": "todos", "payload": []}));
        names.push(socket.address.params());
    }
    assert!(names.iter().all(|name| name.len() == "_pk=".len() + 36), "{names:?}");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 7);
}

/// There is no sign of life: after 30 s without a word the rows are asked for, and whoever does not answer is dead.
#[test]
fn silence_is_asked_about() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
    rig.wait(Duration::from_secs(20));
    rig.update(&socket, &[row("b", "two", 2_000)]);
    assert_eq!(rig.wait_for_deadline().as_secs(), 30);
    rig.answer_sync(&socket, &[row("a", "one", 1_000), row("b", "two", 2_000)]);
    assert_eq!(rig.wait_for_deadline().as_secs(), 30);
    assert_eq!((rig.syncs().len(), rig.status(watch)), (1, "live"));
    assert_eq!(rig.wait_for_deadline().as_secs(), 10);
    assert_eq!((rig.status(watch), rig.open.len()), ("reconnecting", 0));
    assert_eq!(rig.shown(watch), ["a", "b"]);
}

/// Whoever leaves while an action is running keeps the others from hearing of it: it is found in the next silence.
#[test]
fn a_change_that_nobody_was_told_of_is_found() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
    rig.wait_for_deadline();
    rig.answer_sync(&socket, &[row("b", "two", 2_000)]);
    assert_eq!(rig.shown(watch), ["b"]);
    // also where it is never quiet
    let mut waited = Duration::ZERO;
    while rig.syncs().is_empty() {
        rig.update(&socket, &[]);
        rig.wait(Duration::from_secs(10));
        waited += Duration::from_secs(10);
    }
    assert_eq!(waited.as_secs(), 300);
}

/// And nobody of ours is the one who leaves like that.
#[test]
fn switching_off_waits_for_what_is_on_its_way() {
    let (mut rig, socket, watch) = Rig::live(&[]);
    let first = rig.act(create("a"));
    let sent = rig.request();
    rig.core.set_enabled(rig.now, false);
    rig.drain();
    let second = rig.act(create("b"));
    assert_eq!((rig.status(watch), rig.open.len(), rig.actions().len()), ("closed", 1, 0));
    rig.success(&socket, &sent, &[row("a", "text of a", 1_000)]);
    assert_eq!((rig.outcomes(), rig.open.len()), (vec![(first, "ok".into())], 0));
    assert_eq!(rig.shown(watch), ["a", "b?"]);
    assert_eq!(rig.core.deadline(), None);
    rig.core.set_enabled(rig.now, true);
    rig.drain();
    let socket = rig.join();
    let again = rig.request();
    rig.success(&socket, &again, &[row("b", "text of b", 2_000)]);
    assert_eq!(rig.outcomes(), [(second, "ok".into())]);
}

#[test]
fn switching_off_waits_no_longer_than_for_an_answer() {
    let (mut rig, _, _) = Rig::live(&[]);
    rig.act(create("a"));
    rig.core.set_enabled(rig.now, false);
    rig.drain();
    assert_eq!(rig.wait_for_deadline().as_secs(), 10);
    assert_eq!((rig.outcomes().len(), rig.open.len()), (1, 0));
}

/// A channel that the server does not have is never answered: it fails alone.
#[test]
fn a_channel_that_is_never_answered_fails_alone() {
    let (mut rig, socket, watch) = Rig::live(&[]);
    rig.core.register_channel::<crate::channels::Notes>();
    let notes = rig.core.watch(rig.now, &crate::channels::Note::in_space("list"));
    rig.drain();
    assert_eq!(rig.syncs(), ["notes"]);
    assert_eq!(rig.status(notes), "snapshot");
    let stays_silent = |rig: &mut Rig| {
        for tries in 1..=3 {
            rig.wait(Duration::from_secs(5));
            rig.say(&socket, json!({"sync": true, "channel": "todos", "payload": []}));
            rig.wait(Duration::from_secs(5));
            assert_eq!(rig.syncs().len(), usize::from(tries < 3));
        }
    };
    stays_silent(&mut rig);
    assert_eq!((rig.status(notes), rig.error_of(notes).as_deref()), ("failed", Some("unknown_channel")));
    assert_eq!((rig.status(watch), rig.open.len()), ("live", 1));
    // it may come to be: it is asked again when somebody says so, after a while, and with every line
    rig.core.retry_now(rig.now);
    rig.drain();
    assert_eq!((rig.syncs().len(), rig.status(notes)), (2, "snapshot"));
    rig.say(&socket, json!({"sync": true, "channel": "todos", "payload": []}));
    stays_silent(&mut rig);
    let mut waited = Duration::ZERO;
    while !rig.syncs().contains(&"notes".to_owned()) {
        rig.say(&socket, json!({"sync": true, "channel": "todos", "payload": []}));
        waited += rig.wait_for_deadline();
    }
    assert_eq!((waited.as_secs(), rig.status(notes)), (30, "failed"));
    rig.closed(&socket);
    rig.wait_for_deadline();
    let socket = rig.join();
    assert_eq!(rig.syncs().len(), 2);
    rig.say(&socket, json!({"sync": true, "channel": "notes", "payload": [["n1", "hello", 1, 1, null]]}));
    assert_eq!((rig.status(notes), rig.error_of(notes)), ("live", None));
}

/// Frames that mean nothing here do no harm.
#[test]
fn odd_frames_are_passed_over() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
    let write = rig.act(delete("a"));
    let request = rig.request();
    for frame in [
        "",
        "hello",
        "{not json",
        "[]",
        "7",
        r#"{"type":"welcome"}"#,
        r#"{"type":"cf_agent_state","state":{}}"#,
        r#"{"broadcast":true,"type":"update","channel":"others","payload":[["x"]]}"#,
        r#"{"broadcast":true,"type":"delete-all","channel":"others"}"#,
        r#"{"broadcast":true,"type":"delete-all"}"#,
        r#"{"sync":true,"channel":"others","payload":[["x"]]}"#,
        r#"{"type":"success","rpc":true,"channel":"todos","id":"somebody-else","result":[]}"#,
        r#"{"type":"error","rpc":true,"channel":"todos","id":"somebody-else","error":["no"]}"#,
    ] {
        rig.frame(&socket, frame);
    }
    assert_eq!((rig.status(watch), rig.outcomes()), ("live", vec![]));
    assert!(rig.shown(watch).is_empty());
    rig.success(&socket, &request, &[gone("a", "one", 1_000, 2_000)]);
    assert_eq!(rig.outcomes(), [(write, "ok".into())]);
}

/// A row that cannot be read is not shown, and is named.
#[test]
fn rows_that_cannot_be_read_are_noted() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000), json!(["b", 7, 0, 1, 1, null])]);
    assert_eq!(rig.shown(watch), ["a"]);
    let error = rig.core.watch_state(watch).error.unwrap();
    assert_eq!((error.code(), error.field()), ("bad_row", Some("todo/b")));
    // what comes later to the same rows is told too
    let late = rig.watch(&all().filter(Todo::completed.eq(0)));
    assert_eq!((rig.shown(late), rig.error_of(late).as_deref()), (vec!["a".into()], Some("bad_row")));
    rig.update(&socket, &[row("b", "two", 2_000)]);
    assert_eq!((rig.shown(watch), rig.error_of(watch)), (vec!["a".into(), "b".into()], None));
    assert_eq!((rig.shown(late), rig.error_of(late)), (vec!["a".into(), "b".into()], None));
    // neither is what it was before
    rig.update(&socket, &[json!(["b", {}, 0, 1, 3_000, null])]);
    assert_eq!((rig.shown(watch), rig.error_of(watch).as_deref()), (vec!["a".into()], Some("bad_row")));
    for odd in [json!(7), json!("x"), json!([]), json!({}), json!([null, "x", 0, 1, 1, null])] {
        rig.update(&socket, &[odd]);
    }
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["a".into()]));
    // when it is gone there is nothing to be said of it; the next answer says the rest
    rig.update(&socket, &[gone("b", "two", 3_000, 4_000)]);
    while rig.syncs().is_empty() {
        rig.wait_for_deadline();
    }
    rig.say(&socket, json!({"sync": true, "channel": "todos", "payload": [row("a", "one", 1_000)]}));
    assert_eq!(rig.error_of(watch), None);
}

#[test]
fn of_many_rows_that_cannot_be_read_the_last_one_is_noted_though_all_rows_come_meanwhile() {
    let keys: Vec<_> = (0..65).map(|n| format!("{n:02}")).collect();
    let rows: Vec<_> = keys.iter().map(|key| json!([key, 7, 0, 1_000, 1_000, null])).collect();
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    let socket = rig.join();
    rig.update(&socket, &rows);
    rig.answer_sync(&socket, &rows);
    let deleted: Vec<_> = keys[..64].iter().map(|key| gone(key, "x", 1_000, 2_000)).collect();
    rig.update(&socket, &deleted);
    assert_eq!((rig.status(watch), rig.error_of(watch).as_deref()), ("live", Some("bad_row")));
    rig.delete_all(&socket);
    assert_eq!(rig.error_of(watch), None);
}

/// What is in a frame is what it looks like, however a third party has written it.
#[test]
fn json_in_a_text_stays_a_text() {
    let (mut rig, socket, _) = Rig::live(&[]);
    rig.act(create("a"));
    rig.say(
        &socket,
        json!({"type": "exception", "rpc": true, "exception": [{"$serde_json::private::RawValue": "[[1]]"}]}),
    );
    let error = rig.verdicts().remove(0).1.unwrap_err();
    assert!(error.message().contains(r#"{"":"[[1]]"}"#), "{error}");
}
