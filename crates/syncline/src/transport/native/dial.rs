//! One connection to a host: whichever of its addresses answers first, with TLS where that is wanted.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::Error;
use crate::transport::native::address::Address;
use crate::transport::native::tls::Tls;
use crate::transport::sse::lost;

/// How long an address has before the next one is tried beside it (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);
/// How many addresses of a host are tried.
const ADDRESSES: usize = 16;

/// A connection.
pub(super) enum Wire {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

pub(super) async fn dial(address: &Address, tls: &Tls) -> Result<Wire, Error> {
    open(address, tls).await.map_err(|error| lost(format!("the server cannot be reached: {error}")))
}

async fn open(address: &Address, tls: &Tls) -> io::Result<Wire> {
    let found = lookup_host((address.host.as_str(), address.port)).await?;
    let tcp = first(found.take(ADDRESSES).collect()).await?;
    // a frame is complete: nothing that follows would make a fuller packet of it
    tcp.set_nodelay(true)?;
    if !address.secure {
        return Ok(Wire::Plain(tcp));
    }
    let name = ServerName::try_from(address.host.clone()).map_err(io::Error::other)?;
    let stream = tls.connector()?.connect(name, tcp).await?;
    Ok(Wire::Secure(Box::new(stream)))
}

/// The first one that answers. A host may have addresses that cannot be reached from here, and say nothing.
async fn first(mut addresses: VecDeque<SocketAddr>) -> io::Result<TcpStream> {
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::other("the host has no address");
    loop {
        attempts.extend(addresses.pop_front().map(TcpStream::connect));
        let answer = match addresses.is_empty() {
            true => attempts.next().await,
            false => match timeout(HEAD_START, attempts.next()).await {
                Ok(answer) => answer,
                Err(_) => continue,
            },
        };
        match answer {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => failure = error,
            None => return Err(failure),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Secure(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Secure(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn packets_are_not_held_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let wire = dial(&Address::of_route(&url, "ws").unwrap(), &Tls::default()).await.unwrap();
        assert!(matches!(wire, Wire::Plain(tcp) if tcp.nodelay().unwrap()));
    }

    #[tokio::test]
    async fn an_address_that_refuses_leaves_the_next_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = {
            let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap()
        };
        let there = listener.local_addr().unwrap();
        let stream = first([nobody, there].into()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), there);
        assert!(first([nobody].into()).await.is_err());
        assert!(first(VecDeque::new()).await.is_err());
    }
}
