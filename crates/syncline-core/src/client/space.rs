//! What a client knows of one space: the base of each collection, and the local effects on top.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::client::collection::{AnyCollection, Collection, Overlay};
use crate::client::pending::{Effect, Pending, Stage, replay};
use crate::client::returning::Held;
use crate::client::session::SessionId;
use crate::draft::ReadRows;
use crate::id::{ClientId, SpaceId, Version, WriteId};
use crate::record::{AnyRow, Record};
use crate::schema::Schema;

/// See the [module](self).
pub(crate) struct Space {
    pub(crate) id: SpaceId,
    pub(crate) base: Base,
    /// In the order in which they were made; write ids rise along it.
    pub(crate) pending: Vec<Pending>,
    /// Whose sequence the writes belong to.
    pub(crate) client: ClientId,
    /// The id of the next write.
    pub(crate) next_write: WriteId,
    /// All writes up to this one have been handled, as this connection was told.
    pub(crate) handled: WriteId,
    /// What this connection was told last.
    pub(crate) told: Option<Version>,
    /// What waits until all of the space is back.
    pub(crate) held: Held,
}

/// The confirmed rows, by collection.
#[derive(Default)]
pub(crate) struct Base(BTreeMap<&'static str, Box<dyn AnyCollection>>);

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

    /// Opens a collection, unless it is open.
    pub(crate) fn open<R: Record>(&mut self) -> &mut (dyn AnyCollection + 'static) {
        &mut **self.0.entry(R::COLLECTION).or_insert_with(|| Box::new(Collection::<R>::new()))
    }
}

impl ReadRows for Base {
    fn row(&self, collection: &'static str, key: &str) -> Option<Arc<dyn AnyRow>> {
        self.get(collection)?.confirmed(key)
    }
}

impl Space {
    pub(crate) fn new(id: SpaceId, client: ClientId) -> Self {
        Self {
            id,
            base: Base::default(),
            pending: Vec::new(),
            client,
            next_write: 1,
            handled: 0,
            told: None,
            held: Held::default(),
        }
    }

    /// The one place where anything becomes visible: replays the pending writes over the base and shows the result.
    /// Gives the sessions whose views changed.
    pub(crate) fn commit(&mut self, schema: &Schema) -> BTreeSet<SessionId> {
        for collection in self.base.0.values_mut() {
            collection.evict();
        }
        let overlays = replay(&self.pending, schema, &self.base);
        let (none, mut changed) = (Overlay::new(), BTreeSet::new());
        for (name, collection) in &mut self.base.0 {
            collection.commit(overlays.get(name).unwrap_or(&none), &mut changed);
        }
        changed
    }

    /// Rows of this collection have come: what stood in for them is done.
    pub(crate) fn settle_local(&mut self, collection: &str) {
        let Some(rows) = self.base.get(collection) else { return };
        if self.pending.iter().any(|intent| matches!(intent.stage, Stage::Local { .. } | Stage::Applied)) {
            let keys: BTreeSet<_> = rows.touched_keys().into_iter().collect();
            let is_about = |effect: &Effect| {
                let (name, key) = effect.target();
                name == collection && keys.contains(key)
            };
            let has_come = |effect: &Effect| {
                let gone = matches!(effect, Effect::Delete(..));
                is_about(effect) && (gone || rows.holds(effect.target().1))
            };
            self.pending.retain(|intent| match intent.stage {
                Stage::Local { .. } => !intent.effects.iter().any(is_about),
                // all of it or nothing: else half of it would leave the lists that are behind
                Stage::Applied => !intent.effects.iter().all(has_come),
                Stage::Queued { .. } | Stage::Refused { .. } => true,
            });
        }
    }

    /// Forgets the applied writes that no list which is `behind` can have to show.
    pub(crate) fn drop_applied(&mut self, behind: &BTreeSet<&'static str>) {
        self.pending.retain(|intent| {
            !matches!(intent.stage, Stage::Applied)
                || intent.effects.iter().any(|effect| behind.contains(effect.target().0))
        });
    }

    /// Whether nothing needs it any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.base.0.values().all(|collection| collection.is_empty())
    }
}
