//! Children that come with the rows of a list, and their counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use syncline_core::client::{Export, WatchId};
use syncline_core::ops::{RowOp, RowOps};
use syncline_core::wire::Held;
use syncline_core::{Channel, Draft, Error, Query, Record, RelatedDiff, RowState};

use crate::rig::{Rig, Todo, all, list, open};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "marks", key = id)]
pub(crate) struct Mark {
    id: String,
    todo: String,
    at: i64,
}

pub(crate) fn mark(id: &str, todo: &str) -> Mark {
    Mark { id: id.into(), todo: todo.into(), at: 0 }
}

fn with_marks(query: Query<Todo>) -> Query<Todo> {
    query.include(Mark::todo.children().order_by(Mark::at).limit(3).counted())
}

fn json(row: &impl Serialize) -> Value {
    serde_json::to_value(row).unwrap()
}

/// The parents with their children, as somebody has them who follows the diffs; and the counts.
#[derive(Default)]
struct Follower {
    children: BTreeMap<String, Vec<String>>,
    counts: BTreeMap<String, u64>,
}

impl Follower {
    fn follow(&mut self, rig: &mut Rig, watch: WatchId) {
        let RelatedDiff { reset_children, children, reset_counts, counts } =
            rig.core.take_related::<Mark>(watch, 0);
        if reset_children {
            self.children.clear();
        }
        if reset_counts {
            self.counts.clear();
        }
        for (parent, entries) in children {
            let shown = rig.core.children::<Mark>(watch, 0, parent.as_str());
            assert!(entries.len() == shown.len() && entries.iter().zip(&shown).all(|(a, b)| a.same(b)));
            self.children.insert(parent.to_string(), entries.iter().map(show).collect());
        }
        self.children.retain(|_, children| !children.is_empty());
        for (parent, n) in counts {
            assert_eq!(rig.core.count(watch, 0, parent.as_str()), n);
            self.counts.insert(parent.to_string(), n);
        }
    }
}

fn show(entry: &syncline_core::Entry<Mark>) -> String {
    let state = match entry.state {
        RowState::Confirmed => "",
        RowState::Pending => "?",
        RowState::Failed(_) => "!",
    };
    format!("{}{state}", entry.record.id)
}

