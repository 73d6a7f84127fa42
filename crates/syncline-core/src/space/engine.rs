//! The engine itself: its state, and which part of it handles what.
//!
//! The files below take one kind of event each; what they have in common is one rule. Whatever is committed is shown,
//! and nothing else is; who is told of it, and how fast, never holds up anybody else.

mod acts;
mod answers;
mod clock;
mod commits;
mod frames;
mod handshake;
mod loading;
mod subscriptions;
mod writes;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, code};
use crate::id::SpaceId;
use crate::rng::Rng;
use crate::schema::Schema;
use crate::space::access::Access;
use crate::space::actions::{Actions, Channels};
use crate::space::config::Config;
use crate::space::connection::{Connection, Connections};
use crate::space::engine::clock::ms;
use crate::space::feed::{Feed, Outputs};
use crate::space::hosted::Hosted;
use crate::space::io::{ConnId, Gauges, Input, Output};
use crate::space::loads::{Idle, Loads};
use crate::space::timers::Timers;
use crate::space::writers::Writers;
use crate::wire::ServerMessage;

/// The space engine. See the [module](crate::space) for how to drive it.
pub struct Engine {
    config: Config,
    schema: Schema,
    access: Arc<dyn Access>,
    actions: Arc<dyn Actions>,
    rng: Rng,
    now: u64,
    connections: Connections,
    spaces: BTreeMap<SpaceId, Hosted>,
    loads: Loads,
    idle: Idle,
    timers: Timers,
    commits: u64,
    stopping: bool,
    outputs: Outputs,
}

impl Engine {
    /// An engine without connections, and without [`actions`](Self::actions). `seed` is where its random numbers come from: the ids of new histories. Give a
    /// different one at every start.
    pub fn new(config: Config, schema: Schema, access: Arc<dyn Access>, seed: u64) -> Self {
        let loads = Loads::new(config.loads);
        Self {
            config,
            schema,
            access,
            actions: Arc::new(Channels::default()),
            rng: Rng::new(seed),
            now: 0,
            connections: Connections::new(),
            spaces: BTreeMap::new(),
            loads,
            idle: Idle::default(),
            timers: Timers::default(),
            commits: 0,
            stopping: false,
            outputs: Outputs::new(),
        }
    }

    /// What does the actions of channels; without it there is no channel.
    #[must_use]
    pub fn actions(mut self, actions: Arc<dyn Actions>) -> Self {
        self.actions = actions;
        self
    }

    /// Takes in what happened, at `now` in Unix ms. Call [`poll_output`](Self::poll_output) afterwards, until it
    /// returns `None`, before the next call.
    pub fn handle(&mut self, now: u64, input: Input) {
        // a clock that is set back must not bring timers back
        self.now = self.now.max(now);
        match input {
            Input::Connected { conn, link } => self.connected(conn, link),
            Input::Frame { conn, bytes } => self.frame(conn, &bytes),
            Input::Authenticated { conn, result } => self.authenticated(conn, result),
            Input::Drained { conn } => self.drained(conn),
            Input::Lagged { conn } => self.lagged(conn),
            Input::Disconnected { conn } => self.forget(conn),
            Input::Loaded { space, result } => self.loaded(&space, result),
            Input::Committed { space, commit, result } => self.committed(&space, commit, result),
            Input::RightsChanged { user } => self.rights_changed(&user),
            Input::Act { call, user, space, write, action } => self.act(call, user, &space, write, &action),
            Input::Tick => self.tick(),
            Input::Shutdown => self.stopping = true,
        }
        if self.stopping {
            self.stop_when_quiet();
        }
    }

    /// The next thing to be done. To be polled after every [`handle`](Self::handle) until there is none.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to feed [`Input::Tick`], in Unix ms. May change with every [`handle`](Self::handle).
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        let unload = self.idle.first().map(|since| since + ms(self.config.idle_unload));
        self.timers.next().into_iter().chain(unload).min()
    }

    /// What the engine holds at the moment.
    pub fn gauges(&self) -> Gauges {
        Gauges {
            connections: self.connections.len(),
            subscriptions: self.connections.values().map(|connection| connection.subs.len()).sum(),
            spaces: self.spaces.len(),
            writes_waiting: self.spaces.values().map(Hosted::writes).sum(),
        }
    }

    fn connected(&mut self, conn: ConnId, link: Option<String>) {
        if self.stopping {
            self.outputs.push_back(Output::Close { conn, error: Some(stopping()) });
            return;
        }
        let feed = Feed::new(conn, self.config.chunk_bytes, self.config.backlog_bytes);
        let writers = Writers::new(self.config.limits.writes_in_flight);
        let connection = Connection::new(link, feed, writers, self.now);
        self.connections.insert(conn, Box::new(connection));
        self.look_after(conn);
    }

    /// Ends a connection with a word to the client.
    fn end(&mut self, conn: ConnId, error: Error) {
        if let Some(connection) = self.connections.get(&conn) {
            connection.feed.control(&ServerMessage::Error(error.clone()), &mut self.outputs);
        }
        self.close(conn, Some(error));
    }

    fn close(&mut self, conn: ConnId, error: Option<Error>) {
        if self.connections.contains_key(&conn) {
            self.forget(conn);
            self.outputs.push_back(Output::Close { conn, error });
        }
    }

    fn forget(&mut self, conn: ConnId) {
        let Some(mut connection) = self.connections.remove(&conn) else { return };
        self.timers.clear(conn, &mut connection.alarm);
        for (sub, subscription) in &connection.subs {
            self.let_go(conn, *sub, subscription);
        }
        for space in connection.feed.asks() {
            self.no_longer_asks(conn, space);
        }
    }

    fn stop_when_quiet(&mut self) {
        if self.spaces.values().any(Hosted::has_writes) {
            return;
        }
        let all: Vec<_> = self.connections.keys().copied().collect();
        for conn in all {
            self.end(conn, stopping());
        }
    }
}

fn stopping() -> Error {
    Error::new(code::CONNECTION, "the server is stopping")
}
