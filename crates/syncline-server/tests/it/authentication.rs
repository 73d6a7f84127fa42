//! Who people are and what they may do, as the application says.

use reqwest::StatusCode;
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use syncline_server::{
    AuthError, Change, Config, Credentials, Error, Identity, Memory, Rules, SpaceId, Syncline, User,
    Visibility, code,
};

use crate::support::http::{post, refusal};
use crate::support::ws::Ws;
use crate::support::{Note, Server, hello_with_token, note, notes, put, soon, subscribe};

/// A token is a name; a cookie `name=` is one, too.
async fn who(credentials: Credentials) -> Result<User, Error> {
    let cookie =
        credentials.headers.get("cookie").and_then(|cookie| cookie.to_str().ok()?.strip_prefix("name="));
    match credentials.token.as_deref().or(cookie) {
        None | Some("wrong") => Err(AuthError::new("Who are you?").into()),
        Some("banned") => Err(Error::new("banned", "You are not welcome here.")),
        Some("panic") => panic!("the application has a mistake"),
        Some("slow") => std::future::pending().await,
        Some(name) => Ok(User { id: name.into(), name: None }),
    }
}

/// Everybody sees and changes their own notes.
struct OwnNotes;

impl Rules<Note> for OwnNotes {
    fn visibility(&self) -> Visibility<Note> {
        Visibility::by_row(|user, _, note: &Note| user.id == *note.author)
    }

    fn write(&self, user: &User, _: &SpaceId, change: Change<'_, Note>) -> Result<(), Error> {
        match change {
            Change::Insert(note) | Change::Update { after: note, .. } if note.text == "panic" => {
                panic!("the application has a mistake")
            }
            Change::Insert(note) | Change::Update { after: note, .. } if user.id != *note.author => {
                Err(Error::new("not_the_author", "People write in their own name.").with_field("author"))
            }
            Change::Insert(_) | Change::Update { .. } | Change::Delete(_) => Ok(()),
        }
    }
}

fn may_open(user: &User, space: &SpaceId) -> Result<(), Error> {
    match space.as_str() {
        "list" => Ok(()),
        "ada" if user.id == *"ada" => Ok(()),
        "ada" => Err(Error::new(code::FORBIDDEN, "This is Ada's.")),
        _ => Err(Error::new(code::UNKNOWN_SPACE, "There is no such list.")),
    }
}

async fn server() -> Server {
    let config = Config { authenticate_within: Duration::from_millis(50), ..Config::default() };
    let builder =
        Syncline::builder().storage(Memory::new()).config(config).authenticate(who).spaces(may_open);
    Server::of(builder.collection::<Note>(OwnNotes).build().await.unwrap()).await
}

async fn open_as(server: &Server, name: &str) -> Ws {
    let mut ws = Ws::connect(server).await;
    ws.say(&hello_with_token(&format!("client-{name}"), name)).await;
    assert_eq!(ws.hear_one("welcome").await.body["user"]["id"], name);
    ws
}

fn note_of(author: &str, id: &str, text: &str) -> Note {
    Note { author: author.into(), ..note(id, text) }
}

#[tokio::test]
async fn a_cookie_says_who_somebody_is_where_no_token_does() {
    let server = server().await;
    let mut ws = Ws::connect_with(&server, &[("cookie", "name=ada")]).await.unwrap();
    ws.say(&json!({ "hello": { "protocol": 1, "client": "client-a" } })).await;
    assert_eq!(ws.hear_one("welcome").await.body["user"]["id"], "ada");
}

#[tokio::test]
async fn other_credentials_can_be_tried_on_the_same_socket() {
    let server = server().await;
    let mut ws = Ws::connect(&server).await;
    ws.say(&hello_with_token("client-a", "wrong")).await;
    assert_eq!(ws.hear_one("expired").await.code(), "unauthenticated");
    ws.say(&json!({ "auth": { "token": "ada" } })).await;
    assert_eq!(ws.hear_one("welcome").await.body["user"]["id"], "ada");
}

#[tokio::test]
async fn a_stream_answers_refused_credentials_with_a_status() {
    let server = server().await;
    let refused = async |token| {
        refusal(post(&server, "stream").body(hello_with_token("client-a", token).to_string())).await
    };
    assert_eq!(refused("wrong").await, (StatusCode::UNAUTHORIZED, "unauthenticated".into()));
    assert_eq!(refused("banned").await, (StatusCode::FORBIDDEN, "banned".into()));
    assert_eq!(refused("panic").await, (StatusCode::INTERNAL_SERVER_ERROR, "internal".into()));
    assert_eq!(refused("slow").await, (StatusCode::REQUEST_TIMEOUT, "timeout".into()));
    soon(server.syncline.gauges_when(|gauges| gauges.connections == 0)).await;
}

#[tokio::test]
async fn who_is_not_welcome_is_told_so_and_the_socket_closed() {
    let server = server().await;
    let mut ws = Ws::connect(&server).await;
    ws.say(&hello_with_token("client-a", "banned")).await;
    let (heard, close) = ws.hear_to_the_end().await;
    assert_eq!((heard[0].name.as_str(), heard[0].code()), ("error", "banned"));
    assert_eq!(close, Some((1008, "banned".into())));
}

