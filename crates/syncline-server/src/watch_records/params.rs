//! What a request asks for, as contrail reads it: what cannot be read counts as not said.

use axum::http::Uri;
use form_urlencoded::Serializer;
use syncline_core::query::{Filter, MAX_CHILDREN};
use syncline_core::{Direction, OrderBy, QuerySpec, Scalar, SpaceId};

use crate::watch_records::cursor::{Cursor, TIME};
use crate::watch_records::mapping::{Collection, Related};
use crate::watch_records::place::Place;
use crate::watch_records::refusal::Refusal;

const DEFAULT_LIMIT: u32 = 50;
const MOST: u32 = 200;

/// Words that no field filter can be called by.
const RESERVED: [&str; 10] =
    ["spaceUri", "actor", "ticket", "inviteToken", "limit", "cursor", "sort", "order", "mode", "sinceTs"];

/// The parameters of a request.
pub(super) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    pub(super) fn of(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        Self { pairs: form_urlencoded::parse(query.as_bytes()).into_owned().collect() }
    }

    /// The first of that name, when there is something in it.
    fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(known, _)| known == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn ticket(&self) -> Option<&str> {
        self.get("ticket")
    }

    pub(super) fn invite(&self) -> Option<&str> {
        self.get("inviteToken")
    }

    /// Whether the handshake before a WebSocket is asked for.
    pub(super) fn is_handshake(&self) -> bool {
        self.get("mode") == Some("ws")
    }

    /// # Errors
    /// 400 when there is none.
    pub(super) fn place(&self) -> Result<Place, Refusal> {
        let space = self.get("spaceUri").map(|uri| Place::Space(uri.to_owned()));
        space
            .or_else(|| self.get("actor").map(|did| Place::Actor(did.to_owned())))
            .ok_or_else(|| Refusal::invalid("spaceUri or actor required"))
    }

    /// The list that is asked for.
    pub(super) fn list(&self, collection: &Collection, space: SpaceId) -> List {
        let asked = self.get("sort").filter(|sort| collection.has(sort));
        let (sort, field) = asked.map_or((TIME, collection.time_field), |sort| (sort, sort));
        let direction = match self.get("order") {
            Some(order) if order.eq_ignore_ascii_case("asc") => Direction::Asc,
            _ => Direction::Desc,
        };
        let cursor = self.get("cursor").and_then(|cursor| Cursor::parse(cursor, sort));
        let behind =
            cursor.map(|cursor| cursor.behind(field, collection.unit, collection.key_field, direction));
        let filter = self.filters(collection).chain(behind).reduce(Filter::and);
        let order = [field, collection.key_field].map(|field| OrderBy { field: field.into(), direction });
        let asked: Vec<_> = self.hydrations(collection).collect();
        let spec = QuerySpec {
            space,
            collection: collection.name.into(),
            filter,
            order: order.into(),
            limit: Some(self.limit()),
            relations: asked.iter().map(|(related, limit)| related.asked(*limit)).collect(),
        };
        let relations = asked.iter().map(|(related, _)| related.place).collect();
        List { spec, sort: sort.to_owned(), field: field.to_owned(), relations }
    }

    /// The relations whose children are to come along, and how many of them.
    fn hydrations<'a>(&self, collection: &'a Collection) -> impl Iterator<Item = (&'a Related, u32)> {
        let asked =
            |related: &Related| self.get(&related.parameter)?.parse::<i64>().ok().filter(|&most| most > 0);
        let clamp = |most: i64| u32::try_from(most).unwrap_or(u32::MAX).min(MAX_CHILDREN);
        collection.relations.iter().filter_map(move |related| Some((related, clamp(asked(related)?))))
    }

    fn limit(&self) -> u32 {
        let asked = self.get("limit").and_then(|limit| limit.parse::<i64>().ok());
        let clamp = |limit: i64| u32::try_from(limit.clamp(1, i64::from(MOST))).unwrap_or(MOST);
        asked.map_or(DEFAULT_LIMIT, clamp)
    }

    /// A parameter that is called as a field is a condition on it. Asked field by field: a URL has room for many
    /// parameters, and a collection for few.
    fn filters(&self, collection: &Collection) -> impl Iterator<Item = Filter> {
        let fields = collection.queryable().filter(|field| !RESERVED.contains(field));
        fields.filter_map(|field| Some(Filter::In(field.into(), readings(self.get(field)?))))
    }

    /// The address of the socket that follows a handshake: the same, but for what was for the handshake only.
    pub(super) fn socket_address(&self, path: &str, ticket: Option<&str>, since: u64) -> String {
        let mut query = Serializer::new(String::new());
        for (name, value) in &self.pairs {
            // a ticket says all that an invitation did
            let is_spent = matches!(name.as_str(), "mode" | "ticket" | "sinceTs")
                || (name == "inviteToken" && ticket.is_some());
            if !is_spent {
                query.append_pair(name, value);
            }
        }
        if let Some(ticket) = ticket {
            query.append_pair("ticket", ticket);
        }
        query.append_pair("sinceTs", &since.to_string());
        format!("{path}?{}", query.finish())
    }
}

