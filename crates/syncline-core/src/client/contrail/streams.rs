//! All streams of a client: when they are made, how they end, and when they are made again.

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;
use std::time::Duration;

use super::address::Address;
use super::allowance::{Permit, Use};
use super::event::{Event, Handshake};
use super::gathering::{Gathering, Why};
use super::stream::{Due, Line, Phase, Stream};
use super::{Access, AccessRequest, Answer, Bearer, Call, Service};
use crate::client::core::ClientCore;
use crate::client::frames::forget_rows;
use crate::client::queue::News;
use crate::client::session::{self, SessionId};
use crate::client::space::Space;
use crate::client::{Output, Status, Transport, TransportPreference};
use crate::error::{Error, code};
use crate::id::SpaceId;
use crate::query::QuerySpec;

/// See the [module](self).
pub(in crate::client) struct Streams {
    pub(super) service: Service,
    pub(super) streams: BTreeMap<SessionId, Stream>,
    pub(super) lines: BTreeMap<Line, SessionId>,
    next_line: Line,
    /// The one page that is being fetched over server-sent events.
    pub(super) paging: Option<(Line, Permit)>,
    /// Whose pages come after it.
    pub(super) waiting: VecDeque<SessionId>,
    enabled: bool,
    pub(super) closed: bool,
    pub(super) last_error: Option<Error>,
}

/// Why streams are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Retry {
    /// The network or the page is back.
    Hint,
    /// The person asks for it.
    Now,
    /// There are other credentials.
    OtherCredentials,
}

/// What happened on a line.
pub(in crate::client) enum Happened<'a> {
    Access(Result<Access, Error>),
    Opened,
    Frame(&'a [u8]),
    Closed(Option<Error>),
}

impl Streams {
    pub(in crate::client) fn new(service: Service) -> Self {
        Self {
            service,
            streams: BTreeMap::new(),
            lines: BTreeMap::new(),
            next_line: 0,
            paging: None,
            waiting: VecDeque::new(),
            enabled: true,
            closed: false,
            last_error: None,
        }
    }

    fn is_on(&self) -> bool {
        self.enabled && !self.closed
    }

    /// How all of them stand, in one word.
    pub(in crate::client) fn status(&self) -> Status {
        let mut all = self.streams.values().map(Stream::status).peekable();
        if !self.is_on() {
            return Status::Closed;
        }
        if all.peek().is_none() {
            return Status::Idle;
        }
        // the one that is worst off
        let rank = |status: &Status| match status {
            Status::NeedsAuth => 3,
            Status::Reconnecting => 2,
            Status::Connecting => 1,
            _ => 0,
        };
        all.max_by_key(rank).unwrap_or_default()
    }

    /// Whether all of them are live, but for those that wait for others to end.
    fn are_well(&self) -> bool {
        let waits = |stream: &Stream| {
            stream.phase == Phase::Queued && stream.failures == 0 && stream.unauthenticated == 0
        };
        self.streams.values().all(|stream| stream.is_live() || waits(stream))
    }

    /// How one of them stands.
    pub(in crate::client) fn status_of(&self, session: SessionId) -> Status {
        match self.streams.get(&session) {
            _ if !self.is_on() => Status::Closed,
            Some(stream) => stream.status(),
            None => Status::Connecting,
        }
    }

    /// The view of all rows that are known of a query with a limit.
    pub(in crate::client) fn reserve_of(&self, session: SessionId) -> Option<SessionId> {
        self.streams.get(&session)?.reserve
    }

    pub(in crate::client) fn transport(&self) -> Option<Transport> {
        self.streams.values().find(|stream| stream.phase == Phase::Open).map(|stream| stream.transport)
    }

    pub(in crate::client) fn last_error(&self) -> Option<&Error> {
        self.last_error.as_ref()
    }

    pub(in crate::client) fn deadline(&self, answer_within: Duration) -> Option<Duration> {
        let due = self.streams.values().filter_map(|stream| stream.next_due(answer_within));
        due.map(|(at, _)| at).min().filter(|at| *at < Duration::MAX)
    }

