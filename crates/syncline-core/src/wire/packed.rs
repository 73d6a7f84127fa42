//! Rows in a compact form, for snapshots: the values of their fields one after the other, as MessagePack; the names are
//! said once, by the frame.
//!
//! The form is JSON's data model in fewer bytes, so that a reader whose type has other fields, or has them in another
//! order, reads the same as from JSON. A row that would not come out of it as it went in stays JSON.

use std::slice;

use rmp_serde::config::{DefaultConfig, HumanReadableConfig, StructMapConfig};
use rmp_serde::{decode, encode};
use serde::de::{
    self, Deserialize, DeserializeOwned, DeserializeSeed, IgnoredAny, IntoDeserializer, MapAccess, Visitor,
};
use serde::ser::{Error as _, Impossible, SerializeStruct};
use serde::{Deserializer, Serialize, Serializer, forward_to_deserialize_any};
use serde_json::{Map, Value};

use crate::error::{Error, code};
use crate::read_json::read_json;
use crate::record::Record;

/// A row of a snapshot, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodedRow<'a> {
    /// JSON, on a line of its own.
    Json(&'a [u8]),
    /// The values of the fields that the frame names.
    Packed(&'a [u8]),
}

impl EncodedRow<'_> {
    /// Decodes it; `fields` are the names that the frame gives for it.
    ///
    /// # Errors
    /// `bad_row` when it is not of this type.
    pub fn decode<T: DeserializeOwned>(&self, fields: &[Box<str>]) -> Result<T, Error> {
        let bad_row =
            |error: &dyn std::fmt::Display| Error::new(code::BAD_ROW, format!("not of this type: {error}"));
        match self {
            Self::Json(json) => read_json(json).map_err(|error| bad_row(&error)),
            Self::Packed(values) => unpack(fields, values).map_err(|error| bad_row(&error)),
        }
    }
}

/// The values of a row's fields; `None` for a row that is not the same afterwards, such as one with raw JSON in it or
/// without one of its fields. `json` is the row too.
pub(crate) fn pack<R: Record>(row: &R, json: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let names = R::FIELDS.iter().map(|field| field.name);
    row.serialize(Values { names: names.clone(), bytes: &mut bytes }).ok()?;
    let names: Vec<Box<str>> = names.map(Box::from).collect();
    unpack::<R>(&names, &bytes).ok().filter(|back| back == row)?;
    // the same for a reader of another type: keys that are no texts, numbers of other widths
    let is_same = unpack::<Map<String, Value>>(&names, &bytes).ok()? == serde_json::from_slice(json).ok()?;
    // and no more than JSON says: infinity is null there
    let is_no_more = serde_json::from_slice::<R>(json).is_ok_and(|back| back == *row);
    (is_same && is_no_more).then_some(bytes)
}

/// Puts a row behind others, packed where its own type reads it back as it was. `names` are those of all its fields.
///
/// # Errors
/// It cannot be written as JSON either.
pub(crate) fn push_for_its_type<R: Record>(
    frame: &mut Vec<u8>,
    row: &R,
    names: &[Box<str>],
) -> Result<(), serde_json::Error> {
    let mut values = Vec::new();
    let written =
        row.serialize(Values { names: R::FIELDS.iter().map(|field| field.name), bytes: &mut values });
    if written.is_ok() && unpack::<R>(names, &values).is_ok_and(|back| back == *row) {
        push(frame, EncodedRow::Packed(&values));
    } else {
        push(frame, EncodedRow::Json(&serde_json::to_vec(row)?));
    }
    Ok(())
}

/// The row with these values of these fields.
pub(crate) fn unpack<T: DeserializeOwned>(names: &[Box<str>], values: &[u8]) -> Result<T, decode::Error> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(values).with_human_readable();
    // as deep as serde_json goes; a stack is not endless
    reader.set_max_depth(128);
    let mut fields = Fields { names: names.iter(), values: reader };
    let row = T::deserialize(&mut fields)?;
    match IgnoredAny::deserialize(&mut fields.values) {
        Err(_) if fields.names.len() == 0 => Ok(row),
        _ => Err(de::Error::custom("the values are not those of the fields")),
    }
}

