//! Somebody leaves and somebody else comes: a socket is whoever the browser's cookie says, and nothing on it says so.

use std::time::Duration;

use crate::rig::{Rig, create, row};

/// Nobody can be reached, and an action waits.
fn waiting() -> (Rig, syncline_core::client::WatchId, syncline_core::client::WriteRef) {
    let (mut rig, socket, watch) = Rig::live(&[row("old", "one", 1_000)]);
    rig.closed(&socket);
    let write = rig.act(create("a1"));
    assert_eq!((rig.shown(watch), rig.core.connection().pending), (vec!["a1?".into(), "old".into()], 1));
    (rig, watch, write)
}

#[test]
fn what_waits_does_not_go_out_on_the_socket_of_who_comes_after_a_parting() {
    for wipe in [true, false] {
        let (mut rig, watch, write) = waiting();
        rig.core.pause_storing(rig.now, wipe);
        assert_eq!(rig.outcomes(), [(write, "foreign_client".into())], "wipe: {wipe}");
        assert_eq!((rig.shown(watch), rig.core.connection().pending), (vec!["old".into()], 0));
        rig.core.refresh_credentials(rig.now);
        rig.drain();
        assert_eq!(rig.open.len(), 1);
        let socket = rig.open[0].clone();
        rig.opened(&socket);
        rig.answer_sync(&socket, &[]);
        assert_eq!((rig.actions(), rig.shown(watch)), (vec![], Vec::<String>::new()));
    }
}

#[test]
fn what_waits_does_not_go_out_on_the_socket_of_another_person() {
    let (mut rig, watch, write) = waiting();
    rig.core.set_identity(rig.now, Some("bob".into()));
    assert_eq!(rig.outcomes(), [(write, "foreign_client".into())]);
    assert!(rig.shown(watch).is_empty(), "nothing of the person before is seen");
    let socket = rig.open.last().cloned().unwrap();
    rig.opened(&socket);
    rig.answer_sync(&socket, &[row("new", "two", 1_000)]);
    assert_eq!((rig.actions(), rig.shown(watch)), (vec![], vec!["new".into()]));
    // who it is already need not come again
    let write = rig.act(create("b1"));
    let request = rig.request();
    rig.core.set_identity(rig.now, Some("bob".into()));
    rig.drain();
    assert!(rig.open.iter().any(|open| open.line == socket.line));
    rig.success(&socket, &request, &[row("b1", "text of b1", 2_000)]);
    assert_eq!(rig.outcomes(), [(write, "ok".into())]);
}

#[test]
fn the_lines_of_who_leaves_are_left_and_what_was_on_its_way_may_have_been_done() {
    for wipe in [true, false] {
        let (mut rig, socket, watch) = Rig::live(&[row("old", "one", 1_000)]);
        let sent = rig.act(create("a1"));
        rig.request();
        rig.core.pause_storing(rig.now, wipe);
        assert_eq!(rig.outcomes(), [(sent, "outcome_unknown".into())]);
        assert!(rig.open.iter().all(|open| open.line != socket.line), "it is theirs");
        // what is said on it counts no more
        rig.update(&socket, &[row("late", "x", 2_000)]);
        assert_eq!(rig.shown(watch), ["old"]);
    }
    let (mut rig, socket, watch) = Rig::live(&[row("old", "one", 1_000)]);
    rig.core.set_identity(rig.now, None);
    rig.drain();
    assert!(rig.open.iter().any(|open| open.line == socket.line), "nobody was nobody before");
    rig.core.set_identity(rig.now, Some("ada".into()));
    rig.drain();
    assert!(rig.open.iter().all(|open| open.line != socket.line));
    assert!(rig.shown(watch).is_empty());
}

#[test]
fn a_room_that_is_switched_off_keeps_nothing_of_who_leaves() {
    let (mut rig, _, watch) = Rig::live(&[]);
    rig.core.set_enabled(rig.now, false);
    let write = rig.act(create("a1"));
    rig.core.set_identity(rig.now, Some("bob".into()));
    assert_eq!(rig.outcomes(), [(write, "foreign_client".into())]);
    rig.core.set_enabled(rig.now, true);
    rig.drain();
    let socket = rig.open.last().cloned().unwrap();
    rig.opened(&socket);
    rig.answer_sync(&socket, &[]);
    rig.wait(Duration::from_secs(1));
    assert_eq!((rig.actions(), rig.shown(watch)), (vec![], Vec::<String>::new()));
}
