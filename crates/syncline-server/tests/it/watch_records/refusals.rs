//! Who is turned away, and in which words.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use syncline_macros::Record;
use syncline_server::watch_records::{Mapping, WatchRecords};
use syncline_server::{AuthError, Config, Error, Identity, SpaceId, Syncline, User, code};

use crate::support::records::{
    MESSAGES, Message, Records, Writer, all_have_gone, app, ask, keys, mapping, message, messages, request,
    watch, who,
};

fn rooms(user: &User, space: &SpaceId) -> Result<(), Error> {
    match space.as_str() {
        "nowhere" => Err(Error::new(code::UNKNOWN_SPACE, "there is no such room")),
        "closed" => Err(Error::new(code::FORBIDDEN, "nobody may enter")),
        "of-names" if user.name.is_none() => Err(Error::new("name_required", "secret reason")),
        _ => Ok(()),
    }
}

async fn with_rooms(watch: WatchRecords) -> (Syncline, axum::Router) {
    let syncline = messages(watch).spaces(rooms).build().await.unwrap();
    let app = app(&syncline);
    (syncline, app)
}

fn auth_required() -> Value {
    let message = "spaceUri requires a valid service-auth JWT or read-grant invite token";
    json!({ "error": "AuthRequired", "message": message })
}

#[tokio::test]
async fn refusals_are_contrails() {
    let (syncline, app) = with_rooms(watch()).await;
    let not_member = json!({ "error": "Forbidden", "reason": "not-member" });
    let not_found = json!({ "error": "NotFound" });
    for (query, status, body) in [
        ("", 400, json!({ "error": "InvalidRequest", "message": "spaceUri or actor required" })),
        ("?spaceUri=", 400, json!({ "error": "InvalidRequest", "message": "spaceUri or actor required" })),
        (
            "?actor=did:plc:ada",
            400,
            json!({ "error": "NotSupported", "reason": "community-module-disabled" }),
        ),
        ("?spaceUri=nowhere", 404, not_found.clone()),
        ("?spaceUri=a%20b", 404, not_found.clone()),
        ("?spaceUri=%FF", 404, not_found.clone()),
        ("?spaceUri=closed", 403, not_member.clone()),
        ("?spaceUri=of-names", 403, not_member),
        (
            "?spaceUri=open&inviteToken=x",
            403,
            json!({ "error": "Forbidden", "reason": "invalid-invite-token" }),
        ),
    ] {
        for mode in ["", "&mode=ws"] {
            let query =
                if query.is_empty() && !mode.is_empty() { "?mode=ws" } else { &format!("{query}{mode}") };
            let uri = format!("{MESSAGES}{query}");
            let answer = ask(&app, request("GET", &uri, Some("token-of-ada"))).await;
            assert_eq!(answer, (StatusCode::from_u16(status).unwrap(), body.clone()), "{uri}");
        }
    }
    for token in [None, Some("nonsense")] {
        let answer = ask(&app, request("GET", &format!("{MESSAGES}?spaceUri=open"), token)).await;
        assert_eq!(answer, (StatusCode::UNAUTHORIZED, auth_required()));
        // nor is anybody told what there is
        let answer = ask(&app, request("GET", &format!("{MESSAGES}?spaceUri=nowhere"), token)).await;
        assert_eq!(answer, (StatusCode::UNAUTHORIZED, auth_required()));
    }
    all_have_gone(&syncline).await;
}

