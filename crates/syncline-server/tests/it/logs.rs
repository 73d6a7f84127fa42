//! What the server logs, and what it does not.
//!
//! `tracing` remembers for each place that logs whether anybody listens, and a subscriber of one thread is not asked
//! when another thread comes there first. So one subscriber stands for the whole process, and gives to each test what
//! its own thread has logged.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::Once;

use serde_json::json;
use syncline_server::{AuthError, Credentials, Sqlite, User};
use tempfile::TempDir;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::http::{Sse, post, refusal};
use crate::support::records;
use crate::support::ws::Ws;
use crate::support::{Server, hello_with_token, note, notes, put, subscribe};

thread_local! {
    /// What this thread has logged since its test began to listen.
    static LOG: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Hears all that is logged in this process, by anybody.
struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        note_down(|line| attributes.record(line));
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        note_down(|line| event.record(line));
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The fields of one event or span.
struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(self.0, "{field} = {value:?}").unwrap();
    }
}

/// Adds a line to this thread's log. What is logged while a line is written (a value's `Debug` may do so) is left out.
fn note_down(write: impl FnOnce(&mut Line<'_>)) {
    LOG.with(|log| {
        if let Ok(mut log) = log.try_borrow_mut()
            && let Some(log) = log.as_mut()
        {
            write(&mut Line(log));
        }
    });
}

/// Begins to listen to what this thread logs. A `tokio::test` has one thread, and all its tasks run there.
fn listen() {
    static LISTENER: Once = Once::new();
    LISTENER.call_once(|| {
        tracing::subscriber::set_global_default(Listener).unwrap();
        tracing::callsite::rebuild_interest_cache();
    });
    LOG.set(Some(String::new()));
}

/// What this thread has logged since [`listen`].
fn heard() -> String {
    LOG.take().unwrap()
}

async fn who(credentials: Credentials) -> Result<User, AuthError> {
    match credentials.token.as_deref() {
        Some("token-of-ada") => Ok(User { id: "ada".into(), name: None }),
        _ => Err(AuthError::new("Who are you?")),
    }
}

#[tokio::test]
async fn neither_rows_nor_tokens_are_logged() {
    listen();
    let folder = TempDir::new().unwrap();
    let storage = Sqlite::open(folder.path().join("spaces.db")).unwrap();
    let server = Server::of(notes(storage).authenticate(who).build().await.unwrap()).await;

    let mut ws = Ws::connect_with(&server, &[("cookie", "cookie-of-ada")]).await.unwrap();
    ws.say(&hello_with_token("client-a", "token-of-eve")).await;
    ws.hear_one("expired").await;
    ws.say(&json!({ "auth": { "token": "token-of-ada" } })).await;
    ws.hear_one("welcome").await;
    ws.say(&subscribe(1, "list")).await;
    ws.hear_one("snapshot").await;
    ws.say(&put("client-a", 1, "list", &note("n1", "row-of-ada"))).await;
    ws.hear_one("changes").await;
    refusal(post(&server, "stream").body(hello_with_token("client-b", "token-of-eve").to_string())).await;
    let mut stream = Sse::open_with(&server, &hello_with_token("client-b", "token-of-ada")).await;
    stream.say(&[json!({ "nonsense": "row-of-ada" })]).await;
    assert_eq!(stream.hear().await.code(), "bad_frame");
    let link = stream.link.clone();
    drop((ws, stream));
    server.stop().await;

    let log = heard();
    for expected in ["connected", "disconnected", "closing", "shutting down", "conn = 1"] {
        assert!(log.contains(expected), "{expected} is missing in {log}");
    }
    for secret in ["-of-ada", "-of-eve", link.as_str()] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}

#[tokio::test]
async fn no_ticket_and_no_invitation_is_logged() {
    listen();
    let settings = records::watch().tickets(records::keys()).invites(|token, _| async move {
        (token == "invitation-good").then(|| User { id: "guest".into(), name: None })
    });
    let syncline = records::messages(settings).build().await.unwrap();
    let app = records::app(&syncline);
    let messages = format!("{}?spaceUri=room-a", records::MESSAGES);
    let mint = messages.replace("watchRecords", "watchTicket");
    let (_, minted) = records::ask(&app, records::request("POST", &mint, Some("token-of-ada"))).await;
    let ticket = minted["ticket"].as_str().unwrap();
    let tampered = ticket.replace('.', ".A");
    for further in [
        format!("&ticket={ticket}"),
        format!("&ticket={tampered}"),
        "&inviteToken=invitation-good".to_owned(),
        "&inviteToken=invitation-bad".to_owned(),
    ] {
        for mode in ["", "&mode=ws"] {
            let uri = format!("{messages}{further}{mode}");
            let asked = tower::ServiceExt::oneshot(app.clone(), records::request("GET", &uri, None));
            drop(asked.await.unwrap());
        }
    }
    records::all_have_gone(&syncline).await;
    let log = heard();
    assert!(log.contains("conn = 1"), "{log}");
    let (body, signature) = ticket.split_once('.').unwrap();
    for secret in [body, signature, "invitation-", "token-of-ada"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}
