//! Children that come with the rows of a result: which, how many, and for whom.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use syncline_core::ops::RowOp;
use syncline_core::space::Config;
use syncline_core::wire::{Frame, ServerMessage};
use syncline_core::{Query, Relation};

use crate::rig::{Rig, note, notes, secret};
use crate::rules::{Note, Secret};

/// Notes of notes: a note belongs to the one whose key is its text.
fn replies() -> Relation<Note> {
    Note::text.children().order_by(Note::n)
}

/// The first two notes that belong to nobody, in the order of `n`.
fn threads(replies: Relation<Note>) -> Query<Note> {
    notes().filter(Note::text.eq("")).limit(2).include(replies)
}

/// Ada watches two threads, `a` and `b`, of three; `a` has three replies.
fn watched(replies: Relation<Note>) -> Rig {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.write(2, "client-bob", vec![note("a", "", 1), note("b", "", 2), note("c", "", 3)]);
    rig.write(
        2,
        "client-bob",
        vec![note("x", "a", 1), note("y", "a", 2), note("z", "a", 3), note("w", "c", 1)],
    );
    rig.subscribe(1, 1, threads(replies));
    rig
}

fn children<'a>(rig: &'a Rig, parent: &str) -> (Vec<&'a str>, u64) {
    let sub = &rig.page(1).subs[&1];
    let count = sub.counts.get(&(0, parent.to_owned())).copied().unwrap_or_default();
    (sub.children(0, parent), count)
}

#[test]
fn children_come_with_their_parents() {
    let rig = watched(replies().counted());
    assert_eq!(rig.page(1).keys(1), ["a", "b"]);
    assert_eq!(children(&rig, "a"), (vec!["x", "y", "z"], 3));
    assert_eq!(children(&rig, "b"), (vec![], 0));
    assert_eq!(rig.page(1).subs[&1].related[0].len(), 3, "those of a row that is not in the result do not");
}

#[test]
fn of_each_parent_the_first_ones_come_and_all_are_counted() {
    let mut rig = watched(replies().limit(2).counted());
    assert_eq!(children(&rig, "a"), (vec!["x", "y"], 3));
    rig.write(2, "client-bob", vec![RowOp::delete::<Note>("x")]);
    assert_eq!(children(&rig, "a"), (vec!["y", "z"], 2), "the next one takes its place");
    rig.write(2, "client-bob", vec![note("v", "a", 0)]);
    assert_eq!(children(&rig, "a"), (vec!["v", "y"], 3));
    rig.heard(1);
    rig.write(2, "client-bob", vec![note("z", "a", 4)]);
    assert!(rig.heard(1).is_empty(), "what happens behind the limit and counts for nothing is not told");
}

#[test]
fn counts_alone_bring_no_children() {
    let mut rig = watched(replies().limit(0).counted());
    assert_eq!(children(&rig, "a"), (vec![], 3));
    rig.write(2, "client-bob", vec![note("v", "b", 0), RowOp::delete::<Note>("y")]);
    assert_eq!((children(&rig, "a"), children(&rig, "b")), ((vec![], 2), (vec![], 1)));
}

#[test]
fn a_child_may_change_and_go_to_another_parent() {
    let mut rig = watched(replies().counted());
    rig.write(2, "client-bob", vec![note("x", "b", 1)]);
    assert_eq!(children(&rig, "a"), (vec!["y", "z"], 2));
    assert_eq!(children(&rig, "b"), (vec!["x"], 1));
    rig.write(2, "client-bob", vec![note("x", "nobody", 1)]);
    assert_eq!((children(&rig, "a").1, children(&rig, "b")), (2, (vec![], 0)));
}

