//! One WebSocket.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures::{Sink, Stream};
use gloo_net::websocket::futures::WebSocket;
use gloo_net::websocket::{Message, State, WebSocketError};
use syncline_core::client::contrail::socket_closed;
use syncline_core::client::partysync::Address;

use crate::transport::closed::{Closed, closed_by};
use crate::transport::{Link, address};
use crate::{Error, code};

pub(crate) async fn connect(base: &str) -> Result<Link, Error> {
    open(&address::websocket(base, "ws")?, closed_by).await
}

/// A room of a partysync server.
pub(super) async fn join(base: &str, room: &Address) -> Result<Link, Error> {
    open(&address::room(base, room)?, socket_closed).await
}

pub(super) async fn open(url: &str, closed_by: Closed) -> Result<Link, Error> {
    let socket = WebSocket::open(url)
        // a browser's own words may name the address, and with it a ticket
        .map_err(|_| Error::new(code::CONNECTION, "the WebSocket cannot be opened"))?;
    let socket = Rc::new(RefCell::new(Socket { socket, first: None, ended: false, closed_by }));
    poll_fn(|cx| socket.borrow_mut().poll_open(cx)).await?;
    Ok(Link { sender: Box::pin(Sender(Rc::clone(&socket))), receiver: Box::pin(Receiver(socket)) })
}

struct Socket {
    socket: WebSocket,
    /// A frame that came before anybody looked whether the socket is open.
    first: Option<Vec<u8>>,
    ended: bool,
    closed_by: Closed,
}

impl Socket {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if matches!(self.socket.state(), State::Open) {
            return Poll::Ready(Ok(()));
        }
        // wakes when the state changes; on its own it would be ready after a failure too
        let _ = Pin::new(&mut self.socket).poll_ready(cx);
        match ready!(self.poll_frame(cx)) {
            // it has been open, and may be closed again already
            Some(Ok(frame)) => {
                self.first = Some(frame);
                Poll::Ready(Ok(()))
            }
            Some(Err(error)) => Poll::Ready(Err(error)),
            None => Poll::Ready(Err(closed())),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>, Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        while !self.ended {
            let item = match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Bytes(bytes))) => Ok(bytes),
                Some(Ok(Message::Text(text))) => Ok(text.into_bytes()),
                // always followed by the close that says more: one failure, one report
                Some(Err(WebSocketError::ConnectionError)) => continue,
                Some(Err(WebSocketError::ConnectionClose(event))) => {
                    self.ended = true;
                    Err((self.closed_by)(event.code, &event.reason))
                }
                Some(Err(_)) | None => {
                    self.ended = true;
                    Err(closed())
                }
            };
            return Poll::Ready(Some(item));
        }
        Poll::Ready(None)
    }
}

struct Receiver(Rc<RefCell<Socket>>);

impl Stream for Receiver {
    type Item = Result<Vec<u8>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll_frame(cx)
    }
}

struct Sender(Rc<RefCell<Socket>>);

impl Sink<Vec<u8>> for Sender {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // a browser takes frames for a closed socket and throws them away without a word
        match self.0.borrow().socket.state() {
            State::Open => Poll::Ready(Ok(())),
            // the receiver knows why, and tells it first
            State::Closing | State::Closed | State::Connecting => Poll::Pending,
        }
    }

    fn start_send(self: Pin<&mut Self>, frame: Vec<u8>) -> Result<(), Error> {
        let message =
            String::from_utf8(frame).map_or_else(|error| Message::Bytes(error.into_bytes()), Message::Text);
        Pin::new(&mut self.0.borrow_mut().socket).start_send(message).map_err(|_| closed())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }
}

fn closed() -> Error {
    Error::new(code::CONNECTION, "the WebSocket was closed")
}
