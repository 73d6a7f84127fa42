//! What is kept between visits: confirmed rows of each query, for a first paint before there is a connection, and to come
//! back from where they stand.
//!
//! ```text
//!  a new list ── Load ──▶ storage ── Loaded ──▶ rows are shown ──▶ subscribe {cursor, held}
//!                                  (or 300 ms)
//!  rows change ── 200 ms without another change, 2 s at most ──▶ Store ──▶ storage ── Stored ──▶ the next one
//! ```
//!
//! Storage is asked by query and person. Who is here is known from `welcome`; before the first one, it is taken to be who
//! was here last. If `welcome` then says somebody else, that is a change of identity like any other: what was shown goes.
//!
//! A contrail service says nothing of the sort. There the application says [who is here](ClientCore::set_identity), without
//! which nothing is kept; rows have no place to come back from, and stay until a fresh snapshot is complete.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::client::collection::{AnyCollection, Began, Most};
use crate::client::core::ClientCore;
use crate::client::export::{Export, Form, Head, Stored, for_storage};
use crate::client::frames::{forget_rows, tell_counts};
use crate::client::session::{Phase, Session, SessionId};
use crate::client::short_map::ValuesMut as _;
use crate::client::{Output, Status, WatchId};
use crate::error::Error;
use crate::id::{Cursor, SpaceId, UserId};
use crate::query::QuerySpec;
use crate::wire::{Count, Run};

/// What is kept between visits, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// The rows kept of one query: the first ones of its order.
    pub rows: usize,
    /// The bytes kept of one query; what does not fit is left out, from the end.
    pub bytes: usize,
    /// How long a new list waits for storage before it asks the server without it.
    pub load_within: Duration,
    /// How long nothing has to change before it is stored.
    pub store_after: Duration,
    /// How long something that keeps changing may go without being stored.
    pub store_within: Duration,
}

impl Default for CacheConfig {
    /// 200 rows and 1 MiB a query, 300 ms for storage to answer, stored 200 ms after the last change and 2 s after the
    /// first.
    fn default() -> Self {
        Self {
            rows: 200,
            bytes: 1 << 20,
            load_within: Duration::from_millis(300),
            store_after: Duration::from_millis(200),
            store_within: Duration::from_secs(2),
        }
    }
}

/// Storage that does not answer for so long is asked again with what there is then.
const STORED_WITHIN: Duration = Duration::from_secs(30);

/// Exports that may wait for their queries to be watched; older ones give way.
const MAX_IMPORTS: usize = 256;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Cache {
    config: Option<CacheConfig>,
    loads: u64,
    /// Who is taken to be here until `welcome` says it.
    assumed: Option<UserId>,
    /// Whom storage knows as the last one here.
    known: Option<UserId>,
    /// Spaces with rows that have changed since they were stored.
    unsaved: BTreeSet<SpaceId>,
    /// Rows of lists that nobody looks at any more, to be stored with the next ones; nothing is to be removed.
    leaving: BTreeMap<QuerySpec, Option<Vec<u8>>>,
    /// When the first and the last change came that have not been stored.
    changed: Option<(Duration, Duration)>,
    /// Storage is at work, until it says that it is done, or this.
    storing: Option<Duration>,
    /// Nothing is stored, and nothing asked for, before it is said who is here: by the next `welcome`, or by the
    /// application where there is none.
    paused: bool,
    degraded: Option<Error>,
    /// Brought by the application for queries that are not watched yet, oldest first.
    imports: VecDeque<Export>,
}

/// A session's question to storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loading {
    load: u64,
    /// The server is not asked before; `None` once it may be.
    until: Option<Duration>,
}

impl Loading {
    pub(crate) fn until(self) -> Option<Duration> {
        self.until
    }

    pub(crate) fn waits(self, now: Duration) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Whoever comes late does not keep anybody awake.
    pub(crate) fn tick(&mut self, now: Duration) {
        self.until = self.until.filter(|until| now < *until);
    }
}

