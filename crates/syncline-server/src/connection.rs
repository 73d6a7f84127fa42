//! One connection, whatever it travels over: what routes hold of it, and the way to the hub.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use syncline_core::space::{ConnId, Gauges, Identity};
use syncline_core::{Error, code};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::config::Config;
use crate::credentials::compact;
use crate::hub::Event;
use crate::outbox::{Next, Outbox};

/// What a frame costs at least of its connection's budget, so that tiny ones cannot pile up either.
const MIN_FRAME_COST: usize = 16 * 1024;

/// What all routes and handles share. When the last one goes, the hub ends.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) events: mpsc::UnboundedSender<Event>,
    pub(crate) gauges: watch::Receiver<Gauges>,
    pub(crate) closing: AtomicBool,
    next_conn: AtomicU64,
    /// One for each connection that there may still be.
    places: Arc<Semaphore>,
    links: Mutex<HashMap<String, Inbound>>,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        events: mpsc::UnboundedSender<Event>,
        gauges: watch::Receiver<Gauges>,
    ) -> Self {
        let (closing, next_conn, links) = (AtomicBool::new(false), AtomicU64::new(1), Mutex::default());
        let places = Arc::new(Semaphore::new(config.connections.min(Semaphore::MAX_PERMITS)));
        Self { config, events, gauges, closing, next_conn, places, links }
    }

    /// A place for a connection, to be taken before anything is read for it.
    ///
    /// # Errors
    /// `connection` when the server is stopping; `too_many` when it has as many as it may.
    pub(crate) fn place(&self) -> Result<Place, Error> {
        if self.closing.load(Ordering::Acquire) {
            return Err(stopping());
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| full())?;
        Ok(Place(Arc::new(place)))
    }

    /// The way in for a connection that is named by its link.
    pub(crate) fn link(&self, link: &str) -> Option<Inbound> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).get(link).cloned()
    }
}

/// One of the connections that there may be.
#[derive(Clone)]
pub(crate) struct Place(#[expect(dead_code, reason = "held for its drop")] Arc<OwnedSemaphorePermit>);

/// An open connection. Dropping it ends it.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    pub(crate) inbound: Inbound,
    pub(crate) outbox: Arc<Outbox>,
    link: Option<String>,
}

impl Connection {
    /// Opens one.
    ///
    /// # Errors
    /// As [`Shared::place`].
    pub(crate) fn open(shared: &Arc<Shared>, headers: &HeaderMap) -> Result<Self, Error> {
        Self::open_as(shared, headers, None)
    }

    /// Opens one, for somebody who may be known without asking the application.
    ///
    /// # Errors
    /// As [`Shared::place`].
    pub(crate) fn open_as(
        shared: &Arc<Shared>,
        headers: &HeaderMap,
        identity: Option<Identity>,
    ) -> Result<Self, Error> {
        Self::open_at(shared.place()?, shared, headers, None, identity)
    }

    /// Opens one whose frames come in by `POST /send`, at a place that was taken before.
    ///
    /// # Errors
    /// `connection` when the server is stopping.
    pub(crate) fn open_linked(
        place: Place,
        shared: &Arc<Shared>,
        headers: &HeaderMap,
        link: String,
    ) -> Result<Self, Error> {
        Self::open_at(place, shared, headers, Some(link), None)
    }

    fn open_at(
        place: Place,
        shared: &Arc<Shared>,
        headers: &HeaderMap,
        link: Option<String>,
        identity: Option<Identity>,
    ) -> Result<Self, Error> {
        if shared.closing.load(Ordering::Acquire) {
            return Err(stopping());
        }
        let config = &shared.config;
        let inbound = Inbound {
            conn: shared.next_conn.fetch_add(1, Ordering::Relaxed),
            events: shared.events.clone(),
            budget: Budget::new(config),
            calls: Arc::new(Semaphore::new(1)),
            place,
        };
        let outbox = Arc::new(Outbox::new(config.outbox_bytes));
        let event = Event::Connected {
            conn: inbound.conn,
            link: link.clone(),
            headers: compact(headers),
            identity,
            outbox: Arc::clone(&outbox),
        };
        shared.events.send(event).map_err(|_| stopping())?;
        if let Some(link) = &link {
            let mut links = shared.links.lock().unwrap_or_else(PoisonError::into_inner);
            links.insert(link.clone(), inbound.clone());
        }
        Ok(Self { shared: Arc::clone(shared), inbound, outbox, link })
    }

