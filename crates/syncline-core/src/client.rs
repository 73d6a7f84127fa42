//! The client's half: what a page or program knows of its spaces, and how it stays in line with the server.
//!
//! A [`ClientCore`] owns one link to one server, the spaces with their typed rows, the writes that
//! are on their way, and the watches that look at them. What a person sees is always
//! **base at one version + pending writes replayed in order**; every change of either is one commit, and one batch of
//! keyed diffs for each view that it changes.
//!
//! ```text
//!  application ──watch, write──▶ ClientCore ──Open, Send, Close──▶ driver ──▶ server
//!       ▲                          │    ▲                            │
//!       └──Changed: take(diffs)────┘    └──Opened, Frame, Closed─────┘
//! ```

mod backoff;
mod cache;
pub(crate) mod collection;
pub mod contrail;
mod core;
mod durable;
mod export;
mod frames;
mod link;
pub mod partysync;
mod pending;
mod queue;
mod related;
mod resume;
mod returning;
mod sequence;
mod session;
mod short_map;
mod space;
mod view;
mod watches;
mod writes;

use std::time::Duration;

use serde_json::value::RawValue;

pub use backoff::Backoff;
pub use cache::CacheConfig;
pub use core::ClientCore;
pub use durable::{StoredWrite, WriteName};
pub use export::Export;

use crate::error::Error;
use crate::id::{ClientId, UserId, Version};
use crate::query::QuerySpec;
use crate::wire::User;

/// How a [`ClientCore`] is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The author of this core's writes: random, never used by two cores at once.
    pub client: ClientId,
    /// Seeds the jitter of reconnects.
    pub seed: u64,
    /// Which transports to use.
    pub transport: TransportPreference,
    /// The transport that worked last time.
    pub remembered: Option<Transport>,
    /// Whether the driver can answer [`Output::Credentials`].
    pub has_credentials: bool,
    /// The waits between attempts to connect.
    pub backoff: Backoff,
    /// How long anything that asks for an answer may go without one before the connection counts as dead.
    pub answer_within: Duration,
    /// How long a connection that nobody uses stays open.
    pub linger: Duration,
    /// The application's schema version.
    pub schema_version: u32,
    /// The server is a contrail service, and not one of Syncline's own.
    pub contrail: Option<contrail::Service>,
    /// The server is one of partysync, and not one of Syncline's own.
    pub partysync: Option<partysync::Service>,
    /// What is kept between visits; `None` where the driver has no storage.
    pub cache: Option<CacheConfig>,
}

impl Config {
    /// The defaults: transports chosen automatically, 1 s → 30 s between attempts without end, dead after 10 s without
    /// an answer, closed 2 s after the last use.
    pub fn new(client: ClientId, seed: u64) -> Self {
        Self {
            client,
            seed,
            transport: TransportPreference::Auto,
            remembered: None,
            has_credentials: false,
            backoff: Backoff::default(),
            answer_within: Duration::from_secs(10),
            linger: Duration::from_secs(2),
            schema_version: 0,
            contrail: None,
            partysync: None,
            cache: None,
        }
    }
}

/// A way to carry frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One WebSocket.
    WebSocket,
    /// A streaming fetch from the server, and a POST for what goes to it.
    Sse,
}

impl Transport {
    /// `ws` or `sse`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "ws",
            Self::Sse => "sse",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::WebSocket => Self::Sse,
            Self::Sse => Self::WebSocket,
        }
    }
}

/// Which transports a client may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TransportPreference {
    /// WebSocket first, streaming fetch where it is refused.
    #[default]
    Auto,
    /// WebSocket only.
    WebSocket,
    /// Streaming fetch only.
    Sse,
}