    pub(super) fn line(&mut self, session: SessionId) -> Line {
        self.next_line += 1;
        self.lines.insert(self.next_line, session);
        self.next_line
    }

    /// What the next attempt goes over; nothing when no connection is free.
    fn free_transport(
        &self,
        preference: TransportPreference,
        no_socket: bool,
    ) -> Option<(Transport, Option<Permit>)> {
        let socket = Some((Transport::WebSocket, None));
        let sse = || Some((Transport::Sse, Some(self.service.allowance.take(Use::Stream)?)));
        match preference {
            TransportPreference::WebSocket => socket,
            TransportPreference::Sse => sse(),
            TransportPreference::Auto => sse().or(socket.filter(|_| !no_socket)),
        }
    }

    /// Whether a page may be fetched on this line.
    pub(super) fn may_page(&mut self, line: Line) -> bool {
        if self.paging.is_none() {
            self.paging = self.service.allowance.take(Use::Page).map(|permit| (line, permit));
        }
        self.paging.as_ref().is_some_and(|(paging, _)| *paging == line)
    }
}

/// Something for the driver.
pub(super) fn access(line: Line, service: &Service, query: &QuerySpec) -> Output {
    Output::Access { attempt: line, request: AccessRequest::new(service, query) }
}

impl ClientCore {
    /// Something happened on a line of one of the streams.
    pub(in crate::client) fn on_line(&mut self, now: Duration, line: Line, happened: Happened<'_>) {
        let Some(streams) = &mut self.streams else { return };
        let Some(&id) = streams.lines.get(&line) else { return };
        let Some(mut stream) = streams.streams.remove(&id) else { return };
        let result = match &stream.side {
            Some(side) if side.line == line => match self.on_side(now, id, &mut stream, happened) {
                // a page that is refused says nothing of the query: its cursor may have grown old
                Err(error) if error.code() != code::FORBIDDEN && !error.is_unauthenticated() => {
                    if self.gives_up_looking(now, &mut stream) {
                        Ok(())
                    } else {
                        Err(if is_terminal(&error) { ended() } else { error })
                    }
                }
                result => result,
            },
            _ => self.on_main(now, id, &mut stream, happened),
        };
        self.put_back(now, id, stream, result);
    }

    fn put_back(&mut self, now: Duration, id: SessionId, mut stream: Stream, result: Result<(), Error>) {
        let ended = match result {
            Ok(()) => false,
            Err(error) => self.lost_stream(now, id, &mut stream, error),
        };
        if ended {
            self.close_reserve(id, &stream);
        } else if let Some(streams) = &mut self.streams {
            streams.streams.insert(id, stream);
        }
    }

    fn on_main(
        &mut self,
        now: Duration,
        id: SessionId,
        stream: &mut Stream,
        happened: Happened<'_>,
    ) -> Result<(), Error> {
        match (stream.phase, happened) {
            (Phase::Asking { .. }, Happened::Access(access)) => {
                stream.access = access?;
                self.open_stream(now, id, stream);
                Ok(())
            }
            (Phase::Handshake { .. }, Happened::Frame(bytes)) => self.shake_hands(now, id, stream, bytes),
            (Phase::Opening { .. }, Happened::Opened) => {
                stream.hear(now);
                stream.phase = Phase::Open;
                match stream.transport {
                    // its snapshot came with the handshake
                    Transport::WebSocket => self.go_on(now, id, stream, News::State),
                    Transport::Sse => {
                        stream.told = now;
                        stream.gathering = Some(Gathering::new(Why::Begin));
                        Ok(())
                    }
                }
            }
            (Phase::Open, Happened::Frame([])) => {
                stream.hear(now);
                Ok(())
            }
            (Phase::Open, Happened::Frame(bytes)) => {
                stream.hear(now);
                stream.told = now;
                self.event(now, id, stream, Event::parse(bytes, &stream.relations)?)
            }
            (_, Happened::Closed(error)) => Err(error.unwrap_or_else(ended)),
            _ => Ok(()),
        }
    }