/// Whose rows of an earlier visit a session shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Earlier {
    /// `None` for those that the application brought.
    user: Option<UserId>,
}

impl Cache {
    pub(crate) fn new(config: Option<CacheConfig>) -> Self {
        Self { config, ..Self::default() }
    }

    /// The application says who is here, or that nobody is to know.
    pub(crate) fn identify(&mut self, user: Option<UserId>) {
        self.drop_unsaved();
        self.imports.clear();
        self.paused = user.is_none();
        (self.assumed, self.known) = (user.clone(), user);
    }

    pub(crate) fn degraded(&self) -> Option<&Error> {
        self.degraded.as_ref()
    }

    /// Who is taken to be here, before `welcome` says it; for a contrail service, who the application says it is.
    pub(crate) fn assumed(&self) -> Option<&UserId> {
        self.assumed.as_ref()
    }

    /// What storage has says who is here.
    pub(crate) fn assume(&mut self, user: &UserId) {
        self.assumed.get_or_insert_with(|| user.clone());
    }

    /// Nothing is stored before the next `welcome`.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// When something is to be stored.
    pub(crate) fn store_at(&self) -> Option<Duration> {
        let config = self.config.as_ref().filter(|_| !self.paused)?;
        let (first, last) = self.changed?;
        let due = (last + config.store_after).min(first + config.store_within);
        Some(self.storing.map_or(due, |until| due.max(until)))
    }

    fn note_change(&mut self, now: Duration) {
        let first = self.changed.map_or(now, |(first, _)| first);
        self.changed = Some((first, now));
    }

    /// What was to be stored is not.
    fn drop_unsaved(&mut self) {
        (self.unsaved, self.leaving, self.changed) = (BTreeSet::new(), BTreeMap::new(), None);
    }
}

impl ClientCore {
    /// The confirmed rows of a watch, and where they stand; `None` before they have been complete once.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use serde::{Deserialize, Serialize};
    /// # use syncline_core::{ClientId, Record};
    /// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
    /// # #[record(collection = "todos", key = id)]
    /// # struct Todo { id: String }
    /// use syncline_core::client::{ClientCore, Config, Export};
    ///
    /// # fn example(text: String) -> Result<(), syncline_core::Error> {
    /// let mut core = ClientCore::new(Config::new(ClientId::from("client-1"), 7));
    /// core.import(Duration::ZERO, Export::decode(text)?);
    /// let watch = core.watch(Duration::ZERO, &Todo::in_space("list-42")); // shows the rows at once
    /// # Ok(())
    /// # }
    /// ```
    pub fn export(&self, watch: WatchId) -> Option<Export> {
        let id = self.session_of(watch)?;
        let most = Most { rows: usize::MAX, bytes: usize::MAX };
        let (head, rows) = self.export_session(id, most, Form::Text)?;
        Some(Export::new(head, &rows))
    }

    /// Takes rows up that were [exported](Self::export). They are shown at once in the watch of their query that there is
    /// or will be, unless that has rows from the server; it then asks the server for what has changed since, a contrail
    /// service for all there is. Exports of another schema version are dropped.
    pub fn import(&mut self, now: Duration, export: Export) {
        match self.by_query.get(export.query()) {
            Some(&id) => self.restore(id, &export.stored(), None),
            None => {
                self.cache.imports.retain(|other| other.query() != export.query());
                if self.cache.imports.len() >= MAX_IMPORTS {
                    self.cache.imports.pop_front();
                }
                self.cache.imports.push_back(export);
            }
        }
        self.after(now, crate::client::link::Event::None, Vec::new());
    }

