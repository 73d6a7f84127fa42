//! The real engine for the real client, in the test's own process.

mod builder;
mod connections;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syncline::transport::memory::MemoryConnector;
use syncline_core::space::{
    Access, Actions, Commit, Config, ConnId, Engine, Gauges, Identity, Input, Output,
};
use syncline_core::{Error, Query, Record, Schema, code};
use tokio::sync::Notify;
use tokio::time::Instant;

pub use builder::LocalServerBuilder;

use crate::disk::Disk;
use connections::Connection;

/// When a server is started for the first time, in Unix ms.
const EPOCH: u64 = 1_750_000_000_000;

/// A server for tests of hooks, components and programs: the real engine over a disk in memory, behind the client's
/// memory transport. It runs on tokio, in tokio's time: where a test pauses the clock, the server's stands still too.
///
/// What a [`Sim`](crate::Sim) does for state machines under faults, this does for the code around them.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use syncline::{Client, Record};
/// use syncline_testkit::LocalServer;
///
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
/// #[record(collection = "todos", key = id)]
/// struct Todo {
///     id: String,
///     text: String,
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), syncline::Error> {
/// let server = LocalServer::builder().record::<Todo>().start();
/// let client = Client::builder("local").connector(server.connector()).build();
/// client.put("home", Todo { id: "1".into(), text: "Milk".into() }).await?;
/// assert_eq!(server.rows(&Todo::in_space("home")).len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LocalServer {
    shared: Arc<Shared>,
    connector: MemoryConnector,
}

type Authenticate = Box<dyn Fn(Option<&str>) -> Result<Identity, Error> + Send + Sync>;

/// What the server's tasks share.
struct Shared {
    state: Mutex<State>,
    /// The engine may want to be woken at another time.
    touched: Notify,
    started: Instant,
}

struct State {
    /// There is none while the server is down.
    engine: Option<Engine>,
    lives: u64,
    disk: Disk,
    connections: BTreeMap<ConnId, Connection>,
    next_conn: ConnId,
    schema: Schema,
    access: Arc<dyn Access>,
    actions: Arc<dyn Actions>,
    config: Config,
    authenticate: Authenticate,
    refuses: bool,
    holds: bool,
    held: Vec<Commit>,
}

impl LocalServer {
    /// Sets up a server.
    pub fn builder() -> LocalServerBuilder {
        LocalServerBuilder::new()
    }

    /// The way to it, for [`ClientBuilder::connector`](syncline::ClientBuilder::connector). Any number of clients may
    /// use it.
    pub fn connector(&self) -> MemoryConnector {
        self.connector.clone()
    }

    /// What a query finds in the server's storage, whoever may see it.
    pub fn rows<R: Record>(&self, query: &Query<R>) -> Vec<R> {
        let state = self.shared.lock();
        let rows = state.disk.query(query.spec(), &state.schema);
        rows.iter().filter_map(|row| row.as_any().downcast_ref::<R>()).cloned().collect()
    }

    /// What the engine holds; nothing while the server is down.
    pub fn gauges(&self) -> Gauges {
        self.shared.lock().engine.as_ref().map(Engine::gauges).unwrap_or_default()
    }

    /// Keeps the disk from finishing anything: writes stay without an answer.
    pub fn hold_commits(&self) {
        self.shared.lock().holds = true;
    }

    /// Lets the disk finish what it has got, and what comes.
    pub fn release_commits(&self) {
        let held = {
            let mut state = self.shared.lock();
            state.holds = false;
            std::mem::take(&mut state.held)
        };
        for commit in held {
            let input = self.shared.lock().store(&commit);
            self.shared.handle(input);
        }
    }

    /// From now on every commit fails, or none any more.
    pub fn fail_commits(&self, fail: bool) {
        self.shared.lock().disk.failing = fail;
    }

    /// From now on new connections are refused, or taken again. Those there are stay.
    pub fn refuse_connections(&self, refuse: bool) {
        self.shared.lock().refuses = refuse;
    }

    /// Cuts all connections. Clients come back by themselves.
    pub fn cut(&self) {
        let conns: Vec<_> = std::mem::take(&mut self.shared.lock().connections).into_keys().collect();
        for conn in conns {
            self.shared.handle(Input::Disconnected { conn });
        }
    }

    /// Kills the server: connections break, and what is not on the disk is forgotten.
    pub fn crash(&self) {
        let mut state = self.shared.lock();
        state.engine = None;
        state.connections.clear();
        state.held.clear();
    }

    /// Starts the server again, with what its disk holds. Nothing happens when it runs.
    pub fn start_again(&self) {
        self.shared.lock().start();
        self.shared.touched.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        EPOCH + self.started.elapsed().as_millis() as u64
    }

    fn handle(&self, input: Input) {
        self.lock().handle(self.now(), input);
        self.touched.notify_one();
    }

    /// Wakes the engine whenever it wants to be woken.
    async fn keep_time(&self) {
        loop {
            let deadline = self.lock().engine.as_ref().and_then(Engine::deadline);
            let touched = self.touched.notified();
            match deadline {
                None => touched.await,
                Some(at) => {
                    let at = self.started + std::time::Duration::from_millis(at.saturating_sub(EPOCH));
                    if tokio::time::timeout_at(at, touched).await.is_err() {
                        self.handle(Input::Tick);
                    }
                }
            }
        }
    }
}

impl State {
    fn start(&mut self) {
        if self.engine.is_none() {
            self.lives += 1;
            let (schema, access) = (self.schema.clone(), Arc::clone(&self.access));
            let engine = Engine::new(self.config.clone(), schema, access, self.lives);
            self.engine = Some(engine.actions(Arc::clone(&self.actions)));
        }
    }

    fn handle(&mut self, now: u64, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let Some(engine) = &mut self.engine else { return };
            engine.handle(now, input);
            while let Some(output) = self.engine.as_mut().and_then(Engine::poll_output) {
                inputs.extend(self.answer(output));
            }
        }
    }

    fn answer(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Authenticate { conn, token } => {
                let result = (self.authenticate)(token.as_deref());
                Some(Input::Authenticated { conn, result })
            }
            Output::Send { conn, frame, drained, .. } => {
                if let Some(connection) = self.connections.get(&conn) {
                    connection.send(frame, drained);
                }
                None
            }
            Output::Close { conn, .. } => {
                if let Some(connection) = self.connections.remove(&conn) {
                    connection.close();
                }
                None
            }
            Output::Load { space } => {
                let result = Ok(self.disk.image(&space));
                Some(Input::Loaded { space, result })
            }
            Output::Commit(commit) if self.holds => {
                self.held.push(*commit);
                None
            }
            Output::Commit(commit) => Some(self.store(&commit)),
            Output::Acted { .. } | Output::Unreadable { .. } => None,
        }
    }

    fn store(&mut self, commit: &Commit) -> Input {
        let result = match self.disk.failing {
            true => Err(Error::new(code::STORAGE, "the disk fails, as it was told")),
            false => self
                .disk
                .apply(commit, &self.schema)
                .map_err(|violation| Error::new(code::STORAGE, violation)),
        };
        Input::Committed { space: commit.space.clone(), commit: commit.id, result }
    }
}
