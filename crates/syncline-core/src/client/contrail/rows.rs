//! What events mean for the rows of a query.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::counted::Counted;
use super::event::{Event, Row, with_plain_references};
use super::gathering::{ChildChange, ChildEvent, Gathering, Page, Why};
use super::hydration::time_of;
use super::stream::Stream;
use crate::client::collection::AnyCollection;
use crate::client::core::ClientCore;
use crate::client::frames::put;
use crate::client::queue::News;
use crate::client::session::{self, Session, SessionId, Unreadable};
use crate::error::{Error, code};
use crate::query::QuerySpec;
use crate::record::AnyRow;
use crate::schema::Undecodable;

/// How far the times of one record may be apart that a service says of it. Those of the traces are 3 to 13 ms.
const MOST_APART: Duration = Duration::from_secs(2);

/// Rows behind the window of a limited query that are kept to fill it up.
const MAX_RESERVE: usize = 1_000;

impl ClientCore {
    pub(super) fn begin_gathering(&mut self, id: SessionId, stream: &mut Stream, why: Why) {
        self.end_side(stream);
        stream.gathering = Some(Gathering::new(why));
        stream.page = Page::default();
        stream.seen.clear();
        if why == Why::Begin {
            stream.counted = Counted::default();
        }
        (stream.trimmed, stream.edge) = (false, None);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.unreadable = Unreadable::default();
            session.relations.iter_mut().for_each(|related| related.unreadable = Unreadable::default());
            if !session.phase.is_live() {
                session.phase = snapshot_phase(0, session.query.limit);
            }
        }
        self.note(id);
    }

    /// A record of a snapshot has come, and counts when its page is complete.
    pub(super) fn note_progress(&mut self, id: SessionId, stream: &mut Stream) {
        let (Some(gathering), Some(session)) = (&mut stream.gathering, self.sessions.get_mut(&id)) else {
            return;
        };
        gathering.done += 1;
        if let session::Phase::Snapshot { .. } = session.phase {
            session.phase = snapshot_phase(gathering.done, session.query.limit);
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
                self.begin_gathering(id, stream, Why::Begin);
                Ok(())
            }
            Event::Record { row, live: false } => {
                self.note_progress(id, stream);
                stream.page.rows.push(row);
                Ok(())
            }
            Event::Record { row, live: true } => {
                if let Some(page) = stream.coming() {
                    page.hear_of(&row.uri, Some(&row.json));
                }
                self.take_row(id, stream, row, true)?;
                self.follow(now, id, stream)
            }
            Event::Deleted { uri } => {
                if let Some(page) = stream.coming() {
                    page.hear_of(&uri, None);
                }
                self.drop_row(id, stream, &uri);
                self.follow(now, id, stream)
            }
            Event::ChildAdded { parent, relation, child } => {
                let change = ChildChange::Added(child);
                self.hear_of_child(now, id, stream, ChildEvent { parent, relation, change })
            }
            Event::ChildRemoved { parent, relation, did, rkey } => {
                let change = ChildChange::Removed { did, rkey };
                self.hear_of_child(now, id, stream, ChildEvent { parent, relation, change })
            }
            Event::End { cursor } => {
                self.take_page(id, stream, cursor)?;
                self.go_on(now, id, stream, News::State)
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

    fn hear_of_child(
        &mut self,
        now: Duration,
        id: SessionId,
        stream: &mut Stream,
        event: ChildEvent,
    ) -> Result<(), Error> {
        if let Some(page) = stream.coming() {
            page.hear_of_child(&event);
        }
        self.change_child(id, stream, event)?;
        self.follow(now, id, stream)
    }

    /// A live event: shown at once, and the window filled up when it has a gap now.
    pub(super) fn follow(&mut self, now: Duration, id: SessionId, stream: &mut Stream) -> Result<(), Error> {
        let news = News::Event { others_until: now + self.config.answer_within };
        if stream.gathering.is_none() {
            return self.go_on(now, id, stream, news);
        }
        self.show_rows(id, stream, news);
        Ok(())
    }

    /// A page is complete; `next` is where the one behind it begins.
    pub(super) fn take_page(
        &mut self,
        id: SessionId,
        stream: &mut Stream,
        next: Option<String>,
    ) -> Result<(), Error> {
        let before = stream.seen.len();
        stream.seen.extend(stream.page.rows.iter().map(|row| Box::from(row.uri.as_str())));
        self.take_rows(id, stream)?;
        // a service that gives nothing new has no more
        stream.cursor = next.filter(|_| stream.seen.len() > before);
        let Some((_, rows)) = self.rows_of(id) else { return Ok(()) };
        stream.edge = stream.reserve.filter(|_| stream.cursor.is_some()).and_then(|reserve| {
            let known = match &stream.gathering {
                Some(gathering) => gathering.members(&*rows, reserve),
                None => rows.members(reserve),
            };
            rows.last_of(id, &known)
        });
        Ok(())
    }

    /// The rows of a page, with what has been told live since it was asked for: it is taken to be older.
    pub(super) fn take_rows(&mut self, id: SessionId, stream: &mut Stream) -> Result<(), Error> {
        stream.families = self.known_families(id);
        let Page { rows, mut told, children } = std::mem::take(&mut stream.page);
        let mut listed = BTreeSet::new();
        let has_events = !children.is_empty();
        for mut row in rows {
            if has_events {
                listed.insert(row.uri.clone());
            }
            match told.remove(row.uri.as_str()) {
                None => {}
                Some(Some(newer)) => row.json = newer,
                Some(None) => continue,
            }
            self.take_row(id, stream, row, false)?;
        }
        // the children of other records are as they were told
        let mut children = children.into_iter().filter(|event| listed.contains(&event.parent));
        children.try_for_each(|event| self.change_child_again(id, stream, event))
    }

    /// A record has come: it is a row of the result if the query wants it. Live events come for all records.
    pub(super) fn take_row(
        &mut self,
        id: SessionId,
        stream: &mut Stream,
        row: Row,
        live: bool,
    ) -> Result<(), Error> {
        let Some((session, rows)) = self.rows_of(id) else { return Ok(()) };
        let view = stream.reserve.unwrap_or(id);
        // what is told meanwhile is no surprise
        let looks = !live && stream.gathering.as_ref().is_some_and(|gathering| gathering.why == Why::Look);
        let known =
            if looks { rows.confirmed(&row.uri).filter(|_| rows.is_member(view, &row.uri)) } else { None };
        let upserted = if looks { upsert_listed(rows, &row) } else { upsert(rows, &row.json) };
        let slot = match upserted {
            Ok(slot) => slot,
            Err(unreadable) => {
                put(rows, view, &mut session.unreadable, Err(unreadable));
                self.drop_families(id, &row.uri);
                self.note(id);
                return Ok(());
            }
        };
        session.unreadable.forget(&row.uri);
        let is_behind = |edge: &dyn AnyRow| live && rows.is_behind(id, slot, edge);
        if !rows.wants(id, slot) || stream.edge.as_deref().is_some_and(is_behind) {
            // it may come back: its children stay where they are
            rows.remove_member(view, &row.uri);
            self.note(id);
            return Ok(());
        }
        if let Some(gathering) = &mut stream.gathering {
            gathering.surprising |= looks && rows.is_news(&row.uri, known.as_deref());
            gathering.note(&row.uri);
        }
        rows.add_member(view, slot);
        self.note(id);
        self.take_families(id, stream, &row.uri, row.families)
    }

    pub(super) fn drop_row(&mut self, id: SessionId, stream: &mut Stream, key: &str) {
        let Some((session, rows)) = self.rows_of(id) else { return };
        session.unreadable.forget(key);
        rows.remove_member(stream.reserve.unwrap_or(id), key);
        self.drop_families(id, key);
        for relation in 0..stream.relations.len() {
            stream.counted.forget(key, relation, |_| true);
        }
        self.note(id);
    }

    /// A page is complete, or a row may have left the window: fetches more if more is wanted, and shows what there is.
    pub(super) fn go_on(
        &mut self,
        now: Duration,
        id: SessionId,
        stream: &mut Stream,
        news: News,
    ) -> Result<(), Error> {
        let Some((session, rows)) = self.rows_of(id) else { return Ok(()) };
        let limit = session.query.limit.map(|limit| limit as usize);
        let view = stream.reserve.unwrap_or(id);
        let wants_more = limit.is_none_or(|limit| match &stream.gathering {
            Some(gathering) => gathering.members(&*rows, view).len() < limit,
            None => rows.members(view).len() < limit,
        });
        if wants_more && stream.side.is_none() {
            if let Some(cursor) = stream.cursor.take() {
                self.fetch_page(now, id, stream, Some(cursor));
            } else if stream.trimmed {
                self.begin_gathering(id, stream, Why::Refill);
                self.fetch_page(now, id, stream, None);
            }
        }
        if stream.side.is_none() {
            self.finish_snapshot(now, id, stream);
        }
        self.show_rows(id, stream, news);
        Ok(())
    }

    /// All pages are there.
    pub(super) fn finish_snapshot(&mut self, now: Duration, id: SessionId, stream: &mut Stream) {
        let Some(gathering) = stream.gathering.take() else { return };
        let Some((session, rows)) = self.rows_of(id) else { return };
        let view = stream.reserve.unwrap_or(id);
        gathering.evict(rows, view, |_, _| true);
        rows.complete_view(view);
        rows.complete_view(id);
        (stream.heard, stream.looked) = (now, now);
        session.phase = session::Phase::Live { sub: 0 };
        (session.loaded, session.was_live, session.error) = (true, true, None);
        (session.earlier, session.loading) = (None, None);
        (stream.failures, stream.unauthenticated) = (0, 0);
        self.complete_families(id, view);
    }

    /// Shows the rows that are known, as many as the query wants of them, and what stood in for them no more.
    pub(super) fn show_rows(&mut self, id: SessionId, stream: &mut Stream, news: News) {
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
                stream.edge = rows.last_of(id, &rows.members(id));
                for key in &dropped {
                    self.drop_row(id, stream, key);
                }
                (stream.cursor, stream.trimmed) = (None, true);
            }
        }
        let collections =
            self.sessions.get(&id).map(|session| session.collections().collect::<BTreeSet<_>>());
        if let Some(space) = self.spaces.get_mut(&space_id) {
            space.unsaved = true;
        }
        self.rows_have_come(&space_id, collections.into_iter().flatten(), news);
        self.note(id);
    }

    /// A session and the rows of its collection.
    pub(super) fn rows_of(
        &mut self,
        id: SessionId,
    ) -> Option<(&mut Session, &mut (dyn AnyCollection + 'static))> {
        let session = self.sessions.get_mut(&id)?;
        let rows = self.spaces.get_mut(&session.query.space)?.base.get_mut(session.collection)?;
        Some((session, rows))
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

/// Reads a row and makes it the confirmed one. Where its type has a text for a record that it refers to, as a child must have
/// for its parent, that is the record's uri.
pub(super) fn upsert(rows: &mut dyn AnyCollection, json: &[u8]) -> Result<u32, Undecodable> {
    rows.upsert(json).or_else(|unreadable| {
        let plain = with_plain_references(json).and_then(|plain| rows.upsert(&plain).ok());
        plain.ok_or(unreadable)
    })
}

/// A record as a look has it. A socket's server says another time when it tells of a record than when it lists it, a few ms
/// apart: one that differs in nothing else from what is known stays what it is.
fn upsert_listed(rows: &mut dyn AnyCollection, row: &Row) -> Result<u32, Undecodable> {
    let known = time_of(rows, &row.uri).zip(row.time).filter(|(known, said)| {
        known != said && known.abs_diff(*said) <= MOST_APART.as_micros().try_into().unwrap_or(u64::MAX)
    });
    if let Some(json) = known.and_then(|(known, _)| row.json_at(known)) {
        let before = rows.confirmed(&row.uri);
        let slot = upsert(rows, &json);
        let after = rows.confirmed(&row.uri);
        if before.zip(after).is_some_and(|(before, after)| Arc::ptr_eq(&before, &after)) {
            return slot;
        }
    }
    upsert(rows, &row.json)
}

/// A service does not say how many records there are: as many as are asked for, when that is said.
fn snapshot_phase(done: u64, limit: Option<u32>) -> session::Phase {
    let total = limit.map_or(done, |limit| done.max(u64::from(limit)));
    session::Phase::Snapshot { sub: 0, next_chunk: 0, done, total, overdue: Duration::MAX }
}