#[test]
fn a_parent_that_leaves_takes_its_children_with_it() {
    let mut rig = watched(replies().counted());
    rig.write(2, "client-bob", vec![RowOp::delete::<Note>("a")]);
    assert_eq!(rig.page(1).keys(1), ["b", "c"]);
    assert_eq!((children(&rig, "a"), children(&rig, "c")), ((vec![], 0), (vec!["w"], 1)));
    // and with it they come back, as they are now
    rig.write(2, "client-bob", vec![note("a", "", 1), note("y", "b", 2)]);
    assert_eq!(children(&rig, "a"), (vec!["x", "z"], 2));
    assert_eq!(children(&rig, "b"), (vec!["y"], 1));
    assert_eq!(rig.page(1).subs[&1].related[0].len(), 3);
}

#[test]
fn a_parent_and_its_child_come_in_one_frame() {
    let mut rig = watched(replies().counted());
    rig.heard(1);
    rig.write(2, "client-bob", vec![note("first", "", 0), note("its", "first", 1)]);
    let heard = rig.heard(1);
    let [ServerMessage::Changes(changes)] = &heard[..] else { panic!("{heard:?}") };
    let [part] = &changes.parts[..] else { panic!("{changes:?}") };
    assert_eq!((part.put.len(), part.del.len(), part.related.len()), (1, 1, 1));
    assert_eq!(children(&rig, "first"), (vec!["its"], 1));
}

#[test]
fn nobody_is_given_a_child_or_the_count_of_children_that_they_may_not_see() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.write(1, "client-ada", vec![note("a", "", 1), secret("mine", "ada", "a", 1)]);
    rig.write(2, "client-bob", vec![secret("his", "bob", "a", 2)]);
    let query = || notes().include(Secret::text.children().order_by(Secret::n).limit(1).counted());
    rig.subscribe(1, 1, query());
    rig.subscribe(2, 1, query());
    assert_eq!(children(&rig, "a"), (vec!["mine"], 1));
    assert!(rig.page(1).subs[&1].selective);
    rig.heard(1);
    rig.write(2, "client-bob", vec![secret("his-too", "bob", "a", 0)]);
    rig.write(2, "client-bob", vec![RowOp::delete::<Secret>("his")]);
    assert!(!rig.heard_text(1).contains("his"));
    assert_eq!(children(&rig, "a"), (vec!["mine"], 1));
    assert_eq!(rig.page(2).subs[&1].children(0, "a"), ["his-too"]);
    // her credentials say that she is a member now: nothing was written
    rig.join(3, "cem:Cem");
    rig.write(3, "client-cem", vec![secret("club", "members", "a", 0)]);
    assert_eq!(children(&rig, "a"), (vec!["mine"], 1));
    rig.say(1, json!({"auth": {"token": "ada:Ada"}}));
    assert_eq!(children(&rig, "a"), (vec!["club"], 2));
    rig.say(1, json!({"auth": {"token": "ada"}}));
    assert_eq!(children(&rig, "a"), (vec!["mine"], 1));
}

#[test]
fn who_watches_the_same_gets_the_same_bytes() {
    let mut rig = watched(replies().counted());
    rig.join(3, "cem");
    rig.subscribe(3, 1, threads(replies().counted()));
    [1, 3].into_iter().for_each(|conn| drop(rig.heard(conn)));
    rig.write(2, "client-bob", vec![note("v", "b", 0)]);
    let frames = [1, 3].map(|conn| std::mem::take(&mut rig.line(conn).heard));
    assert_eq!((frames[0].len(), frames[1].len()), (1, 1));
    assert!(std::sync::Arc::ptr_eq(&frames[0][0], &frames[1][0]));
}

#[test]
fn a_large_result_comes_in_chunks_with_its_children_and_counts() {
    let mut rig = Rig::with(Config { chunk_bytes: 100, ..Config::default() });
    rig.join(1, "ada");
    let parents = (0..20).map(|n| note(&format!("p{n}"), "", n));
    let children = (0..20).flat_map(|n| (0..3).map(move |m| note(&format!("c{n}-{m}"), &format!("p{n}"), m)));
    rig.write(1, "client-ada", parents.chain(children).collect());
    rig.subscribe(1, 1, notes().filter(Note::text.eq("")).include(replies().counted()));
    let sub = &rig.page(1).subs[&1];
    assert!(sub.live && sub.rows.len() == 20 && sub.related[0].len() == 60 && sub.counts.len() == 20);
    let heard = rig.heard(1);
    assert!(heard.len() > 20, "{} frames", heard.len());
}

