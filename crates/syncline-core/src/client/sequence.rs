//! The writes of one client id in one space, by their numbers: which wait, which are on their way.

use std::collections::VecDeque;
use std::time::Duration;

use crate::client::queue::{IntentId, give_back};
use crate::id::WriteId;

/// See the [module](self). A page has one of its own in each space, and one more for each queue that it has adopted of a
/// page that is gone.
pub(crate) struct Sequence {
    /// The id of the next write.
    pub(crate) next: WriteId,
    /// All writes up to this one have been handled, as this connection was told.
    pub(crate) handled: WriteId,
    /// Writes without a verdict, by their ids: first those that were sent on this connection, then those that wait.
    writes: VecDeque<Unanswered>,
    /// How many of them, from the front, were sent on this connection.
    sent: usize,
    /// The last write that was sent on any connection: the server may know of it.
    pub(super) sent_up_to: WriteId,
}

struct Unanswered {
    id: WriteId,
    intent: IntentId,
    /// When it left, at the latest, if it was sent.
    sent_at: Duration,
}

impl Default for Sequence {
    fn default() -> Self {
        Self { next: 1, handled: 0, writes: VecDeque::new(), sent: 0, sent_up_to: 0 }
    }
}

impl Sequence {
    /// How many writes have no verdict.
    pub(crate) fn unanswered(&self) -> usize {
        self.writes.len()
    }

    /// How many of them were sent on this connection.
    pub(crate) fn in_flight(&self) -> usize {
        self.sent
    }

    /// When the oldest of these was sent.
    pub(crate) fn oldest_sent(&self) -> Option<Duration> {
        self.writes.front().filter(|_| self.sent > 0).map(|write| write.sent_at)
    }

    /// The oldest write without a verdict.
    pub(crate) fn first_unanswered(&self) -> Option<WriteId> {
        self.writes.front().map(|write| write.id)
    }

    /// The client has the verdicts of all writes up to this one; 0 where none waits, and nothing is to be said.
    pub(crate) fn settled(&self) -> WriteId {
        self.first_unanswered().map_or(0, |first| first - 1)
    }

    /// The writes up to this one that have no verdict.
    pub(crate) fn unanswered_up_to(&self, last: WriteId) -> Vec<WriteId> {
        self.writes.iter().map(|write| write.id).take_while(|&id| id <= last).collect()
    }

    fn find(&self, write: WriteId) -> Result<usize, usize> {
        self.writes.binary_search_by_key(&write, |write| write.id)
    }

    /// The intent behind a write that has no verdict.
    pub(super) fn intent(&self, write: WriteId) -> Option<IntentId> {
        self.find(write).ok().map(|at| self.writes[at].intent)
    }

    /// Whether a write has no verdict.
    pub(crate) fn has(&self, write: WriteId) -> bool {
        self.find(write).is_ok()
    }

    /// Whether a write was sent on this connection and has no verdict.
    pub(crate) fn is_in_flight(&self, write: WriteId) -> bool {
        self.find(write).is_ok_and(|at| at < self.sent)
    }

    /// The oldest write that was not sent on this connection.
    pub(super) fn first_waiting(&self) -> Option<IntentId> {
        self.writes.get(self.sent).map(|write| write.intent)
    }

    /// It counts as sent from now on.
    pub(super) fn send_first(&mut self, now: Duration) -> Option<WriteId> {
        let write = self.writes.get_mut(self.sent)?;
        write.sent_at = now;
        self.sent += 1;
        self.sent_up_to = self.sent_up_to.max(write.id);
        Some(write.id)
    }

    /// What was sent takes until then to leave.
    pub(super) fn leaves_at(&mut self, write: WriteId, leaves_at: Duration) {
        if let Ok(at) = self.find(write) {
            self.writes[at].sent_at = leaves_at;
        }
    }

    /// When a write that was sent leaves, at the slowest.
    pub(super) fn leaves(&self, write: WriteId) -> Option<Duration> {
        let at = self.find(write).ok().filter(|at| *at < self.sent)?;
        Some(self.writes[at].sent_at)
    }

    /// What is on its way leaves so much sooner.
    pub(super) fn leaves_sooner(&mut self, now: Duration, sooner: Duration) {
        for write in self.writes.iter_mut().take(self.sent).filter(|write| write.sent_at > now) {
            write.sent_at = write.sent_at.saturating_sub(sooner).max(now);
        }
    }

    /// The writes from this one on are to be sent again.
    pub(crate) fn unsend_from(&mut self, first: WriteId) {
        let before = self.find(first).unwrap_or_else(|at| at);
        self.sent = self.sent.min(before);
    }

    /// A write is to be sent, and what stands behind it after it.
    pub(super) fn insert(&mut self, id: WriteId, intent: IntentId) {
        self.next = self.next.max(id + 1);
        if let Err(at) = self.find(id) {
            self.writes.insert(at, Unanswered { id, intent, sent_at: Duration::ZERO });
            self.sent = self.sent.min(at);
        }
    }

    /// A write has its verdict.
    pub(super) fn remove(&mut self, write: WriteId) {
        if let Ok(at) = self.find(write) {
            self.writes.remove(at);
            give_back(&mut self.writes);
            self.sent -= usize::from(at < self.sent);
        }
    }

    /// The first write from this one on that has no verdict.
    pub(super) fn first_from(&self, first: WriteId) -> Option<WriteId> {
        self.writes.get(self.find(first).unwrap_or_else(|at| at)).map(|write| write.id)
    }

    /// The intents behind the writes from this one on.
    pub(super) fn intents_from(&self, first: WriteId) -> impl Iterator<Item = IntentId> {
        self.writes.range(self.find(first).unwrap_or_else(|at| at)..).map(|write| write.intent)
    }

    /// Takes out the writes from this one on.
    pub(super) fn take_from(&mut self, first: WriteId) -> Vec<IntentId> {
        self.unsend_from(first);
        let start = self.find(first).unwrap_or_else(|at| at);
        self.writes.drain(start..).map(|write| write.intent).collect()
    }

    /// Nothing is left to be sent, or to be heard of.
    pub(crate) fn is_done(&self) -> bool {
        self.writes.is_empty()
    }
}