    /// Somebody leaves: nothing is stored any more before the server has said who is here, or
    /// [`set_identity`](Self::set_identity) where the server does not. With `wipe` nothing is left of what was; else their
    /// writes wait in storage until they are back.
    ///
    /// Rooms of a partysync server keep nothing, and whose their sockets are only the cookie says: all are left, and what waits
    /// there is given up, as `foreign_client`.
    pub fn pause_storing(&mut self, now: Duration, wipe: bool) {
        if !wipe {
            // there is no other time for it
            self.keep_last_writes(now);
            self.store_left(now);
        }
        self.cache.drop_unsaved();
        self.cache.paused = true;
        (self.cache.assumed, self.cache.known) = (None, None);
        self.cache.imports.clear();
        self.hold_nothing_in_vain();
        if wipe {
            self.forget_kept_writes();
        }
        self.part_from_rooms(now);
    }

    /// Storage has failed, or works again.
    pub(super) fn storage_degraded(&mut self, error: Option<Error>) {
        self.cache.degraded = error;
        self.hold_nothing_in_vain();
    }

    /// Begins a session with what is known of its query from before.
    pub(super) fn begin_from_earlier(&mut self, now: Duration, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let place = self.cache.imports.iter().position(|export| *export.query() == session.query);
        if let Some(export) = place.and_then(|place| self.cache.imports.remove(place)) {
            self.restore(id, &export.stored(), None);
        }
        self.load(now, id);
    }

    /// Asks storage, where the session has nothing better.
    pub(super) fn load(&mut self, now: Duration, id: SessionId) {
        let Some(config) = self.cache.config.as_ref().filter(|_| !self.cache.paused) else { return };
        let user = self.link.user().map(|user| &user.id).or(self.cache.assumed.as_ref()).cloned();
        // whoever stands beside it on a live connection has what storage has, and newer
        let beside = |other: &Session, session: &Session| {
            other.phase.is_live() && other.query.space == session.query.space
        };
        let Some(session) = self.sessions.get(&id) else { return };
        let has_some = session.cursor.is_some() && self.sessions.values().any(|other| beside(other, session));
        if !session.is_without_rows() || has_some {
            return;
        }
        self.cache.loads += 1;
        let (load, until) = (self.cache.loads, Some(now + config.load_within));
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.loading = Some(Loading { load, until });
        self.outputs.push_back(Output::Load { load, user, query: session.query.clone() });
    }

    /// Storage has answered.
    pub(super) fn loaded(&mut self, now: Duration, load: u64, user: Option<UserId>, stored: Option<&[u8]>) {
        let asked = |session: &Session| session.loading.is_some_and(|loading| loading.load == load);
        let Some((&id, session)) = self.sessions.iter_mut().find(|(_, session)| asked(session)) else {
            return;
        };
        session.loading = None;
        if self.cache.paused {
            // asked for somebody who has left
            return;
        }
        let here = self.link.user().map(|user| &user.id).or(self.cache.assumed.as_ref());
        if here.is_some() && here != user.as_ref() {
            // asked before it was known who is here
            self.load(now, id);
            return;
        }
        if self.cache.known.is_none() {
            self.cache.known.clone_from(&user);
        }
        self.cache.assumed.clone_from(&user);
        self.note_owner();
        // what another version of the application has stored is of no use, and overwritten soon
        if let Some(stored) = stored.and_then(|bytes| Stored::read(bytes).ok()) {
            self.restore(id, &stored, user);
        }
    }

