//! Watches: looks at queries, and the sessions they share.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::client::core::ClientCore;
use crate::client::link::Event;
use crate::client::related::{self, Related};
use crate::client::session::{Phase, Session, SessionId};
use crate::client::space::Space;
use crate::client::{Status, WatchId, WatchState, contrail, partysync};
use crate::diff::{Diff, Entry, RelatedDiff};
use crate::error::Error;
use crate::id::{Cursor, Key, SpaceId};
use crate::query::{Query, QuerySpec};
use crate::record::Record;
use crate::schema::CollectionDef;
use crate::wire::{ClientMessage, MAX_QUERY_BYTES, Unsubscribe, query_too_long};

/// What a `subscribe` says beside its query and the keys that are held, at the most, in bytes.
const ENVELOPE_BYTES: usize = 512;

/// One look at a query. Looks at equal queries share a session.
pub(super) struct Watch {
    query: QuerySpec,
    /// There is none when the query is not to be answered at all.
    session: Option<SessionId>,
    /// Opens the typed collection and the view; the row type is behind it.
    open: fn(&mut Space, SessionId, &QuerySpec) -> Result<(), Error>,
    error: Option<Error>,
    stopped: bool,
}

impl ClientCore {
    /// Watches a query: its rows, now and from now on. Equal queries share one subscription.
    pub fn watch<R: Record>(&mut self, now: Duration, query: &Query<R>) -> WatchId {
        self.schema.add::<R>();
        query.children().iter().for_each(|child| self.schema.add_def(*child));
        self.learn();
        let id = WatchId(self.next_id());
        let open = |space: &mut Space, session: SessionId, query: &QuerySpec| {
            space.base.open(&CollectionDef::of::<R>()).open_view(session, query)
        };
        let watch = Watch { query: query.spec().clone(), session: None, open, error: None, stopped: true };
        self.watches.insert(id, watch);
        self.start(now, id);
        id
    }

    /// Ends a watch. The last one on a query ends its subscription, the last one of all the connection.
    pub fn unwatch(&mut self, now: Duration, id: WatchId) {
        self.stop(now, id);
        self.changed.remove(&id);
        let Some(session) = self.watches.remove(&id).and_then(|watch| watch.session) else { return };
        self.release_session(session, id);
        self.after(now, Event::None, Vec::new());
    }

    /// Starts a watch that was stopped. Its diffs start anew with a `Reset`, with the rows it had; what has changed
    /// meanwhile follows.
    pub fn start(&mut self, now: Duration, id: WatchId) {
        let Some(watch) = self.watches.get_mut(&id).filter(|watch| watch.stopped) else { return };
        watch.stopped = false;
        watch.error = None;
        let (query, open) = (watch.query.clone(), watch.open);
        let result = match watch.session {
            Some(session) => Ok(session),
            None => self.session(now, &query, open),
        };
        match result {
            Ok(session) => self.attach(id, session),
            Err(error) => {
                if let Some(watch) = self.watches.get_mut(&id) {
                    watch.error = Some(error);
                }
            }
        }
        self.changed.insert(id);
        self.after(now, Event::None, Vec::new());
    }

    /// Stops a watch: it keeps what it has shown, and nothing new comes. [`start`](Self::start) starts it again.
    pub fn stop(&mut self, now: Duration, id: WatchId) {
        let Some(watch) = self.watches.get_mut(&id).filter(|watch| !watch.stopped) else { return };
        watch.stopped = true;
        if let Some(session) = watch.session {
            self.detach(now, id, session);
        }
        self.changed.insert(id);
        self.after(now, Event::None, Vec::new());
    }

    /// The session for a query: the one there is, or a new one.
    fn session(
        &mut self,
        now: Duration,
        query: &QuerySpec,
        open: fn(&mut Space, SessionId, &QuerySpec) -> Result<(), Error>,
    ) -> Result<SessionId, Error> {
        if let Some(&session) = self.by_query.get(query) {
            return Ok(session);
        }
        let collection = self.schema.collection(&query.collection)?.name;
        let relations = related::check(query, &self.schema)?;
        if self.streams.is_some() {
            contrail::check(query)?;
        }
        if self.rooms.is_some() {
            partysync::check(query)?;
        }
        let id = SessionId(self.next_id());
        let views: Vec<_> = relations.iter().map(|_| SessionId(self.next_id())).collect();
        // there every list follows a stream of its own, and they share their rows
        let held_to_query = self.streams.is_some();
        let is_sent_whole = self.is_of_its_own_kind();
        let space = self.space(&query.space);
        open(space, id, query)?;
        if is_sent_whole && is_too_long(query) {
            if let Some(rows) = space.base.get_mut(collection) {
                rows.close_view(id);
            }
            return Err(query_too_long());
        }
        let mut session = Session::new(query.clone(), collection);
        for (view, (def, relation)) in views.iter().zip(relations) {
            session.relations.push(Related::open(*view, &def, relation, &mut space.base));
        }
        if held_to_query {
            let views = session.relations.iter().map(|related| (related.collection, related.view));
            for (collection, view) in views.chain([(collection, id)]) {
                if let Some(rows) = space.base.get_mut(collection) {
                    rows.hold_to_query(view);
                }
            }
        }
        // rows with local effects belong into it at once
        session.collections().for_each(|collection| space.queue.touch(collection));
        self.by_view.extend(views.into_iter().map(|view| (view, id)));
        self.start_from_others(id, &mut session);
        self.sessions.insert(id, session);
        self.by_query.insert(query.clone(), id);
        self.begin_from_earlier(now, id);
        self.commit(&query.space);
        Ok(id)
    }

