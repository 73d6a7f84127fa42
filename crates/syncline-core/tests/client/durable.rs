//! Writes outlive the page: stored until they have a verdict, and brought to the server by another page when theirs is
//! gone, but never under another identity.

use std::time::Duration;

use serde_json::{Value, json};
use syncline_core::client::{CacheConfig, Input, Output, StoredWrite, WriteName};
use syncline_core::{Channel, ClientId, Draft, Error, UserId, code};

use crate::rig::{Rig, Todo, all, list};

/// What storage was asked to do, and by which batch.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) batch: u64,
    pub(crate) user: UserId,
    pub(crate) put: Vec<StoredWrite>,
    pub(crate) del: Vec<WriteName>,
}

pub(crate) fn rig() -> Rig {
    Rig::with(|config| config.cache = Some(CacheConfig::default()))
}

impl Rig {
    pub(crate) fn keeps(&mut self) -> Vec<Asked> {
        let asked = |output| match output {
            Output::StoreWrites { batch, user, put, del } => Some(Asked { batch, user, put, del }),
            _ => None,
        };
        self.drain().into_iter().filter_map(asked).collect()
    }

    pub(crate) fn adopts(&mut self) -> Vec<Option<UserId>> {
        let adopt = |output| match output {
            Output::Adopt { user } => Some(user),
            _ => None,
        };
        self.drain().into_iter().filter_map(adopt).collect()
    }

    pub(crate) fn stored(&mut self, batch: u64) {
        self.input(Input::WritesStored { batch, result: Ok(()) });
    }

    pub(crate) fn adopt(&mut self, user: &str, client: &str, writes: &[StoredWrite]) {
        let (user, client) = (UserId::from(user), ClientId::from(client));
        self.input(Input::Adopted { user, client, writes: writes.to_vec() });
    }

    pub(crate) fn ends(&mut self) -> Vec<String> {
        let ended = |output| match output {
            Output::Settled { result: Err(error), .. } => Some(error.code().to_owned()),
            Output::Settled { .. } => Some("applied".into()),
            _ => None,
        };
        self.drain().into_iter().filter_map(ended).collect()
    }

    pub(crate) fn unsaved(&self) -> usize {
        self.core.connection().unsaved
    }

    /// The connection is lost, and another one is being opened.
    pub(crate) fn reopen(&mut self) {
        self.drain();
        let before = self.attempt;
        self.lose();
        while self.attempt == before {
            self.wait_for_deadline();
            self.drain();
        }
    }

    pub(crate) fn connect_as(&mut self, user: &str) {
        self.accept();
        self.welcome_of(user, 2_097_152);
    }
}

pub(crate) fn left_behind(client: &str, id: u64, todo: &Todo) -> StoredWrite {
    let name = WriteName { space: "list".into(), client: client.into(), id };
    let payload = json!({"ops": [{"put": ["todos", todo]}]});
    StoredWrite { name, kind: "rows".into(), payload: serde_json::value::to_raw_value(&payload).unwrap() }
}

pub(crate) fn ids(writes: &[StoredWrite]) -> Vec<(String, u64)> {
    writes.iter().map(|write| (write.name.client.to_string(), write.name.id)).collect()
}

/// The writes among frames, by author and number.
pub(crate) fn sent(frames: &[Value]) -> Vec<(String, u64)> {
    let write = |frame: &Value| {
        let write = frame.get("write")?;
        Some((write["client"].as_str()?.to_owned(), write["id"].as_u64()?))
    };
    frames.iter().filter_map(write).collect()
}

#[test]
fn a_write_is_stored_until_it_has_its_verdict() {
    let mut rig = rig();
    rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[]);
    rig.drain();
    rig.put(&Todo::new("a", 1));
    let asked = rig.keeps();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].user.as_str(), ids(&asked[0].put)), ("ann", vec![("client-1".into(), 1)]));
    assert_eq!(rig.unsaved(), 1, "storage has not answered");
    rig.stored(asked[0].batch);
    assert_eq!(rig.unsaved(), 0);
    rig.change(1, &[Todo::new("a", 1)], &[], &[1]);
    let asked = rig.keeps();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].put.len(), asked[0].del.len(), asked[0].del[0].id), (0, 1, 1));
}

