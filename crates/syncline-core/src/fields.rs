//! A row as its fields, each as the JSON that it is: a number keeps its digits, and raw JSON stays as it was written.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serializer as _};
use serde_json::Error;
use serde_json::value::RawValue;

/// Fields by name, each as JSON: what a patch sets.
pub type Fields = BTreeMap<Box<str>, Box<RawValue>>;

/// The members of an object, in the order in which they stand there.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), json)) = map.next_entry()? {
                    members.push((name, json));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

impl<'a> Members<'a> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, json)| *json)
    }
}

/// The fields that have to be set to make `after` of `before`, two rows in JSON. One that is not written any more is set to
/// null: what is left out must not keep its old value.
///
/// # Errors
/// They are no objects.
pub(crate) fn difference(before: &str, after: &str) -> Result<Fields, Error> {
    let (before, after): (Members<'_>, Members<'_>) =
        (serde_json::from_str(before)?, serde_json::from_str(after)?);
    let gone = before.0.iter().filter(|(name, _)| after.get(name).is_none());
    let gone = gone.map(|(name, _)| (Box::from(&**name), RawValue::NULL.to_owned()));
    let is_kept = |name: &str, json: &RawValue| {
        before.get(name).is_some_and(|before| is_same(before.get(), json.get()))
    };
    let set = after.0.iter().filter(|(name, json)| !is_kept(name, json));
    let set = set.map(|(name, json)| (Box::from(&**name), (*json).to_owned()));
    Ok(gone.chain(set).collect())
}

/// Whether the two say the same. The members of an object may stand in another order, as those of a hash map do.
fn is_same(one: &str, other: &str) -> bool {
    fn read<'a, T: Deserialize<'a>>(one: &'a str, other: &'a str) -> Option<(T, T)> {
        Some((serde_json::from_str(one).ok()?, serde_json::from_str(other).ok()?))
    }
    if one == other {
        return true;
    }
    match (one.as_bytes().first(), other.as_bytes().first()) {
        (Some(b'{'), Some(b'{')) => read(one, other).is_some_and(|(Members(mut one), Members(mut other))| {
            one.sort_by(|a, b| a.0.cmp(&b.0));
            other.sort_by(|a, b| a.0.cmp(&b.0));
            one.len() == other.len()
                && one.iter().zip(&other).all(|(a, b)| a.0 == b.0 && is_same(a.1.get(), b.1.get()))
        }),
        (Some(b'['), Some(b'[')) => read::<Vec<&RawValue>>(one, other).is_some_and(|(one, other)| {
            one.len() == other.len() && one.iter().zip(&other).all(|(a, b)| is_same(a.get(), b.get()))
        }),
        _ => false,
    }
}

/// What is done with a field that is to be null.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Null {
    /// It is.
    Set,
    /// It is left out.
    LeftOut,
    /// It stays as it was.
    Kept,
}

/// A row in JSON with some of its fields set to other values, and to null as `null` says of each.
///
/// # Errors
/// It is no object.
pub(crate) fn with_fields(row: &str, set: &Fields, null: impl Fn(&str) -> Null) -> Result<Vec<u8>, Error> {
    let Members(members) = serde_json::from_str(row)?;
    let null_of = |name: &str, json: &RawValue| if is_null(json) { null(name) } else { Null::Set };
    let kept = members.iter().filter_map(|(name, json)| match set.get(&**name) {
        Some(new) => match null_of(name, new) {
            Null::Set => Some((&**name, &**new)),
            Null::LeftOut => None,
            Null::Kept => Some((&**name, *json)),
        },
        None => Some((&**name, *json)),
    });
    let is_new = |name: &str| members.iter().all(|(other, _)| other != name);
    let new = set.iter().filter(|(name, json)| null_of(name, json) == Null::Set && is_new(name));
    let mut json = Vec::with_capacity(row.len() + 128);
    serde_json::Serializer::new(&mut json)
        .collect_map(kept.chain(new.map(|(name, json)| (&**name, &**json))))?;
    Ok(json)
}

/// Whether a field is to be null.
pub(crate) fn is_null(json: &RawValue) -> bool {
    json.get() == "null"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(json: &str) -> Fields {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_difference_is_what_is_written_in_another_way() {
        let of =
            |before: &str, after: &str| serde_json::to_string(&difference(before, after).unwrap()).unwrap();
        assert_eq!(of(r#"{"a":1,"b":[1,{}]}"#, r#"{"b":[1,{}],"a":1}"#), "{}");
        assert_eq!(of(r#"{"a":1.10}"#, r#"{"a":1.1}"#), r#"{"a":1.1}"#);
        let long = ["100000000000000000901", "100000000000000000902"].map(|n| format!("{{\"n\":[{n}]}}"));
        assert_eq!(of(&long[0], &long[1]), long[1]);
        assert_eq!(of(r#"{"a":1,"b":2}"#, r#"{"b":2,"c":3}"#), r#"{"a":null,"c":3}"#);
        // a hash map has no order of its own
        assert_eq!(of(r#"{"m":[{"x":1,"y":2}]}"#, r#"{"m":[{"y":2,"x":1}]}"#), "{}");
        assert_eq!(of(r#"{"m":{"x":1,"x":2}}"#, r#"{"m":{"x":3,"x":2}}"#), r#"{"m":{"x":3,"x":2}}"#);
        assert!(difference("[1]", "[1]").is_err());
    }

    #[test]
    fn fields_are_set_where_they_stand_and_the_others_stay_as_they_were_written() {
        let with = |row: &str, fields: &str, null| {
            String::from_utf8(with_fields(row, &set(fields), |_| null).unwrap()).unwrap()
        };
        let row = r#"{"z":1.10,"a\"":[ 1 ],"n":1}"#;
        assert_eq!(with(row, r#"{"n":2,"b":3}"#, Null::Set), r#"{"z":1.10,"a\"":[ 1 ],"n":2,"b":3}"#);
        let nulls = r#"{"a\"":null,"b":null}"#;
        assert_eq!(with(row, nulls, Null::Set), r#"{"z":1.10,"a\"":null,"n":1,"b":null}"#);
        assert_eq!(with(row, nulls, Null::LeftOut), r#"{"z":1.10,"n":1}"#);
        assert_eq!(with(row, nulls, Null::Kept), row);
    }
}
