//! The one task that owns the engine: everything that happens goes through it, one after the other.

pub(crate) mod clock;
mod committer;

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::http::HeaderMap;
use futures::FutureExt as _;
use serde_json::value::RawValue;
use syncline_core::channel::ActionPayload;
use syncline_core::space::{CallId, Commit, ConnId, Engine, Gauges, Identity, Input, Output, SpaceImage};
use syncline_core::wire::User;
use syncline_core::{ClientId, Error, SpaceId, UserId, Version, code};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::Instrument as _;

use crate::config::Config;
use crate::connection::{Budgeted, Shared, stopping};
use crate::credentials::{Authenticator, Credentials};
use crate::hub::clock::Clock;
use crate::jobs::{self, Jobs, Running};
use crate::outbox::{Outbox, Put};
use crate::partysync::{Following, History, Recalled};
use crate::problem::INTERNAL;
use crate::storage::{Storage, failed};
use crate::syncline::{Doors, Syncline};

/// Something that happened, told to the hub.
///
/// The channel needs no bound of its own: frames are bounded by their connections' budgets, and of all else there is at
/// most one at a time for each connection, request or space.
pub(crate) enum Event {
    Connected {
        conn: ConnId,
        link: Option<String>,
        headers: HeaderMap,
        /// Who it is, when that need not be asked.
        identity: Option<Identity>,
        outbox: Arc<Outbox>,
    },
    Frame {
        conn: ConnId,
        bytes: Vec<u8>,
        permit: Budgeted,
    },
    Drained {
        conn: ConnId,
        epoch: u64,
    },
    Disconnected {
        conn: ConnId,
    },
    Authenticated {
        conn: ConnId,
        result: Result<Identity, Error>,
    },
    Loaded {
        space: SpaceId,
        result: Result<SpaceImage, Error>,
    },
    Committed {
        space: SpaceId,
        commit: u64,
        result: Result<(), Error>,
    },
    RightsChanged {
        user: UserId,
    },
    /// An action from inside the process.
    Act {
        user: User,
        space: SpaceId,
        once: Option<ClientId>,
        action: ActionPayload,
        answer: oneshot::Sender<Acted>,
    },
    /// Somebody speaks partysync in a space: its history is to be kept up to date.
    Follow {
        space: SpaceId,
        history: Weak<History>,
    },
    /// What storage has of a space, for its history.
    Recalled {
        space: SpaceId,
        result: Result<Recalled, Error>,
    },
    /// No job is under way any more.
    JobsEnded,
    Shutdown {
        done: oneshot::Sender<()>,
    },
}

/// What came of an action from inside the process.
pub(crate) type Acted = Result<(Version, Option<Box<RawValue>>), Error>;

/// How many events are taken at a time, before the clock is looked at again.
const EVENTS_AT_A_TIME: usize = 64;

/// How old the gauges may be that are shown: reading them costs more, the more is open.
const GAUGES_EVERY: Duration = Duration::from_millis(50);

pub(crate) struct Hub<S> {
    engine: Engine,
    config: Config,
    clock: Clock,
    events: mpsc::UnboundedReceiver<Event>,
    /// For tasks to answer with; weak, so that the hub does not keep itself alive.
    answers: mpsc::WeakUnboundedSender<Event>,
    storage: Arc<S>,
    commits: mpsc::UnboundedSender<Commit>,
    committer: JoinHandle<()>,
    /// Commits handed to storage and not answered.
    committing: usize,
    /// What those who speak partysync are told of beside their frames.
    following: Following,
    jobs: Running,
    authenticator: Authenticator,
    /// Who waits for what comes of an action.
    calls: HashMap<CallId, oneshot::Sender<Acted>>,
    next_call: CallId,
    peers: HashMap<ConnId, Peer>,
    /// Connections that have lost frames since the engine was told last.
    lagged: Vec<ConnId>,
    /// Loads and authentications under way.
    tasks: JoinSet<()>,
    gauges: watch::Sender<Gauges>,
    /// When to show the gauges, if anything has happened since they were shown last.
    show_gauges: Option<Instant>,
    gauges_shown: Instant,
    closing: Option<Closing>,
}

/// The hub's end of a connection.
struct Peer {
    outbox: Arc<Outbox>,
    headers: HeaderMap,
    identity: Option<Identity>,
    authentication: Option<AbortHandle>,
}

