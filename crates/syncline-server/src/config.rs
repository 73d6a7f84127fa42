//! Bounds and times.

use std::time::Duration;

use syncline_core::schema::MAX_VALUE_BYTES;
use syncline_core::space::MAX_OUTPUT_BYTES;
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
    /// How long a shutdown may take altogether, storage and jobs under way included. 10 s.
    pub shutdown_within: Duration,
    /// How jobs are done.
    pub jobs: JobConfig,
}

/// How [jobs](crate::Builder::job) are done.
#[derive(Clone, Debug)]
pub struct JobConfig {
    /// How many are done at a time. 16.
    pub at_once: usize,
    /// How long one try may take; what takes longer is broken off and has failed. 5 min.
    pub within: Duration,
    /// How often a job is tried. After that it is kept as failed, and not tried any more. 20, which with these waits is
    /// half a day.
    pub tries: u32,
    /// The wait after the first failure; twice as long after each further one. Of each wait a random part is waited, half of
    /// it at the least. 1 s.
    pub first_wait: Duration,
    /// The longest wait. 1 h.
    pub longest_wait: Duration,
}

impl Default for JobConfig {
    fn default() -> Self {
        Self {
            at_once: 16,
            within: Duration::from_secs(5 * 60),
            tries: 20,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60 * 60),
        }
    }
}

impl JobConfig {
    /// How long to wait after so many failures; `random` is from 0 to 1.
    pub(crate) fn wait(&self, failures: u32, random: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        let wait = self.first_wait.saturating_mul(doubled).min(self.longest_wait);
        wait.mul_f64(0.5 + random / 2.0)
    }
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
            jobs: JobConfig::default(),
        }
    }
}

impl Config {
    /// Every frame of the engine must fit into an empty outbox, or its reader would be reset for ever.
    pub(crate) fn check(&self) -> Result<(), Error> {
        // rows, and as much again of what became of writes
        let chunk = self.engine.chunk_bytes;
        let largest_chunk = MAX_VALUE_BYTES.max(chunk) + chunk.max(MAX_OUTPUT_BYTES);
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
    fn waits_between_tries_double_and_end() {
        let config = JobConfig::default();
        let waits = [1, 2, 5, 12, 13, 20, u32::MAX].map(|failures| config.wait(failures, 1.0).as_secs());
        assert_eq!(waits, [1, 2, 16, 2_048, 3_600, 3_600, 3_600]);
        assert_eq!(config.wait(2, 0.0), Duration::from_secs(1));
        let all: Duration = (1..config.tries).map(|failures| config.wait(failures, 0.5)).sum();
        assert!((6..13).contains(&(all.as_secs() / 3_600)), "{all:?}");
    }

    #[test]
    fn the_defaults_hold_and_a_small_outbox_does_not() {
        assert!(Config::default().check().is_ok());
        let config = Config { outbox_bytes: 1_000_000, ..Config::default() };
        assert_eq!(config.check().unwrap_err().field(), Some("outbox_bytes"));
    }
}
