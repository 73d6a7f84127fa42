//! Ways to carry frames.
//!
//! A [`Connector`] makes connections; a [`Link`] is one of them. The client brings its own, over WebSocket and streaming
//! fetch: in a browser always, natively with the feature `net`. [`memory`] is for tests and for a server in the same process.

#[cfg(target_arch = "wasm32")]
pub(crate) mod address;
#[cfg(any(target_arch = "wasm32", feature = "net"))]
mod closed;
#[cfg(any(target_arch = "wasm32", feature = "net"))]
mod contrail;
mod delay;
#[cfg(target_arch = "wasm32")]
mod events;
#[cfg(target_arch = "wasm32")]
mod fetch;
pub mod memory;
#[cfg(all(not(target_arch = "wasm32"), feature = "net"))]
mod native;
#[cfg(any(target_arch = "wasm32", feature = "net"))]
mod sse;
#[cfg(target_arch = "wasm32")]
mod ws;

use std::fmt;

use futures::{SinkExt, StreamExt};

pub(crate) use delay::{Latency, delayed};
#[cfg(all(not(target_arch = "wasm32"), feature = "net"))]
pub use native::TokioConnector;

use crate::contrail::Call;
use crate::partysync;
use crate::{BoxFuture, Error, FrameSink, FrameStream, Transport, code};

/// Makes connections to one server.
pub trait Connector: Send + Sync + 'static {
    /// Makes one connection. Dropping the future gives it up, and leaves nothing behind.
    ///
    /// # Errors
    /// Why there is no connection: the server's own error where it gave one, else one of code `connection`.
    fn connect(&self, request: ConnectRequest) -> BoxFuture<Result<Link, Error>>;

    /// Makes one request to the contrail service at `url`. What comes back arrives as frames; nothing is sent.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); [`refusal`](crate::contrail::refusal) says what a status means. A connector that
    /// does not know contrail refuses with `unsupported_protocol`.
    fn call(&self, url: &str, call: Call) -> BoxFuture<Result<Link, Error>> {
        let _ = (url, call);
        let message = "this connector makes no requests to a contrail service";
        Box::pin(async move { Err(Error::new(code::UNSUPPORTED_PROTOCOL, message)) })
    }

    /// Opens the WebSocket of a room of the partysync server at `url`: the room is one more segment of its path, and what
    /// [`params`](partysync::Address::params) says stands behind what it has in its query string. Frames are texts, each
    /// way.
    ///
    /// # Errors
    /// As [`connect`](Self::connect). A connector that does not know partysync refuses with `unsupported_protocol`.
    fn join(&self, url: &str, address: partysync::Address) -> BoxFuture<Result<Link, Error>> {
        let _ = (url, address);
        let message = "this connector opens no rooms of a partysync server";
        Box::pin(async move { Err(Error::new(code::UNSUPPORTED_PROTOCOL, message)) })
    }
}

/// Which connection to make.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectRequest {
    /// Where the server is, as the application gave it.
    pub url: String,
    /// What is to carry the frames.
    pub transport: Transport,
    /// The first frame, for a transport that sends it while it connects ([`Transport::Sse`]). On others it comes as the
    /// first one to send.
    pub hello: Vec<u8>,
}

impl ConnectRequest {
    /// A connection to the server at `url`, for whoever uses a [`Connector`] without a client.
    pub fn new(url: impl Into<String>, transport: Transport, hello: impl Into<Vec<u8>>) -> Self {
        Self { url: url.into(), transport, hello: hello.into() }
    }
}

/// One connection. Dropping it closes it and ends everything it needed.
pub struct Link {
    /// Where frames go out, one line each.
    pub sender: FrameSink,
    /// Where frames come in, whole.
    pub receiver: FrameStream,
}

impl Link {
    /// Sends one frame.
    ///
    /// # Errors
    /// The connection is closed.
    pub async fn send(&mut self, frame: impl Into<Vec<u8>>) -> Result<(), Error> {
        self.sender.send(frame.into()).await
    }

    /// The next frame; `None` when the other end closed the connection. An empty one says nothing but that the other end is
    /// there.
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn receive(&mut self) -> Result<Option<Vec<u8>>, Error> {
        self.receiver.next().await.transpose()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// What connects in a browser.
#[cfg(target_arch = "wasm32")]
pub(crate) struct BrowserConnector;

#[cfg(target_arch = "wasm32")]
impl Connector for BrowserConnector {
    fn connect(&self, request: ConnectRequest) -> BoxFuture<Result<Link, Error>> {
        Box::pin(async move {
            match request.transport {
                Transport::WebSocket => ws::connect(&request.url).await,
                Transport::Sse => fetch::connect(&request.url, request.hello).await,
            }
        })
    }

    fn call(&self, url: &str, call: Call) -> BoxFuture<Result<Link, Error>> {
        let url = url.to_owned();
        Box::pin(async move { fetch::call(&url, call).await })
    }

    fn join(&self, url: &str, address: partysync::Address) -> BoxFuture<Result<Link, Error>> {
        let url = url.to_owned();
        Box::pin(async move { ws::join(&url, &address).await })
    }
}
