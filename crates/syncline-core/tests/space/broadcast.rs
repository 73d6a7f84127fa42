//! One commit, many listeners.

use std::sync::Arc;

use syncline_core::Record as _;
use syncline_core::wire::ServerMessage;

use crate::rig::{Rig, SPACE, note, notes, secret, secrets};
use crate::rules::Note;

#[test]
fn whoever_is_told_the_same_gets_the_same_bytes() {
    let mut rig = Rig::new();
    for conn in 1..=100 {
        rig.join(conn, &format!("user{conn}"));
        rig.subscribe(conn, 1, notes());
    }
    rig.join(101, "ada");
    rig.put_note(101, "client-ada", "a", 1);
    let first = Arc::clone(rig.lines[&1].heard.last().unwrap());
    for conn in 2..=100 {
        assert!(Arc::ptr_eq(&first, rig.lines[&conn].heard.last().unwrap()), "one frame, shared");
    }
}

/// Each has a shape of their own, and most of what there is is for all of them.
#[test]
fn what_everybody_may_see_is_the_same_bytes_where_rights_are_by_row_too() {
    let mut rig = Rig::new();
    for conn in 1..=50 {
        rig.join(conn, &format!("user{conn}:Name"));
        rig.subscribe(conn, 1, secrets());
    }
    rig.write(1, "client-user1", vec![secret("club", "members", "", 1)]);
    let last = |rig: &Rig, conn| Arc::clone(rig.lines[&conn].heard.last().unwrap());
    let second = last(&rig, 2);
    for conn in 3..=50 {
        assert!(Arc::ptr_eq(&second, &last(&rig, conn)), "one frame, shared");
    }
    // and what is for one of them is told to nobody else
    rig.write(3, "client-user3", vec![secret("mine", "user3", "", 2), secret("club2", "members", "", 3)]);
    assert_eq!((rig.page(3).keys(1).len(), rig.page(4).keys(1).len()), (3, 2));
    assert!(Arc::ptr_eq(&last(&rig, 2), &last(&rig, 50)) && !Arc::ptr_eq(&last(&rig, 2), &last(&rig, 3)));
}

#[test]
fn a_row_that_several_subscriptions_have_is_sent_once_a_frame() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.subscribe(1, 2, Note::in_space(SPACE).filter(Note::n.gt(0)));
    rig.subscribe(1, 3, Note::in_space(SPACE).limit(1));
    rig.heard(1);
    rig.put_note(1, "client-ada", "a", 1);
    assert_eq!(rig.heard_text(1).matches(r#""id":"a""#).count(), 1);
    assert!((1..=3).all(|sub| rig.page(1).keys(sub) == ["a"]));
}

#[test]
fn whom_it_does_not_concern_hears_nothing() {
    let mut rig = Rig::new();
    for conn in 1..=3 {
        rig.join(conn, &format!("user{conn}"));
    }
    rig.subscribe(2, 1, Note::in_space(SPACE).filter(Note::n.gt(10)));
    rig.subscribe(3, 1, Note::in_space("elsewhere"));
    (2..=3).for_each(|conn| drop(rig.heard(conn)));
    rig.put_note(1, "client-user1", "a", 1);
    rig.put_note(1, "client-user1", "a", 2);
    assert_eq!(rig.heard_kinds(2), [""; 0]);
    assert_eq!(rig.heard_kinds(3), [""; 0]);
    rig.put_note(1, "client-user1", "a", 11);
    let [ServerMessage::Changes(changes)] = &rig.heard(2)[..] else { panic!() };
    assert_eq!((changes.from, changes.to), (0, 3), "the frame covers what it was not told");
}

#[test]
fn an_author_without_a_subscription_hears_the_verdict_alone() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.heard(1);
    rig.put_note(1, "client-ada", "a", 1);
    let [ServerMessage::Changes(changes)] = &rig.heard(1)[..] else { panic!() };
    assert_eq!((changes.from, changes.to, changes.parts.len(), changes.acks.len()), (1, 1, 0, 1));
}

#[test]
fn a_row_with_line_breaks_between_its_tokens_stays_one_line() {
    let mut rig = Rig::new();
    let stored = rig.disk.entry(SPACE.into()).or_default();
    let pretty = b"{\n  \"id\": \"a\",\r\n  \"text\": \"\",\n  \"n\": 1\n}".to_vec();
    stored.rows.insert(("notes".into(), "a".into()), pretty);
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    assert_eq!(rig.page(1).keys(1), ["a"]);
}

#[test]
fn many_rows_touched_by_one_write_come_in_one_part() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.heard(1);
    rig.write(1, "client-ada", (0..100).map(|n| note(&format!("{n}"), "", n)).collect());
    assert_eq!(rig.heard_kinds(1), ["changes"]);
    assert_eq!(rig.page(1).keys(1).len(), 100);
}
