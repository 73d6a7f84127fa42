//! Writes: each happens once, in order, and its author is told the truth.

use serde_json::json;
use syncline_core::code;
use syncline_core::ops::RowOp;
use syncline_core::space::Config;
use syncline_core::wire::{Limits, ServerMessage};

use crate::rig::{Rig, SPACE, note, notes};
use crate::rules::Note;

#[test]
fn a_write_is_seen_and_acknowledged_only_when_the_disk_has_it() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.subscribe(2, 1, notes());
    rig.disk_waits = true;
    rig.put_note(1, "client-ada", "a", 1);
    assert_eq!(rig.verdict(1, "client-ada", 1), None);
    assert_eq!(rig.page(2).keys(1), [""; 0]);
    rig.subscribe(2, 2, notes());
    assert_eq!(rig.page(2).keys(2), [""; 0], "nor is it in a snapshot");
    rig.commit();
    assert_eq!(rig.verdict(1, "client-ada", 1), Some(Ok(())));
    assert_eq!(rig.page(2).keys(1), ["a"]);
    assert_eq!(rig.page(2).keys(2), ["a"]);
}

#[test]
fn the_counter_is_committed_with_the_data() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.disk_waits = true;
    rig.put_note(1, "client-ada", "a", 1);
    rig.load();
    let commit = &rig.commits[0];
    assert_eq!(commit.rows.len(), 1);
    assert_eq!((commit.clients[0].client.as_str(), commit.clients[0].last), ("client-ada", 1));
    assert_eq!((commit.from, commit.to), (0, 1));
    assert_eq!(commit.log[0].touched, [("notes".to_owned(), "a".to_owned())]);
    assert_eq!((commit.log[0].user.as_str(), &*commit.log[0].kind), ("ada", "rows"));
}

#[test]
fn a_write_that_is_sent_twice_happens_once() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "", 1)]);
    rig.write_as(1, SPACE, "client-ada", 2, vec![RowOp::delete::<Note>("a")]);
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "", 1)]);
    assert_eq!(rig.stored("notes"), [""; 0]);
    assert_eq!(rig.disk[SPACE].version, 2);
    assert_eq!(rig.verdict(1, "client-ada", 1), Some(Ok(())));
}

#[test]
fn a_write_whose_acknowledgement_was_lost_in_a_crash_happens_once() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.disk_waits = true;
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "", 1)]);
    rig.load();
    rig.store();
    rig.crash();
    rig.disk_waits = false;
    rig.join(1, "ada");
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("b", "", 1)]);
    assert_eq!(rig.verdict(1, "client-ada", 1), Some(Ok(())));
    assert_eq!(rig.stored("notes"), ["a"]);
}

#[test]
fn a_write_that_is_sent_again_while_it_is_being_stored_happens_once() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.disk_waits = true;
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "", 1)]);
    rig.disconnect(1);
    rig.join(2, "ada");
    rig.write_as(2, SPACE, "client-ada", 1, vec![note("a", "", 1)]);
    rig.commit();
    assert_eq!(rig.verdict(2, "client-ada", 1), Some(Ok(())));
    assert!(rig.commits.is_empty());
    assert_eq!(rig.disk[SPACE].version, 1);
}

#[test]
fn a_gap_is_refused_and_never_skipped() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "", 1)]);
    rig.write_as(1, SPACE, "client-ada", 3, vec![note("c", "", 1)]);
    assert_eq!(rig.page(1).not_handled, [(3, code::WRITE_GAP.to_owned(), 2)]);
    assert_eq!(rig.stored("notes"), ["a"]);
    rig.write_as(1, SPACE, "client-ada", 2, vec![note("b", "", 1)]);
    rig.write_as(1, SPACE, "client-ada", 3, vec![note("c", "", 1)]);
    assert_eq!(rig.stored("notes"), ["a", "b", "c"]);
}