/// What happened outside.
#[derive(Debug)]
pub enum Input<'a> {
    /// The connection asked for by [`Output::Open`] is open.
    Opened {
        /// Which attempt.
        attempt: u64,
    },
    /// A frame came in.
    Frame {
        /// On which attempt's connection.
        attempt: u64,
        /// The whole frame.
        bytes: &'a [u8],
    },
    /// The connection ended, or never came to be. One attempt may be reported closed more than once.
    Closed {
        /// Which attempt.
        attempt: u64,
        /// Why, as far as it is known.
        error: Option<Error>,
    },
    /// Answers [`Output::Credentials`].
    Credentials(Result<Option<String>, Error>),
    /// Answers [`Output::Access`].
    Access {
        /// Which attempt.
        attempt: u64,
        /// What lets it in, or why there is nothing.
        result: Result<contrail::Access, Error>,
    },
    /// The platform believes to be online or not: a hint.
    Online(bool),
    /// The page is visible or not: a hint.
    Visible(bool),
    /// Answers [`Output::Load`].
    Loaded {
        /// Which question.
        load: u64,
        /// Whose rows these are: who was asked for, or, when nobody was, who was here last as far as storage knows.
        user: Option<UserId>,
        /// What was [stored](Output::Store) last for this query and person.
        stored: Option<&'a [u8]>,
    },
    /// Answers [`Output::Store`]: it is done, or has been given up.
    Stored,
    /// Answers [`Output::StoreWrites`].
    WritesStored {
        /// Which batch.
        batch: u64,
        /// Whether they outlive the page now.
        result: Result<(), Error>,
    },
    /// Writes that a page has left behind which is gone, in the order in which they were made: nobody else brings them to
    /// the server now. May be said of any client at any time; those that are known already are passed over.
    Adopted {
        /// The person who made them.
        user: UserId,
        /// Whose sequence they belong to.
        client: ClientId,
        /// The writes.
        writes: Vec<StoredWrite>,
    },
    /// Answers [`Output::Adopt`], after an [`Input::Adopted`] for each queue that there was: no other is known of now. What is
    /// made meanwhile is not sent before what was left behind, unless the answer takes 2 s.
    AdoptDone {
        /// Whose were looked for. Where the core did not say it, who was here last, if anybody was.
        user: Option<UserId>,
    },
    /// Storage was opened anew, and may be another one than before: deleted meanwhile, say. It is not taken to have what it
    /// has said to have.
    StorageReplaced,
    /// Storage has failed, and what is stored does not outlive this visit; or it works again.
    StorageDegraded(Option<Error>),
    /// Time has passed; [`ClientCore::deadline`] says when it matters.
    Tick,
}

/// What is to be done outside.
#[derive(Debug)]
pub enum Output {
    /// Open a connection. A connection of an earlier attempt has been closed before.
    Open {
        /// To be named in every input about it.
        attempt: u64,
        /// How.
        transport: Transport,
        /// The first frame. A transport that sends it while opening (streaming fetch) takes it from here; on a
        /// WebSocket it comes as a [`Send`](Self::Send).
        hello: Vec<u8>,
    },
    /// Send a frame, one line.
    Send {
        /// On which attempt's connection.
        attempt: u64,
        /// The whole frame.
        frame: Vec<u8>,
    },
    /// Close the connection; no input about it is needed any more.
    Close {
        /// Which attempt.
        attempt: u64,
    },
    /// Make a request to a contrail service. Several attempts may be open at once.
    Call {
        /// To be named in every input about it.
        attempt: u64,
        /// Which request.
        call: contrail::Call,
    },
    /// Open the socket of a room of a partysync server: its frames are texts. Several attempts may be open at once.
    Join {
        /// To be named in every input about it.
        attempt: u64,
        /// Where it is.
        address: partysync::Address,
    },
    /// Ask the application what lets an attempt in; answer with [`Input::Access`], unless it is closed meanwhile.
    Access {
        /// Which attempt.
        attempt: u64,
        /// What is to be watched.
        request: contrail::AccessRequest,
    },
    /// Ask the application for credentials, once; answer with [`Input::Credentials`].
    Credentials,
    /// Look up what is stored of a query; answer with [`Input::Loaded`]. Nothing waits longer for it than
    /// [`CacheConfig::load_within`].
    Load {
        /// To be named in the answer.
        load: u64,
        /// Whose rows; without one, those of whoever was here last.
        user: Option<UserId>,
        /// Of what.
        query: QuerySpec,
    },
    /// Keep this for other visits, all of it or nothing; answer with [`Input::Stored`]. There is no other one before
    /// that, unless it takes 30 s.
    Store {
        /// Who is here, and to be known as the last one who was.
        user: UserId,
        /// What to keep of each query for this person; `None` when nothing is to be kept of it.
        lists: Vec<(QuerySpec, Option<Vec<u8>>)>,
    },
    /// Keep these writes until they are named again, and let those go; all of it or nothing. Answer with
    /// [`Input::WritesStored`].
    StoreWrites {
        /// To be named in the answer.
        batch: u64,
        /// The person who makes them. They are given back to nobody else.
        user: UserId,
        /// To be kept, in the order in which they were made.
        put: Vec<StoredWrite>,
        /// To be let go, before any is kept.
        del: Vec<WriteName>,
    },
    /// Look for writes of this person that pages have left behind which are gone, and answer with an
    /// [`Input::Adopted`] for each of their clients, if there are any, and [`Input::AdoptDone`].
    Adopt {
        /// Whose; without one, those of whoever was here last.
        user: Option<UserId>,
    },
    /// This transport works here: give it as [`Config::remembered`] next time.
    Remember(Transport),
    /// A watch has diffs to [take](ClientCore::take) or another [state](ClientCore::watch_state).
    Changed(WatchId),
    /// [`ClientCore::connection`] gives something else now.
    ConnectionChanged,
    /// A write was refused and has left no trace on the screen: an action, or a change of a row that is gone. Whoever made
    /// it may not wait for the verdict, which follows, or may have been another page.
    Refused {
        /// Which write.
        write: WriteRef,
        /// Why.
        error: Error,
    },
    /// A write has its verdict: applied as of a version, or refused.
    Settled {
        /// Which write.
        write: WriteRef,
        /// The verdict.
        result: Result<Applied, Error>,
    },
}

