//! Queries with a limit.

use syncline_core::Record as _;
use syncline_core::ops::RowOp;

use crate::rig::{Rig, SPACE, note, notes, secret, secrets};
use crate::rules::Note;

/// Ten notes, and a subscription to the first three.
fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.write(1, "client-ada", (0..10).map(|n| note(&format!("{n}"), "", n)).collect());
    rig.subscribe(1, 1, notes().limit(3));
    assert_eq!(rig.page(1).subs[&1].order, ["0", "1", "2"]);
    rig.heard(1);
    rig
}

#[test]
fn a_deleted_row_is_replaced_by_the_next_one() {
    let mut rig = rig();
    rig.write(1, "client-ada", vec![RowOp::delete::<Note>("1")]);
    assert_eq!(rig.page(1).keys(1), ["0", "2", "3"]);
    rig.write(1, "client-ada", (0..9).map(|n| RowOp::delete::<Note>(&format!("{n}"))).collect());
    assert_eq!(rig.page(1).keys(1), ["9"]);
    rig.write(1, "client-ada", vec![note("4", "", 4)]);
    assert_eq!(rig.page(1).keys(1), ["4", "9"]);
}

#[test]
fn a_window_that_filled_up_later_knows_what_is_behind_it() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes().limit(3));
    for n in (0..5).rev() {
        rig.put_note(1, "client-ada", &format!("{n}"), n);
    }
    assert_eq!(rig.page(1).keys(1), ["0", "1", "2"]);
    rig.write(1, "client-ada", vec![RowOp::delete::<Note>("0"), RowOp::delete::<Note>("2")]);
    assert_eq!(rig.page(1).keys(1), ["1", "3", "4"]);
}

#[test]
fn a_row_that_comes_pushes_the_last_one_out() {
    let mut rig = rig();
    rig.put_note(1, "client-ada", "x", -1);
    assert_eq!(rig.page(1).keys(1), ["0", "1", "x"]);
}

#[test]
fn a_row_that_moves_behind_the_edge_is_replaced() {
    let mut rig = rig();
    rig.put_note(1, "client-ada", "0", 100);
    assert_eq!(rig.page(1).keys(1), ["1", "2", "3"]);
}

#[test]
fn a_row_that_moves_within_the_window_stays() {
    let mut rig = rig();
    rig.write(1, "client-ada", vec![note("0", "moved", 2)]);
    assert_eq!(rig.page(1).keys(1), ["0", "1", "2"]);
    assert_eq!(rig.page(1).subs[&1].rows["0"]["text"], "moved");
}

#[test]
fn what_happens_behind_the_edge_is_not_told() {
    let mut rig = rig();
    rig.write(1, "client-ada", vec![note("7", "new", 50), RowOp::delete::<Note>("9")]);
    let text = rig.heard_text(1);
    assert!(!text.contains("parts"), "{text}");
    assert!(text.contains("acks"));
}

#[test]
fn a_batch_that_empties_and_fills_the_window_is_told_as_it_ends() {
    let mut rig = rig();
    let mut ops: Vec<_> = (0..5).map(|n| RowOp::delete::<Note>(&format!("{n}"))).collect();
    ops.extend([note("a", "", 5), note("b", "", 7), note("c", "", 6)]);
    rig.write(1, "client-ada", ops);
    // in the order of n, then of the key: 5, a, 6, c, 7, b, 8, 9
    assert_eq!(rig.page(1).keys(1), ["5", "6", "a"]);
}

#[test]
fn the_window_holds_what_the_viewer_may_see() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.join(2, "bob");
    let row = |n: i64| secret(&format!("{n}"), if n % 2 == 0 { "ada" } else { "bob" }, "", n);
    rig.write(1, "client-ada", (0..10).step_by(2).map(row).collect());
    rig.write(2, "client-bob", (1..10).step_by(2).map(row).collect());
    rig.subscribe(1, 1, secrets().limit(2));
    rig.subscribe(2, 1, secrets().limit(2));
    assert_eq!(rig.page(1).keys(1), ["0", "2"]);
    assert_eq!(rig.page(2).keys(1), ["1", "3"]);
    rig.heard(1);
    rig.write(2, "client-bob", vec![RowOp::delete::<crate::rules::Secret>("1")]);
    assert_eq!(rig.page(2).keys(1), ["3", "5"]);
    assert_eq!(rig.heard_kinds(1), [""; 0]);
}

#[test]
fn a_limit_larger_than_the_collection_is_no_limit() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.subscribe(1, 1, Note::in_space(SPACE).limit(1_000_000));
    rig.write(1, "client-ada", (0..10).map(|n| note(&format!("{n}"), "", n)).collect());
    assert_eq!(rig.page(1).keys(1).len(), 10);
}
