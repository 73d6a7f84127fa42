//! All rooms of a client: when they are entered, how they are left, and when they are entered again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::room::{Channel, Due, Limits, Line, Phase, Room};
use super::{Address, Service, frame};
use crate::client::core::ClientCore;
use crate::client::frames::forget_rows;
use crate::client::session::{self, Session, SessionId};
use crate::client::short_map::ValuesMut as _;
use crate::client::{Output, Status, Transport};
use crate::error::{Error, code};
use crate::id::SpaceId;
use crate::query::QuerySpec;

/// A line that has said something since then is not doubted only because the page is visible again.
const HINT_AFTER: Duration = Duration::from_secs(5);

/// See the [module](self).
pub(in crate::client) struct Rooms {
    pub(super) service: Service,
    pub(super) rooms: BTreeMap<SpaceId, Room>,
    lines: BTreeMap<Line, SpaceId>,
    next_line: Line,
    pub(super) enabled: bool,
    pub(super) closed: bool,
    /// A channel has become known: there may be something to do.
    wake: bool,
    pub(super) last_error: Option<Error>,
}

/// What happened on a line.
pub(in crate::client) enum Happened<'a> {
    Opened,
    Frame(&'a [u8]),
    Closed(Option<Error>),
}

impl Rooms {
    pub(in crate::client) fn new(service: Service) -> Self {
        Self {
            service,
            rooms: BTreeMap::new(),
            lines: BTreeMap::new(),
            next_line: 0,
            enabled: true,
            closed: false,
            wake: false,
            last_error: None,
        }
    }

    fn is_on(&self) -> bool {
        self.enabled && !self.closed
    }

    /// Whether there is a word on every line.
    fn are_well(&self) -> bool {
        self.rooms.values().all(|room| room.is_well || room.phase == Phase::Off)
    }

    /// How all of them stand, in one word.
    pub(in crate::client) fn status(&self) -> Status {
        if !self.is_on() {
            return Status::Closed;
        }
        // the one that is worst off
        let rank = |status: &Status| match status {
            Status::Failed => 3,
            Status::Reconnecting => 2,
            Status::Connecting => 1,
            _ => 0,
        };
        self.rooms.values().map(Room::status).max_by_key(rank).unwrap_or(Status::Idle)
    }

    /// How one of them stands.
    pub(in crate::client) fn status_of(&self, space: &SpaceId) -> Status {
        match self.rooms.get(space) {
            _ if !self.is_on() => Status::Closed,
            Some(room) => room.status(),
            None => Status::Connecting,
        }
    }

    pub(in crate::client) fn transport(&self) -> Option<Transport> {
        let is_open = self.is_on() && self.rooms.values().any(|room| room.phase == Phase::Open);
        is_open.then_some(Transport::WebSocket)
    }

    pub(in crate::client) fn last_error(&self) -> Option<&Error> {
        self.last_error.as_ref()
    }
}

impl ClientCore {
    fn room_limits(&self) -> Option<Limits> {
        let rooms = self.rooms.as_ref()?;
        Some(Limits {
            answer_within: self.config.answer_within,
            ask_after: rooms.service.ask_after,
            linger: self.config.linger,
            is_on: rooms.is_on(),
        })
    }

    /// When something is due in one of the rooms.
    pub(in crate::client) fn rooms_deadline(&self) -> Option<Duration> {
        let (rooms, limits) = (self.rooms.as_ref()?, self.room_limits()?);
        if rooms.wake {
            return Some(Duration::ZERO);
        }
        rooms.rooms.values().filter_map(|room| room.next_due(&limits)).map(|(at, _)| at).min()
    }

    /// Something happened on a line of one of the rooms.
    pub(in crate::client) fn on_room_line(&mut self, now: Duration, line: Line, happened: Happened<'_>) {
        let Some(space) = self.rooms.as_ref().and_then(|rooms| rooms.lines.get(&line)).cloned() else {
            return;
        };
        self.with_room(now, &space, |core, room| match (room.phase, happened) {
            (Phase::Opening { .. }, Happened::Opened) => {
                room.phase = Phase::Open;
                (room.opened, room.was_open) = (now, true);
                room.hear(now);
                Ok(())
            }
            (Phase::Open, Happened::Frame(bytes)) => {
                room.hear(now);
                core.hear_room(now, &space, room, bytes);
                Ok(())
            }
            (_, Happened::Closed(error)) => Err(error.unwrap_or_else(ended)),
            _ => Ok(()),
        });
    }

