//! Bounds and times.

use std::time::Duration;

use crate::wire::Limits;

/// The engine's bounds and times.
#[derive(Clone, Debug)]
pub struct Config {
    /// What one connection may do; told in `welcome`.
    pub limits: Limits,
    /// How long a client may hear nothing before it pings; told in `welcome`. 30 s.
    pub heartbeat: Duration,
    /// How long the engine hears nothing of a connection before it closes it; after half of it, it pings. 75 s.
    pub silence: Duration,
    /// How long a connection may take to say hello, and to come up with good credentials when it has none. 30 s.
    pub hello_within: Duration,
    /// How many versions are kept for clients that come back. 10,000.
    pub log_retention: u64,
    /// How many changes of rows these versions may have between them; older ones are forgotten sooner. 100,000.
    pub log_keys: usize,
    /// How long it is remembered how far the writes of a client that writes no more and is not connected had come. One
    /// that comes back later begins anew, and a write of which it never heard could then happen twice. 30 days.
    pub client_retention: Duration,
    /// How long a space stays in memory without a subscription or a write. 60 s.
    pub idle_unload: Duration,
    /// How many such spaces there may be; beyond, the one that was used the longest time ago leaves. 1,000.
    pub idle_spaces: usize,
    /// How many spaces are read from storage at a time; further ones wait in line as long as somebody wants them. 64.
    pub loads: usize,
    /// Bytes of one chunk of a snapshot or of what was missed, unless a single row is larger. 128 KiB.
    pub chunk_bytes: usize,
    /// Bytes that may wait for a connection behind such an answer; also the largest frame of changes. Beyond, it starts
    /// again from a snapshot. 1 MiB.
    pub backlog_bytes: usize,
    /// Writes that may wait for a space. 10,000.
    pub queue_writes: usize,
    /// Bytes of writes that may wait for a space. 64 MiB.
    pub queue_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            heartbeat: Duration::from_secs(30),
            silence: Duration::from_secs(75),
            hello_within: Duration::from_secs(30),
            log_retention: 10_000,
            log_keys: 100_000,
            client_retention: Duration::from_secs(30 * 24 * 60 * 60),
            idle_unload: Duration::from_secs(60),
            idle_spaces: 1_000,
            loads: 64,
            chunk_bytes: 128 * 1024,
            backlog_bytes: 1024 * 1024,
            queue_writes: 10_000,
            queue_bytes: 64 * 1024 * 1024,
        }
    }
}