#[tokio::test]
async fn an_identity_lasts_as_long_as_its_proof() {
    let soon_over = |_: Credentials| async {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let expires_at = u64::try_from(now.as_millis()).ok().map(|now| now + 100);
        Ok::<_, Error>(Identity { user: User { id: "ada".into(), name: None }, expires_at })
    };
    let server = Server::of(notes(Memory::new()).authenticate(soon_over).build().await.unwrap()).await;
    let mut ws = Ws::open(&server, "client-a").await;
    ws.hear_one("expired").await;
}

#[tokio::test]
async fn rows_reach_only_those_who_may_see_them() {
    let server = server().await;
    let mut ada = open_as(&server, "ada").await;
    let mut eve = open_as(&server, "eve").await;
    for ws in [&mut ada, &mut eve] {
        ws.say(&subscribe(1, "list")).await;
        ws.hear_one("snapshot").await;
    }
    ada.say(&put("client-ada", 1, "list", &note_of("ada", "n1", "secret"))).await;
    assert_eq!(ada.hear_one("changes").await.texts(), ["secret"]);
    eve.say(&put("client-eve", 1, "list", &note_of("eve", "n2", "mine"))).await;
    // the first thing Eve hears of is her own
    assert_eq!(eve.hear_one("changes").await.texts(), ["mine"]);
    let mut late = open_as(&server, "eve").await;
    late.say(&subscribe(1, "list")).await;
    assert_eq!(late.hear_one("snapshot").await.texts(), ["mine"]);
}

#[tokio::test]
async fn a_row_that_cannot_be_seen_cannot_be_changed() {
    let server = server().await;
    let mut ada = open_as(&server, "ada").await;
    ada.say(&put("client-ada", 1, "list", &note_of("ada", "n1", "secret"))).await;
    ada.hear_one("changes").await;
    let mut eve = open_as(&server, "eve").await;
    let delete = json!({ "ops": [{ "delete": ["notes", "n1"] }] });
    let patch = json!({ "ops": [{ "patch": ["notes", "n1", { "author": "eve" }] }] });
    for (id, payload) in [(1, delete), (2, patch)] {
        let write =
            json!({ "space": "list", "client": "client-eve", "id": id, "kind": "rows", "payload": payload });
        eve.say(&json!({ "write": write })).await;
        let ack = &eve.hear_one("changes").await.body["acks"][0];
        assert_eq!(ack["error"]["code"], "forbidden");
    }
}

#[tokio::test]
async fn a_refusal_carries_the_applications_own_words() {
    let server = server().await;
    let mut ada = open_as(&server, "ada").await;
    ada.say(&put("client-ada", 1, "list", &note_of("eve", "n1", "forged"))).await;
    let ack = &ada.hear_one("changes").await.body["acks"][0];
    let error =
        json!({ "code": "not_the_author", "message": "People write in their own name.", "field": "author" });
    assert_eq!(ack["error"], error);
}

#[tokio::test]
async fn a_rule_that_panics_refuses_one_write() {
    let server = server().await;
    let mut ada = open_as(&server, "ada").await;
    for (id, text, code) in [(1, "panic", json!("internal")), (2, "fine", json!(null))] {
        ada.say(&put("client-ada", id, "list", &note_of("ada", "n1", text))).await;
        assert_eq!(ada.hear_one("changes").await.body["acks"][0]["error"]["code"], code);
    }
}

#[tokio::test]
async fn a_space_is_opened_by_those_who_may() {
    let server = server().await;
    let mut eve = open_as(&server, "eve").await;
    for (sub, space, code) in
        [(1, "ada", "forbidden"), (2, "nowhere", "unknown_space"), (3, "a b", "unknown_space")]
    {
        eve.say(&subscribe(sub, space)).await;
        assert_eq!(eve.hear_one("failed").await.code(), code);
    }
    let mut ada = open_as(&server, "ada").await;
    ada.say(&subscribe(1, "ada")).await;
    ada.hear_one("snapshot").await;
}

#[tokio::test]
async fn who_is_no_member_any_more_is_told_at_once() {
    let members = Arc::new(Mutex::new(vec!["ada".to_owned(), "ben".to_owned()]));
    let known = Arc::clone(&members);
    let may_open = move |user: &User, _: &SpaceId| match known.lock().unwrap().contains(&user.id.to_string())
    {
        true => Ok(()),
        false => Err(Error::new(code::FORBIDDEN, "You are not a member.")),
    };
    let builder = Syncline::builder().storage(Memory::new()).authenticate(who).spaces(may_open);
    let server = Server::of(builder.collection::<Note>(()).build().await.unwrap()).await;
    let mut all = Vec::new();
    for name in ["ada", "ben"] {
        let mut ws = open_as(&server, name).await;
        ws.say(&subscribe(1, "club")).await;
        ws.hear_one("snapshot").await;
        all.push(ws);
    }
    members.lock().unwrap().retain(|member| member != "ben");
    server.syncline.rights_changed("ben");
    assert_eq!(soon(all[1].hear_one("failed")).await.code(), code::FORBIDDEN);
    // it is a subscription that failed, alone; the connection lasts, and a right that is won again is good again
    members.lock().unwrap().push("ben".into());
    all[1].say(&subscribe(2, "club")).await;
    while all[1].hear().await.name != "snapshot" {}
    all[0].say(&put("client-ada", 1, "club", &note_of("ada", "a", "still here"))).await;
    assert_eq!(soon(all[0].hear_one("changes")).await.texts(), ["still here"]);
}
