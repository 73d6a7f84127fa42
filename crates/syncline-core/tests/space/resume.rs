//! Coming back with a cursor: only what was missed is sent, when that can be told.

use syncline_core::ops::RowOp;
use syncline_core::space::Config;
use syncline_core::wire::{Frame, ServerMessage};
use syncline_core::{Cursor, Incarnation, QuerySpec, Record as _};

use crate::page::Sub;
use crate::rig::{Rig, SPACE, note, notes, secret, secrets};
use crate::rules::Note;

/// Ada has watched `spec` and is away; Bob is there.
fn away(spec: QuerySpec, config: Config) -> (Rig, Sub) {
    let mut rig = Rig::with(config);
    rig.join(2, "bob");
    rig.write(2, "client-bob", (0..5).map(|n| note(&format!("{n}"), "", n)).collect());
    rig.join(1, "ada");
    rig.subscribe_spec(1, 1, spec, None);
    let sub = rig.line(1).page.subs.remove(&1).unwrap();
    rig.disconnect(1);
    (rig, sub)
}

/// Ada comes back with the rows she had.
fn back(rig: &mut Rig, sub: &Sub, cursor: Option<Cursor>) -> Vec<&'static str> {
    rig.join(1, "ada");
    rig.heard(1);
    rig.subscribe_again(1, 7, sub.kept(), cursor);
    rig.heard_kinds(1)
}

#[test]
fn who_comes_back_is_told_what_was_missed() {
    let (mut rig, sub) = away(notes().spec().clone(), Config::default());
    rig.write(2, "client-bob", vec![note("5", "", 5), note("1", "new", 1), RowOp::delete::<Note>("0")]);
    rig.write(2, "client-bob", vec![RowOp::delete::<Note>("5"), note("6", "", 6)]);
    rig.join(1, "ada");
    rig.heard(1);
    rig.subscribe_again(1, 7, sub.kept(), sub.cursor);
    let [ServerMessage::Resume(resume)] = &rig.heard(1)[..] else { panic!() };
    assert_eq!((resume.cursor.version, resume.del.len()), (3, 2));
    assert!(resume.writes.is_empty(), "she has written nothing");
    assert_eq!(rig.page(1).keys(7), ["1", "2", "3", "4", "6"]);
    rig.write(2, "client-bob", vec![note("7", "", 7)]);
    assert_eq!(rig.page(1).keys(7), ["1", "2", "3", "4", "6", "7"], "and hears of what follows");
}

#[test]
fn a_row_that_no_longer_matches_is_told_as_gone() {
    let (mut rig, sub) = away(notes().filter(Note::n.lt(3)).spec().clone(), Config::default());
    rig.write(2, "client-bob", vec![note("0", "", 30), note("9", "", 90)]);
    rig.join(1, "ada");
    rig.subscribe_again(1, 7, sub.kept(), sub.cursor);
    assert_eq!(rig.page(1).keys(7), ["1", "2"]);
}

#[test]
fn a_restart_in_between_makes_no_difference() {
    let (mut rig, sub) = away(notes().spec().clone(), Config::default());
    rig.write(2, "client-bob", vec![note("5", "", 5)]);
    rig.crash();
    assert_eq!(back(&mut rig, &sub, sub.cursor), ["resume"]);
}

#[test]
fn a_space_that_nobody_wrote_to_resumes_to_nothing_new() {
    let (mut rig, sub) = away(notes().spec().clone(), Config::default());
    assert_eq!(back(&mut rig, &sub, sub.cursor), ["resume"]);
}

#[test]
fn the_log_is_kept_for_so_many_versions_and_no_more() {
    for (missed, kinds) in [(4, ["resume"]), (5, ["snapshot"])] {
        let config = Config { log_retention: 4, ..Config::default() };
        let (mut rig, sub) = away(notes().spec().clone(), config);
        for n in 0..missed {
            rig.write(2, "client-bob", vec![note("x", "", n)]);
        }
        assert_eq!(back(&mut rig, &sub, sub.cursor), kinds);
        assert!(rig.disk[SPACE].log.len() <= 4, "storage was told what it may forget");
    }
}

