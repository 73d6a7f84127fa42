//! `POST /stream`: frames from the server as server-sent events, for where a WebSocket is refused.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use syncline_core::Error;
use syncline_core::code;
use syncline_core::wire::{ClientMessage, Frame, ServerMessage, parse_client};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;

use crate::connection::{Connection, Shared, stopping};
use crate::problem::{INTERNAL, Problem};
use crate::routes::body;

/// What keeps proxies from taking a silent stream for dead; clients skip it.
pub(crate) const KEEPALIVE: &[u8] = b": keepalive\n\n";

/// The body is the hello. A client that is turned away gets an HTTP status: the stream only begins with a welcome.
pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let place = shared.place()?;
    let hello = body::read(body, &shared.config).await?;
    match parse_client(&hello, shared.config.engine.limits.frame_bytes)? {
        ClientMessage::Hello(_) => {}
        _ => return Err(Error::new(code::BAD_FRAME, "a stream begins with `hello`").into()),
    }
    let connection = Connection::open_linked(place, &shared, &headers, new_link()?)?;
    connection.inbound.frame(hello, &shared.config).await.map_err(|_| stopping())?;
    let first = connection.next().await.map_err(|error| error.unwrap_or_else(stopping))?;
    if let Some(error) = refusal(&first) {
        return Err(error.into());
    }
    let (body, events) = mpsc::channel(1);
    let span = tracing::debug_span!("stream", conn = connection.inbound.conn);
    tokio::spawn(serve(connection, first, body, Arc::clone(&shared)).instrument(span));
    let headers = [
        (CONTENT_TYPE.as_str(), "text/event-stream"),
        (CACHE_CONTROL.as_str(), "no-store"),
        // nginx holds back what it proxies unless it is told not to
        ("x-accel-buffering", "no"),
    ];
    Ok((headers, Body::from_stream(body_of(events))).into_response())
}

/// What a task hands over, as the body of a response.
pub(crate) fn body_of(parts: mpsc::Receiver<Bytes>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold(parts, async |mut parts| {
        let part = parts.recv().await?;
        Some((Ok(part), parts))
    })
}

/// Brings what comes out of the outbox to the response, in a task of its own: a response whose socket takes nothing is
/// not asked for more, and could not be ended from within.
async fn serve(connection: Connection, first: Arc<[u8]>, body: mpsc::Sender<Bytes>, shared: Arc<Shared>) {
    let config = &shared.config;
    let overdue = async {
        connection.outbox.closed().await;
        sleep(config.close_within).await;
    };
    tokio::select! {
        () = copy(&connection, &first, &body, config.keepalive) => {}
        () = body.closed() => {}
        () = overdue => tracing::debug!("a stream that takes nothing is ended"),
    }
}

async fn copy(connection: &Connection, first: &[u8], body: &mpsc::Sender<Bytes>, keepalive: Duration) {
    let mut next = Some(event(first));
    // there is room when the event before has left: only then has its frame, too
    while let Ok(room) = body.reserve().await {
        room.send(match next.take() {
            Some(first) => first,
            None => match timeout(keepalive, connection.next()).await {
                Ok(Ok(frame)) => event(&frame),
                Ok(Err(_)) => return,
                Err(_) => Bytes::from_static(KEEPALIVE),
            },
        });
    }
}

/// A frame as one event; its lines become the event's.
fn event(frame: &[u8]) -> Bytes {
    let lines = frame.split(|&byte| byte == b'\n');
    let mut event = Vec::with_capacity(frame.len() + 64);
    for line in lines {
        event.extend_from_slice(b"data: ");
        event.extend_from_slice(line);
        event.push(b'\n');
    }
    event.push(b'\n');
    event.into()
}

/// Why the client is turned away, when it is.
fn refusal(first: &[u8]) -> Option<Error> {
    match Frame::parse(first).ok()?.message {
        ServerMessage::Error(error) => Some(error),
        // without a welcome the client has no link to send others by
        ServerMessage::Expired(expired) => Some(expired.error.unwrap_or_else(unauthenticated)),
        _ => None,
    }
}

fn unauthenticated() -> Error {
    Error::new(code::UNAUTHENTICATED, "the credentials are no longer good")
}

/// 128 bits that nobody guesses: who knows them speaks for the connection.
fn new_link() -> Result<String, Error> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret).map_err(|_| Error::new(INTERNAL, "the system has no random numbers"))?;
    Ok(secret.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_event_and_keeps_its_lines() {
        assert_eq!(event(b"{\"ping\":1}"), "data: {\"ping\":1}\n\n");
        assert_eq!(event(b"{}\n{\"id\":\"a\"}\n{}"), "data: {}\ndata: {\"id\":\"a\"}\ndata: {}\n\n");
    }

    #[test]
    fn links_are_long_and_never_the_same() {
        let (one, other) = (new_link().unwrap(), new_link().unwrap());
        assert!(one.len() == 32 && one != other);
    }

    #[test]
    fn only_a_welcome_begins_a_stream() {
        assert!(refusal(br#"{"error":{"code":"forbidden","message":"no"}}"#).is_some());
        let expired = refusal(br#"{"expired":{"error":{"code":"unauthenticated","message":"no"}}}"#);
        assert!(expired.is_some_and(|error| error.is_unauthenticated()));
        assert!(refusal(br#"{"ping":1}"#).is_none());
    }
}
