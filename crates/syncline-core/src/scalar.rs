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
    /// A whole number beyond those, from 2^63 on.
    UInt(u64),
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
    /// A whole number beyond those, from 2^63 on.
    UInt(u64),
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
            Self::UInt(value) => ScalarRef::UInt(*value),
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
            Self::UInt(value) => Scalar::UInt(value),
            Self::Float(value) => Scalar::Float(value),
            Self::Text(value) => Scalar::Text(value.into()),
        }
    }

    fn whole(self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(value.into()),
            Self::UInt(value) => Some(value.into()),
            Self::Null | Self::Bool(_) | Self::Float(_) | Self::Text(_) => None,
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Int(_) | Self::UInt(_) | Self::Float(_) => 2,
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
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (a, b) => match (a.whole(), b.whole(), a, b) {
                (Some(a), Some(b), ..) => a.cmp(&b),
                (Some(a), None, _, Self::Float(b)) => whole_float(a, b),
                (None, Some(b), Self::Float(a), _) => whole_float(b, a).reverse(),
                _ => a.rank().cmp(&b.rank()),
            },
        }
    }
}

// exact: 2^53 + 1 is not the same number as 2^53 as a float
fn whole_float(whole: i128, float: f64) -> Ordering {
    let rounded = (whole as f64).total_cmp(&float);
    if rounded != Ordering::Equal {
        return rounded;
    }
    whole.cmp(&(float as i128))
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
            Self::UInt(value) => (*value as f64).to_bits().hash(state),
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
                i64::try_from(*self).map_or_else(|_| ScalarRef::UInt(*self as u64), ScalarRef::Int)
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
    #![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_numbers_and_fractions_compare_by_value() {
        assert_eq!(Scalar::from(1), Scalar::from(1.0));
        assert!(Scalar::from(1) < Scalar::from(1.5));
        assert!(Scalar::from(9_007_199_254_740_993_i64) > Scalar::from(9_007_199_254_740_992.0));
        assert!(Scalar::from(u64::MAX) > Scalar::from(i64::MAX));
    }

    #[test]
    fn the_newest_stands_first_by_what_is_left_until_the_end_of_64_bits() {
        let rank = |now_ms: u64| Scalar::from(u64::MAX - now_ms);
        assert!(rank(1_795_165_400_001) < rank(1_795_165_400_000));
        assert_eq!(rank(0), Scalar::UInt(u64::MAX));
        assert!(rank(0) < Scalar::from(18_446_744_073_709_551_616.0));
        assert!(Scalar::from(9_223_372_036_854_775_808.0) < Scalar::from((1_u64 << 63) + 1));
        assert_eq!(Scalar::from(9_223_372_036_854_775_808.0), Scalar::from(1_u64 << 63));
    }

    /// Numbers at the places where they are held in another way, or where floats are too coarse for them.
    fn number() -> impl Strategy<Value = Scalar> {
        let edges = [0_i128, 1 << 53, 1 << 63, 1 << 64, -(1 << 53), -(1 << 63)];
        let near = (0..edges.len(), -3..4_i128).prop_map(move |(edge, by)| edges[edge] + by);
        let near = near.prop_flat_map(|number| {
            let mut forms = vec![Scalar::Float(number as f64), Scalar::Float(number as f64 + 0.5)];
            forms.extend(i64::try_from(number).map(Scalar::Int));
            forms.extend(u64::try_from(number).map(Scalar::UInt));
            prop::sample::select(forms)
        });
        let odd = [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MIN_POSITIVE];
        prop_oneof![
            8 => near,
            1 => prop::sample::select(odd.to_vec()).prop_map(Scalar::Float),
            1 => any::<i64>().prop_map(Scalar::Int),
            1 => any::<u64>().prop_map(Scalar::from),
            1 => any::<f64>().prop_map(Scalar::Float),
        ]
    }

    fn scalar() -> impl Strategy<Value = Scalar> {
        prop_oneof![
            12 => number(),
            1 => Just(Scalar::Null),
            1 => any::<bool>().prop_map(Scalar::from),
            1 => "[ab]{0,2}".prop_map(|text| Scalar::from(&text)),
        ]
    }

    /// The whole part and whether there is more, of a number that is one.
    fn exact(scalar: &Scalar) -> Option<(i128, f64)> {
        match *scalar {
            Scalar::Int(value) => Some((value.into(), 0.0)),
            Scalar::UInt(value) => Some((value.into(), 0.0)),
            Scalar::Float(value) if value.abs() < 1e30 => {
                Some((value.floor() as i128, value - value.floor()))
            }
            _ => None,
        }
    }

    fn hash(scalar: &Scalar) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        scalar.hash(&mut hasher);
        hasher.finish()
    }

    proptest! {
        #[test]
        fn all_values_have_one_order(a in scalar(), b in scalar(), c in scalar()) {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c);
                prop_assert_eq!(a == c, a == b && b == c);
            }
            if a == b {
                prop_assert_eq!(hash(&a), hash(&b));
            }
            if let (Some(one), Some(other)) = (exact(&a), exact(&b)) && one != other {
                prop_assert_eq!(Some(a.cmp(&b)), one.partial_cmp(&other));
            }
        }

        #[test]
        fn the_other_end_has_the_same_value(scalar in scalar()) {
            let is_finite = !matches!(scalar, Scalar::Float(number) if !number.is_finite());
            if is_finite {
                let json = serde_json::to_string(&scalar).unwrap();
                prop_assert_eq!(serde_json::from_str::<Scalar>(&json).unwrap(), scalar);
            }
        }
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
