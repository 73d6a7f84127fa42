//! Rows of an earlier visit: shown before there is a connection, and completed from where they stand.

mod beside;

use std::time::Duration;

use serde_json::{Value, json};
use syncline_core::client::{CacheConfig, Config, Export, Input, Output, WatchId};
use syncline_core::wire::Held;
use syncline_core::{Error, Query, QuerySpec, UserId, code};

use crate::rig::{Rig, Todo, all, open};

/// A lot of time for something to be stored in.
const LATER: Duration = Duration::from_secs(5);

type Lists = Vec<(QuerySpec, Option<Vec<u8>>)>;

fn rig() -> Rig {
    rig_with(|_| {})
}

fn rig_with(change: impl FnOnce(&mut CacheConfig)) -> Rig {
    let mut cache = CacheConfig::default();
    change(&mut cache);
    Rig::with(|config: &mut Config| config.cache = Some(cache))
}

fn todos(count: i64) -> Vec<Todo> {
    (0..count).map(|n| Todo { done: n % 2 == 1, ..Todo::new(&format!("{n:03}"), n) }).collect()
}

impl Rig {
    /// What storage was asked since the last drain: the question, for whom, of what.
    fn loads(&mut self) -> Vec<(u64, Option<UserId>, QuerySpec)> {
        let load = |output| match output {
            Output::Load { load, user, query } => Some((load, user, query)),
            _ => None,
        };
        self.drain().into_iter().filter_map(load).collect()
    }

    /// What is to be stored since the last drain.
    fn stores(&mut self) -> Vec<(UserId, Lists)> {
        let store = |output| match output {
            Output::Store { user, lists } => Some((user, lists)),
            _ => None,
        };
        self.drain().into_iter().filter_map(store).collect()
    }

    fn load(&mut self) -> u64 {
        let loads = self.loads();
        assert_eq!(loads.len(), 1, "{loads:?}");
        loads[0].0
    }

    /// Watches and connects; nothing is stored of it, and it is Ann who was here last.
    fn visit(&mut self, query: &Query<Todo>) -> WatchId {
        let watch = self.watch(query);
        let load = self.load();
        self.loaded(load, Some("ann"), None);
        self.connect();
        watch
    }

    /// Storage's answer.
    fn loaded(&mut self, load: u64, user: Option<&str>, stored: Option<&[u8]>) {
        self.input(Input::Loaded { load, user: user.map(UserId::from), stored });
    }

    fn welcome_as(&mut self, user: &str) {
        self.server(json!({"welcome": {
            "protocol": 1, "user": {"id": user}, "encoding": "json", "heartbeat_ms": 30_000,
            "limits": {"frame_bytes": 2_097_152, "writes_in_flight": 256, "subscriptions": 256},
        }}));
    }

    fn subscribes(&mut self) -> Vec<Value> {
        self.sent().into_iter().filter_map(|frame| frame.get("subscribe").cloned()).collect()
    }

    /// How much was said to be held by the only subscription, and the version it stands at.
    fn asked(&mut self) -> (Option<usize>, Option<u64>) {
        let all = self.subscribes();
        assert_eq!(all.len(), 1, "{all:?}");
        let held = serde_json::from_value::<Held>(all[0]["held"].clone());
        (held.ok().map(|held| held.len()), all[0]["cursor"]["version"].as_u64())
    }

    fn cached(&self, watch: WatchId) -> (bool, bool) {
        let state = self.core.watch_state(watch);
        (state.loaded, state.cached)
    }
}

/// What a visit leaves behind that ends with these rows.
fn left(change: impl FnOnce(&mut CacheConfig), query: &Query<Todo>, rows: &[Todo], version: u64) -> Vec<u8> {
    let mut rig = rig_with(change);
    rig.version = version;
    rig.visit(query);
    rig.snapshot(1, rows);
    rig.input(Input::Visible(false));
    let (_, mut lists) = rig.stores().pop().unwrap();
    assert_eq!((lists.len(), &lists[0].0), (1, query.spec()));
    lists.pop().unwrap().1.unwrap()
}

fn all_of(rows: &[Todo]) -> Vec<u8> {
    left(|_| {}, &all(), rows, 7)
}

