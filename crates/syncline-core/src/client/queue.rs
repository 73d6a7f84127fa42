//! The pending queue of a space: local intents in the order in which they were made, who has sent what of them, and what
//! storage has of them. What they make of the rows is in [`replay`].

mod replay;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::client::WriteRef;
use crate::client::collection::{AnyCollection, Overlay};
use crate::client::pending::{Effect, Footprint, Kept, Letter, Pending, Stage};
use crate::client::sequence::Sequence;
use crate::error::Error;
use crate::id::{ClientId, Key, WriteId};
use crate::record::AnyRow;
use crate::schema::Schema;
use crate::tx::Place;

/// The names of intents that are [early](Queue::push_kept) lie below.
const EARLY: u64 = 1 << 32;

/// Names an intent of one queue; the order of the names is the order of the intents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IntentId(u64);

/// Rows of a space: keys by collection.
pub(crate) type Rows = BTreeMap<&'static str, BTreeSet<Key>>;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Queue {
    intents: BTreeMap<IntentId, Pending>,
    /// The name given last to an intent that was made here.
    last: u64,
    /// The name given last to one that was made before all of these, on a page that is gone.
    last_early: u64,
    /// The intents that have to do with each row.
    about: BTreeMap<&'static str, BTreeMap<Key, BTreeSet<IntentId>>>,
    /// The intents that looked at all rows of a collection.
    surveys: BTreeMap<&'static str, BTreeSet<IntentId>>,
    /// The writes among them, by author.
    sequences: BTreeMap<ClientId, Sequence>,
    /// Intents that only stand in for rows which have not come yet.
    applied: BTreeSet<IntentId>,
    /// What the intents made of the base at the last replay.
    overlays: BTreeMap<&'static str, Overlay>,
    /// Rows of which intents have left or changed since.
    stale: Rows,
    /// Intents that have come since.
    new: BTreeSet<IntentId>,
    /// Writes that storage does not have, or has not said to have.
    unkept: BTreeSet<IntentId>,
    /// Writes that storage may have and that have left the queue, or have another number, until it has let them go: in this
    /// batch, if it was asked.
    gone: BTreeMap<(ClientId, WriteId), Option<u64>>,
    /// Intents that nobody knew how to show.
    unknown: BTreeSet<IntentId>,
    /// Edits that the application makes by its own means, while the event of the one before was the last that came; until
    /// when they wait for their own.
    next_in_line: BTreeMap<IntentId, Duration>,
}

/// What rows that have come say of those that the application writes by its own means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// This is how they are now, whatever has been done to them.
    State,
    /// One thing was done to a row: the first that is waited for. The others wait for their own events until then, in case
    /// a service says once what was done twice.
    Event { others_until: Duration },
}

/// Whether a write that has its verdict can be seen: in rows as they are now, or in one that is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trace {
    Left,
    Gone,
}

