//! The core itself: what the application and the driver call, and the one place where outputs come from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::client::cache::{Cache, Loading};
use crate::client::contrail::{Happened, Retry, Streams};
use crate::client::durable::Durable;
use crate::client::link::{Event, Link};
use crate::client::partysync::{self, Rooms};
use crate::client::related::Related;
use crate::client::session::{Phase, Session, SessionId};
use crate::client::short_map::{ShortMap, ShortSet, ValuesMut as _};
use crate::client::space::Space;
use crate::client::watches::Watch;
use crate::client::{Config, ConnectionState, Input, Output, Status, Transport, WatchId};
use crate::error::Error;
use crate::id::{ClientId, SpaceId};
use crate::query::QuerySpec;
use crate::rng::Rng;
use crate::schema::Schema;
use crate::wire::{ClientMessage, SubId, Subscribe};

/// A client without a socket, a clock or a task. See the [module](super).
///
/// After every call of a method that takes `now`, drain [`poll_output`](Self::poll_output), then look at
/// [`deadline`](Self::deadline).
pub struct ClientCore {
    pub(super) config: Config,
    pub(super) rng: Rng,
    pub(super) schema: Schema,
    /// How much of it the queues have been shown.
    pub(super) learnt: usize,
    pub(super) link: Link,
    /// The streams, when the server is a contrail service; then the link stays idle.
    pub(super) streams: Option<Streams>,
    /// The rooms, when the server is one of partysync; then too.
    pub(super) rooms: Option<Rooms>,
    pub(super) spaces: ShortMap<SpaceId, Space>,
    pub(super) sessions: ShortMap<SessionId, Session>,
    /// The sessions of the views of children.
    pub(super) by_view: ShortMap<SessionId, SessionId>,
    pub(super) by_query: BTreeMap<QuerySpec, SessionId>,
    pub(super) by_sub: ShortMap<SubId, SessionId>,
    pub(super) watches: ShortMap<WatchId, Watch>,
    pub(super) next_sub: SubId,
    pub(super) next_id: u64,
    /// Writes are sent again from here on, after the server said it could not handle them.
    pub(super) resend_at: Option<Duration>,
    pub(super) cache: Cache,
    pub(super) durable: Durable,
    pub(super) outputs: VecDeque<Output>,
    pub(super) changed: ShortSet<WatchId>,
    pub(super) connection_seen: ConnectionState,
}

impl ClientCore {
    /// A core at rest: it connects when there is something to watch or to write.
    pub fn new(config: Config) -> Self {
        let link = Link::new(config.clone());
        let streams = config.contrail.clone().map(Streams::new);
        let rooms = config.partysync.clone().map(Rooms::new);
        let schema = Schema::new(config.schema_version);
        let rng = Rng::new(config.seed ^ 0x5851_f42d_4c95_7f2d);
        let connection_seen = ConnectionState {
            status: Status::Idle,
            transport: None,
            pending: 0,
            unsaved: 0,
            last_error: None,
            user: None,
            storage_degraded: None,
        };
        // a partysync server does not say who somebody is
        let mut cache = Cache::new(config.cache.clone().filter(|_| rooms.is_none()));
        if let Some(service) = &config.contrail {
            cache.identify(service.identity.clone());
        }
        Self {
            cache,
            config,
            rng,
            durable: Durable::default(),
            schema,
            learnt: 0,
            link,
            streams,
            rooms,
            spaces: ShortMap::new(),
            sessions: ShortMap::new(),
            by_view: ShortMap::new(),
            by_query: BTreeMap::new(),
            by_sub: ShortMap::new(),
            watches: ShortMap::new(),
            next_sub: 0,
            next_id: 0,
            resend_at: None,
            outputs: VecDeque::new(),
            changed: ShortSet::new(),
            connection_seen,
        }
    }

