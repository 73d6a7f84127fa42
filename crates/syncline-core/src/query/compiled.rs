//! A query with its field names resolved, ready to be asked about rows.

use std::cmp::Ordering;

use crate::error::{Error, code};
use crate::query::{Direction, Filter, FilterOp, MAX_RELATIONS, OrderBy, QuerySpec};
use crate::record::FieldDef;
use crate::scalar::{Scalar, ScalarRef};

/// The most conditions one filter may have, so that a query cannot be made to cost what it likes.
const MAX_CONDITIONS: usize = 256;
/// The most fields one ordering may have.
const MAX_ORDER: usize = 8;

/// A [`QuerySpec`] checked against the fields of its collection.
#[derive(Clone, Debug)]
pub struct CompiledQuery {
    filter: Option<Condition>,
    order: Vec<(usize, Direction)>,
    /// At most how many rows.
    pub limit: Option<usize>,
}

#[derive(Clone, Debug)]
enum Condition {
    Compare(FilterOp, usize, Scalar),
    In(usize, Vec<Scalar>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
}

/// What a compiled query needs of a row: the value of a field by its index.
pub trait Fields {
    /// The key.
    fn key(&self) -> &str;
    /// The field at an index of the collection's fields.
    fn field(&self, index: usize) -> ScalarRef<'_>;
}

impl<T: crate::record::AnyRow + ?Sized> Fields for T {
    fn key(&self) -> &str {
        crate::record::AnyRow::key(self)
    }

    fn field(&self, index: usize) -> ScalarRef<'_> {
        crate::record::AnyRow::field(self, index)
    }
}

impl CompiledQuery {
    /// Resolves the names in `spec`.
    ///
    /// # Errors
    /// `unknown_field` when it names a field the collection does not have or that cannot be queried; `bad_query`
    /// when it has more than 256 conditions, 8 order terms or 4 relations, compares with a number that is not finite, or has
    /// a limit of zero. What the relations say is checked against their own collections, by
    /// [`CompiledRelation`](crate::query::CompiledRelation).
    pub fn new(spec: &QuerySpec, fields: &[FieldDef]) -> Result<Self, Error> {
        if spec.limit == Some(0) {
            return Err(Error::new(code::BAD_QUERY, "a limit is at least 1").with_field("limit"));
        }
        if spec.relations.len() > MAX_RELATIONS {
            let error = Error::new(code::BAD_QUERY, "a query has at most 4 relations");
            return Err(error.with_field("relations"));
        }
        Self::of_parts(spec.filter.as_ref(), &spec.order, spec.limit, fields)
    }

    pub(super) fn of_parts(
        filter: Option<&Filter>,
        order: &[OrderBy],
        limit: Option<u32>,
        fields: &[FieldDef],
    ) -> Result<Self, Error> {
        if order.len() > MAX_ORDER {
            return Err(Error::new(code::BAD_QUERY, "an order has at most 8 fields").with_field("order"));
        }
        let mut budget = MAX_CONDITIONS;
        let filter = filter.map(|filter| compile(filter, fields, &mut budget)).transpose()?;
        let order = order
            .iter()
            .map(|term| Ok((resolve(&term.field, fields)?, term.direction)))
            .collect::<Result<_, Error>>()?;
        Ok(Self { filter, order, limit: limit.map(|limit| limit as usize) })
    }

    /// The same rows, by a field first.
    pub(super) fn grouped_by(&self, field: usize) -> Self {
        let order = std::iter::once((field, Direction::Asc)).chain(self.order.iter().copied()).collect();
        Self { filter: self.filter.clone(), order, limit: self.limit }
    }

    /// Whether the query wants this row.
    pub fn matches(&self, row: &(impl Fields + ?Sized)) -> bool {
        self.filter.as_ref().is_none_or(|filter| holds(filter, row))
    }

    /// How two rows stand to each other: by the order's fields, then by key, ascending. Never equal for two keys.
    pub fn compare<A: Fields + ?Sized, B: Fields + ?Sized>(&self, a: &A, b: &B) -> Ordering {
        self.compare_order(a, b).then_with(|| a.key().cmp(b.key()))
    }