    pub(super) fn with_room(
        &mut self,
        now: Duration,
        space: &SpaceId,
        act: impl FnOnce(&mut Self, &mut Room) -> Result<(), Error>,
    ) {
        let room = self.rooms.as_mut().and_then(|rooms| rooms.rooms.remove(space));
        let Some(mut room) = room else { return };
        if let Err(error) = act(self, &mut room) {
            self.lost_room(now, space, &mut room, error);
        }
        if let Some(rooms) = &mut self.rooms {
            rooms.rooms.insert(space.clone(), room);
        }
    }

    /// The server has spoken: all is well, unless it is not elsewhere.
    pub(super) fn room_is_well(&mut self, room: &mut Room) {
        if !std::mem::replace(&mut room.is_well, true)
            && let Some(rooms) = self.rooms.as_mut().filter(|rooms| rooms.are_well())
        {
            rooms.last_error = None;
        }
    }

    /// The line failed, however many signs of it there are: one decision.
    fn lost_room(&mut self, now: Duration, space: &SpaceId, room: &mut Room, error: Error) {
        let lasted = room.is_well && now >= room.opened + self.config.answer_within;
        self.leave_line(now, space, room);
        let Some(rooms) = &mut self.rooms else { return };
        if !rooms.is_on() {
            room.phase = Phase::Off;
            return;
        }
        room.failures = if lasted { 1 } else { room.failures.saturating_add(1) };
        rooms.last_error = Some(error.clone());
        let wait = self.config.backoff.wait(room.failures, &mut self.rng).filter(|_| !is_terminal(&error));
        match wait {
            Some(wait) => room.phase = Phase::Waiting { until: now + wait },
            None => self.give_up_room(space, room, &error),
        }
    }

    /// No more attempts are made. With the right to its rows the rows go.
    fn give_up_room(&mut self, space: &SpaceId, room: &mut Room, error: &Error) {
        room.phase = Phase::GivenUp;
        let is_over = error.code() == code::FORBIDDEN;
        if is_over {
            for channel in std::mem::take(&mut room.channels).values() {
                self.close_whole(space, channel);
            }
        }
        for (&id, session) in self.sessions.iter_mut().filter(|(_, session)| session.query.space == *space) {
            if is_over {
                forget_rows(id, session, &mut self.spaces);
            }
            if !session.watches.is_empty() {
                (session.phase, session.error) = (session::Phase::Failed, Some(error.clone()));
                self.changed.extend(&session.watches);
            }
        }
        self.commit(space);
    }

    /// The line is closed; what was on its way on it may have been done or not. The rows stay.
    pub(super) fn leave_line(&mut self, now: Duration, space: &SpaceId, room: &mut Room) {
        // before anything is asked on it once more
        let line = room.line.take();
        self.give_up_requests(now, space, room, |_| true);
        if let (Some(line), Some(rooms)) = (line, &mut self.rooms) {
            rooms.lines.remove(&line);
            self.outputs.push_back(Output::Close { attempt: line });
        }
        room.forget_line();
        self.interrupt_room(space);
    }

    fn interrupt_room(&mut self, space: &SpaceId) {
        for session in self.sessions.values_mut().filter(|session| session.query.space == *space) {
            session.interrupt();
            self.changed.extend(&session.watches);
        }
    }

    /// Makes an attempt.
    fn enter_room(&mut self, now: Duration, space: &SpaceId, room: &mut Room) {
        let Some(rooms) = &mut self.rooms else { return };
        match Address::new(space, &mut self.rng) {
            Ok(address) => {
                rooms.next_line += 1;
                rooms.lines.insert(rooms.next_line, space.clone());
                room.line = Some(rooms.next_line);
                room.phase = Phase::Opening { overdue: now + self.config.answer_within };
                self.outputs.push_back(Output::Join { attempt: rooms.next_line, address });
            }
            // neither a watch nor a write would have come so far
            Err(error) => {
                rooms.last_error = Some(error);
                room.phase = Phase::GivenUp;
            }
        }
    }

    /// Rooms are entered when somebody looks at their rows or acts in them, and left a while after the last one.
    pub(in crate::client) fn see_to_rooms(&mut self, now: Duration) {
        let Some(rooms) = &mut self.rooms else { return };
        rooms.wake = false;
        let mut places: Vec<SpaceId> = rooms.rooms.keys().cloned().collect();
        places.extend(self.sessions.values().map(|session| session.query.space.clone()));
        let has_writes = |(id, space): (&SpaceId, &crate::client::space::Space)| {
            (space.queue.unanswered() > 0).then(|| id.clone())
        };
        places.extend(self.spaces.iter().filter_map(has_writes));
        places.sort_unstable();
        places.dedup();
        for space in places {
            self.see_to_room(now, &space);
        }
    }

