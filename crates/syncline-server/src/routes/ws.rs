//! `GET /ws`: frames both ways, each one message.

mod apart;
mod line;
pub(super) mod upgrade;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use syncline_core::{Error, code};
use tokio::io::AsyncRead;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, Utf8Bytes};
use tracing::Instrument as _;

use crate::config::Config;
use crate::connection::{Connection, Shared};
use crate::problem::{Problem, close_code};
use crate::routes::body::too_large;
use crate::routes::ws::apart::Apart;
use crate::routes::ws::line::{Frames, Protocol, halves};
use crate::routes::ws::upgrade::{Upgrade, Wire};

/// What a socket reads at a time. The default of 128 KiB is paid by every idle connection.
const READ_BUFFER: usize = 1024;

/// The largest piece that is written at once: a socket keeps room for its largest one for good.
pub(crate) const FRAGMENT: usize = 16 * 1024;

/// The most that waits in a socket of the library: a fragment with its header, a pong, the close frame.
const WRITE_BUFFER: usize = 2 * FRAGMENT;

pub(crate) type Socket = WebSocketStream<Wire>;
pub(crate) type Sink = SplitSink<Socket, Message>;
pub(crate) type Source = SplitStream<Socket>;

pub(super) async fn connect(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let connection = Connection::open(&shared, &headers)?;
    let (response, wire) = upgrade.wire();
    let span = tracing::debug_span!("socket", conn = connection.inbound.conn);
    let serving = async move {
        match wire.await {
            Ok(wire) => serve(wire, &connection, &shared.config).await,
            Err(error) => tracing::debug!(%error, "the upgrade failed"),
        }
    };
    tokio::spawn(serving.instrument(span));
    Ok(response)
}

/// Buffers that an idle connection can afford, for messages of at most so many bytes.
pub(crate) fn bounded(message_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(message_bytes))
        .max_frame_size(Some(message_bytes))
}

/// How both directions have come to an end.
enum End {
    /// The client is gone, or takes nothing any more.
    Gone,
    /// The client has said goodbye, and is answered.
    Answer,
    /// Everything has left; a goodbye follows, for this reason.
    Goodbye(Option<Error>),
    /// The same for a client that was not understood.
    Refusal(Option<Error>),
}

/// Why nothing more is heard of a client.
enum Heard {
    /// It is gone.
    Nothing,
    /// It has said goodbye.
    Goodbye,
    /// It says what nobody understands, and is told so.
    Nonsense,
}

/// Both directions at once: a client that is slow to read is still heard.
async fn serve(wire: Wire, connection: &Connection, config: &Config) {
    let (mut frames, protocol) = halves(wire);
    let settings = bounded(config.engine.limits.frame_bytes);
    let mut socket = WebSocketStream::from_raw_socket(protocol, Role::Server, Some(settings)).await;
    let end = both_ways(&mut frames, &mut socket, connection, config).await;
    let ending = async {
        match end {
            End::Gone => {}
            // to the library an answer has left that may still stand behind a fragment
            End::Answer => {
                while socket.next().await.is_some() {}
                let _ = poll_fn(|cx| frames.poll_left(cx)).await;
            }
            End::Goodbye(error) => {
                if say_goodbye(&mut socket, error.as_ref()).await.is_ok() {
                    while socket.next().await.is_some() {}
                }
            }
            // a socket that is closed with something unread takes back what it has sent
            End::Refusal(error) => {
                if say_goodbye(&mut socket, error.as_ref()).await.is_ok() {
                    read_away(socket.into_inner(), config.close_within).await;
                }
            }
        }
    };
    let _ = timeout(config.close_within, ending).await;
}

async fn both_ways(
    frames: &mut Frames<Wire>,
    socket: &mut WebSocketStream<Protocol<Wire>>,
    connection: &Connection,
    config: &Config,
) -> End {
    let mut sending =
        pin!(poll_fn(|cx| frames.poll_end(cx, &connection.outbox, |epoch| connection.drained(epoch))));
    let receiving = pin!(receive(socket, connection, config));
    let overdue = pin!(async {
        connection.outbox.closed().await;
        sleep(config.close_within).await;
    });
    let (mut receiving, mut overdue) = (Apart::new(receiving), Apart::new(overdue));
    let mut is_understood = true;
    loop {
        tokio::select! {
            // to be told of a change is what it is woken for most often
            biased;
            sent = &mut sending => return match sent {
                Ok(error) if is_understood => End::Goodbye(error),
                Ok(error) => End::Refusal(error),
                Err(_) => End::Gone,
            },
            heard = &mut receiving, if is_understood => match heard {
                Heard::Nothing => return End::Gone,
                Heard::Goodbye => return End::Answer,
                // what it is told has yet to leave
                Heard::Nonsense => is_understood = false,
            },
            () = &mut overdue => return End::Gone,
        }
    }
}