#[test]
fn rows_of_the_last_visit_are_there_before_the_connection() {
    let stored = all_of(&todos(3));
    let mut rig = rig();
    let watch = rig.watch(&all());
    assert_eq!(rig.cached(watch), (false, false));
    let loads = rig.loads();
    assert_eq!((loads.len(), &loads[0].1, &loads[0].2), (1, &None, all().spec()), "whoever was here last");
    rig.loaded(loads[0].0, Some("ann"), Some(&stored));
    assert_eq!(rig.shown(watch), ["000", "001", "002"]);
    assert_eq!((rig.status(watch), rig.cached(watch)), ("connecting", (true, true)));
    rig.lose();
    assert_eq!((rig.status(watch), rig.shown(watch).len()), ("reconnecting", 3));
    rig.wait(Duration::from_secs(60));
    rig.connect();
    assert_eq!(rig.asked(), (None, Some(7)), "the log alone tells the rest");
    rig.version = 9;
    let head =
        json!({"resume": {"chunk": 0, "last": true, "sub": 1, "cursor": rig.cursor(), "del": ["000"]}});
    rig.server_rows(head, &[serde_json::to_value(Todo::new("new", 9)).unwrap()]);
    assert_eq!(rig.shown(watch), ["001", "002", "new"]);
    assert_eq!((rig.status(watch), rig.cached(watch)), ("live", (true, false)));
}

#[test]
fn a_subscription_waits_for_storage_and_no_longer_than_it_may() {
    let mut rig = rig();
    let watch = rig.watch(&all());
    let load = rig.load();
    rig.connect();
    rig.wait(Duration::from_millis(299));
    assert_eq!(rig.subscribes().len(), 0);
    assert_eq!(rig.wait_for_deadline(), Duration::from_millis(1));
    assert_eq!(rig.asked(), (None, None));
    // it comes late, and nothing else has come
    let stored = all_of(&todos(2));
    rig.loaded(load, Some("ann"), Some(&stored));
    assert_eq!((rig.shown(watch).len(), rig.cached(watch)), (2, (true, true)));
    rig.version = 8;
    rig.snapshot(1, &todos(1));
    assert_eq!((rig.shown(watch), rig.cached(watch)), (vec!["000".into()], (true, false)));
}

#[test]
fn what_comes_after_the_server_is_not_looked_at() {
    let mut rig = rig();
    let watch = rig.watch(&all());
    let load = rig.load();
    rig.connect();
    rig.wait(Duration::from_millis(300));
    rig.version = 3;
    rig.snapshot(1, &todos(1));
    rig.loaded(load, Some("ann"), Some(&all_of(&todos(5))));
    assert_eq!((rig.shown(watch).len(), rig.cached(watch)), (1, (true, false)));
    // and neither is it while a snapshot is coming in
    let mut rig = self::rig();
    let watch = rig.watch(&all());
    let load = rig.load();
    rig.connect();
    rig.wait(Duration::from_millis(300));
    let first = json!({"snapshot": {"sub": 1, "cursor": rig.cursor(), "chunk": 0, "total": 9}});
    rig.server_rows(first, &[]);
    rig.loaded(load, Some("ann"), Some(&all_of(&todos(5))));
    assert_eq!(rig.shown(watch).len(), 0);
}

/// What the server says then is the difference to the rows that it was told of, and to no others.
#[test]
fn what_comes_after_a_difference_was_asked_for_is_not_looked_at() {
    let old = left(|_| {}, &all(), &[Todo::new("old", 1)], 2);
    let mut rig = rig();
    rig.version = 3;
    rig.visit(&open());
    let rows = todos(3);
    rig.snapshot(1, &[rows[0].clone(), rows[2].clone()]);
    rig.lose();
    let watch = rig.watch(&all());
    let load = rig.load();
    rig.wait(Duration::from_secs(60));
    rig.connect();
    let asked = rig.subscribes().pop().unwrap();
    assert_eq!(
        (&asked["sub"], &asked["cursor"]["version"]),
        (&json!(2), &json!(3)),
        "by what the other list holds"
    );
    rig.loaded(load, Some("ann"), Some(&old));
    for (sub, missed) in [(1, vec![]), (2, vec![serde_json::to_value(&rows[1]).unwrap()])] {
        let head = json!({"resume": {"sub": sub, "cursor": rig.cursor(), "last": true}});
        rig.server_rows(head, &missed);
    }
    assert_eq!((rig.shown(watch), rig.status(watch)), (["000", "001", "002"].map(Into::into).into(), "live"));
}