    fn see_to_room(&mut self, now: Duration, space: &SpaceId) {
        let wanted = self.wanted_channels(space);
        let unanswered = self.spaces.get(space).map_or(0, |space| space.queue.unanswered());
        let is_needed = !wanted.is_empty() || unanswered > 0;
        let Some(rooms) = &mut self.rooms else { return };
        let is_on = rooms.is_on();
        if is_needed && is_on {
            rooms.rooms.entry(space.clone()).or_insert_with(|| Room::new(now));
        }
        self.with_room(now, space, |core, room| {
            match is_needed {
                true => room.unused_since = None,
                false => drop(room.unused_since.get_or_insert(now)),
            }
            for (name, channel) in &mut room.channels {
                match wanted.contains_key(name) {
                    true => channel.unused_since = None,
                    false => drop(channel.unused_since.get_or_insert(now)),
                }
            }
            if !is_on {
                core.switch_off(now, space, room);
                return Ok(());
            }
            if room.is_to_be_left && room.requests.is_empty() {
                core.leave_line(now, space, room);
                room.phase = Phase::Off;
            }
            for (name, collection) in wanted {
                core.follow_channel(now, space, room, name, collection);
            }
            if room.phase == Phase::Off && is_needed {
                core.enter_room(now, space, room);
            }
            core.send_actions(now, space, room);
            Ok(())
        });
    }

    /// Whoever leaves while an action is on its way keeps others from hearing of it: that is waited for.
    fn switch_off(&mut self, now: Duration, space: &SpaceId, room: &mut Room) {
        let is_closed = self.rooms.as_ref().is_some_and(|rooms| rooms.closed);
        let waits = room.phase == Phase::Open && !room.requests.is_empty() && !is_closed;
        if !waits && room.phase != Phase::Off {
            self.leave_line(now, space, room);
            (room.phase, room.failures) = (Phase::Off, 0);
        }
    }

    /// The channels of a room that somebody looks at, with their collections. Whoever looks at rows of no channel is told.
    fn wanted_channels(&mut self, space: &SpaceId) -> BTreeMap<&'static str, &'static str> {
        let mut wanted = BTreeMap::new();
        for session in self.sessions.values_mut().filter(|session| session.query.space == *space) {
            if !looks(session) {
                continue;
            }
            match self.schema.channel_of(session.collection) {
                Ok(channel) => drop(wanted.insert(channel.name, channel.collection)),
                Err(_) if session.phase == session::Phase::Failed => {}
                Err(error) => {
                    (session.phase, session.error) = (session::Phase::Failed, Some(error));
                    self.changed.extend(&session.watches);
                }
            }
        }
        wanted
    }

    /// Asks for a channel's rows, or gives those that are there to whoever came last.
    fn follow_channel(
        &mut self,
        now: Duration,
        space: &SpaceId,
        room: &mut Room,
        name: &'static str,
        collection: &'static str,
    ) {
        if !room.channels.contains_key(name) {
            let Some(whole) = self.open_whole(space, collection) else { return };
            room.channels.insert(name, Channel::new(collection, whole));
        }
        let Some(channel) = room.channels.get(name) else { return };
        if room.phase != Phase::Open {
            return;
        }
        if channel.is_synced {
            self.join_channel(space, channel);
            return;
        }
        if !channel.is_asked {
            self.ask_for_rows(now, room, name);
        }
        self.await_rows(space, collection);
    }

    pub(super) fn ask_for_rows(&mut self, now: Duration, room: &mut Room, name: &'static str) {
        let (Some(line), Some(channel)) = (room.line, room.channels.get_mut(name)) else { return };
        if !channel.is_asked {
            channel.forget_told();
        }
        (channel.is_asked, channel.asked) = (true, now);
        (channel.doubted_until, channel.missing_until) = (None, None);
        room.asked.get_or_insert(now);
        self.outputs.push_back(Output::Send { attempt: line, frame: frame::sync(name) });
    }