#[test]
fn a_write_of_somebody_unknown_is_stored_once_they_are_known() {
    let mut rig = rig();
    rig.watch(&all());
    rig.put(&Todo::new("a", 1));
    assert!(rig.keeps().is_empty());
    assert_eq!(rig.unsaved(), 1);
    rig.connect();
    let asked = rig.keeps();
    assert_eq!(ids(&asked[0].put), [("client-1".into(), 1)]);
}

#[test]
fn a_write_made_while_away_is_stored_for_whoever_was_here_last() {
    let mut rig = rig();
    rig.watch(&all());
    let load = rig.drain().into_iter().find_map(|output| match output {
        Output::Load { load, .. } => Some(load),
        _ => None,
    });
    rig.input(Input::Loaded { load: load.unwrap(), user: Some("ann".into()), stored: None });
    rig.put(&Todo::new("a", 1));
    assert_eq!(rig.keeps()[0].user.as_str(), "ann");
}

#[test]
fn a_write_of_a_page_that_watches_nothing_is_stored_once_storage_says_who_was_here_last() {
    let mut rig = rig();
    rig.looks = false;
    rig.put(&Todo::new("a", 1));
    assert_eq!(rig.adopts(), [None]);
    rig.input(Input::AdoptDone { user: Some("ann".into()) });
    let outputs = rig.drain();
    let asked = outputs.iter().find_map(|output| match output {
        Output::StoreWrites { user, put, .. } => Some((user.as_str().to_owned(), put.len())),
        _ => None,
    });
    assert_eq!(asked, Some(("ann".into(), 1)));
    let looks = outputs.iter().filter(|output| matches!(output, Output::Adopt { .. })).count();
    assert_eq!(looks, 0, "that was the look for what she has left");
}

#[test]
fn a_write_that_was_made_before_storage_answered_is_stored_too() {
    let mut rig = rig();
    rig.watch(&all());
    let load = rig.drain().into_iter().find_map(|output| match output {
        Output::Load { load, .. } => Some(load),
        _ => None,
    });
    rig.put(&Todo::new("a", 1));
    rig.input(Input::Loaded { load: load.unwrap(), user: Some("ann".into()), stored: None });
    assert_eq!(rig.keeps()[0].user.as_str(), "ann");
}

#[test]
fn what_storage_cannot_keep_counts_as_unsaved_and_is_stored_when_it_works_again() {
    let mut rig = rig();
    rig.watch(&all());
    rig.connect();
    rig.put(&Todo::new("a", 1));
    let batch = rig.keeps()[0].batch;
    let full = Error::new(code::STORAGE_FULL, "full");
    rig.input(Input::StorageDegraded(Some(full.clone())));
    rig.input(Input::WritesStored { batch, result: Err(full) });
    assert_eq!(rig.unsaved(), 1);
    rig.put(&Todo::new("b", 2));
    assert!(rig.keeps().is_empty(), "it would not be kept");
    assert_eq!(rig.unsaved(), 2);
    rig.input(Input::StorageDegraded(None));
    rig.wait(Duration::from_secs(5));
    assert_eq!(ids(&rig.keeps()[0].put), [("client-1".into(), 1), ("client-1".into(), 2)]);
}

#[test]
fn a_queue_that_is_adopted_keeps_its_author_and_its_numbers() {
    let mut rig = rig();
    let watch = rig.watch(&all());
    assert_eq!(rig.adopts(), [None], "of whoever was here last");
    let writes =
        [left_behind("client-0", 4, &Todo::new("a", 1)), left_behind("client-0", 5, &Todo::new("b", 2))];
    rig.adopt("ann", "client-0", &writes);
    assert_eq!(rig.shown(watch), ["a?", "b?"]);
    assert_eq!((rig.core.connection().pending, rig.unsaved()), (2, 0));
    rig.put(&Todo::new("c", 3));
    rig.connect();
    let expected = [("client-0".into(), 4), ("client-0".into(), 5), ("client-1".into(), 1)];
    assert_eq!(sent(&rig.sent()), expected);
    rig.snapshot(1, &[]);
    rig.server(json!({"changes": {"space": "list", "from": 0, "to": 0, "acks": [
        {"client": "client-0", "id": 4}, {"client": "client-0", "id": 5}]}}));
    rig.stored(1);
    let gone: Vec<_> = rig.keeps().into_iter().flat_map(|asked| asked.del).map(|name| name.id).collect();
    assert_eq!(gone, [4, 5]);
}