#[test]
fn a_refused_write_counts_leaves_no_trace_and_is_remembered() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.subscribe(2, 1, notes());
    rig.heard(2);
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "", 1), note("b", "rude", 1)]);
    assert_eq!(rig.verdict(1, "client-ada", 1), Some(Err("rude".into())));
    assert_eq!(rig.stored("notes"), [""; 0], "not even the part before the refusal");
    assert_eq!(rig.heard_kinds(2), [""; 0]);
    let stored = &rig.disk[SPACE];
    assert_eq!((stored.version, stored.clients["client-ada"].last), (0, 1));

    rig.crash();
    rig.join(1, "ada");
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "", 1)]);
    assert_eq!(rig.verdict(1, "client-ada", 1), Some(Err("rude".into())), "asked again, it says the same");
    rig.write_as(1, SPACE, "client-ada", 2, vec![note("a", "", 1)]);
    assert_eq!(rig.stored("notes"), ["a"]);
}

#[test]
fn settled_refusals_are_forgotten() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "rude", 1)]);
    rig.write_as(1, SPACE, "client-ada", 2, vec![note("a", "rude", 1)]);
    let payload = json!({"ops": []});
    rig.say(1, json!({"write": {"space": SPACE, "client": "client-ada", "id": 3, "settled": 1, "kind": "rows", "payload": payload}}));
    let refused: Vec<_> = rig.disk[SPACE].clients["client-ada"].refused.iter().map(|it| it.id).collect();
    assert_eq!(refused, [2]);
}

#[test]
fn as_many_refusals_are_remembered_as_writes_may_be_in_flight() {
    let mut rig = Rig::with(Config {
        limits: Limits { writes_in_flight: 3, ..Limits::default() },
        ..Config::default()
    });
    rig.join(1, "ada");
    (1..=5).for_each(|id| rig.write_as(1, SPACE, "client-ada", id, vec![note("a", "rude", 1)]));
    let refused: Vec<_> = rig.disk[SPACE].clients["client-ada"].refused.iter().map(|it| it.id).collect();
    assert_eq!(refused, [3, 4, 5]);
}

#[test]
fn a_client_id_belongs_to_whoever_used_it_first() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "", 1)]);
    rig.join(2, "bob");
    rig.write_as(2, SPACE, "client-ada", 2, vec![note("b", "", 1)]);
    rig.write_as(2, SPACE, "client-ada", 1, vec![note("b", "", 1)]);
    assert_eq!(rig.verdict(2, "client-ada", 2), Some(Err(code::FOREIGN_CLIENT.into())));
    assert_eq!(rig.verdict(2, "client-ada", 1), Some(Err(code::FOREIGN_CLIENT.into())));
    assert_eq!(rig.stored("notes"), ["a"]);
    assert_eq!(rig.disk[SPACE].clients["client-ada"].last, 1);
}

#[test]
fn writes_that_come_while_the_disk_is_busy_are_committed_together() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.subscribe(2, 1, notes());
    rig.heard(2);
    rig.disk_waits = true;
    for n in 0..10 {
        rig.put_note(1, "client-ada", &format!("{n}"), n);
    }
    assert_eq!(rig.commits[0].log.len(), 1);
    rig.commit();
    let commit = &rig.commits[0];
    assert_eq!((commit.from, commit.to, commit.log.len(), commit.rows.len()), (1, 10, 9, 9));
    rig.commit();
    assert!(rig.commits.is_empty());
    let heard = rig.heard(2);
    let runs: Vec<_> = heard
        .iter()
        .map(|message| match message {
            ServerMessage::Changes(changes) => (changes.from, changes.to),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(runs, [(0, 1), (1, 10)], "one frame for each commit");
}

#[test]
fn writes_of_a_batch_build_on_each_other() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.disk_waits = true;
    rig.put_note(1, "client-ada", "a", 1);
    rig.load();
    let patch = |text: &str| {
        let after = Note { id: "a".into(), text: text.into(), n: 1 };
        vec![RowOp::patch(&Note { text: "?".into(), ..after.clone() }, &after).unwrap().unwrap()]
    };
    rig.write(2, "client-bob", patch("first"));
    rig.write(1, "client-ada", patch("rude"));
    rig.write(2, "client-bob", patch("second"));
    rig.write(1, "client-ada", vec![note("b", "", 2), RowOp::delete::<Note>("b")]);
    rig.commit_all();
    assert_eq!(rig.stored("notes"), ["a"]);
    let row = &rig.disk[SPACE].rows[&("notes".to_owned(), "a".to_owned())];
    assert!(String::from_utf8_lossy(row).contains("second"));
    assert_eq!(rig.verdict(1, "client-ada", 2), Some(Err("rude".into())));
    assert_eq!(rig.disk[SPACE].version, 4);
}