    /// Shows rows of an earlier visit in a session that has none from the server.
    fn restore(&mut self, id: SessionId, stored: &Stored<'_>, user: Option<UserId>) {
        let Some(session) = self.sessions.get(&id) else { return };
        let Head { app, query, cursor, complete, selective, .. } = &*stored.head;
        let of_such_a_server = cursor.is_none() == self.streams.is_some();
        let is_of_use = of_such_a_server && (*app, query) == (self.schema.version, &session.query);
        if !is_of_use || !session.is_without_rows() || self.rows_are_coming(id, session) {
            return;
        }
        if cursor.is_some_and(|cursor| self.is_another_history(id, session, cursor)) {
            return;
        }
        let before = session.cursor;
        // what it has begun from is on the screen, and does not go back in time
        let is_older = |own: Cursor| {
            cursor.is_some_and(|it| it.incarnation == own.incarnation && it.version <= own.version)
        };
        let base = self.spaces.get(&query.space).map(|space| &space.base);
        let is_hidden = base.is_none_or(|base| base.is_hidden(session.collection, id));
        if before.is_some_and(is_older) && !is_hidden {
            return;
        }
        let reserve = self.streams.as_ref().and_then(|streams| streams.reserve_of(id));
        let Some(base) = self.spaces.get_mut(&query.space).map(|space| &mut space.base) else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let mut beside = BTreeSet::new();
        let mut begin = |rows: &mut dyn AnyCollection, view, relation| {
            match rows.begin_stored(view, stored.rows_of(relation), stored.fields(relation)) {
                // from here on it is as after a stream that was lost
                Began::Hidden { .. } if cursor.is_none() => {
                    rows.complete_view(view);
                    Some(false)
                }
                Began::Shown { all } => {
                    if cursor.is_none() {
                        rows.complete_view(view);
                    }
                    Some(all)
                }
                Began::Hidden { beside: others } => {
                    beside.extend(others);
                    None
                }
            }
        };
        let Some(rows) = base.get_mut(session.collection) else { return };
        match begin(rows, id, None) {
            None => (session.loaded, session.earlier) = (false, None),
            Some(all) => (session.loaded, session.earlier) = (*complete && all, Some(Earlier { user })),
        }
        if let Some(reserve) = reserve {
            rows.choose_members(reserve, id);
        }
        for (relation, related) in session.relations.iter_mut().enumerate() {
            let Some(rows) = related.rows(base) else { continue };
            session.loaded &= begin(rows, related.view, Some(relation)) == Some(true);
        }
        tell_counts(session, &stored.head.counts);
        (session.cursor, session.selective) = (*cursor, *selective);
        if !beside.is_empty() {
            self.begin_where_they_stand(id, before, &beside);
        }
        self.commit(&query.space);
        self.note(id);
    }

    /// Rows of a session are as these views have them: what has changed since the earliest of them is to be asked for. One
    /// that says nothing of where it stands has everything asked for.
    fn begin_where_they_stand(
        &mut self,
        id: SessionId,
        before: Option<Cursor>,
        beside: &BTreeSet<SessionId>,
    ) {
        let of = |view: &SessionId| self.by_view.get(view).copied().unwrap_or(*view);
        let cursor_of = |session| match session == id {
            true => before,
            false => self.sessions.get(&session)?.cursor,
        };
        let standing: Option<Vec<Cursor>> = beside.iter().map(|view| cursor_of(of(view))).collect();
        let earliest = standing.and_then(|all| all.into_iter().min_by_key(|cursor| cursor.version));
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.cursor = match (session.cursor, earliest) {
            (Some(own), Some(earliest)) => Some(if earliest.version < own.version { earliest } else { own }),
            _ => None,
        };
    }

    /// Whether a session without rows is about to have some from the server.
    fn rows_are_coming(&self, id: SessionId, session: &Session) -> bool {
        let Some(streams) = &self.streams else {
            // a difference is one to the rows that the server was told of
            let is_difference = session.phase.is_open() && session.cursor.is_some();
            return is_difference || matches!(session.phase, Phase::Snapshot { .. });
        };
        // a snapshot shows page by page; before the first one there is time
        let view = streams.reserve_of(id).unwrap_or(id);
        let base = self.spaces.get(&session.query.space).map(|space| &space.base);
        let rows = base.and_then(|base| base.get(session.collection));
        rows.is_some_and(|rows| !rows.members(view).is_empty())
    }

