//! What can go wrong on the way.

use std::time::Duration;

/// How often things go wrong by themselves; each as a probability from 0 to 1. The default is a world without faults.
///
/// A connection between a browser and a server never loses or reorders single frames, it breaks. The simulator does it
/// nevertheless: what a client makes of it shows that it trusts nothing but what it can check.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// A frame gets lost.
    pub drop: f64,
    /// A frame arrives twice, the second time a little later.
    pub duplicate: f64,
    /// A frame arrives late, after others that were sent behind it.
    pub reorder: f64,
    /// With a frame, the connection breaks; both ends learn of it.
    pub cut: f64,
    /// With a frame, the connection goes silent: everything vanishes in both directions, and nobody is told.
    pub half_open: f64,
    /// An attempt to connect is refused.
    pub refuse: f64,
    /// An attempt to connect is never answered.
    pub hang: f64,
    /// The disk fails a commit; nothing is stored.
    pub disk_failure: f64,
    /// The server's process dies around a commit: before or after it is on disk, in any case before anybody hears of
    /// it. It starts again by itself within 5 s.
    pub crash: f64,
}

impl Faults {
    /// A network that misbehaves, with a server that does not.
    pub fn rough_network() -> Self {
        Self {
            drop: 0.01,
            duplicate: 0.02,
            reorder: 0.02,
            cut: 0.01,
            half_open: 0.004,
            refuse: 0.1,
            hang: 0.05,
            ..Self::default()
        }
    }
}

/// How frames travel between one client and the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The least time on the way to the server.
    pub to_server: Duration,
    /// The least time on the way to the client.
    pub to_client: Duration,
    /// Up to this much comes on top, at random, each way.
    pub jitter: Duration,
    /// How many bytes a second the client takes; without limit when there is none.
    pub bytes_per_second: Option<u64>,
}

impl Default for Path {
    /// 10 to 20 ms each way, without a limit.
    fn default() -> Self {
        let least = Duration::from_millis(10);
        Self { to_server: least, to_client: least, jitter: least, bytes_per_second: None }
    }
}

impl Path {
    /// The least time on the way.
    pub(crate) fn latency(&self, direction: Direction) -> Duration {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }
}

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// What happens to one frame, see [`SimClient::meddle`](crate::SimClient::meddle).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It gets lost.
    Drop,
    /// It arrives twice.
    Duplicate,
    /// It arrives this much later, and does not hold up those behind it.
    Delay(Duration),
    /// It gets lost and the connection breaks; both ends learn of it.
    Cut,
    /// From here on everything vanishes, both ways, and nobody is told.
    HalfOpen,
}

/// When the server dies, see [`Sim::crash_at_next_commit`](crate::Sim::crash_at_next_commit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// Before anything of the commit is on disk: it never happened.
    BeforeDurable,
    /// When the commit is on disk and the engine has not yet heard of it: nobody has been told.
    AfterDurable,
}
