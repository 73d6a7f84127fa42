//! Actions, and who is told of them.

use serde_json::{Value, json};
use syncline_server::{Memory, Sqlite};
use tempfile::TempDir;

use crate::support::Server;
use crate::support::party::{PartyClient, call, create, delete, ids, server, sync, todos, update};

fn counted(id: &str, client: &str, number: u64, action: &Value) -> Value {
    let mut message = call(id, action);
    message["client"] = client.into();
    message["actionId"] = number.into();
    message
}

#[tokio::test]
async fn the_sender_is_answered_and_all_others_are_told() {
    let server = server().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    // two sockets of one page under one name miss nothing of each other
    let pk = [("authorization", "Bearer token-of-bob")];
    let mut bob = PartyClient::connect(&server, "todos/a?_pk=same", &pk).await.unwrap();
    let mut twin = PartyClient::connect(&server, "todos/a?_pk=same", &pk).await.unwrap();
    let mut elsewhere = PartyClient::open(&server, "b", "bob").await;

    let answer = ada.call(&create("t1")).await;
    assert_eq!(answer["type"], "success");
    let row = answer["result"][0].as_array().unwrap();
    assert_eq!(row[..3], [json!("t1"), json!("text of t1"), json!(0)]);
    assert_eq!((row.len(), &row[3], &row[5]), (6, &row[4], &Value::Null));
    for client in [&mut bob, &mut twin] {
        let told = client.hear().await;
        assert_eq!(told, json!({"broadcast": true, "type": "update", "channel": "todos", "payload": [row]}));
    }

    let answer = bob.call(&update("t1", "other")).await;
    let changed = &answer["result"][0];
    assert_eq!(changed[3], row[3], "it came to be when it came to be");
    assert!(changed[4].as_u64() >= row[4].as_u64());
    assert_eq!(ada.hear().await["payload"], answer["result"]);
    assert_eq!(twin.hear().await["payload"], answer["result"]);

    let answer = twin.call(&delete("t1")).await;
    let gone = &answer["result"][0];
    assert_eq!((&gone[1], &gone[3], &gone[4]), (&json!("other"), &changed[3], &changed[4]));
    assert!(gone[5].as_u64() >= changed[4].as_u64());
    assert_eq!(ada.hear().await["payload"], answer["result"]);
    assert_eq!(bob.hear().await["payload"], answer["result"]);
    elsewhere.say(&sync(Value::Null)).await;
    assert_eq!(elsewhere.hear().await["payload"], json!([]), "and nothing before it");
}

#[tokio::test]
async fn an_action_that_changes_nothing_is_told_of_too() {
    let server = server().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    let answer = ada.call(&update("nope", "x")).await;
    assert_eq!((&answer["type"], &answer["result"]), (&json!("success"), &json!([])));
    let empty = json!({"broadcast": true, "type": "update", "channel": "todos", "payload": []});
    assert_eq!(bob.hear().await, empty);
    // also when its sender hangs up at once
    bob.say(&call("r1", &update("nope", "x"))).await;
    bob.close().await;
    assert_eq!(ada.hear().await, empty);
    assert_eq!(ids(&ada.call(&create("t1")).await), ["t1"]);
}

#[tokio::test]
async fn what_a_handler_refuses_is_for_its_sender_alone() {
    let server = server().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    ada.call(&create("t1")).await;
    bob.hear().await;
    let refused = ada.call(&create("t1")).await;
    // what is beside partysync's own fields, it need not know
    let typed = refused["data"].clone();
    assert_eq!(
        refused,
        json!({"type": "error", "rpc": true, "channel": "todos", "id": "r2", "error": ["there is one already"],
            "code": "taken", "field": "a field of the handler's", "data": typed})
    );
    assert_eq!(typed["code"], "taken", "the handler's own error, as it is");
    let failed = ada.call(&json!({ "type": "panic" })).await;
    assert_eq!((&failed["type"], &failed["code"]), (&json!("error"), &json!("action_failed")));
    assert_eq!((&failed["field"], failed.get("data")), (&json!("todos/panic"), None));
    assert!(!failed.to_string().contains("secret"));
    let bad = ada.call(&json!({ "type": "fly", "payload": {} })).await;
    assert_eq!((&bad["code"], &bad["field"]), (&json!("bad_action"), &json!("todos/fly")));
    let mut nowhere = call("r", &create("t1"));
    nowhere["channel"] = "nope".into();
    ada.say(&nowhere).await;
    let unknown = ada.hear().await;
    assert_eq!((&unknown["code"], &unknown["field"]), (&json!("unknown_channel"), &json!("nope/create")));
    let mut large = create("large");
    large["payload"]["text"] = "x".repeat(2 * 1024 * 1024 - 130).into();
    let large = ada.call(&large).await;
    assert_eq!((&large["code"], &large["field"]), (&json!("frame_too_large"), &json!("todos/create")));
    ada.call(&create("t2")).await;
    assert_eq!(ids(&bob.hear().await), ["t2"], "others have noticed nothing, and the list goes on");
}