    /// Rows that other lists of the collection have already need not be sent again: those of the lists that are furthest
    /// ahead, of such whose rows can be shown where there are any. When they are all there are, or another window of the same
    /// list, they are shown at once.
    fn start_from_others(&mut self, id: SessionId, session: &mut Session) {
        let Session { query, collection, relations, .. } = session;
        let base = self.spaces.get(&query.space).map(|space| &space.base);
        let is_shown = |collection, view| base.is_some_and(|base| !base.is_hidden(collection, view));
        let shows = |id, other: &Session| {
            is_shown(other.collection, id)
                && other.relations.iter().all(|related| is_shown(related.collection, related.view))
        };
        let has_some = |id: SessionId, other: &Session| {
            let is_here = other.query.space == query.space && other.collection == *collection;
            // one that waits for its answer has what it began from
            let has_begun = || query.is_same_list(&other.query) && other.cursor.is_some() && shows(id, other);
            is_here && (other.loaded || has_begun())
        };
        let others = || self.sessions.iter().filter(|(id, other)| has_some(**id, other));
        // those come first whose rows can be shown. Versions of another history say nothing, so of these the ones that are live
        let standing = |(_, other): (_, &Session)| {
            let can_show =
                query.is_same_list(&other.query) || (other.loaded && query.is_part_of(&other.query));
            Some((can_show, other.phase.is_live(), other.cursor?))
        };
        let newest =
            others().filter_map(standing).max_by_key(|(show, live, cursor)| (*show, *live, cursor.version));
        let Some((_, live, cursor)) = newest else { return };
        let ahead = others().filter(|(_, other)| other.cursor == Some(cursor));
        let (mut have_all, mut same_list, mut selective, mut earlier) = (false, false, false, None);
        let note = |(&id, other): (&SessionId, &Session)| {
            // a row that could not be read there is to be reported here too
            have_all |= other.loaded && query.is_part_of(&other.query) && other.first_unreadable().is_none();
            same_list |= query.is_same_list(&other.query);
            selective |= other.selective;
            earlier = earlier.take().or(other.earlier.clone());
            id
        };
        let ahead: Vec<_> = ahead.map(note).collect();
        let Some(base) = self.spaces.get_mut(&query.space).map(|space| &mut space.base) else { return };
        let Some(rows) = base.get_mut(collection) else { return };
        let shown = have_all || same_list;
        rows.begin_from(id, &ahead, shown);
        let parents: BTreeSet<Key> = rows.members(id).into_iter().map(|slot| rows.key(slot).into()).collect();
        for (related, spec) in relations.iter_mut().zip(&query.relations) {
            let others = ahead.iter().filter_map(|other| {
                let other = self.sessions.get(other)?;
                let place = other.query.relations.iter().position(|relation| relation == spec)?;
                other.relations.get(place)
            });
            let others: Vec<_> = others.collect();
            let views: Vec<_> = others.iter().map(|other| other.view).collect();
            if let Some(rows) = related.rows(base) {
                rows.begin_children_from(related.view, &views, &parents, shown);
            }
            if let Some(counts) = &mut related.counts {
                for parent in &parents {
                    let known = others.iter().filter_map(|other| other.counts.as_ref());
                    let n = known.map(|counts| counts.told(parent.as_str())).max();
                    counts.tell(parent.as_str(), n.unwrap_or_default());
                }
            }
        }
        (session.cursor, session.loaded, session.selective) = (Some(cursor), have_all, selective);
        session.earlier = earlier.filter(|_| !live && (have_all || same_list));
    }

