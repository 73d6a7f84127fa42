//! What is asked for once and answered at once: the handshake before a WebSocket, and tickets.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::connection::stopping;
use crate::ticket::{Claims, Ticket};
use crate::watch_records::encode::Event;
use crate::watch_records::entrance::{Proof, Request, Route, now};
use crate::watch_records::params::Params;
use crate::watch_records::refusal::Refusal;
use crate::watch_records::watcher::{Next, Told, Watcher};

/// The most bytes of records in a handshake. Those beyond are left to the socket, which sends all of them again.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// The answer to `mode=ws`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Handshake {
    transport: &'static str,
    snapshot: Page,
    query_spec: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    ticket_ttl_ms: u64,
    /// Unix ms.
    since_ts: u64,
    ws_url: String,
}

#[derive(Default, Serialize)]
struct Page {
    records: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    #[serde(skip)]
    bytes: usize,
}

/// A ticket for a query.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Minted {
    ticket: String,
    ttl_ms: u64,
}

/// The rows as they are now, and where to go on.
pub(super) async fn shake_hands(
    route: &Route,
    path: &str,
    headers: &HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    // what happens from here on is told by the socket
    let since = now();
    let (proof, query_spec) = (route.proof(&request).await?, route.query_spec(&request));
    let Request { params, place, list } = request;
    let topic = place.topic();
    let mut watcher = route.enter(headers, &proof, place, list).await?;
    let mut snapshot = Page::default();
    loop {
        match watcher.next().await {
            Next::Told(Told::Own(events)) => {
                if events.iter().any(|event| snapshot.take(event)) {
                    break;
                }
            }
            Next::Told(Told::Shared(_)) => {}
            Next::Ping(ping) => watcher.alive(ping).await,
            Next::End(end) => return Err(end.error.unwrap_or_else(stopping).into()),
        }
    }
    let (ticket, ticket_ttl_ms) = match proof {
        // a ticket does not prolong itself
        Proof::Ticket(claims) => (params.ticket().map(Into::into), claims.exp.saturating_sub(since)),
        Proof::Invite(_) | Proof::Own => match mint(route, &watcher, &topic, query_spec.clone()) {
            Some((ticket, ttl)) => (Some(ticket.as_str().to_owned()), ttl),
            None => (None, 0),
        },
    };
    let ws_url = params.socket_address(path, ticket.as_deref(), since);
    let transport = "ws";
    let answer =
        Handshake { transport, snapshot, query_spec, ticket, ticket_ttl_ms, since_ts: since, ws_url };
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

impl Page {
    /// Whether this is its end.
    fn take(&mut self, event: &Event) -> bool {
        #[derive(serde::Deserialize)]
        struct Data {
            record: Option<Box<RawValue>>,
            cursor: Option<String>,
        }
        // our own JSON
        let data = serde_json::from_str(&event.data).unwrap_or(Data { record: None, cursor: None });
        self.bytes += event.data.len();
        self.records.extend(data.record.filter(|_| self.bytes <= PAGE_BYTES));
        self.cursor = data.cursor;
        event.kind == "snapshot.end"
    }
}

/// `POST <collection>.watchTicket`: a ticket for the query that the parameters name.
pub(super) async fn ticket(
    State(route): State<Route>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let request = route.read(Params::of(&uri))?;
    if route.face.settings.keys.is_none() {
        return Err(Refusal::no_tickets());
    }
    let (query_spec, topic) = (route.query_spec(&request), request.place.topic());
    // a ticket does not prolong itself
    let proof = route.proof_beside_ticket(&request).await?;
    // whoever may not watch gets none
    let mut list = request.list;
    list.spec.limit = Some(1);
    let watcher = route.enter(&headers, &proof, request.place, list).await?;
    let (ticket, ttl_ms) = mint(&route, &watcher, &topic, query_spec).ok_or_else(Refusal::no_tickets)?;
    let answer = Minted { ticket: ticket.as_str().to_owned(), ttl_ms };
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// A ticket for whoever watches and for how long it is good, ms; `None` where there are none.
fn mint(route: &Route, watcher: &Watcher, topic: &str, query_spec: Value) -> Option<(Ticket, u64)> {
    let settings = &route.face.settings;
    let keys = settings.keys.as_ref()?;
    let user = watcher.user();
    let claims = Claims::new(user.id.as_str(), now())
        .with_name(user.name.clone())
        .with_topics([topic.to_owned()])
        .with_query(query_spec)
        .good_for(settings.ticket_lifetime)
        .until(watcher.expires_at());
    let ttl = claims.exp.saturating_sub(claims.iat);
    Some((keys.mint(&claims), ttl))
}
