//! What events mean for the rows of a query.

use std::collections::BTreeSet;
use std::time::Duration;

use super::event::{Event, Row};
use super::gathering::Gathering;
use super::stream::Stream;
use crate::client::core::ClientCore;
use crate::client::frames::put;
use crate::client::session::{self, SessionId, Unreadable};
use crate::error::{Error, code};
use crate::query::QuerySpec;

/// Rows behind the window of a limited query that are kept to fill it up.
const MAX_RESERVE: usize = 1_000;

impl ClientCore {
    pub(super) fn begin_gathering(&mut self, id: SessionId, stream: &mut Stream) {
        self.end_side(stream);
        stream.gathering = Some(Gathering::default());
        stream.trimmed = false;
        if let Some(session) = self.sessions.get_mut(&id) {
            session.unreadable = Unreadable::default();
            if !session.phase.is_live() {
                session.phase = snapshot_phase(0, session.query.limit);
            }
        }
        self.note(id);
    }

    pub(super) fn event(
        &mut self,
        now: Duration,
        id: SessionId,
        stream: &mut Stream,
        event: Event,
    ) -> Result<(), Error> {
        match event {
            Event::Start => {
                self.begin_gathering(id, stream);
                Ok(())
            }
            Event::Record { row, live: false } => {
                self.take_row(id, stream, row, false)?;
                Ok(())
            }
            Event::Record { row, live: true } => {
                self.take_row(id, stream, row, true)?;
                self.follow(now, id, stream)
            }
            Event::Deleted { uri } => {
                self.drop_row(id, stream, &uri);
                self.follow(now, id, stream)
            }
            Event::ChildAdded { parent, relation, child } => {
                self.take_child(id, stream, &parent, &relation, child)?;
                self.follow(now, id, stream)
            }
            Event::ChildRemoved { parent, relation, did, rkey } => {
                self.drop_child(id, stream, &parent, &relation, (&did, &rkey));
                self.follow(now, id, stream)
            }
            Event::End { cursor } => {
                stream.cursor = cursor;
                self.go_on(now, id, stream)
            }
            Event::MemberRemoved => Err(Error::new(code::FORBIDDEN, "the membership has ended")),
            Event::Error { message } => Err(Error::new(
                code::CONNECTION,
                if message.is_empty() { "the service failed".to_owned() } else { message },
            )
            .shortened()),
            Event::Other => Ok(()),
        }
    }

    /// A live event: shown at once, and the window filled up when it has a gap now.
    pub(super) fn follow(&mut self, now: Duration, id: SessionId, stream: &mut Stream) -> Result<(), Error> {
        if stream.gathering.is_none() {
            return self.go_on(now, id, stream);
        }
        self.show_rows(id, stream);
        Ok(())
    }

