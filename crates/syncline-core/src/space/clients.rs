//! How far each client's writes have come.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::error::Error;
use crate::id::{ClientId, UserId, WriteId};
use crate::space::image::ClientRecord;
use crate::wire::{Refusal, WriteOutput, WriteState};

/// What came of a write: what it gave back, if anything, or why it was refused.
pub(super) type Outcome = Result<Option<Box<RawValue>>, Error>;

/// The most bytes of refusals that are kept of one client with all they say; of older ones only the codes are.
const MAX_REFUSED_BYTES: usize = 64 * 1024;

/// The most bytes of outputs that are kept of one client.
const MAX_OUTPUTS_BYTES: usize = 1024 * 1024;

/// Where a write stands in its client's sequence.
pub(super) enum Standing {
    /// The client belongs to somebody else.
    Foreign,
    /// It was handled before, with this outcome.
    Handled(Outcome),
    /// It is the one to come.
    Next,
    /// Earlier ones are missing; this one has to come first.
    Gap { expected: WriteId },
}

/// How often it is looked for clients to be forgotten, in the time that they are remembered for.
const SWEEPS: u64 = 30;

/// The most clients that one commit forgets.
const SWEEP: usize = 1_000;

/// All clients that have written to a space and are not forgotten.
#[derive(Default)]
pub(super) struct Clients {
    records: BTreeMap<ClientId, ClientRecord>,
    /// When to look next for some to be forgotten. Unix ms.
    sweep: u64,
}

impl Clients {
    pub(super) fn new(records: Vec<ClientRecord>) -> Self {
        let records = records.into_iter().map(|record| (record.client.clone(), record)).collect();
        Self { records, sweep: 0 }
    }

    pub(super) fn get(&self, client: &ClientId) -> Option<&ClientRecord> {
        self.records.get(client)
    }

    pub(super) fn set(&mut self, record: ClientRecord) {
        self.records.insert(record.client.clone(), record);
    }

    pub(super) fn forget(&mut self, client: &ClientId) {
        self.records.remove(client);
    }

    /// Now and then, some clients that have not written for so long (ms); otherwise none.
    pub(super) fn long_unseen(&mut self, now: u64, retention: u64) -> Vec<ClientId> {
        let before = now.saturating_sub(retention);
        if now < self.sweep {
            return Vec::new();
        }
        let unseen = self.records.values().filter(|record| record.seen < before);
        let unseen: Vec<_> = unseen.take(SWEEP).map(|record| record.client.clone()).collect();
        if unseen.len() < SWEEP {
            self.sweep = now + (now - before) / SWEEPS;
        }
        unseen
    }

    /// What to tell `user` of this client's writes: of somebody else's client, nothing.
    pub(super) fn state(&self, client: &ClientId, user: &UserId) -> WriteState {
        let record = self.records.get(client).filter(|record| record.user == *user);
        WriteState {
            client: client.clone(),
            last: record.map_or(0, |record| record.last),
            refused: record.map_or_else(Vec::new, |record| record.refused.clone()),
            outputs: record.map_or_else(Vec::new, |record| record.outputs.clone()),
        }
    }
}

/// Where write `id` of `user` stands with a client of this record.
pub(super) fn standing(record: Option<&ClientRecord>, user: &UserId, id: WriteId) -> Standing {
    let last = match record {
        Some(record) if record.user != *user => return Standing::Foreign,
        Some(record) => record.last,
        None => 0,
    };
    let refusal =
        || record?.refused.iter().find(|refusal| refusal.id == id).map(|refusal| refusal.error.clone());
    let output = || record?.outputs.iter().find(|output| output.id == id).map(|output| output.output.clone());
    if id <= last {
        Standing::Handled(refusal().map_or_else(|| Ok(output()), Err))
    } else if id == last + 1 {
        Standing::Next
    } else {
        Standing::Gap { expected: last + 1 }
    }
}

impl ClientRecord {
    /// A client that has not written yet.
    pub(super) fn first(client: ClientId, user: UserId) -> Self {
        Self { client, user, last: 0, refused: Vec::new(), outputs: Vec::new(), seen: 0 }
    }

    /// About how many bytes it takes to store.
    pub(super) fn bytes(&self) -> usize {
        let refused: usize = self.refused.iter().map(|refusal| refusal.error.bytes()).sum();
        let outputs: usize = self.outputs.iter().map(|output| output.output.get().len()).sum();
        refused + outputs
    }

    fn shorten_refusals(&mut self) {
        let mut room = MAX_REFUSED_BYTES;
        for refusal in self.refused.iter_mut().rev() {
            match room.checked_sub(refusal.error.bytes()) {
                Some(left) => room = left,
                None => (room, refusal.error) = (0, refusal.error.code_only()),
            }
        }
    }

    /// Counts write `id`. Of its refusals and outputs, those that the client has settled are forgotten, and all but the
    /// newest `keep`; of the outputs also those before the newest MiB, and of refusals before the newest 64 KiB all but
    /// their codes.
    pub(super) fn count(
        &mut self,
        id: WriteId,
        settled: WriteId,
        now: u64,
        outcome: Result<Option<&RawValue>, &Error>,
        keep: usize,
    ) {
        self.last = id;
        self.seen = now;
        self.refused.retain(|refusal| refusal.id > settled);
        self.outputs.retain(|output| output.id > settled);
        match outcome {
            Ok(Some(output)) => self.outputs.push(WriteOutput { id, output: output.to_owned() }),
            Ok(None) => {}
            Err(error) => {
                self.refused.push(Refusal { id, error: error.clone() });
                self.shorten_refusals();
            }
        }
        let surplus = self.refused.len().saturating_sub(keep);
        self.refused.drain(..surplus);
        let mut room = MAX_OUTPUTS_BYTES;
        let fits = |output: &&WriteOutput| {
            let left = room.checked_sub(output.output.get().len());
            left.inspect(|&left| room = left).is_some()
        };
        let kept = self.outputs.iter().rev().take(keep).take_while(fits).count();
        self.outputs.drain(..self.outputs.len() - kept);
    }
}
