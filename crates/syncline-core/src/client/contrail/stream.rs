//! One query's stream: how it stands, and when something has to happen to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Access;
use super::allowance::Permit;
use super::counted::Counted;
use super::gathering::{Gathering, Page};
use crate::client::session::SessionId;
use crate::client::{Status, Transport};
use crate::record::AnyRow;

/// A service says something every 15 s over server-sent events; after three times that it is dead.
const SILENCE: Duration = Duration::from_secs(45);
/// A socket says nothing of itself: after so long without a word the snapshot is asked for again, to compare.
const LOOK_AFTER: Duration = Duration::from_secs(60);
/// A socket that says nothing for so long after a snapshot showed what it should have told is dead.
const DOUBT: Duration = Duration::from_secs(5);

/// The keys of children, by parent.
pub(super) type Families = BTreeMap<Box<str>, Vec<Box<str>>>;

/// Names one connection of a client, in all that is said about it.
pub(super) type Line = u64;

/// A sign of life is due after so long, when there is reason to doubt.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// See the [module](self).
pub(in crate::client) struct Stream {
    pub(super) transport: Transport,
    pub(super) phase: Phase,
    /// Its share in the event streams that may be open.
    pub(super) permit: Option<Permit>,
    /// What carries its events, or its handshake.
    pub(super) line: Option<Line>,
    /// A page that is being fetched beside it.
    pub(super) side: Option<Side>,
    /// The snapshot that is not complete yet.
    pub(super) gathering: Option<Gathering>,
    /// The page of it that comes in on the stream itself.
    pub(super) page: Page,
    /// The children that were known of each parent when a page began to count, relation by relation.
    pub(super) families: Vec<Families>,
    /// Children that are not held and have been counted.
    pub(super) counted: Counted,
    /// Records that pages have brought since it began.
    pub(super) seen: BTreeSet<Box<str>>,
    /// Where what is known ends, when the service has more.
    pub(super) cursor: Option<String>,
    /// The last row of a limited query before there: of what stands behind it nobody knows whether it is the next one.
    pub(super) edge: Option<Arc<dyn AnyRow>>,
    /// A view of all rows that are known, when the query has a limit: a row that leaves the window is replaced from here.
    pub(super) reserve: Option<SessionId>,
    /// What the service calls the relations of the query, in their order.
    pub(super) relations: Vec<String>,
    /// Rows behind the window were thrown away: they have to be fetched before the window can be filled up.
    pub(super) trimmed: bool,
    /// What let this attempt in.
    pub(super) access: Access,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Refusals of credentials in a row.
    pub(super) unauthenticated: u32,
    /// It was not given a socket, and does not ask for one again until somebody wants it to.
    pub(super) no_socket: bool,
    /// When the service was heard last.
    pub(super) heard: Duration,
    /// When the first page was there last.
    pub(super) looked: Duration,
    /// When it last said something that counts.
    pub(super) told: Duration,
    /// When a socket that seems to have missed something is given up.
    pub(super) doubted_until: Option<Duration>,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// All connections that a page may have are in use.
    Queued,
    /// The application is asked for a ticket.
    Asking { overdue: Duration },
    /// A socket's address is asked for.
    Handshake { overdue: Duration },
    /// The stream is asked for.
    Opening { overdue: Duration },
    /// Events come in.
    Open,
    /// The next attempt is to be made.
    Waiting { until: Duration },
    /// Nobody is let in with what the application gives.
    NeedsAuth,
}

/// A request for one page.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) line: Line,
    /// Where the page begins.
    pub(super) cursor: Option<String>,
    pub(super) page: Page,
    pub(super) overdue: Duration,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Something took too long.
    TimedOut,
    /// The wait before the next attempt is over.
    Begin,
    /// It is time to look whether an open socket is alive.
    Look,
}

impl Stream {
    pub(super) fn new(now: Duration, reserve: Option<SessionId>, relations: Vec<String>) -> Self {
        Self {
            transport: Transport::Sse,
            phase: Phase::Queued,
            permit: None,
            line: None,
            side: None,
            gathering: None,
            page: Page::default(),
            families: Vec::new(),
            counted: Counted::default(),
            seen: BTreeSet::new(),
            cursor: None,
            edge: None,
            reserve,
            relations,
            trimmed: false,
            access: Access::default(),
            failures: 0,
            unauthenticated: 0,
            no_socket: false,
            heard: now,
            looked: now,
            told: now,
            doubted_until: None,
        }
    }

    /// Whether every change comes in.
    pub(super) fn is_live(&self) -> bool {
        self.phase == Phase::Open && self.gathering.is_none()
    }

    /// How it stands, as a connection.
    pub(super) fn status(&self) -> Status {
        match self.phase {
            Phase::NeedsAuth => Status::NeedsAuth,
            Phase::Open => Status::Live,
            _ if self.failures > 0 => Status::Reconnecting,
            _ => Status::Connecting,
        }
    }

    /// Its page waits for those of others.
    pub(super) fn wait_for_page(&mut self) {
        if let Some(side) = &mut self.side {
            side.overdue = Duration::MAX;
        }
    }

    /// Something came in.
    pub(super) fn hear(&mut self, now: Duration) {
        self.heard = now;
        self.doubted_until = None;
    }

    /// The page that is on its way: what is told live meanwhile may be newer.
    pub(super) fn coming(&mut self) -> Option<&mut Page> {
        match &mut self.side {
            // one that waits for its turn is asked for anew
            Some(side) => (side.overdue != Duration::MAX).then_some(&mut side.page),
            None => self.gathering.is_some().then_some(&mut self.page),
        }
    }

    /// There is reason to doubt that the line still stands: it does not get all the time there is.
    pub(super) fn hurry(&mut self, now: Duration) {
        self.heard = self.heard.min(now.saturating_sub(SILENCE - KEEPALIVE));
    }

    /// A look is complete, and showed something new: the socket has to speak, or is dead.
    pub(super) fn doubt(&mut self, now: Duration) {
        self.doubted_until = Some(now + DOUBT);
    }

    /// What is due next, and when.
    pub(super) fn next_due(&self, answer_within: Duration) -> Option<(Duration, Due)> {
        let main = match self.phase {
            Phase::Asking { overdue } | Phase::Handshake { overdue } | Phase::Opening { overdue } => {
                Some((overdue, Due::TimedOut))
            }
            Phase::Waiting { until } => Some((until, Due::Begin)),
            Phase::Open => Some(self.silence(answer_within)),
            Phase::Queued | Phase::NeedsAuth => None,
        };
        let side = self.side.as_ref().map(|side| (side.overdue, Due::TimedOut));
        let doubt = self.doubted_until.map(|until| (until, Due::TimedOut));
        [main, side, doubt].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn silence(&self, answer_within: Duration) -> (Duration, Due) {
        match self.transport {
            Transport::Sse if self.gathering.is_some() && self.side.is_none() => {
                (self.told + answer_within * 3, Due::TimedOut)
            }
            Transport::Sse => (self.heard + SILENCE, Due::TimedOut),
            // a page on its way has a limit of its own
            Transport::WebSocket if self.side.is_some() => (Duration::MAX, Due::Look),
            Transport::WebSocket if self.gathering.is_some() => {
                (self.told + answer_within * 3, Due::TimedOut)
            }
            // some sockets say nothing of children, however much they say
            Transport::WebSocket if !self.relations.is_empty() => {
                (self.looked.min(self.heard) + LOOK_AFTER, Due::Look)
            }
            Transport::WebSocket => (self.heard + LOOK_AFTER, Due::Look),
        }
    }
}
