//! Writes of kind `rows`: puts, patches and deletes of rows, all or none of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, code};
pub use crate::fields::Fields;
use crate::fields::difference;
use crate::one_line::to_one_line;
use crate::record::Record;
use crate::scalar::ScalarRef;
use crate::schema::CollectionDef;
use crate::tx::{Tx, existing};
use crate::wire::behind_text;

/// The kind of a write that carries [`RowOps`].
pub const ROWS: &str = "rows";

/// One step of a write of kind `rows`. On the wire: `{"put":["todos",{…}]}`,
/// `{"patch":["todos","key",{"done":true}]}`, `{"delete":["todos","key"]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowOp {
    /// Puts a row in the place of whatever had its key.
    Put(Box<str>, Box<RawValue>),
    /// Sets some fields of the row at a key; other fields keep what somebody else may have given them meanwhile.
    Patch(Box<str>, Box<str>, Fields),
    /// Removes the row at a key.
    Delete(Box<str>, Box<str>),
}

/// The payload of a write of kind `rows`: at most 1,000 steps.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowOps {
    /// The steps, in order.
    pub ops: Vec<RowOp>,
}

/// The most steps of one write.
const MAX_OPS: usize = 1_000;

impl RowOp {
    /// Puts `row`.
    ///
    /// # Errors
    /// `bad_row` when the row cannot be written as JSON, as a number that is not finite.
    pub fn put<R: Record>(row: &R) -> Result<Self, Error> {
        check_finite(row)?;
        let json = serde_json::value::to_raw_value(row).map_err(unwritable)?;
        Ok(Self::Put(R::COLLECTION.into(), json))
    }

    /// Sets the fields in which `after` differs from `before`; `None` when there are none.
    ///
    /// # Errors
    /// `bad_row` when a row cannot be written as JSON, as a number that is not finite, or not be read back; `bad_key` when the two have different keys.
    pub fn patch<R: Record>(before: &R, after: &R) -> Result<Option<Self>, Error> {
        if before.key() != after.key() {
            return Err(Error::new(code::BAD_KEY, "an update cannot change the key").with_field(R::KEY_FIELD));
        }
        let key = before.key().into();
        check_finite(after)?;
        let json = serde_json::to_string(after).map_err(unwritable)?;
        let set = serde_json::to_string(before).and_then(|before| difference(&before, &json));
        let set = set.map_err(unwritable)?;
        // NaN in a field that queries do not see is one too
        if set.values().any(|value| value.get().contains("null")) {
            CollectionDef::of::<R>().decode(json.as_bytes())?;
        }
        Ok((!set.is_empty()).then(|| Self::Patch(R::COLLECTION.into(), key, set)))
    }

    /// What makes `after` of `before`: its [`patch`](Self::patch), or all of it where it is put `whole`. `None` when there is
    /// no difference.
    ///
    /// # Errors
    /// As [`patch`](Self::patch).
    pub fn change<R: Record>(before: &R, after: &R, whole: bool) -> Result<Option<Self>, Error> {
        match Self::patch(before, after)? {
            Some(_) if whole => Self::put(after).map(Some),
            patch => Ok(patch),
        }
    }

    /// Removes the row at `key`.
    pub fn delete<R: Record>(key: &str) -> Self {
        Self::Delete(R::COLLECTION.into(), key.into())
    }
}

/// JSON has no infinity and no NaN: they would be null, which another field of that name may well be.
fn check_finite<R: Record>(row: &R) -> Result<(), Error> {
    for (index, field) in R::FIELDS.iter().enumerate() {
        if matches!(row.field(index), ScalarRef::Float(number) if !number.is_finite()) {
            return Err(Error::new(code::BAD_ROW, "the number is not finite").with_field(field.name));
        }
    }
    Ok(())
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(code::BAD_ROW, format!("the row cannot be written as JSON: {error}"))
}

/// [`RowOps`] with the one step that puts a row, as it is written.
#[derive(Serialize)]
struct OnePut<'a, R> {
    ops: [PutStep<'a, R>; 1],
}

#[derive(Serialize)]
struct PutStep<'a, R> {
    put: (&'static str, &'a R),
}

/// A write that puts one row, ready to be sent: what [`RowOps`] with one [`RowOp::put`] come to, written at once.
#[derive(Debug)]
pub struct Put<R> {
    payload: Box<RawValue>,
    _row: PhantomData<fn() -> R>,
}

