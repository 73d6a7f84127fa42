//! Tickets: who gets one, and what it is good for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::StatusCode;
use serde_json::{Value, json};
use syncline_server::ticket::{Claims, Keys};
use syncline_server::watch_records::{Mapping, WatchRecords};
use syncline_server::{AuthError, Identity};

use crate::support::records::{
    MESSAGES, Message, Records, RecordsSocket, SECRET, all_have_gone, app, ask, keys, mapping, messages,
    request, watch, who, with_members,
};
use crate::support::{Server, soon};

const TICKET: &str = "/xrpc/app.example.message.watchTicket";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

async fn mint(app: &Router, query: &str) -> String {
    let (status, body) = ask(app, request("POST", &format!("{TICKET}?{query}"), Some("token-of-ada"))).await;
    assert_eq!((status, &body["ttlMs"]), (StatusCode::OK, &json!(120_000)), "{body}");
    body["ticket"].as_str().unwrap().to_owned()
}

/// What comes of watching with nothing but a ticket.
async fn try_ticket(app: &Router, query: &str, ticket: &str) -> (StatusCode, Value) {
    ask(app, request("GET", &format!("{MESSAGES}?{query}&mode=ws&ticket={ticket}"), None)).await
}

fn refusal() -> (StatusCode, Value) {
    let message = "spaceUri requires a valid service-auth JWT or read-grant invite token";
    (StatusCode::UNAUTHORIZED, json!({ "error": "AuthRequired", "message": message }))
}

#[tokio::test]
async fn a_ticket_lets_its_holder_watch_what_it_is_for() {
    let syncline = messages(watch().tickets(keys())).build().await.unwrap();
    let app = app(&syncline);
    let ticket = mint(&app, "spaceUri=room-a").await;
    // twice, and however the page is cut
    for further in ["", "&limit=3", "&order=asc"] {
        let uri = format!("{MESSAGES}?spaceUri=room-a{further}&ticket={ticket}");
        Records::open(&app, request("GET", &uri, None)).await.snapshot().await;
    }
    // a ticket is contrail's in every part, and a little more
    let claims = keys().check(&ticket, now()).unwrap();
    assert_eq!((claims.did.as_str(), claims.exp - claims.iat), ("ada", 120_000));
    assert_eq!(claims.topics, ["space:room-a"]);
    assert_eq!(claims.query, Some(json!({ "collection": "app.example.message", "spaceUri": "room-a" })));
}

#[tokio::test]
async fn what_a_ticket_opens_ends_with_the_credentials_of_its_owner() {
    let expires_at = now() + 3_000;
    let soon_old = move |credentials| async move {
        Ok::<_, AuthError>(Identity { user: who(credentials).await?, expires_at: Some(expires_at) })
    };
    let syncline = messages(watch().tickets(keys())).authenticate(soon_old).build().await.unwrap();
    let app = app(&syncline);
    let server = Server::of(syncline).await;
    let uri = format!("{MESSAGES}?spaceUri=room-a");
    let (_, handshake) = ask(&app, request("GET", &format!("{uri}&mode=ws"), Some("token-of-ada"))).await;
    let minted =
        ask(&app, request("POST", &format!("{TICKET}?spaceUri=room-a"), Some("token-of-ada"))).await.1;
    for (ticket, ttl) in
        [(&handshake["ticket"], &handshake["ticketTtlMs"]), (&minted["ticket"], &minted["ttlMs"])]
    {
        let claims = keys().check(ticket.as_str().unwrap(), now()).unwrap();
        assert_eq!((claims.exp, claims.until), (expires_at, Some(expires_at)));
        assert!(ttl.as_u64().unwrap() <= 3_000);
    }
    let path = handshake["wsUrl"].as_str().unwrap();
    let mut socket = RecordsSocket::open(&server, path, None).await.unwrap();
    socket.snapshot().await;
    let mut stream = Records::open(&app, request("GET", path, None)).await;
    stream.snapshot().await;
    assert!(soon(socket.hear("error")).await["message"].is_string());
    assert!(socket.event().await.is_err());
    assert!(stream.hear("error").await["message"].is_string());
    assert!(now() >= expires_at);
    let again = ask(&app, request("GET", path, None)).await;
    assert_eq!(again, refusal());
}

