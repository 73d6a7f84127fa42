//! The two kinds of ends: clients and the server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use syncline_core::client::{ClientCore, Config, Transport, WatchId, WriteRef};
use syncline_core::space::{ConnId, Engine, Identity};
use syncline_core::wire::User;
use syncline_core::{ClientId, Error, SpaceId, Version, code};

use crate::faults::{CrashPoint, Direction, Fault, Path};
use crate::mirror::AnyMirror;
use crate::related::AnyRelated;

/// When a simulation starts, in Unix ms.
const EPOCH: u64 = 1_750_000_000_000;

/// One client and what is around it.
pub(crate) struct ClientNode {
    pub(crate) name: String,
    pub(crate) user: User,
    pub(crate) core: ClientCore,
    /// Its clock started so long before the simulation's.
    pub(crate) ahead: Duration,
    pub(crate) deadline: Option<Duration>,
    pub(crate) conn: Option<ConnId>,
    pub(crate) path: Path,
    pub(crate) refused: Vec<Transport>,
    pub(crate) partitioned: bool,
    pub(crate) held: Vec<Direction>,
    pub(crate) reading: bool,
    pub(crate) online: bool,
    /// The page is closed.
    pub(crate) gone: bool,
    pub(crate) meddling: Vec<Meddling>,
    pub(crate) watches: BTreeMap<WatchId, Watched>,
    /// Where it has looked at several lists at a time: what one of them brings stays in the others, also when it is gone.
    pub(crate) shared: BTreeSet<SpaceId>,
    pub(crate) writes: BTreeMap<WriteRef, Written>,
    pub(crate) credentials: Credentials,
    pub(crate) remembered: Option<Transport>,
    /// Where it keeps rows.
    pub(crate) browser: Option<String>,
    /// When it tried to connect, in the last minute.
    pub(crate) attempts: VecDeque<Duration>,
    /// What must never be sent to it.
    pub(crate) secrets: Vec<Vec<u8>>,
}

/// A watch and what an application makes of it.
pub(crate) struct Watched {
    pub(crate) mirror: Box<dyn AnyMirror>,
    /// The children of its rows, relation by relation.
    pub(crate) related: Vec<Box<dyn AnyRelated>>,
    pub(crate) stopped: bool,
    /// It has changed since the views were last checked.
    pub(crate) changed: bool,
}

/// A write and what became of it.
pub(crate) struct Written {
    pub(crate) space: SpaceId,
    pub(crate) client: ClientId,
    pub(crate) verdict: Option<Result<Version, Error>>,
    /// What an action gave back, as JSON.
    pub(crate) output: Option<String>,
    /// What the server holds need not agree with the verdict: its database was wiped, or nobody waited for one.
    pub(crate) uncertain: bool,
}

/// A fault for one frame of some kind.
pub(crate) struct Meddling {
    pub(crate) direction: Direction,
    pub(crate) message: String,
    pub(crate) fault: Fault,
}

/// What the application gives when it is asked for credentials.
pub(crate) struct Credentials {
    /// How long a token is good for.
    pub(crate) last: Duration,
    pub(crate) fail: bool,
    pub(crate) asked: u64,
}

impl ClientNode {
    pub(crate) fn new(name: &str, user: User, index: usize, config: Config, path: Path) -> Self {
        Self {
            name: name.to_owned(),
            user,
            remembered: config.remembered,
            browser: None,
            core: ClientCore::new(config),
            ahead: Duration::from_millis(86_400_123 * index as u64),
            deadline: None,
            conn: None,
            path,
            refused: Vec::new(),
            partitioned: false,
            held: Vec::new(),
            reading: true,
            online: true,
            gone: false,
            meddling: Vec::new(),
            watches: BTreeMap::new(),
            shared: BTreeSet::new(),
            writes: BTreeMap::new(),
            credentials: Credentials { last: Duration::from_secs(3600), fail: false, asked: 0 },
            attempts: VecDeque::new(),
            secrets: Vec::new(),
        }
    }

    /// Its own time.
    pub(crate) fn time(&self, at: Duration) -> Duration {
        at + self.ahead
    }

    /// Notes when it wants to be woken.
    pub(crate) fn note_deadline(&mut self) {
        let deadline = if self.gone { None } else { self.core.deadline() };
        self.deadline = deadline.map(|at| at.saturating_sub(self.ahead));
    }

    /// Notes an attempt to connect; says how many there were within a minute.
    pub(crate) fn note_attempt(&mut self, at: Duration) -> usize {
        self.attempts.push_back(at);
        while self.attempts.front().is_some_and(|first| *first + Duration::from_secs(60) < at) {
            self.attempts.pop_front();
        }
        self.attempts.len()
    }
}

/// The server's process.
pub(crate) struct Server {
    /// There is none while it is down.
    pub(crate) engine: Option<Engine>,
    /// Which of its lives this is.
    pub(crate) life: u64,
    pub(crate) deadline: Option<Duration>,
    pub(crate) armed: Option<CrashPoint>,
    tokens: BTreeMap<String, Identity>,
}

impl Server {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine: Some(engine), life: 0, deadline: None, armed: None, tokens: BTreeMap::new() }
    }

    /// Its own time, Unix ms.
    pub(crate) fn time(at: Duration) -> u64 {
        EPOCH + at.as_millis() as u64
    }

    /// Notes when the engine wants to be woken.
    pub(crate) fn note_deadline(&mut self) {
        let deadline = self.engine.as_ref().and_then(Engine::deadline);
        self.deadline = deadline.map(|at| Duration::from_millis(at.saturating_sub(EPOCH)));
    }

    /// Makes a token that is good for some time.
    pub(crate) fn mint(&mut self, user: &User, at: Duration, last: Duration) -> String {
        let token = format!("{}:{}", user.id, self.tokens.len());
        let expires_at = Some(Self::time(at + last));
        self.tokens.insert(token.clone(), Identity { user: user.clone(), expires_at });
        token
    }

    /// No token of this person is good any more.
    pub(crate) fn revoke(&mut self, user: &User) {
        self.tokens.retain(|_, identity| identity.user.id != user.id);
    }

    /// Who a token stands for.
    pub(crate) fn identify(&self, token: &str, at: Duration) -> Result<Identity, Error> {
        let identity = self.tokens.get(token);
        identity
            .filter(|identity| identity.expires_at.is_none_or(|expires| Self::time(at) < expires))
            .cloned()
            .ok_or_else(|| Error::new(code::UNAUTHENTICATED, "the session has expired"))
    }
}
