//! The writes of one client id in one space, by their numbers: which wait, which are on their way.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::queue::IntentId;
use crate::id::WriteId;

/// See the [module](self). A page has one of its own in each space, and one more for each queue that it has adopted of a
/// page that is gone.
pub(crate) struct Sequence {
    /// The id of the next write.
    pub(crate) next: WriteId,
    /// All writes up to this one have been handled, as this connection was told.
    pub(crate) handled: WriteId,
    /// Writes that were sent on this connection, and when. Their ids lie before those that wait.
    pub(super) sent: BTreeMap<WriteId, (IntentId, Duration)>,
    /// Writes that were not.
    pub(super) waiting: BTreeMap<WriteId, IntentId>,
    /// The last write that was sent on any connection: the server may know of it.
    pub(super) sent_up_to: WriteId,
}

impl Default for Sequence {
    fn default() -> Self {
        Self { next: 1, handled: 0, sent: BTreeMap::new(), waiting: BTreeMap::new(), sent_up_to: 0 }
    }
}

impl Sequence {
    /// How many writes have no verdict.
    pub(crate) fn unanswered(&self) -> usize {
        self.sent.len() + self.waiting.len()
    }

    /// How many of them were sent on this connection.
    pub(crate) fn in_flight(&self) -> usize {
        self.sent.len()
    }

    /// When the oldest of these was sent.
    pub(crate) fn oldest_sent(&self) -> Option<Duration> {
        self.sent.first_key_value().map(|(_, &(_, at))| at)
    }

    /// The oldest write without a verdict.
    pub(crate) fn first_unanswered(&self) -> Option<WriteId> {
        self.sent.keys().chain(self.waiting.keys()).next().copied()
    }

    /// The client has the verdicts of all writes up to this one.
    pub(crate) fn settled(&self) -> WriteId {
        self.first_unanswered().map_or(0, |first| first - 1)
    }

    /// The writes up to this one that have no verdict.
    pub(crate) fn unanswered_up_to(&self, last: WriteId) -> Vec<WriteId> {
        let sent = self.sent.range(..=last).map(|(&id, _)| id);
        sent.chain(self.waiting.range(..=last).map(|(&id, _)| id)).collect()
    }

    /// The intent behind a write that has no verdict.
    pub(super) fn intent(&self, write: WriteId) -> Option<IntentId> {
        match self.sent.get(&write) {
            Some(&(intent, _)) => Some(intent),
            None => self.waiting.get(&write).copied(),
        }
    }

    /// Whether a write has no verdict.
    pub(crate) fn has(&self, write: WriteId) -> bool {
        self.intent(write).is_some()
    }

    /// The oldest write that was not sent on this connection.
    pub(super) fn first_waiting(&self) -> Option<IntentId> {
        self.waiting.first_key_value().map(|(_, &intent)| intent)
    }

    /// It counts as sent from now on.
    pub(super) fn send_first(&mut self, now: Duration) -> Option<(WriteId, IntentId)> {
        let (id, intent) = self.waiting.pop_first()?;
        self.sent.insert(id, (intent, now));
        self.sent_up_to = self.sent_up_to.max(id);
        Some((id, intent))
    }

    /// The writes from this one on are to be sent again.
    pub(crate) fn unsend_from(&mut self, first: WriteId) {
        let again = self.sent.split_off(&first);
        self.waiting.extend(again.into_iter().map(|(id, (intent, _))| (id, intent)));
    }

    /// A write has its verdict.
    pub(super) fn remove(&mut self, write: WriteId) {
        self.sent.remove(&write);
        self.waiting.remove(&write);
    }

    /// Nothing is left to be sent, or to be heard of.
    pub(crate) fn is_done(&self) -> bool {
        self.unanswered() == 0
    }
}
