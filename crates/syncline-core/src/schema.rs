//! The collections that one end knows, by name, each with its codec.

use std::any::TypeId;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::channel::{Channel, ChannelDef};
use crate::client::collection::{AnyCollection, Collection};
use crate::error::{Error, code};
use crate::fields::{Fields, Null, is_null, with_fields};
use crate::id::{Key, check_key};
use crate::read_json::read_json;
use crate::record::{AnyRow, FieldDef, Record};
use crate::wire;

/// The largest row, in bytes of its encoding.
pub const MAX_VALUE_BYTES: usize = 1_000_000;

/// What is known of a collection without its Rust type: its name, its fields and its codec.
#[derive(Clone, Copy)]
pub struct CollectionDef {
    /// The name on the wire.
    pub name: &'static str,
    /// The fields, in the order in which rows count them.
    pub fields: &'static [FieldDef],
    /// The name of the key field.
    pub key_field: &'static str,
    row_type: TypeId,
    decode: fn(&[u8]) -> Coded<Arc<dyn AnyRow>>,
    encode: fn(&dyn AnyRow) -> Coded<Vec<u8>>,
    patch: Patch,
    pack: fn(&dyn AnyRow, &[u8]) -> Option<Vec<u8>>,
    /// A client's rows of it: none yet.
    pub(crate) base: fn() -> Box<dyn AnyCollection>,
}

/// A row that is not of its collection's type.
pub(crate) struct Undecodable {
    /// As far as it can be told.
    pub(crate) key: Option<Key>,
    pub(crate) error: Error,
}

type Coded<T> = Result<T, serde_json::Error>;
type Patch = fn(&dyn AnyRow, &Fields) -> Coded<Arc<dyn AnyRow>>;

impl CollectionDef {
    /// The definition that `R` derives.
    pub fn of<R: Record>() -> Self {
        Self {
            name: R::COLLECTION,
            fields: R::FIELDS,
            key_field: R::KEY_FIELD,
            row_type: TypeId::of::<R>(),
            decode: |json| Ok(Arc::new(read_json::<R>(json)?)),
            encode: |row| serde_json::to_vec(typed::<R>(row)?),
            patch: |row, set| Ok(Arc::new(patched::<R>(typed(row)?, set)?)),
            pack: |row, json| wire::pack(typed::<R>(row).ok()?, json),
            base: || Box::new(Collection::<R>::new()),
        }
    }

    /// Decodes one row and checks its key.
    ///
    /// # Errors
    /// `value_too_large`, `bad_row` when it is not of the collection's type, `bad_key`.
    pub fn decode(&self, json: &[u8]) -> Result<Arc<dyn AnyRow>, Error> {
        if json.len() > MAX_VALUE_BYTES {
            return Err(Error::new(code::VALUE_TOO_LARGE, "a row is at most 1 MB").with_field(self.name));
        }
        let row = guarded(|| (self.decode)(json)).map_err(|error| self.bad_row(&error))?;
        check_key(row.key())?;
        Ok(row)
    }

    /// Encodes one row.
    ///
    /// # Errors
    /// `bad_row` when it is not of the collection's type or cannot be written as JSON; `value_too_large`.
    pub fn encode(&self, row: &dyn AnyRow) -> Result<Vec<u8>, Error> {
        let json = guarded(|| (self.encode)(row)).map_err(|error| self.bad_row(&error))?;
        if json.len() > MAX_VALUE_BYTES {
            return Err(Error::new(code::VALUE_TOO_LARGE, "a row is at most 1 MB").with_field(self.name));
        }
        Ok(json)
    }

    /// The values of a row's fields in a compact form, unless it is better left as JSON.
    pub(crate) fn pack(&self, row: &dyn AnyRow, json: &[u8]) -> Option<Vec<u8>> {
        guarded(|| Ok((self.pack)(row, json))).ok().flatten()
    }

