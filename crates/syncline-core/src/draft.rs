//! What writes write into: reads go through to the base, only the rows touched are recorded.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, code};
use crate::id::Key;
use crate::record::{AnyRow, Record, downcast};
use crate::schema::Schema;

/// Where a draft reads what it has not itself written.
pub trait ReadRows {
    /// The row at `key`, when there is one.
    fn row(&self, collection: &'static str, key: &str) -> Option<Arc<dyn AnyRow>>;
}

/// The rows that a draft touched: each put, or deleted (`None`), in the order of collection and key.
pub type Touched = BTreeMap<(&'static str, Key), Option<Arc<dyn AnyRow>>>;

/// A set of changes being made, readable as if they had been made already.
pub struct Draft<'a> {
    schema: &'a Schema,
    base: &'a dyn ReadRows,
    touched: Touched,
}

impl<'a> Draft<'a> {
    /// An empty draft over `base`.
    pub fn new(schema: &'a Schema, base: &'a dyn ReadRows) -> Self {
        Self { schema, base, touched: Touched::new() }
    }

    /// The collections that may be written.
    pub fn schema(&self) -> &'a Schema {
        self.schema
    }

    /// The row at `key`, with this draft's own changes.
    pub fn get<R: Record>(&self, key: &str) -> Option<Arc<R>> {
        downcast(self.row(R::COLLECTION, key)?)
    }

    /// Puts a row in the place of whatever had its key.
    ///
    /// # Errors
    /// `unknown_collection`, `bad_key`.
    pub fn put<R: Record>(&mut self, row: R) -> Result<(), Error> {
        let def = self.schema.collection(R::COLLECTION)?;
        self.put_row(def.name, Arc::new(row))
    }

    /// Removes the row at `key`; nothing happens when there is none.
    ///
    /// # Errors
    /// `unknown_collection`, `bad_key`.
    pub fn delete<R: Record>(&mut self, key: &str) -> Result<(), Error> {
        let def = self.schema.collection(R::COLLECTION)?;
        self.delete_row(def.name, key)
    }

    /// [`put`](Self::put) for a row whose type only its collection knows.
    ///
    /// # Errors
    /// `bad_key`.
    pub fn put_row(&mut self, collection: &'static str, row: Arc<dyn AnyRow>) -> Result<(), Error> {
        let key = Key::checked(row.key())?;
        self.touched.insert((collection, key), Some(row));
        Ok(())
    }

    /// [`delete`](Self::delete) for a row whose type only its collection knows.
    ///
    /// # Errors
    /// `bad_key`.
    pub fn delete_row(&mut self, collection: &'static str, key: &str) -> Result<(), Error> {
        self.touched.insert((collection, Key::checked(key)?), None);
        Ok(())
    }

    /// Changes some fields of a row.
    ///
    /// # Errors
    /// `unknown_row` when it is not there, and what [`CollectionDef::patch`](crate::CollectionDef::patch) refuses.
    pub fn patch_row(
        &mut self,
        collection: &'static str,
        key: &str,
        set: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), Error> {
        let row = self.existing(collection, key)?;
        let patched = self.schema.collection(collection)?.patch(&*row, set)?;
        self.put_row(collection, patched)
    }

    /// The row that a step needs to be there.
    ///
    /// # Errors
    /// `unknown_row`.
    pub(crate) fn existing(&self, collection: &'static str, key: &str) -> Result<Arc<dyn AnyRow>, Error> {
        let gone = || Error::new(code::UNKNOWN_ROW, "the row is not there any more").with_field(key);
        self.row(collection, key).ok_or_else(gone)
    }

    /// The rows touched, in order.
    pub fn touched(&self) -> &Touched {
        &self.touched
    }

    /// Ends the draft with what it touched.
    pub fn into_touched(self) -> Touched {
        self.touched
    }
}

impl ReadRows for Draft<'_> {
    fn row(&self, collection: &'static str, key: &str) -> Option<Arc<dyn AnyRow>> {
        // a tuple key cannot be looked up by its borrowed parts; a short-lived Key costs one small allocation
        match self.touched.get(&(collection, Key::from(key))) {
            Some(touched) => touched.clone(),
            None => self.base.row(collection, key),
        }
    }
}
