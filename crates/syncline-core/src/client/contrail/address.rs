//! Where a request goes, with what it says in its query string.

use std::fmt;

use form_urlencoded::Serializer;

use super::{Access, Service};
use crate::error::{Error, code};
use crate::query::{Direction, Filter, FilterOp, QuerySpec};
use crate::scalar::Scalar;

/// The most records that a service gives in one snapshot.
pub(super) const PAGE: u32 = 200;

/// Parameters that let somebody in.
const SECRET: [&str; 2] = ["ticket", "inviteToken"];

/// What is no field of a record's body: parameters of their own, and the envelope, which servers count otherwise. Filters
/// by these are seen to here.
const RESERVED: [&str; 16] = [
    "spaceUri",
    "actor",
    "limit",
    "cursor",
    "sort",
    "order",
    "mode",
    "ticket",
    "inviteToken",
    "uri",
    "cid",
    "did",
    "collection",
    "rkey",
    "time_us",
    "space",
];

/// A path with its query string. What lets somebody in is left out when it is shown, in logs and elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    at_origin: bool,
}

impl Address {
    /// What one page of a query is asked for with.
    pub(super) fn watch(
        service: &Service,
        query: &QuerySpec,
        access: &Access,
        cursor: Option<&str>,
        over_socket: bool,
    ) -> Self {
        let mut params = Serializer::new(params_of(service, query));
        let optional = [
            ("cursor", cursor),
            ("inviteToken", service.invite.as_deref()),
            ("ticket", access.ticket.as_deref()),
            ("mode", over_socket.then_some("ws")),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                params.append_pair(name, value);
            }
        }
        let method = format!("xrpc/{}.{}.watchRecords", service.namespace, query.collection);
        Self { text: format!("{method}?{}", params.finish()), at_origin: false }
    }

    /// What a handshake says of its socket: a path at the origin of the request.
    ///
    /// # Errors
    /// `bad_frame` for anything else; a ticket is not to be carried to another host.
    pub(super) fn socket(url: &str) -> Result<Self, Error> {
        match url.strip_prefix('/') {
            Some(path) if !path.starts_with(['/', '\\']) => {
                Ok(Self { text: path.to_owned(), at_origin: true })
            }
            _ => Err(Error::new(code::BAD_FRAME, "the handshake names no path on its own server")),
        }
    }

    /// The path without a leading slash, and the query string.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is to be resolved against the origin of the service's address, instead of the address itself.
    pub fn is_at_origin(&self) -> bool {
        self.at_origin
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(&self.text))
    }
}

/// What says which list is meant.
pub(super) fn params_of(service: &Service, query: &QuerySpec) -> String {
    let space = query.space.as_str();
    let mut params = Serializer::new(String::new());
    params.append_pair(if space.starts_with("did:") { "actor" } else { "spaceUri" }, space);
    params.append_pair("limit", &query.limit.unwrap_or(PAGE).min(PAGE).to_string());
    let own = equalities(query.filter.as_ref());
    for (field, value) in own.into_iter().filter(|(field, _)| !RESERVED.contains(field)) {
        params.append_pair(field, &value);
    }
    // newest first is what a service does unless told
    if let Some(first) = query.order.first()
        && (&*first.field, first.direction) != ("time_us", Direction::Desc)
    {
        let direction = if first.direction == Direction::Desc { "desc" } else { "asc" };
        params.append_pair("sort", &first.field).append_pair("order", direction);
    }
    // there is no count without children
    for (name, relation) in service.relations_of(query).iter().zip(&query.relations) {
        params.append_pair(&format!("hydrate{}", capitalised(name)), &relation.limit.max(1).to_string());
    }
    params.finish()
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn redacted(address: &str) -> String {
    let Some((path, params)) = address.split_once('?') else { return address.to_owned() };
    let shown = params.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if SECRET.contains(&name) => format!("{name}=…"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", shown.collect::<Vec<_>>().join("&"))
}

/// What a service can filter by itself: fields that equal a value. The rest of a filter is seen to here.
fn equalities(filter: Option<&Filter>) -> Vec<(&str, String)> {
    match filter {
        Some(Filter::Compare(FilterOp::Eq, field, value)) => {
            let value = match value {
                Scalar::Bool(value) => value.to_string(),
                Scalar::Int(value) => value.to_string(),
                Scalar::UInt(value) => value.to_string(),
                Scalar::Float(value) => value.to_string(),
                Scalar::Text(value) => value.to_string(),
                _ => return Vec::new(),
            };
            vec![(field, value)]
        }
        Some(Filter::And(all)) => all.iter().flat_map(|one| equalities(Some(one))).collect(),
        _ => Vec::new(),
    }
}