// whatever the hub lets go of ends
impl Drop for Peer {
    fn drop(&mut self) {
        self.outbox.close(Some(stopping()));
        if let Some(task) = &self.authentication {
            task.abort();
        }
    }
}

struct Closing {
    /// Until when connections and what they wrote are waited for.
    overdue: Instant,
    /// Until when all must have ended, storage too.
    deadline: Instant,
    waiting: Vec<oneshot::Sender<()>>,
}

impl<S: Storage> Hub<S> {
    pub(crate) fn start(
        engine: Engine,
        config: Config,
        storage: S,
        authenticator: Authenticator,
        jobs: Jobs,
        doors: Doors,
    ) -> Syncline {
        let (sender, events) = mpsc::unbounded_channel();
        let (gauges, watched) = watch::channel(engine.gauges());
        let (commits, to_commit) = mpsc::unbounded_channel();
        let storage = Arc::new(storage);
        let answers = sender.downgrade();
        let syncline = Syncline::new(Arc::new(Shared::new(config.clone(), sender, watched)), doors);
        let ended = answers.clone();
        let (jobs, bell) = jobs::start(jobs, Arc::clone(&storage), syncline.downgrade(), move || {
            answer(&ended, Event::JobsEnded);
        });
        let committer = tokio::spawn(committer::run(Arc::clone(&storage), to_commit, answers.clone(), bell));
        let hub = Self {
            engine,
            config,
            clock: Clock::start(),
            events,
            answers,
            storage,
            commits,
            committer,
            committing: 0,
            following: Following::default(),
            jobs,
            authenticator,
            calls: HashMap::new(),
            next_call: 0,
            peers: HashMap::new(),
            lagged: Vec::new(),
            tasks: JoinSet::new(),
            gauges,
            show_gauges: None,
            gauges_shown: Instant::now(),
            closing: None,
        };
        tokio::spawn(hub.run());
        syncline
    }

