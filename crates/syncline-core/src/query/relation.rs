//! Relations: rows of another collection that belong to the rows of a result.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use crate::error::{Error, code};
use crate::query::{CompiledQuery, Fields, Filter, OrderBy};
use crate::record::{ComparableTo, Field, FieldDef, Record};
use crate::scalar::ScalarRef;

/// The most relations of one query.
pub const MAX_RELATIONS: usize = 4;
/// The most children of one parent in a result, and as many as there are unless told otherwise.
pub const MAX_CHILDREN: u32 = 50;

/// A relation as it stands on the wire: with each row of the result, its *parent*, come the rows of another collection
/// of the space whose `field` holds the parent's key, its *children*.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelationSpec {
    /// The children's collection.
    pub collection: Box<str>,
    /// The field of a child that holds its parent's key.
    pub field: Box<str>,
    /// Which children; all of them when there is none.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// In which order; those that are equal in it stand by key, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<OrderBy>,
    /// At most how many of each parent, 1 to [`MAX_CHILDREN`]; the first ones in the order. 0 where they are only
    /// counted.
    #[serde(default = "most", skip_serializing_if = "is_most")]
    pub limit: u32,
    /// Whether to say how many each parent has, whatever the limit.
    #[serde(default, skip_serializing_if = "is_false")]
    pub count: bool,
}

/// A relation to children of type `C`: what [`Query::include`](crate::Query::include) takes. Made by
/// [`Field::children`], or from the field alone.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use syncline_core::Record;
/// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// # #[record(collection = "messages", key = id)]
/// # struct Message { id: String, sent_at: u64 }
/// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// # #[record(collection = "reactions", key = id)]
/// # struct Reaction { id: String, message: String, at: u64 }
/// let latest = Message::in_space("room").order_by(Message::sent_at.desc()).limit(50);
/// // the first 50 reactions to each message, by key
/// let simple = latest.clone().include(Reaction::message);
/// // the three newest, and how many there are altogether
/// let counted = latest.include(Reaction::message.children().order_by(Reaction::at.desc()).limit(3).counted());
/// assert_eq!(counted.spec().relations[0].limit, 3);
/// # assert_ne!(simple, counted);
/// ```
#[derive(Debug)]
pub struct Relation<C> {
    spec: RelationSpec,
    _child: PhantomData<fn() -> C>,
}

impl<C: Record> Relation<C> {
    /// Keeps the children that also satisfy `filter`.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.spec.filter = Some(match self.spec.filter.take() {
            Some(before) => before.and(filter),
            None => filter,
        });
        self
    }

    /// Orders the children of each parent by a field; a second call orders what is equal in the first.
    #[must_use]
    pub fn order_by(mut self, order: impl Into<OrderBy>) -> Self {
        self.spec.order.push(order.into());
        self
    }

    /// At most `limit` children of each parent, the first ones in the order: 1 to [`MAX_CHILDREN`]; 0 where they are only
    /// [counted](Self::counted).
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.spec.limit = limit;
        self
    }

    /// Also says how many children each parent has, whatever the limit.
    #[must_use]
    pub fn counted(mut self) -> Self {
        self.spec.count = true;
        self
    }

    /// The relation without its Rust type.
    pub fn spec(&self) -> &RelationSpec {
        &self.spec
    }

    pub(crate) fn into_spec(self) -> RelationSpec {
        self.spec
    }
}

impl<C: Record, T: for<'a> ComparableTo<&'a str>> Field<C, T> {
    /// The rows of this collection whose field holds a row's key, as children of that row.
    pub fn children(self) -> Relation<C> {
        let spec = RelationSpec {
            collection: C::COLLECTION.into(),
            field: self.name().into(),
            filter: None,
            order: Vec::new(),
            limit: MAX_CHILDREN,
            count: false,
        };
        Relation { spec, _child: PhantomData }
    }
}

impl<C: Record, T: for<'a> ComparableTo<&'a str>> From<Field<C, T>> for Relation<C> {
    fn from(field: Field<C, T>) -> Self {
        field.children()
    }
}

impl<C> Clone for Relation<C> {
    fn clone(&self) -> Self {
        Self { spec: self.spec.clone(), _child: PhantomData }
    }
}

/// A [`RelationSpec`] checked against the fields of its collection.
#[derive(Clone, Debug)]
pub struct CompiledRelation {
    /// Which children, of whatever parent, in the order that they have among those of one parent.
    pub query: CompiledQuery,
    field: usize,
    /// At most how many of each parent.
    pub limit: usize,
    /// Whether to count those of each parent.
    pub count: bool,
}

impl CompiledRelation {
    /// Resolves the names in `spec`; `fields` are those of its collection.
    ///
    /// # Errors
    /// `unknown_field`, `bad_query` as for a [`CompiledQuery`]; `bad_query` for a limit over [`MAX_CHILDREN`], and for
    /// one of 0 when nothing is counted.
    pub fn new(spec: &RelationSpec, fields: &[FieldDef]) -> Result<Self, Error> {
        if spec.limit > MAX_CHILDREN || (spec.limit == 0 && !spec.count) {
            let message = "the limit of a relation is 1 to 50, or 0 where children are counted";
            return Err(Error::new(code::BAD_QUERY, message).with_field("limit"));
        }
        let query = CompiledQuery::of_parts(spec.filter.as_ref(), &spec.order, None, fields)?;
        let field = super::compiled::resolve(&spec.field, fields)?;
        Ok(Self { query, field, limit: spec.limit as usize, count: spec.count })
    }

    /// All children in one list: by parent, those of each in their order.
    pub(crate) fn by_parent(&self) -> CompiledQuery {
        self.query.grouped_by(self.field)
    }

    /// The field that holds the parent's key.
    pub(crate) fn field(&self) -> usize {
        self.field
    }

    /// The key of the parent, when the row is somebody's child.
    pub fn parent<'a>(&self, row: &'a (impl Fields + ?Sized)) -> Option<&'a str> {
        match row.field(self.field) {
            ScalarRef::Text(key) if self.query.matches(row) => Some(key),
            _ => None,
        }
    }
}

fn most() -> u32 {
    MAX_CHILDREN
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_most(limit: &u32) -> bool {
    *limit == MAX_CHILDREN
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
