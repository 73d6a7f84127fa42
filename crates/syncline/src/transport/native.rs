//! What connects natively: tokio's sockets, TLS by rustls.

mod address;
mod dial;
mod http;
mod tls;
mod ws;

use std::time::Duration;

use syncline_core::client::contrail::{Answer, Call, refusal, socket_closed};
use syncline_core::client::partysync;
use tokio::time::timeout;

use crate::transport::closed::closed_by;
use crate::transport::sse::refused;
use crate::transport::{ConnectRequest, Connector, Link};
use crate::{BoxFuture, Error, Transport, code};

use address::Address;
use tls::Tls;

/// Whoever has not answered by then does not: the system itself would wait for minutes. A client gives an attempt up
/// [earlier](crate::ClientBuilder::answer_within).
const WITHIN: Duration = Duration::from_secs(30);

/// The most that one frame may be. The largest one is a run of rows of 1 MB each.
const MAX_FRAME_BYTES: usize = 64 * 1024 * 1024;

/// Who asks.
const USER_AGENT: &str = concat!("syncline/", env!("CARGO_PKG_VERSION"));

/// Connects natively, over TCP and TLS; what a native client does unless it is given another connector.
///
/// Servers are trusted whose certificates lead to one of Mozilla's roots, which are compiled in: the same ones on every
/// system, also in a container that has none. Those of a private authority are [added](Self::trust).
///
/// Addresses begin with `https://`, `wss://`, `http://` or `ws://`; nothing goes by way of a proxy, no cookies are kept,
/// and no redirection is followed. To be used on a tokio runtime whose IO and time drivers are on.
///
/// ```
/// use syncline::{Client, transport::TokioConnector};
///
/// # fn example() -> std::io::Result<()> {
/// let ours = std::fs::read("authority.der")?;
/// let client = Client::builder("https://intranet.example/sync").connector(TokioConnector::new().trust(ours)).build();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct TokioConnector {
    tls: Tls,
}

impl TokioConnector {
    /// Trusts what is trusted everywhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also trusts the authority with this certificate, in DER. One that cannot be read makes every connection over TLS
    /// fail, and say so.
    #[must_use]
    pub fn trust(mut self, authority: impl Into<Vec<u8>>) -> Self {
        self.tls.trust(authority.into());
        self
    }

    /// Whether this is an address to connect to: whole, with a scheme and a host.
    pub(crate) fn reaches(url: &str) -> bool {
        Address::of_route(url, "ws").is_ok()
    }
}

impl Connector for TokioConnector {
    fn connect(&self, request: ConnectRequest) -> BoxFuture<Result<Link, Error>> {
        let tls = self.tls.clone();
        within(async move {
            match request.transport {
                Transport::WebSocket => {
                    let address = Address::of_route(&request.url, "ws")?;
                    ws::open(&address, &tls, closed_by, refused).await
                }
                Transport::Sse => http::connect(&request.url, tls, request.hello).await,
            }
        })
    }

    fn call(&self, url: &str, call: Call) -> BoxFuture<Result<Link, Error>> {
        let (tls, url) = (self.tls.clone(), url.to_owned());
        within(async move {
            let address = Address::of_call(&url, &call.address)?;
            match call.answer {
                Answer::Socket => {
                    ws::open(&address, &tls, socket_closed, |status, _, body| refusal(status, body)).await
                }
                Answer::Events | Answer::Json => http::call(&address, &tls, &call).await,
            }
        })
    }

    fn join(&self, url: &str, address: partysync::Address) -> BoxFuture<Result<Link, Error>> {
        let (tls, url) = (self.tls.clone(), url.to_owned());
        within(
            async move { ws::open(&Address::of_room(&url, &address)?, &tls, socket_closed, refused).await },
        )
    }
}

fn within(
    connecting: impl Future<Output = Result<Link, Error>> + Send + 'static,
) -> BoxFuture<Result<Link, Error>> {
    let late = |_| Err(Error::new(code::TIMEOUT, "the server does not answer"));
    Box::pin(async move { timeout(WITHIN, connecting).await.unwrap_or_else(late) })
}