    /// What to send next; `Err` when nothing follows. Asking says that everything before has left.
    pub(crate) async fn next(&self) -> Result<Arc<[u8]>, Option<Error>> {
        loop {
            match poll_fn(|cx| self.outbox.poll_next(cx)).await {
                Next::Frame(frame) => return Ok(frame),
                Next::Closed(error) => return Err(error),
                Next::Drained { epoch } => self.drained(epoch),
            }
        }
    }

    /// Tells the hub: see [`Next::Drained`].
    pub(crate) fn drained(&self, epoch: u64) {
        self.inbound.tell(Event::Drained { conn: self.inbound.conn, epoch });
    }

    /// Ends it from this side: the client is told why, the engine forgets it at once.
    pub(crate) fn refuse(&self, error: Error) {
        self.refuser().refuse(error);
    }

    /// To end it where it is not at hand.
    pub(crate) fn refuser(&self) -> Refuser {
        Refuser { inbound: self.inbound.clone(), outbox: Arc::clone(&self.outbox) }
    }
}

/// See [`Connection::refuse`].
pub(crate) struct Refuser {
    inbound: Inbound,
    outbox: Arc<Outbox>,
}

impl Refuser {
    pub(crate) fn refuse(&self, error: Error) {
        self.outbox.refuse(error);
        self.inbound.tell(Event::Disconnected { conn: self.inbound.conn });
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            self.shared.links.lock().unwrap_or_else(PoisonError::into_inner).remove(link);
        }
        self.inbound.budget.0.close();
        self.inbound.tell(Event::Disconnected { conn: self.inbound.conn });
    }
}

/// The way in for the frames of one connection.
#[derive(Clone)]
pub(crate) struct Inbound {
    pub(crate) conn: ConnId,
    events: mpsc::UnboundedSender<Event>,
    /// Bytes that may wait for the hub: the channel to it has no other bound and needs none.
    budget: Budget,
    /// One, for the call of `POST /send` that is under way.
    calls: Arc<Semaphore>,
    /// Taken as long as anything comes in: a body that is being read may outlast the connection.
    #[expect(dead_code, reason = "held for its drop")]
    place: Place,
}

/// The connection has ended.
#[derive(Debug)]
pub(crate) struct Gone;

impl Inbound {
    /// Hands a frame to the hub. Waits while the hub has not caught up with the frames before: who sends too fast
    /// waits alone.
    pub(crate) async fn frame(&self, bytes: Vec<u8>, config: &Config) -> Result<(), Gone> {
        let permit = self.budget.take(bytes.len(), config).await?;
        self.events.send(Event::Frame { conn: self.conn, bytes, permit }).map_err(|_| Gone)
    }

    /// The turn of a call that brings frames: they keep their order, and only one body takes room.
    ///
    /// # Errors
    /// `too_many` while the call before is under way.
    pub(crate) fn call(&self) -> Result<OwnedSemaphorePermit, Error> {
        let busy = |_| Error::new(code::TOO_MANY, "the call before has not been answered yet");
        Arc::clone(&self.calls).try_acquire_owned().map_err(busy)
    }

    fn tell(&self, event: Event) {
        // without a hub there is nobody left to be told
        let _ = self.events.send(event);
    }
}

/// The bytes that may wait on the way from one connection.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(crate) fn new(config: &Config) -> Self {
        Self(Arc::new(Semaphore::new(Self::most(config))))
    }

    /// Waits until there is room for so many bytes. Whatever takes more than there ever is waits for all of it.
    pub(crate) async fn take(&self, bytes: usize, config: &Config) -> Result<Budgeted, Gone> {
        let cost = bytes.clamp(MIN_FRAME_COST, Self::most(config));
        let permits = u32::try_from(cost).unwrap_or(u32::MAX);
        Arc::clone(&self.0).acquire_many_owned(permits).await.map(Budgeted).map_err(|_| Gone)
    }

    fn most(config: &Config) -> usize {
        config.engine.limits.frame_bytes.clamp(MIN_FRAME_COST, u32::MAX as usize)
    }
}

/// A share of such a budget, given back when it is dropped.
pub(crate) struct Budgeted(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

fn full() -> Error {
    Error::new(code::TOO_MANY, "the server has as many connections as it takes")
}

/// The server ends; the client does right to try again in a while.
pub(crate) fn stopping() -> Error {
    Error::new(code::CONNECTION, "the server is stopping")
}
