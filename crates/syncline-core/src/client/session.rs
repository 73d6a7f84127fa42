//! One open query, shared by every watch that asks the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::client::WatchId;
use crate::client::cache::{Earlier, Loading};
use crate::client::related::Related;
use crate::client::resume::Resuming;
use crate::client::space::{Base, Space};
use crate::error::Error;
use crate::id::{Cursor, Key};
use crate::query::QuerySpec;
use crate::schema::Undecodable;
use crate::wire::{Held, SubId};

/// Names a session of one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(crate) u64);

/// See the [module](self).
pub(crate) struct Session {
    pub(crate) query: QuerySpec,
    pub(crate) collection: &'static str,
    pub(crate) phase: Phase,
    /// Who looks at it.
    pub(crate) watches: BTreeSet<WatchId>,
    /// Who looked at it, and may again.
    pub(crate) stopped: BTreeSet<WatchId>,
    /// Where the rows stand, when there are any to stand anywhere.
    pub(crate) cursor: Option<Cursor>,
    /// The rows have been complete once. Before that they may be some that other lists had.
    pub(crate) loaded: bool,
    /// The server has answered once.
    pub(crate) was_live: bool,
    /// What the result holds depends on who asks.
    pub(crate) selective: bool,
    /// The slots of the rows that the server was told are held, in that order.
    pub(crate) held: Vec<u32>,
    /// It was told of them, and answers with what differs.
    pub(crate) is_compared: bool,
    /// Storage has been asked for rows of an earlier visit.
    pub(crate) loading: Option<Loading>,
    /// It shows rows of an earlier visit, and the server has not answered on this one.
    pub(crate) earlier: Option<Earlier>,
    /// What it stands at has not been stored.
    pub(crate) unsaved: bool,
    /// The children of its rows, relation by relation.
    pub(crate) relations: Vec<Related>,
    /// What has come of a resume besides its rows, until its last chunk is there.
    pub(crate) resuming: Option<Box<Resuming>>,
    /// The answer is there, and held until others are too: see [`returning`](crate::client::returning).
    pub(crate) answered: bool,
    /// Why it failed.
    pub(crate) error: Option<Error>,
    /// Rows of the result that could not be read.
    pub(crate) unreadable: Unreadable,
}

/// Rows that could not be read, and are not shown.
#[derive(Clone, Default)]
pub(crate) struct Unreadable {
    by_key: BTreeMap<Key, Error>,
    /// The last one whose key could not be read either, or that was one too many to be remembered by it: what becomes of it
    /// is known when all rows come again.
    unnamed: Option<Error>,
}

/// More unreadable rows than this are not remembered one by one.
const MAX_UNREADABLE: usize = 64;

impl Unreadable {
    pub(crate) fn note(&mut self, row: Undecodable) {
        match row.key {
            Some(key) if self.by_key.len() < MAX_UNREADABLE || self.by_key.contains_key(&key) => {
                self.by_key.insert(key, row.error);
            }
            _ => self.unnamed = Some(row.error),
        }
    }

    /// What was at this key is gone, or can be read now.
    pub(crate) fn forget(&mut self, key: &str) {
        self.by_key.remove(key);
    }

    /// Others than these are not of interest any more. One that is not remembered by its key may be one of them.
    pub(crate) fn keep(&mut self, kept: impl Fn(&str) -> bool) {
        self.by_key.retain(|key, _| kept(key.as_str()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty() && self.unnamed.is_none()
    }

    /// Whether what has become of one is known only when all rows come again.
    pub(crate) fn has_unnamed(&self) -> bool {
        self.unnamed.is_some()
    }

    pub(crate) fn first(&self) -> Option<&Error> {
        self.by_key.values().next().or(self.unnamed.as_ref())
    }
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
    /// What was missed is coming in.
    Resume { sub: SubId, next_chunk: u32, overdue: Duration },
    /// Every change comes in.
    Live { sub: SubId },
    /// Refused for now; to be asked for again.
    Waiting { until: Duration },
    /// Refused.
    Failed,
    /// Nobody looks; its rows are kept for those who may look again.
    Parked,
}

impl Phase {
    pub(crate) fn sub(self) -> Option<SubId> {
        match self {
            Self::Asked { sub, .. }
            | Self::Snapshot { sub, .. }
            | Self::Resume { sub, .. }
            | Self::Live { sub } => Some(sub),
            Self::Idle | Self::Waiting { .. } | Self::Failed | Self::Parked => None,
        }
    }

    pub(crate) fn is_live(self) -> bool {
        matches!(self, Self::Live { .. })
    }

    /// The number of the chunk that comes next.
    pub(crate) fn next_chunk(self) -> u32 {
        match self {
            Self::Snapshot { next_chunk, .. } | Self::Resume { next_chunk, .. } => next_chunk,
            _ => 0,
        }
    }

    /// The answer has been asked for and is not complete.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Asked { .. } | Self::Snapshot { .. } | Self::Resume { .. })
    }
}

impl Session {
    pub(crate) fn new(query: QuerySpec, collection: &'static str) -> Self {
        Self {
            query,
            collection,
            phase: Phase::Idle,
            watches: BTreeSet::new(),
            stopped: BTreeSet::new(),
            cursor: None,
            loaded: false,
            was_live: false,
            selective: false,
            held: Vec::new(),
            is_compared: false,
            loading: None,
            earlier: None,
            unsaved: false,
            relations: Vec::new(),
            resuming: None,
            answered: false,
            error: None,
            unreadable: Unreadable::default(),
        }
    }

