//! What is on its way to one connection: answers in their turn, a snapshot in chunks, the changes that wait behind it.
//!
//! A connection that cannot keep up holds nobody else up. It holds one snapshot at a time and a bounded backlog; when
//! that is full, or when the driver had to throw frames away, the connection is *behind*: it is told nothing more, and
//! as soon as it can take frames again it is told so and all its subscriptions are answered anew.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::id::SpaceId;
use crate::space::io::{ConnId, Output};
use crate::space::stream::Stream;
use crate::wire::{self, ServerMessage, SubId};

/// Frames that the engine has made and the driver has not yet taken.
pub(super) type Outputs = VecDeque<Output>;

/// An answer that is still to be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owed {
    pub(super) space: SpaceId,
    /// The subscription to be answered; without one, only what became of the connection's writes.
    pub(super) sub: Option<SubId>,
}

/// What the engine has to do for a feed before it can go on.
pub(super) enum Step {
    /// Tell the client that what it holds of these is out of date.
    Reset(BTreeSet<SubId>),
    /// Give this answer.
    Answer(Owed),
}

/// More waits than may.
pub(super) struct Overflow;

/// See the [module](self).
pub(super) struct Feed {
    conn: ConnId,
    chunk_bytes: usize,
    backlog_bytes: usize,
    owed: VecDeque<Owed>,
    stream: Option<Stream>,
    /// Changes of the space that is being streamed; while held, of any.
    backlog: VecDeque<(SpaceId, Arc<[u8]>)>,
    waiting_bytes: usize,
    /// Bytes of answers handed over since the connection was last known to be drained.
    handed: usize,
    awaiting_drained: bool,
    lagged: bool,
    held: bool,
    /// What the client is to be told it holds in vain; `Some` as long as it has not been told.
    behind: Option<BTreeSet<SubId>>,
}

impl Feed {
    pub(super) fn new(conn: ConnId, chunk_bytes: usize, backlog_bytes: usize) -> Self {
        Self {
            conn,
            chunk_bytes,
            backlog_bytes,
            owed: VecDeque::new(),
            stream: None,
            backlog: VecDeque::new(),
            waiting_bytes: 0,
            handed: 0,
            awaiting_drained: false,
            lagged: false,
            held: true,
            behind: None,
        }
    }

    /// Sends a message that is no data, at once and past everything that waits. It cannot get lost.
    pub(super) fn control(&self, message: &ServerMessage, out: &mut Outputs) {
        let frame = wire::encode(message, []).into();
        out.push_back(Output::Send { conn: self.conn, frame, lossy: false, drained: false });
    }

    /// Sends changes of a space, behind the snapshot of it when one is on its way.
    pub(super) fn changes(
        &mut self,
        space: &SpaceId,
        frame: Arc<[u8]>,
        out: &mut Outputs,
    ) -> Result<(), Overflow> {
        if self.is_behind() {
            return Ok(()); // the answers after the reset cover it
        }
        if frame.len() > self.backlog_bytes {
            return Err(Overflow);
        }
        if !self.held && self.stream.as_ref().is_none_or(|stream| stream.space != *space) {
            self.data(frame, false, out);
            return Ok(());
        }
        self.waiting_bytes += frame.len();
        self.backlog.push_back((space.clone(), frame));
        if self.waiting_bytes > self.backlog_bytes { Err(Overflow) } else { Ok(()) }
    }

    /// Sends an answer in one frame.
    pub(super) fn answer(&mut self, frame: Vec<u8>, out: &mut Outputs) {
        self.handed += frame.len();
        // about a chunk is on its way at any time, be it of one snapshot or of many small ones
        let enough = self.handed >= self.chunk_bytes / 2;
        let ask = enough && !std::mem::replace(&mut self.awaiting_drained, enough);
        self.data(frame.into(), ask, out);
    }

