//! How a client is set up.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use syncline_core::client::{CacheConfig, ClientCore, Config};

use crate::contrail::Contrail;
use crate::credentials::{IntoCredentials, Provider, provider};
use crate::partysync::Partysync;
use crate::platform::{self, Spawner, SystemTime};
use crate::shared::{Setup, Shared};
use crate::storage::Storage;
use crate::transport::{Connector, Latency};
use crate::{Backoff, CacheLimits, Client, ClientId, MaybeSend, TransportPreference};

/// Sets up a [`Client`]; made by [`Client::builder`].
///
/// ```
/// use syncline::{Client, TransportPreference};
///
/// let client = Client::builder("https://api.example.org/sync")
///     .transport(TransportPreference::Sse)
///     .credentials(|| async { "a token" })
///     .build();
/// ```
#[must_use = "a builder makes a client with `build`"]
pub struct ClientBuilder {
    url: String,
    transport: TransportPreference,
    client: Option<ClientId>,
    seed: Option<u64>,
    backoff: Backoff,
    answer_within: Option<Duration>,
    linger: Option<Duration>,
    schema_version: u32,
    credentials: Option<Provider>,
    contrail: Option<Contrail>,
    partysync: Option<Partysync>,
    connector: Option<Arc<dyn Connector>>,
    spawner: Spawner,
    latency: Latency,
    storage: Option<Arc<dyn Storage>>,
    cache: CacheLimits,
}

impl ClientBuilder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            connector: platform::default_connector(&url),
            url,
            transport: TransportPreference::default(),
            client: None,
            seed: None,
            backoff: Backoff::default(),
            answer_within: None,
            linger: None,
            schema_version: 0,
            credentials: None,
            contrail: None,
            partysync: None,
            spawner: Spawner::default(),
            latency: Latency::default(),
            storage: platform::default_storage(),
            cache: CacheLimits::default(),
        }
    }

    /// Which transports to use; unless told, a WebSocket where that works and streaming fetch where not.
    pub fn transport(mut self, transport: TransportPreference) -> Self {
        self.transport = transport;
        self
    }

    /// Where credentials come from: asked when a connection is made, again when the server says they are no good any
    /// more, and by [`Client::refresh_credentials`]. Unless told, the connection's cookies say who it is.
    ///
    /// The answer is a token, an `Option` of one, or a `Result` of either. A provider must not own a [`Client`] that
    /// uses it, or neither will ever end.
    pub fn credentials<F, Fut>(mut self, provide: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoCredentials> + MaybeSend + 'static,
    {
        self.credentials = Some(provider(provide));
        self
    }

    /// The waits between attempts to connect; unless told, 1 s → 30 s with full jitter, without end.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How long anything that asks for an answer may go without one before the connection counts as dead; 10 s unless
    /// told.
    pub fn answer_within(mut self, limit: Duration) -> Self {
        self.answer_within = Some(limit);
        self
    }

    /// How long a connection that nobody uses stays open; 2 s unless told.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = Some(linger);
        self
    }

    /// The application's schema version; 0 unless told.
    pub fn schema_version(mut self, version: u32) -> Self {
        self.schema_version = version;
        self
    }

    /// Holds every frame back from the start; see [`Client::set_latency`].
    pub fn latency(self, latency: Duration) -> Self {
        self.latency.set(latency);
        self
    }

    /// The server is a contrail service and not one of Syncline's own: the client's address is where `/xrpc/` stands.
    /// Each query has a stream of its own there, over server-sent events for the first four and WebSockets for more, unless
    /// [`transport`](Self::transport) says otherwise.
    pub fn contrail(mut self, service: Contrail) -> Self {
        (self.contrail, self.partysync) = (Some(service), None);
        self
    }

    /// The server is one of partysync and not one of Syncline's own: the client's address is where the rooms of a party
    /// are, `wss://host/parties/todos`. Each space is a room with a WebSocket of its own.
    pub fn partysync(mut self, server: Partysync) -> Self {
        (self.partysync, self.contrail) = (Some(server), None);
        self
    }

    /// Where rows are kept between visits; in a browser IndexedDB unless told, natively nowhere.
    pub fn storage(mut self, storage: impl Storage) -> Self {
        self.storage = Some(Arc::new(storage));
        self
    }

    /// How much is kept between visits; unless told, 200 rows of each of 100 queries for 30 days.
    pub fn cache(mut self, limits: CacheLimits) -> Self {
        self.cache = limits;
        self
    }

    /// Keeps nothing between visits.
    pub fn without_storage(mut self) -> Self {
        self.storage = None;
        self
    }

    /// Another way to connect than the platform's own. A native client needs one where its address is not a whole one, or
    /// where it was built without the feature `net`.
    pub fn connector(mut self, connector: impl Connector) -> Self {
        self.connector = Some(Arc::new(connector));
        self
    }

    /// The runtime on which the client's one task runs; unless told, the one from which it is first used. Its time
    /// driver must be on, and its IO driver where the client makes connections of its own.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn runtime(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.spawner = Spawner::on(runtime);
        self
    }

    /// What the author of the client's writes is called: at most 47 letters, digits, `_` or `-`, behind which stand a `-` and
    /// 16 random digits, others for each client that is built. All are random unless told.
    ///
    /// The server knows an author's writes by their numbers and takes each number once: an author who began anew would have
    /// its writes taken for those of before.
    pub fn client_id(mut self, name: ClientId) -> Self {
        self.client = Some(ClientId::from(format!("{name}-{:016x}", random())));
        self
    }

    /// The author's id as it is, for tests and benchmarks. Never to be used by two clients of one server.
    #[doc(hidden)]
    pub fn exact_client_id(mut self, client: ClientId) -> Self {
        self.client = Some(client);
        self
    }

    /// Seeds the jitter of reconnects; random unless told.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Makes the client. It connects when something is watched or written.
    #[must_use]
    pub fn build(self) -> Client {
        let client =
            self.client.unwrap_or_else(|| ClientId::from(format!("{:016x}{:016x}", random(), random())));
        let mut config = Config::new(client, self.seed.unwrap_or_else(random));
        config.transport = self.transport;
        if self.transport == TransportPreference::Auto {
            config.remembered = platform::remembered(&self.url);
        }
        config.has_credentials = self.credentials.is_some();
        config.contrail =
            self.contrail.as_ref().map(|service| service.service(&self.url, config.has_credentials));
        config.partysync = self.partysync.as_ref().map(Partysync::service);
        config.backoff = self.backoff;
        config.answer_within = self.answer_within.unwrap_or(config.answer_within);
        config.linger = self.linger.unwrap_or(config.linger);
        config.schema_version = self.schema_version;
        // what a partysync server sends is not kept
        let storage = self.storage.filter(|_| self.partysync.is_none());
        let cache = storage.map(|storage| (storage, self.cache));
        config.cache = cache.as_ref().map(|(_, limits)| CacheConfig {
            rows: limits.rows,
            bytes: limits.bytes,
            ..CacheConfig::default()
        });
        let setup = Setup {
            url: self.url,
            connector: self.connector,
            credentials: self.credentials,
            contrail: self.contrail,
            spawner: self.spawner,
            latency: self.latency,
            cache,
        };
        Client::from_shared(Shared::new(ClientCore::new(config), setup))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("url", &self.url)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| {
        // a platform without randomness: told apart by the time, and within this process by their number
        static CLIENTS: AtomicU64 = AtomicU64::new(0);
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let mut hasher = DefaultHasher::new();
        (time, CLIENTS.fetch_add(1, Ordering::Relaxed)).hash(&mut hasher);
        hasher.finish()
    })
}
