//! One connection on the simulated network.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use syncline_core::client::Transport;
use syncline_core::{SpaceId, Version};

use crate::faults::Direction;
use crate::outbox::Outbox;

/// How one end sees the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is not yet open.
    Before,
    Open,
    Closed,
}

/// See the [module](self).
pub(crate) struct Connection {
    pub(crate) client: usize,
    pub(crate) attempt: u64,
    pub(crate) transport: Transport,
    pub(crate) client_end: End,
    pub(crate) server_end: End,
    /// What is sent from now on never arrives.
    pub(crate) dead: bool,
    /// When it is dead, what was on its way still arrives until then.
    pub(crate) last_arrival: Duration,
    pub(crate) outbox: Outbox,
    /// Spaces of which the client has missed a change, up to a version, and heard of nothing after it: it cannot know.
    pub(crate) missed: BTreeMap<SpaceId, Version>,
    to_server: Pipe,
    to_client: Pipe,
}

/// One direction.
#[derive(Default)]
struct Pipe {
    /// When the last frame arrives: none behind it arrives before.
    last: Duration,
    held: Vec<Arc<[u8]>>,
}

impl Connection {
    pub(crate) fn new(client: usize, attempt: u64, transport: Transport, outbox_bytes: usize) -> Self {
        Self {
            client,
            attempt,
            transport,
            client_end: End::Before,
            server_end: End::Before,
            dead: false,
            last_arrival: Duration::ZERO,
            outbox: Outbox::new(outbox_bytes),
            missed: BTreeMap::new(),
            to_server: Pipe::default(),
            to_client: Pipe::default(),
        }
    }

    fn pipe(&mut self, direction: Direction) -> &mut Pipe {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    /// When something that takes until `at` arrives in its turn.
    pub(crate) fn in_turn(&mut self, direction: Direction, at: Duration) -> Duration {
        let pipe = self.pipe(direction);
        pipe.last = pipe.last.max(at);
        pipe.last
    }

    /// Keeps a frame back.
    pub(crate) fn hold(&mut self, direction: Direction, frame: Arc<[u8]>) {
        self.pipe(direction).held.push(frame);
    }

    /// What was kept back.
    pub(crate) fn release(&mut self, direction: Direction) -> Vec<Arc<[u8]>> {
        std::mem::take(&mut self.pipe(direction).held)
    }

    pub(crate) fn holds_any(&self) -> bool {
        !self.to_server.held.is_empty() || !self.to_client.held.is_empty()
    }

    /// Whether a frame that would arrive at this time gets lost.
    pub(crate) fn loses(&self, at: Duration) -> bool {
        self.dead && at > self.last_arrival
    }

    /// Nobody needs to remember it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.client_end == End::Closed && self.server_end == End::Closed
    }
}
