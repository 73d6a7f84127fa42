//! Which intents have to do with which rows.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::SPARE;
use super::intents::{IntentId, Names};
use crate::client::pending::Footprint;
use crate::id::Key;

/// The footprints of all intents, by what they lie on.
#[derive(Default)]
pub(super) struct Ties(BTreeMap<&'static str, InCollection>);

/// Those on one collection.
#[derive(Default)]
pub(super) struct InCollection {
    pub(super) rows: HashMap<Key, Tied, FixedState>,
    /// The intents that looked at all its rows.
    pub(super) surveys: Names,
    /// The round of replaying in which these were followed last.
    pub(super) surveyed: u64,
}

/// Those on one row.
#[derive(Default)]
pub(super) struct Tied {
    /// In order.
    pub(super) ids: SmallVec<[IntentId; 2]>,
    /// The round of replaying in which it was followed last.
    pub(super) round: u64,
}

impl Ties {
    pub(super) fn enter(&mut self, id: IntentId, footprint: &Footprint) {
        for (collection, key) in footprint.places() {
            let rows = &mut self.0.entry(collection).or_default().rows;
            let tied = rows.entry(key.clone()).or_default();
            if let Err(at) = tied.ids.binary_search(&id) {
                tied.ids.insert(at, id);
            }
        }
        for collection in &footprint.collections {
            self.0.entry(collection).or_default().surveys.insert(id);
        }
    }

    pub(super) fn leave(&mut self, id: IntentId, footprint: &Footprint) {
        for (collection, key) in footprint.places() {
            let Some(InCollection { rows, .. }) = self.0.get_mut(collection) else { continue };
            let Some(tied) = rows.get_mut(key) else { continue };
            if let Ok(at) = tied.ids.binary_search(&id) {
                tied.ids.remove(at);
            }
            if tied.ids.is_empty() {
                rows.remove(key);
                if rows.is_empty() {
                    rows.shrink_to(SPARE);
                }
            }
        }
        for collection in &footprint.collections {
            if let Some(ties) = self.0.get_mut(collection) {
                ties.surveys.remove(id);
            }
        }
    }

    /// Those on a collection, if there were any.
    pub(super) fn of(&self, collection: &str) -> Option<&InCollection> {
        self.0.get(collection)
    }

    /// See [`of`](Self::of).
    pub(super) fn of_mut(&mut self, collection: &str) -> Option<&mut InCollection> {
        self.0.get_mut(collection)
    }

    /// The intents that have to do with a row, in order.
    pub(super) fn about(&self, collection: &str, key: &str) -> &[IntentId] {
        self.of(collection).and_then(|ties| ties.rows.get(key)).map_or(&[], |tied| &tied.ids)
    }

    /// The key of a row on which an intent depends.
    pub(super) fn key_of(&self, collection: &str, key: &str) -> Option<Key> {
        let ties = self.of(collection)?;
        let known = ties.rows.get_key_value(key).map(|(key, _)| key.clone());
        known.or_else(|| (!ties.surveys.is_empty()).then(|| key.into()))
    }
}