    pub(in crate::client) fn tick_rooms(&mut self, now: Duration) {
        let Some(limits) = self.room_limits() else { return };
        let places: Vec<_> = self.rooms.iter().flat_map(|rooms| rooms.rooms.keys().cloned()).collect();
        for space in places {
            while let Some(due) = self.due_in_room(now, &space, &limits) {
                if due == Due::End {
                    self.end_room(now, &space);
                    break;
                }
                self.with_room(now, &space, |core, room| core.do_in_room(now, &space, room, due));
            }
        }
    }

    fn due_in_room(&self, now: Duration, space: &SpaceId, limits: &Limits) -> Option<Due> {
        let (at, due) = self.rooms.as_ref()?.rooms.get(space)?.next_due(limits)?;
        (now >= at).then_some(due)
    }

    fn do_in_room(&mut self, now: Duration, space: &SpaceId, room: &mut Room, due: Due) -> Result<(), Error> {
        match due {
            Due::TimedOut => {
                if room.phase == Phase::Open {
                    room.is_late();
                }
                return Err(late());
            }
            Due::Begin => self.enter_room(now, space, room),
            Due::Unanswered => {
                let patience = room.patience(self.config.answer_within);
                self.give_up_requests(now, space, room, |request| now >= request.sent + patience);
            }
            Due::Unsynced(name) => {
                room.unexplained = true;
                let Some(channel) = room.channels.get_mut(name) else { return Ok(()) };
                channel.tries += 1;
                if !channel.has_had_its_tries() {
                    self.ask_for_rows(now, room, name);
                } else if channel.is_synced {
                    return Err(late());
                } else {
                    self.no_such_channel(now, space, room, name);
                }
            }
            Due::Ask(name) => self.ask_for_rows(now, room, name),
            Due::Leave(name) => self.leave_channel(space, room, name),
            Due::End => {}
        }
        Ok(())
    }

    /// The line stands, and nothing is said of this channel. It may be there all the same, or come to be.
    fn no_such_channel(&mut self, now: Duration, space: &SpaceId, room: &mut Room, name: &'static str) {
        let error = Error::new(code::UNKNOWN_CHANNEL, "the server does not answer for this channel");
        self.no_rows(now, space, room, name, &error);
    }

    /// A channel's rows do not come. Where that may change by itself they are asked for once more after a while.
    pub(super) fn no_rows(
        &mut self,
        now: Duration,
        space: &SpaceId,
        room: &mut Room,
        name: &str,
        error: &Error,
    ) {
        let (Some(rooms), Some(channel)) = (&self.rooms, room.channels.get_mut(name)) else { return };
        channel.miss(now, rooms.service.ask_after);
        if channel.is_synced || error.is_temporary() {
            return;
        }
        let error = error.clone().with_field(name);
        for session in self.sessions.values_mut() {
            if session.query.space == *space && session.collection == channel.collection && looks(session) {
                (session.phase, session.error) = (session::Phase::Failed, Some(error.clone()));
                self.changed.extend(&session.watches);
            }
        }
    }

    fn leave_channel(&mut self, space: &SpaceId, room: &mut Room, name: &'static str) {
        let Some(channel) = room.channels.remove(name) else { return };
        self.close_whole(space, &channel);
        self.commit(space);
    }

    pub(super) fn end_room(&mut self, now: Duration, space: &SpaceId) {
        let room = self.rooms.as_mut().and_then(|rooms| rooms.rooms.remove(space));
        let Some(mut room) = room else { return };
        self.leave_line(now, space, &mut room);
        for channel in room.channels.values() {
            self.close_whole(space, channel);
        }
        self.commit(space);
        if let Some(rooms) = self.rooms.as_mut().filter(|rooms| rooms.is_on() && rooms.are_well()) {
            rooms.last_error = None;
        }
    }

    /// The network or the page is back: does not wait for what would come by itself.
    pub(in crate::client) fn hint_rooms(&mut self, now: Duration) {
        if !self.rooms.as_ref().is_some_and(Rooms::is_on) {
            return;
        }
        self.in_all_rooms(now, |core, space, room| match room.phase {
            Phase::Waiting { .. } if room.unused_since.is_none() => core.enter_room(now, space, room),
            Phase::Open if now >= room.heard + HINT_AFTER => core.doubt_room(now, room),
            _ => {}
        });
    }

