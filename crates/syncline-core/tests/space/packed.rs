//! Snapshots and resumes in their compact form, for those who read it.

use serde_json::json;
use syncline_core::space::Config;
use syncline_core::wire::{EncodedRow, Frame, ServerMessage};

use crate::rig::{Rig, note, notes};
use crate::rules::Note;

fn join(rig: &mut Rig, conn: u64, user: &str, link: Option<&str>, encodings: &[&str]) {
    rig.connect_by(conn, link);
    let client = format!("client-{user}");
    rig.say(conn, json!({"hello": {"protocol": 1, "client": client, "token": user, "encodings": encodings}}));
}

/// The answer that a connection was sent: how many chunks, how many bytes, and how many of the rows are packed.
fn answer(rig: &mut Rig, conn: u64) -> (usize, usize, usize) {
    let heard = std::mem::take(&mut rig.line(conn).heard);
    let (mut chunks, mut bytes, mut packed) = (0, 0, 0);
    for frame in &heard {
        let frame_of = Frame::parse(frame).unwrap();
        if let ServerMessage::Snapshot(_) | ServerMessage::Resume(_) = frame_of.message {
            let rows = frame_of.encoded_rows().unwrap();
            (chunks, bytes) = (chunks + 1, bytes + frame.len());
            packed += rows.iter().filter(|row| matches!(row, EncodedRow::Packed(_))).count();
        }
    }
    (chunks, bytes, packed)
}

#[test]
fn rows_are_packed_for_those_who_read_it() {
    let mut rig = Rig::with(Config { chunk_bytes: 1_000, ..Config::default() });
    join(&mut rig, 1, "ada", None, &["packed", "json-bytes", "json"]);
    join(&mut rig, 2, "bob", None, &["json-bytes"]);
    // an event stream is text
    join(&mut rig, 3, "eve", Some("link"), &["packed"]);
    let text = "a text of some length, as people write them";
    rig.write(1, "client-ada", (0..100).map(|n| note(&format!("n{n:03}"), text, n)).collect());
    for conn in 1..=3 {
        rig.heard(conn);
        rig.subscribe(conn, 1, notes().include(Note::text.children().counted()));
    }
    let (mut plain, mut packed) = ((0, 0, 0), (0, 0, 0));
    for conn in 1..=3 {
        assert_eq!(rig.page(conn).subs[&1].rows, rig.page(2).subs[&1].rows, "all read the same");
        let seen = answer(&mut rig, conn);
        if conn == 1 { packed = seen } else { plain = seen }
    }
    assert_eq!((packed.2, plain.2), (100, 0));
    assert!(packed.1 * 10 < plain.1 * 8 && packed.0 < plain.0, "{packed:?} {plain:?}");
    // what changes is the same for everybody, and JSON
    rig.put_note(2, "client-bob", "new", 7);
    let heard: Vec<_> = (1..=2).map(|conn| std::mem::take(&mut rig.line(conn).heard)).collect();
    assert!(heard.iter().all(|frames| frames.iter().any(|frame| frame.ends_with(br#""n":7}"#))));
}

#[test]
fn what_was_missed_is_packed_too_but_for_one_row() {
    let mut rig = Rig::with(Config { chunk_bytes: 1_000, ..Config::default() });
    rig.join(2, "bob");
    rig.write(2, "client-bob", (0..100).map(|n| note(&format!("n{n:03}"), "", n)).collect());
    for (changed, encoding, packed) in [(40, "packed", 40), (1, "packed", 0), (40, "json-bytes", 0)] {
        join(&mut rig, 1, "ada", None, &["packed"]);
        rig.subscribe(1, 1, notes());
        let sub = rig.line(1).page.subs.remove(&1).unwrap();
        rig.disconnect(1);
        rig.write(2, "client-bob", (0..changed).map(|n| note(&format!("n{n:03}"), encoding, n)).collect());
        join(&mut rig, 1, "ada", None, &[encoding]);
        rig.heard(1);
        let held = sub.kept();
        rig.subscribe_holding(1, 7, held, sub.cursor);
        assert_eq!(answer(&mut rig, 1).2, packed, "{encoding}");
        rig.join(3, "eve");
        rig.subscribe(3, 1, notes());
        let all = rig.page(3).subs[&1].rows.clone();
        assert_eq!((rig.page(1).subs[&7].rows.clone(), all.len()), (all, 100), "{encoding}");
        rig.disconnect(1);
        rig.disconnect(3);
    }
}