impl<R: Record> Put<R> {
    /// Puts `row`.
    ///
    /// # Errors
    /// `bad_row` when the row cannot be written as JSON, as a number that is not finite.
    pub fn new(row: &R) -> Result<Self, Error> {
        check_finite(row)?;
        let ops = OnePut { ops: [PutStep { put: (R::COLLECTION, row) }] };
        let payload = to_one_line(&ops).map_err(unwritable)?;
        Ok(Self { payload, _row: PhantomData })
    }

    /// The row as it stands in the payload.
    pub(crate) fn row(&self) -> &str {
        one_put(self.payload.get()).map_or("", |(_, row)| row)
    }

    pub(crate) fn into_payload(self) -> Box<RawValue> {
        self.payload
    }
}

/// Of a payload that may put one row and do nothing else: what the collection is called, and the row. Where it does more, what
/// stands for the row is none.
fn one_put(payload: &str) -> Option<(&str, &str)> {
    let name = payload.strip_prefix(r#"{"ops":[{"put":[""#)?;
    let (name, rest) = name.split_at_checked(name.len() - behind_text(name.as_bytes()).len())?;
    Some((name.strip_suffix('"')?, rest.strip_prefix(',')?.strip_suffix("]}]}")?))
}

/// The row that a payload puts in a collection, if that is all it does.
pub(crate) fn put_row<'a>(payload: &'a str, collection: &str) -> Option<&'a str> {
    one_put(payload).filter(|(name, _)| *name == collection).map(|(_, row)| row)
}

impl RowOps {
    /// Reads a payload.
    ///
    /// # Errors
    /// `bad_write` when it is not one, or has more than 1,000 steps.
    pub fn parse(payload: &str) -> Result<Self, Error> {
        let ops: Self = serde_json::from_str(payload)
            .map_err(|error| Error::new(code::BAD_WRITE, format!("not a payload of kind `rows`: {error}")))?;
        ops.check_steps()?;
        Ok(ops)
    }

    fn check_steps(&self) -> Result<(), Error> {
        if self.ops.len() > MAX_OPS {
            return Err(Error::new(code::BAD_WRITE, "a write has at most 1,000 steps"));
        }
        Ok(())
    }

    /// Writes the payload, in one line.
    ///
    /// # Errors
    /// `bad_write` when it has more than 1,000 steps or cannot be written as JSON.
    pub fn to_payload(&self) -> Result<Box<RawValue>, Error> {
        self.check_steps()?;
        to_one_line(self).map_err(|error| {
            Error::new(code::BAD_WRITE, format!("the write cannot be written as JSON: {error}"))
        })
    }

    /// Takes the steps on a transaction, the same on both ends. A refused step ends it; the transaction is then to be dropped.
    /// Patches of one row, as long as nothing else is done to it, are one patch with the fields of them all.
    ///
    /// # Errors
    /// Whatever the first refused step is refused for.
    pub fn apply(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let mut patches = Patches::default();
        for op in &self.ops {
            match op {
                RowOp::Put(collection, row) => {
                    let def = tx.schema().collection(collection)?;
                    let row = def.decode(row.get().as_bytes())?;
                    patches.take(def.name, row.key(), tx)?;
                    tx.put_row(def.name, row)?;
                }
                RowOp::Patch(collection, key, set) => {
                    let def = tx.schema().collection(collection)?;
                    existing(tx, def.name, key)?;
                    patches.add(def.name, key, def.by_todays_names(set)?);
                }
                RowOp::Delete(collection, key) => {
                    let def = tx.schema().collection(collection)?;
                    patches.take(def.name, key, tx)?;
                    tx.delete_row(def.name, key)?;
                }
            }
        }
        patches.take_all(tx)
    }
}

/// The patches of a write that have not been taken: each row is decoded once, however often and however large it is.
#[derive(Default)]
struct Patches<'a> {
    sets: BTreeMap<(&'static str, Cow<'a, str>), Cow<'a, Fields>>,
}

impl<'a> Patches<'a> {
    fn add(&mut self, collection: &'static str, key: &'a str, set: Cow<'a, Fields>) {
        match self.sets.entry((collection, key.into())) {
            Entry::Occupied(earlier) => earlier.into_mut().to_mut().extend(set.into_owned()),
            Entry::Vacant(none) => drop(none.insert(set)),
        }
    }

    /// Takes those of one row.
    fn take(&mut self, collection: &'static str, key: &str, tx: &mut Tx<'_>) -> Result<(), Error> {
        if self.sets.is_empty() {
            return Ok(());
        }
        let set = self.sets.remove(&(collection, Cow::Owned(key.to_owned())));
        set.map_or(Ok(()), |set| tx.patch_row(collection, key, &set))
    }

