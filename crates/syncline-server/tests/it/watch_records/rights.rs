//! Rights that are lost while somebody watches, here and on Syncline's own routes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::http::StatusCode;
use serde_json::{Value, json};
use syncline_server::{Error, Memory, Rules, SpaceId, Syncline, User, Visibility, code};

use crate::support::records::{
    A_SECOND, MESSAGES, Message, Records, RecordsSocket, Writer, all_have_gone, app, ask, keys, message,
    messages, request, watch, who, with_members,
};
use crate::support::{Heard, Server, hello_with_token, ws::Ws};

#[tokio::test(start_paused = true)]
async fn who_is_no_member_any_more_is_told_so_within_a_second_and_the_stream_ends() {
    let (builder, banned) = with_members(watch().tickets(keys()));
    let syncline = builder.build().await.unwrap();
    let app = app(&syncline);
    let mut alice = Records::watch_as(&app, "room-a", "", "token-of-alice").await;
    let mut bob = Records::watch_as(&app, "room-a", "", "token-of-bob").await;
    alice.snapshot().await;
    bob.snapshot().await;
    banned.lock().unwrap().insert("bob".into());
    syncline.rights_changed("bob");
    let told = async {
        assert_eq!(bob.hear("member.removed").await, json!({ "space": "room-a", "did": "bob" }));
        assert!(bob.event().await.is_none(), "the stream ends");
    };
    tokio::time::timeout(A_SECOND, told).await.unwrap();
    let again = ask(&app, request("GET", &format!("{MESSAGES}?spaceUri=room-a"), Some("token-of-bob"))).await;
    assert_eq!(again, (StatusCode::FORBIDDEN, json!({ "error": "Forbidden", "reason": "not-member" })));
    // and nobody else hears of it
    let mut ada = Writer::new(&app, "ada").await;
    ada.put("room-a", &message("m1", "without bob", 1)).await;
    assert_eq!(alice.hear("record.created").await["record"]["rkey"], "m1");
}

#[tokio::test]
async fn a_socket_is_closed_with_4003() {
    let (builder, banned) = with_members(watch());
    let server = Server::of(builder.build().await.unwrap()).await;
    let path = format!("{MESSAGES}?spaceUri=room-a");
    let mut bob = RecordsSocket::open(&server, &path, Some("token-of-bob")).await.unwrap();
    bob.snapshot().await;
    banned.lock().unwrap().insert("bob".into());
    server.syncline.rights_changed("bob");
    let told = async {
        assert_eq!(bob.hear("member.removed").await, json!({ "space": "room-a", "did": "bob" }));
        assert_eq!(bob.event().await.unwrap_err(), Some((4003, "membership-revoked".into())));
    };
    tokio::time::timeout(A_SECOND, told).await.unwrap();
    assert!(RecordsSocket::open(&server, &path, Some("token-of-bob")).await.is_err());
    all_have_gone(&server.syncline).await;
}