#[test]
fn a_long_list_is_kept_in_part_and_completed_by_what_it_lacks() {
    let stored = left(|config| config.rows = 4, &all(), &todos(10), 7);
    let export = Export::decode(stored.clone()).unwrap();
    assert_eq!((export.rows().count(), export.is_complete()), (4, false));
    let mut rig = rig();
    let watch = rig.watch(&all());
    let load = rig.load();
    rig.loaded(load, Some("ann"), Some(&stored));
    assert_eq!(rig.shown(watch), ["000", "001", "002", "003"], "the first ones in the order");
    assert_eq!(rig.cached(watch), (true, true));
    assert_eq!(rig.core.cursor(watch), None, "it stands nowhere before it is whole");
    rig.connect();
    assert_eq!(rig.asked(), (Some(4), Some(7)));
    rig.version = 8;
    let rest: Vec<_> = todos(10)[4..].iter().map(|row| serde_json::to_value(row).unwrap()).collect();
    let head = json!({"resume": {"chunk": 0, "last": true, "sub": 1, "cursor": rig.cursor(), "gone": [1]}});
    rig.server_rows(head, &rest);
    assert_eq!((rig.shown(watch).len(), rig.status(watch)), (9, "live"));
}

#[test]
fn two_hundred_rows_are_kept_unless_said_otherwise() {
    let export = Export::decode(left(|_| {}, &all(), &todos(201), 7)).unwrap();
    assert_eq!((export.rows().count(), export.is_complete()), (200, false));
}

#[test]
fn what_is_too_large_is_left_out_from_the_end() {
    let stored = all_of(&todos(10));
    let rows = stored.len() - stored.iter().position(|&byte| byte == b'\n').unwrap() - 1;
    let stored = left(|config| config.bytes = 3 * rows / 10, &all(), &todos(10), 7);
    let export = Export::decode(stored).unwrap();
    assert_eq!((export.rows().count(), export.is_complete()), (3, false));
}

#[test]
fn a_window_says_which_rows_it_holds() {
    let query = all().limit(2);
    let stored = left(|_| {}, &query, &todos(2), 7);
    let mut rig = rig();
    let watch = rig.watch(&query);
    let load = rig.load();
    rig.loaded(load, Some("ann"), Some(&stored));
    rig.connect();
    assert_eq!((rig.asked(), rig.shown(watch).len()), ((Some(2), Some(7)), 2));
}

#[test]
fn only_what_is_confirmed_is_stored() {
    let mut rig = rig();
    rig.visit(&all());
    rig.snapshot(1, &todos(2));
    rig.put(&Todo { text: "mine".into(), ..todos(1)[0].clone() });
    rig.put(&Todo::new("new", 5));
    rig.delete("001");
    rig.input(Input::Visible(false));
    let (user, lists) = rig.stores().pop().unwrap();
    assert_eq!(user, "ann");
    let export = Export::decode(lists[0].1.clone().unwrap()).unwrap();
    let rows: Vec<Todo> = export.rows().map(|row| serde_json::from_slice(row).unwrap()).collect();
    assert_eq!((rows, export.is_complete()), (todos(2), true));
}

