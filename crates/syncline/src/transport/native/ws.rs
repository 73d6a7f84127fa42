//! One WebSocket.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::stream::{SplitSink, SplitStream};
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use hyper::body::Bytes;
use hyper::header::{HeaderValue, USER_AGENT};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::transport::Link;
use crate::transport::closed::Closed;
use crate::transport::native::address::Address;
use crate::transport::native::dial::{Wire, dial};
use crate::transport::native::tls::Tls;
use crate::transport::native::{self, MAX_FRAME_BYTES};
use crate::transport::sse::lost;
use crate::{Error, code};

/// What is read at a time.
const READ_BUFFER: usize = 16 * 1024;

/// The code of a socket that ended without one.
const ABNORMAL: u16 = 1006;
/// The code of a close frame without one.
const NO_STATUS: u16 = 1005;

/// The meaning of a status, its reason and the body.
type Refused = fn(u16, &str, &[u8]) -> Error;

type Socket = WebSocketStream<Wire>;

/// Opens one. What its server may say against it, and when it closes it, is read as those servers mean it.
pub(super) async fn open(
    address: &Address,
    tls: &Tls,
    closed_by: Closed,
    refused: Refused,
) -> Result<Link, Error> {
    let mut request = format!("ws://{}{}", address.authority, address.target)
        .into_client_request()
        .map_err(|_| lost("the WebSocket cannot be opened"))?;
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(native::USER_AGENT));
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        // a frame leaves at once; what the line does not take holds up the next one
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_FRAME_BYTES)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let wire = dial(address, tls).await?;
    let (socket, _) = client_async_with_config(request, wire, Some(config))
        .await
        .map_err(|error| refusal(error, refused))?;
    let (sink, stream) = socket.split();
    Ok(Link {
        sender: Box::pin(Sender { sink, gone: false }),
        receiver: Box::pin(Receiver { stream: Some(stream), closed_by }),
    })
}

/// Why a server made no WebSocket of a connection.
fn refusal(error: SocketError, refused: Refused) -> Error {
    match error {
        SocketError::Http(response) => {
            let (head, body) = response.into_parts();
            let reason = head.status.canonical_reason().unwrap_or_default();
            refused(head.status.as_u16(), reason, &body.unwrap_or_default())
        }
        error => lost(format!("the WebSocket cannot be opened: {error}")),
    }
}

struct Sender {
    sink: SplitSink<Socket, Message>,
    gone: bool,
}

impl Sender {
    /// The line takes nothing any more. The receiver knows why, and tells it: there may be a word of the server's on it.
    fn go(&mut self, result: Result<(), SocketError>) -> Poll<Result<(), Error>> {
        match result {
            Ok(()) => Poll::Ready(Ok(())),
            Err(_) => {
                self.gone = true;
                Poll::Pending
            }
        }
    }
}

impl Sink<Vec<u8>> for Sender {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.gone {
            return Poll::Pending;
        }
        let result = ready!(self.sink.poll_ready_unpin(cx));
        self.go(result)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Vec<u8>) -> Result<(), Error> {
        let message =
            String::from_utf8(frame).map_or_else(|error| Message::binary(error.into_bytes()), Message::text);
        match self.sink.start_send_unpin(message) {
            Err(SocketError::WriteBufferFull(_) | SocketError::Capacity(_)) => Err(too_large()),
            result => {
                self.gone |= result.is_err();
                Ok(())
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.gone {
            return Poll::Pending;
        }
        let result = ready!(self.sink.poll_flush_unpin(cx));
        self.go(result)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // whether the other end hears it or is gone already, it is closed
        self.sink.poll_close_unpin(cx).map(|_| Ok(()))
    }
}

struct Receiver {
    /// Gone with the end of the connection.
    stream: Option<SplitStream<Socket>>,
    closed_by: Closed,
}

impl Stream for Receiver {
    type Item = Result<Vec<u8>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let closed_by = self.closed_by;
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let end = loop {
            match ready!(stream.poll_next_unpin(cx)) {
                Some(Ok(Message::Text(text))) => return Poll::Ready(Some(Ok(Bytes::from(text).into()))),
                Some(Ok(Message::Binary(bytes))) => return Poll::Ready(Some(Ok(bytes.into()))),
                // pings are answered by the socket itself
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(Some(frame)))) => break closed_by(frame.code.into(), &frame.reason),
                Some(Ok(Message::Close(None))) => break closed_by(NO_STATUS, ""),
                Some(Err(SocketError::Capacity(_))) => break too_large(),
                Some(Err(_)) | None => break closed_by(ABNORMAL, ""),
            }
        };
        self.stream = None;
        Poll::Ready(Some(Err(end)))
    }
}

fn too_large() -> Error {
    Error::new(code::FRAME_TOO_LARGE, format!("a frame is larger than {MAX_FRAME_BYTES} bytes"))
}
