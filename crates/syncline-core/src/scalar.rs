//! Values that queries compare: what a field is, seen through its column rather than its Rust type.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::id::{ClientId, Key, SpaceId, UserId};

/// A value that a query can compare, owned. As JSON: `null`, `true`, `12`, `1.5`, `"text"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction, or a whole number beyond 64 bits.
    Float(f64),
    /// A text.
    Text(Box<str>),
}

/// A borrowed [`Scalar`], read from a row without copying.
#[derive(Clone, Copy, Debug)]
pub enum ScalarRef<'a> {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// A text.
    Text(&'a str),
}

impl Scalar {
    /// Borrows it.
    pub fn as_ref(&self) -> ScalarRef<'_> {
        match self {
            Self::Null => ScalarRef::Null,
            Self::Bool(value) => ScalarRef::Bool(*value),
            Self::Int(value) => ScalarRef::Int(*value),
            Self::Float(value) => ScalarRef::Float(*value),
            Self::Text(value) => ScalarRef::Text(value),
        }
    }
}

impl ScalarRef<'_> {
    /// Copies it.
    pub fn to_owned(self) -> Scalar {
        match self {
            Self::Null => Scalar::Null,
            Self::Bool(value) => Scalar::Bool(value),
            Self::Int(value) => Scalar::Int(value),
            Self::Float(value) => Scalar::Float(value),
            Self::Text(value) => Scalar::Text(value.into()),
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Int(_) | Self::Float(_) => 2,
            Self::Text(_) => 3,
        }
    }
}

/// One total order over all values: null, then false, true, then numbers by value, then texts by their bytes.
/// `-0.0` stands before `0.0` and NaN behind every number, so that both ends sort alike whatever comes.
impl Ord for ScalarRef<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (*self, *other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(&b),
            (Self::Int(a), Self::Int(b)) => a.cmp(&b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(&b),
            (Self::Int(a), Self::Float(b)) => int_float(a, b),
            (Self::Float(a), Self::Int(b)) => int_float(b, a).reverse(),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

// exact: 2^53 + 1 is not the same number as 2^53 as a float
fn int_float(int: i64, float: f64) -> Ordering {
    let rounded = (int as f64).total_cmp(&float);
    if rounded != Ordering::Equal {
        return rounded;
    }
    (int as i128).cmp(&(float as i128))
}

impl PartialOrd for ScalarRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ScalarRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ScalarRef<'_> {}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(&other.as_ref())
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Null => 0u8.hash(state),
            Self::Bool(value) => value.hash(state),
            // equal numbers hash alike, whichever way they are held
            Self::Int(value) => (*value as f64).to_bits().hash(state),
            Self::Float(value) => value.to_bits().hash(state),
            Self::Text(value) => value.hash(state),
        }
    }
}

/// A Rust type that can stand in a query: what `#[derive(Record)]` asks of every field that is not marked
/// `#[record(opaque)]`.
#[diagnostic::on_unimplemented(
    message = "queries cannot compare `{Self}`",
    label = "not a plain value",
    note = "mark the field `#[record(opaque)]` if queries need neither filter nor order by it"
)]
pub trait ToScalar {
    /// The value as queries see it.
    fn to_scalar(&self) -> ScalarRef<'_>;
}

macro_rules! whole_numbers {
    ($($ty:ty),*) => {$(
        impl ToScalar for $ty {
            fn to_scalar(&self) -> ScalarRef<'_> {
                i64::try_from(*self).map_or(ScalarRef::Float(*self as f64), ScalarRef::Int)
            }
        }

        impl From<$ty> for Scalar {
            fn from(value: $ty) -> Self {
                value.to_scalar().to_owned()
            }
        }
    )*};
}

whole_numbers!(i8, i16, i32, i64, u8, u16, u32, u64, isize, usize);

macro_rules! plain {
    ($($ty:ty, $value:ident => $scalar:expr;)*) => {$(
        impl ToScalar for $ty {
            fn to_scalar(&self) -> ScalarRef<'_> {
                let $value = self;
                $scalar
            }
        }

        impl From<$ty> for Scalar {
            fn from(value: $ty) -> Self {
                value.to_scalar().to_owned()
            }
        }
    )*};
}

plain! {
    bool, value => ScalarRef::Bool(*value);
    f32, value => ScalarRef::Float(f64::from(*value));
    f64, value => ScalarRef::Float(*value);
    String, value => ScalarRef::Text(value);
    Box<str>, value => ScalarRef::Text(value);
    std::sync::Arc<str>, value => ScalarRef::Text(value);
    Key, value => ScalarRef::Text(value.as_str());
    SpaceId, value => ScalarRef::Text(value.as_str());
    ClientId, value => ScalarRef::Text(value.as_str());
    UserId, value => ScalarRef::Text(value.as_str());
}

impl From<&str> for Scalar {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl From<&String> for Scalar {
    fn from(value: &String) -> Self {
        Self::Text(value.as_str().into())
    }
}

impl<T: ToScalar> ToScalar for Option<T> {
    fn to_scalar(&self) -> ScalarRef<'_> {
        self.as_ref().map_or(ScalarRef::Null, ToScalar::to_scalar)
    }
}

impl<T: Into<Scalar>> From<Option<T>> for Scalar {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_and_fractions_compare_by_value() {
        assert_eq!(Scalar::from(1), Scalar::from(1.0));
        assert!(Scalar::from(1) < Scalar::from(1.5));
        assert!(Scalar::from(9_007_199_254_740_993_i64) > Scalar::from(9_007_199_254_740_992.0));
        assert!(Scalar::from(u64::MAX) > Scalar::from(i64::MAX));
    }

    #[test]
    fn kinds_have_one_order() {
        let mut all = vec![
            Scalar::from("a"),
            Scalar::from(f64::NAN),
            Scalar::from(3),
            Scalar::from(true),
            Scalar::Null,
        ];
        all.sort();
        assert_eq!(
            all,
            vec![
                Scalar::Null,
                Scalar::from(true),
                Scalar::from(3),
                Scalar::from(f64::NAN),
                Scalar::from("a")
            ]
        );
    }
}