    fn attach(&mut self, watch: WatchId, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.stopped.remove(&watch);
        session.watches.insert(watch);
        if session.phase == Phase::Parked {
            session.phase = Phase::Idle;
        }
        let (space, collection) = (session.query.space.clone(), session.collection);
        if let Some(rows) = self.spaces.get_mut(&space).and_then(|space| space.base.get_mut(collection)) {
            rows.observe(id, watch);
        }
        if let Some(watch) = self.watches.get_mut(&watch) {
            watch.session = Some(id);
        }
    }

    /// A watch looks away. The last one that looked ends the subscription; the rows stay where they are.
    fn detach(&mut self, now: Duration, watch: WatchId, id: SessionId) {
        if self.sessions.get(&id).is_some_and(|session| session.watches.iter().eq([&watch])) {
            self.keep_leaving(now, id);
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.watches.remove(&watch);
        session.stopped.insert(watch);
        let last = session.watches.is_empty();
        let (space, collection) = (session.query.space.clone(), session.collection);
        let sub = session.phase.sub().filter(|_| last);
        if last {
            session.park();
            if let Some(space) = self.spaces.get_mut(&space) {
                session.drop_incoming(id, &mut space.base);
                for related in &session.relations {
                    if let Some(rows) = related.rows(&mut space.base) {
                        rows.park_view(related.view);
                    }
                }
            }
        }
        if let Some(rows) = self.spaces.get_mut(&space).and_then(|space| space.base.get_mut(collection)) {
            rows.unobserve(id, watch);
            if last {
                rows.park_view(id);
            }
        }
        self.unobserve_children(id, watch);
        if let Some(sub) = sub {
            self.by_sub.remove(&sub);
            if self.link.is_connected() {
                let mut out = Vec::new();
                self.link.tell(&ClientMessage::Unsubscribe(Unsubscribe { sub }), &mut out);
                self.outputs.extend(out);
            }
        }
        if last {
            self.end_chain(&space);
            self.commit(&space);
        }
    }

    /// A stopped watch is gone. The last one ends the session, and its rows go.
    fn release_session(&mut self, id: SessionId, watch: WatchId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.stopped.remove(&watch);
        if !session.watches.is_empty() || !session.stopped.is_empty() {
            return;
        }
        let Some(session) = self.sessions.remove(&id) else { return };
        self.by_query.remove(&session.query);
        let space = session.query.space;
        if let Some(base) = self.spaces.get_mut(&space).map(|space| &mut space.base) {
            if let Some(rows) = base.get_mut(session.collection) {
                rows.close_view(id);
            }
            for related in session.relations {
                self.by_view.remove(&related.view);
                if let Some(rows) = related.rows(base) {
                    rows.close_view(related.view);
                }
            }
        }
        self.commit(&space);
    }

    fn unobserve_children(&mut self, id: SessionId, watch: WatchId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(space) = self.spaces.get_mut(&session.query.space) else { return };
        for related in &mut session.relations {
            if let Some(counts) = &mut related.counts {
                counts.unobserve(watch);
            }
            if let Some(rows) = related.rows(&mut space.base) {
                rows.unobserve(related.view, watch);
            }
        }
    }

    /// What has changed since the last call of the children of a watch's rows, in one of its query's relations, by
    /// parent; the first time all there are. Nothing for a stopped watch, for another row type than the relation's
    /// children have, and where there is no such relation.
    pub fn take_related<C: Record>(&mut self, watch: WatchId, relation: usize) -> RelatedDiff<C> {
        let stopped = self.watches.get(&watch).is_none_or(|watch| watch.stopped);
        let Some((id, space)) = self.place(watch).filter(|_| !stopped) else { return RelatedDiff::default() };
        let related = self.sessions.get_mut(&id).and_then(|session| session.relations.get_mut(relation));
        let Some(related) = related else { return RelatedDiff::default() };
        let rows = self.spaces.get_mut(&space).and_then(|space| space.base.typed_mut::<C>());
        let Some(rows) = rows.filter(|_| C::COLLECTION == related.collection) else {
            return RelatedDiff::default();
        };
        let (reset_children, children) = rows.take_children(related.view, watch);
        let counts = related.counts.as_mut().map(|counts| counts.take(watch));
        let (reset_counts, counts) = counts.unwrap_or_default();
        RelatedDiff { reset_children, children, reset_counts, counts }
    }

    /// The children of one row of a watch, in order, in one of its query's relations. There are none of a row that is not
    /// in the result, but for those that were written here and wait for their verdict.
    pub fn children<C: Record>(&self, watch: WatchId, relation: usize, parent: &str) -> Vec<Entry<C>> {
        let related = self.related(watch, relation).filter(|(_, one)| C::COLLECTION == one.collection);
        let Some((space, related)) = related else { return Vec::new() };
        let rows = space.base.typed::<C>();
        rows.map(|rows| rows.children(related.view, parent)).unwrap_or_default()
    }

    /// How many children one row of a watch has, in one of its query's relations that is counted: the server's number,
    /// with what was written here and is not yet in it, as far as the rows that it changes are known.
    pub fn count(&self, watch: WatchId, relation: usize, parent: &str) -> u64 {
        let related = self.related(watch, relation);
        related.and_then(|(_, related)| related.counts.as_ref()).map_or(0, |counts| counts.of(parent))
    }

    fn related(&self, watch: WatchId, relation: usize) -> Option<(&Space, &Related)> {
        let (session, space) = self.place(watch)?;
        Some((self.spaces.get(&space)?, self.sessions.get(&session)?.relations.get(relation)?))
    }

    /// The diffs since the last call, the first time a `Reset` with all rows there are. A reader that leaves too many
    /// waiting gets a `Reset` instead of them. Empty for a stopped watch and for another row type than the watch has.
    pub fn take<R: Record>(&mut self, watch: WatchId) -> Vec<Diff<R>> {
        self.changed.remove(&watch);
        let Some((id, space)) = self.place(watch) else { return Vec::new() };
        let rows = self.spaces.get_mut(&space).and_then(|space| space.base.typed_mut::<R>());
        rows.map(|rows| rows.take(id, watch)).unwrap_or_default()
    }

    /// All rows of a watch, in order.
    pub fn entries<R: Record>(&self, watch: WatchId) -> Vec<Entry<R>> {
        let Some((id, space)) = self.place(watch) else { return Vec::new() };
        let rows = self.spaces.get(&space).and_then(|space| space.base.typed::<R>());
        rows.map(|rows| rows.entries(id)).unwrap_or_default()
    }

    pub(super) fn session_of(&self, watch: WatchId) -> Option<SessionId> {
        self.watches.get(&watch)?.session
    }

    fn place(&self, watch: WatchId) -> Option<(SessionId, SpaceId)> {
        let session = self.session_of(watch)?;
        Some((session, self.sessions.get(&session)?.query.space.clone()))
    }

    /// How a watch stands.
    pub fn watch_state(&self, watch: WatchId) -> WatchState {
        let closed = WatchState { status: Status::Closed, error: None, loaded: false, cached: false };
        let Some(watch) = self.watches.get(&watch) else { return closed };
        let session = watch.session.filter(|_| !watch.stopped);
        let Some(session) = session.and_then(|session| self.sessions.get(&session)) else {
            let failed = watch.error.is_some();
            let status = if failed { Status::Failed } else { Status::Closed };
            return WatchState { status, error: watch.error.clone(), loaded: false, cached: false };
        };
        let cached = session.earlier.is_some();
        let loaded = session.loaded || cached;
        let link = match (&self.streams, &self.rooms, watch.session) {
            (Some(streams), _, Some(session)) => streams.status_of(session),
            (None, Some(rooms), _) => rooms.status_of(&session.query.space),
            _ => self.link.status(),
        };
        let status = match (session.phase, link) {
            (Phase::Failed, _) => Status::Failed,
            (_, Status::Closed) => Status::Closed,
            (Phase::Live { .. }, _) => Status::Live,
            (Phase::Snapshot { done, total, .. }, _) => Status::Snapshot { done, total },
            (_, Status::NeedsAuth) => Status::NeedsAuth,
            (_, Status::Failed) => Status::Failed,
            (
                Phase::Idle
                | Phase::Parked
                | Phase::Waiting { .. }
                | Phase::Asked { .. }
                | Phase::Resume { .. },
                link,
            ) => {
                if session.was_live || link == Status::Reconnecting {
                    Status::Reconnecting
                } else {
                    Status::Connecting
                }
            }
        };
        let link_error =
            matches!(status, Status::Failed | Status::NeedsAuth).then(|| self.connection_error().cloned());
        let error = session.error.as_ref().or(session.first_unreadable()).cloned();
        WatchState { status, error: error.or(link_error.flatten()), loaded, cached }
    }

    /// Where the rows of a watch stand; there is no place before they have been complete once.
    pub fn cursor(&self, watch: WatchId) -> Option<Cursor> {
        let session = self.sessions.get(&self.watches.get(&watch)?.session?)?;
        session.cursor.filter(|_| session.loaded)
    }
}

/// Whether no server takes a query: one that does not even read the frame ends the connection, and all that rides on it.
fn is_too_long(query: &QuerySpec) -> bool {
    // what cannot be written has been refused by name
    serde_json::to_vec(query).is_ok_and(|query| query.len() + ENVELOPE_BYTES > MAX_QUERY_BYTES)
}