#[test]
fn changes_are_stored_together_and_no_more_often_than_storage_takes_them() {
    let mut rig = rig();
    rig.visit(&all());
    rig.watch(&open());
    let load = rig.load();
    rig.loaded(load, Some("ann"), None);
    rig.snapshot(1, &todos(2));
    rig.snapshot(2, &todos(1));
    rig.wait(Duration::from_millis(199));
    assert!(rig.stores().is_empty());
    rig.wait(Duration::from_millis(1));
    let stores = rig.stores();
    assert_eq!((stores.len(), stores[0].1.len()), (1, 2), "both in one");
    // something that never rests is stored all the same
    let (mut since, mut stored) = (Duration::ZERO, 0);
    rig.input(Input::Stored);
    while stored == 0 && since < LATER {
        rig.change(1, &[Todo::new("busy", since.as_millis() as i64)], &[], &[]);
        since += Duration::from_millis(100);
        rig.wait(Duration::from_millis(100));
        stored += rig.stores().len();
    }
    assert_eq!(since, Duration::from_secs(2));
    // storage is not done with it
    rig.change(1, &[Todo::new("more", 1)], &[], &[]);
    rig.wait(LATER);
    assert!(rig.stores().is_empty());
    rig.input(Input::Stored);
    assert_eq!(rig.stores().len(), 1);
    rig.input(Input::Stored);
    rig.wait(Duration::from_secs(20));
    assert!(rig.stores().is_empty(), "nothing has changed");
}

#[test]
fn storage_that_never_answers_does_not_keep_anybody_awake() {
    let mut rig = rig();
    rig.visit(&all());
    rig.snapshot(1, &todos(1));
    rig.wait(Duration::from_millis(200));
    assert_eq!(rig.stores().len(), 1);
    rig.change(1, &[Todo::new("x", 1)], &[], &[]);
    let (since, mut stored) = (rig.now, 0);
    while stored == 0 {
        assert!(rig.wait_for_deadline() >= Duration::from_millis(100), "woken in vain");
        for output in rig.drain() {
            match output {
                Output::Send { .. } => rig.server(json!({"pong": 1})),
                Output::Store { .. } => stored += 1,
                _ => {}
            }
        }
    }
    assert!(rig.now - since >= Duration::from_secs(29), "it is asked again, and not soon");
}

#[test]
fn a_list_that_is_left_at_once_is_stored_with_the_next() {
    let mut rig = rig();
    let watch = rig.visit(&all());
    rig.snapshot(1, &todos(2));
    rig.core.unwatch(rig.now, watch);
    rig.wait(Duration::from_millis(200));
    let (_, lists) = rig.stores().pop().unwrap();
    assert_eq!(lists[0].0, *all().spec());
}

#[test]
fn what_is_not_stored_yet_is_when_the_client_ends() {
    let mut rig = rig();
    rig.visit(&all());
    rig.snapshot(1, &todos(2));
    rig.core.close(rig.now);
    assert_eq!(rig.stores().len(), 1);
}

#[test]
fn somebody_else_is_shown_their_own_rows() {
    let stored = all_of(&todos(3));
    let mut rig = rig();
    let watch = rig.watch(&all());
    let load = rig.load();
    rig.loaded(load, Some("ann"), Some(&stored));
    let write = rig.put(&Todo::new("written as ann", 1));
    rig.accept();
    rig.drain();
    rig.welcome_as("bob");
    assert!(rig.shown(watch).is_empty(), "nothing of the first");
    let outputs = rig.drain();
    let refused = outputs.iter().find_map(|output| match output {
        Output::Settled { write: which, result: Err(error) } if *which == write => {
            Some(error.code().to_owned())
        }
        _ => None,
    });
    assert_eq!(refused.as_deref(), Some(code::PARKED), "nothing is sent as somebody else");
    let load = outputs.iter().find_map(|output| match output {
        Output::Load { load, user, .. } => Some((*load, user.clone())),
        _ => None,
    });
    let (load, user) = load.unwrap();
    assert_eq!(user.unwrap(), "bob");
    rig.loaded(load, Some("bob"), Some(&all_of(&todos(1))));
    assert_eq!((rig.shown(watch).len(), rig.cached(watch)), (1, (true, true)));
    rig.wait(Duration::from_millis(1));
    rig.accept();
    rig.welcome_as("bob");
    assert_eq!(rig.asked(), (None, Some(7)));
}

