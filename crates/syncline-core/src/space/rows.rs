//! The rows of a space, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::error::{Error, code};
use crate::id::Key;
use crate::record::AnyRow;
use crate::schema::CollectionDef;
use crate::tx::ReadRows;
use crate::wire::EncodedRow;

/// A row as its type, for rules and queries, and as its encoding, the same bytes in storage and in every frame.
pub(super) struct Row {
    pub(super) typed: Arc<dyn AnyRow>,
    pub(super) json: Arc<[u8]>,
    /// The packed form, once somebody has asked for it; there is none of some rows.
    packed: OnceLock<Option<Box<[u8]>>>,
}

impl Row {
    /// Encodes a row that a write has made. What is kept of it is what everybody will read: not each value of a type comes back
    /// from JSON, where NaN is null.
    ///
    /// # Errors
    /// What [`CollectionDef::encode`] refuses, and [`CollectionDef::decode`] of what it gives.
    pub(super) fn encode(def: &CollectionDef, typed: &dyn AnyRow) -> Result<Self, Error> {
        let row = Self::decode(def, def.encode(typed)?)?;
        if row.key() == typed.key() {
            Ok(row)
        } else {
            Err(Error::new(code::BAD_KEY, "the row is read back with another key").with_field(def.key_field))
        }
    }

    /// Decodes a row, such as storage has.
    ///
    /// # Errors
    /// What [`CollectionDef::decode`] refuses.
    pub(super) fn decode(def: &CollectionDef, json: Vec<u8>) -> Result<Self, Error> {
        Ok(Self { typed: def.decode(&json)?, json: one_line(json), packed: OnceLock::new() })
    }

    /// The shorter form of the two.
    pub(super) fn packed(&self, def: &CollectionDef) -> EncodedRow<'_> {
        let packed = self.packed.get_or_init(|| def.pack(&*self.typed, &self.json).map(Into::into));
        packed.as_deref().map_or(EncodedRow::Json(&self.json), EncodedRow::Packed)
    }

    pub(super) fn key(&self) -> &str {
        self.typed.key()
    }
}

// a frame has one row a line. JSON has line ends between its tokens only, where a space does as well; they can come
// with raw JSON that a record passes through, or out of a database that somebody edited
fn one_line(mut json: Vec<u8>) -> Arc<[u8]> {
    for byte in &mut json {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    json.into()
}

/// What became of one row in a commit.
pub(super) struct RowTurn {
    pub(super) collection: &'static str,
    pub(super) before: Option<Arc<Row>>,
    pub(super) after: Option<Arc<Row>>,
}

/// All rows of a space, by collection and key.
#[derive(Default)]
pub(super) struct Rows {
    collections: BTreeMap<&'static str, BTreeMap<Key, Arc<Row>>>,
}

impl Rows {
    pub(super) fn get(&self, collection: &str, key: &str) -> Option<&Arc<Row>> {
        self.collections.get(collection)?.get(key)
    }

    pub(super) fn collection(&self, name: &str) -> impl Iterator<Item = &Arc<Row>> {
        self.collections.get(name).into_iter().flat_map(BTreeMap::values)
    }

    /// Puts or removes a row, and says what was there before.
    pub(super) fn set(&mut self, collection: &'static str, key: Key, row: Option<Arc<Row>>) -> RowTurn {
        let rows = self.collections.entry(collection).or_default();
        let before = match &row {
            Some(row) => rows.insert(key, Arc::clone(row)),
            None => rows.remove(&key),
        };
        RowTurn { collection, before, after: row }
    }
}

impl ReadRows for Rows {
    fn row(&self, collection: &'static str, key: &str) -> Option<Arc<dyn AnyRow>> {
        self.get(collection, key).map(|row| Arc::clone(&row.typed))
    }

    fn all_rows(&self, collection: &'static str) -> Vec<Arc<dyn AnyRow>> {
        self.collection(collection).map(|row| Arc::clone(&row.typed)).collect()
    }
}
