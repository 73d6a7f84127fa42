//! The network between clients and server: connections that open, carry, break and fall silent.

use std::sync::Arc;
use std::time::Duration;

use syncline_core::client::{self, Transport};
use syncline_core::space::{self, ConnId};
use syncline_core::wire::{Frame, ServerMessage};
use syncline_core::{Error, code};

use crate::connection::{Connection, End};
use crate::faults::{Direction, Fault, Faults};
use crate::outbox::Put;
use crate::sim::Sim;
use crate::sim::event::Event;
use crate::trace::Who;

/// How long a connection that the server has ended may take to read what waits for it.
const LAST_WORDS: Duration = Duration::from_secs(5);

impl Sim {
    /// What goes wrong by itself from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.trace.note(self.now, Who::Test, format!("{faults:?}"));
        self.faults = faults;
    }

    /// The most attempts to connect that one client may make within a minute; more of them end the run. 240: a server
    /// that takes every connection and loses it again is met that often. A test of a server that is away sets less.
    pub fn limit_attempts_a_minute(&mut self, attempts: usize) {
        self.attempts_a_minute = attempts;
    }

    fn travels(&mut self, client: usize, direction: Direction) -> Duration {
        let path = &self.clients[client].path;
        let (latency, jitter) = (path.latency(direction), path.jitter);
        latency + self.rng.duration(jitter)
    }

    #[track_caller]
    pub(super) fn connect(&mut self, client: usize, attempt: u64, transport: Transport, hello: Vec<u8>) {
        self.trace.note(
            self.now,
            Who::Client(client),
            format!("connects over {} ({attempt})", transport.as_str()),
        );
        if self.connections.values().any(|conn| conn.client == client && conn.client_end != End::Closed) {
            self.fail("a client opens a connection while it has one");
        }
        let now = self.now;
        let attempts = self.clients[client].note_attempt(now);
        if attempts > self.attempts_a_minute {
            let name = &self.clients[client].name;
            self.fail(format_args!("{name} tried to connect {attempts} times within a minute"));
        }
        self.next_conn += 1;
        let id = self.next_conn;
        let mut conn = Connection::new(client, attempt, transport, self.outbox_bytes);
        self.clients[client].conn = Some(id);
        if self.clients[client].partitioned || self.rng.chance(self.faults.hang) {
            (conn.dead, conn.server_end) = (true, End::Closed);
            self.connections.insert(id, conn);
            return;
        }
        self.connections.insert(id, conn);
        let refused =
            self.clients[client].refused.contains(&transport) || self.rng.chance(self.faults.refuse);
        if refused {
            self.refuse(id);
            return;
        }
        let hello = (transport == Transport::Sse).then_some(hello);
        let travels = self.travels(client, Direction::ToServer);
        self.push_in_turn(id, Direction::ToServer, travels, Event::Arrives { conn: id, hello });
    }

    fn refuse(&mut self, id: ConnId) {
        let Some(conn) = self.connections.get_mut(&id) else { return };
        (conn.dead, conn.server_end) = (true, End::Closed);
        let client = conn.client;
        let travels = self.travels(client, Direction::ToServer) + self.travels(client, Direction::ToClient);
        let error = Some(Error::new(code::CONNECTION, "the connection was refused"));
        self.push(travels, Event::ClientLearns { conn: id, error });
    }

    fn push_in_turn(&mut self, id: ConnId, direction: Direction, after: Duration, event: Event) {
        let Some(conn) = self.connections.get_mut(&id) else { return };
        let at = conn.in_turn(direction, self.now + after);
        self.events.push(at, event);
    }

    #[track_caller]
    pub(super) fn arrives(&mut self, id: ConnId, hello: Option<Vec<u8>>) {
        let Some(conn) = self.connections.get_mut(&id).filter(|conn| !conn.dead) else { return };
        if self.server.engine.is_none() {
            self.refuse(id);
            return;
        }
        conn.server_end = End::Open;
        let (client, link) = (conn.client, (conn.transport == Transport::Sse).then(|| format!("link-{id}")));
        let travels = self.travels(client, Direction::ToClient);
        self.push_in_turn(id, Direction::ToClient, travels, Event::Opens { conn: id });
        self.feed_server(space::Input::Connected { conn: id, link });
        if let Some(bytes) = hello {
            self.trace.frame(self.now, Who::Server, format!("← {}", self.clients[client].name), &bytes);
            self.feed_server(space::Input::Frame { conn: id, bytes });
        }
    }

    #[track_caller]
    pub(super) fn opens(&mut self, id: ConnId) {
        let (now, opens) = (self.now, |conn: &&mut Connection| conn.client_end == End::Before);
        let Some(conn) = self.connections.get_mut(&id).filter(opens).filter(|conn| !conn.loses(now)) else {
            return;
        };
        conn.client_end = End::Open;
        let (client, attempt) = (conn.client, conn.attempt);
        self.feed_client(client, client::Input::Opened { attempt });
    }

    /// A client hands a frame to its connection.
    pub(super) fn client_sends(&mut self, client: usize, attempt: u64, frame: Vec<u8>) {
        let current = self.clients[client].conn.filter(|id| {
            self.connections
                .get(id)
                .is_some_and(|conn| conn.attempt == attempt && conn.client_end == End::Open)
        });
        if let Some(id) = current {
            self.transmit(id, Direction::ToServer, frame.into());
        }
    }

    /// A client closes its connection. What it has sent arrives before.
    pub(super) fn client_closes(&mut self, client: usize, attempt: u64) {
        self.trace.note(self.now, Who::Client(client), format!("closes its connection ({attempt})"));
        let Some(id) = self.clients[client].conn else { return };
        let Some(conn) = self.connections.get_mut(&id).filter(|conn| conn.attempt == attempt) else { return };
        conn.client_end = End::Closed;
        if conn.dead {
            self.forget_if_over(id);
            return;
        }
        let travels = self.travels(client, Direction::ToServer);
        self.push_in_turn(id, Direction::ToServer, travels, Event::ServerLearns { conn: id });
    }

    /// Sends a frame on its way, with whatever may happen to it there.
    fn transmit(&mut self, id: ConnId, direction: Direction, frame: Arc<[u8]>) {
        let Some(client) = self.connections.get(&id).filter(|conn| !conn.dead).map(|conn| conn.client) else {
            return;
        };
        let fault = self.meddle(client, direction, &frame).or_else(|| self.chance_fault());
        if let Some(fault) = fault {
            self.trace.frame(self.now, Who::Client(client), format!("{direction:?} {fault:?}"), &frame);
        }
        let travels = self.travels(client, direction);
        match fault {
            None => {}
            Some(Fault::Drop) => {
                self.miss(id, direction, &frame);
                return;
            }
            Some(Fault::Duplicate) => {
                let again = travels + self.rng.duration(travels * 4);
                self.push(again, carried(id, direction, Arc::clone(&frame)));
            }
            Some(Fault::Delay(later)) => {
                self.push(travels + later, carried(id, direction, frame));
                return;
            }
            Some(Fault::Cut) => {
                self.cut_connection(id);
                return;
            }
            Some(Fault::HalfOpen) => {
                self.silence(id);
                return;
            }
        }
        if self.clients[client].held.contains(&direction) {
            if let Some(conn) = self.connections.get_mut(&id) {
                conn.hold(direction, frame);
            }
            return;
        }
        self.push_in_turn(id, direction, travels, carried(id, direction, frame));
    }

    /// The fault that a test has planned for such a frame.
    fn meddle(&mut self, client: usize, direction: Direction, frame: &[u8]) -> Option<Fault> {
        let meddling = &mut self.clients[client].meddling;
        let planned =
            meddling.iter().position(|one| one.direction == direction && is_message(frame, &one.message))?;
        Some(meddling.remove(planned).fault)
    }

    fn chance_fault(&mut self) -> Option<Fault> {
        let Faults { drop, duplicate, reorder, cut, half_open, .. } = self.faults;
        let late = Fault::Delay(Duration::from_millis(5 + self.rng.below(300)));
        let faults = [
            (drop, Fault::Drop),
            (duplicate, Fault::Duplicate),
            (reorder, late),
            (cut, Fault::Cut),
            (half_open, Fault::HalfOpen),
        ];
        faults.into_iter().find(|(probability, _)| self.rng.chance(*probability)).map(|(_, fault)| fault)
    }

    /// A client cannot know that it misses a change until it hears of the space again.
    fn miss(&mut self, id: ConnId, direction: Direction, frame: &[u8]) {
        if direction == Direction::ToClient
            && is_message(frame, "changes")
            && let Ok(Frame { message: ServerMessage::Changes(changes), .. }) = Frame::parse(frame)
            && let Some(conn) = self.connections.get_mut(&id)
        {
            let missed = conn.missed.entry(changes.space).or_default();
            *missed = changes.to.max(*missed);
        }
    }

    fn heard_of(&mut self, id: ConnId, frame: &[u8]) {
        if let Some(conn) = self.connections.get_mut(&id).filter(|conn| !conn.missed.is_empty())
            && is_message(frame, "changes")
            && let Ok(Frame { message: ServerMessage::Changes(changes), .. }) = Frame::parse(frame)
        {
            conn.missed.retain(|space, missed| *space != changes.space || changes.from < *missed);
        }
    }

    /// Breaks a connection; both ends learn of it, each in its own time.
    pub(super) fn cut_connection(&mut self, id: ConnId) {
        let Some(client) = self.kill(id) else { return };
        self.trace.note(self.now, Who::Client(client), "is cut off");
        let (there, here) =
            (self.travels(client, Direction::ToServer), self.travels(client, Direction::ToClient));
        self.push(there, Event::ServerLearns { conn: id });
        self.push(here, Event::ClientLearns { conn: id, error: None });
    }

    /// Makes a connection lose everything; nobody learns of it.
    pub(super) fn silence(&mut self, id: ConnId) {
        if let Some(client) = self.kill(id) {
            self.trace.note(self.now, Who::Client(client), "has a connection that is silent from now on");
        }
    }

    /// From now on nothing is carried; some of what is on its way still arrives.
    fn kill(&mut self, id: ConnId) -> Option<usize> {
        let client = self.connections.get(&id).filter(|conn| !conn.dead)?.client;
        let longest = self.travels(client, Direction::ToClient);
        let last = self.now + self.rng.duration(longest);
        let conn = self.connections.get_mut(&id)?;
        (conn.dead, conn.last_arrival) = (true, last);
        Some(client)
    }

    #[track_caller]
    pub(super) fn frame_to_server(&mut self, id: ConnId, frame: &[u8]) {
        let arrives = |conn: &&Connection| conn.server_end == End::Open && !conn.loses(self.now);
        let Some(conn) = self.connections.get(&id).filter(arrives) else { return };
        self.trace.frame(self.now, Who::Server, format!("← {}", self.clients[conn.client].name), frame);
        self.feed_server(space::Input::Frame { conn: id, bytes: frame.to_vec() });
    }

    #[track_caller]
    pub(super) fn frame_to_client(&mut self, id: ConnId, frame: &[u8]) {
        let arrives = |conn: &&Connection| conn.client_end == End::Open && !conn.loses(self.now);
        let Some(conn) = self.connections.get(&id).filter(arrives) else { return };
        let (client, attempt) = (conn.client, conn.attempt);
        self.trace.frame(self.now, Who::Client(client), "←", frame);
        self.heard_of(id, frame);
        self.feed_client(client, client::Input::Frame { attempt, bytes: frame });
    }

    #[track_caller]
    pub(super) fn server_learns(&mut self, id: ConnId) {
        let Some(conn) = self.connections.get_mut(&id) else { return };
        let before = std::mem::replace(&mut conn.server_end, End::Closed);
        conn.dead = true;
        self.forget_if_over(id);
        if before == End::Open {
            self.feed_server(space::Input::Disconnected { conn: id });
        }
    }

    #[track_caller]
    pub(super) fn client_learns(&mut self, id: ConnId, error: Option<Error>) {
        let Some(conn) = self.connections.get_mut(&id).filter(|conn| conn.client_end != End::Closed) else {
            return;
        };
        conn.client_end = End::Closed;
        conn.dead = true;
        let (client, attempt) = (conn.client, conn.attempt);
        self.forget_if_over(id);
        self.trace.note(
            self.now,
            Who::Client(client),
            format!("learns that its connection ({attempt}) is gone"),
        );
        self.feed_client(client, client::Input::Closed { attempt, error });
        // one failure can raise several signals
        if self.rng.chance(0.2) {
            self.feed_client(client, client::Input::Closed { attempt, error: None });
        }
    }

    fn forget_if_over(&mut self, id: ConnId) {
        if self.connections.get(&id).is_some_and(Connection::is_over) {
            self.connections.remove(&id);
        }
    }

    /// The engine hands a frame to a connection.
    pub(super) fn server_sends(&mut self, id: ConnId, frame: Arc<[u8]>, lossy: bool, drained: bool) {
        let Some(conn) = self.connections.get_mut(&id).filter(|conn| conn.server_end == End::Open) else {
            return;
        };
        match conn.outbox.put(frame, lossy, drained) {
            Put::Done => {}
            Put::Lagged => {
                self.trace.note(self.now, Who::Server, "throws away what waits for a slow reader");
                self.push(Duration::ZERO, Event::Lagged { conn: id });
            }
            Put::Stuck => self.cut_connection(id),
        }
        self.pump_outbox(id);
    }

    /// The engine ends a connection.
    pub(super) fn server_closes(&mut self, id: ConnId) {
        let Some(conn) = self.connections.get_mut(&id).filter(|conn| conn.server_end == End::Open) else {
            return;
        };
        conn.outbox.close();
        self.push(LAST_WORDS, Event::Ends { conn: id });
        self.pump_outbox(id);
    }

    /// Lets leave what can leave.
    pub(super) fn pump_outbox(&mut self, id: ConnId) {
        loop {
            let Some(conn) = self.connections.get_mut(&id).filter(|conn| conn.server_end == End::Open) else {
                return;
            };
            let client = &self.clients[conn.client];
            if !client.reading {
                return;
            }
            let Some(bytes) = conn.outbox.begin() else { break };
            let micros =
                client.path.bytes_per_second.map_or(0, |rate| bytes as u64 * 1_000_000 / rate.max(1));
            if micros > 0 {
                self.push(Duration::from_micros(micros), Event::Left { conn: id });
                return;
            }
            self.leave(id);
        }
        let Some(conn) = self.connections.get_mut(&id).filter(|conn| conn.outbox.is_empty()) else { return };
        let epoch = conn.outbox.epoch();
        if conn.outbox.has_room_again() {
            self.push(Duration::ZERO, Event::Drained { conn: id, epoch });
        }
        self.end_if_empty(id);
    }

    fn leave(&mut self, id: ConnId) {
        let Some(conn) = self.connections.get_mut(&id) else { return };
        let Some(left) = conn.outbox.left() else { return };
        let (client, epoch) = (conn.client, conn.outbox.epoch());
        if left.drained {
            self.push(Duration::ZERO, Event::Drained { conn: id, epoch });
        }
        let leaks =
            |secret: &Vec<u8>| left.frame.windows(secret.len()).any(|window| window == secret.as_slice());
        if self.clients[client].secrets.iter().any(leaks) {
            let (name, frame) = (&self.clients[client].name, String::from_utf8_lossy(&left.frame));
            self.fail(format_args!("{name} is sent what it must never see: {frame}"));
        }
        self.transmit(id, Direction::ToClient, left.frame);
    }

    pub(super) fn left(&mut self, id: ConnId) {
        self.leave(id);
        self.pump_outbox(id);
    }

    #[track_caller]
    pub(super) fn lagged(&mut self, id: ConnId) {
        if self.is_served(id) {
            self.feed_server(space::Input::Lagged { conn: id });
        }
    }

    #[track_caller]
    pub(super) fn drained(&mut self, id: ConnId, epoch: u64) {
        let Some(conn) = self.connections.get_mut(&id).filter(|conn| conn.server_end == End::Open) else {
            return;
        };
        if conn.outbox.epoch() == epoch {
            conn.outbox.resume();
            self.feed_server(space::Input::Drained { conn: id });
        }
    }

    fn is_served(&self, id: ConnId) -> bool {
        self.connections.get(&id).is_some_and(|conn| conn.server_end == End::Open)
    }

    /// The server's end is closed once nothing waits any more.
    fn end_if_empty(&mut self, id: ConnId) {
        let Some(conn) = self.connections.get_mut(&id) else { return };
        if !conn.outbox.is_closing() || !conn.outbox.is_empty() || conn.server_end != End::Open {
            return;
        }
        conn.server_end = End::Closed;
        let (client, dead) = (conn.client, conn.dead);
        if !dead {
            let travels = self.travels(client, Direction::ToClient);
            self.push_in_turn(
                id,
                Direction::ToClient,
                travels,
                Event::ClientLearns { conn: id, error: None },
            );
        }
        self.forget_if_over(id);
    }

    /// The time for last words is over.
    pub(super) fn ends(&mut self, id: ConnId) {
        if self.is_served(id) {
            if let Some(conn) = self.connections.get_mut(&id) {
                conn.server_end = End::Closed;
            }
            self.cut_connection(id);
            self.forget_if_over(id);
        }
    }

    pub(super) fn connections_of(&self, client: usize) -> Vec<ConnId> {
        self.connections.iter().filter(|(_, conn)| conn.client == client).map(|(id, _)| *id).collect()
    }

    /// Lets go of what was kept back for a client.
    pub(super) fn release_frames(&mut self, client: usize, direction: Direction) {
        for id in self.connections_of(client) {
            let frames =
                self.connections.get_mut(&id).map(|conn| conn.release(direction)).unwrap_or_default();
            for frame in frames {
                let travels = self.travels(client, direction);
                self.push_in_turn(id, direction, travels, carried(id, direction, frame));
            }
        }
    }
}

fn carried(conn: ConnId, direction: Direction, frame: Arc<[u8]>) -> Event {
    match direction {
        Direction::ToServer => Event::ToServer { conn, frame },
        Direction::ToClient => Event::ToClient { conn, frame },
    }
}

/// Whether a frame is a message of this name.
fn is_message(frame: &[u8], name: &str) -> bool {
    frame
        .strip_prefix(b"{\"")
        .and_then(|rest| rest.strip_prefix(name.as_bytes()))
        .is_some_and(|rest| rest.first() == Some(&b'"'))
}