/// Puts a row behind others of a frame: how long it is and what it is, then itself.
pub(crate) fn push(frame: &mut Vec<u8>, row: EncodedRow<'_>) {
    let (bytes, kind) = match row {
        EncodedRow::Json(bytes) => (bytes, 0),
        EncodedRow::Packed(bytes) => (bytes, 1),
    };
    let mut head = (bytes.len() as u64) << 1 | kind;
    while head >= 0x80 {
        frame.push(head as u8 | 0x80);
        head >>= 7;
    }
    frame.push(head as u8);
    frame.extend_from_slice(bytes);
}

/// Takes the rows of a frame apart.
///
/// # Errors
/// `bad_frame` when they do not end where the frame does.
pub(crate) fn rows(mut frame: &[u8]) -> Result<Vec<EncodedRow<'_>>, Error> {
    let mut rows = Vec::new();
    while !frame.is_empty() {
        let row = take(&mut frame).ok_or_else(|| Error::new(code::BAD_FRAME, "a row is cut off"))?;
        rows.push(row);
    }
    Ok(rows)
}

fn take<'a>(frame: &mut &'a [u8]) -> Option<EncodedRow<'a>> {
    let mut head = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, rest) = frame.split_first()?;
        *frame = rest;
        head |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            let length = usize::try_from(head >> 1).ok().filter(|length| *length > 0)?;
            let (bytes, rest) = frame.split_at_checked(length)?;
            *frame = rest;
            return Some(if head & 1 == 1 { EncodedRow::Packed(bytes) } else { EncodedRow::Json(bytes) });
        }
    }
    None
}

/// Writes the values of a struct with exactly these fields, and nothing else.
struct Values<'a, N> {
    names: N,
    bytes: &'a mut Vec<u8>,
}

fn other_shape<T>() -> Result<T, encode::Error> {
    Err(encode::Error::custom("not the fields of the collection"))
}

impl<N: Iterator<Item = &'static str>> SerializeStruct for Values<'_, N> {
    type Ok = ();
    type Error = encode::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), encode::Error> {
        if self.names.next() != Some(name) {
            return other_shape();
        }
        let values = rmp_serde::Serializer::new(&mut *self.bytes).with_struct_map();
        let mut values: rmp_serde::Serializer<_, HumanReadableConfig<StructMapConfig<DefaultConfig>>> =
            values.with_human_readable();
        value.serialize(&mut values)
    }

    fn skip_field(&mut self, _: &'static str) -> Result<(), encode::Error> {
        other_shape()
    }

    fn end(mut self) -> Result<(), encode::Error> {
        if self.names.next().is_none() { Ok(()) } else { other_shape() }
    }
}

/// What a row is not.
macro_rules! not_a_row {
    ($($method:ident($($value:ty),*) -> $ok:ty;)*) => {
        $(fn $method(self, $(_: $value),*) -> Result<$ok, encode::Error> {
            other_shape()
        })*
    };
}

type Nothing = Impossible<(), encode::Error>;

impl<N: Iterator<Item = &'static str>> Serializer for Values<'_, N> {
    type Ok = ();
    type Error = encode::Error;
    type SerializeSeq = Nothing;
    type SerializeTuple = Nothing;
    type SerializeTupleStruct = Nothing;
    type SerializeTupleVariant = Nothing;
    type SerializeMap = Nothing;
    type SerializeStruct = Self;
    type SerializeStructVariant = Nothing;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, encode::Error> {
        Ok(self)
    }

    not_a_row! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Nothing;
        serialize_tuple(usize) -> Nothing;
        serialize_tuple_struct(&'static str, usize) -> Nothing;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Nothing;
        serialize_map(Option<usize>) -> Nothing;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Nothing;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), encode::Error> {
        other_shape()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<(), encode::Error> {
        other_shape()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), encode::Error> {
        other_shape()
    }
}

type Reader<'de> =
    rmp_serde::Deserializer<decode::ReadRefReader<'de, [u8]>, HumanReadableConfig<DefaultConfig>>;

/// Names and values of fields, as a map.
struct Fields<'de> {
    names: slice::Iter<'de, Box<str>>,
    values: Reader<'de>,
}