    /// Which rows there are, where the server needs to know it to tell what has changed. What is too much for a frame of
    /// so many bytes comes back as a whole.
    pub(crate) fn say_what_is_held(
        &mut self,
        id: SessionId,
        space: &Space,
        seed: u64,
        frame_bytes: usize,
    ) -> Option<Held> {
        self.held.clear();
        self.is_compared = false;
        let is_needed = self.selective
            || self.query.limit.is_some()
            || !self.relations.is_empty()
            || !self.loaded
            || self.unreadable.has_unnamed();
        if self.cursor.is_none() || !is_needed {
            return None;
        }
        let rows = space.base.get(self.collection)?;
        self.held = rows.members(id);
        let mut count = self.held.len();
        for related in &mut self.relations {
            related.held = space.base.get(related.collection)?.members(related.view);
            count += related.held.len() + if related.counts.is_some() { self.held.len() } else { 0 };
        }
        if count > Held::fitting(frame_bytes) {
            return None;
        }
        let mut held = Held::new(seed, self.held.iter().map(|&slot| rows.key(slot)));
        for related in &self.relations {
            let children = space.base.get(related.collection)?;
            let parents = self.held.iter().map(|&slot| rows.key(slot));
            let counts = related.counts.iter().flat_map(|counts| parents.clone().map(|key| counts.told(key)));
            held = held.with_children(related.held.iter().map(|&slot| children.key(slot)), counts);
        }
        self.is_compared = true;
        Some(held)
    }

    /// The collections whose rows it shows.
    pub(crate) fn collections(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.collection).chain(self.relations.iter().map(|related| related.collection))
    }

    /// The first row that could not be read.
    pub(crate) fn first_unreadable(&self) -> Option<&Error> {
        let related = self.relations.iter().filter_map(|related| related.unreadable.first());
        self.unreadable.first().into_iter().chain(related).next()
    }

    /// A snapshot begins.
    pub(crate) fn begin_snapshot(&mut self, id: SessionId, base: &mut Base) {
        self.unreadable = Unreadable::default();
        if let Some(rows) = base.get_mut(self.collection) {
            rows.begin_incoming(id);
        }
        self.relations.iter_mut().for_each(|related| related.begin_snapshot(base));
    }

    /// It is complete.
    pub(crate) fn finish_snapshot(&mut self, id: SessionId, base: &mut Base) {
        if let Some(rows) = base.get_mut(self.collection) {
            rows.finish_snapshot(id);
        }
        self.relations.iter_mut().for_each(|related| related.finish_snapshot(base));
    }

    /// What has come of an answer is of no use without the rest, which does not come.
    pub(crate) fn drop_incoming(&mut self, id: SessionId, base: &mut Base) {
        self.resuming = None;
        if let Some(rows) = base.get_mut(self.collection) {
            rows.drop_incoming(id);
        }
        for related in &self.relations {
            if let Some(rows) = related.rows(base) {
                rows.drop_incoming(related.view);
            }
        }
    }

    /// The server's answer is there: its rows are the result as of this cursor.
    pub(crate) fn stands_at(&mut self, cursor: Cursor) {
        (self.cursor, self.loaded, self.was_live) = (Some(cursor), true, true);
        (self.loading, self.earlier) = (None, None);
    }

    /// There are no rows to show: none from the server, none of an earlier visit, and not all from other lists.
    pub(crate) fn is_without_rows(&self) -> bool {
        let has_rows = self.loaded || self.earlier.is_some();
        !has_rows && self.phase != Phase::Failed
    }

    /// Its rows are not to be shown any more.
    pub(crate) fn forget(&mut self) {
        (self.cursor, self.loaded, self.unreadable) = (None, false, Unreadable::default());
        (self.earlier, self.unsaved) = (None, false);
    }

    /// The connection is gone; rows stay.
    pub(crate) fn interrupt(&mut self) {
        self.answered = false;
        if !matches!(self.phase, Phase::Failed | Phase::Parked) {
            self.phase = Phase::Idle;
        }
    }

    /// Nobody looks any more.
    pub(crate) fn park(&mut self) {
        (self.phase, self.answered, self.error) = (Phase::Parked, false, None);
    }

    /// It shows rows of an earlier connection, and what has become of them is still to come.
    pub(crate) fn is_returning(&self) -> bool {
        (self.loaded || self.earlier.is_some()) && self.phase.is_open() && !self.answered
    }

    /// Somebody looks at what is asked for no more.
    pub(crate) fn has_failed(&self) -> bool {
        self.phase == Phase::Failed
    }

    /// Rows may come that it does not show yet.
    pub(crate) fn is_behind(&self) -> bool {
        self.phase == Phase::Idle || self.phase.is_open()
    }

    /// When the answer is overdue.
    pub(crate) fn overdue(&self) -> Option<Duration> {
        match self.phase {
            Phase::Asked { overdue, .. }
            | Phase::Snapshot { overdue, .. }
            | Phase::Resume { overdue, .. }
                if !self.answered =>
            {
                Some(overdue)
            }
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