#[tokio::test]
async fn many_actions_at_once_are_each_answered_and_told_in_their_order() {
    let server = server().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    // more than may be in flight
    for number in 0..200 {
        ada.say(&call(&format!("c{number}"), &create(&format!("t{number:03}")))).await;
    }
    for number in 0..200 {
        let answer = ada.hear().await;
        assert_eq!(answer["id"], format!("c{number}"));
        assert_eq!(ids(&answer), [format!("t{number:03}")]);
        assert_eq!(ids(&bob.hear().await), [format!("t{number:03}")]);
    }
    // what is made and taken away at once is known to both afterwards
    for action in [create("brief"), update("brief", "x"), delete("brief"), create("stays")] {
        ada.say(&call("x", &action)).await;
    }
    let mut last = Value::Null;
    for _ in 0..4 {
        last = ada.hear().await;
        assert_eq!(last["type"], "success", "{last}");
    }
    assert_eq!(ids(&last), ["stays"]);
    while ids(&bob.hear().await) != ["stays"] {}
    let reply = bob.sync(Value::Null).await;
    assert_eq!(ids(&reply).len(), 201);
    assert!(!ids(&reply).contains(&"brief".to_owned()));
}

#[tokio::test]
async fn a_list_that_loses_all_its_rows_is_told_so_in_one_word() {
    let server = server().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    for id in ["t1", "t2"] {
        ada.call(&create(id)).await;
        bob.hear().await;
    }
    ada.say(&call("r", &json!({ "type": "clear", "payload": null }))).await;
    let all = json!({"broadcast": true, "type": "delete-all", "channel": "todos"});
    assert_eq!((ada.hear().await, bob.hear().await), (all.clone(), all));
    let success = json!({"type": "success", "rpc": true, "channel": "todos", "id": "r", "result": []});
    assert_eq!(ada.hear().await, success);
    assert_eq!(bob.hear().await["payload"], json!([]));
}

#[tokio::test]
async fn a_counted_action_is_done_once_however_often_it_is_sent() {
    let folder = TempDir::new().unwrap();
    let start = async || {
        let storage = Sqlite::open(folder.path().join("spaces.db")).unwrap();
        Server::of(todos(storage).build().await.unwrap()).await
    };
    let server = start().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    ada.say(&counted("r1", "tab-of-ada", 1, &create("t1"))).await;
    assert_eq!(ids(&ada.hear().await), ["t1"]);
    assert_eq!(ids(&bob.hear().await), ["t1"]);
    ada.say(&counted("r2", "tab-of-ada", 2, &create("t1"))).await;
    assert_eq!(ada.hear().await["code"], "taken");
    // again, over another socket, after a restart
    drop((ada, bob));
    server.stop().await;
    let server = start().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    ada.say(&counted("r1", "tab-of-ada", 1, &create("t1"))).await;
    let again = ada.hear().await;
    assert_eq!((&again["type"], &again["result"]), (&json!("success"), &json!([])));
    ada.say(&counted("r2", "tab-of-ada", 2, &create("t1"))).await;
    assert_eq!(ada.hear().await["code"], "taken", "as the first time");
    // a gap is refused, and the number stays free
    ada.say(&counted("r4", "tab-of-ada", 4, &create("t4"))).await;
    assert_eq!(ada.hear().await["code"], "write_gap");
    ada.say(&counted("r3", "tab-of-ada", 3, &create("t3"))).await;
    assert_eq!(ids(&ada.hear().await), ["t3"]);
    ada.say(&counted("r4", "tab-of-ada", 4, &create("t4"))).await;
    assert_eq!(ids(&ada.hear().await), ["t4"]);
    // nobody else acts in their name
    bob.say(&counted("r5", "tab-of-ada", 5, &create("t5"))).await;
    let mut refused = bob.hear().await;
    while refused["rpc"] != true {
        refused = bob.hear().await;
    }
    assert_eq!(refused["code"], "foreign_client");
    // and what is wrong with the numbers is said
    let mut half = call("r6", &create("t6"));
    half["client"] = "tab-of-ada".into();
    ada.say(&half).await;
    assert_eq!(ada.hear().await["code"], "bad_action_id");
    server.stop().await;
}

#[tokio::test]
async fn a_counted_action_that_is_sent_twice_in_a_row_is_answered_twice() {
    let server = Server::of(todos(Memory::new()).build().await.unwrap()).await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    for id in ["r1", "r2"] {
        ada.say(&counted(id, "tab-of-ada", 1, &create("t1"))).await;
    }
    for id in ["r1", "r2"] {
        let answer = ada.hear().await;
        assert_eq!((&answer["type"], &answer["id"]), (&json!("success"), &json!(id)));
    }
    assert_eq!(ids(&bob.hear().await), ["t1"]);
    ada.call(&create("t2")).await;
    assert_eq!(ids(&bob.hear().await), ["t2"], "it was done once");
}
