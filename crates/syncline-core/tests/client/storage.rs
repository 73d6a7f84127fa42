//! Storage that fails, is replaced or is left: no write that has been settled comes up again, and none that waits is lost.

use std::time::Duration;

use syncline_core::client::{Input, Output};
use syncline_core::{Error, QuerySpec, code};

use crate::durable::{Asked, ids, left_behind, rig, sent};
use crate::rig::{Rig, Todo, all};

/// One that waits for the server is too large for it, and one behind that is not; storage has both.
fn stored_behind_a_large_one() -> Rig {
    let mut rig = rig();
    rig.watch(&all());
    rig.connect();
    rig.core.set_enabled(rig.now, false);
    rig.put(&Todo { text: "x".repeat(10_000), ..Todo::new("a", 1) });
    rig.put(&Todo::new("b", 2));
    for _ in 0..2 {
        rig.keeps().iter().for_each(|asked| rig.stored(asked.batch));
    }
    assert_eq!(rig.unsaved(), 0);
    rig
}

/// The lists that storage was given, or has to remove, and whose they are.
fn lists(outputs: Vec<Output>) -> Vec<(String, Vec<(QuerySpec, Option<Vec<u8>>)>)> {
    let lists = |output| match output {
        Output::Store { user, lists } => Some((user.to_string(), lists)),
        _ => None,
    };
    outputs.into_iter().filter_map(lists).collect()
}

/// What storage is to let go.
fn let_go(asked: &[Asked]) -> Vec<(String, u64)> {
    asked.iter().flat_map(|asked| &asked.del).map(|name| (name.client.to_string(), name.id)).collect()
}

fn live() -> Rig {
    let mut rig = rig();
    rig.watch(&all());
    let load = |output| match output {
        Output::Load { load, .. } => Some(load),
        _ => None,
    };
    let load = rig.drain().into_iter().find_map(load).unwrap();
    rig.input(Input::Loaded { load, user: Some("ann".into()), stored: None });
    rig.connect();
    rig.snapshot(1, &[]);
    rig.drain();
    rig
}

#[test]
fn a_write_is_let_go_though_storage_was_replaced_before_its_verdict() {
    let mut rig = live();
    rig.put(&Todo::new("a", 1));
    let batch = rig.keeps()[0].batch;
    rig.stored(batch);
    rig.put(&Todo::new("b", 2));
    let batch = rig.keeps()[0].batch;
    rig.input(Input::StorageReplaced);
    rig.change(1, &[Todo::new("a", 1)], &[], &[1]);
    rig.stored(batch);
    assert_eq!(let_go(&rig.keeps()), [("client-1".into(), 1)], "what was replaced may be back");
}

#[test]
fn a_write_is_let_go_though_storage_did_not_say_that_it_had_it() {
    let mut rig = live();
    rig.put(&Todo::new("a", 1));
    let batch = rig.keeps()[0].batch;
    let result = Err(Error::new(code::STORAGE_LOST, "it did not answer in time"));
    rig.input(Input::WritesStored { batch, result });
    rig.change(1, &[Todo::new("a", 1)], &[], &[1]);
    rig.wait(Duration::from_secs(5));
    assert_eq!(let_go(&rig.keeps()), [("client-1".into(), 1)]);
}

#[test]
fn a_write_that_storage_may_have_under_another_number_is_let_go_and_held_back() {
    let mut rig = rig();
    rig.watch(&all());
    rig.put(&Todo { text: "x".repeat(10_000), ..Todo::new("a", 1) });
    rig.put(&Todo::new("b", 2));
    rig.input(Input::AdoptDone { user: Some("ann".into()) });
    let asked = rig.keeps();
    assert_eq!(ids(&asked[0].put), [("client-1".into(), 1), ("client-1".into(), 2)]);
    let result = Err(Error::new(code::STORAGE_LOST, "it did not answer in time"));
    rig.input(Input::WritesStored { batch: asked[0].batch, result });
    rig.accept();
    rig.welcome_with(8192);
    assert!(
        rig.sent().iter().all(|frame| frame.get("write").is_none()),
        "it has the number of the first now"
    );
    rig.wait(Duration::from_secs(5));
    let asked = rig.keeps();
    assert_eq!(let_go(&asked), [("client-1".into(), 1), ("client-1".into(), 2)]);
    assert_eq!(ids(&asked[0].put), [("client-1".into(), 1)]);
}