#[test]
fn what_was_left_behind_goes_before_what_is_made_while_storage_looks_for_it() {
    let mut rig = rig();
    rig.looks = false;
    let watch = rig.watch(&all());
    rig.put(&Todo { text: "later".into(), ..Todo::new("a", 1) });
    rig.put(&Todo::new("c", 3));
    rig.connect();
    rig.snapshot(1, &[]);
    assert!(sent(&rig.sent()).is_empty(), "storage has not answered");
    let writes =
        [left_behind("client-0", 4, &Todo::new("a", 1)), left_behind("client-0", 5, &Todo::new("b", 2))];
    rig.adopt("ann", "client-0", &writes);
    assert_eq!(rig.shown(watch), ["a?", "b?", "c?"]);
    assert_eq!(rig.core.row::<Todo>(&list(), "a").unwrap().record.text, "later");
    rig.input(Input::AdoptDone { user: None });
    assert!(sent(&rig.sent()).is_empty(), "for Ann it was asked once more when she was known");
    rig.input(Input::AdoptDone { user: None });
    let expected: Vec<(String, u64)> = [("client-0", 4), ("client-0", 5), ("client-1", 1), ("client-1", 2)]
        .map(|(client, id)| (client.into(), id))
        .into();
    assert_eq!(sent(&rig.sent()), expected);
    // from now on what others leave behind is younger than what has been sent
    rig.put(&Todo::new("d", 4));
    rig.adopt(
        "ann",
        "client-2",
        &[left_behind("client-2", 1, &Todo { text: "last".into(), ..Todo::new("d", 4) })],
    );
    assert_eq!(sent(&rig.sent()), [("client-1".into(), 3), ("client-2".into(), 1)]);
    assert_eq!(rig.core.row::<Todo>(&list(), "d").unwrap().record.text, "last");
}

/// Deletes whatever there is.
struct Clearing;

impl Channel for Clearing {
    const NAME: &'static str = "clearing";
    type Record = Todo;
    type Action = ();
    type Output = ();
    type Error = Error;

    fn reduce(todos: &mut Draft<'_, Todo>, (): &()) {
        let all: Vec<_> = todos.rows().into_iter().map(|row| row.id.clone()).collect();
        for id in &all {
            todos.remove(id);
        }
    }
}

#[test]
fn an_action_that_looked_at_all_rows_looks_at_those_that_come_before_it() {
    let mut rig = rig();
    let watch = rig.watch(&all());
    rig.core.send_action::<Clearing>(rig.now, &list(), ()).unwrap();
    rig.adopt("ann", "client-0", &[left_behind("client-0", 1, &Todo::new("a", 1))]);
    assert_eq!(rig.shown(watch), Vec::<String>::new());
}

#[test]
fn what_the_server_has_done_already_is_not_covered_by_what_comes_after_it() {
    let mut rig = rig();
    let watch = rig.watch(&all());
    rig.connect();
    rig.put(&Todo { text: "done".into(), ..Todo::new("a", 1) });
    // applied, but the list does not have its rows yet
    rig.server(json!({"changes": {"space": "list", "from": 0, "to": 0, "acks": [
        {"client": "client-1", "id": 1}]}}));
    assert_eq!(rig.core.row::<Todo>(&list(), "a").unwrap().record.text, "done");
    rig.adopt(
        "ann",
        "client-0",
        &[left_behind("client-0", 1, &Todo { text: "after".into(), ..Todo::new("a", 1) })],
    );
    assert_eq!(rig.core.row::<Todo>(&list(), "a").unwrap().record.text, "after");
    assert_eq!(rig.shown(watch), ["a?"]);
}

