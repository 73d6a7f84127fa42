//! Somebody else writes to the same storage.

use syncline_core::space::Input;
use syncline_core::{Error, Record as _, code};

use crate::rig::{Rig, SPACE, note, notes};
use crate::rules::Note;

impl Rig {
    /// Storage refuses the next commit, because it has another version.
    fn refuse_commit(&mut self) {
        let commit = self.commits.pop_front().expect("a commit");
        let result = Err(Error::new(code::CONFLICT, "somebody else was faster"));
        self.feed(Input::Committed { space: commit.space, commit: commit.id, result });
    }
}

/// Ada and Bob watch one row and another space; Bob writes, and does not know what somebody else has written.
fn overtaken() -> Rig {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.put_note(1, "client-ada", "a", 1);
    rig.subscribe(1, 1, notes());
    rig.subscribe(2, 1, notes());
    rig.subscribe(2, 2, Note::in_space("room"));
    rig.disk_waits = true;
    rig.put_note(2, "client-bob", "b", 1);
    rig.put_note(2, "client-bob", "c", 1);
    let stored = rig.disk.get_mut(SPACE).unwrap();
    stored.version += 1;
    stored.rows.insert(("notes".into(), "z".into()), br#"{"id":"z","text":"","n":9}"#.to_vec());
    (1..=2).for_each(|conn| drop(rig.heard(conn)));
    rig
}

#[test]
fn everybody_is_given_what_storage_has() {
    let mut rig = overtaken();
    rig.refuse_commit();
    assert_eq!(rig.heard_kinds(2), ["changes", "reset", "snapshot"], "the other space is as it was");
    assert_eq!(rig.page(2).not_handled, [(1, code::STORAGE.to_owned(), 1)]);
    rig.load();
    assert_eq!(rig.heard_kinds(1), ["reset", "snapshot"]);
    // the second write waited, and the first is missing now
    assert_eq!(rig.page(2).not_handled[1..], [(2, code::WRITE_GAP.to_owned(), 1)]);
    for id in 1..=2 {
        rig.write_as(2, SPACE, "client-bob", id, vec![note(["b", "c"][id as usize - 1], "", 1)]);
    }
    rig.commit_all();
    assert_eq!(
        (rig.page(1).keys(1), rig.page(2).keys(1)),
        (vec!["a", "b", "c", "z"], vec!["a", "b", "c", "z"])
    );
    assert_eq!(rig.verdict(2, "client-bob", 2), Some(Ok(())));
}

#[test]
fn a_space_that_nobody_uses_is_only_let_go_of() {
    let mut rig = overtaken();
    (1..=2).for_each(|conn| rig.disconnect(conn));
    rig.refuse_commit();
    // what waited is still handled
    rig.load();
    rig.commit_all();
    rig.wait(60_000);
    assert_eq!(rig.engine.gauges().spaces, 0);
}

#[test]
fn a_storage_with_less_than_was_told_begins_a_new_history() {
    let mut rig = overtaken();
    let before = rig.page(1).subs[&1].cursor.unwrap().incarnation;
    let stored = rig.disk.get_mut(SPACE).unwrap();
    (stored.version, stored.rows) = (0, Default::default());
    rig.refuse_commit();
    rig.load();
    rig.commit_all();
    let cursor = rig.page(1).subs[&1].cursor.unwrap();
    assert_ne!(cursor.incarnation, before);
    assert_eq!(rig.disk[SPACE].incarnation, Some(cursor.incarnation));
    assert_eq!(rig.page(1).keys(1), [""; 0]);
}