    /// Whether lists that show rows of the same collections stand in another history than these.
    fn is_another_history(&self, id: SessionId, session: &Session, cursor: Cursor) -> bool {
        let query = &session.query;
        let near = |(other, near): &(&SessionId, &Session)| {
            let holds_such_rows = near.collections().any(|name| session.collections().any(|own| own == name));
            **other != id && near.query.space == query.space && holds_such_rows
        };
        let mut standing = self.sessions.iter().filter(near).filter_map(|(_, other)| other.cursor);
        standing.any(|other| other.incarnation != cursor.incarnation)
    }

    /// Who is here, where that is known and not only taken for granted.
    pub(super) fn person(&self) -> Option<&UserId> {
        match self.streams {
            Some(_) => self.cache.assumed(),
            // whoever the server lets in no more may have left, and what was kept may have been wiped
            None => self.link.user().filter(|_| self.link.status() != Status::NeedsAuth).map(|user| &user.id),
        }
    }

    /// Whose rows of an earlier visit are shown, where the server has not said who is here.
    pub(super) fn shown_to(&self) -> Option<&UserId> {
        self.sessions.values().find_map(|session| session.earlier.as_ref()?.user.as_ref())
    }

    /// The server has said who is here.
    pub(super) fn cache_welcomed(&mut self, now: Duration) {
        let Some(user) = self.link.user().map(|user| user.id.clone()) else { return };
        self.cache.paused = false;
        if self.cache.config.is_none() {
            return;
        }
        let before = self.cache.assumed.replace(user.clone());
        if self.cache.known.as_ref() != Some(&user) {
            self.cache.note_change(now);
        }
        if before.as_ref() != Some(&user) {
            // what was asked for somebody else, or for nobody
            let asks = |session: &Session| session.is_without_rows() && session.loading.is_none();
            let without = self.sessions.iter().filter(|(_, session)| asks(session));
            let without: Vec<_> = without.map(|(&id, _)| id).collect();
            without.into_iter().for_each(|id| self.load(now, id));
        }
    }

    /// Another person's rows are neither to be shown nor stored.
    pub(super) fn forget_everybody(&mut self) {
        self.cache.drop_unsaved();
        self.cache.imports.clear();
        for (&id, session) in &mut self.sessions {
            forget_rows(id, session, &mut self.spaces);
        }
    }

    /// A session is about to be left: what it has is kept as it is now.
    pub(super) fn keep_leaving(&mut self, now: Duration, id: SessionId) {
        let Some(session) = self.sessions.get(&id).filter(|session| session.unsaved) else { return };
        let Some(config) = self.cache.config.as_ref().filter(|_| !self.cache.paused) else { return };
        let most = Most { rows: config.rows, bytes: config.bytes };
        if let Some(stored) = self.stored_session(id, most) {
            self.cache.leaving.insert(session.query.clone(), Some(stored));
            self.cache.note_change(now);
        }
    }

    /// A session may not be seen any more: nothing is kept of it.
    pub(super) fn keep_nothing(&mut self, now: Duration, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        if self.cache.config.is_some() && !self.cache.paused {
            self.cache.leaving.insert(session.query.clone(), None);
            self.cache.note_change(now);
        }
    }

    /// Stores what is due. With `all`, what is not due too.
    pub(super) fn store(&mut self, now: Duration, all: bool) {
        self.note_unsaved(now);
        let Some(config) = self.cache.config.as_ref().filter(|_| !self.cache.paused) else { return };
        let due = self.cache.store_at().is_some_and(|at| all || now >= at);
        let Some(user) = self.person().filter(|_| due).cloned() else { return };
        let most = Most { rows: config.rows, bytes: config.bytes };
        let unsaved = std::mem::take(&mut self.cache.unsaved);
        let ids: Vec<_> =
            self.sessions.iter().filter(|(_, one)| unsaved.contains(&one.query.space)).collect();
        let ids: Vec<_> = ids.into_iter().filter(|(_, one)| one.unsaved).map(|(&id, _)| id).collect();
        let mut put = std::mem::take(&mut self.cache.leaving);
        for id in ids {
            let stored = self.stored_session(id, most);
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            session.unsaved = false;
            if stored.is_some() {
                put.insert(session.query.clone(), stored);
            }
        }
        self.cache.changed = None;
        if put.is_empty() && self.cache.known.as_ref() == Some(&user) {
            return;
        }
        self.cache.known = Some(user.clone());
        self.cache.storing = Some(now + STORED_WITHIN);
        self.outputs.push_back(Output::Store { user, lists: put.into_iter().collect() });
    }

