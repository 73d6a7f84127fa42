//! Rows as Rust types.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::id::SpaceId;
use crate::query::{Direction, Filter, FilterOp, OrderBy, Query};
use crate::scalar::{Scalar, ScalarRef};

/// A Rust type whose values are the rows of a collection. Derive it:
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use syncline_core::Record;
///
/// #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// #[record(collection = "todos", key = id)]
/// struct Todo {
///     id: String,
///     text: String,
///     done: bool,
/// }
/// ```
///
/// The derive also makes one token per field, `Todo::done`, of type [`Field`], for queries.
pub trait Record: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name of the collection, on the wire and in storage.
    const COLLECTION: &'static str;
    /// The fields, by the names they have on the wire, in the order in which [`field`](Self::field) counts them.
    const FIELDS: &'static [FieldDef];
    /// The name of the field that is the key.
    const KEY_FIELD: &'static str;

    /// The key of this row: 1 to 256 bytes.
    fn key(&self) -> &str;

    /// The value of the field at `index` of [`FIELDS`](Self::FIELDS), as queries see it; null for an opaque field
    /// and for an index beyond the end.
    fn field(&self, index: usize) -> ScalarRef<'_>;

    /// All rows of this collection in `space`: the start of a query.
    fn in_space(space: impl Into<SpaceId>) -> Query<Self> {
        Query::in_space(space)
    }
}

/// What a collection says of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldDef {
    /// The name on the wire.
    pub name: &'static str,
    /// Whether queries may filter and order by it.
    pub queryable: bool,
    /// Names that it also has where it is read, `#[serde(alias = "…")]`: the ones that it had once.
    pub aliases: &'static [&'static str],
}

impl FieldDef {
    /// Whether this is one of its names.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }
}

/// A typed token for one field, made by `#[derive(Record)]`: `Todo::done`.
pub struct Field<R, T> {
    index: usize,
    _types: PhantomData<fn() -> (R, T)>,
}

impl<R, T> Clone for Field<R, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, T> Copy for Field<R, T> {}

impl<R: Record, T> Field<R, T> {
    /// The token for the field at `index` of [`Record::FIELDS`]; for the derive.
    #[doc(hidden)]
    pub const fn new(index: usize) -> Self {
        Self { index, _types: PhantomData }
    }

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        R::FIELDS[self.index].name
    }

    fn compare(self, op: FilterOp, value: impl Into<Scalar>) -> Filter {
        Filter::Compare(op, self.name().into(), value.into())
    }

    /// The field is equal to `value`.
    pub fn eq<V: Into<Scalar>>(self, value: V) -> Filter
    where
        T: ComparableTo<V>,
    {
        self.compare(FilterOp::Eq, value)
    }

    /// The field differs from `value`.
    pub fn ne<V: Into<Scalar>>(self, value: V) -> Filter
    where
        T: ComparableTo<V>,
    {
        self.compare(FilterOp::Ne, value)
    }

    /// The field is less than `value`.
    pub fn lt<V: Into<Scalar>>(self, value: V) -> Filter
    where
        T: ComparableTo<V>,
    {
        self.compare(FilterOp::Lt, value)
    }

    /// The field is at most `value`.
    pub fn le<V: Into<Scalar>>(self, value: V) -> Filter
    where
        T: ComparableTo<V>,
    {
        self.compare(FilterOp::Le, value)
    }

    /// The field is greater than `value`.
    pub fn gt<V: Into<Scalar>>(self, value: V) -> Filter
    where
        T: ComparableTo<V>,
    {
        self.compare(FilterOp::Gt, value)
    }

    /// The field is at least `value`.
    pub fn ge<V: Into<Scalar>>(self, value: V) -> Filter
    where
        T: ComparableTo<V>,
    {
        self.compare(FilterOp::Ge, value)
    }

    /// The field is one of `values`.
    pub fn is_in<V: Into<Scalar>>(self, values: impl IntoIterator<Item = V>) -> Filter
    where
        T: ComparableTo<V>,
    {
        Filter::In(self.name().into(), values.into_iter().map(Into::into).collect())
    }

    /// The field has no value.
    pub fn is_null(self) -> Filter {
        self.compare(FilterOp::Eq, Scalar::Null)
    }

    /// Smallest first.
    pub fn asc(self) -> OrderBy {
        OrderBy { field: self.name().into(), direction: Direction::Asc }
    }

    /// Largest first.
    pub fn desc(self) -> OrderBy {
        OrderBy { field: self.name().into(), direction: Direction::Desc }
    }
}

impl<R: Record, T> From<Field<R, T>> for OrderBy {
    fn from(field: Field<R, T>) -> Self {
        field.asc()
    }
}

/// Which Rust values a field of type `Self` may be compared with, so that `Todo::done.eq("yes")` does not compile.
#[diagnostic::on_unimplemented(message = "a field of type `{Self}` cannot be compared with `{V}`")]
pub trait ComparableTo<V> {}

macro_rules! comparable {
    ($($field:ty: $($value:ty),*;)*) => {$($(
        impl ComparableTo<$value> for $field {}
        impl ComparableTo<$value> for Option<$field> {}
    )*)*};
}

comparable! {
    bool: bool;
    i8: i8; i16: i16; i32: i32; i64: i64; isize: isize;
    u8: u8; u16: u16; u32: u32; u64: u64; usize: usize;
    f32: f32; f64: f64;
    String: String, &str, &String;
    Box<str>: String, &str, &String;
    Arc<str>: String, &str, &String;
    crate::id::Key: crate::id::Key, String, &str, &String;
    crate::id::SpaceId: crate::id::SpaceId, String, &str, &String;
    crate::id::ClientId: crate::id::ClientId, String, &str, &String;
    crate::id::UserId: crate::id::UserId, String, &str, &String;
}

/// A row whose type is known to its collection only; what drafts and the space engine hold.
pub trait AnyRow: Any + Send + Sync {
    /// The key.
    fn key(&self) -> &str;
    /// The field at an index of the collection's fields.
    fn field(&self, index: usize) -> ScalarRef<'_>;
    /// The row as its Rust type, to be downcast.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    /// The row as its Rust type, borrowed.
    fn as_any(&self) -> &dyn Any;
}

impl<R: Record> AnyRow for R {
    fn key(&self) -> &str {
        Record::key(self)
    }

    fn field(&self, index: usize) -> ScalarRef<'_> {
        Record::field(self, index)
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The typed row behind `row`, when it is an `R`.
pub fn downcast<R: Record>(row: Arc<dyn AnyRow>) -> Option<Arc<R>> {
    row.into_any().downcast().ok()
}