    async fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS_AT_A_TIME);
        loop {
            let wake = self.wake();
            tokio::select! {
                count = self.events.recv_many(&mut events, EVENTS_AT_A_TIME) => {
                    if count == 0 {
                        break;
                    }
                    for event in events.drain(..) {
                        self.take(event);
                    }
                }
                () = sleep_until(wake) => self.feed(Input::Tick),
                Some(_) = self.tasks.join_next() => continue,
            }
            self.show_gauges();
            if self.has_ended() {
                break;
            }
        }
        self.end().await;
    }

    /// When to look at the clock again.
    fn wake(&mut self) -> Instant {
        let overdue = self.closing.as_ref().map(|closing| closing.overdue);
        let wake = self.clock.instant(self.engine.deadline());
        [overdue, self.show_gauges].into_iter().flatten().fold(wake, Instant::min)
    }

    fn show_gauges(&mut self) {
        let now = Instant::now();
        let due = *self.show_gauges.get_or_insert(self.gauges_shown + GAUGES_EVERY);
        if due <= now {
            let gauges = self.engine.gauges();
            self.gauges.send_if_modified(|shown| std::mem::replace(shown, gauges) != gauges);
            (self.show_gauges, self.gauges_shown) = (None, now);
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Connected { conn, link, headers, identity, outbox } => {
                tracing::debug!(conn, stream = link.is_some(), "connected");
                let peer = Peer { outbox, headers, identity, authentication: None };
                if self.closing.is_some() {
                    // it crossed the shutdown on its way; dropped, it ends
                    return;
                }
                self.peers.insert(conn, peer);
                self.feed(Input::Connected { conn, link });
            }
            Event::Frame { conn, bytes, permit } => {
                self.feed(Input::Frame { conn, bytes });
                drop(permit);
            }
            Event::Drained { conn, epoch } => {
                // one from before a reset says nothing about what came after it
                if self.peers.get(&conn).is_some_and(|peer| peer.outbox.epoch() == epoch) {
                    self.feed(Input::Drained { conn });
                }
            }
            Event::Disconnected { conn } => {
                if self.peers.remove(&conn).is_some() {
                    tracing::debug!(conn, "disconnected");
                    self.feed(Input::Disconnected { conn });
                }
            }
            Event::Authenticated { conn, result } => {
                // the handle of a task that has ended keeps its memory
                if let Some(peer) = self.peers.get_mut(&conn) {
                    peer.authentication = None;
                    if let Ok(identity) = &result {
                        peer.outbox.expire_at(identity.expires_at);
                    }
                }
                let result = result.map(|identity| {
                    let expires_at = identity.expires_at.map(|at| self.clock.when(at));
                    Identity { expires_at, ..identity }
                });
                self.feed(Input::Authenticated { conn, result });
            }
            Event::Loaded { space, result } => {
                if let Ok(image) = &result {
                    self.following.reloaded(&space, image);
                }
                self.feed(Input::Loaded { space, result });
            }
            Event::Committed { space, commit, result } => {
                self.committing -= 1;
                if self.following.committed(&space, commit, result.is_ok()) {
                    self.recall(space.clone());
                }
                self.feed(Input::Committed { space, commit, result });
            }
            Event::RightsChanged { user } => self.feed(Input::RightsChanged { user }),
            Event::Act { user, space, once, action, answer } => {
                let call = self.next_call;
                self.next_call += 1;
                self.calls.insert(call, answer);
                let write = once.map(|client| (client, 1));
                self.feed(Input::Act { call, user, space, write, action });
            }
            Event::Follow { space, history } => {
                self.following.begin(space.clone(), history);
                self.recall(space);
            }
            Event::Recalled { space, result } => {
                if self.following.loaded(&space, result) {
                    self.recall(space);
                }
            }
            // it is looked at whether all has ended
            Event::JobsEnded => {}
            Event::Shutdown { done } => self.shut_down(done),
        }
    }

    fn feed(&mut self, input: Input) {
        self.engine.handle(self.clock.now(), input);
        self.drain();
        while let Some(conn) = self.lagged.pop() {
            if let Some(peer) = self.peers.get(&conn) {
                peer.outbox.resume();
                self.engine.handle(self.clock.now(), Input::Lagged { conn });
                self.drain();
            }
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Authenticate { conn, token } => self.authenticate(conn, token),
                Output::Send { conn, frame, lossy, drained } => self.send(conn, frame, lossy, drained),
                Output::Close { conn, error } => {
                    tracing::debug!(conn, code = error.as_ref().map(Error::code), "closing");
                    if let Some(peer) = self.peers.get(&conn) {
                        peer.outbox.close(error);
                    }
                }
                Output::Load { space } => self.load(space),
                Output::Commit(commit) => self.commit(*commit),
                Output::Acted { call, result } => {
                    // nobody may be waiting any more
                    self.calls.remove(&call).map(|answer| answer.send(result).ok());
                }
                Output::Unreadable { space, collection, key, code } => {
                    tracing::error!(%space, collection, key, code, "a stored row cannot be read and is left out");
                }
            }
        }
    }

    fn send(&mut self, conn: ConnId, frame: Arc<[u8]>, lossy: bool, drained: bool) {
        let Some(peer) = self.peers.get(&conn) else { return };
        match peer.outbox.put(frame, lossy, drained) {
            Put::Done => {}
            Put::Lagged => {
                tracing::info!(conn, "a slow reader is reset");
                self.lagged.push(conn);
            }
            Put::Stuck => {
                tracing::info!(conn, "a connection that takes nothing is ended");
                peer.outbox.close(Some(Error::new(code::TOO_MANY, "too much waits for this connection")));
                self.tell(Event::Disconnected { conn });
            }
        }
    }

    fn authenticate(&mut self, conn: ConnId, token: Option<String>) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        if let Some(identity) = peer.identity.clone() {
            return self.tell(Event::Authenticated { conn, result: Ok(identity) });
        }
        let credentials = Credentials { headers: peer.headers.clone(), token };
        let (authenticator, within) = (Arc::clone(&self.authenticator), self.config.authenticate_within);
        let answers = self.answers.clone();
        let asking = async move {
            let result = within_time(within, async move { authenticator(credentials).await }).await;
            answer(&answers, Event::Authenticated { conn, result });
        };
        let span = tracing::debug_span!("authenticate", conn);
        peer.authentication = Some(self.tasks.spawn(asking.instrument(span)));
    }

    fn load(&mut self, space: SpaceId) {
        self.read(space, |space, result| Event::Loaded { space, result });
    }

    /// Reads a space for its history; all rows are looked at there and not here.
    fn recall(&mut self, space: SpaceId) {
        let Some(reading) = self.following.reading(&space) else { return };
        self.read(space, move |space, result| Event::Recalled {
            space,
            result: result.map(|image| reading.read(&image)),
        });
    }

    fn read(
        &mut self,
        space: SpaceId,
        event: impl FnOnce(SpaceId, Result<SpaceImage, Error>) -> Event + Send + 'static,
    ) {
        let (storage, answers) = (Arc::clone(&self.storage), self.answers.clone());
        let span = tracing::debug_span!("load", %space);
        let loading = async move {
            let loaded = AssertUnwindSafe(storage.load(&space)).catch_unwind().await;
            let result = loaded.unwrap_or_else(|_| Err(failed()));
            answer(&answers, event(space, result));
        };
        self.tasks.spawn(loading.instrument(span));
    }

    fn commit(&mut self, commit: Commit) {
        self.committing += 1;
        self.following.commits(&commit);
        if commit.renews.is_some() {
            let space = &commit.space;
            tracing::warn!(%space, "storage was restored from an older copy: all clients load the space anew");
        }
        if let Err(mpsc::error::SendError(commit)) = self.commits.send(commit) {
            let Commit { space, id, .. } = commit;
            self.tell(Event::Committed { space, commit: id, result: Err(failed()) });
        }
    }

    /// For later: the engine is not to be fed while it is being drained.
    fn tell(&self, event: Event) {
        answer(&self.answers, event);
    }

    fn shut_down(&mut self, done: oneshot::Sender<()>) {
        if let Some(closing) = &mut self.closing {
            closing.waiting.push(done);
            return;
        }
        tracing::info!(connections = self.peers.len(), "shutting down");
        let (now, within) = (Instant::now(), self.config.shutdown_within);
        // whoever does not go leaves storage the time to end well
        let (overdue, deadline) = (now + within * 3 / 4, now + within);
        self.closing = Some(Closing { overdue, deadline, waiting: vec![done] });
        self.jobs.close();
        self.feed(Input::Shutdown);
    }

    /// Whether a shutdown has come to its end, or must.
    fn has_ended(&self) -> bool {
        self.closing.as_ref().is_some_and(|closing| {
            let is_done = self.peers.is_empty() && self.committing == 0 && self.jobs.has_ended();
            is_done || closing.overdue <= Instant::now()
        })
    }

    async fn end(self) {
        let Self { peers, tasks, commits, committer, storage, closing, gauges, config, jobs, calls, .. } =
            self;
        if !peers.is_empty() {
            tracing::warn!(connections = peers.len(), "ended before all connections had");
        }
        drop((peers, tasks, commits, calls));
        let deadline = closing.as_ref().map(|closing| closing.deadline);
        let deadline = deadline.unwrap_or_else(|| Instant::now() + config.shutdown_within);
        let ending = async {
            jobs.end().await;
            // what was handed to storage is finished there
            let _ = committer.await;
            storage.close().await;
        };
        if timeout_at(deadline, ending).await.is_err() {
            tracing::error!("storage did not finish in time");
        }
        gauges.send_replace(Gauges::default());
        for done in closing.into_iter().flat_map(|closing| closing.waiting) {
            // nobody need be waiting any more
            let _ = done.send(());
        }
    }
}

/// An answer of the application's function, in time and without its panics.
async fn within_time(
    within: Duration,
    asked: impl Future<Output = Result<Identity, Error>>,
) -> Result<Identity, Error> {
    match timeout(within, AssertUnwindSafe(asked).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => {
            tracing::error!("`authenticate` panicked");
            Err(Error::new(INTERNAL, "the server failed to find out who you are"))
        }
        Err(_) => {
            tracing::error!(?within, "`authenticate` gave no answer in time");
            Err(Error::new(code::TIMEOUT, "the server could not find out in time who you are"))
        }
    }
}

fn answer(answers: &mpsc::WeakUnboundedSender<Event>, event: Event) {
    if let Some(answers) = answers.upgrade() {
        // without a hub there is nobody left to be told
        let _ = answers.send(event);
    }
}