    fn take_all(self, tx: &mut Tx<'_>) -> Result<(), Error> {
        self.sets.iter().try_for_each(|((collection, key), set)| tx.patch_row(collection, key, set))
    }
}

#[cfg(all(test, feature = "derive"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;
    use crate::record::AnyRow;
    use crate::schema::Schema;
    use crate::tx::ReadRows;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, syncline_macros::Record)]
    #[record(collection = "notes", key = id, crate = crate)]
    struct Note {
        id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        due: Option<u64>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[record(opaque)]
        labels: Vec<String>,
    }

    #[test]
    fn a_payload_is_one_line_however_a_row_was_written() {
        let row = RawValue::from_string("{\n  \"id\": \"a\",\n  \"labels\": [ \"x y\" ]\n}".into()).unwrap();
        let payload = RowOps { ops: vec![RowOp::Put("notes".into(), row)] }.to_payload().unwrap();
        assert_eq!(payload.get(), r#"{"ops":[{"put":["notes",{"id":"a","labels":["x y"]}]}]}"#);
    }

    thread_local! {
        static DECODED: Cell<usize> = const { Cell::new(0) };
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, syncline_macros::Record)]
    #[record(collection = "counters", key = id, crate = crate)]
    struct Counter {
        #[serde(deserialize_with = "counted")]
        id: String,
        a: u64,
        b: u64,
    }

    fn counted<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        DECODED.set(DECODED.get() + 1);
        String::deserialize(deserializer)
    }

    /// A base with one row.
    struct One<R>(R);

    impl<R: Record> ReadRows for One<R> {
        fn row(&self, collection: &'static str, key: &str) -> Option<Arc<dyn AnyRow>> {
            let is_it = collection == R::COLLECTION && key == self.0.key();
            is_it.then(|| Arc::new(self.0.clone()) as Arc<dyn AnyRow>)
        }

        fn all_rows(&self, collection: &'static str) -> Vec<Arc<dyn AnyRow>> {
            self.row(collection, self.0.key()).into_iter().collect()
        }
    }

    fn apply(steps: &str) -> Result<Vec<Option<Counter>>, Error> {
        let mut schema = Schema::default();
        schema.add::<Counter>();
        let base = One(Counter { id: "x".into(), a: 1, b: 1 });
        let mut tx = Tx::new(&schema, &base);
        RowOps::parse(&format!("{{\"ops\":[{steps}]}}"))?.apply(&mut tx)?;
        let rows = tx.finish()?.touched.into_values();
        Ok(rows.map(|row| row.and_then(|row| row.as_any().downcast_ref::<Counter>().cloned())).collect())
    }

    #[test]
    fn a_row_is_decoded_once_however_often_it_is_patched() {
        let patch =
            |n: usize| format!("{{\"patch\":[\"counters\",\"x\",{{\"{}\":{n}}}]}}", ["a", "b"][n % 2]);
        let steps: Vec<_> = (0..1_000).map(patch).collect();
        DECODED.set(0);
        let rows = apply(&steps.join(",")).unwrap();
        assert_eq!(rows, [Some(Counter { id: "x".into(), a: 998, b: 999 })]);
        assert_eq!(DECODED.get(), 1);
    }

    #[test]
    fn patches_stay_between_the_steps_that_they_stand_between() {
        let put = r#"{"put":["counters",{"id":"x","a":5,"b":5}]}"#;
        let delete = r#"{"delete":["counters","x"]}"#;
        let (a, b) = (r#"{"patch":["counters","x",{"a":7}]}"#, r#"{"patch":["counters","x",{"b":8}]}"#);
        let row = |a, b| vec![Some(Counter { id: "x".into(), a, b })];
        assert_eq!(apply(&[a, put, b].join(",")).unwrap(), row(5, 8));
        assert_eq!(apply(&[put, a, b].join(",")).unwrap(), row(7, 8));
        assert_eq!(apply(&[a, delete].join(",")).unwrap(), [None]);
        assert_eq!(apply(&[delete, put, a].join(",")).unwrap(), row(7, 5));
        let refused = |steps: &[&str]| apply(&steps.join(",")).unwrap_err().code().to_owned();
        assert_eq!(refused(&[delete, a]), code::UNKNOWN_ROW);
        assert_eq!(refused(&[r#"{"patch":["counters","y",{"a":7}]}"#]), code::UNKNOWN_ROW);
        let wrong = r#"{"patch":["counters","x",{"a":"seven"}]}"#;
        assert_eq!(refused(&[wrong, delete]), code::BAD_ROW, "though it would be gone");
    }

    fn patched(before: &Note, after: &Note) -> Arc<dyn AnyRow> {
        let Some(RowOp::Patch(_, _, set)) = RowOp::patch(before, after).unwrap() else {
            panic!("nothing changed")
        };
        CollectionDef::of::<Note>().patch(before, &set).unwrap()
    }

    #[test]
    fn a_patch_takes_back_fields_that_are_not_written_any_more() {
        let full = Note { id: "n".into(), due: Some(1), labels: vec!["home".into()] };
        let empty = Note { id: "n".into(), due: None, labels: Vec::new() };
        for (before, after) in [(&full, &empty), (&empty, &full)] {
            assert_eq!(patched(before, after).as_any().downcast_ref(), Some(after));
        }
        assert!(RowOp::patch(&full, &full).unwrap().is_none());
    }

    /// Numbers and texts that a tree of JSON values would not keep.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, syncline_macros::Record)]
    #[record(collection = "exact", key = id, crate = crate)]
    struct Exact {
        id: String,
        n: u64,
        #[record(opaque)]
        large: u128,
        #[record(opaque)]
        json: Json,
    }

    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Json(Box<RawValue>);

    impl PartialEq for Json {
        fn eq(&self, other: &Self) -> bool {
            self.0.get() == other.0.get()
        }
    }

    #[test]
    fn a_patch_keeps_every_digit_of_every_field() {
        let exact = |n, large, json: &str| {
            let json = Json(RawValue::from_string(json.into()).unwrap());
            Exact { id: "e".into(), n, large, json }
        };
        let before = exact(1, u128::MAX, r#"{"z":1.10,"a":[100000000000000000901]}"#);
        for (after, fields) in [
            (Exact { n: 2, ..before.clone() }, "n"),
            (Exact { large: u128::MAX - 1, ..before.clone() }, "large"),
            (exact(1, u128::MAX, r#"{"z":1.10,"a":[100000000000000000902]}"#), "json"),
        ] {
            let Some(op @ RowOp::Patch(..)) = RowOp::patch(&before, &after).unwrap() else { panic!() };
            let sent = RowOps { ops: vec![op] }.to_payload().unwrap();
            let RowOp::Patch(_, _, set) = &RowOps::parse(sent.get()).unwrap().ops[0] else { panic!() };
            assert_eq!(set.keys().map(|name| &**name).collect::<Vec<_>>(), [fields]);
            let row = CollectionDef::of::<Exact>().patch(&before, set).unwrap();
            assert_eq!(row.as_any().downcast_ref(), Some(&after));
        }
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, syncline_macros::Record)]
    #[record(collection = "picky", key = id, crate = crate)]
    struct Picky {
        id: String,
        /// Missing, it is no row.
        #[serde(with = "maybe")]
        due: Option<u64>,
        /// Null, it is no row.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[record(opaque)]
        labels: Vec<String>,
        /// Neither.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        text: String,
        n: u64,
    }

    mod maybe {
        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        pub(super) fn serialize<S: Serializer>(
            value: &Option<u64>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            value.serialize(serializer)
        }

        pub(super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<u64>, D::Error> {
            Option::deserialize(deserializer)
        }
    }

    #[test]
    fn each_null_of_a_patch_is_taken_as_its_field_can() {
        let full = Picky { id: "p".into(), due: Some(1), labels: vec!["x".into()], text: "t".into(), n: 1 };
        let empty = Picky { id: "p".into(), due: None, labels: Vec::new(), text: String::new(), n: 2 };
        let Some(RowOp::Patch(_, _, mut set)) = RowOp::patch(&full, &empty).unwrap() else { panic!() };
        assert_eq!(set.values().filter(|json| json.get() == "null").count(), 3);
        let def = CollectionDef::of::<Picky>();
        assert_eq!(def.patch(&full, &set).unwrap().as_any().downcast_ref(), Some(&empty));
        set.insert("n".into(), RawValue::NULL.to_owned());
        assert_eq!(def.patch(&full, &set).map(drop).unwrap_err().code(), code::BAD_ROW);
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, syncline_macros::Record)]
    #[record(collection = "renamed", key = id, crate = crate)]
    #[serde(rename_all = "camelCase")]
    struct Renamed {
        #[serde(alias = "key")]
        id: String,
        #[serde(alias = "deadline", alias = "until")]
        due_at: u64,
        n: u64,
    }

    #[test]
    fn a_patch_under_a_name_that_a_field_had_sets_it() {
        let row = Renamed { id: "r".into(), due_at: 1, n: 1 };
        let def = CollectionDef::of::<Renamed>();
        let patch = |set: &str| def.patch(&row, &serde_json::from_str(set).unwrap());
        for name in ["dueAt", "deadline", "until"] {
            let patched = patch(&format!(r#"{{"n":2,"{name}":7}}"#)).unwrap();
            assert_eq!(patched.as_any().downcast_ref(), Some(&Renamed { due_at: 7, n: 2, ..row.clone() }));
        }
        let refused = |set: &str| patch(set).map(drop).unwrap_err().code().to_owned();
        assert_eq!(refused(r#"{"due_at":7}"#), code::UNKNOWN_FIELD);
        assert_eq!(refused(r#"{"until":7,"dueAt":8}"#), code::BAD_ROW);
        assert_eq!(refused(r#"{"key":"other"}"#), code::BAD_KEY);
        // the later of two patches counts, by whatever names
        let mut schema = Schema::default();
        schema.add::<Renamed>();
        let base = One(row.clone());
        let mut tx = Tx::new(&schema, &base);
        let steps = r#"{"patch":["renamed","r",{"until":7}]},{"patch":["renamed","r",{"dueAt":8}]},{"patch":["renamed","r",{"deadline":9}]}"#;
        RowOps::parse(&format!("{{\"ops\":[{steps}]}}")).unwrap().apply(&mut tx).unwrap();
        let rows: Vec<_> = tx.finish().unwrap().touched.into_values().flatten().collect();
        assert_eq!(rows[0].as_any().downcast_ref(), Some(&Renamed { due_at: 9, ..row }));
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, syncline_macros::Record)]
    #[record(collection = "levels", key = id, crate = crate)]
    struct Level {
        id: String,
        #[serde(default)]
        now: f64,
        at_most: Option<f32>,
        #[record(opaque)]
        earlier: Vec<f64>,
    }

    #[test]
    fn numbers_that_are_not_finite_are_not_made_null() {
        let level = Level { id: "l".into(), ..Level::default() };
        for (bad, field) in [
            (Level { now: f64::NAN, ..level.clone() }, "now"),
            (Level { at_most: Some(f32::INFINITY), ..level.clone() }, "at_most"),
        ] {
            let refused = [
                RowOp::patch(&level, &bad).map(drop).unwrap_err(),
                RowOp::put(&bad).map(drop).unwrap_err(),
                Put::new(&bad).map(drop).unwrap_err(),
            ];
            for error in refused {
                assert_eq!((error.code(), error.field()), (code::BAD_ROW, Some(field)));
            }
        }
        let bad = Level { earlier: vec![1.0, f64::NEG_INFINITY], ..level.clone() };
        assert_eq!(RowOp::patch(&level, &bad).map(drop).unwrap_err().code(), code::BAD_ROW);
        let good = Level { at_most: Some(1.0), ..level.clone() };
        assert!(RowOp::patch(&good, &level).unwrap().is_some(), "a null that is meant is one");
    }

    #[derive(Clone, Serialize, Deserialize, syncline_macros::Record)]
    #[record(collection = "odd \"name\\", key = id, crate = crate)]
    struct Odd {
        id: String,
        #[record(opaque)]
        json: Box<RawValue>,
    }

    impl PartialEq for Odd {
        fn eq(&self, other: &Self) -> bool {
            self.id == other.id && self.json.get() == other.json.get()
        }
    }

    fn odd(json: &str) -> Odd {
        Odd { id: "\"a\\".into(), json: RawValue::from_string(json.into()).unwrap() }
    }

    #[test]
    fn one_row_that_is_put_is_written_as_a_step_of_many() {
        for json in ["null", "[1,\n {\"]}]}\": \"a b\"}]"] {
            let row = odd(json);
            let ops = RowOps { ops: vec![RowOp::put(&row).unwrap()] };
            assert_eq!(Put::new(&row).unwrap().into_payload().get(), ops.to_payload().unwrap().get());
        }
    }

    #[test]
    fn the_row_is_found_in_it() {
        let put = Put::new(&odd("[\"]}]}\"]")).unwrap();
        assert_eq!(serde_json::from_str::<Odd>(put.row()).unwrap().json.get(), "[\"]}]}\"]");
    }
}
