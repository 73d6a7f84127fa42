//! A connection to the server: made, greeted, kept alive, and made again.

use std::time::Duration;

use syncline::transport::{ConnectRequest, Connector as _, Link, TokioConnector};
use syncline_core::client::{Transport, TransportPreference};
use syncline_core::wire::{
    ClientMessage, Frame, Hello, JSON, JSON_BYTES, PROTOCOL, ServerMessage, Welcome, encode,
};
use syncline_core::{ClientId, Error, code};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::args::Server;
use crate::output;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The longest first wait before another attempt, and the longest of all.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// After so many failures in a row a transport that has worked is doubted.
const DOUBT_AFTER: u32 = 4;

/// The way to a server.
pub(crate) struct Way {
    server: Server,
    connector: TokioConnector,
    client: ClientId,
    transport: Transport,
    /// It has worked.
    proven: bool,
    failures: u32,
    /// A program reads what is said of it.
    json: bool,
}

impl Way {
    pub(crate) fn to(server: Server, json: bool) -> Result<Self, Error> {
        let transport = match server.transport {
            TransportPreference::Auto | TransportPreference::WebSocket => Transport::WebSocket,
            TransportPreference::Sse => Transport::Sse,
        };
        let connector = match &server.trust {
            Some(authority) => TokioConnector::new().trust(authority.clone()),
            None => TokioConnector::new(),
        };
        let client = ClientId::from(format!("{:016x}{:016x}", random()?, random()?));
        Ok(Self { server, connector, client, transport, proven: false, failures: 0, json })
    }

    /// The author of what is written.
    pub(crate) fn client(&self) -> &ClientId {
        &self.client
    }

    /// A connection. The first one has to come at once, or the address may be wrong; later ones may take as long as the
    /// server is away.
    ///
    /// # Errors
    /// What nobody needs to try again.
    pub(crate) async fn connect(&mut self) -> Result<Line, Error> {
        loop {
            let error = match self.attempt().await {
                Ok(line) => {
                    self.proven = true;
                    return Ok(line);
                }
                Err(error) => error,
            };
            let automatic = self.server.transport == TransportPreference::Auto;
            if is_final(&error) || (!self.proven && (!automatic || self.transport == Transport::Sse)) {
                return Err(error);
            }
            if !self.proven {
                // where WebSockets are refused nobody should wait for the other transport
                self.transport = Transport::Sse;
                continue;
            }
            self.wait(&error).await?;
            if automatic && self.failures.is_multiple_of(DOUBT_AFTER) {
                self.transport = match self.transport {
                    Transport::WebSocket => Transport::Sse,
                    Transport::Sse => Transport::WebSocket,
                };
            }
        }
    }

    /// A connection was lost: waits before the next one.
    ///
    /// # Errors
    /// What nobody needs to try again.
    pub(crate) async fn lost(&mut self, line: Line, error: Error) -> Result<(), Error> {
        if is_final(&error) {
            return Err(error);
        }
        if line.since.elapsed() >= ANSWER_WITHIN {
            self.failures = 0;
        }
        drop(line);
        self.wait(&error).await
    }

    async fn wait(&mut self, error: &Error) -> Result<(), Error> {
        let (first, longest) = WAITS;
        let most = first.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        // anywhere between nothing and the most: not everybody comes back at once
        let wait = most.mul_f64(f64::from(random()? as u32) / f64::from(u32::MAX));
        output::retry(error, wait, self.json);
        sleep(wait).await;
        Ok(())
    }

