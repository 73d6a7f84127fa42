//! What is done through another face is seen here, and the other way round.

use serde_json::{Value, json};
use syncline_server::User;

use crate::support::http::post;
use crate::support::party::{Held, PartyClient, TodoAction, Todos, create, delete, ids, server, update};
use crate::support::ws::Ws;
use crate::support::{Server, hello_with_token, soon};

async fn watch(server: &Server, client: &str, space: &str) -> Ws {
    let mut ws = Ws::connect(server).await;
    ws.say(&hello_with_token(client, "token-of-eve")).await;
    ws.hear_one("welcome").await;
    ws.say(&json!({ "subscribe": { "sub": 1, "query": { "space": space, "collection": "todos" } } })).await;
    ws.hear_one("snapshot").await;
    ws
}

fn rows(id: u64, ops: &Value) -> Value {
    let payload = json!({ "ops": ops });
    json!({ "write": { "space": "list-a", "client": "client-e", "id": id, "kind": "rows", "payload": payload } })
}

#[tokio::test]
async fn writes_actions_and_calls_from_inside_are_updates_here_and_the_other_way_round() {
    let server = server().await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut eve = watch(&server, "client-e", "list-a").await;

    let row = json!({ "id": "w1", "text": "by hand", "completed": 1 });
    eve.say(&rows(1, &json!([{ "put": ["todos", row] }]))).await;
    let told = ada.hear().await;
    assert_eq!((&told["type"], ids(&told)), (&json!("update"), vec!["w1".to_owned()]));
    assert_eq!(told["payload"][0][1], "by hand");
    eve.hear_one("changes").await;

    let payload = json!({ "channel": "todos", "action": create("w2") });
    let write =
        json!({ "space": "list-a", "client": "client-e", "id": 2, "kind": "action", "payload": payload });
    eve.say(&json!({ "write": write })).await;
    assert_eq!(ids(&ada.hear().await), ["w2"]);
    eve.hear_one("changes").await;

    let robot = User { id: "robot".into(), name: None };
    let action = TodoAction::Delete { id: "w1".into() };
    server.syncline.send_action::<Todos>("list-a", robot.clone(), action).await.unwrap();
    let gone = ada.hear().await;
    assert_eq!((ids(&gone), &gone["payload"][0][1]), (vec!["-w1".to_owned()], &json!("by hand")));
    eve.hear_one("changes").await;

    // what changes nothing through another face is nothing here
    let action = TodoAction::Delete { id: "nope".into() };
    server.syncline.send_action::<Todos>("list-a", robot, action).await.unwrap();
    assert_eq!(ids(&ada.call(&update("w2", "from the party")).await), ["w2"]);
    let heard = eve.hear_one("changes").await;
    assert_eq!(heard.texts(), ["from the party"]);
    ada.call(&delete("w2")).await;
    assert!(eve.hear_one("changes").await.body["parts"][0]["del"] == json!(["w2"]));
}

#[tokio::test]
async fn everybody_ends_with_the_same_whatever_they_do_at_once() {
    let server = server().await;
    let mut clients = Vec::new();
    for number in 0..4 {
        clients.push((PartyClient::open(&server, "a", &format!("p{number}")).await, Held::default()));
    }
    let mut eve = watch(&server, "client-e", "list-a").await;
    for round in 0..30_u64 {
        for (number, (client, _)) in clients.iter_mut().enumerate() {
            let id = format!("t{}", (round * 7 + number as u64 * 3) % 11);
            let action = match (round + number as u64) % 4 {
                0 => create(&id),
                1 => update(&id, &format!("{round} {number}")),
                2 => delete(&id),
                _ if round % 9 == 0 => json!({ "type": "clear" }),
                _ => create(&format!("{id}-{number}")),
            };
            client.say(&crate::support::party::call(&format!("{round}"), &action)).await;
        }
        let row = json!({ "id": format!("e{}", round % 3), "text": round.to_string(), "completed": 0 });
        let op = if round % 5 == 4 {
            json!({ "del": ["todos", row["id"]] })
        } else {
            json!({ "put": ["todos", row] })
        };
        eve.say(&rows(round + 1, &json!([op]))).await;
    }
    let mut answered = 0;
    for (client, held) in &mut clients {
        let mut own = 0;
        while own < 30 {
            let message = client.hear().await;
            own += i32::from(message["rpc"] == true);
            held.take(&message);
        }
        answered += own;
    }
    assert_eq!(answered, 120);
    let mut acks = 0;
    while acks < 30 {
        acks += eve.hear_one("changes").await.body["acks"].as_array().map_or(0, Vec::len);
    }
    // the last thing that happens is known to all
    let mut last = PartyClient::open(&server, "a", "last").await;
    assert_eq!(last.call(&create("the-end")).await["type"], "success");
    let mut all = Held::default();
    all.take(&last.sync(Value::Null).await);
    for (client, held) in &mut clients {
        while !held.0.contains_key("the-end") {
            held.take(&client.hear().await);
        }
        assert_eq!(held, &all, "as if it had come at once, times and all");
    }
}

#[tokio::test]
async fn nothing_is_left_of_clients_that_have_gone() {
    let server = server().await;
    for round in 0..5 {
        let mut polite = PartyClient::open(&server, "a", "ada").await;
        let mut abrupt = PartyClient::open(&server, "a", "bob").await;
        polite.call(&create(&format!("t{round}"))).await;
        abrupt.hear().await;
        polite.close().await;
        drop(abrupt);
    }
    let gone = server.syncline.gauges_when(|gauges| gauges.connections == 0 && gauges.subscriptions == 0);
    soon(gone).await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    assert_eq!(ids(&ada.sync(Value::Null).await).len(), 5);
    let hearing = async { assert_eq!(soon(ada.next()).await, Err(Some(1001))) };
    tokio::join!(server.stop(), hearing);
}

#[tokio::test]
async fn the_other_routes_are_as_they_were() {
    let server = server().await;
    let response =
        soon(post(&server, "stream").body(hello_with_token("client-e", "token-of-eve").to_string()).send());
    assert!(response.await.unwrap().status().is_success());
}
