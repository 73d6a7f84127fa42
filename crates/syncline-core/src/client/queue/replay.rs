//! What the intents of a queue make of the rows.
//!
//! A commit replays only what it can have changed. Intents that have to do with a common row depend on each other, and so
//! do the ones that those have to do with: [`replay`](Queue::replay) takes the rows that changed, follows them to all
//! intents and rows they are tied to, and replays these alone. A new intent that is tied to nothing else is one step on
//! top. What a reducer has to do with is known when it has run, and may be something else the next time: where it comes
//! upon rows of which intents behind it have made something already, there is another round.
//!
//! Rounds are counted, and whatever is met in one carries its number: so a round keeps no sets.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::ties::{InCollection, Tied};
use super::{IntentId, Queue, SPARE};
use crate::client::collection::{Overlaid, Overlay};
use crate::client::pending::{Effect, Footprint};
use crate::id::Key;
use crate::record::AnyRow;
use crate::schema::Schema;
use crate::tx::{Place, ReadRows};

/// The intents of one round, in order.
type Again = SmallVec<[IntentId; 4]>;

impl Queue {
    /// Brings the overlays in line with intents that came, left or changed, and with rows of the base that
    /// [changed](Self::base_changed).
    pub(crate) fn replay(&mut self, schema: &Schema, base: &dyn ReadRows) {
        let mut rows = std::mem::take(&mut self.replayed);
        std::mem::swap(&mut rows, &mut self.stale);
        let mut again: Again = self.new.take();
        while !rows.is_empty() || !again.is_empty() {
            self.round += 1;
            self.follow(&mut rows, &mut again);
            for (collection, key) in &rows {
                if let Some(overlay) = self.overlays.get_mut(collection) {
                    overlay.remove(key);
                }
            }
            let mut met = Vec::new();
            for &id in &again {
                self.replay_one(id, schema, base, &mut rows);
                self.note_missed(id, &mut met);
            }
            if met.is_empty() {
                break;
            }
            // all once more, and nobody is to see what they have written in this round
            rows.append(&mut met);
            rows.sort_unstable();
            rows.dedup();
            again.clear();
        }
        rows.sort_unstable();
        rows.dedup();
        self.replayed = rows;
        self.written.shrink_to(SPARE);
        for overlay in self.overlays.values_mut().filter(|overlay| overlay.is_empty()) {
            overlay.shrink_to(SPARE);
        }
    }

    /// Adds all rows and intents that these rows are tied to, by intents that have to do with several; not by those that
    /// are given: they are new, and what they do to other rows comes behind all that was done to them.
    fn follow(&mut self, rows: &mut Vec<Place>, again: &mut Again) {
        let Self { intents, ties, round, .. } = self;
        for &id in &*again {
            if let Some(intent) = intents.get_mut(id) {
                intent.round = *round;
            }
        }
        let mut next = 0;
        while let Some((collection, key)) = rows.get(next).cloned() {
            next += 1;
            let Some(InCollection { rows: tied, surveys, surveyed }) = ties.of_mut(collection) else {
                continue;
            };
            let tied = tied.get_mut(&key).filter(|tied| tied.round != *round);
            let ids = tied.map_or(&[][..], |tied| {
                tied.round = *round;
                &tied.ids
            });
            let are_new = std::mem::replace(surveyed, *round) != *round;
            for id in ids.iter().copied().chain(surveys.iter().filter(|_| are_new)) {
                if let Some(intent) = intents.get_mut(id).filter(|intent| intent.round != *round) {
                    intent.round = *round;
                    rows.extend(intent.footprint.places().cloned());
                    again.push(id);
                }
            }
        }
        again.sort_unstable();
    }

    /// Takes one intent's steps over what the ones before it made, and adds the rows that it wrote.
    fn replay_one(&mut self, id: IntentId, schema: &Schema, base: &dyn ReadRows, rows: &mut Vec<Place>) {
        let Some(intent) = self.intents.get_mut(id) else { return };
        let shown = Shown { base, overlays: &self.overlays };
        let reads = intent.play(schema, &shown, &mut self.written);
        if matches!(intent.effect, Effect::Action(_)) {
            let written = self.written.iter().map(|(place, row)| (place.clone(), row.is_none()));
            let now = Footprint::new(reads, written);
            let same = intent.footprint.is_same(&now);
            let before = std::mem::replace(&mut intent.footprint, now);
            intent.made.clear();
            if self.written.len() > 1 {
                intent.made.extend_from_slice(&self.written);
            }
            if !same {
                self.ties.leave(id, &before);
                self.ties.enter(id, &intent.footprint);
            }
        }
        let (state, applied) = (intent.state(), intent.applied());
        for ((collection, key), row) in self.written.drain(..) {
            rows.push((collection, key.clone()));
            let overlaid = Overlaid { row, state: state.clone(), applied };
            self.overlays.entry(collection).or_default().insert(key, overlaid);
        }
    }

    /// Notes the rows that an intent has turned out to have to do with, where later intents do too that have no turn in
    /// this round.
    fn note_missed(&self, id: IntentId, met: &mut Vec<Place>) {
        let Some(intent) = self.intents.get(id).filter(|intent| matches!(intent.effect, Effect::Action(_)))
        else {
            return;
        };
        let has_turn =
            |later: IntentId| self.intents.get(later).is_some_and(|later| later.round == self.round);
        let is_missed = |later: IntentId| later > id && !has_turn(later);
        let is_missed_at =
            |tied: &Tied| tied.ids.iter().copied().rev().take_while(|&later| later > id).any(is_missed);
        for (collection, key) in intent.footprint.places() {
            let Some(ties) = self.ties.of(collection) else { continue };
            // of a row that was followed, all have their turn
            let tied = ties.rows.get(key).filter(|tied| tied.round != self.round);
            if tied.is_some_and(|tied| is_missed_at(tied) || ties.surveys.iter().any(is_missed)) {
                met.push((*collection, key.clone()));
            }
        }
        for &collection in &intent.footprint.collections {
            let rows = self.ties.of(collection).into_iter().flat_map(|ties| &ties.rows);
            let missed = rows.filter(|(_, tied)| is_missed_at(tied));
            met.extend(missed.map(|(key, _)| (collection, key.clone())));
        }
    }

    /// The rows of a collection that the last replay has looked at or written: their overlay may be another one now.
    pub(crate) fn replayed(&self, collection: &str) -> impl Iterator<Item = &Key> {
        let start = self.replayed.partition_point(|(name, _)| *name < collection);
        let rows = self.replayed[start..].iter().take_while(move |(name, _)| *name == collection);
        rows.map(|(_, key)| key)
    }

    /// Whether the last replay has looked at rows of a collection.
    pub(crate) fn has_replayed(&self, collection: &str) -> bool {
        self.replayed(collection).next().is_some()
    }

    /// Everybody has seen what the last replay came to.
    pub(crate) fn forget_replayed(&mut self) {
        self.replayed.clear();
        self.replayed.shrink_to(SPARE);
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