    /// Begins to send an answer in as many frames as it takes. Call [`step`](Self::step) afterwards.
    pub(super) fn stream(&mut self, stream: Stream) {
        self.stream = Some(stream);
    }

    /// Sends what can be sent now, then says what is to be done next. `ready` says which spaces are in memory.
    pub(super) fn step(&mut self, ready: impl Fn(&SpaceId) -> bool, out: &mut Outputs) -> Option<Step> {
        while !self.is_blocked()
            && let Some(stream) = &mut self.stream
        {
            let (frame, last) = stream.next_frame(self.chunk_bytes);
            self.answer(frame, out);
            if last {
                self.stream = None;
                self.flush(out);
            }
        }
        if self.is_blocked() {
            return None;
        }
        if let Some(subs) = self.behind.take() {
            return Some(Step::Reset(subs));
        }
        let next = self.owed.iter().position(|owed| ready(&owed.space))?;
        self.owed.remove(next).map(Step::Answer)
    }

    /// Adds an answer to be given in its turn.
    pub(super) fn owe(&mut self, owed: Owed) {
        if !self.owed.contains(&owed) {
            self.owed.push_back(owed);
        }
    }

    /// The spaces of which it is owed nothing but an account of its writes.
    pub(super) fn asks(&self) -> impl Iterator<Item = &SpaceId> {
        self.owed.iter().filter(|owed| owed.sub.is_none()).map(|owed| &owed.space)
    }

    /// Forgets a subscription. Says whether its answer was still to be given, or on its way.
    pub(super) fn forget(&mut self, sub: SubId, out: &mut Outputs) -> bool {
        let before = self.owed.len();
        self.owed.retain(|owed| owed.sub != Some(sub));
        let mut was_owed = self.owed.len() < before;
        if let Some(behind) = &mut self.behind {
            behind.remove(&sub);
        }
        if self.stream.as_ref().is_some_and(|stream| stream.sub == Some(sub)) {
            was_owed = true;
            self.stream = None;
            if !self.held {
                self.flush(out);
            }
        }
        was_owed
    }

    /// The client was told changes that it did not get, or will not be told changes that it should: the answers for
    /// `subs` are void. A snapshot on its way is finished, so that even somebody who falls behind again and again
    /// gets one after the other to its end.
    pub(super) fn fall_behind(&mut self, subs: impl IntoIterator<Item = SubId>) {
        self.backlog.clear();
        self.waiting_bytes = 0;
        self.behind.get_or_insert_default().extend(subs);
    }

    /// The rest of a snapshot on its way is not sent.
    pub(super) fn abandon(&mut self) {
        self.stream = None;
    }

    /// The driver threw frames away.
    pub(super) fn lagged(&mut self) {
        self.abandon();
        self.lagged = true;
        self.awaiting_drained = false;
    }

    /// The driver has handed everything over.
    pub(super) fn drained(&mut self) {
        self.lagged = false;
        self.awaiting_drained = false;
        self.handed = 0;
    }

    /// No data until further notice.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Data again.
    pub(super) fn release(&mut self, out: &mut Outputs) {
        self.held = false;
        self.flush(out);
    }

    /// Whether it is told no changes, until the answers that cover them.
    pub(super) fn is_behind(&self) -> bool {
        self.lagged || self.behind.is_some()
    }

    fn is_blocked(&self) -> bool {
        self.held || self.lagged || self.awaiting_drained
    }

    fn flush(&mut self, out: &mut Outputs) {
        let streaming = self.stream.as_ref().map(|stream| stream.space.clone());
        for (space, frame) in std::mem::take(&mut self.backlog) {
            if streaming.as_ref() == Some(&space) {
                self.backlog.push_back((space, frame));
            } else {
                self.waiting_bytes -= frame.len();
                self.data(frame, false, out);
            }
        }
    }

    fn data(&self, frame: Arc<[u8]>, drained: bool, out: &mut Outputs) {
        out.push_back(Output::Send { conn: self.conn, frame, lossy: true, drained });
    }
}
