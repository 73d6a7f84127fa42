//! What became of many writes is told in frames that a connection can carry.

use serde_json::json;
use syncline_core::space::Config;

use crate::rig::{Rig, SPACE, note, notes};

const CLIENTS: usize = 20;
const REFUSED: u64 = 60;

/// Ada has written as many clients over one connection, and nearly all was refused, in many words.
fn refused_a_lot(config: Config) -> Rig {
    let mut rig = Rig::with(config);
    rig.join(1, "ada");
    rig.write(1, "client-ada", (0..30).map(|n| note(&format!("{n:02}"), "", n)).collect());
    for client in 0..CLIENTS {
        for id in 1..=REFUSED {
            let kind = "\u{1}".repeat(500);
            let client = format!("client-{client:03}");
            rig.say(
                1,
                json!({"write": {"space": SPACE, "client": client, "id": id, "kind": kind, "payload": null}}),
            );
        }
    }
    rig
}

/// Loses all that waits for connection 1, and asserts that what comes then fits and tells of every write.
fn lags_and_hears_of_everything(rig: &mut Rig, most: usize) -> Vec<&'static str> {
    rig.heard(1);
    rig.line(1).page.verdicts.clear();
    rig.lag(1);
    rig.catch_up(1);
    let largest = rig.line(1).heard.iter().map(|frame| frame.len()).max().unwrap_or(0);
    assert!(largest <= most, "a frame of {largest} bytes");
    for client in 0..CLIENTS {
        let verdicts = (1..=REFUSED).map(|id| rig.verdict(1, &format!("client-{client:03}"), id));
        assert!(verdicts.into_iter().all(|it| it == Some(Err("bad_write".into()))), "client {client}");
    }
    rig.heard_kinds(1)
}

#[test]
fn behind_a_snapshot_verdicts_follow_in_frames_of_their_own() {
    let config = Config { chunk_bytes: 50_000, ..Config::default() };
    let mut rig = refused_a_lot(config);
    rig.subscribe(1, 1, notes());
    let kinds = lags_and_hears_of_everything(&mut rig, 110_000);
    assert_eq!(kinds[..2], ["reset", "snapshot"]);
    assert!(kinds.len() > 10 && kinds[2..].iter().all(|kind| *kind == "changes"), "{kinds:?}");
    rig.put_note(1, "client-ada", "more", 1);
    assert_eq!(rig.page(1).keys(1).len(), 31, "and it is live");
}

#[test]
fn changes_wait_until_the_verdicts_before_them_are_told() {
    let mut rig = refused_a_lot(Config { chunk_bytes: 50_000, ..Config::default() });
    rig.heard(1);
    rig.stop_reading(1);
    rig.subscribe(1, 1, notes());
    rig.join(2, "bob");
    rig.put_note(2, "client-bob", "more", 1);
    rig.catch_up(1);
    assert_eq!(rig.page(1).keys(1).len(), 31);
}

#[test]
fn who_resumes_gets_the_verdicts_in_such_frames_too() {
    let config = Config { chunk_bytes: 50_000, ..Config::default() };
    let mut rig = refused_a_lot(config);
    rig.subscribe(1, 1, notes());
    let kept = rig.page(1).subs[&1].kept();
    let cursor = kept.cursor;
    rig.heard(1);
    rig.subscribe_again(1, 2, kept, cursor);
    let largest = rig.line(1).heard.iter().map(|frame| frame.len()).max().unwrap();
    assert!(largest <= 110_000, "a frame of {largest} bytes");
    assert_eq!(rig.heard_kinds(1)[..2], ["resume", "changes"]);
}

#[test]
fn without_a_subscription_too() {
    let mut rig = refused_a_lot(Config { chunk_bytes: 50_000, ..Config::default() });
    let kinds = lags_and_hears_of_everything(&mut rig, 60_000);
    assert_eq!(kinds[..2], ["reset", "changes"]);
}
