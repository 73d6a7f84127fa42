//! Clients that do not come back are not kept for ever.

use syncline_core::code;

use crate::rig::{Rig, SPACE, note, notes};

const DAY: u64 = 24 * 60 * 60 * 1_000;

/// Ada, Bob and Carl have each written once; Ada has left.
fn rig() -> Rig {
    let mut rig = Rig::new();
    for (conn, user) in (1..).zip(["ada", "bob", "carl"]) {
        rig.join(conn, user);
        rig.put_note(conn, &format!("client-{user}"), "a", 1);
    }
    rig.disconnect(1);
    rig
}

fn remembered(rig: &Rig) -> Vec<&str> {
    rig.disk[SPACE].clients.keys().map(String::as_str).collect()
}

#[test]
fn who_has_not_written_for_long_and_is_gone_is_forgotten_with_the_next_commit() {
    let mut rig = rig();
    rig.now += 29 * DAY;
    rig.put_note(2, "client-bob", "b", 1);
    assert_eq!(remembered(&rig), ["client-ada", "client-bob", "client-carl"]);
    rig.now += 2 * DAY;
    rig.put_note(2, "client-bob", "c", 1);
    assert_eq!(remembered(&rig), ["client-bob", "client-carl"], "carl is silent, and there");
    rig.put_note(3, "client-carl", "d", 1);
    assert_eq!(rig.verdict(3, "client-carl", 2), Some(Ok(())));
}

#[test]
fn who_was_forgotten_is_told_to_begin_anew() {
    let mut rig = rig();
    rig.now += 31 * DAY;
    rig.put_note(2, "client-bob", "b", 1);
    rig.join(4, "ada");
    rig.put_note(4, "client-ada", "late", 1);
    assert_eq!(rig.page(4).not_handled, [(2, code::WRITE_GAP.to_owned(), 1)]);
    rig.write_as(4, SPACE, "client-ada", 1, vec![note("late", "", 1)]);
    assert_eq!(rig.stored("notes"), ["a", "b", "late"]);
}

#[test]
fn nobody_is_forgotten_by_a_commit_that_fails() {
    let mut rig = rig();
    rig.now += 31 * DAY;
    rig.disk_waits = true;
    rig.put_note(2, "client-bob", "b", 1);
    rig.fail_commit();
    rig.join(4, "ada");
    rig.put_note(4, "client-ada", "late", 1);
    rig.commit();
    assert_eq!(rig.verdict(4, "client-ada", 2), Some(Ok(())));
}

#[test]
fn who_comes_while_they_are_being_forgotten_is_remembered() {
    let mut rig = rig();
    rig.now += 31 * DAY;
    rig.disk_waits = true;
    rig.put_note(2, "client-bob", "b", 1);
    rig.join(4, "ada");
    rig.subscribe(4, 1, notes());
    rig.commit();
    rig.put_note(4, "client-ada", "late", 1);
    rig.commit();
    assert_eq!(rig.verdict(4, "client-ada", 2), Some(Ok(())));
    assert_eq!(remembered(&rig), ["client-ada", "client-bob", "client-carl"]);
}

#[test]
fn many_are_forgotten_a_few_at_a_time() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    for number in 0..1_500 {
        rig.write_as(1, SPACE, &format!("client-{number:04}"), 1, vec![note("a", "", number)]);
    }
    rig.disconnect(1);
    rig.now += 31 * DAY;
    rig.join(2, "bob");
    rig.put_note(2, "client-bob", "b", 1);
    assert_eq!(remembered(&rig).len(), 501);
    rig.put_note(2, "client-bob", "b", 1);
    assert_eq!(remembered(&rig), ["client-bob"]);
}
