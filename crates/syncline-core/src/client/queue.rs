//! The pending queue of a space: local intents in the order in which they were made, and who has sent what of them. What
//! they make of the rows is in [`replay`], what rows that come make of them in [`coming`], what storage has of them in
//! [`keeping`].

mod amending;
mod coming;
mod intents;
mod keeping;
mod replay;
mod ties;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::client::WriteRef;
use crate::client::collection::Overlay;
use crate::client::pending::{Effect, Footprint, Kept, Letter, Pending, Stage, Step, Written};
use crate::client::sequence::Sequence;
use crate::error::Error;
use crate::id::{ClientId, Key, Version, WriteId};
use crate::record::AnyRow;
use crate::schema::Schema;
use crate::tx::Place;

pub(crate) use coming::News;
pub(crate) use intents::IntentId;
pub(crate) use intents::give_back;
use intents::{EARLY, Intents, Names};
use ties::Ties;

/// Room for so many is kept by what has been emptied.
const SPARE: usize = 64;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Queue {
    intents: Intents,
    /// The name given last to an intent that was made here.
    last: u64,
    /// The name given last to one that was made before all of these, on a page that is gone.
    last_early: u64,
    /// Which of them have to do with which rows.
    ties: Ties,
    /// The writes among them, by author.
    sequences: BTreeMap<ClientId, Sequence>,
    /// Writes that were applied, until their rows have come.
    applied: Names,
    /// What the intents made of the base at the last replay.
    overlays: BTreeMap<&'static str, Overlay>,
    /// Rows that the next replay looks at: the base has changed, or an intent that has to do with them. Some more than once.
    stale: Vec<Place>,
    /// Rows that the last replay has looked at or written, in order.
    replayed: Vec<Place>,
    /// How many rounds of replaying there have been.
    round: u64,
    /// Intents that have come since.
    new: Names,
    /// Room for what one intent makes of rows.
    written: Vec<Written>,
    /// Writes that storage does not have, or has not said to have.
    unkept: Names,
    /// Writes that storage may have and that have left the queue, or have another number, until it has let them go: in this
    /// batch, if it was asked.
    gone: BTreeMap<(ClientId, WriteId), Option<u64>>,
    /// Intents that nobody knew how to show.
    unknown: Names,
    /// Edits that the application makes by its own means, while the event of the one before was the last that came; until
    /// when they wait for their own.
    next_in_line: BTreeMap<IntentId, Duration>,
}