    /// Like [`compare`](Self::compare), without the key.
    pub fn compare_order<A: Fields + ?Sized, B: Fields + ?Sized>(&self, a: &A, b: &B) -> Ordering {
        for &(field, direction) in &self.order {
            let ordering = a.field(field).cmp(&b.field(field));
            let ordering = if direction == Direction::Desc { ordering.reverse() } else { ordering };
            if ordering != Ordering::Equal {
                return ordering;
            }
        }
        Ordering::Equal
    }
}

pub(super) fn resolve(name: &str, fields: &[FieldDef]) -> Result<usize, Error> {
    fields.iter().position(|field| field.is_called(name) && field.queryable).ok_or_else(|| {
        Error::new(code::UNKNOWN_FIELD, "the collection has no such field to query").with_field(name)
    })
}

fn compile(filter: &Filter, fields: &[FieldDef], budget: &mut usize) -> Result<Condition, Error> {
    let cost = if let Filter::In(_, values) = filter { values.len().max(1) } else { 1 };
    *budget = budget.checked_sub(cost).ok_or_else(|| {
        Error::new(code::BAD_QUERY, "a filter has at most 256 conditions").with_field("where")
    })?;
    let mut all =
        |list: &[Filter]| list.iter().map(|one| compile(one, fields, budget)).collect::<Result<_, _>>();
    Ok(match filter {
        Filter::Compare(op, field, value) => {
            let place = resolve(field, fields)?;
            check_finite(field, std::slice::from_ref(value))?;
            Condition::Compare(*op, place, value.clone())
        }
        Filter::In(field, values) => {
            let place = resolve(field, fields)?;
            check_finite(field, values)?;
            Condition::In(place, values.clone())
        }
        Filter::And(list) => Condition::And(all(list)?),
        Filter::Or(list) => Condition::Or(all(list)?),
        Filter::Not(one) => Condition::Not(Box::new(compile(one, fields, budget)?)),
    })
}

/// On the wire infinity and NaN would be null, and the server's list another one.
fn check_finite(field: &str, values: &[Scalar]) -> Result<(), Error> {
    if values.iter().any(|value| matches!(value, Scalar::Float(number) if !number.is_finite())) {
        let error = Error::new(code::BAD_QUERY, "a field is compared with finite numbers only");
        return Err(error.with_field(field));
    }
    Ok(())
}

fn holds(condition: &Condition, row: &(impl Fields + ?Sized)) -> bool {
    match condition {
        Condition::Compare(op, field, value) => {
            let (field, value) = (row.field(*field), value.as_ref());
            match op {
                FilterOp::Eq => field == value,
                FilterOp::Ne => field != value,
                _ if matches!(field, ScalarRef::Null) || matches!(value, ScalarRef::Null) => false,
                FilterOp::Lt => field < value,
                FilterOp::Le => field <= value,
                FilterOp::Gt => field > value,
                FilterOp::Ge => field >= value,
            }
        }
        Condition::In(field, values) => {
            let field = row.field(*field);
            values.iter().any(|value| value.as_ref() == field)
        }
        Condition::And(all) => all.iter().all(|one| holds(one, row)),
        Condition::Or(any) => any.iter().any(|one| holds(one, row)),
        Condition::Not(one) => !holds(one, row),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_the_names_it_had() {
        let fields = [
            FieldDef { name: "a", queryable: true, aliases: &[] },
            FieldDef { name: "b", queryable: true, aliases: &["first", "second"] },
            FieldDef { name: "c", queryable: false, aliases: &["third"] },
        ];
        assert_eq!(["b", "first", "second"].map(|name| resolve(name, &fields).unwrap()), [1; 3]);
        assert_eq!(resolve("third", &fields).unwrap_err().code(), code::UNKNOWN_FIELD);
    }

    #[test]
    fn what_json_cannot_say_is_no_query() {
        let fields = [FieldDef { name: "n", queryable: true, aliases: &[] }];
        for number in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            for filter in [
                Filter::Compare(FilterOp::Lt, "n".into(), number.into()),
                Filter::In("n".into(), vec![1.into(), number.into()]),
            ] {
                let error = CompiledQuery::of_parts(Some(&!filter), &[], None, &fields).unwrap_err();
                assert_eq!((error.code(), error.field()), (code::BAD_QUERY, Some("n")));
            }
        }
        let most = Filter::Compare(FilterOp::Lt, "n".into(), f64::MAX.into());
        assert!(CompiledQuery::of_parts(Some(&most), &[], None, &fields).is_ok());
    }
}
