//! What a client knows of one space: the base of each collection, and the local effects on top.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::client::collection::{AnyCollection, Changed, Collection, Overlay};
use crate::client::queue::{News, Queue};
use crate::client::returning::Held;
use crate::client::session::SessionId;
use crate::client::short_map::ShortMap;
use crate::id::{Key, SpaceId, Version};
use crate::record::{AnyRow, Record};
use crate::schema::{CollectionDef, Schema};
use crate::tx::ReadRows;

/// See the [module](self).
pub(crate) struct Space {
    pub(crate) id: SpaceId,
    pub(crate) base: Base,
    /// The local intents.
    pub(crate) queue: Queue,
    /// What this connection was told last.
    pub(crate) told: Option<Version>,
    /// What waits until all of the space is back.
    pub(crate) held: Held,
    /// Confirmed rows have changed, or where they stand.
    pub(crate) unsaved: bool,
}

/// The confirmed rows, by collection.
#[derive(Default)]
pub(crate) struct Base(ShortMap<&'static str, Box<dyn AnyCollection>>);

impl Base {
    pub(crate) fn get(&self, collection: &str) -> Option<&dyn AnyCollection> {
        self.0.get(collection).map(|collection| &**collection)
    }

    pub(crate) fn get_mut(&mut self, collection: &str) -> Option<&mut (dyn AnyCollection + 'static)> {
        self.0.get_mut(collection).map(|collection| &mut **collection)
    }

    /// The typed collection, when it has been opened.
    pub(crate) fn typed<R: Record>(&self) -> Option<&Collection<R>> {
        self.get(R::COLLECTION)?.as_any().downcast_ref()
    }

    /// See [`typed`](Self::typed).
    pub(crate) fn typed_mut<R: Record>(&mut self) -> Option<&mut Collection<R>> {
        self.get_mut(R::COLLECTION)?.as_any_mut().downcast_mut()
    }

    /// What the server says of the row at a key.
    pub(crate) fn row_of(&self, collection: &str, key: &str) -> Option<Arc<dyn AnyRow>> {
        self.get(collection)?.confirmed(key)
    }

    /// Whether nothing of a view is to be shown before it is complete.
    pub(crate) fn is_hidden(&self, collection: &str, view: SessionId) -> bool {
        self.get(collection).is_none_or(|rows| rows.is_hidden(view))
    }

    /// Opens a collection, unless it is open.
    pub(crate) fn open(&mut self, def: &CollectionDef) -> &mut (dyn AnyCollection + 'static) {
        &mut **self.0.entry(def.name).or_insert_with(def.base)
    }
}

impl ReadRows for Base {
    fn row(&self, collection: &'static str, key: &str) -> Option<Arc<dyn AnyRow>> {
        self.row_of(collection, key)
    }

    fn all_rows(&self, collection: &'static str) -> Vec<Arc<dyn AnyRow>> {
        self.get(collection).map(|rows| rows.all_confirmed()).unwrap_or_default()
    }
}

impl Space {
    pub(crate) fn new(id: SpaceId) -> Self {
        Self {
            id,
            base: Base::default(),
            queue: Queue::default(),
            told: None,
            held: Held::default(),
            unsaved: false,
        }
    }

    /// The one place where anything becomes visible: replays the pending writes over the base, as far as what was
    /// prepared can have changed them, and shows the result. Gives the views that changed.
    pub(crate) fn commit(&mut self, schema: &Schema) -> Changed {
        let is_idle = self.queue.is_idle();
        for (&name, collection) in &mut self.base.0 {
            collection.evict();
            if !is_idle {
                collection.each_touched(&mut |key| self.queue.base_changed(name, key));
            }
        }
        self.queue.replay(schema, &self.base);
        let (no_overlay, mut changed) = (Overlay::default(), Changed::new());
        for (name, collection) in &mut self.base.0 {
            let overlay = self.queue.overlay(name).unwrap_or(&no_overlay);
            collection.commit(overlay, &mut self.queue.replayed(name), &mut changed);
        }
        changed
    }

    /// What local effects make of the numbers of children that the server counts in a view, which are those of now where it
    /// is `live`.
    pub(crate) fn adjustments(&self, view: SessionId, collection: &str, live: bool) -> BTreeMap<Key, i64> {
        let told = self.told.filter(|_| live);
        let (rows, overlay) = (self.base.get(collection), self.queue.overlay(collection));
        rows.zip(overlay).map(|(rows, overlay)| rows.adjustments(view, overlay, told)).unwrap_or_default()
    }

    /// Rows of this collection have come: what stood in for them is done.
    pub(crate) fn settle_local(&mut self, collection: &str, news: News) {
        let Some(rows) = self.base.get(collection).filter(|_| !self.queue.is_empty()) else { return };
        let mut come = SmallVec::<[Key; 4]>::new();
        rows.each_heard(&mut |key| come.extend(self.queue.key_of(collection, key)));
        come.sort_unstable();
        come.dedup();
        self.queue.rows_have_come(&come, collection, rows, news);
    }

    /// Whether nothing needs it any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.base.0.values().all(|collection| collection.is_empty())
    }
}
