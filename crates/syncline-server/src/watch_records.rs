//! A second face of the watch: contrail's `watchRecords`, on the same engine.
//!
//! What watches a contrail service can watch this server: a store in JavaScript, or ten lines around an `EventSource`.
//! Every connection here is a connection of the engine with one subscription, so rights, limits, backpressure and the
//! bound on connections are those of Syncline's own route. Reading is all there is; who wants to write uses that one.
//!
//! ```
//! use axum::Router;
//! use syncline_server::watch_records::{Mapping, WatchRecords};
//! use syncline_server::{Memory, Syncline, ticket};
//! # use serde::{Deserialize, Serialize};
//! # use syncline_macros::Record;
//! # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
//! # #[record(collection = "messages", key = id)]
//! # struct Message { id: String, author: String, text: String, sent_at: u64 }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let messages = Mapping::new(|message: &Message| message.author.clone(), Message::sent_at).named("message");
//! let keys = ticket::Keys::new("2024-11", b"0123456789abcdef0123456789abcdef")?;
//! let syncline = Syncline::builder()
//!     .storage(Memory::new())
//!     .collection::<Message>(())
//!     .watch_records(WatchRecords::namespace("app.example").collection(messages).tickets(keys))
//!     .build()
//!     .await?;
//! // GET /xrpc/app.example.message.watchRecords?spaceUri=room-lobby
//! let app: Router = Router::new().nest("/sync", syncline.router()).nest("/xrpc", syncline.xrpc_router());
//! # Ok(())
//! # }
//! ```

mod cursor;
mod encode;
mod entrance;
mod handshake;
mod holding;
mod mapping;
mod params;
mod place;
mod refusal;
mod routes;
mod snapshot;
mod socket;
mod stream;
mod translation;
mod watcher;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use syncline_core::query::{CompiledRelation, MAX_RELATIONS};
use syncline_core::wire::User;
use syncline_core::{Error, Record, Schema, SpaceId};

use crate::ticket::{self, Keys};
use crate::watch_records::mapping::Collection;
use crate::watch_records::translation::Groups;

pub use mapping::{Mapping, Time, TimeUnit};
pub(crate) use routes::router;

type NamedSpace = Arc<dyn Fn(&str) -> Option<SpaceId> + Send + Sync>;
type Invite = Arc<dyn Fn(String, SpaceId) -> BoxFuture<'static, Option<User>> + Send + Sync>;

/// Which collections can be watched as contrail's clients do, and how spaces and people are named to them.
#[must_use]
#[derive(Clone)]
pub struct WatchRecords {
    namespace: String,
    collections: Vec<Arc<Collection>>,
    spaces: NamedSpace,
    actors: Option<NamedSpace>,
    invite: Option<Invite>,
    keys: Option<Keys>,
    ticket_lifetime: Duration,
}

impl WatchRecords {
    /// The first part of the routes' names: `app.example` in `app.example.message.watchRecords`.
    pub fn namespace(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            collections: Vec::new(),
            spaces: Arc::new(|uri| Some(SpaceId::from(uri))),
            actors: None,
            invite: None,
            keys: None,
            ticket_lifetime: ticket::LIFETIME,
        }
    }

    /// A collection that can be watched; it is one of the [server's](crate::Builder::collection).
    pub fn collection<R: Record>(mut self, mapping: Mapping<R>) -> Self {
        let collection = mapping.collection(&self.namespace);
        self.collections.push(Arc::new(collection));
        self
    }

    /// Which space a `spaceUri` names; `None` for a text that names none (404). Unless told, the text is the name of the
    /// space.
    ///
    /// ```
    /// use syncline_server::SpaceId;
    /// use syncline_server::watch_records::WatchRecords;
    ///
    /// let watch = WatchRecords::namespace("app.example")
    ///     .spaces(|uri| uri.strip_prefix("ats://did:web:app.example/app.example.room/").map(SpaceId::from));
    /// ```
    pub fn spaces(mut self, named: impl Fn(&str) -> Option<SpaceId> + Send + Sync + 'static) -> Self {
        self.spaces = Arc::new(named);
        self
    }

    /// Which space is the own one of the person that `actor` names; `None` for somebody who has none (404). Unless told,
    /// `actor` is refused with `NotSupported`. Whether it may be opened is up to the [rule of
    /// spaces](crate::Builder::spaces), as always.
    pub fn actors(mut self, own: impl Fn(&str) -> Option<SpaceId> + Send + Sync + 'static) -> Self {
        self.actors = Some(Arc::new(own));
        self
    }

    /// For whom somebody is taken who comes with an `inviteToken` for a space: a guest of the application's making, who
    /// passes its rules. `None` for a token that is not good (403, `invalid-invite-token`), which all are unless told.
    ///
    /// It has as long as [`authenticate`](crate::Config::authenticate_within).
    pub fn invites<F, A>(mut self, invite: F) -> Self
    where
        F: Fn(String, SpaceId) -> A + Send + Sync + 'static,
        A: Future<Output = Option<User>> + Send + 'static,
    {
        self.invite = Some(Arc::new(move |token, space| invite(token, space).boxed()));
        self
    }

    /// Gives out [tickets](crate::ticket) and accepts them. Without keys there are none: `watchTicket` is answered with
    /// 501, and every ticket is a bad one.
    pub fn tickets(mut self, keys: Keys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// How long a ticket is good for. 120 s.
    pub fn ticket_lifetime(mut self, lifetime: Duration) -> Self {
        self.ticket_lifetime = lifetime;
        self
    }

    /// Refuses what could never be watched.
    fn check(&self, schema: &Schema) -> Result<(), Error> {
        let bad = |message: String| Err(Error::new("bad_config", message).with_field("watch_records"));
        let mut routes = std::collections::BTreeSet::new();
        for collection in &self.collections {
            let (route, name) = (&collection.route, collection.name);
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
            if !route.bytes().all(is_plain) {
                return bad(format!("{route:?} is not made of letters, digits, dots and hyphens"));
            }
            if !routes.insert(route) {
                return bad(format!("there is more than one {route:?}"));
            }
            schema.collection(name)?;
            if collection.relations.len() > MAX_RELATIONS {
                return bad(format!("{name:?} has more than {MAX_RELATIONS} relations"));
            }
            for related in &collection.relations {
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                if related.name.is_empty() || !related.name.bytes().all(is_name) {
                    return bad(format!("{:?} is not made of letters and digits", related.name));
                }
                let children = schema.collection(related.collection.name)?;
                CompiledRelation::new(&related.asked(1), children.fields)?;
            }
            for needed in [collection.time_field, collection.key_field] {
                if !collection.has(needed) {
                    return bad(format!("queries cannot order {name:?} by its field {needed:?}"));
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for WatchRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes: Vec<_> = self.collections.iter().map(|collection| &collection.route).collect();
        f.debug_struct("WatchRecords").field("collections", &routes).finish_non_exhaustive()
    }
}

/// The face as it runs.
pub(crate) struct Face {
    settings: WatchRecords,
    groups: Groups,
}

impl Face {
    /// # Errors
    /// `bad_config`, `unknown_collection`.
    pub(crate) fn new(settings: WatchRecords, schema: &Schema) -> Result<Self, Error> {
        settings.check(schema)?;
        Ok(Self { settings, groups: Groups::default() })
    }
}
