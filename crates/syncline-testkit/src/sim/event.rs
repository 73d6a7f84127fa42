//! What is going to happen, in order of time; what is due at the same time, in the order in which it was foreseen.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use syncline_core::space::{ConnId, Identity};
use syncline_core::{Error, SpaceId};

use crate::sim::Sim;
use crate::sim::browsers::Answer;

/// Something that is going to happen. What concerns a server that has died since is told by its `life`.
pub(crate) enum Event {
    /// A connection reaches the server.
    Arrives { conn: ConnId, hello: Option<Vec<u8>> },
    /// The client's attempt to connect has succeeded.
    Opens { conn: ConnId },
    /// A frame reaches the server.
    ToServer { conn: ConnId, frame: Arc<[u8]> },
    /// A frame reaches the client.
    ToClient { conn: ConnId, frame: Arc<[u8]> },
    /// The server learns that the connection is gone.
    ServerLearns { conn: ConnId },
    /// The client learns that the connection is gone.
    ClientLearns { conn: ConnId, error: Option<Error> },
    /// The client has taken the frame that was leaving.
    Left { conn: ConnId },
    /// The engine is told that frames were thrown away.
    Lagged { conn: ConnId },
    /// The engine is told that what it asked about has left.
    Drained { conn: ConnId, epoch: u64 },
    /// A connection that the server has ended has had its time to take what waited.
    Ends { conn: ConnId },
    /// The server knows who somebody is.
    Authenticated { life: u64, conn: ConnId, result: Result<Identity, Error> },
    /// The disk has read a space.
    Loaded { life: u64, space: SpaceId },
    /// The disk has done with a commit.
    Durable { life: u64, space: SpaceId, commit: u64 },
    /// The engine is told about it.
    Committed { life: u64, space: SpaceId, commit: u64, result: Result<(), Error> },
    /// A server that died is started again.
    Starts,
    /// The application has fetched credentials.
    Credentials { client: usize, result: Result<Option<String>, Error> },
    /// A client's own storage answers it.
    Storage { client: usize, answer: Answer },
    /// What a test has planned.
    Planned(Box<dyn FnOnce(&mut Sim)>),
}

impl Event {
    /// Whether the system cannot be called quiet before it has happened.
    pub(crate) fn is_work(&self) -> bool {
        !matches!(self, Self::Planned(_) | Self::Ends { .. })
    }
}

struct Foreseen {
    at: Duration,
    number: u64,
    event: Event,
}

impl Foreseen {
    fn order(&self) -> (Duration, u64) {
        (self.at, self.number)
    }
}

impl PartialEq for Foreseen {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Foreseen {}

impl PartialOrd for Foreseen {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

// the heap gives the largest first
impl Ord for Foreseen {
    fn cmp(&self, other: &Self) -> Ordering {
        other.order().cmp(&self.order())
    }
}

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Events {
    heap: BinaryHeap<Foreseen>,
    count: u64,
    work: usize,
}

impl Events {
    pub(crate) fn push(&mut self, at: Duration, event: Event) {
        self.count += 1;
        self.work += usize::from(event.is_work());
        self.heap.push(Foreseen { at, number: self.count, event });
    }

    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.heap.peek().map(|foreseen| foreseen.at)
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.heap.pop()?.event;
        self.work -= usize::from(event.is_work());
        Some(event)
    }

    /// Whether anything is on its way.
    pub(crate) fn has_work(&self) -> bool {
        self.work > 0
    }
}
