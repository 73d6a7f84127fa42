//! Rows that stay between visits: shown before any connection, to the same person only, and gone when a fresh snapshot
//! lacks them.

use std::time::Duration;

use serde_json::{Value, json};
use syncline_core::client::contrail::refusal;
use syncline_core::client::{Backoff, CacheConfig, Config, Export, Input, WatchId};
use syncline_core::ops::Put;
use syncline_core::{Query, UserId};

use crate::rig::{BOB, Message, Reaction, Rig, SPACE, live, newest, record};

const ALICE: &str = crate::rig::ALICE;

fn visit() -> Rig {
    visit_with(|_| {})
}

fn visit_with(change: impl FnOnce(&mut Config)) -> Rig {
    Rig::with(|config| {
        config.cache = Some(CacheConfig::default());
        config.contrail.as_mut().unwrap().identity = Some(ALICE.into());
        change(config);
    })
}

impl Rig {
    /// Storage's answer to the one question it was asked.
    fn loaded(&mut self, stored: Option<&[u8]>) {
        assert_eq!(self.loads.len(), 1, "{:?}", self.loads);
        let (load, user) = self.loads.remove(0);
        self.input(Input::Loaded { load, user, stored });
    }

    fn cached(&self, watch: WatchId) -> (bool, bool) {
        let state = self.core.watch_state(watch);
        (state.loaded, state.cached)
    }
}

/// What a visit leaves behind that has seen these records.
fn left(query: &Query<Message>, records: &[Value]) -> Vec<u8> {
    let mut rig = visit();
    rig.watch(query);
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, records, None);
    rig.input(Input::Visible(false));
    let (user, mut lists) = rig.stores.remove(0);
    assert_eq!((user.as_str(), lists.len(), &lists[0].0), (ALICE, 1, query.spec()));
    lists.pop().unwrap().1.unwrap()
}

/// A watch that is stopped and thrown away takes nothing out of storage: the next visit begins with what it has seen.
#[test]
fn stopping_a_watch_wipes_nothing() {
    let query = newest(SPACE);
    let mut rig = visit();
    let watch = rig.watch(&query);
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("b", 2), record("a", 1)], None);
    rig.core.stop(rig.now, watch);
    rig.core.unwatch(rig.now, watch);
    rig.input(Input::Visible(false));
    let kept: Vec<_> = std::mem::take(&mut rig.stores).into_iter().flat_map(|(_, lists)| lists).collect();
    assert!(!kept.is_empty() && kept.iter().all(|(_, stored)| stored.is_some()), "{kept:?}");
    let stored = kept.into_iter().rev().find_map(|(_, stored)| stored).unwrap();
    let mut next = visit();
    let watch = next.watch(&query);
    next.loaded(Some(&stored));
    assert_eq!(next.shown(watch), ["b", "a"]);
}

#[test]
fn rows_of_the_last_visit_are_there_before_any_connection() {
    let query = newest(SPACE).limit(3);
    let stored = left(&query, &[record("c", 3), record("b", 2), record("a", 1)]);
    let mut rig = visit();
    let watch = rig.watch(&query);
    assert_eq!(rig.loads[0].1, Some(UserId::from(ALICE)), "nobody has to be guessed");
    rig.loaded(Some(&stored));
    assert_eq!(
        (rig.shown(watch), rig.status(watch)),
        (["c", "b", "a"].map(String::from).to_vec(), "connecting")
    );
    assert_eq!(rig.cached(watch), (true, true));
    let stream = rig.asked();
    rig.closed(&stream, None);
    assert_eq!((rig.shown(watch).len(), rig.status(watch)), (3, "reconnecting"));
    rig.wait_for_deadline();
    let stream = rig.asked();
    rig.opened(&stream);
    // half a snapshot takes nothing away
    rig.event(&stream, "snapshot.start", json!({}));
    rig.event(&stream, "snapshot.record", json!({"record": record("d", 4)}));
    assert_eq!(
        (rig.shown(watch), rig.cached(watch)),
        (["c", "b", "a"].map(String::from).to_vec(), (true, true))
    );
    rig.event(&stream, "snapshot.record", json!({"record": record("b", 2)}));
    rig.event(&stream, "snapshot.end", json!({}));
    assert_eq!((rig.shown(watch), rig.status(watch)), (["d", "b"].map(String::from).to_vec(), "live"));
    assert_eq!(rig.cached(watch), (true, false));
}