    fn open_stream(&mut self, now: Duration, id: SessionId, stream: &mut Stream) {
        let (Some(streams), Some(session)) = (&mut self.streams, self.sessions.get_mut(&id)) else { return };
        let Some(line) = stream.line else { return };
        let answer_within = self.config.answer_within;
        let over_socket = stream.transport == Transport::WebSocket;
        stream.phase = match over_socket {
            // it comes with a whole page, of which nothing is heard before its end
            true => Phase::Handshake { overdue: now + answer_within * 3 },
            false => Phase::Opening { overdue: now + answer_within },
        };
        let address = Address::watch(&streams.service, &session.query, &stream.access, None, over_socket);
        let answer = if over_socket { Answer::Json } else { Answer::Events };
        let bearer = Bearer(stream.access.bearer.clone());
        self.outputs.push_back(Output::Call { attempt: line, call: Call { address, answer, bearer } });
    }

    /// The first page, and where the socket is.
    fn shake_hands(
        &mut self,
        now: Duration,
        id: SessionId,
        stream: &mut Stream,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let Handshake { rows, cursor, socket } = Handshake::parse(bytes, &stream.relations)?;
        let address = Address::socket(&socket)?;
        stream.hear(now);
        self.begin_gathering(id, stream, Why::Begin);
        stream.page.rows = rows;
        self.take_page(id, stream, cursor)?;
        let Some(streams) = &mut self.streams else { return Ok(()) };
        if let Some(line) = stream.line.take() {
            streams.lines.remove(&line);
            self.outputs.push_back(Output::Close { attempt: line });
        }
        let line = streams.line(id);
        stream.line = Some(line);
        stream.phase = Phase::Opening { overdue: now + self.config.answer_within };
        // its ticket stands in the address; a browser's socket has no headers
        let call = Call { address, answer: Answer::Socket, bearer: Bearer(None) };
        self.outputs.push_back(Output::Call { attempt: line, call });
        Ok(())
    }

    /// Its connections are closed, and what was under way on them is void; the rows stay.
    fn end_attempt(&mut self, id: SessionId, stream: &mut Stream) {
        self.end_side(stream);
        (stream.gathering, stream.doubted_until, stream.permit) = (None, None, None);
        if let (Some(line), Some(streams)) = (stream.line.take(), &mut self.streams) {
            streams.lines.remove(&line);
            self.outputs.push_back(Output::Close { attempt: line });
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.interrupt();
        }
        self.note(id);
    }

    /// The stream failed, however many signs of it there are: one decision. Says whether it has ended for good.
    fn lost_stream(&mut self, now: Duration, id: SessionId, stream: &mut Stream, error: Error) -> bool {
        self.end_attempt(id, stream);
        let Some(streams) = &mut self.streams else { return true };
        streams.last_error = Some(error.clone());
        let Some(session) = self.sessions.get_mut(&id) else { return true };
        let no_socket = error.code() == code::UNSUPPORTED_PROTOCOL
            && stream.transport == Transport::WebSocket
            && self.config.transport == TransportPreference::Auto;
        if no_socket {
            // it may be the query that is refused: what others may have is for them to find out
            stream.no_socket = true;
            stream.phase = Phase::Waiting { until: now };
        } else if error.is_unauthenticated() {
            // a ticket may have grown old on its way; one that has just been made has not
            stream.unauthenticated += 1;
            let again = streams.service.has_access && stream.unauthenticated == 1;
            stream.phase = if again { Phase::Waiting { until: now } } else { Phase::NeedsAuth };
        } else if is_terminal(&error) {
            session.phase = session::Phase::Failed;
            forget_rows(id, session, &mut self.spaces);
            session.error = Some(error);
            let space = session.query.space.clone();
            self.keep_nothing(now, id);
            self.commit(&space);
            self.note(id);
            return true;
        } else {
            stream.failures = stream.failures.saturating_add(1);
            match self.config.backoff.wait(stream.failures, &mut self.rng) {
                Some(wait) => stream.phase = Phase::Waiting { until: now + wait },
                None => {
                    (session.phase, session.error) = (session::Phase::Failed, Some(error));
                    self.note(id);
                    return true;
                }
            }
        }
        false
    }