#[test]
fn what_waits_behind_a_batch_is_parked_with_it() {
    for parks in [true, false] {
        let mut rig = live();
        rig.put(&Todo::new("a", 1));
        rig.put(&Todo::new("b", 2));
        assert_eq!(ids(&rig.keeps()[0].put), [("client-1".into(), 1)]);
        if parks {
            rig.core.pause_storing(rig.now, false);
            assert_eq!(ids(&rig.keeps()[0].put), [("client-1".into(), 2)]);
        }
        rig.reopen();
        rig.connect_as("bob");
        let (mut asked, mut ends) = (Vec::new(), Vec::new());
        for output in rig.drain() {
            match output {
                Output::StoreWrites { user, put, .. } => asked.push((user.to_string(), ids(&put))),
                Output::Settled { result: Err(error), .. } => ends.push(error.code().to_owned()),
                _ => {}
            }
        }
        let left = (!parks).then(|| ("ann".into(), vec![("client-1".into(), 2)]));
        assert_eq!((asked, ends), (Vec::from_iter(left), vec!["parked".into(), "parked".into()]));
    }
}

#[test]
fn what_storage_has_just_refused_is_given_to_it_once_more_before_it_is_parked() {
    let mut rig = live();
    rig.put(&Todo::new("a", 1));
    let batch = rig.keeps()[0].batch;
    let result = Err(Error::new(code::STORAGE_LOST, "lost"));
    rig.input(Input::WritesStored { batch, result });
    rig.core.pause_storing(rig.now, false);
    assert_eq!(ids(&rig.keeps()[0].put), [("client-1".into(), 1)]);
}

#[test]
fn a_list_that_may_not_be_seen_any_more_is_removed_though_somebody_leaves_at_once() {
    let mut rig = live();
    rig.server(serde_json::json!({"failed": {"sub": 1, "error": {"code": "forbidden", "message": "no"}}}));
    rig.core.pause_storing(rig.now, false);
    assert_eq!(lists(rig.drain()), [("ann".into(), vec![(all().spec().clone(), None)])]);
}

#[test]
fn a_list_that_may_not_be_seen_any_more_is_removed_though_somebody_else_comes_at_once() {
    let mut rig = live();
    rig.server(serde_json::json!({"failed": {"sub": 1, "error": {"code": "forbidden", "message": "no"}}}));
    rig.core.refresh_credentials(rig.now);
    rig.answer("of bob");
    rig.welcome_of("bob", 2_097_152);
    assert_eq!(lists(rig.drain()), [("ann".into(), vec![(all().spec().clone(), None)])]);
}

#[test]
fn what_waits_behind_a_batch_is_stored_when_the_page_is_hidden() {
    let mut rig = live();
    for key in ["a", "b", "c"] {
        rig.put(&Todo::new(key, 1));
    }
    assert_eq!(ids(&rig.keeps()[0].put), [("client-1".into(), 1)]);
    rig.input(Input::Visible(false));
    assert_eq!(ids(&rig.keeps()[0].put), [("client-1".into(), 2), ("client-1".into(), 3)]);
}

#[test]
fn what_somebody_has_parked_is_not_measured_by_the_limits_of_who_comes_next() {
    let mut rig = stored_behind_a_large_one();
    rig.core.set_enabled(rig.now, true);
    rig.accept();
    rig.welcome_of("bob", 8192);
    let (mut asked, mut ends) = (Vec::new(), Vec::new());
    for output in rig.drain() {
        match output {
            Output::StoreWrites { put, del, .. } => asked.push((put.len(), del.len())),
            Output::Settled { result: Err(error), .. } => ends.push(error.code().to_owned()),
            _ => {}
        }
    }
    assert_eq!((asked, ends), (vec![], vec!["parked".to_owned(); 2]));
}

#[test]
fn what_moves_up_while_storage_keeps_nothing_is_not_held_back() {
    let mut rig = stored_behind_a_large_one();
    rig.input(Input::StorageDegraded(Some(Error::new(code::STORAGE_FULL, "full"))));
    rig.core.set_enabled(rig.now, true);
    rig.accept();
    rig.drain();
    rig.welcome_with(8192);
    assert_eq!(sent(&rig.sent()), [("client-1".into(), 1)]);
}

#[test]
fn what_moves_up_when_its_author_is_back_is_held_until_storage_has_it() {
    let mut rig = stored_behind_a_large_one();
    rig.core.pause_storing(rig.now, false);
    rig.core.set_enabled(rig.now, true);
    rig.accept();
    rig.drain();
    rig.welcome_with(8192);
    let (mut frames, mut asked) = (Vec::new(), Vec::new());
    for output in rig.drain() {
        match output {
            Output::Send { frame, .. } => frames.push(serde_json::from_slice(&frame).unwrap()),
            Output::StoreWrites { batch, put, del, .. } => asked.push((batch, ids(&put), del.len())),
            _ => {}
        }
    }
    assert_eq!(sent(&frames), [], "it has the number of the first now");
    assert_eq!(asked.len(), 1);
    let (batch, put, del) = asked.remove(0);
    assert_eq!((put, del), (vec![("client-1".into(), 1)], 2));
    rig.stored(batch);
    assert_eq!(sent(&rig.sent()), [("client-1".into(), 1)]);
}

