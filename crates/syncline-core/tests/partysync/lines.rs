//! The socket of a room: made, lost, doubted, left.

use std::time::Duration;

use serde_json::json;
use syncline_core::client::{Backoff, Input};
use syncline_core::{Error, Record as _};

use crate::rig::{Rig, all, create, row};

#[test]
fn attempts_that_fail_are_further_and_further_apart() {
    let mut rig = Rig::with(|config| config.backoff.cap = Duration::from_secs(8));
    let watch = rig.watch(&all());
    let mut longest = Duration::ZERO;
    for _ in 0..30 {
        let socket = rig.asked();
        rig.closed(&socket);
        assert_eq!(rig.status(watch), "reconnecting");
        longest = longest.max(rig.wait_for_deadline());
    }
    assert!(longest > Duration::from_secs(4) && longest <= Duration::from_secs(8), "{longest:?}");
    // one that opens and says nothing is no better
    let socket = rig.join();
    assert_eq!(rig.wait_for_deadline().as_secs(), 10);
    assert_eq!((rig.status(watch), rig.open.len()), ("reconnecting", 0));
    assert_eq!(rig.core.connection().last_error.unwrap().code(), "timeout");
    let _ = socket;
}

/// All rows of a channel are one message, of which nothing is heard until all of it has come.
#[test]
fn a_list_that_takes_long_to_come_is_waited_for_longer() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    let late = Duration::from_secs(12);
    rig.join();
    assert_eq!(rig.wait_for_deadline().as_secs(), 10);
    assert_eq!((rig.status(watch), rig.syncs().len()), ("reconnecting", 1));
    rig.wait_for_deadline();
    let socket = rig.join();
    let write = rig.act(create("b"));
    rig.wait(late);
    assert_eq!((rig.open.len(), rig.outcomes()), (1, vec![]));
    rig.answer_sync(&socket, &[row("a", "one", 1_000)]);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["a".into(), "b?".into()]));
    let sent = rig.request();
    rig.success(&socket, &sent, &[row("b", "text of b", 2_000)]);
    assert_eq!(rig.outcomes(), [(write, "ok".into())]);
    // nor is it given up the next time that all of it is asked for
    rig.wait_for_deadline();
    rig.wait(late);
    rig.answer_sync(&socket, &[row("a", "one", 1_000)]);
    assert_eq!((rig.status(watch), rig.open.len()), ("live", 1));
}

#[test]
fn a_list_that_takes_long_to_come_is_not_held_up_by_one_beside_it() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.core.register_channel::<crate::channels::Notes>();
    rig.core.watch(rig.now, &crate::channels::Note::in_space("list"));
    rig.drain();
    let asked = rig.now;
    let mut lines = 0;
    // it takes 25 s, and is asked for anew on each line
    while rig.status(watch) != "live" && rig.now < asked + Duration::from_secs(300) {
        let socket = rig.join();
        lines += 1;
        rig.say(&socket, json!({"sync": true, "channel": "notes", "payload": []}));
        let opened = rig.now;
        while !rig.open.is_empty() && rig.now < opened + Duration::from_secs(25) {
            let left = opened + Duration::from_secs(25) - rig.now;
            let due = rig.core.deadline().unwrap_or(rig.now + left).saturating_sub(rig.now);
            rig.wait(due.min(left));
        }
        if rig.open.is_empty() {
            rig.wait_for_deadline();
        } else {
            rig.syncs();
            rig.say(&socket, json!({"channel": "todos", "sync": true, "payload": [row("a", "one", 1_000)]}));
        }
    }
    assert_eq!((rig.status(watch), rig.shown(watch), lines), ("live", vec!["a".into()], 2));
    // nor the next time that all of it is asked for
    while rig.syncs().is_empty() {
        rig.wait_for_deadline();
    }
    let asked = rig.now;
    while rig.now < asked + Duration::from_secs(15) {
        let left = asked + Duration::from_secs(15) - rig.now;
        let due = rig.core.deadline().unwrap_or(rig.now + left).saturating_sub(rig.now);
        rig.wait(due.min(left));
    }
    assert_eq!((rig.status(watch), rig.open.len()), ("live", 1));
}