#[test]
fn storage_that_does_not_answer_holds_writes_up_for_two_seconds() {
    let mut rig = rig();
    rig.looks = false;
    rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[]);
    rig.put(&Todo::new("a", 1));
    rig.wait(Duration::from_millis(1_999));
    assert!(sent(&rig.sent()).is_empty());
    assert_eq!(rig.wait_for_deadline(), Duration::from_millis(1));
    assert_eq!(sent(&rig.sent()), [("client-1".into(), 1)]);
    assert!(
        rig.wait_for_deadline() > Duration::from_millis(1),
        "and it does not ask for the time again and again"
    );
}

#[test]
fn a_queue_that_is_offered_again_is_not_taken_twice() {
    let mut rig = rig();
    let watch = rig.watch(&all());
    let writes = [left_behind("client-0", 1, &Todo::new("a", 1))];
    rig.adopt("ann", "client-0", &writes);
    rig.adopt("ann", "client-0", &writes);
    assert_eq!((rig.shown(watch), rig.core.connection().pending), (vec!["a?".into()], 1));
    // one's own comes back too when another tab could not be told from this one
    rig.adopt("ann", "client-1", &[left_behind("client-1", 1, &Todo::new("x", 1))]);
    assert_eq!(rig.core.connection().pending, 1);
}

#[test]
fn an_adopted_write_of_a_list_that_nobody_looks_at_is_sent_all_the_same() {
    let mut rig = rig();
    let mut write = left_behind("client-0", 1, &Todo::new("a", 1));
    write.payload =
        serde_json::value::to_raw_value(&json!({"ops": [{"delete": ["elsewhere", "x"]}]})).unwrap();
    rig.watch(&all());
    rig.adopt("ann", "client-0", &[write]);
    rig.connect();
    assert_eq!(sent(&rig.sent()), [("client-0".into(), 1)]);
}

#[test]
fn an_adopted_write_is_shown_once_its_collection_is_known() {
    let mut rig = rig();
    rig.adopt("ann", "client-0", &[left_behind("client-0", 1, &Todo::new("a", 1))]);
    let watch = rig.watch(&all());
    assert_eq!(rig.shown(watch), ["a?"]);
}

#[test]
fn nothing_is_pushed_under_another_identity() {
    let mut rig = rig();
    let watch = rig.watch(&all());
    rig.adopt("ann", "client-0", &[left_behind("client-0", 1, &Todo::new("a", 1))]);
    rig.put(&Todo::new("b", 2));
    let batch = rig.keeps()[0].batch;
    rig.stored(batch);
    rig.connect_as("bob");
    assert_eq!(rig.shown(watch), Vec::<String>::new());
    assert_eq!(rig.ends(), ["parked", "parked"]);
    assert!(sent(&rig.sent()).is_empty());
    assert!(rig.keeps().is_empty(), "they stay in storage for Ann");
    rig.adopt("ann", "client-0", &[left_behind("client-0", 1, &Todo::new("a", 1))]);
    assert_eq!(rig.core.connection().pending, 0, "Bob does not get them");
}

#[test]
fn a_queue_is_looked_for_again_for_whoever_comes_and_now_and_then() {
    let mut rig = rig();
    rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[]);
    assert_eq!(rig.adopts().last(), Some(&Some("ann".into())));
    let mut found = Vec::new();
    for _ in 0..25 {
        rig.wait(Duration::from_secs(1));
        found.extend(rig.adopts());
    }
    assert!((1..=2).contains(&found.len()), "{found:?}");
    rig.input(Input::Visible(true));
    assert_eq!(rig.adopts(), [Some("ann".into())]);
}

#[test]
fn writes_wait_where_their_author_has_parked_them_and_are_gone_where_they_were_wiped() {
    for (wipe, expected) in [(false, "parked"), (true, "foreign_client")] {
        let mut rig = rig();
        rig.watch(&all());
        rig.connect();
        rig.put(&Todo::new("a", 1));
        let batch = rig.keeps()[0].batch;
        rig.stored(batch);
        rig.core.pause_storing(rig.now, wipe);
        rig.lose();
        rig.wait_for_deadline();
        rig.connect_as("bob");
        assert_eq!(rig.ends(), [expected]);
    }
}

