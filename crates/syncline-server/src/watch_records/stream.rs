//! The watch as server-sent events.

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::mpsc;
use tokio::time::{Duration, sleep, timeout};
use tracing::Instrument as _;

use crate::config::Config;
use crate::routes::stream::{KEEPALIVE, body_of};
use crate::watch_records::encode;
use crate::watch_records::entrance::{Request, Route};
use crate::watch_records::refusal::Refusal;
use crate::watch_records::watcher::{Next, Watcher};

pub(super) async fn open(route: &Route, headers: &HeaderMap, request: Request) -> Result<Response, Refusal> {
    let proof = route.proof(&request).await?;
    let Request { place, list, .. } = request;
    let watcher = route.enter(headers, &proof, place, list).await?;
    let (body, events) = mpsc::channel(1);
    let span = tracing::debug_span!("watch", conn = watcher.connection.inbound.conn);
    let config = route.shared.config.clone();
    tokio::spawn(async move { serve(watcher, body, &config).await }.instrument(span));
    let headers = [
        (CONTENT_TYPE.as_str(), "text/event-stream"),
        // some proxies compress, and hold back what they compress
        (CACHE_CONTROL.as_str(), "no-store, no-transform"),
        ("x-accel-buffering", "no"),
    ];
    Ok((headers, Body::from_stream(body_of(events))).into_response())
}

/// Brings events to the response, in a task of its own: a response whose socket takes nothing is not asked for more, and
/// could not be ended from within.
async fn serve(mut watcher: Watcher, body: mpsc::Sender<Bytes>, config: &Config) {
    let outbox = watcher.connection.outbox.clone();
    let overdue = async {
        outbox.closed().await;
        sleep(config.close_within).await;
    };
    tokio::select! {
        () = copy(&mut watcher, &body, config.keepalive) => {}
        () = body.closed() => {}
        () = overdue => tracing::debug!("a stream that takes nothing is ended"),
    }
}

async fn copy(watcher: &mut Watcher, body: &mpsc::Sender<Bytes>, keepalive: Duration) {
    // there is room when the events before have left: only then has their frame, too
    while let Ok(room) = body.reserve().await {
        let next = async {
            loop {
                match watcher.next().await {
                    // as good an answer as an event stream has: it takes what it is sent
                    Next::Ping(ping) => watcher.alive(ping).await,
                    Next::Told(told) => return Ok(told),
                    Next::End(end) => return Err(end),
                }
            }
        };
        match timeout(keepalive, next).await {
            Ok(Ok(told)) => room.send(told.stream()),
            Ok(Err(end)) => {
                if let Some(event) = end.event {
                    room.send(encode::stream(&[event]));
                }
                return;
            }
            Err(_) => room.send(Bytes::from_static(KEEPALIVE)),
        }
    }
}
