//! Watching a [contrail](https://github.com/flo-bit/contrail) service: the same watches, another server.
//!
//! A contrail service has one stream per query, over server-sent events or a WebSocket, with a snapshot of at most 200
//! records and live events after it. There is no shared connection, no version and no resume: a stream that is lost begins again
//! with a snapshot, while the rows it had stay visible.
//!
//! ```text
//!            access            open             snapshot.end       no more pages
//!  Asking ─────────▶ Opening ────────▶ Snapshot ───────────▶ Paging ────────────▶ Live
//!    ▲        │                            ▲                                       │
//!    │        └─(WebSocket)─▶ Handshake ───┘                                       │
//!    └───────────── Waiting (backoff) ◀────────── one failure, one decision ───────┘
//! ```
//!
//! What the servers are known to get wrong is made good here: times in two units, live events that ignore the query's
//! filter and limit, sockets without a sign of life, rows that a socket never evicts.

mod address;
mod allowance;
mod counted;
mod event;
mod gathering;
mod hydration;
mod identity;
mod pages;
mod rows;
mod stream;
mod streams;

use std::collections::BTreeMap;
use std::fmt;

pub use address::Address;
pub use allowance::Allowance;
pub use event::{is_event, refusal, socket_closed};
pub(super) use streams::{Happened, Retry, Streams};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{Error, code};
use crate::id::{SpaceId, UserId};
use crate::query::{QuerySpec, RelationSpec};

/// A contrail service, beside the address that the driver knows.
#[derive(Clone, Default)]
pub struct Service {
    /// What stands before the collection in the names of its methods: `app.example` in
    /// `/xrpc/app.example.message.watchRecords`.
    pub namespace: String,
    /// A token that lets somebody who is no member read; it stands in the URL.
    pub invite: Option<String>,
    /// What a relation to a collection is called, where that is not the collection's name with an `s`.
    pub relations: BTreeMap<String, String>,
    /// Whether the driver can answer [`Output::Access`](super::Output::Access).
    pub has_access: bool,
    /// Who is here, as the application says, since a service does not: rows are kept between visits for this person and
    /// shown to no other. Without one nothing is kept.
    pub identity: Option<UserId>,
    /// How many event streams may be open, with others who share it.
    pub allowance: Allowance,
}

impl Service {
    /// What the service calls a query's relations, in their order.
    fn relations_of(&self, query: &QuerySpec) -> Vec<String> {
        let name = |relation: &RelationSpec| match self.relations.get(&*relation.collection) {
            Some(name) => name.clone(),
            None => format!("{}s", relation.collection),
        };
        query.relations.iter().map(name).collect()
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// Refuses what a service cannot answer.
///
/// # Errors
/// `bad_query`: for a limit without an order, since a service gives the newest first and the list here would be by key; for a
/// relation that is counted and has a filter, since a service counts all.
pub(super) fn check(query: &QuerySpec) -> Result<(), Error> {
    if query.limit.is_some() && query.order.is_empty() {
        let message = "a limited query of a contrail service needs an order, as `time_us` descending";
        return Err(Error::new(code::BAD_QUERY, message).with_field("order"));
    }
    if query.relations.iter().any(|relation| relation.count && relation.filter.is_some()) {
        let message = "a contrail service counts all children, whatever the filter";
        return Err(Error::new(code::BAD_QUERY, message).with_field("count"));
    }
    Ok(())
}

/// What lets one attempt in.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// A ticket for this query; it stands in the URL.
    pub ticket: Option<String>,
    /// What goes into the `Authorization` header, after `Bearer `. It never stands in a URL.
    pub bearer: Option<String>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |secret: &Option<String>| secret.as_ref().map(|_| "…");
        f.debug_struct("Access")
            .field("ticket", &said(&self.ticket))
            .field("bearer", &said(&self.bearer))
            .finish()
    }
}

/// What a ticket is to be good for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessRequest {
    /// The query's space: a `spaceUri`, or a DID for an `actor`.
    pub space: SpaceId,
    /// The query's collection, as it stands in the method's name.
    pub collection: String,
    /// What comes with its records: a ticket for the same list without it lets nobody in.
    pub relations: Vec<AccessRelation>,
    /// The parameters of `watchRecords` for the whole query, as they stand in an address, without a page's cursor and
    /// without what lets somebody in. A Syncline server's `watchTicket` takes them as they are.
    pub params: String,
}

impl AccessRequest {
    fn new(service: &Service, query: &QuerySpec) -> Self {
        let relation = |(name, relation): (String, &RelationSpec)| AccessRelation {
            name,
            collection: relation.collection.to_string(),
            field: relation.field.to_string(),
            limit: relation.limit.max(1),
        };
        let names = service.relations_of(query).into_iter();
        Self {
            space: query.space.clone(),
            collection: query.collection.to_string(),
            relations: names.zip(&query.relations).map(relation).collect(),
            params: address::params_of(service, query),
        }
    }
}

/// Children that come with each record of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessRelation {
    /// What the service calls them.
    pub name: String,
    /// Their collection, as the client knows it.
    pub collection: String,
    /// The field of a child that names its parent, as the client knows it.
    pub field: String,
    /// How many of each record are asked for at most.
    pub limit: u32,
}

/// One request to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Where to.
    pub address: Address,
    /// What comes back.
    pub answer: Answer,
    /// What goes into the `Authorization` header, after `Bearer `.
    pub bearer: Bearer,
}

/// The secret of an `Authorization` header; it is not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bearer(pub Option<String>);

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Bearer(…)" } else { "None" })
    }
}

/// What a [`Call`] brings, as frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Server-sent events, each as `{"kind":…,"data":…}`, the form they have on a socket; an empty frame for a comment.
    Events,
    /// The frames of a WebSocket.
    Socket,
    /// One JSON text, in one frame.
    Json,
}

/// What would break the uri of a record in parts.
const NOT_IN_A_SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'@');

/// The same of a DID, in which they are encoded already.
const NOT_IN_A_DID: &AsciiSet = &NOT_IN_A_SEGMENT.remove(b'%');

/// The key of a record: what `uri` says of it. Optimistic rows must carry it to be recognised when they arrive. What is
/// no part of a segment is percent-encoded; a DID stays as it is.
///
/// ```
/// let uri = syncline_core::client::contrail::record_uri("did:plc:alice", "app.event.message", "3k2a");
/// assert_eq!(uri, "at://did:plc:alice/app.event.message/3k2a");
/// let local = syncline_core::client::contrail::record_uri("did:web:localhost%3A3000", "app.event.message", "3k2a");
/// assert_eq!(local, "at://did:web:localhost%3A3000/app.event.message/3k2a");
/// let odd = syncline_core::client::contrail::record_uri("a/b", "x", "ü?#");
/// assert_eq!(odd, "at://a%2Fb/x/%C3%BC%3F%23");
/// ```
pub fn record_uri(did: &str, collection: &str, rkey: &str) -> String {
    let author = if did.starts_with("did:") { NOT_IN_A_DID } else { NOT_IN_A_SEGMENT };
    let (did, rkey) = (utf8_percent_encode(did, author), utf8_percent_encode(rkey, NOT_IN_A_SEGMENT));
    format!("at://{did}/{collection}/{rkey}")
}
