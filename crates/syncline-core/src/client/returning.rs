//! How a space comes back on a new connection, or after a reset: all at once.
//!
//! The lists of a space share their rows. While one of them still shows rows of an earlier connection, what comes for
//! the others is held: else the first answer would bring new rows into the lists whose answers are still to come, and
//! a person would see half of a write there. Verdicts are not held: what they are about stays on the screen as it was made
//! here, until what brings it is taken in.

use std::time::Duration;

use crate::client::Output;
use crate::client::core::ClientCore;
use crate::client::frames::Gap;
use crate::client::link::Event;
use crate::client::session::Session;
use crate::client::short_map::ValuesMut as _;
use crate::id::{Cursor, SpaceId, Version};
use crate::wire::{Changes, Frame, Resume, ServerMessage, Snapshot, SubId, WriteState};

/// The most that is held for one space, in bytes. What has more to hold starts anew on another connection.
const MAX_HELD_BYTES: usize = 16 << 20;

/// The frames of one space that are held, in their order.
#[derive(Default)]
pub(crate) struct Held {
    frames: Vec<Vec<u8>>,
    bytes: usize,
    /// Where the chain of versions stands with them.
    told: Option<Version>,
    /// They are being taken in one after the other; nothing is shown before all are.
    released: bool,
}

impl Held {
    pub(crate) fn clear(&mut self) {
        (self.frames, self.bytes, self.told) = (Vec::new(), 0, None);
    }

    pub(crate) fn is_released(&self) -> bool {
        self.released
    }

    /// The version that the next frame of an answer is of, when this is what the space was told.
    pub(super) fn chain(&self, told: Option<Version>) -> Option<Version> {
        self.told.filter(|_| !self.released).or(told)
    }

    fn push(&mut self, frame: &[u8], told: Version) -> Result<(), Gap> {
        self.bytes += frame.len();
        if self.bytes > MAX_HELD_BYTES {
            return Err(Gap);
        }
        self.frames.push(frame.to_vec());
        self.told = Some(told);
        Ok(())
    }
}

impl ClientCore {
    /// Holds the last chunk of an answer when it has to wait; the verdicts in it count at once. Those that follow in `changes`
    /// go on from them. The chunks before it change nothing that is shown.
    pub(super) fn hold_answer(
        &mut self,
        sub: SubId,
        chunk: u32,
        cursor: Cursor,
        writes: &[WriteState],
        frame: &[u8],
    ) -> Result<bool, Gap> {
        let Some(session) = self.by_sub.get(&sub).and_then(|id| self.sessions.get_mut(id)) else {
            return Ok(false);
        };
        // one out of turn is looked at where all of them are
        if !session.phase.is_open() || session.answered || session.phase.next_chunk() != chunk {
            return Ok(false);
        }
        session.answered = true;
        let id = session.query.space.clone();
        let waits = self.is_returning(&id);
        let Some(space) = self.spaces.get_mut(&id) else { return Ok(false) };
        if !waits && space.held.frames.is_empty() {
            return Ok(false);
        }
        if space.held.chain(space.told).is_some_and(|told| told != cursor.version) {
            return Err(Gap);
        }
        space.held.push(frame, cursor.version)?;
        self.settle_up_to(&id, writes, cursor.version);
        self.commit(&id);
        Ok(true)
    }

    /// Holds changes behind what is held already; the verdicts in them count at once.
    pub(super) fn hold_changes(
        &mut self,
        now: Duration,
        changes: &Changes,
        frame: &[u8],
    ) -> Result<bool, Gap> {
        let Some(space) = self.spaces.get_mut(&changes.space).filter(|space| !space.held.frames.is_empty())
        else {
            return Ok(false);
        };
        let told = space.held.told.unwrap_or(changes.from);
        if changes.from > told || (changes.from < told && changes.to > told) {
            return Err(Gap);
        }
        if changes.from == told {
            space.held.push(frame, changes.to)?;
        }
        for ack in &changes.acks {
            self.acknowledge(now, &changes.space, ack, changes.to);
        }
        self.settle_up_to(&changes.space, &changes.writes, changes.to);
        self.commit(&changes.space);
        Ok(true)
    }

    /// What is held for these is void, since their answers come anew.
    pub(super) fn drop_held(&mut self, subs: &[SubId]) -> Result<(), Gap> {
        for (id, space) in self.spaces.iter_mut().filter(|(_, space)| !space.held.frames.is_empty()) {
            let sessions = || self.sessions.values().filter(|session| session.query.space == *id);
            let is_named = |session: &Session| session.phase.sub().is_some_and(|sub| subs.contains(&sub));
            if !sessions().any(is_named) {
                continue;
            }
            if sessions().any(|session| (session.answered || session.phase.is_live()) && !is_named(session)) {
                // some go on with what is held, others without: nobody can say from where
                return Err(Gap);
            }
            space.held.clear();
        }
        for id in subs.iter().filter_map(|sub| self.by_sub.get(sub)) {
            if let Some(session) = self.sessions.get_mut(id) {
                session.answered = false;
            }
        }
        Ok(())
    }

    /// Takes in and shows what was held for spaces that are back as a whole.
    pub(super) fn release(&mut self, now: Duration, out: &mut Vec<Output>) -> Event {
        let held = self.spaces.values().filter(|space| !space.held.frames.is_empty());
        let back: Vec<_> =
            held.map(|space| space.id.clone()).filter(|space| !self.is_returning(space)).collect();
        for id in back {
            let Some(space) = self.spaces.get_mut(&id) else { continue };
            let frames = std::mem::take(&mut space.held.frames);
            space.held.released = true;
            let taken = frames.iter().try_for_each(|frame| self.take_held(now, frame));
            if let Some(space) = self.spaces.get_mut(&id) {
                space.held = Held::default();
            }
            if let Err(Gap) = taken {
                return self.missed(now, out);
            }
            // own writes that were beyond the server's numbers may be in them now
            let sessions = self.sessions.values_mut().filter(|session| session.query.space == id);
            for counts in sessions.flat_map(|one| &mut one.relations).filter_map(|one| one.counts.as_mut()) {
                counts.is_stale = true;
            }
            self.commit(&id);
        }
        Event::None
    }

    fn take_held(&mut self, now: Duration, bytes: &[u8]) -> Result<(), Gap> {
        let Ok(frame) = Frame::parse(bytes) else { return Err(Gap) };
        let rows = frame.encoded_rows().map_err(|_| Gap)?;
        let lines = frame.rows();
        match frame.message {
            // the verdicts in all of these have been heard
            ServerMessage::Snapshot(snapshot) => {
                self.snapshot(now, Snapshot { writes: Vec::new(), ..snapshot }, &rows)
            }
            ServerMessage::Resume(resume) => self.resume(now, Resume { writes: Vec::new(), ..resume }, &rows),
            ServerMessage::Changes(mut changes) => {
                (changes.acks, changes.writes) = (Vec::new(), Vec::new());
                self.changes(now, &changes, &lines.collect::<Vec<_>>())
            }
            _ => Ok(()),
        }
    }

    fn is_returning(&self, space: &SpaceId) -> bool {
        self.sessions.values().any(|session| session.query.space == *space && session.is_returning())
    }
}
