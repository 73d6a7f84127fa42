//! What the engine knows of one space.

use std::collections::BTreeSet;

use crate::space::batch::{Batch, Queue};
use crate::space::io::ConnId;
use crate::space::timers::Alarm;
use crate::space::working_set::WorkingSet;
use crate::wire::SubId;

/// A space that somebody asked for, and did so not long ago.
pub(super) struct Hosted {
    /// `None` while it is being loaded.
    pub(super) set: Option<WorkingSet>,
    /// Writes that have not been looked at yet.
    pub(super) queue: Queue,
    /// The batch that storage is at work on, with the number of its commit.
    pub(super) in_flight: Option<(u64, Batch)>,
    /// All subscriptions to it, answered or not.
    pub(super) subs: BTreeSet<(ConnId, SubId)>,
    /// Connections that are owed nothing but an account of their writes.
    pub(super) asking: BTreeSet<ConnId>,
    /// When it was last asked for anything. Unix ms.
    pub(super) used: u64,
    pub(super) alarm: Alarm,
}

impl Hosted {
    /// A space that is being loaded.
    pub(super) fn loading(now: u64) -> Self {
        Self {
            set: None,
            queue: Queue::default(),
            in_flight: None,
            subs: BTreeSet::new(),
            asking: BTreeSet::new(),
            used: now,
            alarm: Alarm::default(),
        }
    }

    /// Nobody waits for anything from it.
    pub(super) fn is_idle(&self) -> bool {
        self.set.is_some() && self.subs.is_empty() && self.asking.is_empty() && !self.has_writes()
    }

    /// The connections that wait for an answer, or would if they were not behind.
    pub(super) fn connections(&self) -> BTreeSet<ConnId> {
        self.subs.iter().map(|(conn, _)| *conn).chain(self.asking.iter().copied()).collect()
    }

    /// Writes wait or are being stored.
    pub(super) fn has_writes(&self) -> bool {
        self.queue.len() > 0 || self.in_flight.is_some()
    }

    /// Writes that are not yet acknowledged.
    pub(super) fn writes(&self) -> usize {
        self.queue.len() + self.in_flight.as_ref().map_or(0, |(_, batch)| batch.answers.len())
    }
}