#[test]
fn rows_that_the_server_refuses_are_known_to_be_at_once() {
    for (code, status) in [("unknown_channel", "failed"), ("too_many", "snapshot")] {
        let mut rig = Rig::new();
        let watch = rig.watch(&all());
        let socket = rig.join();
        let refusal =
            json!({"type": "error", "sync": true, "channel": "todos", "error": ["no"], "code": code});
        rig.say(&socket, refusal);
        assert_eq!((rig.status(watch), rig.open.len(), rig.syncs().len()), (status, 1, 1), "{code}");
        // they may be there later
        rig.wait_for_deadline();
        rig.answer_sync(&socket, &[row("a", "one", 1_000)]);
        assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["a".into()]), "{code}");
    }
}

#[test]
fn with_the_right_to_a_room_its_rows_go() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
    rig.open.clear();
    rig.input(Input::Closed { attempt: socket.line, error: Some(Error::new("forbidden", "4003")) });
    assert_eq!((rig.status(watch), rig.shown(watch)), ("failed", vec![]));
    rig.wait(Duration::from_secs(3_600));
    assert!(rig.asks_nothing());
    // until somebody asks for them again
    rig.core.retry_now(rig.now);
    rig.drain();
    let socket = rig.join();
    rig.answer_sync(&socket, &[row("b", "two", 1_000)]);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["b".into()]));
}

#[test]
fn a_socket_that_does_not_open_is_given_up() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    assert_eq!((rig.status(watch), rig.wait_for_deadline().as_secs()), ("connecting", 10));
    assert_eq!((rig.status(watch), rig.open.len()), ("reconnecting", 0));
}

#[test]
fn what_is_said_on_a_line_that_is_gone_does_not_count() {
    let (mut rig, old, watch) = Rig::live(&[row("a", "one", 1_000)]);
    rig.closed(&old);
    rig.closed(&old);
    rig.wait_for_deadline();
    let socket = rig.asked();
    rig.update(&old, &[row("b", "two", 2_000)]);
    rig.opened(&old);
    rig.closed(&old);
    assert_eq!((rig.shown(watch), rig.open.len()), (vec!["a".into()], 1));
    rig.opened(&socket);
    rig.answer_sync(&socket, &[row("a", "one", 1_000)]);
    assert_eq!((rig.status(watch), rig.core.connection().last_error), ("live", None));
}

#[test]
fn after_so_many_attempts_it_waits_for_somebody() {
    let mut rig = Rig::with(|config| config.backoff = Backoff { attempts: Some(2), ..Backoff::default() });
    let watch = rig.watch(&all());
    let write = rig.act(create("a"));
    for _ in 0..2 {
        let socket = rig.asked();
        rig.closed(&socket);
        if rig.core.deadline().is_some() {
            rig.wait_for_deadline();
        }
    }
    assert_eq!((rig.status(watch), rig.error_of(watch).as_deref()), ("failed", Some("connection")));
    assert_eq!((rig.core.connection().status.as_str(), rig.core.connection().pending), ("failed", 1));
    // the channel has been left; what was not sent waits
    assert_eq!((rig.core.deadline(), rig.shown(watch)), (None, vec!["a?".into()]));
    rig.core.retry_now(rig.now);
    rig.drain();
    let socket = rig.join();
    let request = rig.request();
    rig.success(&socket, &request, &[row("a", "text of a", 1_000)]);
    assert_eq!(rig.outcomes(), [(write, "ok".into())]);
}

#[test]
fn a_refusal_for_good_is_not_tried_again() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    let socket = rig.asked();
    let error = Error::new("unsupported_protocol", "no rooms here");
    rig.open.clear();
    rig.input(Input::Closed { attempt: socket.line, error: Some(error) });
    assert_eq!((rig.status(watch), rig.error_of(watch).as_deref()), ("failed", Some("unsupported_protocol")));
    rig.wait_for_deadline();
    assert_eq!(rig.core.deadline(), None);
}

#[test]
fn the_network_or_the_page_is_back() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
    rig.input(Input::Visible(true));
    assert!(rig.syncs().is_empty(), "it has just been heard");
    rig.wait(Duration::from_secs(6));
    rig.input(Input::Visible(true));
    rig.input(Input::Online(true));
    assert_eq!(rig.syncs(), ["todos"]);
    rig.say(&socket, json!({"sync": true, "channel": "todos", "payload": [row("b", "two", 1_000)]}));
    assert_eq!(rig.shown(watch), ["b"]);
    rig.closed(&socket);
    assert!(rig.asks_nothing());
    rig.input(Input::Online(true));
    rig.join();
    assert_eq!(rig.syncs(), ["todos"]);
}