fn children(rig: &Rig, watch: WatchId, parent: &str) -> (Vec<String>, u64) {
    let entries = rig.core.children::<Mark>(watch, 0, parent);
    (entries.iter().map(show).collect(), rig.core.count(watch, 0, parent))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn snapshot(rig: &mut Rig, sub: u32, todos: &[Todo], marks: &[Mark], counts: Value) {
    let rows: Vec<_> = todos.iter().map(json).chain(marks.iter().map(json)).collect();
    let head = json!({"snapshot": {
        "sub": sub, "cursor": rig.cursor(), "chunk": 0, "total": rows.len(), "last": true,
        "related": [{"relation": 0, "rows": marks.len()}], "counts": counts,
    }});
    rig.server_rows(head, &rows);
}

/// A live list of `a`, which has the marks `x` and `y`, and of `b`, which has none.
fn marked() -> (Rig, WatchId) {
    let mut rig = Rig::new();
    let watch = rig.watch(&with_marks(all()));
    rig.connect();
    let todos = [Todo::new("a", 1), Todo::new("b", 2)];
    let marks = [mark("x", "a"), mark("y", "a")];
    snapshot(&mut rig, 1, &todos, &marks, json!([{"relation": 0, "parent": "a", "n": 2}]));
    rig.drain();
    (rig, watch)
}

/// The next version.
pub(crate) fn change(rig: &mut Rig, part: Value, rows: &[Value], acks: &[u64]) {
    let from = rig.version;
    rig.version += 1;
    let mut whole = json!({"sub": 1});
    whole.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
    let acks: Vec<_> = acks.iter().map(|id| json!({"client": "client-1", "id": id})).collect();
    let head = json!({"changes": {
        "space": "list", "from": from, "to": rig.version, "parts": [whole], "acks": acks,
    }});
    rig.server_rows(head, rows);
}

pub(crate) fn count(parent: &str, n: u64) -> Value {
    json!([{"relation": 0, "parent": parent, "n": n}])
}

pub(crate) fn write(rig: &mut Rig, op: RowOp) {
    rig.core.write_rows(rig.now, &list(), &RowOps { ops: vec![op] }).unwrap();
}

#[test]
fn children_are_shown_under_their_parents() {
    let (mut rig, watch) = marked();
    assert_eq!(rig.shown(watch), ["a", "b"]);
    assert_eq!(children(&rig, watch, "a"), (names(&["x", "y"]), 2));
    assert_eq!(children(&rig, watch, "b"), (vec![], 0));
    let mut follower = Follower::default();
    follower.follow(&mut rig, watch);
    assert_eq!(follower.children, BTreeMap::from([("a".into(), names(&["x", "y"]))]));
    assert_eq!(follower.counts, BTreeMap::from([("a".into(), 2)]));
}

#[test]
fn they_come_change_move_and_go() {
    let (mut rig, watch) = marked();
    let mut follower = Follower::default();
    follower.follow(&mut rig, watch);
    let put = json!({"related": [{"relation": 0, "put": [0, 1], "del": ["x"]}], "counts": count("b", 1)});
    change(&mut rig, put, &[json(&mark("z", "b")), json(&Mark { at: -1, ..mark("y", "a") })], &[]);
    let told = rig.core.take_related::<Mark>(watch, 0);
    let parents: Vec<_> = told.children.iter().map(|(parent, _)| parent.as_str()).collect();
    assert_eq!((told.reset_children, parents), (false, vec!["a", "b"]), "and nobody else is told");
    assert_eq!(told.counts, [("b".into(), 1)]);
    assert_eq!(children(&rig, watch, "a").0, ["y"]);
    // to another parent
    follower = Follower::default();
    rig.core.stop(rig.now, watch);
    rig.core.start(rig.now, watch);
    follower.follow(&mut rig, watch);
    let sub = rig.newest_sub();
    let held = json!({"resume": {"chunk": 0, "last": true, "sub": sub, "cursor": rig.cursor()}});
    rig.server(held);
    let from = rig.version;
    rig.version += 1;
    let part = json!({"sub": sub, "related": [{"relation": 0, "put": [0]}]});
    let head = json!({"changes": {"space": "list", "from": from, "to": rig.version, "parts": [part]}});
    rig.server_rows(head, &[json(&mark("y", "b"))]);
    follower.follow(&mut rig, watch);
    assert_eq!(follower.children.keys().collect::<Vec<_>>(), ["b"], "the old parent is told as well");
    assert_eq!(children(&rig, watch, "b").0, ["y", "z"]);
    assert!(children(&rig, watch, "a").0.is_empty());
}

struct Marks;

impl Channel for Marks {
    const NAME: &'static str = "mark-channel";
    type Record = Mark;
    type Action = ();
    type Output = ();
    type Error = Error;

    fn reduce(marks: &mut Draft<'_, Mark>, (): &()) {
        for mark in marks.rows() {
            marks.update(&mark.id, |mark| mark.at += 1);
        }
    }
}

#[test]
fn a_reducer_does_not_see_children_that_only_a_stopped_list_has() {
    let (mut rig, watch) = marked();
    let marks = rig.core.watch(rig.now, &Mark::in_space(list()));
    let sub = rig.newest_sub();
    let all_of_them = [json(&mark("x", "a")), json(&mark("y", "a"))];
    let head = json!({"sub": sub, "cursor": rig.cursor(), "chunk": 0, "total": 2, "last": true});
    rig.server_rows(json!({"snapshot": head}), &all_of_them);
    rig.core.stop(rig.now, watch);
    let (from, to) = (rig.version, rig.version + 1);
    rig.version = to;
    let parts = json!([{"sub": sub, "del": ["x"]}]);
    rig.server(json!({"changes": {"space": "list", "from": from, "to": to, "parts": parts}}));
    rig.core.send_action::<Marks>(rig.now, &list(), ()).unwrap();
    let shown: Vec<_> = rig.core.entries::<Mark>(marks).iter().map(show).collect();
    assert_eq!(shown, ["y?"]);
}

#[test]
fn a_parent_that_leaves_takes_them_along_and_brings_them_back() {
    let (mut rig, watch) = marked();
    change(&mut rig, json!({"del": ["a"], "related": [{"relation": 0, "del": ["x", "y"]}]}), &[], &[]);
    assert_eq!(rig.shown(watch), ["b"]);
    assert_eq!(children(&rig, watch, "a"), (vec![], 0));
    let back = json!({"put": [0], "related": [{"relation": 0, "put": [1]}], "counts": count("a", 1)});
    change(&mut rig, back, &[json(&Todo::new("a", 1)), json(&mark("x", "a"))], &[]);
    assert_eq!(children(&rig, watch, "a"), (names(&["x"]), 1));
}

#[test]
fn an_own_child_shows_and_counts_at_once_and_settles_without_a_flicker() {
    let (mut rig, watch) = marked();
    let mut follower = Follower::default();
    follower.follow(&mut rig, watch);
    write(&mut rig, RowOp::put(&mark("mine", "b")).unwrap());
    assert_eq!(children(&rig, watch, "b"), (names(&["mine?"]), 1));
    let told = rig.core.take_related::<Mark>(watch, 0);
    assert_eq!((told.children.len(), told.counts), (1, vec![("b".into(), 1)]));
    let settled = json!({"related": [{"relation": 0, "put": [0]}], "counts": count("b", 1)});
    change(&mut rig, settled, &[json(&mark("mine", "b"))], &[1]);
    assert_eq!(children(&rig, watch, "b"), (names(&["mine"]), 1));
    let told = rig.core.take_related::<Mark>(watch, 0);
    assert_eq!((told.children.len(), told.counts), (1, vec![]), "the count was right all the time");
}

#[test]
fn an_own_delete_counts_at_once() {
    let (mut rig, watch) = marked();
    write(&mut rig, RowOp::delete::<Mark>("x"));
    assert_eq!(children(&rig, watch, "a"), (names(&["y"]), 1));
    let settled = json!({"related": [{"relation": 0, "del": ["x"]}], "counts": count("a", 1)});
    change(&mut rig, settled, &[], &[1]);
    assert_eq!(children(&rig, watch, "a"), (names(&["y"]), 1));
}

#[test]
fn somebody_elses_child_counts_beside_the_own_one() {
    let (mut rig, watch) = marked();
    write(&mut rig, RowOp::put(&mark("mine", "a")).unwrap());
    let put = json!({"related": [{"relation": 0, "put": [0]}], "counts": count("a", 3)});
    change(&mut rig, put, &[json(&mark("theirs", "a"))], &[]);
    assert_eq!(children(&rig, watch, "a").1, 4);
}

#[test]
fn an_own_child_that_moves_counts_where_it_is() {
    let (mut rig, watch) = marked();
    write(&mut rig, RowOp::put(&mark("x", "b")).unwrap());
    assert_eq!(children(&rig, watch, "a"), (names(&["y"]), 1));
    assert_eq!(children(&rig, watch, "b"), (names(&["x?"]), 1));
}

#[test]
fn a_refused_child_stays_marked_and_does_not_count() {
    let (mut rig, watch) = marked();
    write(&mut rig, RowOp::put(&mark("mine", "b")).unwrap());
    rig.server(json!({"changes": {"space": "list", "from": 0, "to": 0, "acks": [
        {"client": "client-1", "id": 1, "error": {"code": "rude", "message": "no"}},
    ]}}));
    assert_eq!(children(&rig, watch, "b"), (names(&["mine!"]), 0));
    rig.core.dismiss(rig.now, &list(), "marks", "mine");
    assert_eq!(children(&rig, watch, "b"), (vec![], 0));
}

/// A second watch that has not been answered yet, so that what was written stays on the screen until it is.
fn with_a_laggard(rig: &mut Rig) -> WatchId {
    rig.core.watch(rig.now, &Mark::in_space("list"))
}

#[test]
fn an_own_child_that_another_list_still_waits_for_counts_once() {
    let mut rig = Rig::new();
    let counted = all().include(Mark::todo.children().limit(0).counted());
    let watch = rig.watch(&counted);
    rig.connect();
    snapshot(&mut rig, 1, &[Todo::new("a", 1)], &[], count("a", 4));
    with_a_laggard(&mut rig);
    write(&mut rig, RowOp::put(&mark("mine", "a")).unwrap());
    assert_eq!(children(&rig, watch, "a").1, 5);
    change(&mut rig, json!({"counts": count("a", 5)}), &[], &[1]);
    assert_eq!(children(&rig, watch, "a").1, 5);
}

#[test]
fn an_own_child_stays_on_a_list_that_waits_for_its_answer() {
    let (mut rig, watch) = marked();
    write(&mut rig, RowOp::put(&mark("mine", "b")).unwrap());
    rig.server(json!({"reset": {"subs": [1]}}));
    rig.version += 1;
    let acks = json!([{"client": "client-1", "id": 1}]);
    rig.server(json!({"changes": {"space": "list", "from": 0, "to": 1, "acks": acks}}));
    assert_eq!(children(&rig, watch, "b"), (names(&["mine?"]), 1), "the answer that is to come brings it");
    let todos = [Todo::new("a", 1), Todo::new("b", 2)];
    snapshot(&mut rig, 1, &todos, &[mark("mine", "b")], count("b", 1));
    assert_eq!(children(&rig, watch, "b"), (names(&["mine"]), 1));
}

#[test]
fn whoever_comes_back_says_which_children_and_counts_it_holds() {
    let (mut rig, watch) = marked();
    rig.lose();
    rig.wait_for_deadline();
    rig.connect();
    assert_eq!(children(&rig, watch, "a"), (names(&["x", "y"]), 2), "they stay meanwhile");
    let asked = rig.sent().into_iter().find_map(|frame| frame.get("subscribe").cloned()).unwrap();
    let held: Held = serde_json::from_value(asked["held"].clone()).unwrap();
    assert_eq!(held.len(), 2 + 2 + 2, "two rows, two children, two counts");
    assert_eq!(asked["held"]["related"][0]["counts"], "AgAAAAAAAAA");
    rig.version = 5;
    let resume = json!({"resume": {"chunk": 0, "last": true, "sub": 1, "cursor": rig.cursor(),
        "related": [{"relation": 0, "rows": 1}],
        "gone_children": [{"relation": 0, "gone": [0]}],
        "counts": count("b", 1),
    }});
    rig.server_rows(resume, &[json(&mark("new", "b"))]);
    assert_eq!(rig.status(watch), "live");
    assert_eq!(children(&rig, watch, "a"), (names(&["y"]), 2));
    assert_eq!(children(&rig, watch, "b"), (names(&["new"]), 1));
}

#[test]
fn children_counts_and_places_may_come_in_chunks_of_their_own() {
    let (mut rig, watch) = marked();
    rig.lose();
    rig.wait_for_deadline();
    rig.connect();
    rig.version = 5;
    let chunk = |rig: &mut Rig, number: u32, more: Value, rows: &[Value]| {
        let mut head = json!({"sub": 1, "cursor": rig.cursor(), "chunk": number, "last": number == 3});
        head.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rig.server_rows(json!({"resume": head}), rows);
    };
    let runs = json!([{"relation": 0, "rows": 1}]);
    chunk(&mut rig, 0, json!({"related": runs}), &[json(&Todo::new("c", 3)), json(&mark("new", "b"))]);
    chunk(&mut rig, 1, json!({"related": runs, "counts": count("b", 2)}), &[json(&mark("newer", "b"))]);
    chunk(&mut rig, 2, json!({"gone_children": [{"relation": 0, "gone": [0]}]}), &[]);
    assert_eq!(children(&rig, watch, "a"), (names(&["x", "y"]), 2), "all at once, or nothing");
    chunk(
        &mut rig,
        3,
        json!({"gone_children": [{"relation": 0, "gone": [1]}], "counts": count("a", 0)}),
        &[],
    );
    assert_eq!((rig.status(watch), rig.shown(watch).len()), ("live", 3));
    assert_eq!(children(&rig, watch, "a"), (names(&[]), 0));
    assert_eq!(children(&rig, watch, "b"), (names(&["new", "newer"]), 2));
}

#[test]
fn children_and_counts_are_kept_between_visits() {
    let (mut rig, watch) = marked();
    write(&mut rig, RowOp::put(&mark("not-confirmed", "b")).unwrap());
    let export = rig.core.export(watch).unwrap();
    assert!(export.is_complete());
    assert_eq!((export.rows().count(), export.as_bytes().split(|&byte| byte == b'\n').count()), (2, 6));

    let mut rig = Rig::new();
    rig.core.import(rig.now, Export::decode(export.into_bytes()).unwrap());
    let watch = rig.watch(&with_marks(all()));
    assert_eq!(rig.shown(watch), ["a", "b"]);
    assert_eq!(children(&rig, watch, "a"), (names(&["x", "y"]), 2), "before there is a connection");
    assert_eq!(children(&rig, watch, "b"), (vec![], 0));
    assert!(rig.core.watch_state(watch).loaded);
    rig.connect();
    let asked = rig.sent().into_iter().find_map(|frame| frame.get("subscribe").cloned()).unwrap();
    assert_eq!(serde_json::from_value::<Held>(asked["held"].clone()).unwrap().len(), 6);
    let gone = json!([{"relation": 0, "gone": [1]}]);
    rig.version = 3;
    let resume = json!({"resume": {"chunk": 0, "last": true, "sub": 1, "cursor": rig.cursor(), "gone_children": gone, "counts": count("a", 1)}});
    rig.server(resume);
    assert_eq!(children(&rig, watch, "a"), (names(&["x"]), 1));
    assert_eq!(rig.status(watch), "live");
}

#[test]
fn a_longer_list_has_the_children_of_the_shorter_one_at_once() {
    let mut rig = Rig::new();
    rig.watch(&with_marks(all().limit(1)));
    rig.connect();
    snapshot(&mut rig, 1, &[Todo::new("a", 1)], &[mark("x", "a")], count("a", 7));
    rig.drain();
    let longer = rig.watch(&with_marks(all().limit(2)));
    assert_eq!(rig.shown(longer), ["a"]);
    assert_eq!(children(&rig, longer, "a"), (names(&["x"]), 7));
    let asked = rig.sent().into_iter().find_map(|frame| frame.get("subscribe").cloned()).unwrap();
    assert_eq!(serde_json::from_value::<Held>(asked["held"].clone()).unwrap().len(), 3);
    let resume = json!({"resume": {"chunk": 0, "last": true, "sub": 2, "cursor": rig.cursor(), "related": [{"relation": 0, "rows": 1}]}});
    rig.server_rows(resume, &[json(&Todo::new("b", 2)), json(&mark("y", "b"))]);
    assert_eq!(rig.shown(longer), ["a", "b"]);
    assert_eq!((children(&rig, longer, "a").1, children(&rig, longer, "b").0), (7, names(&["y"])));
    // another list of other marks begins with what the rows have, not with these marks
    let other = rig.watch(&all().include(Mark::todo));
    assert_eq!(children(&rig, other, "a"), (vec![], 0));
    assert!(!rig.core.watch_state(other).loaded, "the children are still to come");
    // and the same list without any is complete
    let plain = rig.watch(&all().limit(2));
    assert!(rig.core.watch_state(plain).loaded);
}

#[test]
fn rows_whose_children_are_still_to_come_do_not_pass_for_all() {
    let mut rig = Rig::new();
    rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[Todo::new("a", 1)]);
    rig.drain();
    let watch = rig.watch(&with_marks(all()));
    assert!(rig.shown(watch).is_empty() && !rig.core.watch_state(watch).loaded);
    let asked = rig.sent().into_iter().find_map(|frame| frame.get("subscribe").cloned()).unwrap();
    assert_eq!(serde_json::from_value::<Held>(asked["held"].clone()).unwrap().len(), 2, "a row, no count");
    let related = json!([{"relation": 0, "rows": 1}]);
    let resume = json!({"resume": {"chunk": 0, "last": true, "sub": 2, "cursor": rig.cursor(), "related": related, "counts": count("a", 1)}});
    rig.server_rows(resume, &[json(&mark("x", "a"))]);
    assert_eq!((rig.shown(watch), children(&rig, watch, "a")), (names(&["a"]), (names(&["x"]), 1)));
    // the other way round everything is there
    let plain = rig.watch(&all().limit(5));
    assert!(rig.core.watch_state(plain).loaded);
}

