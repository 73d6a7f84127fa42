//! What storage has of the writes in a queue; see [`durable`](crate::client::durable).

use std::ops::RangeInclusive;

use super::Queue;
use crate::client::pending::{Kept, Letter, Pending, Stage};
use crate::id::{ClientId, WriteId};

impl Queue {
    /// How many writes storage does not have, or has not said to have.
    pub(crate) fn unkept(&self) -> usize {
        self.unkept.len()
    }

    /// The writes that storage has not been asked to keep, in order; it is, in this batch.
    pub(crate) fn take_unkept(&mut self, batch: u64) -> Vec<(ClientId, WriteId, Letter)> {
        let mut taken = Vec::new();
        for id in self.unkept.iter() {
            let is_unkept = |intent: &&mut Pending| !matches!(intent.kept, Kept::Asked(_) | Kept::Yes);
            if let Some(intent) = self.intents.get_mut(id).filter(is_unkept)
                && let Stage::Queued { client, id, letter } = &intent.stage
            {
                intent.kept = Kept::Asked(batch);
                taken.push((client.clone(), *id, letter.clone()));
            }
        }
        taken
    }

    /// Storage has done these batches, or not.
    pub(crate) fn batches_were_kept(&mut self, batches: RangeInclusive<u64>, done: bool) {
        let is_asked = |kept| matches!(kept, Kept::Asked(batch) if batches.contains(&batch));
        self.unkept.retain(|id| match self.intents.get_mut(*id) {
            Some(intent) if is_asked(intent.kept) => {
                // one that has failed may have been carried out, or may yet be
                intent.kept = if done { Kept::Yes } else { Kept::Perhaps };
                intent.is_held = false;
                if done && let Stage::Queued { client, id, .. } = &intent.stage {
                    // it has taken the place of the one that had its number
                    self.gone.remove(&(client.clone(), *id));
                }
                !done
            }
            Some(_) => true,
            None => false,
        });
        self.gone.retain(|_, asked| {
            if !asked.is_some_and(|batch| batches.contains(&batch)) {
                return true;
            }
            *asked = None;
            !done
        });
    }

    /// Storage does not keep anything now: no write waits for it.
    pub(crate) fn stop_holding(&mut self) {
        self.intents.iter_mut().for_each(|(_, intent)| intent.is_held = false);
    }

    /// Storage has none of the writes any more.
    pub(crate) fn forget_kept(&mut self) {
        for (id, intent) in self.intents.iter_mut() {
            if matches!(intent.stage, Stage::Queued { .. }) {
                intent.kept = Kept::No;
                self.unkept.insert(id);
            }
        }
        self.gone.clear();
    }

    /// Storage may not have any more what it has said to have.
    pub(crate) fn keep_again(&mut self) {
        for (id, intent) in self.intents.iter_mut() {
            if intent.kept == Kept::Yes {
                intent.kept = Kept::Before;
                self.unkept.insert(id);
            }
        }
    }

    /// The writes that storage may have and has not been asked to let go; it is, in this batch.
    pub(crate) fn take_gone(&mut self, batch: u64) -> Vec<(ClientId, WriteId)> {
        let mut taken = Vec::new();
        let Self { gone, sequences, intents, .. } = self;
        // storage is at work on another one with its number: it would let that one go
        let is_taken = |(client, write): &(ClientId, WriteId)| {
            let id = sequences.get(client).and_then(|sequence| sequence.intent(*write));
            id.and_then(|id| intents.get(id)).is_some_and(|intent| matches!(intent.kept, Kept::Asked(_)))
        };
        for (write, asked) in gone {
            if asked.is_none() && !is_taken(write) {
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
}