#[test]
fn a_large_result_comes_row_by_row_each_with_its_count_and_before_its_children() {
    let mut rig = Rig::with(Config { chunk_bytes: 200, ..Config::default() });
    rig.join(1, "ada");
    let parents = (0..20).map(|n| note(&format!("p{n}"), "", n));
    let children = (0..20).flat_map(|n| (0..n).map(move |m| note(&format!("c{n}-{m}"), &format!("p{n}"), m)));
    rig.write(1, "client-ada", parents.chain(children).collect());
    rig.heard(1);
    rig.subscribe(1, 1, notes().filter(Note::text.eq("")).include(replies().counted()));
    let (mut open, mut largest) = (BTreeSet::new(), 0);
    for frame in std::mem::take(&mut rig.line(1).heard) {
        largest = largest.max(frame.len());
        let frame = Frame::parse(&frame).unwrap();
        let ServerMessage::Snapshot(snapshot) = &frame.message else { panic!("{:?}", frame.message) };
        let text = |row: &[u8], field: &str| -> String {
            serde_json::from_slice::<Value>(row).unwrap()[field].as_str().unwrap().into()
        };
        let rows: Vec<&[u8]> = frame.rows().collect();
        let children: usize = snapshot.related.iter().map(|run| run.rows).sum();
        let (own, children) = rows.split_at(rows.len() - children);
        let own: BTreeSet<String> = own.iter().map(|row| text(row, "id")).collect();
        assert!(snapshot.counts.iter().all(|count| own.contains(&*count.parent)), "{snapshot:?}");
        let parents: BTreeSet<String> = children.iter().map(|row| text(row, "text")).collect();
        // those of one row may go on in the next chunk, and no others
        assert!(parents.difference(&own).all(|parent| open.contains(parent)), "{parents:?} {own:?}");
        open = if own.is_empty() { open } else { own };
    }
    assert!(largest < 600, "counts have their share of a chunk: {largest}");
    let sub = &rig.page(1).subs[&1];
    assert!(sub.live && sub.rows.len() == 20 && sub.related[0].len() == 190 && sub.counts.len() == 19);
}

