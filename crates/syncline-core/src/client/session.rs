//! One open query, shared by every watch that asks the same.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::client::WatchId;
use crate::error::Error;
use crate::id::Cursor;
use crate::query::QuerySpec;
use crate::wire::SubId;

/// Names a session of one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(crate) u64);

/// See the [module](self).
pub(crate) struct Session {
    pub(crate) query: QuerySpec,
    pub(crate) collection: &'static str,
    pub(crate) phase: Phase,
    pub(crate) watches: BTreeSet<WatchId>,
    /// Where the rows stand; there is none before the first snapshot is complete.
    pub(crate) cursor: Option<Cursor>,
    /// The answer is there, and held until others are too: see [`returning`](crate::client::returning).
    pub(crate) answered: bool,
    /// Why it failed, or which row could not be read.
    pub(crate) error: Option<Error>,
}

/// How a session stands on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not asked for on this connection; its rows, if any, are from an earlier one.
    Idle,
    /// Asked for.
    Asked {
        sub: SubId,
        /// When the answer is overdue.
        overdue: Duration,
    },
    /// A snapshot is coming in.
    Snapshot { sub: SubId, next_chunk: u32, done: u64, total: u64, overdue: Duration },
    /// Every change comes in.
    Live { sub: SubId },
    /// Refused for now; to be asked for again.
    Waiting { until: Duration },
    /// Refused.
    Failed,
}

impl Phase {
    pub(crate) fn sub(self) -> Option<SubId> {
        match self {
            Self::Asked { sub, .. } | Self::Snapshot { sub, .. } | Self::Live { sub } => Some(sub),
            Self::Idle | Self::Waiting { .. } | Self::Failed => None,
        }
    }

    pub(crate) fn is_live(self) -> bool {
        matches!(self, Self::Live { .. })
    }

    /// The answer has been asked for and is not complete.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Asked { .. } | Self::Snapshot { .. })
    }
}

impl Session {
    pub(crate) fn new(query: QuerySpec, collection: &'static str) -> Self {
        let (phase, watches) = (Phase::Idle, BTreeSet::new());
        Self { query, collection, phase, watches, cursor: None, answered: false, error: None }
    }

    /// The connection is gone; rows stay.
    pub(crate) fn interrupt(&mut self) {
        self.answered = false;
        if self.phase != Phase::Failed {
            self.phase = Phase::Idle;
        }
    }

    /// It shows rows of an earlier connection, and what has become of them is still to come.
    pub(crate) fn is_returning(&self) -> bool {
        self.cursor.is_some() && self.phase.is_open() && !self.answered
    }

    /// Rows may come that it does not show yet.
    pub(crate) fn is_behind(&self) -> bool {
        self.phase == Phase::Idle || self.phase.is_open()
    }

    /// When the answer is overdue.
    pub(crate) fn overdue(&self) -> Option<Duration> {
        match self.phase {
            Phase::Asked { overdue, .. } | Phase::Snapshot { overdue, .. } if !self.answered => Some(overdue),
            _ => None,
        }
    }

    /// When to ask again.
    pub(crate) fn retry_at(&self) -> Option<Duration> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            _ => None,
        }
    }
}