#[tokio::test]
async fn there_are_no_other_routes() {
    let (_syncline, app) = with_rooms(watch()).await;
    let ada = Some("token-of-ada");
    for path in ["/xrpc/app.example.nothing.watchRecords?spaceUri=open", "/xrpc/nothing"] {
        let answer = ask(&app, request("GET", path, ada)).await;
        assert_eq!(answer, (StatusCode::NOT_FOUND, json!({ "error": "NotFound" })), "{path}");
    }
    let posted = ask(&app, request("POST", &format!("{MESSAGES}?spaceUri=open"), ada)).await;
    assert_eq!((posted.0, &posted.1["error"]), (StatusCode::METHOD_NOT_ALLOWED, &json!("InvalidRequest")));
    let (status, body) = ask(&app, request("HEAD", &format!("{MESSAGES}?spaceUri=open"), None)).await;
    assert_eq!((status, body), (StatusCode::UNAUTHORIZED, Value::Null));
    // without sockets there is nothing to upgrade
    let mut upgrade = request("GET", &format!("{MESSAGES}?spaceUri=open"), ada);
    upgrade.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    let response = tower::ServiceExt::oneshot(app.clone(), upgrade).await.unwrap();
    assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED);
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!((header("upgrade"), header("sec-websocket-version")), (Some("websocket"), Some("13")));
    let body = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["error"], "UpgradeRequired");
    // another HTTP is offered, not asked for
    let mut other = request("GET", &format!("{MESSAGES}?spaceUri=open"), ada);
    other.headers_mut().insert("upgrade", "h2c".parse().unwrap());
    Records::open(&app, other).await.snapshot().await;
}