#[test]
fn whoever_comes_back_is_sent_the_difference() {
    let mut rig = watched(replies().limit(2).counted());
    let sub = rig.line(1).page.subs.remove(&1).unwrap();
    rig.disconnect(1);
    // of a: x changes, y goes and z takes its place; b gets one; c was never there
    let ops = vec![note("x", "a", 0), RowOp::delete::<Note>("y"), note("v", "b", 1), note("u", "c", 1)];
    rig.write(2, "client-bob", ops);
    rig.join(1, "ada");
    rig.heard(1);
    rig.subscribe_holding(1, 1, sub.kept(), sub.cursor);
    let heard = rig.heard(1);
    let [ServerMessage::Resume(resume)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((resume.related[0].rows, resume.gone_children[0].gone.len(), resume.counts.len()), (3, 1, 2));
    assert_eq!((children(&rig, "a"), children(&rig, "b")), ((vec!["x", "z"], 2), (vec!["v"], 1)));
    assert_eq!(rig.page(1).subs[&1].related[0]["x"]["n"], 0);
}

#[test]
fn a_child_that_changed_and_still_stands_there_is_sent() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    rig.write(
        1,
        "client-ada",
        vec![note("a", "", 1), secret("x", "ada", "a", 1), secret("y", "ada", "a", 2)],
    );
    rig.subscribe(1, 1, notes().include(Secret::text));
    let sub = rig.line(1).page.subs.remove(&1).unwrap();
    rig.write(1, "client-ada", vec![secret("x", "ada", "a", 5)]);
    rig.heard(1);
    rig.subscribe_holding(1, 2, sub.kept(), sub.cursor);
    let heard = rig.heard(1);
    let [ServerMessage::Resume(resume)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((resume.related[0].rows, resume.gone_children.len()), (1, 0));
    assert_eq!(rig.page(1).subs[&2].related[0]["x"]["n"], 5);
}

#[test]
fn nothing_is_sent_when_nothing_has_changed() {
    let mut rig = watched(replies().counted());
    let sub = rig.line(1).page.subs.remove(&1).unwrap();
    rig.disconnect(1);
    rig.join(1, "ada");
    rig.heard(1);
    rig.subscribe_holding(1, 1, sub.kept(), sub.cursor);
    let heard = rig.heard(1);
    let [ServerMessage::Resume(resume)] = &heard[..] else { panic!("{heard:?}") };
    assert!(resume.related.is_empty() && resume.gone_children.is_empty() && resume.counts.is_empty());
    assert_eq!(children(&rig, "a"), (vec!["x", "y", "z"], 3));
}

#[test]
fn who_does_not_say_which_children_are_held_is_sent_everything() {
    let mut rig = watched(replies());
    let cursor = rig.page(1).subs[&1].cursor;
    let query = threads(replies()).spec().clone();
    let held = syncline_core::wire::Held::new(1, ["a", "b"]);
    for (sub, held) in [(2, json!(null)), (3, serde_json::to_value(held).unwrap())] {
        rig.line(1).page.subscribe(sub, query.clone());
        rig.heard(1);
        rig.say(1, json!({"subscribe": {"sub": sub, "query": query, "cursor": cursor, "held": held}}));
        let heard = rig.heard(1);
        assert!(matches!(&heard[..], [ServerMessage::Snapshot(_)]), "{heard:?}");
    }
}

#[test]
fn a_relation_that_cannot_be_answered_is_refused_by_name() {
    let mut rig = Rig::new();
    rig.join(1, "ada");
    let notes = json!({"collection": "notes", "field": "text"});
    let cases = [
        (json!([{"collection": "nothing", "field": "text"}]), "unknown_collection", "nothing"),
        (json!([{"collection": "notes", "field": "colour"}]), "unknown_field", "colour"),
        (
            json!([{"collection": "notes", "field": "text", "order": [["size", "asc"]]}]),
            "unknown_field",
            "size",
        ),
        (json!([{"collection": "notes", "field": "text", "where": {"eq": ["x", 1]}}]), "unknown_field", "x"),
        (json!([{"collection": "notes", "field": "text", "limit": 51}]), "bad_query", "limit"),
        (json!([{"collection": "notes", "field": "text", "limit": 0}]), "bad_query", "limit"),
        (json!([notes, notes, notes, notes, notes]), "bad_query", "relations"),
    ];
    for (sub, (relations, code, field)) in (1_u32..).zip(cases) {
        let query = json!({"space": "list-1", "collection": "notes", "relations": relations});
        rig.say(1, json!({"subscribe": {"sub": sub, "query": query}}));
        let error = &rig.page(1).failed[&sub];
        assert_eq!((error.code(), error.field()), (code, Some(field)), "{relations}");
    }
}

#[test]
fn a_relation_that_nobody_looks_at_any_more_is_not_followed() {
    let mut rig = watched(replies().counted());
    rig.subscribe(1, 2, threads(replies().limit(1)));
    rig.unsubscribe(1, 1);
    rig.write(2, "client-bob", vec![RowOp::delete::<Note>("x")]);
    assert_eq!(rig.page(1).subs[&2].children(0, "a"), ["y"], "the other one still is");
    rig.unsubscribe(1, 2);
    rig.write(2, "client-bob", vec![note("x", "a", 1)]);
    rig.subscribe(1, 3, threads(replies()));
    assert_eq!(rig.page(1).subs[&3].children(0, "a"), ["x", "y", "z"]);
}