    /// Begins an attempt, when a connection is free.
    fn begin_stream(&mut self, now: Duration, id: SessionId, stream: &mut Stream) {
        let Some(streams) = &mut self.streams else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some((transport, permit)) = streams.free_transport(self.config.transport, stream.no_socket)
        else {
            stream.phase = Phase::Queued;
            return;
        };
        (stream.transport, stream.permit) = (transport, permit);
        let line = streams.line(id);
        stream.line = Some(line);
        stream.access = Access::default();
        let overdue = now + self.config.answer_within;
        if streams.service.has_access {
            stream.phase = Phase::Asking { overdue };
            self.outputs.push_back(access(line, &streams.service, &session.query));
        } else {
            self.open_stream(now, id, stream);
        }
    }

    /// Whether a stream or a page that waits until others have ended may begin now; then feed [`Input::Tick`]. If not, `waker`
    /// is woken when that may have changed.
    ///
    /// [`Input::Tick`]: crate::client::Input::Tick
    pub fn may_begin(&self, waker: &Waker) -> bool {
        let Some(streams) = &self.streams else { return false };
        let stream = streams.streams.values().any(|stream| stream.phase == Phase::Queued);
        let page = streams.paging.is_none() && !streams.waiting.is_empty();
        let wanted = [stream.then_some(Use::Stream), page.then_some(Use::Page)];
        let wanted: Vec<_> = wanted.into_iter().flatten().collect();
        streams.service.allowance.has_or_wakes(&wanted, waker)
    }

    /// Streams begin with the sessions that somebody looks at, and end with them.
    pub(in crate::client) fn see_to_streams(&mut self, now: Duration) {
        let Some(streams) = &self.streams else { return };
        let is_on = streams.is_on();
        let over = streams.streams.keys().copied().filter(|id| !is_on || !self.is_looked_at(*id));
        let over: Vec<_> = over.collect();
        if !over.is_empty() {
            self.end_streams(over);
        }
        if !is_on {
            return;
        }
        self.fetch_next_page(now);
        let idle = |id: &SessionId| match self.streams.as_ref().and_then(|streams| streams.streams.get(id)) {
            Some(stream) => stream.phase == Phase::Queued,
            None => self.is_looked_at(*id),
        };
        let begin: Vec<_> = self.sessions.keys().copied().filter(idle).collect();
        for id in begin {
            let before = self.streams.as_mut().and_then(|streams| streams.streams.remove(&id));
            let mut stream = match before {
                Some(stream) => stream,
                None => {
                    let reserve = self.open_reserve(id);
                    Stream::new(now, reserve, self.relation_names(id))
                }
            };
            self.begin_stream(now, id, &mut stream);
            if let Some(streams) = &mut self.streams {
                streams.streams.insert(id, stream);
            }
        }
        self.say_what_is_wrong();
    }

    /// Once all streams are well, only the error of a list that is refused is left: it has none, and is on the screen.
    fn say_what_is_wrong(&mut self) {
        let Some(streams) = self.streams.as_mut().filter(|streams| streams.last_error.is_some()) else {
            return;
        };
        if streams.are_well() {
            let refused = self.sessions.values().find(|session| session.has_failed());
            streams.last_error = refused.and_then(|session| session.error.clone());
        }
    }

    /// Ends streams for good; the rows stay.
    pub(super) fn end_streams(&mut self, ids: Vec<SessionId>) {
        for id in ids {
            let stream = self.streams.as_mut().and_then(|streams| streams.streams.remove(&id));
            let Some(mut stream) = stream else { continue };
            self.end_attempt(id, &mut stream);
            self.close_reserve(id, &stream);
        }
    }

