//! What the server's frames mean.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::client::core::ClientCore;
use crate::client::link::Event;
use crate::client::session::{Phase, Session, SessionId, Unreadable};
use crate::client::space::Space;
use crate::client::{Output, collection::AnyCollection};
use crate::error::{Error, code};
use crate::id::{Key, SpaceId};
use crate::schema::Undecodable;
use crate::wire::{
    Changes, ClientMessage, Failed, Frame, Reset, Resume, ServerMessage, Snapshot, Welcome, encode,
};

/// Something is missing that must have been sent: what is held cannot be trusted to be complete.
pub(super) struct Gap;

impl ClientCore {
    pub(super) fn frame(&mut self, now: Duration, bytes: &[u8], out: &mut Vec<Output>) -> Event {
        let frame = match Frame::parse(bytes) {
            Ok(frame) => frame,
            Err(error) => return self.link.lost(now, Some(error), out),
        };
        let rows: Vec<&[u8]> = frame.rows().collect();
        let held = match &frame.message {
            ServerMessage::Snapshot(snapshot) if snapshot.last => self.hold_snapshot(snapshot, bytes),
            ServerMessage::Resume(resume) => self.hold_answer(resume.sub, resume.cursor, bytes),
            ServerMessage::Changes(changes) => self.hold_changes(now, changes, bytes),
            _ => Ok(false),
        };
        match held {
            Ok(true) => return Event::None,
            Ok(false) => {}
            Err(Gap) => return self.missed(now, out),
        }
        let taken = match frame.message {
            ServerMessage::Welcome(welcome) => return self.welcomed(now, welcome, out),
            ServerMessage::Expired(expired) => return self.link.unauthenticated(now, expired.error, out),
            ServerMessage::Error(error) => return self.link.lost(now, Some(error), out),
            ServerMessage::Ping(number) => {
                let frame = encode(&ClientMessage::Pong(number), []);
                out.push(Output::Send { attempt: self.link.attempt(), frame });
                Ok(())
            }
            ServerMessage::Pong(_) => Ok(()),
            ServerMessage::Failed(failed) => {
                self.failed(now, failed);
                Ok(())
            }
            ServerMessage::Snapshot(snapshot) => self.snapshot(now, snapshot, &rows),
            ServerMessage::Resume(resume) => self.resume(resume, &rows),
            ServerMessage::Changes(changes) => self.changes(now, &changes, &rows),
            ServerMessage::Reset(reset) => self.reset(now, &reset),
        };
        match taken {
            Ok(()) => Event::None,
            Err(Gap) => self.missed(now, out),
        }
    }

    pub(super) fn missed(&mut self, now: Duration, out: &mut Vec<Output>) -> Event {
        let error = Error::new(code::CONNECTION, "a frame from the server was missed");
        self.link.lost(now, Some(error), out)
    }

    fn welcomed(&mut self, now: Duration, welcome: Welcome, out: &mut Vec<Output>) -> Event {
        let before = self.link.user().map(|user| &user.id).or(self.shown_to());
        let other = before.is_some_and(|before| *before != welcome.user.id);
        self.link.welcome(now, welcome, out);
        self.refuse_oversize();
        let event = if other { self.change_identity(now, out) } else { Event::None };
        self.cache_welcomed(now);
        event
    }

    fn failed(&mut self, now: Duration, failed: Failed) {
        let Some(id) = self.by_sub.remove(&failed.sub) else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.answered = false;
        if failed.error.is_temporary() {
            // 2 to 6 s, so that those who failed together do not come back together
            session.phase =
                Phase::Waiting { until: now + Duration::from_secs(2).mul_f64(1.0 + 2.0 * self.rng.unit()) };
        } else {
            // the right to them may be gone, and with it the rows
            session.phase = Phase::Failed;
            forget_rows(id, session, &mut self.spaces);
        }
        session.error = Some(failed.error);
        let space = session.query.space.clone();
        self.keep_leaving(now, id);
        self.end_chain(&space);
        self.commit(&space);
        self.note(id);
    }