#[test]
fn of_a_snapshot_nothing_shows_before_it_is_complete() {
    let (mut rig, watch) = marked();
    rig.server(json!({"reset": {"subs": [1]}}));
    let chunk = |number: u32, last: bool, related: Value, counts: Value| {
        json!({"snapshot": {
            "sub": 1, "cursor": {"incarnation": "00000000000000aa", "schema": 0, "epoch": 0, "version": 3},
            "chunk": number, "total": 3, "last": last, "related": related, "counts": counts,
        }})
    };
    rig.server_rows(chunk(0, false, json!([]), json!([])), &[json(&Todo::new("b", 2))]);
    let marks = json!([{"relation": 0, "rows": 1}]);
    rig.server_rows(chunk(1, false, marks.clone(), count("b", 4)), &[json(&mark("z", "b"))]);
    assert_eq!((rig.shown(watch).len(), children(&rig, watch, "b")), (2, (vec![], 0)));
    rig.server_rows(chunk(2, true, marks, json!([])), &[json(&mark("x", "b"))]);
    assert_eq!(rig.shown(watch), ["b"]);
    assert_eq!(children(&rig, watch, "b"), (names(&["x", "z"]), 4));
    assert_eq!(children(&rig, watch, "a"), (vec![], 0), "what was not sent again is gone");
}