#[test]
fn a_commit_that_fails_changes_nothing_and_the_writes_are_to_be_sent_again() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.disk_waits = true;
    for id in 1..=4 {
        rig.write_as(1, SPACE, "client-ada", id, vec![note(&format!("{id}"), "", 1)]);
    }
    rig.commit();
    rig.write_as(1, SPACE, "client-ada", 5, vec![note("5", "", 1)]);
    rig.fail_commit();
    let storage = |id| (id, code::STORAGE.to_owned(), 2);
    let gap = (5, code::WRITE_GAP.to_owned(), 2);
    assert_eq!(rig.page(1).not_handled, [storage(2), storage(3), storage(4), gap]);
    assert_eq!(rig.page(1).keys(1), ["1"]);
    assert_eq!(rig.disk[SPACE].version, 1);
    rig.disk_waits = false;
    for id in 2..=5 {
        rig.write_as(1, SPACE, "client-ada", id, vec![note(&format!("{id}"), "", 1)]);
    }
    assert_eq!(rig.page(1).keys(1), ["1", "2", "3", "4", "5"]);
}

#[test]
fn a_duplicate_in_a_batch_that_fails_keeps_its_verdict() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "rude", 1)]);
    rig.disconnect(1);
    rig.join(2, "ada");
    rig.disk_waits = true;
    rig.write_as(2, SPACE, "client-ada", 2, vec![note("b", "", 1)]);
    rig.write_as(2, SPACE, "client-ada", 1, vec![note("a", "rude", 1)]);
    rig.write_as(2, SPACE, "client-ada", 3, vec![note("c", "", 1)]);
    rig.commit();
    rig.fail_commit();
    assert_eq!(rig.verdict(2, "client-ada", 1), Some(Err("rude".into())));
    assert_eq!(rig.page(2).not_handled, [(3, code::STORAGE.to_owned(), 3)]);
}

#[test]
fn more_writes_than_may_be_in_flight_are_not_handled_for_now() {
    let mut rig = Rig::with(Config {
        limits: Limits { writes_in_flight: 2, ..Limits::default() },
        ..Config::default()
    });
    rig.join(1, "ada");
    rig.disk_waits = true;
    for id in 1..=3 {
        rig.write_as(1, SPACE, "client-ada", id, vec![note(&format!("{id}"), "", 1)]);
    }
    assert_eq!(rig.page(1).not_handled, [(3, code::TOO_MANY.to_owned(), 3)]);
    rig.load();
    rig.commit_all();
    rig.write_as(1, SPACE, "client-ada", 3, vec![note("3", "", 1)]);
    rig.commit_all();
    assert_eq!(rig.stored("notes"), ["1", "2", "3"]);
}

#[test]
fn writes_that_were_not_handled_are_not_in_flight_any_more() {
    let mut rig = Rig::with(Config {
        limits: Limits { writes_in_flight: 1, ..Limits::default() },
        ..Config::default()
    });
    rig.join(1, "ada");
    rig.disk_waits = true;
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "", 1)]);
    rig.fail_load();
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "", 1)]);
    rig.load();
    rig.fail_commit();
    rig.write_as(1, SPACE, "client-ada", 1, vec![note("a", "", 1)]);
    rig.commit();
    assert_eq!(rig.verdict(1, "client-ada", 1), Some(Ok(())));
}

