//! What the engine knows of one space.

use std::collections::BTreeSet;

use crate::id::{ClientId, Cursor, UserId};
use crate::space::batch::{Batch, Queue};
use crate::space::io::ConnId;
use crate::space::working_set::WorkingSet;
use crate::wire::SubId;

/// A space that somebody uses, or did not long ago.
pub(super) struct Hosted {
    /// `None` while it is being loaded.
    pub(super) set: Option<WorkingSet>,
    /// Its place in the line of the spaces that are to be loaded, as long as it stands there.
    pub(super) ticket: Option<u64>,
    /// Writes that have not been looked at yet.
    pub(super) queue: Queue,
    /// The batch that storage is at work on, with the number of its commit.
    pub(super) in_flight: Option<(u64, Batch)>,
    /// Its new history is to be stored even if nobody writes.
    pub(super) renewed: bool,
    /// Where it stood before it is loaded anew.
    pub(super) lost: Option<Cursor>,
    /// All subscriptions to it, answered or not.
    pub(super) subs: BTreeSet<(ConnId, SubId)>,
    /// Connections that are owed nothing but an account of their writes.
    pub(super) asking: BTreeSet<ConnId>,
    /// Since when it is idle, if it is. Unix ms.
    pub(super) idle: Option<u64>,
}

impl Hosted {
    /// A space that is being loaded, or waits for that in this place.
    pub(super) fn loading(ticket: Option<u64>) -> Self {
        Self {
            set: None,
            ticket,
            queue: Queue::default(),
            in_flight: None,
            renewed: false,
            lost: None,
            subs: BTreeSet::new(),
            asking: BTreeSet::new(),
            idle: None,
        }
    }

    /// Nobody waits for anything from it.
    pub(super) fn is_unused(&self) -> bool {
        self.subs.is_empty() && self.asking.is_empty() && !self.has_writes()
    }

    /// The connections that wait for an answer, or would if they were not behind.
    pub(super) fn connections(&self) -> BTreeSet<ConnId> {
        self.subs.iter().map(|(conn, _)| *conn).chain(self.asking.iter().copied()).collect()
    }

    /// Writes wait or are being stored.
    pub(super) fn has_writes(&self) -> bool {
        self.queue.len() > 0 || self.in_flight.is_some()
    }

    /// Whether this client of a person has written here, or is about to.
    pub(super) fn knows(&self, client: &ClientId, user: &UserId) -> bool {
        let record = self.set.as_ref().and_then(|set| set.clients.get(client));
        let record = record.or_else(|| self.in_flight.as_ref().and_then(|(_, batch)| batch.client(client)));
        record.map_or_else(|| self.queue.has(client, user), |record| record.user == *user)
    }

    /// Writes that are not yet acknowledged.
    pub(super) fn writes(&self) -> usize {
        self.queue.len() + self.in_flight.as_ref().map_or(0, |(_, batch)| batch.answers.len())
    }
}
