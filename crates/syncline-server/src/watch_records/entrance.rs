//! Who comes in: by a ticket, an invitation, or what the application knows people by.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use futures::FutureExt as _;
use serde_json::{Map, Value, json};
use syncline_core::SpaceId;
use syncline_core::space::Identity;
use syncline_core::wire::User;
use tokio::time::timeout;

use crate::connection::Shared;
use crate::credentials::bearer;
use crate::ticket::Claims;
use crate::watch_records::Face;
use crate::watch_records::mapping::Collection;
use crate::watch_records::params::{List, Params};
use crate::watch_records::place::Place;
use crate::watch_records::refusal::Refusal;
use crate::watch_records::watcher::{Visitor, Watcher};

/// A route's state: one collection of the face.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) shared: Arc<Shared>,
    pub(super) face: Arc<Face>,
    pub(super) collection: Arc<Collection>,
}

/// A request that can be understood.
pub(super) struct Request {
    pub(super) params: Params,
    pub(super) place: Place,
    pub(super) list: List,
}

/// What somebody showed.
pub(super) enum Proof {
    /// A good ticket, for this very query.
    Ticket(Claims),
    Invite(User),
    /// To be shown to the application's `authenticate`.
    Own,
}

impl Route {
    /// # Errors
    /// 400.
    pub(super) fn read(&self, params: Params) -> Result<Request, Refusal> {
        let place = params.place()?;
        let space = place.resolve(&self.face.settings)?;
        let list = params.list(&self.collection, space);
        Ok(Request { params, place, list })
    }

    /// What tickets call the query.
    pub(super) fn query_spec(&self, request: &Request) -> Value {
        let mut spec = request.place.describe(&self.collection.nsid);
        let related = request.list.relations.iter().filter_map(|&place| self.collection.relations.get(place));
        let hydrate: Map<String, Value> = related
            .map(|related| {
                let (children, field) = (&related.collection.nsid, &related.spec.field);
                (related.name.clone(), json!({ "childCollection": children, "matchField": field }))
            })
            .collect();
        if !hydrate.is_empty() {
            spec.insert("hydrate".into(), Value::Object(hydrate));
        }
        Value::Object(spec)
    }

    /// A ticket that is not good counts as none; what is wrong with it is said to nobody.
    ///
    /// # Errors
    /// 403 for an invitation that is not good.
    pub(super) async fn proof(&self, request: &Request) -> Result<Proof, Refusal> {
        match self.ticket(request) {
            Some(claims) => Ok(Proof::Ticket(claims)),
            None => self.proof_beside_ticket(request).await,
        }
    }

    /// What somebody shows where a ticket counts for nothing.
    ///
    /// # Errors
    /// As [`proof`](Self::proof).
    pub(super) async fn proof_beside_ticket(&self, request: &Request) -> Result<Proof, Refusal> {
        match request.params.invite() {
            Some(token) => Ok(Proof::Invite(self.invited(token, &request.list.spec.space).await?)),
            None => Ok(Proof::Own),
        }
    }

    fn ticket(&self, request: &Request) -> Option<Claims> {
        let keys = self.face.settings.keys.as_ref()?;
        let claims = keys.check(request.params.ticket()?, now()).ok()?;
        (claims.query.as_ref() == Some(&self.query_spec(request))).then_some(claims)
    }

    async fn invited(&self, token: &str, space: &SpaceId) -> Result<User, Refusal> {
        let invite = self.face.settings.invite.as_ref().ok_or_else(Refusal::bad_invite)?;
        // nobody is invited to where nothing can be
        SpaceId::checked(space.as_str()).map_err(|_| Refusal::bad_invite())?;
        let asked = AssertUnwindSafe(async { invite(token.to_owned(), space.clone()).await }).catch_unwind();
        match timeout(self.shared.config.authenticate_within, asked).await {
            Ok(Ok(user)) => user.ok_or_else(Refusal::bad_invite),
            Ok(Err(_)) => {
                tracing::error!("`invites` panicked");
                Err(Refusal::internal())
            }
            Err(_) => {
                tracing::error!("`invites` gave no answer in time");
                Err(Refusal::unavailable("the server could not find out who is invited"))
            }
        }
    }

    /// Lets somebody in.
    ///
    /// # Errors
    /// When they are not known, or not let in.
    pub(super) async fn enter(
        &self,
        headers: &HeaderMap,
        proof: &Proof,
        place: Place,
        list: List,
    ) -> Result<Watcher, Refusal> {
        let identity = match proof {
            Proof::Ticket(claims) => {
                let user = User { id: claims.did.as_str().into(), name: claims.name.clone() };
                Some(Identity { user, expires_at: claims.until })
            }
            Proof::Invite(user) => Some(user.clone().into()),
            Proof::Own => None,
        };
        let visitor = Visitor { identity, token: bearer(headers) };
        let query = (&self.collection, place, list);
        Watcher::open((&self.shared, &self.face), headers, visitor, query).await
    }
}

/// Unix milliseconds.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
