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
    /// Refused.
    Failed,
}

impl Phase {
    pub(crate) fn sub(self) -> Option<SubId> {
        match self {
            Self::Asked { sub, .. } | Self::Snapshot { sub, .. } | Self::Live { sub } => Some(sub),
            Self::Idle | Self::Failed => None,
        }
    }

    pub(crate) fn overdue(self) -> Option<Duration> {
        match self {
            Self::Asked { overdue, .. } | Self::Snapshot { overdue, .. } => Some(overdue),
            Self::Idle | Self::Live { .. } | Self::Failed => None,
        }
    }
}

impl Session {
    pub(crate) fn new(query: QuerySpec, collection: &'static str) -> Self {
        Self { query, collection, phase: Phase::Idle, watches: BTreeSet::new(), cursor: None, error: None }
    }

    /// The connection is gone; rows stay.
    pub(crate) fn interrupt(&mut self) {
        if self.phase != Phase::Failed {
            self.phase = Phase::Idle;
        }
    }
}