/// What became of a write that was applied.
#[derive(Clone, Debug)]
pub struct Applied {
    /// As of which version of the space it can be seen; 0 at a partysync server, which counts none.
    pub version: Version,
    /// What the server's handler gave back; `None` for a write of rows, and where that was `null`. At a partysync server the
    /// rows that it changed, where the channel's output can be read from them, and else `None`.
    pub output: Option<Box<RawValue>>,
}

/// Names a watch of one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub(crate) u64);

/// Names a write of one core, before and after it has a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteRef(pub(crate) u64);

/// What a hook shows: the states of link and session in one exhaustive word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// Not started: there is no query yet, or nothing to connect with.
    #[default]
    Idle,
    /// The first connection is being made, or the subscription has been asked for.
    Connecting,
    /// A snapshot is coming in; rows of an earlier one stay visible until it is complete.
    Snapshot {
        /// Rows received.
        done: u64,
        /// Rows altogether; as many as there are so far where the server does not say.
        total: u64,
    },
    /// Every change shows at once.
    Live,
    /// The connection was lost; rows stay visible and it comes back by itself.
    Reconnecting,
    /// Credentials are missing or no longer good; waits for `refresh_credentials`.
    NeedsAuth,
    /// Refused for good; the error says why.
    Failed,
    /// Stopped by the application.
    Closed,
}

impl Status {
    /// The word: `idle`, `connecting`, `snapshot`, `live`, `reconnecting`, `needs-auth`, `failed` or `closed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Snapshot { .. } => "snapshot",
            Self::Live => "live",
            Self::Reconnecting => "reconnecting",
            Self::NeedsAuth => "needs-auth",
            Self::Failed => "failed",
            Self::Closed => "closed",
        }
    }
}

/// How a watch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchState {
    /// In one word.
    pub status: Status,
    /// Why it failed, or which row could not be read.
    pub error: Option<Error>,
    /// Whether its rows have been complete at least once, or there are some of an earlier visit.
    pub loaded: bool,
    /// Whether its rows are of an earlier visit: the server has not answered on this one.
    pub cached: bool,
}

/// How the one connection to the server stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionState {
    /// In one word; never [`Status::Snapshot`].
    pub status: Status,
    /// What carries it, when it is open.
    pub transport: Option<Transport>,
    /// Writes without a verdict.
    pub pending: usize,
    /// Those of them that would be lost if the page went away now: they are not in storage yet, or it has failed. Always 0
    /// where there is no storage.
    pub unsaved: usize,
    /// Why it was lost or refused last; `None` while all is well.
    pub last_error: Option<Error>,
    /// Who the server says we are.
    pub user: Option<User>,
    /// Why nothing can be kept for the next visit; `None` while that is well, or not wanted.
    pub storage_degraded: Option<Error>,
}