#[tokio::test]
async fn every_byte_of_a_ticket_counts_at_the_route() {
    let syncline = messages(watch().tickets(keys())).build().await.unwrap();
    let app = app(&syncline);
    let ticket = mint(&app, "spaceUri=room-a").await;
    assert_eq!(try_ticket(&app, "spaceUri=room-a", &ticket).await.0, StatusCode::OK);
    for place in 0..ticket.len() {
        for flip in [0x01, 0x20] {
            let mut bytes = ticket.clone().into_bytes();
            bytes[place] ^= flip;
            let tampered: String = form_urlencoded::byte_serialize(&bytes).collect();
            assert_eq!(try_ticket(&app, "spaceUri=room-a", &tampered).await, refusal(), "{place}");
        }
    }
    for tampered in [&ticket[1..], &ticket[..ticket.len() - 1], &format!("{ticket}A"), "bad.blob", ".", "%00"]
    {
        assert_eq!(try_ticket(&app, "spaceUri=room-a", tampered).await, refusal(), "{tampered}");
    }
    all_have_gone(&syncline).await;
}

#[tokio::test]
async fn a_ticket_is_good_for_one_query_at_one_server_for_a_while() {
    let other = Mapping::new(|message: &Message| message.author.clone(), Message::sent_at).named("post");
    let settings = watch().collection(other).actors(|did| Some(did.into())).tickets(keys());
    let syncline = messages(settings).build().await.unwrap();
    let app = app(&syncline);
    let ticket = mint(&app, "spaceUri=room-a").await;
    for query in ["spaceUri=room-b", "actor=room-a"] {
        assert_eq!(try_ticket(&app, query, &ticket).await, refusal(), "{query}");
    }
    let uri = format!("/xrpc/app.example.post.watchRecords?spaceUri=room-a&ticket={ticket}");
    assert_eq!(ask(&app, request("GET", &uri, None)).await, refusal());

    let query = json!({ "collection": "app.example.message", "spaceUri": "room-a" });
    let claims = |at: u64| Claims::new("ada", at).with_query(query.clone());
    let good = keys().mint(&claims(now()));
    assert_eq!(try_ticket(&app, "spaceUri=room-a", good.as_str()).await.0, StatusCode::OK);
    let expired = keys().mint(&claims(now() - 120_001));
    let foreign = Keys::new("one", &[7; 32]).unwrap().mint(&claims(now()));
    let elsewhere = Keys::new("two", SECRET).unwrap().mint(&claims(now()));
    let for_no_query = keys().mint(&Claims::new("ada", now()).with_topics(["space:room-a".into()]));
    let for_more = json!({ "collection": "app.example.message", "spaceUri": "room-a", "actor": "x" });
    let for_more = keys().mint(&Claims::new("ada", now()).with_query(for_more));
    for bad in [expired, foreign, elsewhere, for_no_query, for_more] {
        assert_eq!(try_ticket(&app, "spaceUri=room-a", bad.as_str()).await, refusal());
    }
}

#[tokio::test]
async fn a_key_can_be_changed_while_tickets_are_out() {
    let old = keys().mint(
        &Claims::new("ada", now())
            .with_query(json!({ "collection": "app.example.message", "spaceUri": "room-a" })),
    );
    let rotated = keys().rotated("two", &[7; 32]).unwrap();
    let syncline = messages(watch().tickets(rotated)).build().await.unwrap();
    let app = app(&syncline);
    assert_eq!(try_ticket(&app, "spaceUri=room-a", old.as_str()).await.0, StatusCode::OK);
    let new = mint(&app, "spaceUri=room-a").await;
    assert_eq!(keys().check(&new, now()).unwrap_err().code(), "unauthenticated");
}