#[test]
fn large_writes_are_kept_for_fewer_versions() {
    for (missed, kinds) in [(4, ["resume"]), (5, ["snapshot"])] {
        let config = Config { log_keys: 40, ..Config::default() };
        let (mut rig, sub) = away(notes().spec().clone(), config);
        for n in 0..missed {
            rig.write(2, "client-bob", (0..10).map(|id| note(&format!("x{id}"), "", n)).collect());
        }
        assert_eq!(rig.disk[SPACE].log.len(), 4, "storage was told what it may forget");
        assert_eq!(back(&mut rig, &sub, sub.cursor), kinds);
        rig.disconnect(1);
        rig.crash();
        rig.join(2, "bob");
        assert_eq!(back(&mut rig, &sub, sub.cursor), kinds, "after a restart as before");
    }
}

#[test]
fn a_log_with_a_gap_is_good_for_what_follows_the_gap() {
    for (gap, kinds) in [(2, ["resume"]), (3, ["snapshot"])] {
        let (mut rig, sub) = away(notes().spec().clone(), Config::default());
        for n in 0..3 {
            rig.write(2, "client-bob", vec![note("x", "", n)]);
        }
        let stored = rig.disk.get_mut(SPACE).unwrap();
        stored.log.retain(|entry| entry.version != gap);
        rig.crash();
        let cursor = Cursor { version: 2, ..sub.cursor.unwrap() };
        assert_eq!(back(&mut rig, &sub, Some(cursor)), kinds);
    }
}

#[test]
fn a_cursor_of_another_history_is_answered_with_all_rows() {
    let (mut rig, sub) = away(notes().spec().clone(), Config::default());
    let good = sub.cursor.unwrap();
    let wrong = [
        Cursor { incarnation: Incarnation(good.incarnation.0 ^ 1), ..good },
        Cursor { schema: good.schema + 1, ..good },
        Cursor { epoch: good.epoch + 1, ..good },
        Cursor { version: good.version + 1, ..good },
    ];
    for cursor in wrong {
        assert_eq!(back(&mut rig, &sub, Some(cursor)), ["snapshot"]);
        rig.disconnect(1);
    }
}

#[test]
fn a_query_with_a_limit_is_answered_with_all_rows() {
    let (mut rig, sub) = away(Note::in_space(SPACE).limit(3).spec().clone(), Config::default());
    assert_eq!(back(&mut rig, &sub, sub.cursor), ["snapshot"]);
}

#[test]
fn rows_that_are_not_for_everybody_are_sent_anew() {
    let (mut rig, sub) = away(secrets().spec().clone(), Config::default());
    rig.write(2, "client-bob", vec![secret("s", "bob", "", 1)]);
    assert_eq!(back(&mut rig, &sub, sub.cursor), ["snapshot"]);
}

#[test]
fn more_than_a_chunk_of_news_comes_in_chunks() {
    let config = Config { chunk_bytes: 1_000, ..Config::default() };
    let (mut rig, sub) = away(notes().spec().clone(), config);
    let long = "x".repeat(300);
    rig.write(2, "client-bob", (3..15).map(|n| note(&format!("{n}"), &long, n)).collect());
    rig.write(2, "client-bob", vec![RowOp::delete::<Note>("0"), note("huge", &"y".repeat(2_000), 5)]);
    rig.join(1, "ada");
    rig.heard(1);
    rig.subscribe_again(1, 7, sub.kept(), sub.cursor);
    let heard = std::mem::take(&mut rig.line(1).heard);
    let chunks: Vec<(u32, bool, usize)> = heard
        .iter()
        .map(|frame| match Frame::parse(frame).unwrap().message {
            ServerMessage::Resume(resume) => (resume.chunk, resume.last, frame.len()),
            other => panic!("{other:?}"),
        })
        .collect();
    let last = chunks.len() - 1;
    assert!(last > 3, "{chunks:?}");
    assert!(chunks.iter().enumerate().all(|(n, chunk)| (chunk.0, chunk.1) == (n as u32, n == last)));
    assert_eq!(
        chunks.iter().filter(|chunk| chunk.2 > 1_300).count(),
        1,
        "the row that fits nowhere: {chunks:?}"
    );
    let keys = rig.page(1).keys(7);
    assert_eq!((keys.len(), keys.contains(&"0")), (15, false));
    rig.write(2, "client-bob", vec![note("after", "", 7)]);
    assert_eq!(rig.page(1).keys(7).len(), 16, "and hears of what follows");
}

