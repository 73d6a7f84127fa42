//! The watch over a WebSocket: the snapshot, then what happens, each event one text message.

use std::pin::pin;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::response::Response;
use futures::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tracing::Instrument as _;

use crate::config::Config;
use crate::routes::Upgrade;
use crate::routes::ws::{Sink, Socket, Source, bounded, fragments};
use crate::watch_records::entrance::{Request, Route};
use crate::watch_records::refusal::Refusal;
use crate::watch_records::watcher::{End, Next, Watcher};

/// The largest message that a client may send: nothing that it says is listened to.
const MESSAGE_BYTES: usize = 64 * 1024;

/// The most pongs that wait to be told to the engine. It asks once and waits for the answer.
const PONGS: usize = 4;

pub(super) async fn open(
    route: &Route,
    headers: &HeaderMap,
    request: Request,
    upgrade: Upgrade,
) -> Result<Response, Refusal> {
    let proof = route.proof(&request).await?;
    let Request { place, list, .. } = request;
    let watcher = route.enter(headers, &proof, place, list).await?;
    let (response, socket) = upgrade.accept(bounded(MESSAGE_BYTES));
    let span = tracing::debug_span!("watch", conn = watcher.connection.inbound.conn);
    let shared = Arc::clone(&route.shared);
    let serving = async move {
        match socket.await {
            Ok(socket) => serve(socket, watcher, &shared.config).await,
            Err(error) => tracing::debug!(%error, "the upgrade failed"),
        }
    };
    tokio::spawn(serving.instrument(span));
    Ok(response)
}

async fn serve(socket: Socket, mut watcher: Watcher, config: &Config) {
    let (mut sink, mut source) = socket.split();
    let outbox = Arc::clone(&watcher.connection.outbox);
    let overdue = async {
        outbox.closed().await;
        sleep(config.close_within).await;
    };
    let (pongs, mut ponged) = mpsc::channel(PONGS);
    let is_goodbye = tokio::select! {
        sent = send(&mut sink, &mut watcher, &mut ponged) => sent.is_ok(),
        () = receive(&mut source, &pongs) => false,
        () = overdue => false,
    };
    drop(watcher);
    if is_goodbye {
        // the client's own goodbye, or as long as one may take
        let mut rest = pin!(async { while let Some(Ok(_)) = source.next().await {} });
        let _ = timeout(config.close_within, &mut rest).await;
    }
}

/// Sends what happens, a close frame last.
async fn send(
    sink: &mut Sink,
    watcher: &mut Watcher,
    ponged: &mut mpsc::Receiver<u64>,
) -> Result<(), SocketError> {
    loop {
        let next = tokio::select! {
            next = watcher.next() => next,
            // the engine is told that the client is there when it says so itself
            Some(ping) = ponged.recv() => {
                watcher.alive(ping).await;
                continue;
            }
        };
        match next {
            Next::Told(told) => {
                for message in told.messages() {
                    send_text(sink, message).await?;
                }
            }
            Next::Ping(ping) => {
                let number = Bytes::copy_from_slice(&ping.to_be_bytes());
                sink.send(Message::Ping(number)).await?;
            }
            Next::End(End { event, code, reason, .. }) => {
                if let Some(event) = event {
                    send_text(sink, event.message()).await?;
                }
                return sink.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
            }
        }
    }
}

async fn send_text(sink: &mut Sink, text: Bytes) -> Result<(), SocketError> {
    for fragment in fragments(text, Data::Text) {
        sink.send(Message::Frame(fragment)).await?;
    }
    Ok(())
}

/// Reads what the client says, until it is gone: pings are answered by the socket itself as it is read, and all but
/// pongs is ignored.
async fn receive(source: &mut Source, pongs: &mpsc::Sender<u64>) {
    while let Some(Ok(message)) = source.next().await {
        if let Message::Pong(number) = message
            && let Ok(number) = <[u8; 8]>::try_from(&*number)
        {
            // with so many on their way the engine knows
            let _ = pongs.try_send(u64::from_be_bytes(number));
        }
    }
}