#[test]
fn what_storage_has_refused_and_is_not_given_again_is_not_parked() {
    let mut rig = live();
    rig.put(&Todo::new("a", 1));
    let batch = rig.keeps()[0].batch;
    let full = || Error::new(code::STORAGE_FULL, "full");
    rig.input(Input::WritesStored { batch, result: Err(full()) });
    rig.input(Input::StorageDegraded(Some(full())));
    rig.reopen();
    rig.connect_as("bob");
    assert_eq!(rig.ends(), ["foreign_client"]);
}

#[test]
fn what_was_stored_before_storage_was_opened_anew_is_parked() {
    let mut rig = live();
    rig.put(&Todo::new("a", 1));
    let batch = rig.keeps()[0].batch;
    rig.stored(batch);
    rig.core.pause_storing(rig.now, false);
    rig.input(Input::StorageReplaced);
    rig.reopen();
    rig.connect_as("bob");
    assert_eq!(rig.ends(), ["parked"]);
}

#[test]
fn a_write_is_not_let_go_for_one_before_it_that_had_its_number() {
    for is_hidden_again in [false, true] {
        let mut rig = rig();
        rig.watch(&all());
        rig.connect();
        rig.core.set_enabled(rig.now, false);
        rig.put(&Todo { text: "x".repeat(10_000), ..Todo::new("a", 1) });
        rig.keeps().iter().for_each(|asked| rig.stored(asked.batch));
        rig.core.set_enabled(rig.now, true);
        rig.accept();
        rig.welcome_with(8192);
        let first = rig.keeps();
        assert_eq!(let_go(&first), [("client-1".into(), 1)]);
        rig.put(&Todo::new("b", 2));
        rig.input(Input::Visible(false));
        let second = rig.keeps();
        assert_eq!((ids(&second[0].put), let_go(&second)), (vec![("client-1".into(), 1)], vec![]));
        let result = Err(Error::new(code::STORAGE_LOST, "lost"));
        rig.input(Input::WritesStored { batch: first[0].batch, result });
        if is_hidden_again {
            rig.input(Input::Visible(false));
            assert_eq!(let_go(&rig.keeps()), [], "the second may be there in its place");
        }
        rig.stored(second[0].batch);
        assert_eq!((rig.unsaved(), let_go(&rig.keeps())), (0, vec![]), "it is");
    }
}

#[test]
fn what_was_left_behind_and_is_too_large_for_the_server_is_refused_alone() {
    // before the server has said how much it takes, and after
    for is_early in [true, false] {
        let mut rig = rig();
        rig.watch(&all());
        let large = Todo { text: "x".repeat(10_000), ..Todo::new("b", 2) };
        let writes =
            [Todo::new("a", 1), large, Todo::new("c", 3)].map(|todo| (todo.position as u64 + 3, todo));
        let writes = writes.map(|(id, todo)| left_behind("client-0", id, &todo));
        if is_early {
            rig.adopt("ann", "client-0", &writes);
        }
        rig.accept();
        rig.welcome_with(8192);
        if !is_early {
            rig.adopt("ann", "client-0", &writes);
        }
        let (mut frames, mut ends) = (Vec::new(), Vec::new());
        for output in rig.drain() {
            match output {
                Output::Send { frame, .. } => frames.push(serde_json::from_slice(&frame).unwrap()),
                Output::Settled { result: Err(error), .. } => ends.push(error.code().to_owned()),
                _ => {}
            }
        }
        assert_eq!(ends, ["value_too_large"]);
        rig.stored(1);
        // the page that is gone may have sent them all
        assert_eq!(sent(&frames), [("client-0".into(), 4), ("client-0".into(), 6)]);
        // it has sent only the first, and the server waits for the next
        rig.server(serde_json::json!({"changes": {"space": "list", "from": 0, "to": 0, "acks": [
            {"client": "client-0", "id": 4},
            {"client": "client-0", "id": 6, "expected": 5,
                "error": {"code": "write_gap", "message": "an earlier write is missing"}}]}}));
        let asked = rig.keeps();
        assert_eq!(ids(&asked[0].put), [("client-0".into(), 5)]);
        let gone: Vec<_> = let_go(&asked).into_iter().map(|(_, id)| id).collect();
        assert_eq!(gone, [4, 6], "the second has gone before");
        rig.stored(asked[0].batch);
        rig.wait(Duration::from_millis(200));
        assert_eq!(sent(&rig.sent()), [("client-0".into(), 5)]);
    }
}

#[test]
fn storage_that_never_answers_is_given_all_again_that_it_was_given_at_once() {
    let mut rig = live();
    rig.put(&Todo::new("a", 1));
    rig.put(&Todo::new("b", 2));
    rig.input(Input::Visible(false));
    let given: Vec<_> = rig.keeps().iter().flat_map(|asked| ids(&asked.put)).collect();
    assert_eq!(given, [("client-1".into(), 1), ("client-1".into(), 2)]);
    rig.wait(Duration::from_secs(31));
    assert_eq!(ids(&rig.keeps()[0].put), given);
}