#[test]
fn rows_of_pages_stay_until_their_page_is_fetched_again() {
    for query in [newest(SPACE), newest(SPACE).limit(300)] {
        let stored = left(&query, &[record("d", 4), record("c", 3), record("b", 2), record("a", 1)]);
        let mut rig = visit();
        let watch = rig.watch(&query);
        rig.loaded(Some(&stored));
        let stream = rig.asked();
        rig.opened(&stream);
        rig.snapshot(&stream, &[record("d", 4), record("new", 5)], Some("3"));
        // what is told meanwhile takes nothing away either
        rig.created(&stream, live("e", 6));
        assert_eq!(rig.shown(watch), ["e", "new", "d", "c", "b", "a"]);
        let page = rig.asked();
        rig.opened(&page);
        rig.snapshot(&page, &[record("b", 2)], None);
        assert_eq!(
            (rig.shown(watch), rig.cached(watch)),
            (["e", "new", "d", "b"].map(String::from).to_vec(), (true, false))
        );
    }
}

#[test]
fn a_row_that_is_deleted_before_the_snapshot_is_complete_goes_at_once() {
    let stored = left(&newest(SPACE), &[record("b", 2), record("a", 1)]);
    let mut rig = visit();
    let watch = rig.watch(&newest(SPACE));
    rig.loaded(Some(&stored));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.event(&stream, "snapshot.start", json!({}));
    rig.deleted(&stream, "b");
    assert_eq!(rig.shown(watch), ["a"]);
}

#[test]
fn a_window_of_an_earlier_visit_is_one() {
    let query = newest(SPACE).limit(2);
    let stored = left(&query, &[record("b", 2), record("a", 1)]);
    let mut rig = visit();
    let watch = rig.watch(&query);
    rig.loaded(Some(&stored));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.event(&stream, "snapshot.start", json!({}));
    rig.created(&stream, live("c", 3));
    assert_eq!(rig.shown(watch), ["c", "b"]);
}

#[test]
fn without_an_identity_nothing_is_asked_for_and_nothing_kept() {
    let stored = left(&newest(SPACE), &[record("a", 1)]);
    let mut rig = visit_with(|config| config.contrail.as_mut().unwrap().identity = None);
    let watch = rig.watch(&newest(SPACE));
    rig.input(Input::Loaded { load: 1, user: Some(ALICE.into()), stored: Some(&stored) });
    assert!(rig.shown(watch).is_empty());
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("a", 1)], None);
    rig.input(Input::Visible(false));
    rig.wait(Duration::from_secs(10));
    assert!(rig.loads.is_empty() && rig.stores.is_empty());
}

#[test]
fn changes_are_stored_after_a_while_and_confirmed_rows_only() {
    let mut rig = visit();
    rig.watch(&newest(SPACE));
    rig.loaded(None);
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("a", 1)], None);
    let optimistic = Message::of(ALICE, "mine", "not yet");
    rig.core.add_optimistic(rig.now, &SPACE.into(), Put::new(&optimistic).unwrap()).unwrap();
    rig.wait(Duration::from_millis(100));
    rig.created(&stream, live("b", 2));
    rig.wait(Duration::from_millis(199));
    assert!(rig.stores.is_empty());
    assert_eq!(rig.wait_for_deadline(), Duration::from_millis(1));
    let (user, lists) = rig.stores.remove(0);
    let export = Export::decode(lists[0].1.clone().unwrap()).unwrap();
    let rows: Vec<Message> = export.rows().map(|row| serde_json::from_slice(row).unwrap()).collect();
    assert_eq!((user.as_str(), lists.len()), (ALICE, 1));
    assert_eq!(rows.iter().map(|row| &*row.rkey).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!((export.cursor(), export.is_complete()), (None, true));
    // nothing has changed, and nothing is stored
    rig.input(Input::Stored);
    rig.wait(Duration::from_secs(10));
    assert!(rig.stores.is_empty());
    // what somebody leaves is kept as it was
    rig.created(&stream, live("c", 3));
    rig.core.close(rig.now);
    rig.drain();
    assert_eq!(rig.stores.len(), 1);
    assert_eq!(rig.core.deadline(), None);
}

