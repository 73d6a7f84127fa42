//! Rows that are not for everybody: their bytes reach nobody else.

use serde_json::json;
use syncline_core::ops::RowOp;
use syncline_core::space::Config;
use syncline_core::{Record as _, code};

use crate::rig::{Rig, SPACE, note, notes, secret, secrets};
use crate::rules::{Note, Rules, Secret};

const WORD: &str = "xyzzy";

/// Ada and Bob, both watching the secrets and the notes.
fn rig() -> Rig {
    let mut rig = Rig::new();
    for (conn, name) in [(1, "ada"), (2, "bob")] {
        rig.join(conn, name);
        rig.subscribe(conn, 1, secrets());
        rig.subscribe(conn, 2, notes());
    }
    rig
}

#[test]
fn a_private_row_reaches_its_owner_alone() {
    let mut rig = rig();
    rig.write(1, "client-ada", vec![secret(WORD, "ada", WORD, 1), note("a", "", 1)]);
    rig.write(1, "client-ada", vec![secret(WORD, "ada", "more xyzzy", 2)]);
    assert_eq!(rig.page(1).keys(1), [WORD]);
    rig.subscribe(2, 3, secrets().limit(5));
    rig.write(1, "client-ada", vec![RowOp::delete::<Secret>(WORD)]);
    assert_eq!(rig.page(1).keys(1), [""; 0]);
    assert_eq!(rig.page(2).keys(2), ["a"]);
    assert!(!rig.heard_text(2).contains(WORD));
}

#[test]
fn a_row_that_is_given_away_leaves_one_and_comes_to_the_other() {
    let mut rig = rig();
    rig.write(1, "client-ada", vec![secret("s", "ada", WORD, 1)]);
    rig.join(3, "root");
    let stored = rig.disk[SPACE].clone();
    assert_eq!(stored.rows.len(), 1);
    // by somebody who sees both: a name opens what is for members
    rig.say(1, json!({"auth": {"token": "ada:Ada"}}));
    rig.say(2, json!({"auth": {"token": "bob:Bob"}}));
    rig.write(1, "client-ada", vec![secret("s", "members", "for all of us", 1)]);
    assert_eq!(rig.page(1).keys(1), ["s"]);
    assert_eq!(rig.page(2).keys(1), ["s"]);
    rig.write(2, "client-bob", vec![secret("s", "bob", "mine now", 1)]);
    assert_eq!(rig.page(1).keys(1), [""; 0]);
    assert_eq!(rig.page(2).keys(1), ["s"]);
    assert!(!rig.heard_text(1).contains("mine now"));
    assert!(!rig.heard_text(2).contains(WORD));
}

#[test]
fn nobody_writes_over_what_they_may_not_see() {
    let mut rig = rig();
    rig.write(1, "client-ada", vec![secret("s", "ada", WORD, 1)]);
    let after = Secret { id: "s".into(), owner: "bob".into(), text: "mine".into(), n: 2 };
    let patch = RowOp::patch(&Secret { n: 1, ..after.clone() }, &after).unwrap().unwrap();
    for op in [secret("s", "bob", "mine", 1), patch, RowOp::delete::<Secret>("s")] {
        let id = rig.write(2, "client-bob", vec![op]);
        assert_eq!(rig.verdict(2, "client-bob", id), Some(Err(code::FORBIDDEN.into())));
    }
    assert!(!rig.heard_text(2).contains(WORD));
    assert_eq!(rig.page(1).subs[&1].rows["s"]["text"], WORD);
}

#[test]
fn the_log_tells_nobody_who_comes_back_of_keys_that_are_not_theirs() {
    let mut rig = rig();
    let cursor = rig.page(2).subs[&1].cursor;
    rig.write(1, "client-ada", vec![secret(WORD, "ada", "", 1)]);
    rig.write(1, "client-ada", vec![RowOp::delete::<Secret>(WORD)]);
    rig.disconnect(2);
    rig.join(4, "bob");
    rig.subscribe_spec(4, 1, secrets().spec().clone(), cursor);
    assert_eq!(rig.heard_kinds(4), ["welcome", "snapshot"]);
    assert!(!rig.heard_text(4).contains(WORD));
}

#[test]
fn what_became_of_somebody_elses_writes_is_not_told() {
    let mut rig = rig();
    rig.write(1, "client-ada", vec![note("a", "rude", 1)]);
    rig.connect(5);
    rig.say(5, json!({"hello": {"protocol": 1, "client": "client-ada", "token": "eve"}}));
    rig.subscribe(5, 1, notes());
    let text = rig.heard_text(5);
    assert!(text.contains("snapshot") && !text.contains("rude") && !text.contains("client-ada"), "{text}");
}