    /// Takes in one thing that happened outside.
    pub fn handle(&mut self, now: Duration, input: Input<'_>) {
        let mut out = Vec::new();
        let event = match input {
            Input::Loaded { load, user, stored } => {
                self.loaded(now, load, user, stored);
                Event::None
            }
            Input::Stored => {
                self.stored();
                Event::None
            }
            Input::WritesStored { batch, result } => {
                self.writes_stored(now, batch, result);
                Event::None
            }
            Input::Adopted { user, client, writes } => {
                self.adopted(&user, &client, writes);
                Event::None
            }
            Input::AdoptDone { user } => {
                self.adopt_done(user);
                Event::None
            }
            Input::StorageReplaced => {
                self.storage_replaced(now);
                Event::None
            }
            Input::StorageDegraded(error) => {
                self.storage_degraded(error);
                Event::None
            }
            input if self.streams.is_some() => {
                self.stream_input(now, input);
                Event::None
            }
            input if self.rooms.is_some() => {
                self.room_input(now, input);
                Event::None
            }
            Input::Opened { attempt } if self.link.is_current(attempt) => {
                self.link.opened(now, &mut out);
                Event::None
            }
            Input::Frame { attempt, bytes } if self.link.is_current(attempt) => {
                self.link.heard(now);
                // a sign of life, and nothing more
                if bytes.is_empty() { Event::None } else { self.frame(now, bytes, &mut out) }
            }
            Input::Closed { attempt, error } if self.link.is_current(attempt) => {
                self.link.lost(now, error, &mut out)
            }
            Input::Opened { .. } | Input::Frame { .. } | Input::Closed { .. } => Event::None,
            Input::Access { .. } => Event::None,
            Input::Credentials(result) => self.link.credentials(now, result, &mut out),
            Input::Online(true) => {
                self.look_for_queues_soon();
                self.link.online(now, &mut out);
                Event::None
            }
            Input::Visible(true) => {
                self.look_for_queues_soon();
                self.link.hint(now, &mut out);
                Event::None
            }
            Input::Online(false) => {
                self.link.offline(now, &mut out);
                Event::None
            }
            Input::Visible(false) => {
                // it may never be seen again
                self.store(now, true);
                self.keep_last_writes(now);
                Event::None
            }
            Input::Tick => self.tick(now, &mut out),
        };
        self.after(now, event, out);
    }

    /// The same, where every query has a stream of its own.
    fn stream_input(&mut self, now: Duration, input: Input<'_>) {
        match input {
            Input::Access { attempt, result } => self.on_line(now, attempt, Happened::Access(result)),
            Input::Opened { attempt } => self.on_line(now, attempt, Happened::Opened),
            Input::Frame { attempt, bytes } => self.on_line(now, attempt, Happened::Frame(bytes)),
            Input::Closed { attempt, error } => self.on_line(now, attempt, Happened::Closed(error)),
            Input::Online(true) | Input::Visible(true) => self.retry_streams(now, Retry::Hint),
            Input::Tick => self.tick_streams(now),
            // it may never be seen again
            Input::Visible(false) => self.store(now, true),
            Input::Online(false) | Input::Credentials(_) => {}
            Input::Loaded { .. } | Input::Stored | Input::StorageDegraded(_) => {}
            Input::WritesStored { .. } | Input::Adopted { .. } | Input::AdoptDone { .. } => {}
            Input::StorageReplaced => {}
        }
    }

    /// The same, where every space has a socket of its own.
    fn room_input(&mut self, now: Duration, input: Input<'_>) {
        use partysync::Happened;
        match input {
            Input::Opened { attempt } => self.on_room_line(now, attempt, Happened::Opened),
            Input::Frame { attempt, bytes } => self.on_room_line(now, attempt, Happened::Frame(bytes)),
            Input::Closed { attempt, error } => self.on_room_line(now, attempt, Happened::Closed(error)),
            Input::Online(true) | Input::Visible(true) => self.hint_rooms(now),
            Input::Tick => self.tick_rooms(now),
            Input::Online(false) | Input::Visible(false) => {}
            Input::Access { .. } | Input::Credentials(_) => {}
            Input::Loaded { .. } | Input::Stored | Input::StorageDegraded(_) => {}
            Input::WritesStored { .. } | Input::Adopted { .. } | Input::AdoptDone { .. } => {}
            Input::StorageReplaced => {}
        }
    }