#[test]
fn rows_that_were_asked_for_before_it_was_known_who_is_here_are_not_shown_to_somebody_else() {
    let mut rig = rig();
    let watch = rig.watch(&all());
    let load = rig.load();
    rig.accept();
    rig.welcome_as("bob");
    rig.loaded(load, Some("ann"), Some(&all_of(&todos(3))));
    assert!(rig.shown(watch).is_empty());
    let loads = rig.loads();
    assert_eq!((loads.len(), loads[0].1.as_ref().unwrap()), (1, &UserId::from("bob")));
    rig.loaded(loads[0].0, Some("bob"), None);
    assert_eq!(rig.asked(), (None, None));
}

#[test]
fn who_is_here_is_known_to_storage_before_anything_is_stored() {
    let mut rig = rig();
    rig.watch(&all());
    let load = rig.load();
    rig.loaded(load, Some("ann"), None);
    rig.accept();
    rig.welcome_as("bob");
    rig.wait(Duration::from_millis(200));
    let stores = rig.stores();
    assert_eq!((stores.len(), &stores[0].0, stores[0].1.len()), (1, &UserId::from("bob"), 0));
}

#[test]
fn another_version_of_the_application_starts_anew() {
    let stored = all_of(&todos(3));
    let mut rig = Rig::with(|config| {
        (config.cache, config.schema_version) = (Some(CacheConfig::default()), 1);
    });
    let watch = rig.watch(&all());
    let load = rig.load();
    rig.loaded(load, Some("ann"), Some(&stored));
    assert_eq!((rig.shown(watch).len(), rig.cached(watch)), (0, (false, false)));
    for garbage in [&b""[..], b"{}", b"\xff", &stored[..9], br#"{"syncline":2}"#] {
        let mut rig = self::rig();
        let watch = rig.watch(&all());
        let load = rig.load();
        rig.loaded(load, Some("ann"), Some(garbage));
        assert_eq!(rig.shown(watch).len(), 0);
        rig.connect();
        assert_eq!(rig.asked(), (None, None));
    }
}

#[test]
fn a_row_that_cannot_be_read_any_more_is_left_out_and_asked_for() {
    let mut stored = all_of(&todos(2));
    // each is JSON, of so many bytes
    stored.extend_from_slice(b"\x10{\"id\":7}\x0e{broken");
    let mut rig = rig();
    let watch = rig.watch(&all());
    let load = rig.load();
    rig.loaded(load, Some("ann"), Some(&stored));
    let state = rig.core.watch_state(watch);
    assert_eq!((rig.shown(watch).len(), state.error), (2, None));
    rig.connect();
    assert_eq!(rig.asked(), (Some(2), Some(7)), "it does not pass for all of it");
}