#[tokio::test]
async fn a_bad_ticket_leaves_other_credentials_as_they_are() {
    let syncline = messages(watch().tickets(keys())).build().await.unwrap();
    let app = app(&syncline);
    let uri = format!("{MESSAGES}?spaceUri=room-a&mode=ws&ticket=bad.blob");
    assert_eq!(ask(&app, request("GET", &uri, Some("token-of-ada"))).await.0, StatusCode::OK);
    // nor is the token of a ticket's holder looked at in a URL
    let uri =
        format!("{MESSAGES}?spaceUri=room-a&mode=ws&authorization=Bearer%20token-of-ada&token=token-of-ada");
    assert_eq!(ask(&app, request("GET", &uri, None)).await, refusal());
}

#[tokio::test]
async fn who_may_not_watch_gets_no_ticket() {
    let (builder, banned) = with_members(watch().tickets(keys()));
    let syncline = builder.build().await.unwrap();
    let app = app(&syncline);
    let uri = format!("{TICKET}?spaceUri=room-a");
    assert_eq!(ask(&app, request("POST", &uri, None)).await, refusal());
    // a ticket does not prolong itself
    let ticket = mint(&app, "spaceUri=room-a").await;
    assert_eq!(ask(&app, request("POST", &format!("{uri}&ticket={ticket}"), None)).await, refusal());
    // nor does it stand in the way of who shows more
    let with_more = request("POST", &format!("{uri}&ticket={ticket}"), Some("token-of-ada"));
    assert_eq!(ask(&app, with_more).await.0, StatusCode::OK);
    let (_, handshake) = try_ticket(&app, "spaceUri=room-a", &ticket).await;
    assert_eq!(handshake["ticket"], *ticket);
    assert!(handshake["ticketTtlMs"].as_u64().unwrap() <= 120_000);

    banned.lock().unwrap().insert("ada".into());
    let not_member = (StatusCode::FORBIDDEN, json!({ "error": "Forbidden", "reason": "not-member" }));
    assert_eq!(ask(&app, request("POST", &uri, Some("token-of-ada"))).await, not_member);
    // and the ticket does not help those who have lost the right
    assert_eq!(try_ticket(&app, "spaceUri=room-a", &ticket).await, not_member);
    let (status, body) = ask(&app, request("POST", TICKET, Some("token-of-bob"))).await;
    assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("InvalidRequest")));
}

#[tokio::test]
async fn without_keys_there_are_no_tickets() {
    let syncline = messages(watch()).build().await.unwrap();
    let app = app(&syncline);
    let uri = format!("{TICKET}?spaceUri=room-a");
    let (status, body) = ask(&app, request("POST", &uri, Some("token-of-ada"))).await;
    assert_eq!((status, &body["error"]), (StatusCode::NOT_IMPLEMENTED, &json!("NotSupported")));
    let ticket = keys().mint(&Claims::new("ada", now()));
    assert_eq!(try_ticket(&app, "spaceUri=room-a", ticket.as_str()).await, refusal());
    let uri = format!("{MESSAGES}?spaceUri=room-a&mode=ws");
    let (_, handshake) = ask(&app, request("GET", &uri, Some("token-of-ada"))).await;
    assert_eq!((handshake.get("ticket"), &handshake["ticketTtlMs"]), (None, &json!(0)));
    assert!(!handshake["wsUrl"].as_str().unwrap().contains("ticket"));
}

#[tokio::test]
async fn how_long_tickets_last_can_be_said() {
    let settings = WatchRecords::namespace("app.example").collection(mapping()).tickets(keys());
    let syncline = messages(settings.ticket_lifetime(Duration::from_secs(5))).build().await.unwrap();
    let app = app(&syncline);
    let uri = format!("{TICKET}?spaceUri=room-a");
    let (_, body) = ask(&app, request("POST", &uri, Some("token-of-ada"))).await;
    assert_eq!(body["ttlMs"], 5_000);
    let claims = keys().check(body["ticket"].as_str().unwrap(), now()).unwrap();
    assert_eq!(claims.exp - claims.iat, 5_000);
}
