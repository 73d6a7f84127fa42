//! A connection as a browser's is: a frame comes when the one before it has been taken in, and until then stays with the
//! browser. So no more than two frames at a time are in the memory that is measured.

use std::sync::{Mutex, PoisonError};

use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use syncline::transport::{ConnectRequest, Connector, Link};
use syncline::{BoxFuture, Error, code};

/// The client's end, for its one connection.
pub(crate) struct Line(Mutex<Option<End>>);

struct End {
    sender: mpsc::Sender<Vec<u8>>,
    receiver: mpsc::Receiver<Vec<u8>>,
}

/// Both ends.
pub(crate) fn line() -> (Line, Link) {
    let (to_server, from_client) = mpsc::channel(64);
    let (to_client, from_server) = mpsc::channel(1);
    let server = End { sender: to_client, receiver: from_client };
    (Line(Mutex::new(Some(End { sender: to_server, receiver: from_server }))), server.into())
}

impl From<End> for Link {
    fn from(End { sender, receiver }: End) -> Self {
        let sender = sender.sink_map_err(|_| gone());
        Self { sender: Box::pin(sender), receiver: Box::pin(receiver.map(Ok)) }
    }
}

impl Connector for Line {
    fn connect(&self, _: ConnectRequest) -> BoxFuture<Result<Link, Error>> {
        let end = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move { end.map(Link::from).ok_or_else(gone) })
    }
}

fn gone() -> Error {
    Error::new(code::CONNECTION, "the other end is gone")
}