/// Whether a write that has its verdict can be seen: in rows as they are now, or in one that is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trace {
    Visible,
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

    /// When a write that was sent leaves, at the slowest.
    pub(crate) fn leaves(&self, client: &ClientId, id: WriteId) -> Option<Duration> {
        self.sequences.get(client)?.leaves(id)
    }

    /// What is on its way leaves so much sooner.
    pub(crate) fn leaves_sooner(&mut self, now: Duration, sooner: Duration) {
        self.sequences.values_mut().for_each(|sequence| sequence.leaves_sooner(now, sooner));
    }

    /// The write that was sent last leaves no sooner than then.
    pub(crate) fn leaves_at(&mut self, client: &ClientId, id: WriteId, leaves_at: Duration) {
        if let Some(sequence) = self.sequences.get_mut(client) {
            sequence.leaves_at(id, leaves_at);
        }
    }

    /// How many writes without a verdict were sent on this connection.
    pub(crate) fn in_flight(&self) -> usize {
        self.sequences.values().map(Sequence::in_flight).sum()
    }

    /// When the oldest write that was sent on this connection and has no verdict was sent.
    pub(crate) fn oldest_sent(&self) -> Option<Duration> {
        self.sequences.values().filter_map(Sequence::oldest_sent).min()
    }

    /// The oldest write that was not sent on this connection, of an author whose next one is not held; it counts as sent from
    /// now on.
    pub(crate) fn send_next(&mut self, now: Duration) -> Option<Outgoing> {
        let waiting = self.sequences.iter_mut().filter_map(|(client, sequence)| {
            let first = sequence.first_waiting()?;
            let is_held = self.intents.get(first).is_some_and(|intent| intent.is_held);
            (!is_held).then_some((first, client, sequence))
        });
        let (first, client, sequence) = waiting.min_by_key(|(first, ..)| *first)?;
        let settled = sequence.settled();
        let Stage::Queued { letter, .. } = &self.intents.get(first)?.stage else { return None };
        let id = sequence.send_first(now)?;
        Some(Outgoing { client: client.clone(), id, settled, letter: letter.clone() })
    }

    /// All writes are to be sent again.
    pub(crate) fn unsend(&mut self) {
        self.sequences.values_mut().for_each(|sequence| sequence.unsend_from(0));
    }

    /// Nothing is known any more of what the connection said.
    pub(crate) fn forget_handled(&mut self) {
        self.sequences.values_mut().for_each(|sequence| sequence.handled = 0);
        // what is told next has all of it that was not lost: the versions may be those of another history
        for id in self.applied.iter() {
            if let Some(intent) = self.intents.get_mut(id).filter(|intent| intent.applied() != Some(0)) {
                intent.stage = Stage::Applied(0);
                mark(&mut self.stale, &intent.footprint);
            }
        }
    }

    /// Gives an author's writes without a verdict other ids, one after the other.
    pub(crate) fn renumber(&mut self, client: &ClientId, first: WriteId) {
        let Some(sequence) = self.sequences.get_mut(client) else { return };
        sequence.unsend_from(0);
        sequence.sent_up_to = first.saturating_sub(1);
        let intents = sequence.take_from(0);
        self.number(client, first, intents.into_iter());
    }

    fn number(&mut self, client: &ClientId, first: WriteId, intents: impl Iterator<Item = IntentId>) {
        let Some(sequence) = self.sequences.get_mut(client) else { return };
        let mut next = first;
        for intent in intents {
            if let Some(pending) = self.intents.get_mut(intent)
                && let Stage::Queued { id, .. } = &mut pending.stage
            {
                if *id != next && pending.kept != Kept::No {
                    self.gone.insert((client.clone(), *id), None);
                    pending.kept = Kept::No;
                    pending.is_held = true;
                    self.unkept.insert(intent);
                }
                *id = next;
                sequence.insert(next, intent);
                next += 1;
            }
        }
        sequence.next = next;
    }

    /// Refuses the writes whose payloads are larger than `limit`, as far as this page has not sent them. Those of `own` behind
    /// them move up. What the server knows of others' their page cannot say any more: if it lacks one, it says so.
    pub(crate) fn refuse_larger(
        &mut self,
        limit: usize,
        own: &ClientId,
        error: &Error,
    ) -> Vec<(WriteRef, Trace)> {
        let mut refused = Vec::new();
        let clients: Vec<_> = self.sequences.keys().cloned().collect();
        for client in clients {
            let Some(sequence) = self.sequences.get_mut(&client) else { continue };
            let Some(first) = sequence.first_from(sequence.sent_up_to + 1) else { continue };
            let is_larger = |intent: &IntentId| match self.intents.get(*intent).map(|intent| &intent.stage) {
                Some(Stage::Queued { letter, .. }) => letter.payload.get().len() > limit,
                _ => false,
            };
            let larger: Vec<_> = sequence.intents_from(first).filter(is_larger).collect();
            if larger.is_empty() {
                continue;
            }
            // before their numbers are those of others
            refused.extend(larger.into_iter().filter_map(|intent| self.refuse(intent, error)));
            if client == *own {
                let others = self.sequence_mut(&client).map(|sequence| sequence.take_from(first));
                self.number(&client, first, others.into_iter().flatten());
            } else {
                self.forget_sequence(&client);
            }
        }
        refused
    }

    /// Puts a write at the end, with the next number of its author.
    pub(crate) fn push_write(&mut self, write: WriteRef, effect: Effect, client: &ClientId, letter: Letter) {
        let id = self.sequences.entry(client.clone()).or_default().next;
        self.push(write, effect, Stage::Queued { client: client.clone(), id, letter });
    }

    /// Puts an intent at the end.
    pub(crate) fn push(&mut self, write: WriteRef, effect: Effect, stage: Stage) {
        self.push_as(write, effect, stage, Kept::No);
    }

    /// Puts a row at the end that the application writes by its own means, over this confirmed one.
    pub(crate) fn push_local(&mut self, write: WriteRef, effect: Effect, over: Option<Arc<dyn AnyRow>>) {
        self.push(write, effect, Stage::Local { error: None });
        if let Some(intent) = self.intents.get_mut(IntentId(EARLY + self.last)) {
            intent.over = over;
        }
    }

    /// Puts a write at the end that storage has; an early one before all that were made here, which are then to be
    /// [marked](Self::mark_own).
    pub(crate) fn push_kept(&mut self, write: WriteRef, effect: Effect, stage: Stage, is_early: bool) {
        if is_early && self.last_early < EARLY {
            self.last_early += 1;
            self.insert(IntentId(self.last_early), write, effect, stage, Kept::Yes);
        } else {
            self.push_as(write, effect, stage, Kept::Yes);
        }
    }

    /// What was made here is to be replayed: something has come before it.
    pub(crate) fn mark_own(&mut self) {
        self.mark_from(IntentId(EARLY));
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
            sequence.insert(*write, id);
            if kept == Kept::No {
                self.unkept.insert(id);
            }
        }
        if matches!(effect, Effect::Unknown) {
            self.unknown.insert(id);
        }
        let intent = Pending { kept, ..Pending::new(write, effect, stage) };
        self.ties.enter(id, &intent.footprint);
        if id.is_early() {
            // whoever has looked at all rows looks again
            mark(&mut self.stale, &intent.footprint);
        }
        self.intents.insert(id, intent);
        self.new.insert(id);
    }

    /// Takes an intent out.
    pub(crate) fn remove(&mut self, id: IntentId) -> Option<Pending> {
        let intent = self.intents.remove(id)?;
        self.left_stage(id, &intent.stage, intent.kept);
        self.new.remove(id);
        self.unknown.remove(id);
        self.next_in_line.remove(&id);
        mark(&mut self.stale, &intent.footprint);
        self.ties.leave(id, &intent.footprint);
        Some(intent)
    }

    /// The row that a write puts, where it puts one in these bytes and nothing else.
    pub(crate) fn put_as(
        &self,
        client: &ClientId,
        write: WriteId,
        collection: &str,
        row: &[u8],
    ) -> Option<Arc<dyn AnyRow>> {
        let intent = self.intents.get(self.sequences.get(client)?.intent(write)?)?;
        let (Effect::Steps(steps), Stage::Queued { letter, .. }) = (&intent.effect, &intent.stage) else {
            return None;
        };
        let [Step::Put(name, _, put)] = &**steps else { return None };
        (*name == collection && letter.puts(collection, row)).then(|| Arc::clone(put))
    }

    /// Whether two writes have to do with a common row.
    pub(crate) fn are_tied(&self, one: &(ClientId, WriteId), other: &(ClientId, WriteId)) -> bool {
        let footprint = |(client, write): &(ClientId, WriteId)| {
            let id = self.sequences.get(client)?.intent(*write)?;
            Some(&self.intents.get(id)?.footprint)
        };
        footprint(one).zip(footprint(other)).is_some_and(|(one, other)| one.is_tied_to(other))
    }

    /// The verdict on a write has come. `None` when it does not wait for one.
    pub(crate) fn settle(
        &mut self,
        client: &ClientId,
        write: WriteId,
        result: Result<Version, &Error>,
    ) -> Option<(WriteRef, Trace)> {
        let id = self.sequences.get(client)?.intent(write)?;
        match result {
            // the next commit takes it away, unless a list has to get its rows first
            Ok(version) => Some((self.set_stage(id, Stage::Applied(version))?, Trace::Visible)),
            Err(error) => self.refuse(id, error),
        }
    }

    fn refuse(&mut self, id: IntentId, error: &Error) -> Option<(WriteRef, Trace)> {
        let intent = self.intents.get(id)?;
        let Stage::Queued { letter, .. } = &intent.stage else { return None };
        let error = match intent.stays_when_refused(error) {
            true => Some(Arc::new(error.clone())),
            false => self.refusal_of_row(intent),
        };
        let Some(error) = error else { return Some((self.remove(id)?.write, Trace::Gone)) };
        let letter = letter.clone();
        Some((self.set_stage(id, Stage::Refused { letter, error })?, Trace::Visible))
    }

    /// An intent has come to another stage; none comes back to being queued.
    pub(crate) fn set_stage(&mut self, id: IntentId, stage: Stage) -> Option<WriteRef> {
        let intent = self.intents.get_mut(id)?;
        if matches!(stage, Stage::Applied(_)) {
            self.applied.insert(id);
        }
        mark(&mut self.stale, &intent.footprint);
        let (write, kept) = (intent.write, std::mem::take(&mut intent.kept));
        let before = std::mem::replace(&mut intent.stage, stage);
        self.left_stage(id, &before, kept);
        Some(write)
    }

    /// An intent does something else from now on.
    fn set_effect(&mut self, id: IntentId, effect: Effect) {
        let Some(intent) = self.intents.get_mut(id) else { return };
        mark(&mut self.stale, &intent.footprint);
        self.ties.leave(id, &intent.footprint);
        intent.footprint = effect.footprint();
        intent.effect = effect;
        self.ties.enter(id, &intent.footprint);
    }

    fn left_stage(&mut self, id: IntentId, stage: &Stage, kept: Kept) {
        match stage {
            Stage::Queued { client, id: write, .. } => {
                self.unkept.remove(id);
                if kept != Kept::No {
                    self.gone.insert((client.clone(), *write), None);
                }
                if let Some(sequence) = self.sequences.get_mut(client) {
                    sequence.remove(*write);
                }
            }
            Stage::Applied(_) => self.applied.remove(id),
            Stage::Refused { .. } | Stage::Local { .. } => {}
        }
    }

    /// An author will write no more here, and waits for nothing.
    pub(crate) fn forget_sequence(&mut self, client: &ClientId) {
        if self.sequences.get(client).is_some_and(Sequence::is_done) {
            self.sequences.remove(client);
        }
    }

    /// The intents that have to do with a row, in order.
    pub(crate) fn about(&self, collection: &str, key: &str) -> impl Iterator<Item = (IntentId, &Pending)> {
        let ids = self.ties.about(collection, key);
        ids.iter().filter_map(|&id| Some((id, self.intents.get(id)?)))
    }

    /// The key of a row, where intents depend on it.
    pub(crate) fn key_of(&self, collection: &str, key: &str) -> Option<Key> {
        self.ties.key_of(collection, key)
    }

    /// The base has another row at a key, or may have: whatever depends on it is to be replayed.
    pub(crate) fn base_changed(&mut self, collection: &'static str, key: &str) {
        self.stale.extend(self.ties.key_of(collection, key).map(|key| (collection, key)));
    }

    /// Ends all intents; gives the writes among them that have no verdict, and whether storage has them: there they stay.
    pub(crate) fn clear(&mut self) -> Vec<(WriteRef, Kept)> {
        let ids: Vec<_> = self.intents.ids().collect();
        let removed = ids.into_iter().filter_map(|id| self.remove(id));
        let unanswered = removed
            .filter(|intent| matches!(intent.stage, Stage::Queued { .. }))
            .map(|intent| (intent.write, intent.kept))
            .collect();
        self.sequences.clear();
        self.gone.clear();
        unanswered
    }

    /// All its rows with intents are to be shown anew.
    pub(crate) fn touch(&mut self, collection: &'static str) {
        let rows = self.ties.of(collection).into_iter().flat_map(|ties| ties.rows.keys());
        self.stale.extend(rows.map(|key| (collection, key.clone())));
    }

    /// A channel or a collection has become known: what was sent without being shown may be shown now. Says whether
    /// anything is.
    pub(crate) fn learn(&mut self, schema: &Schema) -> bool {
        let mut first = None;
        let (intents, ties, new) = (&mut self.intents, &mut self.ties, &mut self.new);
        self.unknown.retain(|&id| {
            let Some(intent) = intents.get_mut(id) else { return false };
            if let Stage::Queued { letter, .. } = &intent.stage {
                intent.effect = letter.effect(schema);
            }
            if matches!(intent.effect, Effect::Unknown) {
                return true;
            }
            intent.footprint = intent.effect.footprint();
            ties.enter(id, &intent.footprint);
            new.insert(id);
            first.get_or_insert(id);
            false
        });
        if let Some(first) = first {
            self.mark_from(first);
        }
        first.is_some()
    }

    /// The intents from this one on are to be replayed.
    fn mark_from(&mut self, first: IntentId) {
        for intent in self.intents.since(first) {
            mark(&mut self.stale, &intent.footprint);
        }
    }

    /// What the intents made of a collection at the last replay.
    pub(crate) fn overlay(&self, collection: &str) -> Option<&Overlay> {
        self.overlays.get(collection)
    }
}

/// All rows that an intent has to do with are to be looked at.
fn mark(stale: &mut Vec<Place>, footprint: &Footprint) {
    stale.extend(footprint.places().cloned());
}