/// 300 rows, and 20 long ones behind them; then the 300 go. Ada has watched all of them, and a window.
fn many_that_go(long: usize) -> (Rig, Sub, Sub) {
    let mut rig = Rig::with(Config { chunk_bytes: 1_000, ..Config::default() });
    rig.join(2, "bob");
    let key = |n: i64| format!("a key of some length {n}");
    rig.write(2, "client-bob", (0..300).map(|n| note(&key(n), "", n)).collect());
    let long = "x".repeat(long);
    rig.write(2, "client-bob", (300..320).map(|n| note(&key(n), &long, n)).collect());
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    rig.subscribe(1, 2, notes().limit(310));
    let (all, window) =
        (rig.line(1).page.subs.remove(&1).unwrap(), rig.line(1).page.subs.remove(&2).unwrap());
    rig.disconnect(1);
    rig.write(2, "client-bob", (0..300).map(|n| RowOp::delete::<Note>(&key(n))).collect());
    rig.join(1, "ada");
    rig.heard(1);
    (rig, all, window)
}

#[test]
fn many_keys_to_let_go_come_in_chunks_too() {
    let (mut rig, all, window) = many_that_go(2_000);
    rig.subscribe_again(1, 7, all.kept(), all.cursor);
    let kinds = rig.heard_kinds(1);
    assert!(kinds.len() > 5 && kinds.iter().all(|kind| *kind == "resume"), "{kinds:?}");
    rig.subscribe_holding(1, 8, window.kept(), window.cursor);
    let kinds = rig.heard_kinds(1);
    assert!(kinds.len() > 1 && kinds.iter().all(|kind| *kind == "resume"), "{kinds:?}");
    assert_eq!((rig.page(1).keys(7).len(), rig.page(1).keys(8).len()), (20, 20));
}

#[test]
fn where_all_rows_are_less_than_what_was_missed_all_rows_come() {
    let (mut rig, all, window) = many_that_go(0);
    rig.subscribe_again(1, 7, all.kept(), all.cursor);
    let kinds = rig.heard_kinds(1);
    assert!(kinds.iter().all(|kind| *kind == "snapshot"), "{kinds:?}");
    assert_eq!(rig.page(1).keys(7).len(), 20);
    rig.subscribe_holding(1, 8, window.kept(), window.cursor);
    assert_eq!((rig.heard_kinds(1)[0], rig.page(1).keys(8).len()), ("snapshot", 20));
}

#[test]
fn who_writes_while_it_comes_in_chunks_is_told_behind_it() {
    let config = Config { chunk_bytes: 1_000, ..Config::default() };
    let (mut rig, sub) = away(notes().spec().clone(), config);
    let long = "x".repeat(900);
    rig.write(2, "client-bob", (0..5).map(|n| note(&format!("{n}"), &long, n)).collect());
    rig.join(1, "ada");
    rig.heard(1);
    rig.stop_reading(1);
    rig.subscribe_again(1, 7, sub.kept(), sub.cursor);
    rig.write(2, "client-bob", vec![note("0", "while", 0)]);
    rig.read_on(1);
    let kinds = rig.heard_kinds(1);
    assert_eq!(kinds.last(), Some(&"changes"), "{kinds:?}");
    assert_eq!(rig.page(1).subs[&7].rows["0"]["text"], "while");
}

#[test]
fn coming_back_to_10_000_rows_after_one_change_costs_less_than_a_kilobyte() {
    for limit in [None, Some(100)] {
        let mut rig = Rig::with(Config::default());
        rig.join(2, "bob");
        for thousand in 0..10 {
            let notes =
                (0..1_000).map(|n| note(&format!("01J{:023}", thousand * 1_000 + n), "", n)).collect();
            rig.write(2, "client-bob", notes);
        }
        rig.join(1, "ada");
        let query = limit.map_or_else(notes, |limit| notes().limit(limit));
        rig.subscribe(1, 1, query);
        let sub = rig.line(1).page.subs.remove(&1).unwrap();
        rig.disconnect(1);
        let text = "a text as long as forty characters go on";
        rig.write(2, "client-bob", vec![note("01J00000000000000000000000", text, 0)]);
        rig.join(1, "ada");
        match limit {
            None => rig.subscribe_again(1, 7, sub.kept(), sub.cursor),
            Some(_) => rig.subscribe_holding(1, 7, sub.kept(), sub.cursor),
        }
        let heard = std::mem::take(&mut rig.line(1).heard);
        let bytes: usize = heard.iter().map(|frame| frame.len()).sum();
        assert_eq!(rig.page(1).subs[&7].rows["01J00000000000000000000000"]["text"], text);
        assert!(bytes < 1_000, "{bytes} bytes, welcome included");
    }
}