#[test]
fn a_commit_carries_so_many_bytes_and_the_rest_goes_with_the_next() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.disk_waits = true;
    let long = "x".repeat(900_000);
    for n in 0..8 {
        rig.write(1, "client-ada", vec![note(&format!("{n}"), &long, n)]);
    }
    rig.load();
    assert!(rig.commits[0].log.len() < 8);
    rig.commit_all();
    assert_eq!(rig.disk[SPACE].version, 8);
}

#[test]
fn a_full_queue_of_a_space_takes_nothing_more_for_now() {
    let mut rig = Rig::with(Config { queue_writes: 3, ..Config::default() });
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.disk_waits = true;
    (0..3).for_each(|n| rig.put_note(1, "client-ada", &format!("{n}"), n));
    rig.put_note(2, "client-bob", "b", 1);
    assert_eq!(rig.page(2).not_handled, [(1, code::TOO_MANY.to_owned(), 1)]);
    assert_eq!(rig.engine.gauges().writes_waiting, 3);
}

#[test]
fn the_queue_of_a_space_is_bounded_in_bytes_too_and_empties() {
    let mut rig = Rig::with(Config { queue_bytes: 100, ..Config::default() });
    rig.join(1, "ada");
    rig.disk_waits = true;
    (1..=3).for_each(|id| rig.write_as(1, SPACE, "client-ada", id, vec![note("a", &"x".repeat(100), 1)]));
    assert_eq!(rig.page(1).not_handled.len(), 2);
    rig.load();
    rig.commit_all();
    rig.disk_waits = false;
    (2..=9).for_each(|id| rig.write_as(1, SPACE, "client-ada", id, vec![note("a", &"x".repeat(100), 1)]));
    assert_eq!(rig.disk[SPACE].version, 9);
}

#[test]
fn a_write_to_a_space_that_may_not_be_opened_is_refused_and_its_number_is_free() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.write_as(1, "members", "client-ada", 1, vec![note("a", "", 1)]);
    rig.say(1, json!({"auth": {"token": "ada:Ada"}}));
    let verdict =
        |rig: &Rig| rig.page(1).verdicts[&("members".to_owned(), "client-ada".to_owned(), 1)].clone();
    assert_eq!(verdict(&rig).unwrap_err().code(), "name_required");
    rig.write_as(1, "members", "client-ada", 1, vec![note("a", "", 1)]);
    assert!(verdict(&rig).is_ok());
}

#[test]
fn deleting_what_is_not_there_is_a_write_like_any_other() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.write(1, "client-ada", vec![RowOp::delete::<Note>("a")]);
    assert_eq!(rig.verdict(1, "client-ada", 1), Some(Ok(())));
    assert_eq!(rig.disk[SPACE].version, 1);
    assert!(rig.disk[SPACE].log[0].touched.is_empty());
}

#[test]
fn the_writes_of_somebody_who_left_are_still_done() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.disk_waits = true;
    rig.put_note(1, "client-ada", "a", 1);
    rig.put_note(1, "client-ada", "b", 1);
    rig.disconnect(1);
    rig.load();
    rig.commit_all();
    assert_eq!(rig.stored("notes"), ["a", "b"]);
    assert_eq!(rig.engine.gauges().writes_waiting, 0);
}

#[test]
fn an_author_hears_of_rows_and_verdict_in_one_frame() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.heard(1);
    rig.put_note(1, "client-ada", "a", 1);
    let text = rig.heard_text(1);
    assert_eq!(
        text,
        "{\"changes\":{\"space\":\"list-1\",\"from\":0,\"to\":1,\"parts\":[{\"sub\":1,\"put\":[0]}],\
         \"acks\":[{\"client\":\"client-ada\",\"id\":1}]}}\n{\"id\":\"a\",\"text\":\"\",\"n\":1}\n"
    );
}