#[test]
fn what_comes_while_storage_is_at_work_goes_with_the_next_batch() {
    let mut rig = rig();
    rig.watch(&all());
    rig.connect();
    for key in ["a", "b", "c"] {
        rig.put(&Todo::new(key, 1));
    }
    let asked = rig.keeps();
    assert_eq!((asked.len(), ids(&asked[0].put).len()), (1, 1));
    rig.stored(asked[0].batch);
    assert_eq!(ids(&rig.keeps()[0].put), [("client-1".into(), 2), ("client-1".into(), 3)]);
    // storage that never answers is asked again
    rig.wait(Duration::from_secs(31));
    assert_eq!(ids(&rig.keeps()[0].put), [("client-1".into(), 2), ("client-1".into(), 3)]);
}

#[test]
fn numbers_given_anew_are_stored_anew() {
    let mut rig = rig();
    rig.watch(&all());
    rig.connect();
    // storage does not answer
    rig.wait(Duration::from_secs(1));
    let sub = rig.newest_sub();
    rig.snapshot(sub, &[]);
    for key in ["a", "b", "c"] {
        rig.put(&Todo::new(key, 1));
    }
    rig.change(sub, &[Todo::new("a", 1)], &[], &[1]);
    for _ in 0..3 {
        rig.keeps().iter().for_each(|asked| rig.stored(asked.batch));
    }
    assert_eq!(rig.unsaved(), 0);
    rig.lose();
    rig.wait_for_deadline();
    rig.connect();
    let sub = rig.newest_sub();
    rig.snapshot(sub, &[]);
    // a server restored from an older copy has never heard of the first
    rig.server(
        json!({"changes": {"space": "list", "from": 1, "to": 1, "acks": [{"client": "client-1", "id": 2,
        "expected": 1, "error": {"code": "write_gap", "message": "an earlier write is missing"}}]}}),
    );
    let asked = rig.keeps();
    let del: Vec<_> = asked[0].del.iter().map(|name| name.id).collect();
    assert_eq!((del, ids(&asked[0].put)), (vec![2, 3], vec![("client-1".into(), 1), ("client-1".into(), 2)]));
}

#[test]
fn what_another_database_may_lack_is_stored_again() {
    let mut rig = rig();
    rig.watch(&all());
    rig.connect();
    rig.put(&Todo::new("a", 1));
    let batch = rig.keeps()[0].batch;
    rig.stored(batch);
    rig.input(Input::StorageReplaced);
    assert_eq!(rig.unsaved(), 1);
    let asked = rig.keeps();
    assert_eq!(ids(&asked[0].put), [("client-1".into(), 1)]);
    // what is on its way comes into the new one
    rig.input(Input::StorageReplaced);
    rig.stored(asked[0].batch);
    assert_eq!((rig.keeps().len(), rig.unsaved()), (0, 0));
}

#[test]
fn what_waits_behind_a_batch_is_stored_when_the_client_is_closed() {
    let mut rig = rig();
    rig.watch(&all());
    rig.connect();
    for key in ["a", "b", "c"] {
        rig.put(&Todo::new(key, 1));
    }
    assert_eq!(ids(&rig.keeps()[0].put), [("client-1".into(), 1)]);
    rig.core.close(rig.now);
    assert_eq!(ids(&rig.keeps()[0].put), [("client-1".into(), 2), ("client-1".into(), 3)]);
}

#[test]
fn a_write_that_was_not_let_go_is_let_go_later() {
    let mut rig = rig();
    rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[]);
    rig.put(&Todo::new("a", 1));
    let batch = rig.keeps()[0].batch;
    rig.stored(batch);
    rig.change(1, &[Todo::new("a", 1)], &[], &[1]);
    let asked = rig.keeps();
    assert_eq!(asked[0].del.len(), 1);
    let lost = Error::new(code::STORAGE_LOST, "lost");
    rig.input(Input::WritesStored { batch: asked[0].batch, result: Err(lost) });
    assert!(rig.core.deadline().is_some_and(|at| at <= rig.now + Duration::from_secs(5)));
    rig.wait(Duration::from_secs(5));
    let asked = rig.keeps();
    assert_eq!((asked[0].del.len(), asked[0].del[0].id), (1, 1));
    rig.stored(asked[0].batch);
    rig.wait(Duration::from_secs(40));
    assert!(rig.keeps().is_empty());
}