#[test]
fn switched_off_and_on() {
    let (mut rig, socket, watch) = Rig::live(&[row("a", "one", 1_000)]);
    rig.core.set_enabled(rig.now, false);
    rig.drain();
    assert_eq!((rig.status(watch), rig.open.len(), rig.shown(watch).len()), ("closed", 0, 1));
    assert_eq!(rig.core.deadline(), None);
    let write = rig.act(create("b"));
    rig.core.retry_now(rig.now);
    rig.drain();
    assert!(rig.asks_nothing());
    rig.update(&socket, &[row("c", "three", 1_000)]);
    assert_eq!(rig.shown(watch), ["a", "b?"]);
    rig.core.set_enabled(rig.now, true);
    rig.drain();
    assert_eq!(rig.status(watch), "reconnecting");
    let socket = rig.join();
    let request = rig.request();
    rig.success(&socket, &request, &[row("b", "text of b", 2_000)]);
    assert_eq!(
        (rig.outcomes(), rig.shown(watch)),
        (vec![(write, "ok".into())], vec!["a".into(), "b".into()])
    );
}

#[test]
fn other_credentials_make_another_socket() {
    let (mut rig, old, watch) = Rig::live(&[row("a", "one", 1_000)]);
    rig.core.refresh_credentials(rig.now);
    rig.drain();
    let socket = rig.join();
    assert_ne!(old.line, socket.line);
    assert_eq!((rig.open.len(), rig.shown(watch).len()), (1, 1));
    rig.answer_sync(&socket, &[]);
    assert!(rig.shown(watch).is_empty());
}

/// Whoever leaves while an action is on its way keeps others from hearing of it.
#[test]
fn other_credentials_wait_for_what_is_on_its_way() {
    let (mut rig, old, watch) = Rig::live(&[]);
    let first = rig.act(create("a"));
    let request = rig.request();
    rig.core.refresh_credentials(rig.now);
    rig.drain();
    assert_eq!((rig.open.len(), rig.open[0].line, rig.outcomes()), (1, old.line, vec![]));
    // what comes now goes out with the new ones
    let second = rig.act(create("b"));
    assert!(rig.asks_nothing() && rig.actions().is_empty());
    rig.success(&old, &request, &[row("a", "text of a", 1_000)]);
    assert_eq!(rig.outcomes(), [(first, "ok".into())]);
    let socket = rig.join();
    assert_eq!((rig.open.len(), rig.shown(watch)), (1, vec!["a".into(), "b?".into()]));
    let request = rig.request();
    rig.success(&socket, &request, &[row("b", "text of b", 2_000)]);
    assert_eq!(rig.outcomes(), [(second, "ok".into())]);
    assert_eq!(rig.open[0].line, socket.line, "once is enough");
}

#[test]
fn other_credentials_wait_no_longer_than_for_an_answer() {
    let (mut rig, old, _) = Rig::live(&[]);
    let write = rig.act(create("a"));
    rig.core.refresh_credentials(rig.now);
    rig.drain();
    assert_eq!(rig.wait_for_deadline().as_secs(), 10);
    assert_eq!(rig.outcomes(), [(write, "outcome_unknown".into())]);
    assert_ne!(rig.asked().line, old.line);
    // nor for a line that is lost, and the next one has them
    let (mut rig, old, watch) = Rig::live(&[]);
    rig.act(create("a"));
    rig.request();
    rig.core.refresh_credentials(rig.now);
    rig.closed(&old);
    rig.syncs();
    rig.wait_for_deadline();
    let socket = rig.join();
    rig.answer_sync(&socket, &[]);
    assert_eq!((rig.open.len(), rig.status(watch)), (1, "live"));
    let write = rig.act(create("b"));
    let request = rig.request();
    rig.success(&socket, &request, &[row("b", "text of b", 2_000)]);
    assert_eq!((rig.outcomes().pop(), rig.open.len()), (Some((write, "ok".into())), 1));
}