#[test]
fn a_list_that_may_not_be_seen_any_more_is_removed() {
    let stored = left(&newest(SPACE), &[record("a", 1)]);
    let mut rig = visit();
    let watch = rig.watch(&newest(SPACE));
    rig.loaded(Some(&stored));
    let stream = rig.asked();
    rig.closed(&stream, Some(refusal(403, b"{}")));
    assert!(rig.shown(watch).is_empty());
    rig.wait(Duration::from_millis(200));
    assert_eq!(rig.stores.remove(0).1, [(newest(SPACE).spec().clone(), None)]);
    // one that cannot be reached is kept
    let mut rig = visit_with(|config| config.backoff = Backoff { attempts: Some(1), ..Backoff::default() });
    let watch = rig.watch(&newest(SPACE));
    rig.loaded(Some(&stored));
    let stream = rig.asked();
    rig.closed(&stream, None);
    assert_eq!((rig.status(watch), rig.shown(watch).len()), ("failed", 1));
    rig.core.unwatch(rig.now, watch);
    rig.drain();
    rig.wait(Duration::from_secs(10));
    assert!(rig.stores.is_empty());
}

#[test]
fn somebody_else_sees_nothing_of_the_one_before() {
    let query = newest(SPACE).limit(5);
    let mut rig = visit();
    let watch = rig.watch(&query);
    rig.loaded(None);
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("of-alice", 1)], None);
    rig.core
        .add_optimistic(rig.now, &SPACE.into(), Put::new(&Message::of(ALICE, "mine", "x")).unwrap())
        .unwrap();
    rig.drain();
    rig.core.set_identity(rig.now, Some(BOB.into()));
    rig.drain();
    assert!(rig.shown(watch).is_empty() && rig.stores[0].0 == *ALICE, "{:?}", rig.stores);
    assert_eq!((rig.stores.len(), rig.loads[0].1.clone()), (1, Some(UserId::from(BOB))));
    rig.input(Input::Stored);
    // what the stream before still says is not heard
    rig.created(&stream, live("late", 9));
    assert!(rig.shown(watch).is_empty());
    let stored = left(&query, &[record("of-bob", 1)]);
    rig.loaded(Some(&stored));
    assert_eq!((rig.shown(watch), rig.cached(watch)), (vec!["of-bob".into()], (true, true)));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("now", 2)], None);
    rig.wait(Duration::from_millis(200));
    assert_eq!((rig.shown(watch), rig.stores.pop().unwrap().0), (vec!["now".into()], UserId::from(BOB)));
    // to say the same again changes nothing
    rig.core.set_identity(rig.now, Some(BOB.into()));
    rig.drain();
    assert!(rig.asks_nothing() && rig.status(watch) == "live");
    rig.core.set_identity(rig.now, None);
    rig.drain();
    assert!(rig.shown(watch).is_empty() && rig.loads.is_empty());
}

#[test]
fn an_answer_for_somebody_who_has_left_is_not_shown() {
    let stored = left(&newest(SPACE), &[record("a", 1)]);
    let mut rig = visit();
    let watch = rig.watch(&newest(SPACE));
    rig.core.set_identity(rig.now, Some(BOB.into()));
    rig.drain();
    let (load, user) = rig.loads.remove(0);
    rig.input(Input::Loaded { load, user, stored: Some(&stored) });
    assert!(rig.shown(watch).is_empty());
    // nor to nobody, until somebody is here again
    let (load, user) = rig.loads.remove(0);
    rig.core.pause_storing(rig.now, false);
    rig.input(Input::Loaded { load, user: user.clone(), stored: Some(&stored) });
    assert!(rig.shown(watch).is_empty());
    rig.core.set_identity(rig.now, user);
    rig.drain();
    rig.loaded(Some(&stored));
    assert_eq!(rig.shown(watch), ["a"]);
}