    pub(super) fn snapshot(&mut self, now: Duration, snapshot: Snapshot, rows: &[&[u8]]) -> Result<(), Gap> {
        let Some((id, session, space)) = self.by_sub.get(&snapshot.sub).copied().and_then(|id| {
            let session = self.sessions.get_mut(&id)?;
            let space = self.spaces.get_mut(&session.query.space)?;
            Some((id, session, space))
        }) else {
            return Ok(());
        };
        let Some(base) = space.base.get_mut(session.collection) else { return Ok(()) };
        let expected = match session.phase {
            Phase::Snapshot { next_chunk, .. } => next_chunk,
            _ => 0,
        };
        if space.told.is_some_and(|told| told != snapshot.cursor.version) {
            // the chain stands elsewhere: a change was missed, or this was overtaken by one; or it came a second time
            return if session.phase.is_live() { Ok(()) } else { Err(Gap) };
        }
        if snapshot.chunk == 0 {
            base.begin_snapshot(id);
            session.unreadable = Unreadable::default();
        } else if snapshot.chunk < expected || !matches!(session.phase, Phase::Snapshot { .. }) {
            return Ok(());
        } else if snapshot.chunk > expected {
            return Err(Gap);
        }
        let before = match session.phase {
            Phase::Snapshot { done, .. } if snapshot.chunk > 0 => done,
            _ => 0,
        };
        for row in rows {
            if let Err(row) = base.snapshot_row(id, row) {
                session.unreadable.note(row);
            }
        }
        session.phase = Phase::Snapshot {
            sub: snapshot.sub,
            next_chunk: snapshot.chunk + 1,
            done: before + rows.len() as u64,
            total: snapshot.total,
            overdue: now + self.config.answer_within * 3,
        };
        if snapshot.last {
            base.finish_snapshot(id);
            session.phase = Phase::Live { sub: snapshot.sub };
            session.answered = false;
            session.stands_at(snapshot.cursor);
            session.selective = snapshot.selective;
            let (space_id, collection) = (session.query.space.clone(), session.collection);
            (space.told, space.unsaved) = (Some(snapshot.cursor.version), true);
            self.settle_up_to(&space_id, &snapshot.writes, snapshot.cursor.version);
            self.rows_have_come(&space_id, [collection]);
        }
        self.note(id);
        Ok(())
    }

    pub(super) fn resume(&mut self, resume: Resume, rows: &[&[u8]]) -> Result<(), Gap> {
        let Some(id) = self.by_sub.get(&resume.sub).copied() else { return Ok(()) };
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        if !matches!(session.phase, Phase::Asked { .. }) {
            return Ok(());
        }
        let (space_id, collection) = (session.query.space.clone(), session.collection);
        let Some(space) = self.spaces.get_mut(&space_id) else { return Ok(()) };
        if space.told.is_some_and(|told| told != resume.cursor.version) {
            return Err(Gap);
        }
        session.phase = Phase::Live { sub: resume.sub };
        session.answered = false;
        session.stands_at(resume.cursor);
        if let Some(base) = space.base.get_mut(collection) {
            base.complete_view(id);
            for row in rows {
                let slot = base.upsert(row);
                put(base, id, session, slot);
            }
            resume.del.iter().for_each(|key| delete(base, id, session, key));
            for &place in &resume.gone {
                if let Some(key) = session.held.get(place as usize).map(|&slot| Key::from(base.key(slot))) {
                    delete(base, id, session, key.as_str());
                }
            }
        }
        (space.told, space.unsaved) = (Some(resume.cursor.version), true);
        self.settle_up_to(&space_id, &resume.writes, resume.cursor.version);
        self.rows_have_come(&space_id, [collection]);
        self.note(id);
        Ok(())
    }

    /// Shows them, without what stood in for them.
    pub(super) fn rows_have_come(
        &mut self,
        space: &SpaceId,
        collections: impl IntoIterator<Item = &'static str>,
    ) {
        if let Some(space) = self.spaces.get_mut(space) {
            collections.into_iter().for_each(|collection| space.settle_local(collection));
        }
        self.commit(space);
    }

    /// The server has dropped what was on its way to these; their answers come anew.
    fn reset(&mut self, now: Duration, reset: &Reset) -> Result<(), Gap> {
        self.drop_held(&reset.subs)?;
        let overdue = now + self.config.answer_within * 3;
        for &sub in &reset.subs {
            let Some(id) = self.by_sub.get(&sub).copied() else { continue };
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            session.phase = Phase::Asked { sub, overdue };
            let space = session.query.space.clone();
            self.end_chain(&space);
            self.note(id);
        }
        Ok(())
    }

    /// Versions of a space make a chain while this connection holds rows of it, and start anew after.
    pub(super) fn end_chain(&mut self, space: &SpaceId) {
        if !self.is_live(space)
            && let Some(space) = self.spaces.get_mut(space)
        {
            space.told = None;
        }
    }