#[tokio::test]
async fn a_page_of_a_foreign_origin_is_refused_and_an_allowed_one_may_read() {
    let syncline = messages(watch()).allowed_origins(["https://app.example"]).build().await.unwrap();
    let app = app(&syncline);
    let from = |origin: &str| {
        let request = Request::get(format!("{MESSAGES}?spaceUri=room-a&mode=ws"));
        let request = request.header("authorization", "Bearer token-of-ada").header("origin", origin);
        request.header("host", "sync.example").body(axum::body::Body::empty()).unwrap()
    };
    let (status, body) = ask(&app, from("https://evil.example")).await;
    assert_eq!((status, &body["reason"]), (StatusCode::FORBIDDEN, &json!("foreign-origin")));
    assert_eq!(ask(&app, from("https://app.example")).await.0, StatusCode::OK);
    let preflight = Request::options(MESSAGES)
        .header("origin", "https://app.example")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization");
    let preflight = preflight.body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(app, preflight).await.unwrap();
    assert_eq!(response.headers()["access-control-allow-origin"], "https://app.example");
    assert!(response.headers()["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
}

#[tokio::test]
async fn spaces_and_people_are_named_as_the_application_says() {
    let watch = watch()
        .spaces(|uri| uri.strip_prefix("ats://x/rooms/").map(|name| SpaceId::from(format!("room-{name}"))))
        .actors(|did| (did != "nobody").then(|| SpaceId::from(format!("home-of-{did}"))));
    let (_syncline, app) = with_rooms(watch).await;
    let mut ada = Writer::new(&app, "ada").await;
    ada.put("room-a", &message("m1", "shared", 1)).await;
    ada.put("home-of-ada", &message("m2", "her own", 1)).await;

    let mut shared = Records::watch(&app, "ats%3A%2F%2Fx%2Frooms%2Fa", "").await;
    assert_eq!(shared.hear("snapshot.start").await["spaceUri"], "ats://x/rooms/a");
    assert_eq!(shared.hear("snapshot.record").await["record"]["space"], "ats://x/rooms/a");
    let uri = format!("{MESSAGES}?actor=ada");
    let mut own = Records::open(&app, request("GET", &uri, Some("token-of-ada"))).await;
    assert_eq!(
        own.hear("snapshot.start").await,
        json!({ "actor": "ada", "collection": "app.example.message" })
    );
    let record = own.hear("snapshot.record").await;
    assert_eq!((&record["record"]["rkey"], record["record"].get("space")), (&json!("m2"), None));

    for query in ["spaceUri=room-a", "actor=nobody", "spaceUri=ats://x/rooms/a%20b"] {
        for mode in ["", "&mode=ws"] {
            let uri = format!("{MESSAGES}?{query}{mode}");
            let answer = ask(&app, request("GET", &uri, Some("token-of-ada"))).await;
            assert_eq!(answer, (StatusCode::NOT_FOUND, json!({ "error": "NotFound" })), "{uri}");
            // who is not known is not told that either
            for token in [None, Some("nonsense")] {
                let answer = ask(&app, request("GET", &uri, token)).await;
                assert_eq!(answer, (StatusCode::UNAUTHORIZED, auth_required()), "{uri}");
            }
        }
    }
}

#[tokio::test]
async fn a_persons_own_space_is_for_nobody_else() {
    let own = |user: &User, space: &SpaceId| match space.as_str().strip_prefix("home-of-") {
        Some(owner) if owner != user.id.as_str() => Err(Error::new(code::FORBIDDEN, "not yours")),
        _ => Ok(()),
    };
    let watch = watch().actors(|did| Some(SpaceId::from(format!("home-of-{did}")))).tickets(keys());
    let syncline = messages(watch).spaces(own).build().await.unwrap();
    let app = app(&syncline);
    let uri = format!("{MESSAGES}?actor=ada");
    Records::open(&app, request("GET", &uri, Some("token-of-ada"))).await.snapshot().await;
    let not_member = json!({ "error": "Forbidden", "reason": "not-member" });
    for method in ["GET", "POST"] {
        let uri = if method == "GET" { uri.clone() } else { uri.replace("watchRecords", "watchTicket") };
        let answer = ask(&app, request(method, &uri, Some("token-of-bob"))).await;
        assert_eq!(answer, (StatusCode::FORBIDDEN, not_member.clone()), "{method}");
    }
    // a ticket for his own is good for nothing else
    let bobs = format!("{MESSAGES}?actor=bob&mode=ws");
    let (_, handshake) = ask(&app, request("GET", &bobs, Some("token-of-bob"))).await;
    let with_ticket = format!("{uri}&ticket={}", handshake["ticket"].as_str().unwrap());
    assert_eq!(
        ask(&app, request("GET", &with_ticket, None)).await,
        (StatusCode::UNAUTHORIZED, auth_required())
    );
    all_have_gone(&syncline).await;
}

#[tokio::test]
async fn an_invitation_makes_a_guest() {
    let watch = watch().invites(|token, space| async move {
        assert_ne!(token, "panic");
        let good = token == "come-in" && space == "open";
        good.then(|| User { id: "guest".into(), name: None })
    });
    let (_syncline, app) = with_rooms(watch).await;
    let uri = |space: &str, token: &str| format!("{MESSAGES}?spaceUri={space}&inviteToken={token}");
    let mut guest = Records::open(&app, request("GET", &uri("open", "come-in"), None)).await;
    guest.snapshot().await;
    let refused = json!({ "error": "Forbidden", "reason": "invalid-invite-token" });
    for (space, token) in [("open", "nope"), ("elsewhere", "come-in")] {
        let answer = ask(&app, request("GET", &uri(space, token), None)).await;
        assert_eq!(answer, (StatusCode::FORBIDDEN, refused.clone()));
    }
    assert_eq!(
        ask(&app, request("GET", &uri("open", "panic"), None)).await.0,
        StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[tokio::test]
async fn an_invitation_that_nobody_answers_may_be_tried_again() {
    let config = Config { authenticate_within: Duration::from_millis(10), ..Config::default() };
    let watch = watch().invites(|_, _| std::future::pending());
    let syncline = messages(watch).config(config).build().await.unwrap();
    let uri = format!("{MESSAGES}?spaceUri=open&inviteToken=come-in");
    let (status, body) = ask(&app(&syncline), request("GET", &uri, None)).await;
    assert_eq!((status, &body["error"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("ServiceUnavailable")));
}

/// A row of a collection that the server does not have.
#[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
#[record(collection = "strangers", key = id)]
struct Stranger {
    id: String,
    at: i64,
}

#[tokio::test]
async fn what_could_never_be_watched_is_refused_when_the_server_is_built() {
    let unknown = Mapping::new(|stranger: &Stranger| stranger.id.clone(), Stranger::at);
    let cases = [
        watch().collection(mapping()),
        watch().collection(mapping().named("a b")),
        WatchRecords::namespace("app.example").collection(unknown),
    ];
    for (watch, code) in cases.into_iter().zip(["bad_config", "bad_config", "unknown_collection"]) {
        assert_eq!(messages(watch).build().await.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn whatever_a_key_is_made_of_an_address_has_three_parts() {
    let (_syncline, app) = with_rooms(watch()).await;
    let mut ada = Writer::new(&app, "ada").await;
    let keys = ["a/b?c#d", "ü", "%2F", "..", &"k".repeat(256)];
    for key in keys {
        ada.put("open", &Message { author: "did:web:x/y".into(), ..message(key, "odd", 1) }).await;
    }
    let mut records = Records::watch(&app, "open", "").await;
    records.hear("snapshot.start").await;
    for _ in keys {
        let record = records.hear("snapshot.record").await;
        let uri = record["record"]["uri"].as_str().unwrap();
        assert_eq!(uri.matches('/').count(), 4, "{uri}");
    }
}

#[tokio::test]
async fn nothing_that_a_url_can_hold_does_any_harm() {
    let (syncline, app) = with_rooms(watch().tickets(keys())).await;
    let many = "&text=a".repeat(8_000);
    let long = format!("&text={}", "x".repeat(60_000));
    let ticket = format!("&ticket={}", "A".repeat(60_000));
    for further in [
        many.as_str(),
        &long,
        &ticket,
        "&limit=%00",
        "&text=%FF%FE",
        "&&&==&%",
        "&cursor=%F0%9F%8D%9E",
        "&sort=__proto__&order[]=1",
        "&hydrate=5&hydrateX=5&hydrateReactions=99999999999999999999999",
        "&sinceTs=-1&mode=WS",
    ] {
        let mut records = Records::watch(&app, "open", further).await;
        records.snapshot().await;
    }
    let mut odd = request("GET", &format!("{MESSAGES}?spaceUri=open"), None);
    for header in [&b"Bearer \xff\xfe"[..], b"Bearer", b"", b"Basic YTpi", b"bearer token-from-ada"] {
        let header = axum::http::HeaderValue::from_bytes(header).unwrap();
        let mut request = request("GET", &format!("{MESSAGES}?spaceUri=open"), None);
        request.headers_mut().insert("authorization", header.clone());
        let status = ask(&app, request).await.0;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{header:?}");
    }
    odd.headers_mut().insert("authorization", "bEaReR token-of-ada".parse().unwrap());
    Records::open(&app, odd).await.snapshot().await;
    all_have_gone(&syncline).await;
}

#[tokio::test]
async fn a_ticket_remembers_what_its_owner_is_called() {
    let watch = watch().tickets(keys()).invites(async |token, _| {
        (token == "come-in").then(|| User { id: "guest".into(), name: Some("Gus".into()) })
    });
    let (_syncline, app) = with_rooms(watch).await;
    let uri = format!("{MESSAGES}?spaceUri=of-names&mode=ws");
    let (_, handshake) = ask(&app, request("GET", &format!("{uri}&inviteToken=come-in"), None)).await;
    assert!(!handshake["wsUrl"].as_str().unwrap().contains("come-in"), "the ticket says it all");
    let with_ticket = format!("{uri}&ticket={}", handshake["ticket"].as_str().unwrap());
    assert_eq!(ask(&app, request("GET", &with_ticket, None)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn who_cannot_be_known_now_is_asked_to_come_again() {
    let blip = async |_| Err::<User, _>(Error::new("no_database", "connection to 10.0.0.7 refused"));
    let syncline = messages(watch().tickets(keys())).authenticate(blip).build().await.unwrap();
    let app = app(&syncline);
    for (method, uri) in [
        ("GET", format!("{MESSAGES}?spaceUri=room-a")),
        ("GET", format!("{MESSAGES}?spaceUri=room-a&mode=ws")),
        ("POST", format!("{}?spaceUri=room-a", MESSAGES.replace("watchRecords", "watchTicket"))),
    ] {
        let (status, body) = ask(&app, request(method, &uri, Some("token-of-ada"))).await;
        assert_eq!((status, &body["error"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("ServiceUnavailable")));
        assert!(!body.to_string().contains("10.0.0.7"), "what it says is for the log");
    }
}

#[tokio::test]
async fn credentials_that_grow_old_end_the_stream() {
    let soon_old = async |credentials| {
        let user = who(credentials).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        Ok::<_, AuthError>(Identity { user, expires_at: Some(now + 300) })
    };
    let syncline = messages(watch()).authenticate(soon_old).build().await.unwrap();
    let mut records = Records::watch(&app(&syncline), "room-a", "").await;
    records.snapshot().await;
    assert!(records.hear("error").await["message"].is_string());
    assert!(records.event().await.is_none());
}