/// A rule that stumbles over what it looks up has not put anybody out: their rows stay with them.
#[tokio::test]
async fn who_is_refused_for_another_reason_is_not_told_that_they_are_no_member() {
    let is_lost = Arc::new(AtomicBool::new(false));
    let rule = Arc::clone(&is_lost);
    let look_up = move |_: &User, _: &SpaceId| match rule.load(Ordering::Relaxed) {
        true => Err(Error::new(code::UNKNOWN_ROW, "there is no such list")),
        false => Ok(()),
    };
    let syncline = messages(watch()).spaces(look_up).build().await.unwrap();
    let mut bob = Records::watch_as(&app(&syncline), "room-a", "", "token-of-bob").await;
    bob.snapshot().await;
    is_lost.store(true, Ordering::Relaxed);
    syncline.rights_changed("bob");
    assert_eq!(bob.hear("error").await["message"], "there is no such list");
    assert!(bob.event().await.is_none(), "the stream ends");
    let uri = format!("{MESSAGES}?spaceUri=room-a");
    let (status, said) = ask(&app(&syncline), request("GET", &uri, Some("token-of-bob"))).await;
    assert_eq!((status, &said["error"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!("InternalServerError")));
}

/// Puts bob out as soon as it is asked which rows he sees.
struct PutsOut(Arc<OnceLock<Syncline>>, Arc<AtomicBool>);

impl Rules<Message> for PutsOut {
    fn visibility(&self) -> Visibility<Message> {
        let (server, is_out) = (Arc::clone(&self.0), Arc::clone(&self.1));
        Visibility::by_row(move |user, _, _: &Message| {
            if user.id == "bob" && !is_out.swap(true, Ordering::Relaxed) {
                server.get().unwrap().rights_changed("bob");
            }
            true
        })
    }
}

#[tokio::test]
async fn who_is_put_out_during_the_handshake_is_told_why() {
    let not_member = json!({ "error": "Forbidden", "reason": "not-member" });
    assert_eq!(handshake_cut_by(code::FORBIDDEN).await, (StatusCode::FORBIDDEN, not_member));
    assert_eq!(handshake_cut_by("banned").await.0, StatusCode::FORBIDDEN);
    assert_eq!(handshake_cut_by(code::UNKNOWN_ROW).await.0, StatusCode::INTERNAL_SERVER_ERROR);
}

/// What bob's handshake is answered with when a rule refuses him meanwhile.
async fn handshake_cut_by(code: &'static str) -> (StatusCode, Value) {
    let (server, is_out) = (Arc::default(), Arc::new(AtomicBool::new(false)));
    let rule = Arc::clone(&is_out);
    let may_open = move |user: &User, _: &SpaceId| match user.id == "bob" && rule.load(Ordering::Relaxed) {
        true => Err(Error::new(code, "you were asked to leave")),
        false => Ok(()),
    };
    let syncline = Syncline::builder()
        .storage(Memory::new())
        .collection::<Message>(PutsOut(Arc::clone(&server), is_out))
        .authenticate(who)
        .spaces(may_open)
        .watch_records(watch());
    let syncline = syncline.build().await.unwrap();
    server.set(syncline.clone()).ok().unwrap();
    let app = app(&syncline);
    // more than one frame of them
    let mut ada = Writer::new(&app, "ada").await;
    for id in ["m1", "m2", "m3"] {
        ada.put("room-a", &message(id, &"x".repeat(100_000), 1)).await;
    }
    let uri = format!("{MESSAGES}?spaceUri=room-a&mode=ws");
    ask(&app, request("GET", &uri, Some("token-of-bob"))).await
}

#[tokio::test]
async fn rights_that_change_nothing_are_not_heard_of() {
    let (builder, _) = with_members(watch());
    let syncline = builder.build().await.unwrap();
    let app = app(&syncline);
    let mut ada = Writer::new(&app, "ada").await;
    ada.put("room-a", &Message { hidden: true, ..message("m1", "hidden", 1) }).await;
    let mut bob = Records::watch_as(&app, "room-a", "", "token-of-bob").await;
    assert_eq!(bob.snapshot().await.0, [""; 0]);
    syncline.rights_changed("bob");
    // looked at anew, nothing has changed for him: what comes next is news
    ada.put("room-a", &message("m2", "for all", 2)).await;
    assert_eq!(bob.hear("record.created").await["record"]["rkey"], "m2");
}

/// The next `failed`. Everything else is looked at anew, of which there is nothing.
async fn failure(ws: &mut Ws) -> Heard {
    loop {
        let heard = ws.hear().await;
        if heard.name == "failed" {
            return heard;
        }
        assert_eq!((heard.name.as_str(), &heard.body["subs"]), ("reset", &json!([])));
    }
}

#[tokio::test]
async fn on_its_own_route_the_subscription_fails_within_a_second() {
    let (builder, banned) = with_members(watch());
    let server = Server::of(builder.build().await.unwrap()).await;
    let mut bob = Ws::connect(&server).await;
    bob.say(&hello_with_token("client-b", "token-of-bob")).await;
    bob.hear_one("welcome").await;
    let query = json!({ "space": "room-a", "collection": "messages" });
    bob.say(&json!({ "subscribe": { "sub": 1, "query": query } })).await;
    bob.hear_one("snapshot").await;
    banned.lock().unwrap().insert("bob".into());
    server.syncline.rights_changed("bob");
    let told = async {
        let failed = failure(&mut bob).await;
        assert_eq!((&failed.body["sub"], failed.code()), (&json!(1), "forbidden"));
    };
    tokio::time::timeout(A_SECOND, told).await.unwrap();
    bob.say(&json!({ "subscribe": { "sub": 2, "query": query } })).await;
    assert_eq!(failure(&mut bob).await.code(), "forbidden");
}

#[tokio::test]
async fn on_its_own_route_a_bad_query_is_refused_with_the_name_of_the_field() {
    let (builder, _) = with_members(watch());
    let server = Server::of(builder.build().await.unwrap()).await;
    let mut ada = Ws::connect(&server).await;
    ada.say(&hello_with_token("client-a", "token-of-ada")).await;
    ada.hear_one("welcome").await;
    for (sub, (part, code, field)) in [
        (json!({ "limit": 0 }), "bad_query", "limit"),
        (json!({ "order": [["nothing", "asc"]] }), "unknown_field", "nothing"),
        (json!({ "where": { "eq": ["nothing", 1] } }), "unknown_field", "nothing"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut query = json!({ "space": "room-a", "collection": "messages" });
        query.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        ada.say(&json!({ "subscribe": { "sub": sub, "query": query } })).await;
        let failed = ada.hear_one("failed").await;
        assert_eq!((failed.code(), &failed.body["error"]["field"]), (code, &json!(field)));
    }
}