#[test]
fn other_credentials_that_come_while_switched_off_make_another_socket() {
    let (mut rig, old, watch) = Rig::live(&[]);
    let write = rig.act(create("a"));
    let request = rig.request();
    rig.core.set_enabled(rig.now, false);
    rig.core.refresh_credentials(rig.now);
    rig.core.set_enabled(rig.now, true);
    rig.drain();
    assert_eq!((rig.open.len(), rig.open[0].line), (1, old.line), "an action is on its way");
    rig.success(&old, &request, &[row("a", "text of a", 1_000)]);
    assert_eq!(rig.outcomes(), [(write, "ok".into())]);
    assert_ne!(rig.asked().line, old.line);
    assert_eq!((rig.open.len(), rig.shown(watch)), (1, vec!["a".into()]));
}

/// With nobody left in the room it is left, and whoever comes next comes with the new ones.
#[test]
fn other_credentials_where_only_an_action_was_on_its_way() {
    let mut rig = Rig::new();
    rig.act(create("a"));
    let old = rig.join();
    let request = rig.request();
    rig.core.refresh_credentials(rig.now);
    rig.success(&old, &request, &[row("a", "text of a", 1_000)]);
    assert!(rig.open.is_empty() && rig.asks_nothing());
    rig.act(create("b"));
    assert_ne!(rig.asked().line, old.line);
}

#[test]
fn an_error_is_forgotten_with_the_last_room_that_is_not_well() {
    let (mut rig, _, _) = Rig::live(&[]);
    let other = rig.watch(&crate::rig::Todo::in_space("other"));
    let socket = rig.asked();
    rig.closed(&socket);
    assert!(rig.core.connection().last_error.is_some());
    rig.core.unwatch(rig.now, other);
    rig.drain();
    rig.wait(Duration::from_secs(2));
    let state = rig.core.connection();
    assert_eq!((state.status.as_str(), state.last_error), ("live", None));
}

#[test]
fn closed_for_good() {
    let (mut rig, _, watch) = Rig::live(&[]);
    rig.act(create("a"));
    rig.core.close(rig.now);
    rig.drain();
    assert_eq!((rig.status(watch), rig.open.len(), rig.core.deadline()), ("closed", 0, None));
    rig.core.retry_now(rig.now);
    rig.core.set_enabled(rig.now, true);
    rig.drain();
    assert!(rig.asks_nothing());
}

/// Somebody who only acts needs the socket until there is an answer.
#[test]
fn a_room_in_which_nobody_looks() {
    let mut rig = Rig::new();
    let first = rig.act(create("a"));
    let socket = rig.join();
    let request = rig.request();
    rig.wait(Duration::from_secs(5));
    rig.success(&socket, &request, &[row("a", "text of a", 1_000)]);
    assert_eq!(rig.outcomes(), [(first, "ok".into())]);
    assert_eq!((rig.open.len(), rig.wait_for_deadline().as_secs()), (1, 2));
    assert_eq!((rig.open.len(), rig.core.deadline()), (0, None));
    // one that has no answer may stand for a dead line
    let second = rig.act(create("b"));
    rig.join();
    rig.request();
    let third = rig.core.send_action::<crate::rig::Todos>(rig.now, &crate::rig::list(), create("c")).unwrap();
    rig.wait(Duration::from_secs(10));
    assert_eq!(rig.outcomes(), [(second, "outcome_unknown".into()), (third, "outcome_unknown".into())]);
    assert_eq!(rig.open.len(), 1);
}

#[test]
fn a_dead_line_is_found_also_when_nobody_looks() {
    let mut rig = Rig::new();
    rig.act(create("a"));
    rig.join();
    rig.wait(Duration::from_secs(5));
    rig.act(create("b"));
    rig.wait(Duration::from_secs(5));
    assert_eq!((rig.outcomes().len(), rig.syncs()), (1, vec!["todos".into()]));
    rig.wait(Duration::from_secs(5));
    assert_eq!(rig.outcomes().len(), 1);
    let last = rig.act(create("c"));
    rig.wait(Duration::from_secs(5));
    // nothing was heard since that was asked
    assert_eq!((rig.outcomes(), rig.open.len()), (vec![(last, "outcome_unknown".into())], 0));
}
