//! Watching a contrail service instead of a Syncline server.
//!
//! Rows are records of contrail's `watchRecords`, laid out flat: the fields of a record's body stand beside `uri`, `did`,
//! `rkey`, `cid`, `space` and `time_us` (µs, whatever the service counts in), which win over fields of the body with the same name; the
//! body as a whole is in `value`. The key is `uri`. The collection is what stands in the method's name, `message` in
//! `app.example.message.watchRecords`; the space of a query is a `spaceUri`, or a DID for an `actor`.
//!
//! Relations are asked for with [`Query::include`](crate::Query::include), as on a Syncline server: children become rows of their own
//! collection, with their parent's `uri` in the relation's field.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use syncline::contrail::{Contrail, record_uri};
//! use syncline::{Client, Record};
//!
//! #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
//! #[record(collection = "message", key = uri)]
//! struct Message {
//!     uri: String,
//!     did: String,
//!     rkey: String,
//!     time_us: i64,
//!     text: String,
//! }
//!
//! # async fn ticket_for(_: &str) -> Result<String, syncline::Error> { Ok(String::new()) }
//! # fn example() -> Result<(), syncline::Error> {
//! let service = Contrail::new("app.example").ticket_with(|query| async move {
//!     // to be sent as POST, with what the server knows the person by
//!     ticket_for(&format!("/xrpc/app.example.{}.watchTicket?{}", query.collection, query.params)).await
//! });
//! let client = Client::builder("https://service.example").contrail(service).build();
//! let space = "ats://did:plc:alice/app.example.space/general";
//! let newest = client.watch(Message::in_space(space).order_by(Message::time_us.desc()).order_by(Message::rkey.desc()).limit(50));
//!
//! // the application writes by its own means, and shows the row until it comes
//! let uri = record_uri("did:plc:alice", "app.example.message", "3k2a");
//! let row = Message { uri, did: "did:plc:alice".into(), rkey: "3k2a".into(), time_us: i64::MAX, text: "Hi".into() };
//! client.add_optimistic(space, row)?;
//! # let _ = newest;
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use syncline_core::client::contrail::{Access, Service};
pub use syncline_core::client::contrail::{
    AccessRelation, AccessRequest, Address, Allowance, Answer, Bearer, Call, record_uri, refusal,
    socket_closed,
};

use crate::credentials::{IntoCredentials, Provider};
use crate::platform;
use crate::{BoxFuture, Error, MaybeSend, UserId};

/// Asks the application for a ticket.
type TicketProvider = Arc<dyn Fn(AccessRequest) -> BoxFuture<Result<Option<String>, Error>> + Send + Sync>;

/// Which contrail service, and what it lets somebody in with; see the [module](self).
///
/// A bearer token, as for a service-auth JWT, comes from [`ClientBuilder::credentials`](crate::ClientBuilder::credentials); it goes into a
/// header and never into a URL.
#[derive(Clone)]
pub struct Contrail {
    namespace: String,
    invite: Option<String>,
    relations: BTreeMap<String, String>,
    ticket: Option<TicketProvider>,
    identity: Option<UserId>,
    allowance: Option<Allowance>,
}

impl Contrail {
    /// A service whose methods are called `{namespace}.{collection}.watchRecords`.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            invite: None,
            relations: BTreeMap::new(),
            ticket: None,
            identity: None,
            allowance: None,
        }
    }

    /// Who is here: a DID, or whatever names a person to the application. Rows are kept between visits for this person,
    /// and shown to no other. Unless told, nothing is kept, since a service does not say who it has let in. Tickets and
    /// credentials must be this person's; see [`Client::set_identity`](crate::Client::set_identity) for when that changes.
    #[must_use]
    pub fn identity(mut self, person: impl Into<UserId>) -> Self {
        self.identity = Some(person.into());
        self
    }

    /// Shares the number of event streams that may be open with other clients. Unless told, a browser's page has four
    /// and one page of a snapshot beside them for each origin, whichever of its clients they belong to; a native client has as
    /// many for itself.
    #[must_use]
    pub fn event_streams(mut self, allowance: Allowance) -> Self {
        self.allowance = Some(allowance);
        self
    }

    /// One ticket for every attempt. Tickets last two minutes, so that this is for services with others.
    #[must_use]
    pub fn ticket(self, ticket: impl Into<String>) -> Self {
        let ticket = ticket.into();
        self.ticket_with(move |_| {
            let ticket = ticket.clone();
            async move { ticket }
        })
    }

    /// Where tickets come from: asked afresh for every attempt and every page, with what is to be watched, relations
    /// included: a ticket is for one query. An answer that takes longer
    /// than [`answer_within`](crate::ClientBuilder::answer_within) is a failed attempt. The answer is a text, an `Option` of one, or a `Result` of
    /// either.
    #[must_use]
    pub fn ticket_with<F, Fut>(mut self, provide: F) -> Self
    where
        F: Fn(AccessRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoCredentials> + MaybeSend + 'static,
    {
        self.ticket = Some(Arc::new(move |request| {
            let answer = provide(request);
            Box::pin(async move { answer.await.into_credentials() })
        }));
        self
    }

    /// A token that lets somebody read who is no member.
    #[must_use]
    pub fn invite_token(mut self, token: impl Into<String>) -> Self {
        self.invite = Some(token.into());
        self
    }

    /// What the service calls the relation to a collection; unless told, the collection's name with an `s`: `reactions` for
    /// `reaction`, asked for as `hydrateReactions`.
    #[must_use]
    pub fn relation(mut self, collection: impl Into<String>, name: impl Into<String>) -> Self {
        self.relations.insert(collection.into(), name.into());
        self
    }

    pub(crate) fn service(&self, url: &str, has_credentials: bool) -> Service {
        let has_access = self.ticket.is_some() || has_credentials;
        let Self { namespace, invite, relations, identity, allowance, .. } = self.clone();
        let allowance = allowance.unwrap_or_else(|| platform::event_streams(url));
        Service { namespace, invite, relations, has_access, identity, allowance }
    }

    /// What tells its rows apart in storage from those of any other server, one of Syncline's at the same address too.
    pub(crate) fn storage_name(&self, url: &str) -> String {
        // two texts can always be written as JSON
        let name = serde_json::to_string(&[&self.namespace, url]).unwrap_or_default();
        format!("contrail:{name}")
    }

    /// Asks for all that an attempt needs.
    pub(crate) fn access(
        &self,
        request: AccessRequest,
        credentials: Option<&Provider>,
    ) -> BoxFuture<Result<Access, Error>> {
        let ticket = self.ticket.as_ref().map(|provide| provide(request));
        let bearer = credentials.map(|provide| provide());
        Box::pin(async move {
            let given = |asked: Option<BoxFuture<Result<Option<String>, Error>>>| async {
                match asked {
                    Some(asked) => asked.await,
                    None => Ok(None),
                }
            };
            let (ticket, bearer) = futures::try_join!(given(ticket), given(bearer))?;
            // what stands around a header's value is no part of it
            let bearer = bearer.map(|token| token.trim().to_owned());
            Ok(Access { ticket, bearer })
        })
    }
}

impl fmt::Debug for Contrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contrail").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