    /// What a patch sets, each field under the name that it has, whichever it had when the patch was made.
    ///
    /// # Errors
    /// `unknown_field`; `bad_row` when two names are those of one field.
    pub(crate) fn by_todays_names<'a>(&self, set: &'a Fields) -> Result<Cow<'a, Fields>, Error> {
        if set.keys().all(|name| self.fields.iter().any(|field| field.name == &**name)) {
            return Ok(Cow::Borrowed(set));
        }
        let mut renamed = Fields::new();
        for (name, json) in set {
            let field = self.fields.iter().find(|field| field.is_called(name)).ok_or_else(|| {
                Error::new(code::UNKNOWN_FIELD, "the collection has no such field").with_field(&**name)
            })?;
            if renamed.insert(field.name.into(), json.clone()).is_some() {
                let error = Error::new(code::BAD_ROW, "a patch sets a field by two of its names");
                return Err(error.with_field(field.name));
            }
        }
        Ok(Cow::Owned(renamed))
    }

    /// The row with some of its fields set to other values.
    ///
    /// # Errors
    /// `unknown_field` when the collection has no such field; `bad_row` when a value is of the wrong type, or two are for one
    /// field under the names that it has and had; `bad_key` when the patch would move the row to another key.
    pub fn patch(&self, row: &dyn AnyRow, set: &Fields) -> Result<Arc<dyn AnyRow>, Error> {
        let set = self.by_todays_names(set)?;
        let patched = guarded(|| (self.patch)(row, &set)).map_err(|error| self.bad_row(&error))?;
        if patched.key() == row.key() {
            Ok(patched)
        } else {
            Err(Error::new(code::BAD_KEY, "a patch cannot change the key").with_field(self.key_field))
        }
    }

    /// The error for a row that is not of the collection's type, with its key as far as it can be told.
    pub(crate) fn undecodable(&self, json: &[u8], error: &serde_json::Error) -> Undecodable {
        let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(json).unwrap_or_default();
        let key_field = self.fields.iter().find(|field| field.name == self.key_field);
        let key = key_field.and_then(|field| fields.iter().find(|(name, _)| field.is_called(name)));
        match key.and_then(|(_, key)| serde_json::from_str::<String>(key.get()).ok()) {
            Some(key) => {
                let error = self.bad_row(error).with_field(format!("{}/{key}", self.name));
                Undecodable { key: Some(Key::from(&*key)), error }
            }
            None => Undecodable { key: None, error: self.bad_row(error) },
        }
    }

    // serde names the field and what it expected, never the row's contents beyond the wrong value's kind
    fn bad_row(&self, error: &serde_json::Error) -> Error {
        Error::new(code::BAD_ROW, format!("not a row of this collection: {error}")).with_field(self.name)
    }
}

// the code of a row's type is the application's, and what it is given comes from anywhere: where it panics, that is one
// bad row, and whoever holds the rows of everybody goes on
fn guarded<T>(code: impl FnOnce() -> Coded<T>) -> Coded<T> {
    catch_unwind(AssertUnwindSafe(code))
        .unwrap_or_else(|_| Err(serde::de::Error::custom("the code of its type panicked")))
}

/// The row with these fields. Where a field cannot be null, that stands for one that is left out, as an empty list may be.
fn patched<R: Record>(row: &R, set: &Fields) -> Result<R, serde_json::Error> {
    let json = serde_json::to_string(row)?;
    let with = |null: &dyn Fn(&str) -> Null| read_json::<R>(&with_fields(&json, set, null)?);
    let all_set = with(&|_| Null::Set);
    let Err(error) = all_set else { return all_set };
    let nulls = || set.iter().filter(|(_, json)| is_null(json)).map(|(name, _)| name);
    // it is one of several nulls that cannot be, or something else altogether
    if nulls().next().is_none() || (nulls().nth(1).is_some() && with(&|_| Null::Kept).is_err()) {
        return Err(error);
    }
    let is_taken = |name: &str| with(&|other| if other == name { Null::Set } else { Null::Kept }).is_ok();
    let left_out: BTreeSet<&str> = nulls().map(|name| &**name).filter(|name| !is_taken(name)).collect();
    with(&|name| if left_out.contains(name) { Null::LeftOut } else { Null::Set }).map_err(|_| error)
}