#[test]
fn what_was_stored_as_text_is_still_read() {
    let text = Export::decode(all_of(&todos(3))).unwrap().into_bytes();
    assert!(text.starts_with(br#"{"syncline":1,"#) && text.ends_with(b"}\n"));
    let mut rig = rig();
    let watch = rig.watch(&all());
    let load = rig.load();
    rig.loaded(load, Some("ann"), Some(&text));
    assert_eq!(rig.shown(watch), ["000", "001", "002"]);
    assert!(rig.cached(watch).0);
}

#[test]
fn what_is_cut_off_is_as_good_as_nothing() {
    let stored = all_of(&todos(3));
    let mut rig = rig();
    let watch = rig.watch(&all());
    let load = rig.load();
    rig.loaded(load, Some("ann"), Some(&stored[..stored.len() - 1]));
    assert!(rig.shown(watch).is_empty());
    rig.connect();
    assert_eq!(rig.asked(), (None, None));
}

#[test]
fn a_list_that_may_not_be_seen_any_more_is_not_kept() {
    let mut rig = rig();
    let watch = rig.watch(&all());
    let load = rig.load();
    rig.loaded(load, Some("ann"), Some(&all_of(&todos(2))));
    rig.connect();
    rig.drain();
    rig.server(json!({"failed": {"sub": 1, "error": {"code": "forbidden", "message": "no"}}}));
    assert!(rig.shown(watch).is_empty());
    rig.wait(Duration::from_millis(200));
    assert_eq!(rig.stores().pop().unwrap().1, [(all().spec().clone(), None)]);
}

#[test]
fn older_rows_do_not_take_the_place_of_newer_ones() {
    // one list was stored at version 9, another one at 7, with another text of the same row
    let stored = left(|_| {}, &open(), &todos(1), 7);
    let newer = Todo { text: "newer".into(), ..todos(1)[0].clone() };
    let mut rig = rig();
    let first = rig.watch(&all().limit(1));
    let load = rig.load();
    rig.loaded(load, Some("ann"), Some(&left(|_| {}, &all().limit(1), &[newer], 9)));
    let second = rig.watch(&open());
    let load = rig.load();
    rig.loaded(load, Some("ann"), Some(&stored));
    assert_eq!(rig.core.entries::<Todo>(first)[0].record.text, "newer");
    assert!(rig.shown(second).is_empty(), "half of a write could be in it");
    rig.connect();
    let asked = rig.subscribes();
    assert_eq!((asked[1]["cursor"]["version"].as_u64(), asked[1]["held"].is_object()), (Some(7), true));
}

#[test]
fn failing_storage_is_a_fact_of_the_connection() {
    let mut rig = rig();
    rig.watch(&all());
    rig.drain();
    let error = Error::new("storage_full", "no room");
    rig.input(Input::StorageDegraded(Some(error.clone())));
    assert!(rig.drain().iter().any(|output| matches!(output, Output::ConnectionChanged)));
    assert_eq!(rig.core.connection().storage_degraded, Some(error));
    rig.input(Input::StorageDegraded(None));
    assert_eq!(rig.core.connection().storage_degraded, None);
}

#[test]
fn after_somebody_has_left_nothing_is_stored_before_it_is_known_who_is_here() {
    let mut rig = rig();
    rig.visit(&all());
    rig.snapshot(1, &todos(2));
    rig.core.pause_storing(rig.now, false);
    rig.change(1, &[Todo::new("x", 1)], &[], &[]);
    rig.wait(LATER);
    rig.watch(&open());
    assert!(rig.drain().iter().all(|output| !matches!(output, Output::Store { .. } | Output::Load { .. })));
    rig.welcome_as("bob");
    rig.wait(Duration::from_millis(200));
    assert_eq!(rig.stores().pop().unwrap().0, "bob");
}

#[test]
fn nothing_is_stored_for_somebody_whom_the_server_lets_in_no_more() {
    let mut rig = rig();
    rig.visit(&all());
    rig.snapshot(1, &todos(2));
    rig.wait(LATER);
    rig.input(Input::Stored);
    rig.drain();
    rig.change(1, &[Todo::new("x", 1)], &[], &[]);
    let expired = json!({"code": code::UNAUTHENTICATED, "message": "the session has expired"});
    rig.server(json!({"error": expired}));
    assert_eq!(rig.core.connection().status.as_str(), "needs-auth");
    // they may have left in another tab, and what was kept may have been wiped there
    rig.wait(LATER);
    rig.input(Input::Visible(false));
    assert!(rig.stores().is_empty());
}

#[test]
fn storage_that_is_opened_anew_is_given_all_lists_again() {
    let mut rig = rig();
    rig.visit(&all());
    rig.snapshot(1, &todos(2));
    rig.wait(LATER);
    rig.input(Input::Stored);
    assert_eq!(rig.stores().len(), 1);
    rig.input(Input::StorageReplaced);
    rig.wait(LATER);
    let (user, lists) = rig.stores().pop().unwrap();
    assert_eq!((user.as_str(), lists.len()), ("ann", 1));
}

#[test]
fn what_was_brought_for_one_person_is_not_shown_to_the_next() {
    let mut rig = rig();
    let watch = rig.visit(&all());
    rig.snapshot(1, &todos(2));
    let export = rig.core.export(watch);
    let mut other = rig_with(|_| {});
    other.visit(&open());
    other.core.import(other.now, export.unwrap());
    other.welcome_as("bob");
    let watch = other.watch(&all());
    assert!(other.shown(watch).is_empty());
}

#[test]
fn without_a_cache_storage_is_not_asked() {
    let mut rig = Rig::new();
    rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &todos(2));
    rig.wait(LATER);
    assert!(rig.drain().iter().all(|output| !matches!(output, Output::Store { .. } | Output::Load { .. })));
}

#[test]
fn an_export_is_taken_up_at_once_wherever_it_comes_from() {
    let mut rig = Rig::new();
    let watch = rig.watch(&open());
    assert!(rig.core.export(watch).is_none(), "nothing is known yet");
    rig.connect();
    rig.version = 4;
    rig.snapshot(1, &[todos(3)[0].clone(), todos(3)[2].clone()]);
    let export = rig.core.export(watch).unwrap();
    let text = serde_json::to_string(&export).unwrap();
    let export: Export = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (export.query(), export.cursor().unwrap().version, export.is_complete()),
        (open().spec(), 4, true)
    );

    // before the watch, and after it
    let mut rig = Rig::new();
    rig.core.import(rig.now, export.clone());
    let watch = rig.watch(&open());
    assert_eq!((rig.shown(watch), rig.cached(watch)), (vec!["000".into(), "002".into()], (true, true)));
    assert_eq!(rig.core.export(watch), Some(export.clone()));
    let mut rig = Rig::new();
    let watch = rig.watch(&open());
    rig.core.import(rig.now, export);
    assert_eq!(rig.shown(watch), ["000", "002"]);
    rig.connect();
    assert_eq!(rig.asked(), (None, Some(4)));
}