#[test]
fn a_frame_that_speaks_of_what_there_is_not_counts_as_missed() {
    let parts = [
        json!({"related": [{"relation": 1, "put": [0]}]}),
        json!({"related": [{"relation": 0, "put": [1]}]}),
    ];
    for part in parts {
        let (mut rig, watch) = marked();
        change(&mut rig, part, &[json(&mark("z", "b"))], &[]);
        assert_eq!(rig.status(watch), "reconnecting");
        assert_eq!(children(&rig, watch, "a").0, ["x", "y"], "and nothing of it is shown");
    }
    for related in [json!([{"relation": 2, "rows": 1}]), json!([{"relation": 0, "rows": 9}])] {
        let mut rig = Rig::new();
        rig.watch(&with_marks(all()));
        rig.connect();
        let head = json!({"snapshot": {
            "sub": 1, "cursor": rig.cursor(), "chunk": 0, "total": 1, "last": true, "related": related,
        }});
        rig.server_rows(head, &[json(&mark("z", "b"))]);
        assert_eq!(rig.core.connection().status.as_str(), "reconnecting");
    }
}

#[test]
fn a_child_that_cannot_be_read_is_named() {
    let (mut rig, watch) = marked();
    let put = json!({"related": [{"relation": 0, "put": [0]}]});
    change(&mut rig, put, &[json!({"id": "x", "todo": 7})], &[]);
    assert_eq!(rig.core.watch_state(watch).error.unwrap().field(), Some("marks/x"));
    assert_eq!(children(&rig, watch, "a").0, ["y"]);
    change(&mut rig, json!({"related": [{"relation": 0, "del": ["x"]}]}), &[], &[]);
    assert_eq!(rig.core.watch_state(watch).error, None);
}