    fn relation_names(&self, id: SessionId) -> Vec<String> {
        let query = self.sessions.get(&id).map(|session| &session.query);
        let names =
            self.streams.as_ref().zip(query).map(|(streams, query)| streams.service.relations_of(query));
        names.unwrap_or_default()
    }

    fn is_looked_at(&self, id: SessionId) -> bool {
        let session = self.sessions.get(&id);
        session.is_some_and(|session| !session.watches.is_empty() && session.phase != session::Phase::Failed)
    }

    pub(in crate::client) fn tick_streams(&mut self, now: Duration) {
        let given_up =
            |(id, space): (&SpaceId, &mut Space)| space.queue.give_up_waiting(now).then(|| id.clone());
        for space in self.spaces.iter_mut().filter_map(given_up).collect::<Vec<_>>() {
            self.commit(&space);
        }
        let answer_within = self.config.answer_within;
        let Some(streams) = &self.streams else { return };
        let due = streams.streams.iter().filter_map(|(&id, stream)| {
            let (at, due) = stream.next_due(answer_within)?;
            (now >= at).then_some((id, due))
        });
        for (id, due) in due.collect::<Vec<_>>() {
            self.with_stream(now, id, |core, stream| match due {
                Due::TimedOut if core.gives_up_looking(now, stream) => Ok(()),
                Due::TimedOut => Err(Error::new(code::TIMEOUT, "the service did not answer in time")),
                Due::Begin => {
                    core.begin_stream(now, id, stream);
                    Ok(())
                }
                Due::Look => {
                    core.look(now, id, stream);
                    Ok(())
                }
            });
        }
    }

    pub(super) fn with_stream(
        &mut self,
        now: Duration,
        id: SessionId,
        act: impl FnOnce(&mut Self, &mut Stream) -> Result<(), Error>,
    ) {
        let stream = self.streams.as_mut().and_then(|streams| streams.streams.remove(&id));
        let Some(mut stream) = stream else { return };
        let result = act(self, &mut stream);
        self.put_back(now, id, stream, result);
    }

    /// Does not wait for what would come by itself.
    pub(in crate::client) fn retry_streams(&mut self, now: Duration, why: Retry) {
        let ids: Vec<_> = self.streams.iter().flat_map(|streams| streams.streams.keys().copied()).collect();
        for id in ids {
            self.with_stream(now, id, |core, stream| {
                let is_sse = stream.transport == Transport::Sse;
                if why != Retry::Hint {
                    (stream.failures, stream.unauthenticated, stream.no_socket) = (0, 0, false);
                }
                match stream.phase {
                    // whoever it is now is to be seen by the service; the rows stay until it has answered
                    _ if why == Retry::OtherCredentials && stream.phase != Phase::Queued => {
                        core.end_attempt(id, stream);
                        core.begin_stream(now, id, stream);
                    }
                    Phase::Waiting { .. } => core.begin_stream(now, id, stream),
                    Phase::NeedsAuth if why != Retry::Hint => core.begin_stream(now, id, stream),
                    Phase::Open if is_sse => stream.hurry(now),
                    Phase::Open if stream.is_live() && stream.side.is_none() => core.look(now, id, stream),
                    _ => {}
                }
                Ok(())
            });
        }
    }

    pub(in crate::client) fn enable_streams(&mut self, enabled: bool) {
        if let Some(streams) = &mut self.streams {
            streams.enabled = enabled;
        }
    }

    pub(in crate::client) fn close_streams(&mut self) {
        if let Some(streams) = &mut self.streams {
            streams.closed = true;
        }
    }
}

pub(super) fn ended() -> Error {
    Error::new(code::CONNECTION, "the service ended the stream")
}

/// Trying again cannot help.
fn is_terminal(error: &Error) -> bool {
    matches!(
        error.code(),
        code::FORBIDDEN | code::UNKNOWN_SPACE | code::BAD_QUERY | code::UNSUPPORTED_PROTOCOL
    )
}