    fn is_live(&self, space: &SpaceId) -> bool {
        self.sessions.values().any(|session| session.query.space == *space && session.phase.is_live())
    }

    pub(super) fn changes(&mut self, now: Duration, changes: &Changes, rows: &[&[u8]]) -> Result<(), Gap> {
        let live = self.is_live(&changes.space);
        let Some(space) = self.spaces.get_mut(&changes.space) else { return Ok(()) };
        let repeated = match space.told {
            Some(told) if changes.from > told => return Err(Gap),
            Some(told) if changes.from < told && changes.to > told => return Err(Gap),
            Some(told) => changes.from < told,
            None => false,
        };
        let mut touched = BTreeSet::new();
        if !repeated {
            let open = changes.parts.iter().filter_map(|part| {
                let id = *self.by_sub.get(&part.sub)?;
                Some((part, id, self.sessions.get(&id)?.phase))
            });
            let open: Vec<_> = open.collect();
            // before anything is touched: all of it counts, or none
            for (part, _, phase) in &open {
                if !phase.is_live() || part.put.iter().any(|&line| line >= rows.len()) {
                    return Err(Gap);
                }
            }
            let mut decoded = Decoded::default();
            for (part, id, _) in open {
                let Some(session) = self.sessions.get_mut(&id) else { continue };
                let collection = session.collection;
                let Some(base) = space.base.get_mut(collection) else { continue };
                let unreadable = !session.unreadable.is_empty();
                for (line, row) in part.put.iter().filter_map(|&line| Some((line, rows.get(line)?))) {
                    let slot = decoded.slot(collection, base, line, row);
                    put(base, id, session, slot);
                }
                part.del.iter().for_each(|key| delete(base, id, session, key));
                if unreadable || !session.unreadable.is_empty() {
                    self.changed.extend(&session.watches);
                }
                touched.insert(collection);
            }
            (space.told, space.unsaved) = (live.then_some(changes.to), live);
            self.advance(&changes.space, changes.to);
        }
        for ack in &changes.acks {
            self.acknowledge(now, &changes.space, ack, changes.to);
        }
        self.settle_up_to(&changes.space, &changes.writes, changes.to);
        self.rows_have_come(&changes.space, touched);
        Ok(())
    }

    /// All live sessions of a space stand where the space stands: what did not touch them left them as they were.
    fn advance(&mut self, space: &SpaceId, version: u64) {
        for session in
            self.sessions.values_mut().filter(|one| one.query.space == *space && one.phase.is_live())
        {
            if let Some(cursor) = &mut session.cursor {
                cursor.version = version;
            }
        }
    }
}

/// Nothing of a session's rows is to be shown any more, once that is committed.
pub(super) fn forget_rows(id: SessionId, session: &mut Session, spaces: &mut BTreeMap<SpaceId, Space>) {
    session.forget();
    let space = spaces.get_mut(&session.query.space);
    if let Some(base) = space.and_then(|space| space.base.get_mut(session.collection)) {
        base.clear_view(id);
    }
}

/// The server says that a row is in a session's result. One that cannot be read is not shown, and neither is what it
/// was before.
fn put(base: &mut dyn AnyCollection, id: SessionId, session: &mut Session, slot: Result<u32, Undecodable>) {
    match slot {
        Ok(slot) => {
            base.add_member(id, slot);
            if !session.unreadable.is_empty() {
                session.unreadable.forget(base.key(slot));
            }
        }
        Err(row) => {
            if let Some(key) = &row.key {
                base.remove_member(id, key.as_str());
            }
            session.unreadable.note(row);
        }
    }
}

/// The server says that a row is not, or not any more, in a session's result.
fn delete(base: &mut dyn AnyCollection, id: SessionId, session: &mut Session, key: &str) {
    base.remove_member(id, key);
    session.unreadable.forget(key);
}

/// Rows of one frame that have been decoded, so that two sessions with the same row decode it once.
#[derive(Default)]
struct Decoded(BTreeMap<(&'static str, usize), u32>);

impl Decoded {
    fn slot(
        &mut self,
        collection: &'static str,
        base: &mut dyn AnyCollection,
        line: usize,
        row: &[u8],
    ) -> Result<u32, Undecodable> {
        if let Some(&slot) = self.0.get(&(collection, line)) {
            return Ok(slot);
        }
        let slot = base.upsert(row)?;
        self.0.insert((collection, line), slot);
        Ok(slot)
    }
}
