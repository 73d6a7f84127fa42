//! Connections within one process: for tests, and for a server that runs beside its client.
//!
//! ```
//! use syncline::{Client, transport::memory};
//!
//! # async fn example() -> Result<(), syncline::Error> {
//! let (connector, mut listener) = memory::pair();
//! let client = Client::builder("memory").connector(connector).build();
//! // where the server is
//! while let Some(incoming) = listener.accept().await {
//!     let mut link = incoming.accept();
//!     while let Some(frame) = link.receive().await? {
//!         // … and answers with link.send(…)
//! #       let _ = frame;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

use std::fmt;

use futures::channel::{mpsc, oneshot};
use futures::{SinkExt, StreamExt};

use crate::transport::{ConnectRequest, Connector, Link};
use crate::{BoxFuture, Error, code};

/// Frames that may wait in each direction; a sender waits when there are more.
const FRAMES: usize = 64;
/// Connections that may wait to be accepted.
const WAITING: usize = 16;

/// A connector, and the listener at which its connections arrive.
pub fn pair() -> (MemoryConnector, MemoryListener) {
    let (incoming, arrivals) = mpsc::channel(WAITING);
    (MemoryConnector { incoming }, MemoryListener { arrivals })
}

/// The client's side of a [`pair`].
#[derive(Clone, Debug)]
pub struct MemoryConnector {
    incoming: mpsc::Sender<Incoming>,
}

/// The server's side of a [`pair`]. Dropping it refuses every connection.
#[derive(Debug)]
pub struct MemoryListener {
    arrivals: mpsc::Receiver<Incoming>,
}

/// A connection that waits for an answer. Dropping it refuses it.
pub struct Incoming {
    request: ConnectRequest,
    answer: oneshot::Sender<Result<End, Error>>,
}

impl Connector for MemoryConnector {
    fn connect(&self, request: ConnectRequest) -> BoxFuture<Result<Link, Error>> {
        let mut incoming = self.incoming.clone();
        Box::pin(async move {
            let refused = || Error::new(code::CONNECTION, "nobody listens");
            let (answer, verdict) = oneshot::channel();
            incoming.send(Incoming { request, answer }).await.map_err(|_| refused())?;
            verdict.await.unwrap_or_else(|_| Err(refused())).map(Link::from)
        })
    }
}

impl MemoryListener {
    /// The next connection; `None` when there is no connector any more.
    pub async fn accept(&mut self) -> Option<Incoming> {
        self.arrivals.next().await
    }
}

impl Incoming {
    /// What the client asked for.
    pub fn request(&self) -> &ConnectRequest {
        &self.request
    }

    /// Opens the connection and gives the server's end of it.
    pub fn accept(self) -> Link {
        let (client, server) = ends();
        // a client that has gone meanwhile shows as a closed connection
        let _ = self.answer.send(Ok(client));
        server.into()
    }

    /// Refuses the connection.
    pub fn refuse(self, error: Error) {
        let _ = self.answer.send(Err(error));
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("request", &self.request).finish_non_exhaustive()
    }
}

/// Two ends of one connection.
pub fn link_pair() -> (Link, Link) {
    let (left, right) = ends();
    (left.into(), right.into())
}

/// One end; unlike a [`Link`] it can be sent to another thread in a browser too.
struct End {
    sender: mpsc::Sender<Vec<u8>>,
    receiver: mpsc::Receiver<Vec<u8>>,
}

fn ends() -> (End, End) {
    let (to_right, from_left) = mpsc::channel(FRAMES);
    let (to_left, from_right) = mpsc::channel(FRAMES);
    (End { sender: to_right, receiver: from_right }, End { sender: to_left, receiver: from_left })
}

impl From<End> for Link {
    fn from(End { sender, receiver }: End) -> Self {
        let sender = sender.sink_map_err(|_| Error::new(code::CONNECTION, "the other end is gone"));
        Self { sender: Box::pin(sender), receiver: Box::pin(receiver.map(Ok)) }
    }
}