    /// Stores what is due of lists that nobody looks at any more, or may.
    pub(super) fn store_left(&mut self, now: Duration) {
        let Some(user) = self.person().filter(|_| !self.cache.paused && !self.cache.leaving.is_empty())
        else {
            return;
        };
        let (user, left) = (user.clone(), std::mem::take(&mut self.cache.leaving));
        self.cache.storing = Some(now + STORED_WITHIN);
        self.outputs.push_back(Output::Store { user, lists: left.into_iter().collect() });
    }

    /// Storage may have nothing any more: all lists are to be stored, and who is here.
    pub(super) fn store_again(&mut self, now: Duration) {
        if self.cache.config.is_none() || self.cache.paused {
            return;
        }
        self.cache.known = None;
        for session in self.sessions.values_mut() {
            session.unsaved = true;
            self.cache.unsaved.insert(session.query.space.clone());
        }
        self.cache.note_change(now);
    }

    /// Storage has done it, or given it up.
    pub(super) fn stored(&mut self) {
        self.cache.storing = None;
    }

    fn note_unsaved(&mut self, now: Duration) {
        if self.cache.config.is_none() {
            return;
        }
        for (id, space) in self.spaces.iter_mut().filter(|(_, space)| space.unsaved) {
            space.unsaved = false;
            for session in self.sessions.values_mut().filter(|session| session.query.space == *id) {
                session.unsaved |= session.phase.is_live();
            }
            self.cache.unsaved.insert(id.clone());
            self.cache.note_change(now);
        }
    }

    /// The rows of a session, as far as they are what the server has said and no row is missing that should be there.
    fn export_session(&self, id: SessionId, most: Most, form: Form) -> Option<(Head, Vec<u8>)> {
        let session = self.sessions.get(&id)?;
        if !session.loaded || session.phase == Phase::Failed {
            return None;
        }
        let base = &self.spaces.get(&session.query.space)?.base;
        let own = base.get(session.collection)?;
        let mut rows = Vec::new();
        let (count, all) = own.write_members(id, most, form, &mut rows);
        if session.cursor.is_none() != self.streams.is_some() {
            return None;
        }
        let mut head =
            Head::new(self.schema.version, session.query.clone(), session.cursor, session.selective);
        head.complete = all && session.first_unreadable().is_none();
        if !session.relations.is_empty() {
            let parents = own.first_keys(id, count);
            for (relation, related) in session.relations.iter().enumerate() {
                let children = base.get(related.collection)?;
                let (count, all) = children.write_children(related.view, &parents, most, form, &mut rows);
                head.related.push(Run { relation, rows: count });
                head.complete &= all;
                if let Some(counts) = &related.counts {
                    let known = parents.iter().map(|key| (key, counts.told(key.as_str())));
                    head.counts.extend(known.filter(|(_, n)| *n > 0).map(|(key, n)| Count {
                        relation,
                        parent: key.as_str().into(),
                        n,
                    }));
                }
            }
        }
        if form == Form::Packed {
            let related = session.relations.iter().map(|related| base.get(related.collection));
            let all = [Some(own)].into_iter().chain(related);
            head.fields = all.map(|rows| rows.map(|rows| rows.field_names()).unwrap_or_default()).collect();
        }
        Some((head, rows))
    }

    /// The same in the form for storage.
    fn stored_session(&self, id: SessionId, most: Most) -> Option<Vec<u8>> {
        let (head, rows) = self.export_session(id, most, Form::Packed)?;
        Some(for_storage(head, &rows))
    }
}
