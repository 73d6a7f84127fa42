//! A client that reads too slowly gets everything anew, and slows nobody.

use serde_json::{Value, json};
use syncline_server::Memory;

use crate::support::party::{Held, PartyClient, create, delete, server, todos};
use crate::support::{Server, soon};

fn large(id: &str) -> Value {
    let payload = json!({ "id": id, "text": "x".repeat(200_000), "completed": 0 });
    json!({ "type": "create", "payload": payload })
}

#[tokio::test]
async fn it_is_told_to_let_everything_go_and_gets_all_rows() {
    let server: Server = server().await;
    let mut slow = PartyClient::open(&server, "a", "slow").await;
    let mut quick = PartyClient::open(&server, "a", "quick").await;
    let mut held = Held::default();
    held.take(&quick.call(&create("old")).await);
    held.take(&slow.hear().await);
    // far more than waits anywhere: an outbox is 2 MiB, and what systems buffer is a few MiB at most
    for number in 0..200 {
        quick.call(&large(&format!("t{:02}", number % 20))).await;
        quick.call(&delete(&format!("t{:02}", number % 20))).await;
    }
    quick.call(&delete("old")).await;
    quick.call(&create("new")).await;
    let mut is_reset = false;
    while !held.0.contains_key("new") {
        let message = slow.hear().await;
        is_reset |= message["type"] == "delete-all";
        held.take(&message);
    }
    assert!(is_reset);
    let mut all = Held::default();
    all.take(&slow.sync(Value::Null).await);
    assert_eq!((held, all.ids()), (Held(all.0.clone()), vec!["new"]));
    // and lives on
    quick.call(&create("next")).await;
    assert_eq!(crate::support::party::ids(&slow.hear().await), ["next"]);
}

#[tokio::test]
async fn its_own_actions_are_answered_all_the_same() {
    let server = Server::of(todos(Memory::new()).build().await.unwrap()).await;
    let mut slow = PartyClient::open(&server, "a", "slow").await;
    let mut quick = PartyClient::open(&server, "a", "quick").await;
    for number in 0..60 {
        slow.say(&crate::support::party::call(&format!("s{number}"), &create(&format!("s{number:02}"))))
            .await;
        quick.say(&crate::support::party::call("q", &large(&format!("t{number:02}")))).await;
        let mut answered = false;
        while !answered {
            answered = quick.hear().await["rpc"] == true;
        }
    }
    let (mut held, mut answers) = (Held::default(), Vec::new());
    while answers.len() < 60 {
        let message = slow.hear().await;
        if message["rpc"] == true {
            assert_eq!(message["type"], "success");
            answers.push(message["id"].clone());
        }
        held.take(&message);
    }
    answers.sort_by_key(|id| id.as_str().unwrap()[1..].parse::<u32>().unwrap());
    assert_eq!(answers, (0..60).map(|number| json!(format!("s{number}"))).collect::<Vec<_>>());
    slow.say(&crate::support::party::sync(Value::Null)).await;
    loop {
        let message = soon(slow.next()).await.unwrap();
        held.take(&message);
        if message["sync"] == true && held.ids().len() == 120 {
            break;
        }
    }
}