/// A write that is to be sent.
pub(crate) struct Outgoing {
    pub(crate) client: ClientId,
    pub(crate) id: WriteId,
    pub(crate) settled: WriteId,
    pub(crate) letter: Letter,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.intents.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.intents.is_empty()
    }

    /// The writes of one author.
    pub(crate) fn sequence_mut(&mut self, client: &ClientId) -> Option<&mut Sequence> {
        self.sequences.get_mut(client)
    }

    /// Whether an author has written here whose next write must not have a number that was used.
    pub(crate) fn has_numbered(&self) -> bool {
        self.sequences.values().any(|sequence| sequence.next > 1)
    }

    /// There are none, and what the last ones did has been taken back.
    pub(crate) fn is_idle(&self) -> bool {
        self.intents.is_empty() && self.stale.is_empty()
    }

    /// How many writes have no verdict.
    pub(crate) fn unanswered(&self) -> usize {
        self.sequences.values().map(Sequence::unanswered).sum()
    }

    /// How many of them were sent on this connection.
    pub(crate) fn in_flight(&self) -> usize {
        self.sequences.values().map(Sequence::in_flight).sum()
    }

    /// When the oldest of these was sent.
    pub(crate) fn oldest_sent(&self) -> Option<Duration> {
        self.sequences.values().filter_map(Sequence::oldest_sent).min()
    }

    /// The oldest write that was not sent on this connection; it counts as sent from now on.
    pub(crate) fn send_next(&mut self, now: Duration) -> Option<Outgoing> {
        let waiting = self.sequences.iter_mut().filter_map(|(client, sequence)| {
            let first = sequence.first_waiting()?;
            let is_held = self.intents.get(&first).is_some_and(|intent| intent.is_held);
            (!is_held).then_some((first, client, sequence))
        });
        let (_, client, sequence) = waiting.min_by_key(|(first, ..)| *first)?;
        let settled = sequence.settled();
        let (id, intent) = sequence.send_first(now)?;
        let Stage::Queued { letter, .. } = &self.intents.get(&intent)?.stage else { return None };
        Some(Outgoing { client: client.clone(), id, settled, letter: letter.clone() })
    }

    /// All writes are to be sent again.
    pub(crate) fn unsend(&mut self) {
        self.sequences.values_mut().for_each(|sequence| sequence.unsend_from(0));
    }

    /// Nothing is known any more of what the connection said.
    pub(crate) fn forget_handled(&mut self) {
        self.sequences.values_mut().for_each(|sequence| sequence.handled = 0);
    }

    /// Gives an author's writes without a verdict other ids, one after the other.
    pub(crate) fn renumber(&mut self, client: &ClientId, first: WriteId) {
        let Some(sequence) = self.sequences.get_mut(client) else { return };
        sequence.unsend_from(0);
        sequence.sent_up_to = first.saturating_sub(1);
        let intents = std::mem::take(&mut sequence.waiting);
        self.number(client, first, intents.into_values());
    }

    fn number(&mut self, client: &ClientId, first: WriteId, intents: impl Iterator<Item = IntentId>) {
        let Some(sequence) = self.sequences.get_mut(client) else { return };
        let mut next = first;
        for intent in intents {
            if let Some(pending) = self.intents.get_mut(&intent)
                && let Stage::Queued { id, .. } = &mut pending.stage
            {
                if *id != next && pending.kept != Kept::No {
                    self.gone.insert((client.clone(), *id), None);
                    pending.kept = Kept::No;
                    pending.is_held = true;
                    self.unkept.insert(intent);
                }
                *id = next;
                sequence.waiting.insert(next, intent);
                next += 1;
            }
        }
        sequence.next = next;
    }

    /// Refuses the writes whose payloads are larger than `limit`, as far as the server cannot know of them; those
    /// behind them move up.
    pub(crate) fn refuse_larger(&mut self, limit: usize, error: &Error) -> Vec<WriteRef> {
        let mut refused = Vec::new();
        let clients: Vec<_> = self.sequences.keys().cloned().collect();
        for client in clients {
            let Some(sequence) = self.sequences.get_mut(&client) else { continue };
            let waiting = sequence.waiting.split_off(&(sequence.sent_up_to + 1));
            let Some(first) = waiting.first_key_value().map(|(&id, _)| id) else { continue };
            let is_larger = |intent: &IntentId| match self.intents.get(intent).map(|intent| &intent.stage) {
                Some(Stage::Queued { letter, .. }) => letter.payload.get().len() > limit,
                _ => false,
            };
            let (larger, others): (Vec<_>, Vec<_>) = waiting.into_values().partition(is_larger);
            // before their numbers are those of others
            refused.extend(larger.into_iter().filter_map(|intent| self.refuse(intent, error)));
            self.number(&client, first, others.into_iter());
        }
        refused
    }

    /// Puts a write at the end, with the next number of its author.
    pub(crate) fn push_write(&mut self, write: WriteRef, effect: Effect, client: &ClientId, letter: Letter) {
        let sequence = self.sequences.entry(client.clone()).or_default();
        let id = sequence.next;
        sequence.next += 1;
        self.push(write, effect, Stage::Queued { client: client.clone(), id, letter });
    }

    /// Puts an intent at the end.
    pub(crate) fn push(&mut self, write: WriteRef, effect: Effect, stage: Stage) {
        self.push_as(write, effect, stage, Kept::No);
    }

    /// Puts a row at the end that the application writes by its own means, over this confirmed one.
    pub(crate) fn push_local(&mut self, write: WriteRef, effect: Effect, over: Option<Arc<dyn AnyRow>>) {
        self.push(write, effect, Stage::Local { error: None });
        if let Some(intent) = self.intents.get_mut(&IntentId(EARLY + self.last)) {
            intent.over = over;
        }
    }

    /// The same with a write that storage has; an early one before all that were made here, which are then to be
    /// [replayed](Self::replay_own).
    pub(crate) fn push_kept(&mut self, write: WriteRef, effect: Effect, stage: Stage, is_early: bool) {
        if is_early && self.last_early < EARLY {
            self.last_early += 1;
            self.insert(IntentId(self.last_early), write, effect, stage, Kept::Yes);
        } else {
            self.push_as(write, effect, stage, Kept::Yes);
        }
    }

    /// What was made here comes after something that has just come before it.
    pub(crate) fn replay_own(&mut self) {
        self.replay_from(IntentId(EARLY));
    }

    /// Whether the server has got nothing of what is shown: something may still come before it.
    pub(crate) fn is_unsent(&self) -> bool {
        self.applied.is_empty()
            && self.sequences.values().all(|sequence| sequence.unanswered() == 0 || sequence.sent_up_to == 0)
    }

    fn push_as(&mut self, write: WriteRef, effect: Effect, stage: Stage, kept: Kept) {
        self.last += 1;
        self.insert(IntentId(EARLY + self.last), write, effect, stage, kept);
    }

    fn insert(&mut self, id: IntentId, write: WriteRef, effect: Effect, stage: Stage, kept: Kept) {
        if let Stage::Queued { client, id: write, .. } = &stage {
            let sequence = self.sequences.entry(client.clone()).or_default();
            sequence.waiting.insert(*write, id);
            sequence.next = sequence.next.max(*write + 1);
            if kept == Kept::No {
                self.unkept.insert(id);
            }
        }
        if matches!(effect, Effect::Unknown) {
            self.unknown.insert(id);
        }
        let intent = Pending { kept, ..Pending::new(write, effect, stage) };
        self.enter(id, &intent.footprint);
        if id.0 <= EARLY {
            // whoever has looked at all rows looks again
            self.mark_stale(&intent.footprint);
        }
        self.intents.insert(id, intent);
        self.new.insert(id);
    }

    /// Takes an intent out.
    pub(crate) fn remove(&mut self, id: IntentId) -> Option<Pending> {
        let intent = self.intents.remove(&id)?;
        self.left_stage(id, &intent.stage, intent.kept);
        self.new.remove(&id);
        self.unknown.remove(&id);
        self.next_in_line.remove(&id);
        self.mark_stale(&intent.footprint);
        self.leave(id, &intent.footprint);
        Some(intent)
    }

    /// Whether two writes have to do with a common row.
    pub(crate) fn are_tied(&self, one: &(ClientId, WriteId), other: &(ClientId, WriteId)) -> bool {
        let footprint = |(client, write): &(ClientId, WriteId)| {
            let id = self.sequences.get(client)?.intent(*write)?;
            Some(&self.intents.get(&id)?.footprint)
        };
        footprint(one).zip(footprint(other)).is_some_and(|(one, other)| one.is_tied_to(other))
    }

    /// The verdict on a write has come. `None` when it does not wait for one.
    pub(crate) fn settle(
        &mut self,
        client: &ClientId,
        write: WriteId,
        result: Result<(), &Error>,
    ) -> Option<(WriteRef, Trace)> {
        let id = self.sequences.get(client)?.intent(write)?;
        match result {
            // takes it away unless a list has to get its rows first
            Ok(()) => Some((self.set_stage(id, Stage::Applied)?, Trace::Left)),
            Err(error) => {
                let write = self.refuse(id, error)?;
                let trace = if self.intents.contains_key(&id) { Trace::Left } else { Trace::Gone };
                Some((write, trace))
            }
        }
    }

    fn refuse(&mut self, id: IntentId, error: &Error) -> Option<WriteRef> {
        let intent = self.intents.get(&id)?;
        let Stage::Queued { letter, .. } = &intent.stage else { return None };
        if !intent.stays_when_refused(error) {
            return Some(self.remove(id)?.write);
        }
        let (letter, error) = (letter.clone(), Arc::new(error.clone()));
        self.set_stage(id, Stage::Refused { letter, error })
    }

    /// An intent has come to another stage; none comes back to being queued.
    pub(crate) fn set_stage(&mut self, id: IntentId, stage: Stage) -> Option<WriteRef> {
        let mut intent = self.intents.remove(&id)?;
        if matches!(stage, Stage::Applied) {
            self.applied.insert(id);
        }
        self.mark_stale(&intent.footprint);
        let before = std::mem::replace(&mut intent.stage, stage);
        self.left_stage(id, &before, std::mem::take(&mut intent.kept));
        let write = intent.write;
        self.intents.insert(id, intent);
        Some(write)
    }

    fn left_stage(&mut self, id: IntentId, stage: &Stage, kept: Kept) {
        match stage {
            Stage::Queued { client, id: write, .. } => {
                self.unkept.remove(&id);
                if kept != Kept::No {
                    self.gone.insert((client.clone(), *write), None);
                }
                if let Some(sequence) = self.sequences.get_mut(client) {
                    sequence.remove(*write);
                }
            }
            Stage::Applied => drop(self.applied.remove(&id)),
            Stage::Refused { .. } | Stage::Local { .. } => {}
        }
    }

    /// An author will write no more here, and waits for nothing.
    pub(crate) fn forget_sequence(&mut self, client: &ClientId) {
        if self.sequences.get(client).is_some_and(Sequence::is_done) {
            self.sequences.remove(client);
        }
    }

    fn enter(&mut self, id: IntentId, footprint: &Footprint) {
        for (collection, key) in &footprint.rows {
            self.about.entry(collection).or_default().entry(key.clone()).or_default().insert(id);
        }
        for collection in &footprint.collections {
            self.surveys.entry(collection).or_default().insert(id);
        }
    }

    fn leave(&mut self, id: IntentId, footprint: &Footprint) {
        for (collection, key) in &footprint.rows {
            let Some(rows) = self.about.get_mut(collection) else { continue };
            if let Some(ids) = rows.get_mut(key) {
                ids.remove(&id);
                if ids.is_empty() {
                    rows.remove(key);
                }
            }
        }
        for collection in &footprint.collections {
            if let Some(ids) = self.surveys.get_mut(collection) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.surveys.remove(collection);
                }
            }
        }
    }

    fn mark_stale(&mut self, footprint: &Footprint) {
        for (collection, key) in &footprint.rows {
            self.stale.entry(collection).or_default().insert(key.clone());
        }
    }

    /// The intents that have to do with a row, in order.
    pub(crate) fn about(&self, collection: &str, key: &str) -> impl Iterator<Item = (IntentId, &Pending)> {
        let ids = self.about.get(collection).and_then(|rows| rows.get(key));
        ids.into_iter().flatten().filter_map(|&id| Some((id, self.intents.get(&id)?)))
    }

    /// Whether there are intents that depend on a row.
    pub(crate) fn is_about(&self, collection: &str, key: &str) -> bool {
        let is_about = self.about.get(collection).is_some_and(|rows| rows.contains_key(key));
        is_about || self.surveys.contains_key(collection)
    }

    /// Ends all intents; gives the writes among them that have no verdict, and whether storage has them: there they stay.
    pub(crate) fn clear(&mut self) -> Vec<(WriteRef, Kept)> {
        let ids: Vec<_> = self.intents.keys().copied().collect();
        let removed = ids.into_iter().filter_map(|id| self.remove(id));
        let unanswered = removed
            .filter(|intent| matches!(intent.stage, Stage::Queued { .. }))
            .map(|intent| (intent.write, intent.kept))
            .collect();
        self.sequences.clear();
        self.gone.clear();
        unanswered
    }

    /// How many writes storage does not have, or has not said to have.
    pub(crate) fn unkept(&self) -> usize {
        self.unkept.len()
    }

    /// The writes that storage has not been asked to keep, in order; it is, in this batch.
    pub(crate) fn take_unkept(&mut self, batch: u64) -> Vec<(ClientId, WriteId, Letter)> {
        let mut taken = Vec::new();
        for id in &self.unkept {
            if let Some(intent) = self.intents.get_mut(id).filter(|intent| intent.kept == Kept::No)
                && let Stage::Queued { client, id, letter } = &intent.stage
            {
                intent.kept = Kept::Asked(batch);
                taken.push((client.clone(), *id, letter.clone()));
            }
        }
        taken
    }

    /// Storage has done a batch, or not.
    pub(crate) fn batch_was_kept(&mut self, batch: u64, done: bool) {
        self.unkept.retain(|id| match self.intents.get_mut(id) {
            Some(intent) if intent.kept == Kept::Asked(batch) => {
                intent.kept = if done { Kept::Yes } else { Kept::No };
                intent.is_held = false;
                !done
            }
            Some(_) => true,
            None => false,
        });
        self.gone.retain(|_, asked| {
            if *asked != Some(batch) {
                return true;
            }
            *asked = None;
            !done
        });
    }

    /// Storage does not keep anything now: no write waits for it.
    pub(crate) fn stop_holding(&mut self) {
        self.intents.values_mut().for_each(|intent| intent.is_held = false);
    }

    /// Storage has none of the writes any more.
    pub(crate) fn forget_kept(&mut self) {
        for (&id, intent) in &mut self.intents {
            if matches!(intent.stage, Stage::Queued { .. }) {
                intent.kept = Kept::No;
                self.unkept.insert(id);
            }
        }
        self.gone.clear();
    }

    /// Storage may not have any more what it has said to have.
    pub(crate) fn keep_again(&mut self) {
        for (&id, intent) in &mut self.intents {
            if intent.kept == Kept::Yes {
                intent.kept = Kept::No;
                self.unkept.insert(id);
            }
        }
    }

    /// The writes that storage may have and has not been asked to let go; it is, in this batch.
    pub(crate) fn take_gone(&mut self, batch: u64) -> Vec<(ClientId, WriteId)> {
        let mut taken = Vec::new();
        for (write, asked) in &mut self.gone {
            if asked.is_none() {
                *asked = Some(batch);
                taken.push(write.clone());
            }
        }
        taken
    }

    /// Whether there are writes that storage may have and has not let go.
    pub(crate) fn has_gone(&self) -> bool {
        !self.gone.is_empty()
    }

    /// Whether this is one of them.
    pub(crate) fn is_gone(&self, client: &ClientId, write: WriteId) -> bool {
        self.gone.contains_key(&(client.clone(), write))
    }

    /// Rows of a collection have come: what stood in for them is done. A row that is what it was before is no answer to
    /// what the application has made of it since: rows come again with every connection.
    pub(crate) fn rows_have_come(
        &mut self,
        come: &BTreeSet<Key>,
        collection: &str,
        rows: &dyn AnyCollection,
        news: News,
    ) {
        let has_come = |(place, deletes): &(Place, bool)| {
            let (name, key) = place;
            *name == collection && come.contains(key) && (*deletes || rows.holds(key.as_str()))
        };
        let (mut done, mut waiting) = (BTreeSet::new(), Vec::new());
        for key in come {
            let (is_held, mut is_taken) = (rows.holds(key.as_str()), false);
            for (id, intent) in self.about(collection, key.as_str()) {
                let is_done = match &intent.stage {
                    Stage::Local { .. } if is_taken => {
                        waiting.push((id, key));
                        false
                    }
                    Stage::Local { error } => {
                        let is_done = !is_held || rows.is_news(key.as_str(), intent.over.as_deref());
                        is_taken = is_done && is_held && error.is_none() && news != News::State;
                        is_done
                    }
                    // all of it or nothing: else half of it would leave the lists that are behind
                    Stage::Applied => intent.footprint.written.iter().all(has_come),
                    Stage::Queued { .. } | Stage::Refused { .. } => false,
                };
                if is_done {
                    done.insert(id);
                }
            }
        }
        for (id, key) in waiting {
            if let (Some(intent), News::Event { others_until }) = (self.intents.get_mut(&id), news) {
                intent.over = rows.confirmed(key.as_str());
                self.next_in_line.insert(id, others_until);
            }
        }
        for id in done {
            self.remove(id);
        }
    }

    /// When the first edit is due whose own event has not come after that of the one before it.
    pub(crate) fn next_in_line(&self) -> Option<Duration> {
        self.next_in_line.values().min().copied()
    }

    /// Those that are due are as good as done, but for the ones that have failed, which keep their error. Says whether there
    /// were any.
    pub(crate) fn give_up_waiting(&mut self, now: Duration) -> bool {
        let due: Vec<_> =
            self.next_in_line.iter().filter(|(_, until)| now >= **until).map(|(id, _)| *id).collect();
        for id in &due {
            self.next_in_line.remove(id);
            if self.intents.get(id).is_some_and(|intent| !intent.has_failed()) {
                self.remove(*id);
            }
        }
        !due.is_empty()
    }

    /// Forgets the applied writes that no list which is `behind` can have to show.
    pub(crate) fn drop_applied(&mut self, behind: &BTreeSet<&'static str>) {
        let is_awaited = |id: &IntentId| {
            let written = self.intents.get(id).map(|intent| &intent.footprint.written);
            written.into_iter().flatten().any(|((collection, _), _)| behind.contains(collection))
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

    /// A channel or a collection has become known: what was sent without being shown may be shown now. Says whether
    /// anything is.
    pub(crate) fn learn(&mut self, schema: &Schema) -> bool {
        let mut first = None;
        for id in self.unknown.clone() {
            let Some(mut intent) = self.intents.remove(&id) else { continue };
            if let Stage::Queued { letter, .. } = &intent.stage {
                intent.effect = letter.effect(schema);
            }
            if !matches!(intent.effect, Effect::Unknown) {
                intent.footprint = intent.effect.footprint();
                self.enter(id, &intent.footprint);
                self.unknown.remove(&id);
                self.new.insert(id);
                first.get_or_insert(id);
            }
            self.intents.insert(id, intent);
        }
        if let Some(first) = first {
            self.replay_from(first);
        }
        first.is_some()
    }

    /// Intents from this one on come after one that has just come.
    fn replay_from(&mut self, first: IntentId) {
        for (_, intent) in self.intents.range(first..) {
            for (collection, key) in &intent.footprint.rows {
                self.stale.entry(collection).or_default().insert(key.clone());
            }
        }
    }

    /// What the intents made of a collection at the last replay.
    pub(crate) fn overlay(&self, collection: &str) -> Option<&Overlay> {
        self.overlays.get(collection)
    }
}