    fn tick(&mut self, now: Duration, out: &mut Vec<Output>) -> Event {
        if self.resend_at.is_some_and(|at| now >= at) {
            self.resend_at = None;
        }
        let overdue = |at: Option<Duration>| at.is_some_and(|at| now >= at);
        for session in self.sessions.values_mut().filter(|session| overdue(session.retry_at())) {
            session.phase = Phase::Idle;
        }
        for loading in self.sessions.values_mut().filter_map(|session| session.loading.as_mut()) {
            loading.tick(now);
        }
        let late = self.sessions.values().any(|session| overdue(session.overdue()))
            || overdue(self.oldest_unanswered_write());
        if late && self.link.is_open() {
            return self.link.timed_out(now, out);
        }
        self.link.tick(now, out)
    }

    /// What there is to do, one thing after the other. To be called until it gives `None`, after everything that
    /// changed the core.
    #[must_use = "what an output says has to be done"]
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if let Some(watch) = self.changed.pop_first() {
            return Some(Output::Changed(watch));
        }
        if self.connection_has_changed() {
            self.connection_seen = self.connection();
            return Some(Output::ConnectionChanged);
        }
        None
    }

    /// When to feed [`Input::Tick`] at the latest. Changes with everything that changes the core.
    pub fn deadline(&self) -> Option<Duration> {
        let store_at = self.cache.store_at().filter(|_| self.person().is_some());
        if let Some(streams) = &self.streams {
            let waiting = self.spaces.values().filter_map(|space| space.queue.next_given_up());
            let streams = streams.deadline(self.config.answer_within);
            return streams.into_iter().chain(store_at).chain(waiting).min();
        }
        if self.rooms.is_some() {
            return self.rooms_deadline();
        }
        let sessions = self.sessions.values().filter_map(|session| session.overdue().or(session.retry_at()));
        let open = self.link.is_open();
        let loading = self.sessions.values().filter_map(|session| session.loading.and_then(Loading::until));
        let late = sessions.chain(self.oldest_unanswered_write()).chain(loading).min().filter(|_| open);
        let held = self.held_until().filter(|_| open);
        let kept = [store_at, self.keep_at(), self.adopt_at(), held];
        kept.into_iter().chain([self.link.deadline(), late, self.resend_at]).flatten().min()
    }

    /// The author of the writes that are made now.
    pub fn client(&self) -> &ClientId {
        &self.config.client
    }

    /// How many local intents lie over the confirmed rows of a space: writes without a verdict, refused ones that
    /// wait for a person, optimistic rows.
    pub fn intents(&self, space: &SpaceId) -> usize {
        self.spaces.get(space).map_or(0, |space| space.queue.len())
    }

    /// How the connection stands.
    pub fn connection(&self) -> ConnectionState {
        ConnectionState {
            status: self.connection_status(),
            transport: self.connection_transport(),
            pending: self.pending_writes(),
            unsaved: self.unsaved_writes(),
            last_error: self.connection_error().cloned(),
            user: self.link.user().cloned(),
            storage_degraded: self.cache.degraded().cloned(),
        }
    }

    /// Asked after every frame, so it copies nothing.
    fn connection_has_changed(&self) -> bool {
        let ConnectionState { status, transport, pending, unsaved, last_error, user, storage_degraded } =
            &self.connection_seen;
        (*status, *transport) != (self.connection_status(), self.connection_transport())
            || (*pending, *unsaved) != (self.pending_writes(), self.unsaved_writes())
            || last_error.as_ref() != self.connection_error()
            || user.as_ref() != self.link.user()
            || storage_degraded.as_ref() != self.cache.degraded()
    }

    fn connection_status(&self) -> Status {
        match (&self.streams, &self.rooms) {
            (Some(streams), _) => self.or_failed(streams.status()),
            (None, Some(rooms)) => self.or_failed(rooms.status()),
            (None, None) => self.link.status(),
        }
    }

    /// A stream ends with the query that has failed, and so does a room.
    fn or_failed(&self, status: Status) -> Status {
        match status {
            Status::Idle if self.sessions.values().any(Session::has_failed) => Status::Failed,
            status => status,
        }
    }

    fn connection_transport(&self) -> Option<Transport> {
        match (&self.streams, &self.rooms) {
            (Some(streams), _) => streams.transport(),
            (None, Some(rooms)) => rooms.transport(),
            (None, None) => self.link.transport(),
        }
    }

    pub(super) fn connection_error(&self) -> Option<&Error> {
        match (&self.streams, &self.rooms) {
            (Some(streams), _) => streams.last_error(),
            (None, Some(rooms)) => rooms.last_error(),
            (None, None) => self.link.last_error(),
        }
    }

    /// Does not wait for the next attempt.
    pub fn retry_now(&mut self, now: Duration) {
        let mut out = Vec::new();
        self.link.retry_now(now, &mut out);
        if self.streams.is_some() {
            self.ask_refused_again();
            self.retry_streams(now, Retry::Now);
        }
        if self.rooms.is_some() {
            self.ask_refused_again();
            self.retry_rooms(now);
        }
        self.after(now, Event::None, out);
    }

    /// Switches the connection off and on again; writes wait meanwhile.
    pub fn set_enabled(&mut self, now: Duration, enabled: bool) {
        let mut out = Vec::new();
        let event = self.link.set_enabled(now, enabled, &mut out);
        self.enable_streams(enabled);
        self.enable_rooms(enabled);
        self.after(now, event, out);
    }

    /// Asks the application for credentials again and gives them to the server, in place when the connection is open.
    pub fn refresh_credentials(&mut self, now: Duration) {
        let mut out = Vec::new();
        self.ask_refused_again();
        self.link.refresh_credentials(now, &mut out);
        self.retry_streams(now, Retry::OtherCredentials);
        self.enter_rooms_again(now);
        self.after(now, Event::None, out);
    }

    /// Ends the connection for good.
    pub fn close(&mut self, now: Duration) {
        self.store(now, true);
        let mut out = Vec::new();
        let event = self.link.close(&mut out);
        self.close_streams();
        self.close_rooms();
        self.after(now, event, out);
        self.keep_last_writes(now);
    }

    /// What everything ends with: the link learns whether it is needed, what can be sent is sent.
    pub(super) fn after(&mut self, now: Duration, event: Event, mut out: Vec<Output>) {
        let event = if event == Event::None { self.release(now, &mut out) } else { event };
        if event == Event::Lost {
            self.interrupt();
        }
        let watched = self.sessions.values().any(|session| !session.watches.is_empty());
        let wanted = self.is_of_its_own_kind() && (watched || self.has_queued_writes());
        self.link.want(now, wanted, &mut out);
        self.outputs.extend(out);
        self.look_for_queues(now);
        if self.link.is_open() {
            self.subscribe(now);
            self.send_writes(now);
        }
        self.see_to_streams(now);
        self.see_to_rooms(now);
        self.store(now, false);
        self.keep_writes(now);
        self.note_status_changes();
        let is_over =
            |space: &Space| space.is_idle() && !space.queue.has_numbered() && !space.queue.has_gone();
        self.spaces.retain(|_, space| !is_over(space));
    }

    /// Whether the server is one of Syncline's own.
    pub(super) fn is_of_its_own_kind(&self) -> bool {
        self.streams.is_none() && self.rooms.is_none()
    }

    /// Other credentials may carry other rights: what was refused is asked for again.
    pub(super) fn ask_refused_again(&mut self) {
        for session in self.sessions.values_mut().filter(|session| session.phase == Phase::Failed) {
            (session.phase, session.error) = (Phase::Idle, None);
            self.changed.extend(&session.watches);
        }
    }

    /// The connection is gone: everything that was asked on it is to be asked again on the next one.
    fn interrupt(&mut self) {
        self.by_sub.clear();
        // pages with the same lists number them alike, and a server tells them of a change in the same bytes
        self.next_sub = 0;
        for (&id, session) in &mut self.sessions {
            session.interrupt();
            if let Some(space) = self.spaces.get_mut(&session.query.space) {
                session.drop_incoming(id, &mut space.base);
            }
        }
        for space in self.spaces.values_mut() {
            space.told = None;
            space.queue.forget_handled();
            space.held.clear();
        }
        self.unsend_writes();
    }

    fn subscribe(&mut self, now: Duration) {
        let mut out = Vec::new();
        let frame_bytes = self.link.limits().frame_bytes;
        for (&id, session) in &mut self.sessions {
            if session.phase == Phase::Idle && !session.loading.is_some_and(|loading| loading.waits(now)) {
                self.next_sub += 1;
                let sub = self.next_sub;
                if session.error.take().is_some() {
                    self.changed.extend(&session.watches);
                }
                self.by_sub.insert(sub, id);
                let held = match self.spaces.get(&session.query.space) {
                    Some(space) => session.say_what_is_held(id, space, self.rng.next_u64(), frame_bytes),
                    None => None,
                };
                // of a list that was never complete, is not the same for everybody, or has rows of which nobody here can say
                // whether they are still there, a cursor alone would promise too much
                let is_enough = session.loaded && !session.selective && !session.unreadable.has_unnamed();
                let says_enough = held.is_some() || is_enough;
                let cursor = session.cursor.filter(|_| says_enough);
                let subscribe = Subscribe { sub, query: session.query.clone(), cursor, held };
                self.link.ask(now, &ClientMessage::Subscribe(subscribe), &mut out);
                let overdue = self.link.left_at(now) + self.config.answer_within * 3;
                session.phase = Phase::Asked { sub, overdue };
            }
        }
        self.outputs.extend(out);
    }

    /// Watches whose status depends on the link are told when it changes.
    fn note_status_changes(&mut self) {
        if self.connection_status() != self.connection_seen.status {
            self.changed.extend(self.watches.keys());
        }
    }

    /// The watches of a session, or of that to which a view of children belongs, have something new.
    pub(super) fn note(&mut self, session: SessionId) {
        let session = self.by_view.get(&session).copied().unwrap_or(session);
        if let Some(session) = self.sessions.get(&session) {
            self.changed.extend(&session.watches);
        }
    }

    /// Shows all that was prepared in a space, at once.
    pub(super) fn commit(&mut self, id: &SpaceId) {
        let behind = |session: &&Session| session.query.space == *id && session.is_behind();
        let behind: BTreeSet<_> =
            self.sessions.values().filter(behind).flat_map(Session::collections).collect();
        let Some(space) = self.spaces.get_mut(id).filter(|space| !space.held.is_released()) else { return };
        space.queue.drop_applied(&behind, space.told);
        let mut changed = space.commit(&self.schema);
        for (&session, one) in self.sessions.iter_mut().filter(|(_, one)| one.query.space == *id) {
            let live = one.phase.is_live();
            for Related { view, collection, counts, .. } in &mut one.relations {
                let Some(counts) = counts else { continue };
                if (counts.needs_commit() || space.queue.has_replayed(collection))
                    && counts.commit(space.adjustments(*view, collection, live))
                {
                    changed.push(session);
                }
            }
        }
        space.queue.forget_replayed();
        for session in changed {
            self.note(session);
        }
    }

    pub(super) fn space(&mut self, id: &SpaceId) -> &mut Space {
        self.spaces.entry(id.clone()).or_insert_with(|| Space::new(id.clone()))
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}