    async fn attempt(&self) -> Result<Line, Error> {
        let hello = encode(
            &ClientMessage::Hello(Hello {
                protocol: PROTOCOL,
                schema: self.server.schema,
                client: self.client.clone(),
                encodings: [JSON_BYTES, JSON].map(Into::into).to_vec(),
                token: self.server.token.clone(),
            }),
            [],
        );
        let late = |_| Error::new(code::TIMEOUT, "the server does not answer");
        let greeting = async {
            let request = ConnectRequest::new(&*self.server.url, self.transport, &*hello);
            let mut link = self.connector.connect(request).await?;
            if self.transport == Transport::WebSocket {
                link.send(hello).await?;
            }
            let mut frame = Vec::new();
            while frame.is_empty() {
                frame = link.receive().await?.ok_or_else(gone)?;
            }
            match Frame::parse(&frame)?.message {
                ServerMessage::Welcome(welcome) => Ok(Line::new(link, &welcome)),
                ServerMessage::Expired(expired) => Err(expired.error.unwrap_or_else(unauthenticated)),
                ServerMessage::Error(error) => Err(error),
                _ => Err(Error::new(code::BAD_FRAME, "the server does not greet")),
            }
        };
        timeout(ANSWER_WITHIN, greeting).await.map_err(late)?
    }
}

/// An open connection.
pub(crate) struct Line {
    link: Link,
    heartbeat: Duration,
    /// The most bytes of a frame to the server.
    pub(crate) frame_bytes: usize,
    since: Instant,
    pings: u64,
}

impl Line {
    fn new(link: Link, welcome: &Welcome) -> Self {
        let heartbeat = Duration::from_millis(welcome.heartbeat_ms.max(1_000));
        let frame_bytes = welcome.limits.frame_bytes;
        Self { link, heartbeat, frame_bytes, since: Instant::now(), pings: 0 }
    }

    /// # Errors
    /// It was not sent; `frame_too_large` where the server would not take it.
    pub(crate) async fn say(&mut self, message: &ClientMessage) -> Result<(), Error> {
        let frame = encode(message, []);
        if frame.len() > self.frame_bytes {
            let message =
                format!("these are {} bytes; the server takes at most {}", frame.len(), self.frame_bytes);
            return Err(Error::new(code::FRAME_TOO_LARGE, message));
        }
        self.link.send(frame).await
    }

    /// The next frame that is not about the connection itself.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn hear(&mut self) -> Result<Vec<u8>, Error> {
        loop {
            let frame = self.next().await?;
            if frame.is_empty() {
                // a sign of life
                continue;
            }
            match Frame::parse(&frame)?.message {
                ServerMessage::Ping(number) => self.say(&ClientMessage::Pong(number)).await?,
                ServerMessage::Pong(_) | ServerMessage::Welcome(_) => {}
                ServerMessage::Error(error) => return Err(error),
                ServerMessage::Expired(expired) => return Err(expired.error.unwrap_or_else(unauthenticated)),
                _ => return Ok(frame),
            }
        }
    }

    /// The next frame. Whoever is silent for long is asked whether they are there.
    async fn next(&mut self) -> Result<Vec<u8>, Error> {
        let silent = Instant::now() + self.heartbeat;
        let heard = match timeout_at(silent, self.link.receive()).await {
            Ok(heard) => heard,
            Err(_) => {
                self.pings += 1;
                self.say(&ClientMessage::Ping(self.pings)).await?;
                let dead = |_| Error::new(code::TIMEOUT, "the server did not answer in time");
                timeout(ANSWER_WITHIN, self.link.receive()).await.map_err(dead)?
            }
        };
        heard?.ok_or_else(gone)
    }
}

/// Trying again cannot help.
fn is_final(error: &Error) -> bool {
    error.is_forbidden() || error.is_unauthenticated() || error.is_bad_input()
}

fn gone() -> Error {
    Error::new(code::CONNECTION, "the connection to the server was lost")
}

fn unauthenticated() -> Error {
    Error::new(code::UNAUTHENTICATED, "the credentials are no good, or no longer")
}

/// A number that nobody knows before.
pub(crate) fn random() -> Result<u64, Error> {
    getrandom::u64().map_err(|_| Error::new(code::CONNECTION, "the system has no random numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_become_good_is_not_tried_again() {
        for code in [code::FRAME_TOO_LARGE, code::BAD_FRAME, code::UNSUPPORTED_PROTOCOL, code::FORBIDDEN] {
            assert!(is_final(&Error::new(code, "no")), "{code}");
        }
        for code in [code::CONNECTION, code::TIMEOUT, code::TOO_MANY, code::STORAGE, code::UNKNOWN_LINK] {
            assert!(!is_final(&Error::new(code, "not now")), "{code}");
        }
    }
}
