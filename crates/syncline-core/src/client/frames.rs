//! What the server's frames mean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use crate::client::core::ClientCore;
use crate::client::link::Event;
use crate::client::queue::{News, Queue};
use crate::client::related::Related;
use crate::client::session::{Phase, Session, SessionId, Unreadable};
use crate::client::short_map::{ShortMap, ValuesMut as _};
use crate::client::space::Space;
use crate::client::{Output, collection::AnyCollection};
use crate::error::{Error, code};
use crate::id::{Cursor, SpaceId};
use crate::record::AnyRow;
use crate::schema::Undecodable;
use crate::wire::{
    Ack, Changes, ClientMessage, Count, EncodedRow, Failed, Frame, RelatedPart, Reset, Resume, Run,
    ServerMessage, Snapshot, SubId, Welcome, WriteState, encode,
};

/// So many of the writes that a frame acknowledges are looked at for the rows that come with it.
const FEW: usize = 4;

/// Something is missing that must have been sent: what is held cannot be trusted to be complete.
pub(super) struct Gap;

impl ClientCore {
    pub(super) fn frame(&mut self, now: Duration, bytes: &[u8], out: &mut Vec<Output>) -> Event {
        let frame = match Frame::parse(bytes) {
            Ok(frame) => frame,
            Err(error) => return self.link.lost(now, Some(error), out),
        };
        let rows = match frame.encoded_rows() {
            Ok(rows) => rows,
            Err(error) => return self.link.lost(now, Some(error), out),
        };
        let lines = frame.rows();
        let held = match &frame.message {
            ServerMessage::Snapshot(Snapshot { sub, chunk, cursor, writes, last: true, .. })
            | ServerMessage::Resume(Resume { sub, chunk, cursor, writes, last: true, .. }) => {
                self.hold_answer(*sub, *chunk, *cursor, writes, bytes)
            }
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
            ServerMessage::Resume(resume) => self.resume(now, resume, &rows),
            ServerMessage::Changes(changes) => {
                self.changes(now, &changes, &lines.collect::<SmallVec<[&[u8]; 4]>>())
            }
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
        let before = self.link.user().map(|user| &user.id).or(self.shown_to()).or(self.owner_of_queue());
        let other = before.is_some_and(|before| *before != welcome.user.id);
        if other {
            // as long as it can be said whose it is
            self.store_left(now);
        }
        let user = welcome.user.id.clone();
        self.link.welcome(now, welcome, out);
        // of somebody else, what waits is not for this connection: it stays as it is stored
        let event = if other { self.change_identity(now, out) } else { Event::None };
        self.own_queue(&user);
        self.cache_welcomed(now);
        if !other {
            // storage takes what moves up, if it takes anything: else that would be sent before storage has it
            self.refuse_oversize();
        }
        event
    }

    fn failed(&mut self, now: Duration, failed: Failed) {
        let Some(id) = self.by_sub.remove(&failed.sub) else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.answered = false;
        let temporary = failed.error.is_temporary();
        if temporary {
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
        if !temporary {
            self.keep_nothing(now, id);
        }
        self.end_chain(&space);
        self.commit(&space);
        self.note(id);
    }

    pub(super) fn snapshot(
        &mut self,
        now: Duration,
        snapshot: Snapshot,
        rows: &[EncodedRow<'_>],
    ) -> Result<(), Gap> {
        let Some((id, session, space)) = self.by_sub.get(&snapshot.sub).copied().and_then(|id| {
            let session = self.sessions.get_mut(&id)?;
            let space = self.spaces.get_mut(&session.query.space)?;
            Some((id, session, space))
        }) else {
            return Ok(());
        };
        let own = own_rows(rows, &snapshot.related, &session.relations)?;
        let expected = session.phase.next_chunk();
        if space.held.chain(space.told).is_some_and(|told| told != snapshot.cursor.version) {
            // the chain stands elsewhere: a change was missed, or this was overtaken by one; or it came a second time
            return if session.phase.is_live() { Ok(()) } else { Err(Gap) };
        }
        if snapshot.chunk == 0 {
            session.begin_snapshot(id, &mut space.base);
        } else if snapshot.chunk < expected || !matches!(session.phase, Phase::Snapshot { .. }) {
            return Ok(());
        } else if snapshot.chunk > expected {
            return Err(Gap);
        }
        let before = match session.phase {
            Phase::Snapshot { done, .. } if snapshot.chunk > 0 => done,
            _ => 0,
        };
        if let Some(base) = space.base.get_mut(session.collection) {
            let fields = fields_of(&snapshot.fields, 0);
            for row in own {
                if let Err(row) = base.incoming_row(id, *row, fields) {
                    session.unreadable.note(row);
                }
            }
        }
        for (relation, children) in runs(&rows[own.len()..], &snapshot.related) {
            let related = &mut session.relations[relation];
            let Some(base) = related.rows(&mut space.base) else { continue };
            let fields = fields_of(&snapshot.fields, relation + 1);
            for row in children {
                if let Err(row) = base.incoming_row(related.view, *row, fields) {
                    related.unreadable.note(row);
                }
            }
        }
        for count in &snapshot.counts {
            let related = session.relations.get_mut(count.relation);
            if let Some(counts) = related.and_then(|related| related.counts.as_mut()) {
                counts.tell_of_snapshot(count);
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
            session.finish_snapshot(id, &mut space.base);
            session.selective = snapshot.selective;
            self.conclude(id, snapshot.sub, snapshot.cursor, &snapshot.writes);
        }
        self.note(id);
        Ok(())
    }

    /// All of an answer has been taken in: the list is live, and stands where the answer does.
    pub(super) fn conclude(&mut self, id: SessionId, sub: SubId, cursor: Cursor, writes: &[WriteState]) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.phase = Phase::Live { sub };
        session.answered = false;
        session.stands_at(cursor);
        let (space_id, collections) = (session.query.space.clone(), session.collections());
        let collections: BTreeSet<_> = collections.collect();
        if let Some(space) = self.spaces.get_mut(&space_id) {
            (space.told, space.unsaved) = (Some(cursor.version), true);
        }
        self.settle_up_to(&space_id, writes, cursor.version);
        self.rows_have_come(&space_id, collections, News::State);
    }

    /// Shows them, without what stood in for them.
    pub(super) fn rows_have_come(
        &mut self,
        space: &SpaceId,
        collections: impl IntoIterator<Item = &'static str>,
        news: News,
    ) {
        if let Some(space) = self.spaces.get_mut(space) {
            collections.into_iter().for_each(|collection| space.settle_local(collection, news));
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
            if let Some(space) = self.spaces.get_mut(&space) {
                session.drop_incoming(id, &mut space.base);
            }
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
        let mut touched = SmallVec::<[&'static str; 4]>::new();
        if !repeated {
            // before anything is touched: all of it counts, or none
            for part in &changes.parts {
                let open = self.by_sub.get(&part.sub).and_then(|id| self.sessions.get(id));
                let Some(session) = open else { continue };
                let children = part.related.iter().flat_map(|related| &related.put);
                if !session.phase.is_live()
                    || part.put.iter().chain(children).any(|&line| line >= rows.len())
                    || part.related.iter().any(|related| related.relation >= session.relations.len())
                {
                    return Err(Gap);
                }
            }
            let mut decoded = Decoded::of(changes.parts.len());
            for part in &changes.parts {
                let Some(&id) = self.by_sub.get(&part.sub) else { continue };
                let Some(session) = self.sessions.get_mut(&id) else { continue };
                let collection = session.collection;
                let Some(base) = space.base.get_mut(collection) else { continue };
                let unreadable = session.first_unreadable().is_some();
                for (line, row) in part.put.iter().filter_map(|&line| Some((line, rows.get(line)?))) {
                    let own = own_row(&space.queue, &changes.acks, collection, row);
                    let slot = decoded.slot(collection, base, line, row, own);
                    put(base, id, &mut session.unreadable, slot);
                }
                part.del.iter().for_each(|key| delete_parent(base, id, session, key));
                touched.push(collection);
                for RelatedPart { relation, put: lines, del } in &part.related {
                    let related = &mut session.relations[*relation];
                    let Some(base) = space.base.get_mut(related.collection) else { continue };
                    for &line in lines {
                        let own = own_row(&space.queue, &changes.acks, related.collection, rows[line]);
                        let slot = decoded.slot(related.collection, base, line, rows[line], own);
                        put(base, related.view, &mut related.unreadable, slot);
                    }
                    del.iter().for_each(|key| delete(base, related.view, &mut related.unreadable, key));
                    touched.push(related.collection);
                }
                tell_counts(session, &part.counts);
                if unreadable || session.first_unreadable().is_some() {
                    self.changed.extend(&session.watches);
                }
            }
            (space.told, space.unsaved) = (live.then_some(changes.to), live);
            self.advance(&changes.space, changes.to);
        }
        for ack in &changes.acks {
            self.acknowledge(now, &changes.space, ack, changes.to);
        }
        self.settle_up_to(&changes.space, &changes.writes, changes.to);
        touched.dedup();
        self.rows_have_come(&changes.space, touched, News::State);
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
pub(super) fn forget_rows(id: SessionId, session: &mut Session, spaces: &mut ShortMap<SpaceId, Space>) {
    session.forget();
    let Some(space) = spaces.get_mut(&session.query.space) else { return };
    if let Some(base) = space.base.get_mut(session.collection) {
        base.clear_view(id);
    }
    session.relations.iter_mut().for_each(|related| related.clear(&mut space.base));
}

/// The names of the fields of packed rows: of the result's own, then of each relation's.
pub(super) fn fields_of(fields: &[Vec<Box<str>>], place: usize) -> &[Box<str>] {
    fields.get(place).map(Vec::as_slice).unwrap_or_default()
}

/// The rows of a frame that are not children.
pub(super) fn own_rows<'a, T>(rows: &'a [T], related: &[Run], relations: &[Related]) -> Result<&'a [T], Gap> {
    if related.iter().any(|run| run.relation >= relations.len()) {
        return Err(Gap);
    }
    let children = related.iter().fold(0_usize, |sum, run| sum.saturating_add(run.rows));
    rows.get(..rows.len().checked_sub(children).ok_or(Gap)?).ok_or(Gap)
}

/// The children of a frame, with their relations.
pub(super) fn runs<'a, T>(mut rows: &'a [T], related: &[Run]) -> Vec<(usize, &'a [T])> {
    let mut runs = Vec::with_capacity(related.len());
    for run in related {
        let (these, rest) = rows.split_at(run.rows.min(rows.len()));
        runs.push((run.relation, these));
        rows = rest;
    }
    runs
}

pub(super) fn tell_counts(session: &mut Session, counts: &[Count]) {
    for count in counts {
        let related = session.relations.get_mut(count.relation);
        if let Some(counts) = related.and_then(|related| related.counts.as_mut()) {
            counts.tell(&count.parent, count.n);
        }
    }
}

/// The server says that a row is in a session's result. One that cannot be read is not shown, and neither is what it
/// was before. Says whether it was not in it.
pub(super) fn put(
    base: &mut dyn AnyCollection,
    view: SessionId,
    unreadable: &mut Unreadable,
    slot: Result<u32, Undecodable>,
) -> bool {
    match slot {
        Ok(slot) => {
            if !unreadable.is_empty() {
                unreadable.forget(base.key(slot));
            }
            base.add_member(view, slot)
        }
        Err(row) => {
            if let Some(key) = &row.key {
                base.remove_member(view, key.as_str());
            }
            unreadable.note(row);
            false
        }
    }
}

/// The server says that a row is not, or not any more, in a session's result.
pub(super) fn delete(base: &mut dyn AnyCollection, view: SessionId, unreadable: &mut Unreadable, key: &str) {
    base.remove_member(view, key);
    unreadable.forget(key);
}

/// The same of a row that may be a parent.
pub(super) fn delete_parent(base: &mut dyn AnyCollection, id: SessionId, session: &mut Session, key: &str) {
    delete(base, id, &mut session.unreadable, key);
    session.relations.iter_mut().for_each(|related| related.forget_parent(key));
}

/// The row that comes back in the same bytes in which one of the writes put it that are acknowledged beside it: it need not be
/// read once more.
fn own_row(queue: &Queue, acks: &[Ack], collection: &str, row: &[u8]) -> Option<Arc<dyn AnyRow>> {
    let applied = acks.iter().filter(|ack| ack.error.is_none()).take(FEW);
    applied.filter_map(|ack| queue.put_as(&ack.client, ack.id, collection, row)).next()
}

/// Rows of one frame that have been decoded, so that two sessions with the same row decode it once.
struct Decoded(Option<BTreeMap<(&'static str, usize), u32>>);

impl Decoded {
    /// For so many parts, each of a session.
    fn of(parts: usize) -> Self {
        Self((parts > 1).then(BTreeMap::new))
    }

    fn slot(
        &mut self,
        collection: &'static str,
        base: &mut dyn AnyCollection,
        line: usize,
        row: &[u8],
        own: Option<Arc<dyn AnyRow>>,
    ) -> Result<u32, Undecodable> {
        if let Some(&slot) = self.0.as_ref().and_then(|decoded| decoded.get(&(collection, line))) {
            return Ok(slot);
        }
        let slot = match own.and_then(|own| base.upsert_known(own)) {
            Some(slot) => slot,
            None => base.upsert(row)?,
        };
        if let Some(decoded) = &mut self.0 {
            decoded.insert((collection, line), slot);
        }
        Ok(slot)
    }
}