    /// Somebody asks for it: what failed before does not count.
    pub(in crate::client) fn retry_rooms(&mut self, now: Duration) {
        if !self.rooms.as_ref().is_some_and(Rooms::is_on) {
            return;
        }
        self.in_all_rooms(now, |core, space, room| match room.phase {
            Phase::Waiting { .. } | Phase::GivenUp => {
                room.failures = 0;
                core.enter_room(now, space, room);
            }
            Phase::Open => core.doubt_room(now, room),
            Phase::Off | Phase::Opening { .. } => {}
        });
    }

    /// Whoever it is now is to be seen by the server; the rows stay until it has answered. What waits is still theirs who
    /// made it: of another person it is told [otherwise](ClientCore::set_identity). What is on its way has its answer
    /// first, or others would not hear of it: where it is switched off, that is all that still has a line.
    pub(in crate::client) fn enter_rooms_again(&mut self, now: Duration) {
        self.in_all_rooms(now, |core, space, room| {
            room.failures = 0;
            if room.phase == Phase::Open && !room.requests.is_empty() {
                room.is_to_be_left = true;
            } else if room.phase != Phase::Off {
                core.leave_line(now, space, room);
                core.enter_room(now, space, room);
            }
        });
    }

    /// Asks whether all is as it seems, unless that is being asked.
    fn doubt_room(&mut self, now: Duration, room: &mut Room) {
        let can_be_asked = |channel: &Channel| !channel.is_asked || channel.missing_until.is_some();
        let quiet = room.channels.iter().filter(|(_, channel)| can_be_asked(channel));
        let quiet: Vec<_> = quiet.map(|(&name, _)| name).collect();
        for name in quiet {
            self.ask_for_rows(now, room, name);
        }
    }

    fn in_all_rooms(&mut self, now: Duration, mut act: impl FnMut(&mut Self, &SpaceId, &mut Room)) {
        let places: Vec<_> = self.rooms.iter().flat_map(|rooms| rooms.rooms.keys().cloned()).collect();
        for space in places {
            self.with_room(now, &space, |core, room| {
                act(core, &space, room);
                Ok(())
            });
        }
    }

    /// A channel has become known: whoever waits for rows of its collection gets them.
    pub(in crate::client) fn channel_has_come(&mut self, collection: &str) {
        let Some(rooms) = &mut self.rooms else { return };
        rooms.wake = true;
        for session in self.sessions.values_mut().filter(|session| session.collection == collection) {
            if session.phase == session::Phase::Failed && looks(session) {
                (session.phase, session.error) = (session::Phase::Idle, None);
                self.changed.extend(&session.watches);
            }
        }
    }

    pub(in crate::client) fn enable_rooms(&mut self, enabled: bool) {
        if let Some(rooms) = &mut self.rooms {
            rooms.enabled = enabled;
        }
    }

    pub(in crate::client) fn close_rooms(&mut self) {
        if let Some(rooms) = &mut self.rooms {
            rooms.closed = true;
        }
    }

    /// A place for all rows of a channel; it shows none of them.
    fn open_whole(&mut self, space: &SpaceId, collection: &'static str) -> Option<SessionId> {
        let whole = SessionId(self.next_id());
        let rows = self.spaces.get_mut(space)?.base.get_mut(collection)?;
        let (filter, order, limit, relations) = (None, Vec::new(), None, Vec::new());
        let query = QuerySpec {
            space: space.clone(),
            collection: collection.into(),
            filter,
            order,
            limit,
            relations,
        };
        rows.open_view(whole, &query).ok()?;
        rows.begin_from(whole, &[], false);
        Some(whole)
    }

    fn close_whole(&mut self, space: &SpaceId, channel: &Channel) {
        let space = self.spaces.get_mut(space);
        if let Some(rows) = space.and_then(|space| space.base.get_mut(channel.collection)) {
            rows.close_view(channel.whole);
        }
    }
}

/// Whether somebody looks, and is to be told of rows: also where there seems to be no such channel yet.
pub(super) fn looks(session: &Session) -> bool {
    let is_missing = || session.error.as_ref().is_some_and(|error| error.code() == code::UNKNOWN_CHANNEL);
    !session.watches.is_empty() && (session.phase != session::Phase::Failed || is_missing())
}

fn ended() -> Error {
    Error::new(code::CONNECTION, "the connection to the server was lost")
}

fn late() -> Error {
    Error::new(code::TIMEOUT, "the server did not answer in time")
}

/// Trying again cannot help.
fn is_terminal(error: &Error) -> bool {
    matches!(error.code(), code::FORBIDDEN | code::UNKNOWN_SPACE | code::UNSUPPORTED_PROTOCOL)
}
