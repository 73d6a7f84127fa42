//! The simulation: one thread, one clock, one source of chance.

mod browsers;
mod builder;
mod checks;
mod clients;
mod event;
mod network;
mod running;
mod server;
mod settle;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use syncline_core::client::ClientCore;
use syncline_core::space::{Access, Actions, ConnId};
use syncline_core::{Schema, space};

pub use builder::SimBuilder;
pub use clients::{SimClient, Watch, Write};

use crate::connection::Connection;
use crate::disk::{Copy, Disk};
use crate::faults::Faults;
use crate::node::{ClientNode, Server};
use crate::related::Relate;
use crate::rng::Rng;
use crate::trace::{Trace, Who};
use browsers::Browser;
use event::{Event, Events};

/// A whole system in one thread: clients with their real [`ClientCore`], a server
/// with the real [`Engine`](syncline_core::space::Engine), and between and below them a network and a disk made of
/// nothing but a seed.
///
/// Nothing happens by itself: [`step`](Self::step), [`run_for`](Self::run_for), [`until`](Self::until) and
/// [`settle`](Self::settle) let time pass. After every step the views of all clients are held against what the server
/// had stored at the version they say they stand at; a simulation that finds a contradiction panics with the seed and
/// the last events.
pub struct Sim {
    seed: u64,
    now: Duration,
    rng: Rng,
    events: Events,
    /// Steps taken without any time passing.
    instant_steps: u32,
    clients: Vec<ClientNode>,
    server: Server,
    disk: Disk,
    backup: Option<Copy>,
    browsers: BTreeMap<String, Browser>,
    disk_latency: Duration,
    connections: BTreeMap<ConnId, Connection>,
    next_conn: ConnId,
    outbox_bytes: usize,
    faults: Faults,
    schema: Schema,
    /// Make the server's collections known to a client.
    register: Vec<fn(&mut ClientCore)>,
    /// Make the mirrors of relations to the server's collections.
    relate: BTreeMap<&'static str, Relate>,
    access: Arc<dyn Access>,
    actions: Arc<dyn Actions>,
    config: space::Config,
    invariants: Vec<Invariant>,
    /// Something that invariants look at has changed.
    changed: bool,
    attempts_a_minute: usize,
    trace: Trace,
    /// The failure has been told already.
    told: Cell<bool>,
}

struct Invariant {
    name: String,
    holds: Box<dyn Fn(&Sim) -> Result<(), String>>,
}

impl Sim {
    /// Sets up a simulation. The same seed and the same calls give the same run, to the last byte.
    pub fn builder(seed: u64) -> SimBuilder {
        SimBuilder::new(seed)
    }

    /// The seed it was made with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The virtual time since the start.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The source of chance, for the plan of a test.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// A hash of everything that has happened. Two runs with the same seed have the same one.
    pub fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }

    /// The last events, as a failure shows them.
    pub fn trace(&self) -> String {
        self.tail().to_string()
    }

    /// Notes something in the trace, so that it can be found there.
    pub fn note(&mut self, what: impl Into<String>) {
        self.trace.note(self.now, Who::Test, what.into());
    }

    /// Demands that something holds after every step from now on.
    ///
    /// ```
    /// # use syncline_testkit::Sim;
    /// # let mut sim = Sim::builder(1).client("a", "ann").build();
    /// sim.always("at most one connection", |sim| match sim.gauges().connections {
    ///     0 | 1 => Ok(()),
    ///     more => Err(format!("there are {more}")),
    /// });
    /// ```
    pub fn always(&mut self, name: impl Into<String>, holds: impl Fn(&Self) -> Result<(), String> + 'static) {
        self.invariants.push(Invariant { name: name.into(), holds: Box::new(holds) });
    }

    fn push(&mut self, after: Duration, event: Event) {
        self.events.push(self.now + after, event);
    }

    fn tail(&self) -> impl fmt::Display + '_ {
        self.trace.tail(|index| &self.clients[index].name)
    }

    /// Ends a run that must not go on.
    #[track_caller]
    fn fail(&self, what: impl fmt::Display) -> ! {
        self.told.set(true);
        panic!("{what}\n\n{}", self.account())
    }

    /// How it came to this, and how to see it again.
    fn account(&self) -> String {
        let current = thread::current();
        let test = current.name().filter(|name| *name != "main").unwrap_or_default();
        format!(
            "seed {} at {:.6} s; {}\nreplay with: SYNCLINE_SEED={} cargo test {test}   (SYNCLINE_TRACE=N shows more)",
            self.seed,
            self.now.as_secs_f64(),
            self.tail(),
            self.seed,
        )
    }
}

impl Drop for Sim {
    /// A test that fails on an assertion of its own shows the run as well.
    fn drop(&mut self) {
        if thread::panicking() && !self.told.get() {
            eprintln!("{}", self.account());
        }
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("seed", &self.seed).field("now", &self.now).finish_non_exhaustive()
    }
}