#[test]
fn whoever_stops_looking_starts_again_with_everything() {
    let (mut rig, watch) = marked();
    let mut follower = Follower::default();
    follower.follow(&mut rig, watch);
    rig.core.stop(rig.now, watch);
    assert!(rig.core.take_related::<Mark>(watch, 0).children.is_empty());
    rig.core.start(rig.now, watch);
    let told = rig.core.take_related::<Mark>(watch, 0);
    assert_eq!((told.reset_children, told.children.len(), told.reset_counts), (true, 1, true));
    rig.core.unwatch(rig.now, watch);
    assert!(rig.core.children::<Mark>(watch, 0, "a").is_empty());
    assert!(rig.core.take_related::<Mark>(watch, 0).children.is_empty());
}

#[test]
fn a_relation_that_cannot_be_is_refused_here_already() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all().include(Mark::todo.children().limit(51)));
    let error = rig.core.watch_state(watch).error.unwrap();
    assert_eq!((error.code(), error.field()), ("bad_query", Some("limit")));
}

#[test]
fn rows_can_be_the_children_of_rows_of_their_own_collection() {
    let mut rig = Rig::new();
    let tops = Mark::in_space("list").filter(Mark::todo.eq("")).include(Mark::todo);
    let watch = rig.core.watch(rig.now, &tops);
    rig.connect();
    let rows = [json(&mark("top", "")), json(&mark("below", "top"))];
    let head = json!({"snapshot": {
        "sub": 1, "cursor": rig.cursor(), "chunk": 0, "total": 2, "last": true,
        "related": [{"relation": 0, "rows": 1}],
    }});
    rig.server_rows(head, &rows);
    assert_eq!(rig.core.entries::<Mark>(watch).len(), 1);
    assert_eq!(children(&rig, watch, "top").0, ["below"]);
    write(&mut rig, RowOp::put(&mark("below", "")).unwrap());
    assert_eq!(rig.core.entries::<Mark>(watch).len(), 2, "it is a top itself now");
    assert!(children(&rig, watch, "top").0.is_empty());
}

#[test]
fn children_that_are_held_back_are_not_shown_by_a_longer_window_either() {
    let window = |limit| with_marks(open().limit(limit));
    let mut before = Rig::new();
    let watch = before.watch(&window(1));
    before.connect();
    snapshot(&mut before, 1, &[Todo::new("a", 1)], &[Mark { at: 9, ..mark("x", "a") }], count("a", 1));
    let export = before.core.export(watch).unwrap();

    let mut rig = Rig::new();
    let first = rig.watch(&with_marks(all().filter(Todo::position.eq(1))));
    rig.connect();
    snapshot(&mut rig, 1, &[Todo::new("a", 1)], &[mark("x", "a")], count("a", 1));
    assert_eq!(children(&rig, first, "a").0, names(&["x"]));
    rig.core.import(rig.now, export);
    let second = rig.watch(&window(1));
    assert_eq!((rig.shown(second), children(&rig, second, "a").0), (names(&["a"]), names(&[])));
    let third = rig.watch(&window(2));
    assert!(children(&rig, third, "a").0.is_empty(), "half of a write could be in them");
}