#[test]
fn a_stored_row_that_cannot_be_read_is_shown_to_nobody() {
    let mut rig = Rig::new();
    let stored = rig.disk.entry(SPACE.into()).or_default();
    let json = json!({"id": "s", "owner": "ada", "text": WORD, "n": WORD}).to_string().into_bytes();
    stored.rows.insert(("secrets".into(), "s".into()), json);
    stored
        .rows
        .insert(("secrets".into(), "t".into()), br#"{"id":"u","owner":"ada","text":"","n":1}"#.to_vec());
    stored.rows.insert(("attic".into(), "old".into()), b"{}".to_vec());
    rig.join(1, "ada");
    rig.subscribe(1, 1, secrets());
    assert_eq!(rig.page(1).keys(1), [""; 0]);
    assert_eq!(rig.unreadable, ["old", "s", "t"]);
    rig.write(1, "client-ada", vec![secret("x", "ada", "", 1)]);
    assert_eq!(rig.disk[SPACE].rows.len(), 4, "it stays where it is");
}

#[test]
fn a_stored_row_that_cannot_be_read_is_not_written_over() {
    let mut rig = Rig::new();
    let place = ("secrets".to_owned(), "s".to_owned());
    rig.disk.entry(SPACE.into()).or_default().rows.insert(place.clone(), b"{\"id\":\"s\"}".to_vec());
    rig.join(1, "ada");
    rig.subscribe(1, 1, secrets());
    rig.write(1, "client-ada", vec![secret("s", "ada", "new", 1)]);
    rig.write(1, "client-ada", vec![secret("x", "ada", "", 1), RowOp::delete::<Secret>("s")]);
    for id in 1..=2 {
        assert_eq!(rig.verdict(1, "client-ada", id), Some(Err(code::UNREADABLE_ROW.into())));
    }
    assert_eq!(rig.disk[SPACE].rows[&place], b"{\"id\":\"s\"}");
    rig.write(1, "client-ada", vec![secret("x", "ada", "", 1)]);
    assert_eq!(rig.page(1).keys(1), ["x"]);
}

#[test]
fn a_change_of_name_changes_what_is_seen_at_once() {
    let mut rig = rig();
    rig.join(3, "cem:Cem");
    rig.write(3, "client-cem", vec![secret("club", "members", WORD, 1)]);
    assert_eq!(rig.page(2).keys(1), [""; 0]);
    rig.say(2, json!({"auth": {"token": "bob:Bob"}}));
    assert_eq!(rig.page(2).keys(1), ["club"]);
    rig.say(2, json!({"auth": {"token": "bob"}}));
    assert_eq!(rig.page(2).keys(1), [""; 0]);
    rig.heard(2);
    rig.write(3, "client-cem", vec![secret("club", "members", "xyzzy again", 1)]);
    assert!(!rig.heard_text(2).contains(WORD));
}

#[test]
fn the_same_person_with_and_without_a_name_is_not_shown_the_same() {
    let mut rig = rig();
    rig.join(4, "bob:Bob");
    rig.subscribe(4, 1, secrets());
    rig.join(3, "cem:Cem");
    rig.write(3, "client-cem", vec![secret("club", "members", WORD, 1)]);
    assert_eq!(rig.page(4).keys(1), ["club"]);
    assert!(!rig.heard_text(2).contains(WORD));
}

#[test]
fn a_snapshot_on_its_way_ends_when_the_right_to_see_it_does() {
    let mut rig = Rig::with(Config { chunk_bytes: 100, ..Config::default() });
    rig.join(3, "cem:Cem");
    rig.write(3, "client-cem", (0..20).map(|n| secret(&format!("{n}"), "members", WORD, n)).collect());
    rig.join(2, "bob:Bob");
    rig.stop_reading(2);
    rig.subscribe(2, 1, secrets());
    rig.say(2, json!({"auth": {"token": "bob"}}));
    rig.read_on(2);
    let text = rig.heard_text(2);
    let (before, after) = text.split_at(text.rfind(r#"{"welcome""#).unwrap());
    assert!(before.contains(WORD));
    assert!(!after.contains(WORD));
    assert_eq!(rig.page(2).keys(1), [""; 0]);
}

#[test]
fn what_the_application_knows_of_rights_counts_at_once_on_every_connection() {
    let mut rig = Rig::new();
    for conn in [1, 2] {
        rig.join(conn, "ada:Ada");
        rig.subscribe(conn, 1, secrets());
        rig.subscribe(conn, 2, Note::in_space("guests"));
    }
    rig.join(3, "bob:Bob");
    rig.subscribe(3, 1, secrets());
    rig.write(3, "client-bob", vec![secret("club", "members", WORD, 1)]);
    rig.write(1, "client-ada", vec![secret("own", "ada", "", 2)]);
    rig.heard(3);

    Rules::ban("ada", true);
    rig.rights_changed("ada");
    for conn in [1, 2] {
        assert_eq!(rig.page(conn).keys(1), ["own"]);
        assert_eq!(rig.page(conn).failed[&2].code(), code::FORBIDDEN);
        // what came before the change is not looked at again
        rig.heard(conn);
    }
    assert!(rig.heard(3).is_empty(), "nobody else notices");
    rig.write(3, "client-bob", vec![secret("club", "members", "more xyzzy", 1)]);
    assert!(!rig.heard_text(1).contains(WORD));

    Rules::ban("ada", false);
    rig.rights_changed("ada");
    assert_eq!(rig.page(1).keys(1), ["club", "own"]);
    assert_eq!(rig.page(2).keys(1), ["club", "own"]);
}
