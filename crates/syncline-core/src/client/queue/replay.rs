//! What the intents of a queue make of the rows.
//!
//! A commit replays only what it can have changed. Intents that have to do with a common row depend on each other, and so
//! do the ones that those have to do with: [`replay`](Queue::replay) takes the rows that changed, follows them to all
//! intents and rows they are tied to, and replays these alone. A new intent that is tied to nothing else is one step on
//! top. What a reducer has to do with is known when it has run, and may be something else the next time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{IntentId, Queue, Rows};
use crate::client::collection::{Overlaid, Overlay};
use crate::client::pending::{Effect, Footprint};
use crate::record::AnyRow;
use crate::schema::Schema;
use crate::tx::{Place, ReadRows, Reads, Tx};

impl Queue {
    /// Brings the overlay in line with intents that came, left or changed, and with rows of the base that are
    /// `touched`. Gives the rows whose overlay may be another one now.
    pub(crate) fn replay(&mut self, schema: &Schema, base: &dyn ReadRows, touched: Rows) -> Rows {
        let mut start = std::mem::take(&mut self.stale);
        extend(&mut start, touched);
        let mut new = std::mem::take(&mut self.new);
        let mut changed = Rows::new();
        loop {
            let (rows, mut again) = self.tied_to(start, &new);
            for (collection, keys) in &rows {
                if let Some(overlay) = self.overlays.get_mut(collection) {
                    keys.iter().for_each(|key| drop(overlay.remove(key)));
                }
            }
            again.append(&mut new);
            let mut met = Rows::new();
            for &id in &again {
                self.replay_one(id, schema, base, &mut changed);
                self.note_later(id, &rows, &again, &mut met);
            }
            start = met;
            let all_done = start.is_empty();
            extend(&mut changed, rows);
            if all_done {
                return changed;
            }
            // a reducer has come upon rows that later intents have to do with, who have had their turn: all once more,
            // and nobody is to see what they have written in this round
            for (collection, keys) in &changed {
                start.entry(collection).or_default().extend(keys.iter().cloned());
            }
        }
    }

    /// Takes one intent's steps over what the ones before it made. The rows that it wrote have `changed`.
    fn replay_one(&mut self, id: IntentId, schema: &Schema, base: &dyn ReadRows, changed: &mut Rows) {
        let Some(intent) = self.intents.get(&id) else { return };
        let shown = Shown { base, overlays: &self.overlays };
        let is_action = matches!(intent.effect, Effect::Action(_));
        let mut tx = if is_action { Tx::observed(schema, &shown) } else { Tx::new(schema, &shown) };
        let applied = intent.apply(&mut tx);
        let (touched, reads) = tx.into_effect();
        // a step that cannot be taken leaves nothing of the others
        let touched = applied.and(touched).unwrap_or_default();
        let (state, applied) = (intent.state(), intent.is_applied());
        let mut written = Vec::new();
        for ((collection, key), row) in touched {
            if is_action {
                written.push(((collection, key.clone()), row.is_none()));
            }
            changed.entry(collection).or_default().insert(key.clone());
            let overlaid = Overlaid { row, state: state.clone(), applied };
            self.overlays.entry(collection).or_default().insert(key, overlaid);
        }
        if is_action {
            self.set_footprint(id, reads, written);
        }
    }

    fn set_footprint(&mut self, id: IntentId, reads: Reads, written: Vec<(Place, bool)>) {
        let mut rows = reads.rows;
        rows.extend(written.iter().map(|(place, _)| place.clone()));
        let Some(intent) = self.intents.get_mut(&id) else { return };
        let same = intent.footprint.rows == rows && intent.footprint.collections == reads.collections;
        let now = Footprint { rows, collections: reads.collections, written };
        let before = std::mem::replace(&mut intent.footprint, now);
        if !same {
            self.leave(id, &before);
            if let Some(intent) = self.intents.remove(&id) {
                self.enter(id, &intent.footprint);
                self.intents.insert(id, intent);
            }
        }
    }

    /// Notes the rows that an intent has turned out to have to do with, where later intents do too that are not being
    /// replayed.
    fn note_later(&self, id: IntentId, rows: &Rows, again: &BTreeSet<IntentId>, met: &mut Rows) {
        let Some(intent) = self.intents.get(&id).filter(|intent| matches!(intent.effect, Effect::Action(_)))
        else {
            return;
        };
        let is_missed = |ids: &BTreeSet<IntentId>| ids.range(id..).any(|later| !again.contains(later));
        for (collection, key) in &intent.footprint.rows {
            // of a row that was followed, all have their turn
            if rows.get(collection).is_some_and(|keys| keys.contains(key)) {
                continue;
            }
            let ids = self.about.get(collection).and_then(|rows| rows.get(key));
            if ids.is_some_and(is_missed) || self.surveys.get(collection).is_some_and(is_missed) {
                met.entry(collection).or_default().insert(key.clone());
            }
        }
        for collection in &intent.footprint.collections {
            for (key, ids) in self.about.get(collection).into_iter().flatten() {
                if is_missed(ids) {
                    met.entry(collection).or_default().insert(key.clone());
                }
            }
        }
    }

    /// All rows and intents that the first ones are tied to, by intents that have to do with several rows.
    fn tied_to(&self, start: Rows, new: &BTreeSet<IntentId>) -> (Rows, BTreeSet<IntentId>) {
        let (mut rows, mut intents) = (Rows::new(), BTreeSet::new());
        let mut next: Vec<Place> = Vec::new();
        next.extend(start.into_iter().flat_map(|(name, keys)| keys.into_iter().map(move |key| (name, key))));
        while let Some((collection, key)) = next.pop() {
            if rows.get(collection).is_some_and(|keys| keys.contains(&key)) {
                continue;
            }
            let about = self.about.get(collection).and_then(|rows| rows.get(&key));
            let surveys = self.surveys.get(collection);
            for &id in about.into_iter().chain(surveys).flatten() {
                // one that has not had its turn is tied to nothing yet
                if new.contains(&id) || !intents.insert(id) {
                    continue;
                }
                let Some(intent) = self.intents.get(&id) else { continue };
                next.extend(intent.footprint.rows.iter().cloned());
            }
            rows.entry(collection).or_default().insert(key);
        }
        (rows, intents)
    }
}

fn extend(rows: &mut Rows, more: Rows) {
    if rows.is_empty() {
        *rows = more;
        return;
    }
    for (collection, mut keys) in more {
        rows.entry(collection).or_default().append(&mut keys);
    }
}

/// Rows as the intents so far have made them.
struct Shown<'a> {
    base: &'a dyn ReadRows,
    overlays: &'a BTreeMap<&'static str, Overlay>,
}

impl ReadRows for Shown<'_> {
    fn row(&self, collection: &'static str, key: &str) -> Option<Arc<dyn AnyRow>> {
        match self.overlays.get(collection).and_then(|overlay| overlay.get(key)) {
            Some(overlaid) => overlaid.row.clone(),
            None => self.base.row(collection, key),
        }
    }

    fn all_rows(&self, collection: &'static str) -> Vec<Arc<dyn AnyRow>> {
        let mut rows = self.base.all_rows(collection);
        if let Some(overlay) = self.overlays.get(collection).filter(|overlay| !overlay.is_empty()) {
            rows.retain(|row| !overlay.contains_key(row.key()));
            rows.extend(overlay.values().filter_map(|overlaid| overlaid.row.clone()));
        }
        rows
    }
}
