//! Queries: values that can be compared, sent, cached by and shared.

mod compiled;
mod filter;
mod relation;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

pub use compiled::{CompiledQuery, Fields};
pub use filter::{Filter, FilterOp};
pub use relation::{CompiledRelation, MAX_CHILDREN, MAX_RELATIONS, Relation, RelationSpec};

use crate::id::SpaceId;
use crate::record::Record;
use crate::schema::CollectionDef;

/// The direction of an ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Smallest first.
    Asc,
    /// Largest first.
    Desc,
}

/// One term of an ordering. On the wire: `["position","asc"]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(Box<str>, Direction)", into = "(Box<str>, Direction)")]
pub struct OrderBy {
    /// The field.
    pub field: Box<str>,
    /// Which end comes first.
    pub direction: Direction,
}

impl From<(Box<str>, Direction)> for OrderBy {
    fn from((field, direction): (Box<str>, Direction)) -> Self {
        Self { field, direction }
    }
}

impl From<OrderBy> for (Box<str>, Direction) {
    fn from(order: OrderBy) -> Self {
        (order.field, order.direction)
    }
}

/// A query as it stands on the wire: what to watch, without the Rust type of its rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuerySpec {
    /// The space.
    pub space: SpaceId,
    /// The collection.
    pub collection: Box<str>,
    /// Which rows; all of them when there is none.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// In which order; rows that are equal in it stand by key, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<OrderBy>,
    /// At most how many; the first ones in the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Rows of other collections that come with each row; at most [`MAX_RELATIONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<RelationSpec>,
}

impl QuerySpec {
    /// Whether all rows of this result, in the same space and collection, are in the other one's too, with their children.
    pub(crate) fn is_part_of(&self, other: &Self) -> bool {
        let filter = other.filter.is_none() || other.filter == self.filter;
        let limit = match (self.limit, other.limit) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(limit), Some(of)) => {
                limit <= of && self.order == other.order && self.filter == other.filter
            }
        };
        filter && limit && self.relations.iter().all(|relation| other.relations.contains(relation))
    }

    /// Whether the two ask for the same list with the same relations, and differ, if at all, in how many rows of it.
    pub fn is_same_list(&self, other: &Self) -> bool {
        (&self.space, &self.collection, &self.filter, &self.order, &self.relations)
            == (&other.space, &other.collection, &other.filter, &other.order, &other.relations)
    }

    /// The place of the relation to a collection by one of its fields: the first one, where there are several.
    pub fn relation(&self, collection: &str, field: &str) -> Option<usize> {
        self.relations
            .iter()
            .position(|relation| *relation.collection == *collection && *relation.field == *field)
    }
}

/// A query for rows of type `R`: a plain value, equal to another one that asks the same.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use syncline_core::Record;
/// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// # #[record(collection = "todos", key = id)]
/// # struct Todo { id: String, done: bool, position: f64 }
/// let open = Todo::in_space("list-42").filter(Todo::done.eq(false)).order_by(Todo::position).limit(500);
/// assert_eq!(
///     serde_json::to_string(open.spec()).unwrap(),
///     r#"{"space":"list-42","collection":"todos","where":{"eq":["done",false]},"order":[["position","asc"]],"limit":500}"#,
/// );
/// ```
pub struct Query<R> {
    spec: QuerySpec,
    /// The collections of the relations.
    children: Vec<CollectionDef>,
    _row: PhantomData<fn() -> R>,
}

impl<R: Record> Query<R> {
    /// All rows of `R`'s collection in a space.
    pub fn in_space(space: impl Into<SpaceId>) -> Self {
        let collection = R::COLLECTION.into();
        let (order, relations) = (Vec::new(), Vec::new());
        let spec = QuerySpec { space: space.into(), collection, filter: None, order, limit: None, relations };
        Self { spec, children: Vec::new(), _row: PhantomData }
    }

    /// Keeps the rows that also satisfy `filter`.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.spec.filter = Some(match self.spec.filter.take() {
            Some(before) => before.and(filter),
            None => filter,
        });
        self
    }

    /// Orders by a field, `Todo::position` or `Todo::position.desc()`; a second call orders what is equal in the first.
    #[must_use]
    pub fn order_by(mut self, order: impl Into<OrderBy>) -> Self {
        self.spec.order.push(order.into());
        self
    }

    /// At most `limit` rows, the first ones in the order.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.spec.limit = Some(limit);
        self
    }

    /// With each row, its parent, come the rows of another collection that belong to it, its children: `Reaction::message`
    /// stands for the reactions whose field `message` holds the row's key. See [`Relation`] for which of them, and for
    /// their count.
    #[must_use]
    pub fn include<C: Record>(mut self, relation: impl Into<Relation<C>>) -> Self {
        self.spec.relations.push(relation.into().into_spec());
        self.children.push(CollectionDef::of::<C>());
        self
    }

    /// The collections of the relations.
    pub(crate) fn children(&self) -> &[CollectionDef] {
        &self.children
    }
}

impl<R> Query<R> {
    /// The query without its Rust type.
    pub fn spec(&self) -> &QuerySpec {
        &self.spec
    }
}

impl<R> Clone for Query<R> {
    fn clone(&self) -> Self {
        Self { spec: self.spec.clone(), children: self.children.clone(), _row: PhantomData }
    }
}

impl<R> PartialEq for Query<R> {
    fn eq(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}

impl<R> Eq for Query<R> {}

impl<R> Hash for Query<R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.spec.hash(state);
    }
}

impl<R> fmt::Debug for Query<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}