#[test]
fn imports_that_nobody_watches_are_bounded() {
    let mut rig = Rig::new();
    let watch = rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &todos(1));
    let export = rig.core.export(watch).unwrap();
    let text = String::from_utf8(export.into_bytes()).unwrap();
    let mut rig = Rig::new();
    for n in 0..300 {
        let other = text.replace("\"list\"", &format!("\"list-{n}\""));
        rig.core.import(rig.now, Export::decode(other).unwrap());
    }
    let (first, last) = (Query::<Todo>::in_space("list-0"), Query::<Todo>::in_space("list-299"));
    let (first, last) =
        (rig.watch(&first.order_by(Todo::position)), rig.watch(&last.order_by(Todo::position)));
    assert_eq!((rig.shown(first).len(), rig.shown(last).len()), (0, 1));
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn rows()(
            rows in prop::collection::btree_map("[a-e]{1,3}", (-3i64..3, any::<bool>(), "\\PC{0,6}"), 0..30)
        ) -> Vec<Todo> {
            let row = |(id, (position, done, text))| Todo { id, text, done, position };
            rows.into_iter().map(row).collect()
        }
    }

    proptest! {
        /// Whatever is stored comes back as it was, as far as it is stored.
        #[test]
        fn what_is_exported_and_imported_gives_the_same_view(
            rows in rows(),
            most in 1usize..40,
            limit in prop::option::of(1u32..20),
            descending in any::<bool>(),
        ) {
            let order = if descending { Todo::position.desc() } else { Todo::position.asc() };
            let mut query = Query::<Todo>::in_space("list").order_by(order);
            query = limit.map_or(query.clone(), |limit| query.limit(limit));
            // what the server would give
            let mut rows = rows;
            rows.sort_by(|a, b| {
                let by_position = a.position.cmp(&b.position);
                let by_position = if descending { by_position.reverse() } else { by_position };
                by_position.then_with(|| a.id.cmp(&b.id))
            });
            rows.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
            let stored = left(|config| config.rows = most, &query, &rows, 7);
            let mut rig = rig();
            let watch = rig.watch(&query);
            let load = rig.load();
            rig.loaded(load, Some("ann"), Some(&stored));
            let shown: Vec<Todo> =
                rig.core.entries::<Todo>(watch).iter().map(|entry| Todo::clone(&entry.record)).collect();
            let first: Vec<Todo> = rows.iter().take(most).cloned().collect();
            prop_assert_eq!(shown, first);
            // and what is exported then is what was stored
            if rows.len() <= most {
                let (again, stored) = (rig.core.export(watch).unwrap(), Export::decode(stored).unwrap());
                let rows = |export: &Export| -> Vec<Todo> {
                    export.rows().map(|row| serde_json::from_slice(row).unwrap()).collect()
                };
                prop_assert_eq!((again.cursor(), again.is_complete()), (stored.cursor(), stored.is_complete()));
                prop_assert_eq!(rows(&again), rows(&stored));
            }
        }
    }
}