#[test]
fn storage_that_answers_late_is_in_time_until_rows_have_come() {
    let query = newest(SPACE).limit(5);
    let stored = left(&query, &[record("old", 1)]);
    let mut rig = visit();
    let watch = rig.watch(&query);
    let stream = rig.asked();
    rig.opened(&stream);
    rig.event(&stream, "snapshot.start", json!({}));
    rig.event(&stream, "snapshot.record", json!({"record": record("new", 2)}));
    rig.loaded(Some(&stored));
    assert_eq!(rig.shown(watch), ["old"]);
    rig.event(&stream, "snapshot.end", json!({}));
    assert_eq!(rig.shown(watch), ["new"]);

    let mut rig = visit();
    let watch = rig.watch(&query.clone().limit(300));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[record("new", 2)], Some("1"));
    let stored = left(&query.limit(300), &[record("old", 1)]);
    rig.loaded(Some(&stored));
    assert_eq!(rig.shown(watch), ["new"], "a page has come");
}

#[test]
fn children_and_counts_come_back_with_their_parents() {
    let query =
        newest(SPACE).include(Reaction::subject.children().order_by(Reaction::emoji).limit(10).counted());
    let with = |rkey: &str, reactions: &[Reaction]| {
        let mut message = record(rkey, 1);
        message["reactions"] = reactions.iter().map(Reaction::record).collect();
        message["reactionsCount"] = json!(reactions.len());
        message
    };
    let (up, down) = (Reaction::to("a", "1", "up"), Reaction::to("a", "2", "down"));
    let stored = left(&query, &[with("a", &[up.clone(), down])]);
    let mut rig = visit();
    let watch = rig.watch(&query);
    rig.loaded(Some(&stored));
    assert_eq!(rig.reactions(watch, "a"), ("downup".into(), 2));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[with("a", &[up])], None);
    assert_eq!(rig.reactions(watch, "a"), ("up".into(), 1));
}

#[test]
fn two_lists_of_earlier_visits_share_their_rows_without_getting_in_each_others_way() {
    let threes = newest(SPACE).filter(Message::n.eq(3));
    let (all, three) =
        (left(&newest(SPACE), &[record("a", 4)]), left(&threes, &[record("a", 3), record("b", 3)]));
    let mut rig = visit();
    let every = rig.watch(&newest(SPACE));
    rig.loaded(Some(&all));
    let some = rig.watch(&threes);
    rig.loaded(Some(&three));
    // one of them is none any more
    assert_eq!((rig.shown(every), rig.shown(some)), (vec!["a".into()], vec!["b".into()]));
}

#[test]
fn an_export_says_what_kind_of_server_it_is_of() {
    let stored = left(&newest(SPACE), &[record("a", 1)]);
    let head = stored.split(|&byte| byte == b'\n').next().unwrap();
    let head: Value = serde_json::from_slice(head).unwrap();
    assert_eq!((head.get("cursor"), &head["complete"]), (None, &json!(true)));
    let mut rig = Rig::new();
    rig.core.import(rig.now, Export::decode(stored.clone()).unwrap());
    let watch = rig.watch(&newest(SPACE));
    assert_eq!((rig.shown(watch), rig.cached(watch)), (vec!["a".into()], (true, true)));
    let exported = rig.core.export(watch).unwrap().into_bytes();
    let exported: Value =
        serde_json::from_slice(exported.split(|&byte| byte == b'\n').next().unwrap()).unwrap();
    assert_eq!((exported.get("cursor"), &exported["complete"]), (None, &json!(true)));
    // rows that stand somewhere are another server's
    let mut with_cursor = head.clone();
    with_cursor["cursor"] = json!({"incarnation": "00112233445566aa", "schema": 0, "epoch": 0, "version": 3});
    let mut other = serde_json::to_vec(&with_cursor).unwrap();
    other.extend(&stored[serde_json::to_vec(&head).unwrap().len()..]);
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE));
    rig.core.import(rig.now, Export::decode(other.clone()).unwrap());
    assert!(rig.shown(watch).is_empty());
    // and the other way round
    let mut core = syncline_core::client::ClientCore::new(Config::new("c".into(), 1));
    let watch = core.watch(rig.now, &newest(SPACE));
    core.import(rig.now, Export::decode(stored).unwrap());
    assert!(core.entries::<Message>(watch).is_empty());
    core.import(rig.now, Export::decode(other).unwrap());
    assert_eq!(core.entries::<Message>(watch).len(), 1);
}
