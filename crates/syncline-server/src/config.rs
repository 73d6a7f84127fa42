//! Bounds and times.

use std::time::Duration;

use syncline_core::schema::MAX_VALUE_BYTES;
use syncline_core::{Error, space};

/// Room in an outbox for what stands around rows: messages, errors, other frames.
const HEADROOM: usize = 256 * 1024;

/// The server's bounds and times. Made for changing single fields of [`Config::default`].
///
/// ```
/// let mut config = syncline_server::Config::default();
/// config.engine.limits.subscriptions = 32;
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// What concerns spaces: limits of a connection, heartbeat, sizes of snapshots, history.
    pub engine: space::Config,
    /// Connections at a time, of either kind; further ones are refused with `too_many`. The system has a bound of its own
    /// for open files, which is often lower. 50,000.
    pub connections: usize,
    /// Bytes that may wait to leave on one connection. Beyond, what waits is thrown away, and the client gets fresh
    /// snapshots once it reads again. 2 MiB.
    pub outbox_bytes: usize,
    /// How often a silent event stream says something, so that no proxy takes it for dead. 15 s.
    pub keepalive: Duration,
    /// How long an answer of [`authenticate`](crate::Builder::authenticate) may take. 10 s.
    pub authenticate_within: Duration,
    /// How long the body of a POST may take to arrive. 30 s.
    pub body_within: Duration,
    /// How long a connection that ends may take for what waits on it, and then again for its goodbye. 2 s.
    pub close_within: Duration,
    /// How long a shutdown may take altogether, storage included. 10 s.
    pub shutdown_within: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            engine: space::Config::default(),
            connections: 50_000,
            outbox_bytes: 2 * 1024 * 1024,
            keepalive: Duration::from_secs(15),
            authenticate_within: Duration::from_secs(10),
            body_within: Duration::from_secs(30),
            close_within: Duration::from_secs(2),
            shutdown_within: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// Every frame of the engine must fit into an empty outbox, or its reader would be reset for ever.
    pub(crate) fn check(&self) -> Result<(), Error> {
        // rows, and as much again of what became of writes
        let chunk = self.engine.chunk_bytes;
        let largest_chunk = MAX_VALUE_BYTES.max(chunk) + chunk;
        let least = largest_chunk.max(self.engine.backlog_bytes) + HEADROOM;
        if self.outbox_bytes < least {
            let message = format!("an outbox takes at least {least} bytes with these sizes of frames");
            return Err(Error::new("bad_config", message).with_field("outbox_bytes"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_and_a_small_outbox_does_not() {
        assert!(Config::default().check().is_ok());
        let config = Config { outbox_bytes: 1_000_000, ..Config::default() };
        assert_eq!(config.check().unwrap_err().field(), Some("outbox_bytes"));
    }
}
