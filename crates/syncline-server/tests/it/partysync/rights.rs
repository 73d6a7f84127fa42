//! Who may come in, what they see, and what becomes of them when they may not any more.

use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use serde_json::{Value, json};
use syncline_server::{Error, Memory, Syncline, code};
use tokio_tungstenite::tungstenite::Error as WsError;

use crate::support::party::{
    Held, OwnRows, PartyClient, Todo, Todos, create, delete, ids, on_todo, parties, server, sync, todos,
    update, who,
};
use crate::support::{Server, soon};

async fn refusal(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> (StatusCode, Value) {
    match PartyClient::connect(server, path, headers).await {
        Err(WsError::Http(response)) => {
            let body = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
            (response.status(), body)
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("let in to {path}"),
    }
}

const ADA: (&str, &str) = ("authorization", "Bearer token-of-ada");

#[tokio::test]
async fn a_header_or_a_cookie_says_who_it_is_and_an_address_does_not() {
    let server = server().await;
    for headers in [&[ADA][..], &[("cookie", "who=token-of-ada")]] {
        let mut ada = PartyClient::connect(&server, "todos/a", headers).await.unwrap();
        assert_eq!(ada.sync(Value::Null).await["payload"], json!([]));
    }
    for path in ["todos/a", "todos/a?token=token-of-ada", "todos/a?_pk=token-of-ada"] {
        let (status, body) = refusal(&server, path, &[]).await;
        assert_eq!((status, &body["code"]), (StatusCode::UNAUTHORIZED, &json!("unauthenticated")), "{path}");
    }
    soon(server.syncline.gauges_when(|gauges| gauges.connections == 0)).await;
}

#[tokio::test]
async fn parties_and_rooms_that_there_are_not() {
    let server = server().await;
    let long = format!("plain/{}", "x".repeat(200));
    for path in ["nope/a", "todos/nowhere", "plain/no%20room", "plain/%C3%BC", &long, "todos", "todos/a/b"] {
        let (status, body) = refusal(&server, path, &[ADA]).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {body}");
    }
    let (status, body) = refusal(&server, "todos/%FF", &[ADA]).await;
    assert_eq!((status, &body["code"]), (StatusCode::NOT_FOUND, &json!("unknown_space")));
    let answer = reqwest::get(format!("http://{}/parties/todos/a", server.address)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UPGRADE_REQUIRED);
    let foreign = [ADA, ("origin", "https://evil.example")];
    assert_eq!(refusal(&server, "todos/a", &foreign).await.0, StatusCode::FORBIDDEN);
    // a party without a rule: the room is the space
    let mut ada = PartyClient::connect(&server, "plain/list-a", &[ADA]).await.unwrap();
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    bob.call(&create("t1")).await;
    assert_eq!(ids(&ada.hear().await), ["t1"]);
}

#[tokio::test]
async fn what_is_not_for_somebody_never_reaches_them() {
    let builder = Syncline::builder().storage(Memory::new()).authenticate(who).partysync(parties());
    let builder = builder.collection::<Todo>(OwnRows).channel::<Todos>(on_todo);
    let server = Server::of(builder.build().await.unwrap()).await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    assert_eq!(ids(&ada.call(&create("own-ada-1")).await), ["own-ada-1"]);
    assert_eq!(ids(&ada.call(&update("own-ada-1", "secret")).await), ["own-ada-1"]);
    // not even what they do themselves
    assert_eq!(ids(&bob.call(&create("own-ada-2")).await), [""; 0]);
    assert_eq!(ids(&ada.hear().await), ["own-ada-2"]);
    assert_eq!(ids(&ada.call(&delete("own-ada-1")).await), ["-own-ada-1"]);
    ada.call(&create("t1")).await;
    let mut told = Vec::new();
    loop {
        let message = bob.hear().await;
        let is_last = message["payload"].as_array().is_some_and(|rows| !rows.is_empty());
        told.push(message);
        if is_last {
            break;
        }
    }
    assert!(!format!("{told:?}").contains("own-ada") && !format!("{told:?}").contains("secret"), "{told:?}");
    assert_eq!(ids(told.last().unwrap()), ["t1"]);
    // everything, as the keys of deleted rows are not for everybody
    let mut held = Held::default();
    bob.say(&sync(1)).await;
    let clear = bob.hear().await;
    assert_eq!(clear["type"], "delete-all");
    held.take(&bob.hear().await);
    assert_eq!(held.ids(), ["t1"]);
    // the last ones that ada can see are not all there are
    bob.call(&create("own-bob-1")).await;
    ada.say(&crate::support::party::call("r", &json!({ "type": "clear" }))).await;
    let mut gone = ids(&ada.hear().await);
    gone.sort();
    assert_eq!(gone, ["-own-ada-2", "-t1"]);
    assert_eq!(ids(&bob.hear().await).len(), 2);
}

#[tokio::test]
async fn who_may_not_be_here_any_more_is_told_so_and_cannot_come_back() {
    let banned = Arc::new(Mutex::new(String::new()));
    let rule = Arc::clone(&banned);
    let builder = todos(Memory::new()).spaces(move |user, space| match space.as_str() {
        "list-closed" => Err(Error::new("members_only", "This is for members.")),
        "list-none" => Err(Error::new(code::UNKNOWN_SPACE, "there is no such list")),
        _ if *rule.lock().unwrap() == user.id.as_str() => {
            Err(Error::new(code::FORBIDDEN, "you were asked to leave"))
        }
        _ => Ok(()),
    });
    let server = Server::of(builder.build().await.unwrap()).await;
    assert_eq!(refusal(&server, "todos/closed", &[ADA]).await.0, StatusCode::FORBIDDEN);
    assert_eq!(refusal(&server, "todos/none", &[ADA]).await.0, StatusCode::NOT_FOUND);

    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    ada.call(&create("t1")).await;
    bob.hear().await;
    *banned.lock().unwrap() = "bob".into();
    // before anybody has told the server, what they do is refused already
    let refused = bob.call(&create("t2")).await;
    assert_eq!(refused["code"], "forbidden");
    server.syncline.rights_changed("bob");
    ada.call(&create("t3")).await;
    assert_eq!(soon(bob.next()).await, Err(Some(4003)));
    let bob = [("authorization", "Bearer token-of-bob")];
    assert_eq!(refusal(&server, "todos/a", &bob).await.0, StatusCode::FORBIDDEN);
    assert_eq!(ada.call(&create("t4")).await["type"], "success");
}

#[tokio::test]
async fn what_somebody_does_once_they_are_let_in_again_is_done() {
    let closed = Arc::new(Mutex::new(false));
    let rule = Arc::clone(&closed);
    let builder = todos(Memory::new()).spaces(move |_, _| match *rule.lock().unwrap() {
        true => Err(Error::new(code::FORBIDDEN, "not now")),
        false => Ok(()),
    });
    let server = Server::of(builder.build().await.unwrap()).await;
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    *closed.lock().unwrap() = true;
    for id in ["t1", "t2"] {
        assert_eq!(ada.call(&create(id)).await["code"], "forbidden");
    }
    *closed.lock().unwrap() = false;
    for id in ["t3", "t4"] {
        assert_eq!(ada.call(&create(id)).await["type"], "success");
    }
}
