//! Setting a local server up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use syncline::transport::memory;
use syncline_core::space::{Access, Channels, Config, Identity, Who};
use syncline_core::wire::User;
use syncline_core::{Channel, Error, Record, Schema, Tx};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::disk::Disk;
use crate::local::{Authenticate, LocalServer, Shared, State};
use crate::policy::Policy;

/// Sets up a [`LocalServer`].
#[must_use = "a builder makes a server with `start`"]
pub struct LocalServerBuilder {
    schema: Schema,
    access: Arc<dyn Access>,
    channels: Channels,
    config: Config,
    authenticate: Authenticate,
}

impl LocalServerBuilder {
    pub(super) fn new() -> Self {
        let authenticate = |token: Option<&str>| {
            let name = token.unwrap_or("somebody");
            Ok(Identity::from(User { id: name.into(), name: Some(name.to_owned()) }))
        };
        Self {
            schema: Schema::new(0),
            access: Arc::new(Policy::new()),
            channels: Channels::default(),
            config: Config::default(),
            authenticate: Box::new(authenticate),
        }
    }

    /// Adds a collection.
    pub fn record<R: Record>(mut self) -> Self {
        self.schema.add::<R>();
        self
    }

    /// Adds a channel with what the server does with its actions, and the collection of its
    /// records.
    ///
    /// # Panics
    /// When there is a channel of that name already.
    #[track_caller]
    pub fn channel<C: Channel>(
        mut self,
        handler: impl Fn(&mut Tx<'_>, C::Action, &Who<'_>) -> Result<C::Output, C::Error> + Send + Sync + 'static,
    ) -> Self {
        self.channels.add::<C>(handler);
        self.record::<C::Record>()
    }

    /// Who may do what; everybody everything, unless told. A [`Policy`], or whatever the application's server uses.
    pub fn access(mut self, access: impl Access + 'static) -> Self {
        self.access = Arc::new(access);
        self
    }

    /// The engine's bounds and times.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Who a token stands for. Unless told, the token is the person's id, and without one it is `somebody`.
    pub fn authenticate(
        mut self,
        authenticate: impl Fn(Option<&str>) -> Result<Identity, Error> + Send + Sync + 'static,
    ) -> Self {
        self.authenticate = Box::new(authenticate);
        self
    }

    /// Starts the server.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[track_caller]
    pub fn start(self) -> LocalServer {
        let (connector, mut listener) = memory::pair();
        let mut state = State {
            engine: None,
            lives: 0,
            disk: Disk::default(),
            connections: BTreeMap::new(),
            next_conn: 0,
            schema: self.schema,
            access: self.access,
            actions: Arc::new(self.channels),
            config: self.config,
            authenticate: self.authenticate,
            refuses: false,
            holds: false,
            held: Vec::new(),
        };
        state.start();
        let shared =
            Arc::new(Shared { state: Mutex::new(state), touched: Notify::new(), started: Instant::now() });
        let clock = {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { shared.keep_time().await })
        };
        let hall = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Some(incoming) = listener.accept().await {
                hall.receive(incoming);
            }
            // nobody can come any more
            clock.abort();
        });
        LocalServer { shared, connector }
    }
}