async fn say_goodbye(
    socket: &mut WebSocketStream<Protocol<Wire>>,
    error: Option<&Error>,
) -> Result<(), SocketError> {
    let reason = error.map(|error| short(error.code())).unwrap_or_default();
    socket.send(Message::Close(Some(CloseFrame { code: close_code(error), reason }))).await
}

/// Hands what the client says to the hub, until the client is gone or not understood any more.
async fn receive(
    socket: &mut WebSocketStream<Protocol<Wire>>,
    connection: &Connection,
    config: &Config,
) -> Heard {
    while let Some(received) = socket.next().await {
        let frame = match received {
            Ok(Message::Text(text)) => Bytes::from(text),
            Ok(Message::Binary(bytes)) => bytes,
            Ok(Message::Close(_)) => return Heard::Goodbye,
            // pongs are sent by the socket itself, as it is read on
            Ok(_) => continue,
            Err(error) => {
                let Some(error) = refusal(&error, config) else { return Heard::Nothing };
                connection.refuse(error);
                return Heard::Nonsense;
            }
        };
        // a connection that is ending is read to its end and not listened to
        if !connection.outbox.is_closed() && connection.inbound.frame(frame.into(), config).await.is_err() {
            return Heard::Nothing;
        }
    }
    Heard::Nothing
}

/// What the client is told when its socket cannot be read on; `None` when it is simply gone.
pub(crate) fn refusal(error: &SocketError, config: &Config) -> Option<Error> {
    match error {
        SocketError::Capacity(_) => Some(too_large(config.engine.limits.frame_bytes)),
        SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        SocketError::Protocol(_) => Some(Error::new(code::BAD_FRAME, "this is not the WebSocket protocol")),
        SocketError::Utf8(_) => Some(Error::new(code::BAD_FRAME, "a text message is not UTF-8")),
        _ => None,
    }
}

/// A frame as one message, in pieces of a bounded size. Pieces of a text may end within a character.
pub(crate) fn fragments(bytes: Bytes, kind: Data) -> impl Iterator<Item = Frame> {
    (0..bytes.len().div_ceil(FRAGMENT).max(1)).map(move |number| {
        let (start, end) = (number * FRAGMENT, bytes.len().min((number + 1) * FRAGMENT));
        let opcode = if number == 0 { kind } else { Data::Continue };
        Frame::message(bytes.slice(start..end), OpCode::Data(opcode), end == bytes.len())
    })
}

/// A close frame has room for 123 bytes of reason; an application's code may be longer.
pub(crate) fn short(reason: &str) -> Utf8Bytes {
    let end = (0..=reason.len().min(123)).rev().find(|&end| reason.is_char_boundary(end)).unwrap_or(0);
    reason[..end].into()
}

/// Reads what still comes until the client hangs up.
pub(crate) async fn read_away(mut wire: impl AsyncRead + Unpin, within: Duration) {
    let _ = timeout(within, tokio::io::copy(&mut wire, &mut tokio::io::sink())).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_message_however_many_pieces_it_takes() {
        for length in [0, 1, FRAGMENT, FRAGMENT + 1, 3 * FRAGMENT] {
            let frame: Bytes = (0..length).map(|number| number as u8).collect();
            let pieces: Vec<Frame> = fragments(frame.clone(), Data::Text).collect();
            assert_eq!(pieces.iter().flat_map(|piece| piece.payload()).copied().collect::<Vec<_>>(), *frame);
            assert!(pieces.iter().all(|piece| piece.payload().len() <= FRAGMENT));
            let (last, before) = pieces.split_last().unwrap();
            assert!(last.header().is_final && before.iter().all(|piece| !piece.header().is_final));
            assert_eq!(pieces[0].header().opcode, OpCode::Data(Data::Text));
            assert!(pieces[1..].iter().all(|piece| piece.header().opcode == OpCode::Data(Data::Continue)));
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(short("bad_frame").as_str(), "bad_frame");
        assert_eq!(short(&"ü".repeat(100)).as_str(), "ü".repeat(61));
    }
}