/// What a text in a URL may mean: the type of the field is not known here, and values of different types are never equal.
fn readings(value: &str) -> Vec<Scalar> {
    let text = Scalar::Text(value.into());
    let whole = value.parse().map(Scalar::Int).or_else(|_| value.parse().map(Scalar::UInt));
    let number = whole.or_else(|_| value.parse().map(Scalar::Float));
    let is_plain = |number: &Scalar| !matches!(number, Scalar::Float(number) if !number.is_finite());
    let other = value.parse().map(Scalar::Bool).ok().or_else(|| number.ok().filter(is_plain));
    [text].into_iter().chain(other).collect()
}

/// A list of records.
pub(super) struct List {
    pub(super) spec: QuerySpec,
    /// What cursors call its order.
    pub(super) sort: String,
    /// The field that it is ordered by.
    pub(super) field: String,
    /// What the relations of the query are among those of the collection.
    pub(super) relations: Vec<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params { pairs: form_urlencoded::parse(query.as_bytes()).into_owned().collect() }
    }

    #[test]
    fn limits_are_clamped_and_what_is_none_is_the_default() {
        let cases = [("", 50), ("limit=7", 7), ("limit=0", 1), ("limit=-3", 1), ("limit=999", 200)];
        let garbage =
            [("limit=", 50), ("limit=many", 50), ("limit=1.5", 50), ("limit=99999999999999999999", 50)];
        for (query, limit) in cases.into_iter().chain(garbage) {
            assert_eq!(params(query).limit(), limit, "{query}");
        }
    }

    #[test]
    fn a_text_may_be_a_number_or_a_truth_value() {
        assert_eq!(readings("Milk"), [Scalar::Text("Milk".into())]);
        assert_eq!(readings("7"), [Scalar::Text("7".into()), Scalar::Int(7)]);
        let large = u64::MAX.to_string();
        assert_eq!(readings(&large), [Scalar::Text(large.as_str().into()), Scalar::UInt(u64::MAX)]);
        assert_eq!(readings("1.5"), [Scalar::Text("1.5".into()), Scalar::Float(1.5)]);
        assert_eq!(readings("true"), [Scalar::Text("true".into()), Scalar::Bool(true)]);
        assert_eq!(readings("NaN"), [Scalar::Text("NaN".into())]);
    }

    #[test]
    fn the_socket_is_asked_for_what_the_handshake_was() {
        let params =
            params("spaceUri=a%2Fb+c&mode=ws&ticket=old&inviteToken=i&hydrateReactions=10&sinceTs=1");
        assert_eq!(
            params.socket_address("/xrpc/x", Some("new"), 7),
            "/xrpc/x?spaceUri=a%2Fb+c&hydrateReactions=10&ticket=new&sinceTs=7"
        );
        assert_eq!(
            params.socket_address("/xrpc/x", None, 7),
            "/xrpc/x?spaceUri=a%2Fb+c&inviteToken=i&hydrateReactions=10&sinceTs=7"
        );
    }
}
