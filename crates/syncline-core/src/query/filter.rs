//! Conditions on rows.

use std::ops;

use serde::{Deserialize, Serialize};

use crate::scalar::Scalar;

/// How a field is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FilterOp {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

/// Which rows a query wants. On the wire one key names the condition: `{"eq":["done",false]}`,
/// `{"in":["room",["a","b"]]}`, `{"and":[…]}`, `{"or":[…]}`, `{"not":…}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub enum Filter {
    /// The field compared with a value. A field without a value is equal to null only, and less or greater than
    /// nothing.
    Compare(FilterOp, Box<str>, Scalar),
    /// The field is one of these.
    In(Box<str>, Vec<Scalar>),
    /// All of these hold; an empty list holds.
    And(Vec<Filter>),
    /// One of these holds; an empty list does not hold.
    Or(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
}

impl Filter {
    /// Both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self {
            Self::And(mut all) => {
                all.push(other);
                Self::And(all)
            }
            one => Self::And(vec![one, other]),
        }
    }

    /// One of the two holds.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match self {
            Self::Or(mut any) => {
                any.push(other);
                Self::Or(any)
            }
            one => Self::Or(vec![one, other]),
        }
    }
}

impl ops::Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wire {
    Eq(Box<str>, Scalar),
    Ne(Box<str>, Scalar),
    Lt(Box<str>, Scalar),
    Le(Box<str>, Scalar),
    Gt(Box<str>, Scalar),
    Ge(Box<str>, Scalar),
    In(Box<str>, Vec<Scalar>),
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
}

impl From<Wire> for Filter {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Eq(field, value) => Self::Compare(FilterOp::Eq, field, value),
            Wire::Ne(field, value) => Self::Compare(FilterOp::Ne, field, value),
            Wire::Lt(field, value) => Self::Compare(FilterOp::Lt, field, value),
            Wire::Le(field, value) => Self::Compare(FilterOp::Le, field, value),
            Wire::Gt(field, value) => Self::Compare(FilterOp::Gt, field, value),
            Wire::Ge(field, value) => Self::Compare(FilterOp::Ge, field, value),
            Wire::In(field, values) => Self::In(field, values),
            Wire::And(all) => Self::And(all),
            Wire::Or(any) => Self::Or(any),
            Wire::Not(one) => Self::Not(one),
        }
    }
}

impl From<Filter> for Wire {
    fn from(filter: Filter) -> Self {
        match filter {
            Filter::Compare(FilterOp::Eq, field, value) => Self::Eq(field, value),
            Filter::Compare(FilterOp::Ne, field, value) => Self::Ne(field, value),
            Filter::Compare(FilterOp::Lt, field, value) => Self::Lt(field, value),
            Filter::Compare(FilterOp::Le, field, value) => Self::Le(field, value),
            Filter::Compare(FilterOp::Gt, field, value) => Self::Gt(field, value),
            Filter::Compare(FilterOp::Ge, field, value) => Self::Ge(field, value),
            Filter::In(field, values) => Self::In(field, values),
            Filter::And(all) => Self::And(all),
            Filter::Or(any) => Self::Or(any),
            Filter::Not(one) => Self::Not(one),
        }
    }
}
