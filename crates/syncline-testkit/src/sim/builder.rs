//! Setting a simulation up.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use syncline_core::client::{ClientCore, Config};
use syncline_core::space::{self, Access, Actions, Channels, Who as Actor};
use syncline_core::wire::User;
use syncline_core::{Channel, ClientId, Record, Schema, Tx};

use crate::disk::Disk;
use crate::faults::{Faults, Path};
use crate::node::{ClientNode, Server};
use crate::policy::Policy;
use crate::related::{Relate, RelatedMirror};
use crate::rng::Rng;
use crate::sim::event::Events;
use crate::sim::{Sim, SimClient};
use crate::trace::{Trace, Who};

/// Sets up a [`Sim`].
#[must_use]
pub struct SimBuilder {
    seed: u64,
    schema: Schema,
    register: Vec<fn(&mut ClientCore)>,
    relate: BTreeMap<&'static str, Relate>,
    access: Arc<dyn Access>,
    channels: Channels,
    config: space::Config,
    faults: Faults,
    outbox_bytes: usize,
    clients: Vec<(String, String)>,
}

impl SimBuilder {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            schema: Schema::new(0),
            register: Vec::new(),
            relate: BTreeMap::new(),
            access: Arc::new(Policy::new()),
            channels: Channels::default(),
            config: space::Config::default(),
            faults: Faults::default(),
            outbox_bytes: 4 * 1024 * 1024,
            clients: Vec::new(),
        }
    }

    /// Adds a collection, to the server and to all clients.
    pub fn record<R: Record>(mut self) -> Self {
        self.schema.add::<R>();
        self.register.push(ClientCore::register::<R>);
        self.relate.insert(R::COLLECTION, RelatedMirror::<R>::relate);
        self
    }

    /// Adds a channel, to the server and to all clients, with what the server does with its actions; and the collection of its
    /// records.
    ///
    /// # Panics
    /// When there is a channel of that name already.
    #[track_caller]
    pub fn channel<C: Channel>(
        mut self,
        handler: impl Fn(&mut Tx<'_>, C::Action, &Actor<'_>) -> Result<C::Output, C::Error>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.channels.add::<C>(handler);
        self.register.push(ClientCore::register_channel::<C>);
        self.record::<C::Record>()
    }

    /// Who may do what; everybody everything, unless told. A [`Policy`], or whatever the application's server uses.
    pub fn access(mut self, access: impl Access + 'static) -> Self {
        self.access = Arc::new(access);
        self
    }

    /// The engine's bounds and times.
    pub fn config(mut self, config: space::Config) -> Self {
        self.config = config;
        self
    }

    /// What goes wrong by itself from the start.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// How many bytes may wait on the server for one client before it counts as a slow reader. 4 MiB.
    pub fn outbox_bytes(mut self, bytes: usize) -> Self {
        self.outbox_bytes = bytes;
        self
    }

    /// Adds a client, and the person at it.
    pub fn client(mut self, name: &str, user: &str) -> Self {
        self.clients.push((name.to_owned(), user.to_owned()));
        self
    }

    /// The simulation, at time zero, with a server that is up.
    ///
    /// # Panics
    /// As [`Sim::add_client`].
    #[track_caller]
    pub fn build(self) -> Sim {
        let actions: Arc<dyn Actions> = Arc::new(self.channels);
        let access = Arc::clone(&self.access);
        let engine = space::Engine::new(self.config.clone(), self.schema.clone(), access, !self.seed)
            .actions(Arc::clone(&actions));
        let mut sim = Sim {
            seed: self.seed,
            now: Duration::ZERO,
            rng: Rng::new(self.seed),
            events: Events::default(),
            instant_steps: 0,
            clients: Vec::new(),
            server: Server::new(engine),
            disk: Disk::default(),
            backup: None,
            browsers: BTreeMap::new(),
            disk_latency: Duration::from_millis(2),
            connections: BTreeMap::new(),
            next_conn: 0,
            outbox_bytes: self.outbox_bytes,
            faults: self.faults,
            schema: self.schema,
            register: self.register,
            relate: self.relate,
            access: self.access,
            actions,
            config: self.config,
            invariants: Vec::new(),
            changed: false,
            attempts_a_minute: 240,
            trace: Trace::new(),
            told: Cell::new(false),
        };
        for (name, user) in &self.clients {
            sim.add_client(name, user);
        }
        sim
    }
}

impl Sim {
    /// Adds a client, and the person at it. It connects as soon as it has something to watch or to write.
    ///
    /// # Panics
    /// When there is one of this name, or the name is not made of 1 to 40 letters, digits, `_` and `-`.
    #[track_caller]
    pub fn add_client(&mut self, name: &str, user: &str) -> SimClient<'_> {
        self.add_client_with(name, user, |_| {})
    }

    /// Adds a client that is set up in its own way. With [`Config::has_credentials`] it gets tokens for its person
    /// when it asks, see [`SimClient::credentials_last`]; without, the server knows the person as if by a cookie.
    ///
    /// # Panics
    /// As [`add_client`](Self::add_client).
    #[track_caller]
    pub fn add_client_with(
        &mut self,
        name: &str,
        user: &str,
        setup: impl FnOnce(&mut Config),
    ) -> SimClient<'_> {
        if self.clients.iter().any(|client| client.name == name) {
            self.fail(format_args!("there is a client {name:?} already"));
        }
        let id = ClientId::checked(&format!("{name}-{:016x}", self.rng.next_u64()));
        let Ok(id) = id else { self.fail(format_args!("{name:?} cannot be a client's name")) };
        let mut config = Config::new(id, self.rng.next_u64());
        setup(&mut config);
        let user = User { id: user.into(), name: Some(user.to_owned()) };
        let index = self.clients.len();
        let mut client = ClientNode::new(name, user, index, config, Path::default());
        self.register.iter().for_each(|register| register(&mut client.core));
        self.clients.push(client);
        self.trace.note(self.now, Who::Client(index), "is there");
        SimClient::new(self, index)
    }
}
