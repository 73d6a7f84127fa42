//! The pending queue of a space: local intents in the order in which they were made, and the overlay they make.
//!
//! A commit replays only what it can have changed. Intents that touch a common row depend on each other, and so do the
//! ones that those touch: [`replay`](Queue::replay) takes the rows that changed, follows them to all intents and rows
//! they are tied to, and replays these alone. A new intent that is tied to nothing else is one step on top.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::client::WriteRef;
use crate::client::collection::{Overlaid, Overlay};
use crate::client::pending::{Effect, Pending, Stage};
use crate::draft::{Draft, ReadRows};
use crate::error::{Error, code};
use crate::id::{Key, WriteId};
use crate::record::AnyRow;
use crate::schema::Schema;

/// Names an intent of one queue; the order of the names is the order of the intents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IntentId(u64);

/// Rows of a space: keys by collection.
pub(crate) type Rows = BTreeMap<&'static str, BTreeSet<Key>>;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Queue {
    intents: BTreeMap<IntentId, Pending>,
    last: u64,
    /// The intents about each row.
    about: BTreeMap<&'static str, BTreeMap<Key, BTreeSet<IntentId>>>,
    /// Writes that were sent on this connection, and when. Their ids lie before those that wait.
    sent: BTreeMap<WriteId, (IntentId, Duration)>,
    /// Writes that were not.
    waiting: BTreeMap<WriteId, IntentId>,
    /// The last write that was sent on any connection: the server may know of it.
    sent_up_to: WriteId,
    /// Intents that only stand in for rows which have not come yet.
    applied: BTreeSet<IntentId>,
    /// What the intents made of the base at the last replay.
    overlays: BTreeMap<&'static str, Overlay>,
    /// Rows of which intents have left or changed since.
    stale: Rows,
    /// Intents that have come since.
    new: BTreeSet<IntentId>,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.intents.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.intents.is_empty()
    }

    /// How many writes have no verdict.
    pub(crate) fn unanswered(&self) -> usize {
        self.sent.len() + self.waiting.len()
    }

    /// How many of them were sent on this connection.
    pub(crate) fn in_flight(&self) -> usize {
        self.sent.len()
    }

    /// When the oldest of these was sent.
    pub(crate) fn oldest_sent(&self) -> Option<Duration> {
        self.sent.first_key_value().map(|(_, &(_, at))| at)
    }

    /// The oldest write without a verdict.
    pub(crate) fn first_unanswered(&self) -> Option<WriteId> {
        self.sent.keys().chain(self.waiting.keys()).next().copied()
    }

    /// The writes up to this one that have no verdict.
    pub(crate) fn unanswered_up_to(&self, last: WriteId) -> Vec<WriteId> {
        let sent = self.sent.range(..=last).map(|(&id, _)| id);
        sent.chain(self.waiting.range(..=last).map(|(&id, _)| id)).collect()
    }

    /// The oldest write that was not sent on this connection; it counts as sent from now on.
    pub(crate) fn send_next(&mut self, now: Duration) -> Option<(WriteId, Arc<RawValue>)> {
        let (id, intent) = self.waiting.pop_first()?;
        let Stage::Queued { payload, .. } = &self.intents.get(&intent)?.stage else { return None };
        self.sent.insert(id, (intent, now));
        self.sent_up_to = self.sent_up_to.max(id);
        Some((id, Arc::clone(payload)))
    }

    /// The writes from this one on are to be sent again.
    pub(crate) fn unsend_from(&mut self, first: WriteId) {
        let again = self.sent.split_off(&first);
        self.waiting.extend(again.into_iter().map(|(id, (intent, _))| (id, intent)));
    }

    /// Gives the writes without a verdict other ids, one after the other; gives the id after the last.
    pub(crate) fn renumber(&mut self, first: WriteId) -> WriteId {
        self.unsend_from(0);
        self.sent_up_to = first.saturating_sub(1);
        let intents = std::mem::take(&mut self.waiting);
        self.number(first, intents.into_values())
    }

    fn number(&mut self, first: WriteId, intents: impl Iterator<Item = IntentId>) -> WriteId {
        let mut next = first;
        for intent in intents {
            if let Some(Stage::Queued { id, .. }) =
                self.intents.get_mut(&intent).map(|intent| &mut intent.stage)
            {
                *id = next;
                self.waiting.insert(next, intent);
                next += 1;
            }
        }
        next
    }

    /// Refuses the writes whose payloads are larger than `limit`, as far as the server cannot know of them; those
    /// behind them move up. Gives them, and the id after the last.
    pub(crate) fn refuse_larger(
        &mut self,
        limit: usize,
        error: &Arc<Error>,
    ) -> (Vec<WriteRef>, Option<WriteId>) {
        let mut waiting = self.waiting.split_off(&(self.sent_up_to + 1));
        let first = waiting.first_key_value().map(|(&id, _)| id);
        let mut refused = Vec::new();
        waiting.retain(|_, &mut intent| match self.intents.get(&intent).map(|intent| &intent.stage) {
            Some(Stage::Queued { payload, .. }) if payload.get().len() > limit => {
                let stage = Stage::Refused { payload: Arc::clone(payload), error: Arc::clone(error) };
                refused.extend(self.set_stage(intent, stage));
                false
            }
            _ => true,
        });
        let next = first.map(|first| self.number(first, waiting.into_values()));
        (refused, next)
    }

    /// Puts an intent at the end.
    pub(crate) fn push(&mut self, write: WriteRef, effects: Vec<Effect>, stage: Stage) {
        self.last += 1;
        let id = IntentId(self.last);
        for effect in &effects {
            let (collection, key) = effect.target();
            let rows = self.about.entry(collection).or_default();
            rows.entry(Key::from(key)).or_default().insert(id);
        }
        if let Stage::Queued { id: write, .. } = &stage {
            self.waiting.insert(*write, id);
        }
        self.intents.insert(id, Pending { write, effects, stage });
        self.new.insert(id);
    }

    /// Takes an intent out.
    pub(crate) fn remove(&mut self, id: IntentId) -> Option<Pending> {
        let intent = self.intents.remove(&id)?;
        self.left_stage(id, &intent.stage);
        self.new.remove(&id);
        for effect in &intent.effects {
            let (collection, key) = effect.target();
            self.stale.entry(collection).or_default().insert(Key::from(key));
            let Some(rows) = self.about.get_mut(collection) else { continue };
            if let Some(ids) = rows.get_mut(key) {
                ids.remove(&id);
                if ids.is_empty() {
                    rows.remove(key);
                }
            }
        }
        Some(intent)
    }

    /// The verdict on a write has come. `None` when it does not wait for one.
    pub(crate) fn settle(&mut self, write: WriteId, result: Result<(), &Error>) -> Option<WriteRef> {
        let id = match self.sent.get(&write) {
            Some(&(id, _)) => id,
            None => *self.waiting.get(&write)?,
        };
        let stage = match (result, &self.intents.get(&id)?.stage) {
            // there is no row left on which it could be shown, and be retried or dismissed
            (Err(error), _) if error.code() == code::UNKNOWN_ROW => return Some(self.remove(id)?.write),
            // takes it away unless a list has to get its rows first
            (Ok(()), _) => Stage::Applied,
            (Err(error), Stage::Queued { payload, .. }) => {
                Stage::Refused { payload: Arc::clone(payload), error: Arc::new(error.clone()) }
            }
            (Err(_), _) => return None,
        };
        self.set_stage(id, stage)
    }

    /// An intent has come to another stage; none comes back to being queued.
    pub(crate) fn set_stage(&mut self, id: IntentId, stage: Stage) -> Option<WriteRef> {
        let intent = self.intents.get_mut(&id)?;
        if matches!(stage, Stage::Applied) {
            self.applied.insert(id);
        }
        let write = intent.write;
        for effect in &intent.effects {
            let (collection, key) = effect.target();
            self.stale.entry(collection).or_default().insert(Key::from(key));
        }
        let before = std::mem::replace(&mut intent.stage, stage);
        self.left_stage(id, &before);
        Some(write)
    }

    fn left_stage(&mut self, id: IntentId, stage: &Stage) {
        match stage {
            Stage::Queued { id: write, .. } => {
                self.sent.remove(write);
                self.waiting.remove(write);
            }
            Stage::Applied => drop(self.applied.remove(&id)),
            Stage::Refused { .. } | Stage::Local { .. } => {}
        }
    }

    /// The intents about a row, in order.
    pub(crate) fn about(&self, collection: &str, key: &str) -> impl Iterator<Item = (IntentId, &Pending)> {
        let ids = self.about.get(collection).and_then(|rows| rows.get(key));
        ids.into_iter().flatten().filter_map(|&id| Some((id, self.intents.get(&id)?)))
    }

    /// Whether there are intents about a row.
    pub(crate) fn is_about(&self, collection: &str, key: &str) -> bool {
        self.about.get(collection).is_some_and(|rows| rows.contains_key(key))
    }

    /// Ends all intents; gives the writes among them that have no verdict.
    pub(crate) fn clear(&mut self) -> Vec<WriteRef> {
        self.sent_up_to = 0;
        let ids: Vec<_> = self.intents.keys().copied().collect();
        let removed = ids.into_iter().filter_map(|id| self.remove(id));
        removed
            .filter(|intent| matches!(intent.stage, Stage::Queued { .. }))
            .map(|intent| intent.write)
            .collect()
    }

    /// Rows of a collection have come: what stood in for them is done.
    pub(crate) fn rows_have_come(
        &mut self,
        come: &BTreeSet<Key>,
        collection: &str,
        holds: impl Fn(&str) -> bool,
    ) {
        let has_come = |effect: &Effect| {
            let (name, key) = effect.target();
            let gone = matches!(effect, Effect::Delete(..));
            name == collection && come.contains(key) && (gone || holds(key))
        };
        let mut done = BTreeSet::new();
        for key in come {
            for (id, intent) in self.about(collection, key.as_str()) {
                let is_done = match intent.stage {
                    Stage::Local { .. } => true,
                    // all of it or nothing: else half of it would leave the lists that are behind
                    Stage::Applied => intent.effects.iter().all(has_come),
                    Stage::Queued { .. } | Stage::Refused { .. } => false,
                };
                if is_done {
                    done.insert(id);
                }
            }
        }
        for id in done {
            self.remove(id);
        }
    }

    /// Forgets the applied writes that no list which is `behind` can have to show.
    pub(crate) fn drop_applied(&mut self, behind: &BTreeSet<&'static str>) {
        let is_awaited = |id: &IntentId| {
            let effects = self.intents.get(id).map(|intent| &intent.effects);
            effects.into_iter().flatten().any(|effect| behind.contains(effect.target().0))
        };
        let done: Vec<_> = self.applied.iter().copied().filter(|id| !is_awaited(id)).collect();
        for id in done {
            self.remove(id);
        }
    }

    /// All its rows with intents are to be shown anew.
    pub(crate) fn touch(&mut self, collection: &'static str) {
        let rows = self.about.get(collection).into_iter().flat_map(BTreeMap::keys);
        self.stale.entry(collection).or_default().extend(rows.cloned());
    }

    /// What the intents made of a collection at the last replay.
    pub(crate) fn overlay(&self, collection: &str) -> Option<&Overlay> {
        self.overlays.get(collection)
    }

    /// Brings the overlay in line with intents that came, left or changed, and with rows of the base that are
    /// `touched`. Gives the rows whose overlay may be another one now.
    pub(crate) fn replay(&mut self, schema: &Schema, base: &dyn ReadRows, touched: Rows) -> Rows {
        let mut start = std::mem::take(&mut self.stale);
        for (collection, keys) in touched {
            start.entry(collection).or_default().extend(keys);
        }
        let (mut rows, mut again) = self.tied_to(start);
        for (collection, keys) in &rows {
            if let Some(overlay) = self.overlays.get_mut(collection) {
                keys.iter().for_each(|key| drop(overlay.remove(key)));
            }
        }
        again.append(&mut self.new);
        for intent in again.iter().filter_map(|id| self.intents.get(id)) {
            let shown = Shown { base, overlays: &self.overlays };
            let mut draft = Draft::new(schema, &shown);
            if intent.apply(&mut draft).is_err() {
                continue;
            }
            for ((collection, key), row) in draft.into_touched() {
                rows.entry(collection).or_default().insert(key.clone());
                let overlaid = Overlaid { row, state: intent.state(), applied: intent.is_applied() };
                self.overlays.entry(collection).or_default().insert(key, overlaid);
            }
        }
        rows
    }

    /// All rows and intents that the first ones are tied to, by intents that touch several rows.
    fn tied_to(&self, start: Rows) -> (Rows, BTreeSet<IntentId>) {
        let (mut rows, mut intents) = (Rows::new(), BTreeSet::new());
        let mut next: Vec<(&'static str, Key)> = Vec::new();
        next.extend(start.into_iter().flat_map(|(name, keys)| keys.into_iter().map(move |key| (name, key))));
        while let Some((collection, key)) = next.pop() {
            for (id, intent) in self.about(collection, key.as_str()) {
                if intents.insert(id) {
                    let targets = intent.effects.iter().map(Effect::target);
                    next.extend(targets.map(|(name, key)| (name, Key::from(key))));
                }
            }
            rows.entry(collection).or_default().insert(key);
        }
        (rows, intents)
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
}