fn typed<R: Record>(row: &dyn AnyRow) -> Result<&R, serde_json::Error> {
    row.as_any().downcast_ref().ok_or_else(|| serde::ser::Error::custom("a row of another collection"))
}

/// All collections that one end knows.
#[derive(Clone, Default)]
pub struct Schema {
    collections: BTreeMap<&'static str, CollectionDef>,
    channels: BTreeMap<&'static str, ChannelDef>,
    /// The application's schema version, carried in every cursor.
    pub version: u32,
}

impl Schema {
    /// No collections yet, at a schema version of the application's choice.
    pub fn new(version: u32) -> Self {
        Self { version, ..Self::default() }
    }

    /// Adds `R`'s collection. Adding the same one again changes nothing.
    ///
    /// # Panics
    /// When two Rust types share a collection name: a mistake in the program.
    #[track_caller]
    pub fn add<R: Record>(&mut self) {
        self.add_def(CollectionDef::of::<R>());
    }

    #[track_caller]
    pub(crate) fn add_def(&mut self, def: CollectionDef) {
        if let Some(before) = self.collections.insert(def.name, def) {
            assert!(
                before.row_type == def.row_type,
                "two record types share the collection name {:?}",
                def.name
            );
        }
    }

    /// Adds a channel, and the collection of its rows. Adding the same one again changes nothing. Says whether it is new.
    ///
    /// # Panics
    /// When two Rust types share a channel's or a collection's name: a mistake in the program.
    #[track_caller]
    pub fn add_channel<C: Channel>(&mut self) -> bool {
        self.add::<C::Record>();
        let def = ChannelDef::of::<C>();
        let before = self.channels.insert(def.name, def);
        if let Some(before) = &before {
            let same = before.channel_type == def.channel_type;
            assert!(same, "two types share the channel name {:?}", def.name);
        }
        before.is_none()
    }

    /// How many collections and channels there are.
    pub(crate) fn len(&self) -> usize {
        self.collections.len() + self.channels.len()
    }

    /// The channel of this name.
    ///
    /// # Errors
    /// `unknown_channel`.
    pub(crate) fn channel(&self, name: &str) -> Result<&ChannelDef, Error> {
        let unknown = || Error::new(code::UNKNOWN_CHANNEL, "there is no such channel").with_field(name);
        self.channels.get(name).ok_or_else(unknown)
    }

    /// The channel whose records are the rows of this collection.
    ///
    /// # Errors
    /// `unknown_channel` when there is none; `bad_query` when there are several.
    pub(crate) fn channel_of(&self, collection: &str) -> Result<&ChannelDef, Error> {
        let mut channels = self.channels.values().filter(|channel| channel.collection == collection);
        match (channels.next(), channels.next()) {
            (Some(channel), None) => Ok(channel),
            (None, _) => {
                let message = "no channel is known that has rows of this collection";
                Err(Error::new(code::UNKNOWN_CHANNEL, message).with_field(collection))
            }
            (Some(one), Some(other)) => {
                let message = format!("channels {:?} and {:?} both have rows of it", one.name, other.name);
                Err(Error::new(code::BAD_QUERY, message).with_field(collection))
            }
        }
    }

    /// The collection of this name.
    ///
    /// # Errors
    /// `unknown_collection`.
    pub fn collection(&self, name: &str) -> Result<&CollectionDef, Error> {
        self.collections.get(name).ok_or_else(|| {
            Error::new(code::UNKNOWN_COLLECTION, "there is no such collection").with_field(name)
        })
    }

    /// All collections, by name.
    pub fn collections(&self) -> impl Iterator<Item = &CollectionDef> {
        self.collections.values()
    }
}
