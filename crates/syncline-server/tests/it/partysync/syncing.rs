//! Syncs: everything, or what has changed since.

use serde_json::{Value, json};
use syncline_server::{Config, Memory, Sqlite};
use tempfile::TempDir;

use crate::support::Server;
use crate::support::party::{Held, PartyClient, create, delete, ids, server, sync, todos, update};

/// Waits until the clock shows another millisecond, so that what happens next has a time of its own.
async fn next_ms() {
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let before = now();
    // a whole one at least: the server's clock need not turn when this one does
    while now() < before + 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_was_away_is_told_what_changed_and_what_is_gone() {
    let server = server().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    let mut held = Held::default();
    for id in ["t1", "t2", "t3"] {
        next_ms().await;
        ada.call(&create(id)).await;
    }
    held.take(&bob.hear().await);
    held.take(&bob.hear().await);
    held.take(&bob.hear().await);
    bob.close().await;
    next_ms().await;
    ada.call(&delete("t1")).await;
    ada.call(&update("t2", "changed")).await;
    next_ms().await;
    ada.call(&create("t4")).await;

    let mut bob = PartyClient::open(&server, "a", "bob").await;
    let reply = bob.sync(held.newest()).await;
    let mut told = ids(&reply);
    told.sort();
    assert_eq!(told, ["-t1", "t2", "t4"]);
    let gone = reply["payload"].as_array().unwrap().iter().find(|row| row[0] == "t1").unwrap();
    assert_eq!(gone[1], "text of t1", "it is still known what it was");
    held.take(&reply);
    assert_eq!(held.ids(), ["t2", "t3", "t4"]);
    let mut fresh = Held::default();
    fresh.take(&bob.sync(Value::Null).await);
    assert_eq!(held, fresh, "and times say the same however they came");
    // whoever has everything is told nothing
    assert_eq!(bob.sync(held.newest()).await["payload"], json!([]));
    assert_eq!(bob.sync(json!(4_000_000_000_000_u64)).await["payload"], json!([]));
    assert_eq!(ids(&bob.sync(0).await).len(), 3);
    // and lives on
    ada.call(&delete("t3")).await;
    assert_eq!(ids(&bob.hear().await), ["-t3"]);
}

#[tokio::test]
async fn it_is_the_same_after_a_restart_but_for_what_deleted_rows_were() {
    let folder = TempDir::new().unwrap();
    let start = async || {
        let storage = Sqlite::open(folder.path().join("spaces.db")).unwrap();
        Server::of(todos(storage).build().await.unwrap()).await
    };
    let server = start().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut held = Held::default();
    held.take(&ada.call(&create("t1")).await);
    held.take(&ada.call(&create("t2")).await);
    next_ms().await;
    let deleted = ada.call(&delete("t1")).await["result"][0][5].clone();
    ada.call(&update("t2", "changed")).await;
    let before = ada.sync(Value::Null).await;
    drop(ada);
    server.stop().await;

    let server = start().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    assert_eq!(ada.sync(Value::Null).await, before, "times are in the log");
    let reply = ada.sync(held.newest()).await;
    let gone = reply["payload"].as_array().unwrap().iter().find(|row| row[0] == "t1").unwrap();
    assert_eq!((&gone[1], &gone[2], &gone[5]), (&Value::Null, &Value::Null, &deleted));
    held.take(&reply);
    assert_eq!(held.ids(), ["t2"]);
    server.stop().await;
}

#[tokio::test]
async fn beyond_the_log_everything_comes_and_what_there_was_goes() {
    let mut config = Config::default();
    config.engine.log_retention = 5;
    let server = Server::of(todos(Memory::new()).config(config).build().await.unwrap()).await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut held = Held::default();
    held.take(&ada.call(&create("t0")).await);
    for number in 1..6 {
        next_ms().await;
        ada.call(&create(&format!("t{number}"))).await;
    }
    // at the time of t5 it would be one of two changes, of which nobody can say which are known
    next_ms().await;
    ada.call(&delete("t0")).await;
    ada.say(&sync(held.newest())).await;
    let clear = ada.hear().await;
    assert_eq!(clear, json!({"broadcast": true, "type": "delete-all", "channel": "todos"}));
    held.take(&clear);
    held.take(&ada.hear().await);
    assert_eq!(held.ids(), ["t1", "t2", "t3", "t4", "t5"]);
    // within the log it is still told by what has changed
    let newest = held.newest();
    next_ms().await;
    ada.call(&create("t6")).await;
    assert_eq!(ids(&ada.sync(newest).await), ["t6", "-t0"]);
}

#[tokio::test]
async fn changes_of_one_time_are_never_missed() {
    let server = server().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    // whatever becomes of the times of these: who has seen the first few of them learns of the rest
    for number in 0..50 {
        ada.say(&crate::support::party::call("r", &create(&format!("t{number:02}")))).await;
    }
    let mut stages = vec![Held::default()];
    for _ in 0..50 {
        let told = bob.hear().await;
        let mut held = Held(stages.last().unwrap().0.clone());
        held.take(&told);
        stages.push(held);
    }
    for mut held in stages.into_iter().skip(1) {
        held.take(&bob.sync(held.newest()).await);
        assert_eq!(held.ids().len(), 50);
    }
}

#[tokio::test]
async fn a_long_list_comes_as_one_message() {
    let server = server().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    // several chunks of the engine's
    for number in 0..40 {
        let payload = json!({ "id": format!("t{number:02}"), "text": "x".repeat(20_000), "completed": 0 });
        ada.call(&json!({ "type": "create", "payload": payload })).await;
    }
    let reply = ada.sync(Value::Null).await;
    assert_eq!(ids(&reply), (0..40).map(|number| format!("t{number:02}")).collect::<Vec<_>>());
    // and so does what has changed, however much it is
    ada.say(&sync(1)).await;
    assert_eq!(ada.hear().await, reply);
}

#[tokio::test]
async fn syncs_at_once_are_each_answered() {
    let server = server().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    ada.call(&create("t1")).await;
    for _ in 0..200 {
        ada.say(&sync(Value::Null)).await;
    }
    for _ in 0..200 {
        assert_eq!(ids(&ada.hear().await), ["t1"]);
    }
    let open = server.syncline.gauges_when(|gauges| gauges.subscriptions == 1);
    crate::support::soon(open).await;
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    bob.call(&create("t2")).await;
    assert_eq!(ids(&ada.hear().await), ["t2"], "once");
    assert_eq!(ada.call(&create("t3")).await["type"], "success");
}