impl<'de> Deserializer<'de> for &mut Fields<'de> {
    type Error = decode::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, decode::Error> {
        visitor.visit_map(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, decode::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for &mut Fields<'de> {
    type Error = decode::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, decode::Error> {
        let name = self.names.next();
        name.map(|name| seed.deserialize((&**name).into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, decode::Error> {
        seed.deserialize(&mut self.values)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.names.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;
    use crate::record::FieldDef;
    use crate::scalar::ScalarRef;

    macro_rules! record {
        ($name:ident { $($field:ident: $type:ty),* $(,)? } $(#[$meta:meta])*) => {
            $(#[$meta])*
            #[derive(Clone, Debug, Deserialize, Serialize)]
            struct $name { $(#[serde(default, skip_serializing_if = "is_skipped")] $field: $type),* }

            impl Record for $name {
                const COLLECTION: &'static str = "rows";
                const FIELDS: &'static [FieldDef] =
                    &[$(FieldDef { name: stringify!($field), queryable: true, aliases: &[] }),*];
                const KEY_FIELD: &'static str = "id";

                fn key(&self) -> &str {
                    &self.id
                }

                fn field(&self, _: usize) -> ScalarRef<'_> {
                    ScalarRef::Null
                }
            }
        };
    }

    /// A field whose JSON is `"skip"` is left out.
    fn is_skipped<T: Serialize>(field: &T) -> bool {
        serde_json::to_value(field).is_ok_and(|value| value == "skip")
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    enum Kind {
        #[default]
        Plain,
        Tuple(i32, String),
        Struct {
            deep: Vec<Option<f64>>,
        },
    }

    record! {
        Row { id: String, text: Option<String>, n: i64, big: u64, x: f64, flags: Vec<bool>, kind: Kind, by: BTreeMap<String, char> }
        #[derive(PartialEq)]
    }

    fn row() -> Row {
        Row {
            id: "größe\n\u{1f35e}".into(),
            text: None,
            n: i64::MIN,
            big: u64::MAX,
            x: -0.1,
            flags: vec![true, false],
            kind: Kind::Struct { deep: vec![Some(1.0), None] },
            by: BTreeMap::from([("seven".into(), 'ü')]),
        }
    }

    fn packed<R: Record>(row: &R) -> Option<Vec<u8>> {
        pack(row, &serde_json::to_vec(row).unwrap())
    }

    fn names<R: Record>() -> Vec<Box<str>> {
        R::FIELDS.iter().map(|field| field.name.into()).collect()
    }

    #[test]
    fn a_row_comes_out_as_it_went_in() {
        for kind in [Kind::Plain, Kind::Tuple(-3, "t".into()), row().kind] {
            let row = Row { kind, ..row() };
            let packed = packed(&row).unwrap();
            assert!(packed.len() < serde_json::to_vec(&row).unwrap().len() * 3 / 4);
            assert_eq!(unpack::<Row>(&names::<Row>(), &packed).unwrap(), row);
        }
    }

    #[test]
    fn another_version_of_the_type_reads_what_it_would_read_from_json() {
        // other fields, in another order, some of another kind
        record! { Other { new: Vec<String>, x: f64, id: String, big: f64 } #[derive(PartialEq)] }
        let packed = packed(&row()).unwrap();
        let from_json: Other = serde_json::from_value(serde_json::to_value(row()).unwrap()).unwrap();
        assert_eq!(unpack::<Other>(&names::<Row>(), &packed).unwrap(), from_json);
        let map: Map<String, Value> = unpack(&names::<Row>(), &packed).unwrap();
        assert_eq!((&map["n"], &map["kind"]), (&json!(i64::MIN), &json!({"Struct": {"deep": [1.0, null]}})));
    }

    #[test]
    fn what_would_not_come_out_as_it_went_in_stays_json() {
        // a field is left out
        assert_eq!(packed(&Row { text: Some("skip".into()), ..row() }), None);
        // raw JSON is a secret between serde_json and itself
        record! { Raw { id: String, raw: Option<Box<RawValue>> } }
        impl PartialEq for Raw {
            fn eq(&self, other: &Self) -> bool {
                let text = |row: &Self| row.raw.as_ref().map(|raw| raw.get().to_owned());
                (&self.id, text(self)) == (&other.id, text(other))
            }
        }
        let raw = Some(RawValue::from_string("[1,  2]".into()).unwrap());
        assert_eq!(packed(&Raw { id: "a".into(), raw }), None);
        // keys of maps are texts
        record! { Keyed { id: String, by: BTreeMap<u32, bool> } #[derive(PartialEq)] }
        assert_eq!(packed(&Keyed { id: "a".into(), by: BTreeMap::from([(7, true)]) }), None);
        // numbers of other widths, and such as JSON does not have
        record! { Wide { id: String, f: Option<f32>, x: Option<f64>, n: Option<u128> } #[derive(PartialEq)] }
        let none = Wide { id: "a".into(), f: None, x: None, n: None };
        assert!(packed(&none).is_some());
        assert_eq!(packed(&Wide { f: Some(0.1), ..none.clone() }), None);
        assert_eq!(packed(&Wide { x: Some(f64::INFINITY), ..none.clone() }), None);
        assert_eq!(packed(&Wide { n: Some(7), ..none }), None);
        // nothing is equal to it
        assert_eq!(packed(&Row { x: f64::NAN, ..row() }), None);
    }

    #[test]
    fn a_row_for_its_own_type_stays_json_only_where_that_reads_something_else() {
        record! { Keyed { id: String, by: BTreeMap<u32, bool>, raw: Option<Box<RawValue>> } }
        impl PartialEq for Keyed {
            fn eq(&self, other: &Self) -> bool {
                let text = |row: &Self| row.raw.as_ref().map(|raw| raw.get().to_owned());
                (&self.id, &self.by, text(self)) == (&other.id, &other.by, text(other))
            }
        }
        let plain = Keyed { id: "a".into(), by: BTreeMap::from([(7, true)]), raw: None };
        let raw = Keyed { raw: Some(RawValue::from_string("[1]".into()).unwrap()), ..plain.clone() };
        let mut frame = Vec::new();
        for row in [&plain, &raw] {
            push_for_its_type(&mut frame, row, &names::<Keyed>()).unwrap();
        }
        let rows = rows(&frame).unwrap();
        assert!(matches!(rows[..], [EncodedRow::Packed(_), EncodedRow::Json(_)]), "{rows:?}");
        for (row, there) in rows.iter().zip([plain, raw]) {
            assert!(row.decode::<Keyed>(&names::<Keyed>()).unwrap() == there);
        }
    }

    #[test]
    fn values_that_are_not_those_of_the_fields_are_refused() {
        let mut values = pack(&row(), &serde_json::to_vec(&row()).unwrap()).unwrap();
        values.push(0xc3);
        assert!(unpack::<Row>(&names::<Row>(), &values).is_err());
        assert!(unpack::<Row>(&names::<Row>()[1..], &values).is_err());
        // nested deeper than anything in earnest
        let deep = [vec![0x91; 100_000], vec![0xc0]].concat();
        assert!(unpack::<Map<String, Value>>(&["a".into()], &deep).is_err());
        record! { Other { id: String } #[derive(PartialEq)] }
        assert!(unpack::<Other>(&["deep".into()], &deep).is_err());
    }

    #[test]
    fn rows_are_told_apart_by_their_lengths() {
        let long = vec![b'x'; 20_000];
        let rows_in = [EncodedRow::Packed(b"x"), EncodedRow::Json(&long), EncodedRow::Packed(b"\n{")];
        let mut frame = Vec::new();
        rows_in.into_iter().for_each(|row| push(&mut frame, row));
        assert_eq!(rows(&frame).unwrap(), rows_in);
        for cut in [1, 3, 5_000, frame.len() - 1] {
            assert_eq!(
                rows(&frame[..cut]).map_err(|error| error.code().to_owned()),
                Err(code::BAD_FRAME.into()),
                "{cut}"
            );
        }
        for hostile in
            [&[0xff; 30][..], &[0x81], &[0], &[1], &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]]
        {
            assert_eq!(rows(hostile).unwrap_err().code(), code::BAD_FRAME);
        }
    }
}