#[test]
fn a_settled_write_does_not_come_back_before_storage_has_let_it_go() {
    let mut rig = rig();
    rig.watch(&all());
    let mut elsewhere = left_behind("client-0", 1, &Todo::new("x", 1));
    elsewhere.name.space = "elsewhere".into();
    rig.adopt("ann", "client-0", std::slice::from_ref(&elsewhere));
    rig.connect();
    rig.snapshot(1, &[]);
    rig.put(&Todo::new("a", 1));
    let batch = rig.keeps()[0].batch;
    // nothing else is in that space, and storage is at work
    rig.server(json!({"changes": {"space": "elsewhere", "from": 0, "to": 1, "acks": [
        {"client": "client-0", "id": 1}]}}));
    assert_eq!(rig.core.connection().pending, 1);
    rig.adopt("ann", "client-0", std::slice::from_ref(&elsewhere));
    assert_eq!(rig.core.connection().pending, 1, "it has its verdict");
    rig.stored(batch);
    let asked = rig.keeps();
    assert_eq!(asked[0].del, [elsewhere.name]);
}

#[test]
fn what_somebody_has_settled_is_let_go_after_they_have_left() {
    let mut rig = rig();
    rig.watch(&all());
    rig.connect();
    rig.snapshot(1, &[]);
    rig.put(&Todo::new("a", 1));
    rig.put(&Todo::new("b", 1));
    let batch = rig.keeps()[0].batch;
    rig.change(1, &[Todo::new("a", 1)], &[], &[1]);
    rig.reopen();
    rig.connect_as("bob");
    let asked = rig.keeps();
    assert!(asked[0].batch > batch);
    assert_eq!((asked[0].user.as_str(), asked[0].del[0].id), ("ann", 1));
}

#[test]
fn a_write_that_storage_is_about_to_keep_is_parked() {
    let mut rig = rig();
    rig.watch(&all());
    rig.connect();
    rig.put(&Todo::new("a", 1));
    assert_eq!(rig.keeps().len(), 1);
    rig.reopen();
    rig.connect_as("bob");
    assert_eq!(rig.ends(), ["parked"]);
}

#[test]
fn nothing_is_shown_of_somebody_who_has_left() {
    let mut rig = rig();
    let watch = rig.watch(&all());
    rig.core.pause_storing(rig.now, false);
    rig.adopt("ann", "client-0", &[left_behind("client-0", 1, &Todo::new("a", 1))]);
    assert_eq!((rig.shown(watch), rig.core.connection().pending), (vec![], 0));
}

#[test]
fn a_write_with_another_number_is_not_sent_before_storage_has_it() {
    for works in [true, false] {
        let mut rig = rig();
        rig.watch(&all());
        rig.connect();
        rig.snapshot(1, &[]);
        for key in ["a", "b"] {
            rig.put(&Todo::new(key, 1));
        }
        rig.change(1, &[Todo::new("a", 1)], &[], &[1]);
        for _ in 0..3 {
            rig.keeps().iter().for_each(|asked| rig.stored(asked.batch));
        }
        rig.reopen();
        rig.connect();
        let sub = rig.newest_sub();
        rig.snapshot(sub, &[]);
        rig.drain();
        rig.server(
            json!({"changes": {"space": "list", "from": 1, "to": 1, "acks": [{"client": "client-1", "id": 2,
            "expected": 1, "error": {"code": "write_gap", "message": "an earlier write is missing"}}]}}),
        );
        let batch = rig.keeps()[0].batch;
        rig.wait(Duration::from_secs(1));
        assert!(sent(&rig.sent()).is_empty(), "whoever adopts it would give it the number it had");
        let result = works.then_some(()).ok_or_else(|| Error::new(code::STORAGE_LOST, "lost"));
        rig.input(Input::WritesStored { batch, result });
        assert_eq!(sent(&rig.sent()), [("client-1".into(), 1)], "{works}");
    }
}