    /// A record has come: it is a row of the result if the query wants it. Live events come for all records.
    /// Says whether it was not known yet.
    pub(super) fn take_row(
        &mut self,
        id: SessionId,
        stream: &mut Stream,
        row: Row,
        live: bool,
    ) -> Result<bool, Error> {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(false) };
        let space = self.spaces.get_mut(&session.query.space);
        let Some(rows) = space.and_then(|space| space.base.get_mut(session.collection)) else {
            return Ok(false);
        };
        let view = stream.reserve.unwrap_or(id);
        if let Some(gathering) = &mut stream.gathering {
            gathering.done += u64::from(!live);
            if let session::Phase::Snapshot { .. } = session.phase {
                session.phase = snapshot_phase(gathering.done, session.query.limit);
            }
        }
        let slot = rows.upsert(&row.json);
        let key = match &slot {
            Ok(slot) => Some(rows.key(*slot).to_owned()),
            Err(row) => row.key.as_ref().map(|key| key.as_str().to_owned()),
        };
        let wanted = slot.as_ref().is_ok_and(|slot| rows.wants(id, *slot));
        let surprising = slot.as_ref().is_ok_and(|slot| wanted && rows.has_news(*slot));
        let before = key.as_ref().is_some_and(|key| rows.is_member(view, key));
        put(rows, view, &mut session.unreadable, slot);
        let Some(key) = key else { return Ok(false) };
        if !wanted {
            self.drop_row(id, stream, &key);
            return Ok(false);
        }
        let new = match &mut stream.gathering {
            Some(gathering) => {
                gathering.surprising |= surprising || !before;
                gathering.note(&key)
            }
            None => !before,
        };
        self.note(id);
        self.take_families(id, &key, row.families)?;
        Ok(new)
    }

    pub(super) fn drop_row(&mut self, id: SessionId, stream: &mut Stream, key: &str) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let space = self.spaces.get_mut(&session.query.space);
        let Some(rows) = space.and_then(|space| space.base.get_mut(session.collection)) else { return };
        if rows.remove_member(stream.reserve.unwrap_or(id), key) {
            self.drop_families(id, key);
        }
        self.note(id);
    }

    /// A page is complete, or a row may have left the window: fetches more if more is wanted, and shows what there is.
    pub(super) fn go_on(&mut self, now: Duration, id: SessionId, stream: &mut Stream) -> Result<(), Error> {
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        let limit = session.query.limit.map(|limit| limit as usize);
        let space = self.spaces.get_mut(&session.query.space);
        let Some(rows) = space.and_then(|space| space.base.get_mut(session.collection)) else {
            return Ok(());
        };
        let view = stream.reserve.unwrap_or(id);
        let there = match &stream.gathering {
            Some(gathering) => gathering.members(&*rows, view).len(),
            None => rows.members(view).len(),
        };
        let wants_more = limit.is_none_or(|limit| there < limit);
        if wants_more && stream.side.is_none() {
            if let Some(cursor) = stream.cursor.take() {
                self.fetch_page(now, id, stream, Some(cursor));
            } else if stream.trimmed {
                self.probe(now, id, stream);
            }
        }
        if stream.side.is_none() {
            self.finish_snapshot(now, id, stream);
        }
        self.show_rows(id, stream);
        Ok(())
    }

    /// All pages are there.
    pub(super) fn finish_snapshot(&mut self, now: Duration, id: SessionId, stream: &mut Stream) {
        let Some(gathering) = stream.gathering.take() else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let space = self.spaces.get_mut(&session.query.space);
        let Some(rows) = space.and_then(|space| space.base.get_mut(session.collection)) else { return };
        let view = stream.reserve.unwrap_or(id);
        let evicted = gathering.evict(rows, view);
        rows.complete_view(view);
        rows.complete_view(id);
        // a probe: what it showed should have been told
        let probed = session.phase.is_live();
        if probed && (gathering.surprising || !evicted.is_empty()) && stream.heard < now {
            stream.doubt(now);
        }
        stream.heard = now;
        session.phase = session::Phase::Live { sub: 0 };
        (session.loaded, session.was_live, session.error) = (true, true, None);
        (stream.failures, stream.unauthenticated) = (0, 0);
        if let Some(streams) = &mut self.streams {
            streams.last_error = None;
        }
        for parent in &evicted {
            self.drop_families(id, parent);
        }
        self.complete_families(id);
    }

    /// Shows the rows that are known, as many as the query wants of them, and what stood in for them no more.
    pub(super) fn show_rows(&mut self, id: SessionId, stream: &mut Stream) {
        let Some(session) = self.sessions.get(&id) else { return };
        let (space_id, collection) = (session.query.space.clone(), session.collection);
        let limit = session.query.limit.map(|limit| limit as usize);
        let Some(space) = self.spaces.get_mut(&space_id) else { return };
        if let (Some(reserve), Some(rows)) = (stream.reserve, space.base.get_mut(collection)) {
            rows.choose_members(id, reserve);
            let most = limit.unwrap_or_default() + MAX_RESERVE;
            if stream.gathering.is_none() && rows.members(reserve).len() > most {
                let shown: BTreeSet<_> = rows.members(id).into_iter().collect();
                let dropped = rows.members(reserve).into_iter().filter(|slot| !shown.contains(slot));
                let dropped: Vec<_> = dropped.map(|slot| rows.key(slot).to_owned()).collect();
                for key in &dropped {
                    self.drop_row(id, stream, key);
                }
                (stream.cursor, stream.trimmed) = (None, true);
            }
        }
        let collections =
            self.sessions.get(&id).map(|session| session.collections().collect::<BTreeSet<_>>());
        self.rows_have_come(&space_id, collections.into_iter().flatten());
        self.note(id);
    }

    pub(super) fn close_reserve(&mut self, id: SessionId, stream: &Stream) {
        let (Some(reserve), Some(session)) = (stream.reserve, self.sessions.get(&id)) else { return };
        let space = session.query.space.clone();
        let collection = session.collection;
        if let Some(rows) = self.spaces.get_mut(&space).and_then(|space| space.base.get_mut(collection)) {
            rows.close_view(reserve);
        }
        self.commit(&space);
    }

    /// A limited query needs a place for the rows behind its window.
    pub(super) fn open_reserve(&mut self, id: SessionId) -> Option<SessionId> {
        let query = self.sessions.get(&id)?.query.clone();
        query.limit?;
        let reserve = SessionId(self.next_id());
        let collection = self.sessions.get(&id)?.collection;
        let rows = self.spaces.get_mut(&query.space)?.base.get_mut(collection)?;
        rows.open_view(reserve, &QuerySpec { limit: None, ..query }).ok()?;
        // rows of an earlier stream are known too
        rows.choose_members(reserve, id);
        Some(reserve)
    }
}

/// A service does not say how many records there are: as many as are asked for, when that is said.
fn snapshot_phase(done: u64, limit: Option<u32>) -> session::Phase {
    let total = limit.map_or(done, |limit| done.max(u64::from(limit)));
    session::Phase::Snapshot { sub: 0, next_chunk: 0, done, total, overdue: Duration::MAX }
}
