//! Writes: on the screen at once, queued, sent in order, sent again until they have a verdict.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::client::core::ClientCore;
use crate::client::link::Event;
use crate::client::pending::{Effect, Pending, Stage};
use crate::client::{Output, WriteRef};
use crate::diff::Entry;
use crate::error::{Error, code};
use crate::id::{ClientId, SpaceId, Version, WriteId};
use crate::ops::{ROWS, RowOp, RowOps};
use crate::record::Record;
use crate::wire::{Ack, ClientMessage, Limits, Write, WriteState};

/// What the envelope takes of a frame, at the most.
const ENVELOPE_BYTES: usize = 1024;
/// The most writes of one space that may wait for a verdict.
const MAX_QUEUED: usize = 10_000;

impl ClientCore {
    /// Writes rows: visible at once, sent when there is a connection, applied by the server once.
    ///
    /// # Errors
    /// What would be refused in any case: `unknown_collection`, `bad_row`, `bad_key`, `value_too_large`; `too_many`
    /// when 10,000 writes of the space wait already.
    pub fn write_rows(&mut self, now: Duration, space: &SpaceId, ops: &RowOps) -> Result<WriteRef, Error> {
        SpaceId::checked(space.as_str())?;
        let effects = Effect::prepare(ops, &self.schema)?;
        let payload: Arc<RawValue> = Arc::from(ops.to_payload()?);
        if payload.get().len() + ENVELOPE_BYTES > Limits::default().frame_bytes {
            return Err(Error::new(code::VALUE_TOO_LARGE, "a write is at most 2 MiB"));
        }
        if self.spaces.get(space).is_some_and(|space| space.pending.len() >= MAX_QUEUED) {
            return Err(Error::new(code::TOO_MANY, "10,000 writes wait already"));
        }
        let write = WriteRef(self.next_id());
        self.enqueue(space, write, effects, payload);
        self.commit(space);
        self.after(now, Event::None, Vec::new());
        Ok(write)
    }

    fn enqueue(&mut self, space: &SpaceId, write: WriteRef, effects: Vec<Effect>, payload: Arc<RawValue>) {
        let space = self.space(space);
        let id = space.next_write;
        space.next_write += 1;
        space.pending.push(Pending { write, effects, stage: Stage::Queued { id, payload, sent: None } });
    }

    /// Changes the row at a key, starting from what a person sees of it now. Only the fields that `change` changes are
    /// written; others keep what somebody else gives them meanwhile. `None` when it changed nothing.
    ///
    /// # Errors
    /// `unknown_row` when the row is not shown by any watch, and what [`write_rows`](Self::write_rows) refuses.
    pub fn update<R: Record>(
        &mut self,
        now: Duration,
        space: &SpaceId,
        key: &str,
        change: impl FnOnce(&mut R),
    ) -> Result<Option<WriteRef>, Error> {
        self.schema.add::<R>();
        let before = self.row::<R>(space, key)?;
        let mut after = R::clone(&before.record);
        change(&mut after);
        match RowOp::patch(&*before.record, &after)? {
            Some(op) => self.write_rows(now, space, &RowOps { ops: vec![op] }).map(Some),
            None => Ok(None),
        }
    }

    /// The row at a key as a person sees it now.
    ///
    /// # Errors
    /// `unknown_row` when the row is not shown by any watch.
    pub fn row<R: Record>(&self, space: &SpaceId, key: &str) -> Result<Entry<R>, Error> {
        let shown = self.spaces.get(space).and_then(|space| space.base.typed::<R>()?.shown(key));
        shown.cloned().ok_or_else(|| Error::new(code::UNKNOWN_ROW, "the row is not there").with_field(key))
    }

    /// Registers `R`, so that it can be written before it is watched.
    pub fn register<R: Record>(&mut self) {
        self.schema.add::<R>();
    }

    /// Sends the refused writes of a row again, as new ones. Gives the writes that now stand in their place.
    pub fn retry(&mut self, now: Duration, space: &SpaceId, collection: &str, key: &str) -> Vec<WriteRef> {
        let Some(state) = self.spaces.get_mut(space) else { return Vec::new() };
        let (again, kept) = std::mem::take(&mut state.pending)
            .into_iter()
            .partition(|intent| intent.has_failed() && intent.is_about(collection, key));
        state.pending = kept;
        let again: Vec<Pending> = again;
        let mut writes = Vec::new();
        for intent in again {
            match intent.stage {
                Stage::Refused { payload, .. } => {
                    let write = WriteRef(self.next_id());
                    self.enqueue(space, write, intent.effects, payload);
                    writes.push(write);
                }
                Stage::Local { .. } | Stage::Queued { .. } | Stage::Applied => {
                    writes.push(intent.write);
                    self.space(space).pending.push(Pending { stage: Stage::Local { error: None }, ..intent });
                }
            }
        }
        self.commit(space);
        self.after(now, Event::None, Vec::new());
        writes
    }

    /// Gives up the refused writes of a row; its confirmed state shows again. Says how many there were.
    pub fn dismiss(&mut self, now: Duration, space: &SpaceId, collection: &str, key: &str) -> usize {
        self.drop_intents(now, space, |intent| intent.has_failed() && intent.is_about(collection, key))
    }

    /// Shows a row that the application writes by its own means, until the row comes from the server.
    ///
    /// # Errors
    /// `bad_row`, `bad_key`, `value_too_large`.
    pub fn add_optimistic<R: Record>(
        &mut self,
        now: Duration,
        space: &SpaceId,
        record: &R,
    ) -> Result<(), Error> {
        self.schema.add::<R>();
        let effects = Effect::prepare(&RowOps { ops: vec![RowOp::put(record)?] }, &self.schema)?;
        let write = WriteRef(self.next_id());
        self.space(space).pending.push(Pending { write, effects, stage: Stage::Local { error: None } });
        self.commit(space);
        self.after(now, Event::None, Vec::new());
        Ok(())
    }

    /// Marks an optimistic row as failed. Says whether there is one.
    pub fn mark_failed(
        &mut self,
        now: Duration,
        space: &SpaceId,
        collection: &str,
        key: &str,
        error: Error,
    ) -> bool {
        let error = Arc::new(error);
        let mut found = false;
        if let Some(state) = self.spaces.get_mut(space) {
            for intent in state.pending.iter_mut().filter(|intent| intent.is_about(collection, key)) {
                if let Stage::Local { error: why } = &mut intent.stage {
                    *why = Some(Arc::clone(&error));
                    found = true;
                }
            }
        }
        self.commit(space);
        self.after(now, Event::None, Vec::new());
        found
    }

    /// Takes an optimistic row away. Says whether there was one.
    pub fn remove_optimistic(&mut self, now: Duration, space: &SpaceId, collection: &str, key: &str) -> bool {
        let local = |intent: &Pending| {
            matches!(intent.stage, Stage::Local { .. }) && intent.is_about(collection, key)
        };
        self.drop_intents(now, space, local) > 0
    }

    fn drop_intents(&mut self, now: Duration, space: &SpaceId, which: impl Fn(&Pending) -> bool) -> usize {
        let Some(state) = self.spaces.get_mut(space) else { return 0 };
        let before = state.pending.len();
        state.pending.retain(|intent| !which(intent));
        let dropped = before - state.pending.len();
        self.commit(space);
        self.after(now, Event::None, Vec::new());
        dropped
    }

    /// Sends what has not been sent on this connection, in order, as far as the server's limit allows.
    pub(super) fn send_writes(&mut self, now: Duration) {
        if self.resend_at.is_some() {
            return;
        }
        let mut room = self.link.limits().writes_in_flight.saturating_sub(self.in_flight());
        let mut out = Vec::new();
        for space in self.spaces.values_mut() {
            let ids = space.pending.iter().filter_map(queued_id);
            let settled = ids.min().map_or(0, |first| first - 1);
            for intent in &mut space.pending {
                let Stage::Queued { id, payload, sent } = &mut intent.stage else { continue };
                if sent.is_some() {
                    continue;
                }
                if room == 0 {
                    break;
                }
                room -= 1;
                *sent = Some(now);
                let write = Write {
                    space: space.id.clone(),
                    client: space.client.clone(),
                    id: *id,
                    settled,
                    kind: ROWS.into(),
                    payload: (**payload).to_owned(),
                };
                self.link.send(now, &ClientMessage::Write(write), &mut out);
            }
        }
        self.outputs.extend(out);
    }

    /// The verdict on one write has come.
    pub(super) fn acknowledge(&mut self, now: Duration, space: &SpaceId, ack: &Ack, version: Version) {
        let Some(state) = self.spaces.get_mut(space) else { return };
        if ack.client != state.client {
            return;
        }
        match &ack.error {
            None => self.settle(space, ack.id, Ok(version)),
            Some(error) => match ack.expected {
                // overtaken on the way: while a connection lasts, the server forgets nothing it has answered on it
                Some(expected) if expected <= state.handled => {}
                // not handled at all: it will be, when the ones before it have been
                Some(expected) => {
                    let first = state.pending.iter().filter_map(queued_id).min();
                    if first.is_some_and(|first| expected < first) {
                        self.renumber(space, expected);
                    }
                    self.unsend_from(space, expected);
                    self.resend_at.get_or_insert(now + resend_after(error));
                }
                None => self.settle(space, ack.id, Err(error.clone())),
            },
        }
    }

    /// All writes up to one have been handled.
    pub(super) fn settle_up_to(&mut self, space: &SpaceId, writes: &[WriteState], version: Version) {
        let Some(state) = self.spaces.get_mut(space) else { return };
        let Some(writes) = writes.iter().find(|writes| writes.client == state.client) else { return };
        state.handled = state.handled.max(writes.last);
        let handled: Vec<_> =
            state.pending.iter().filter_map(queued_id).filter(|id| *id <= writes.last).collect();
        for id in handled {
            let refused = writes.refused.iter().find(|refusal| refusal.id == id);
            self.settle(space, id, refused.map_or(Ok(version), |refusal| Err(refusal.error.clone())));
        }
    }

    fn settle(&mut self, space: &SpaceId, id: WriteId, result: Result<Version, Error>) {
        let Some(state) = self.spaces.get_mut(space) else { return };
        state.handled = state.handled.max(id);
        let Some(at) = state.pending.iter().position(|intent| queued_id(intent) == Some(id)) else { return };
        let intent = &mut state.pending[at];
        let write = intent.write;
        match &result {
            // takes it away unless a list has to get its rows first
            Ok(_) => intent.stage = Stage::Applied,
            Err(error) => {
                if let Stage::Queued { payload, .. } = &intent.stage {
                    intent.stage =
                        Stage::Refused { payload: Arc::clone(payload), error: Arc::new(error.clone()) };
                }
            }
        }
        self.outputs.push_back(Output::Settled { write, result });
    }

    /// The server has forgotten part of this client's sequence (its database was restored from an older copy): what
    /// has no verdict continues from where it stands now.
    fn renumber(&mut self, space: &SpaceId, first: WriteId) {
        let Some(state) = self.spaces.get_mut(space) else { return };
        state.next_write = first;
        for intent in &mut state.pending {
            if let Stage::Queued { id, sent, .. } = &mut intent.stage {
                (*id, *sent) = (state.next_write, None);
                state.next_write += 1;
            }
        }
    }

    /// Somebody else is at the screen: nothing of the person before may be seen or sent any more.
    pub(super) fn change_identity(&mut self, now: Duration, out: &mut Vec<Output>) -> Event {
        let why = Error::new(code::FOREIGN_CLIENT, "made under another identity");
        self.config.client =
            ClientId::from(format!("{:016x}{:016x}", self.rng.next_u64(), self.rng.next_u64()));
        let ids: Vec<_> = self.spaces.keys().cloned().collect();
        for space in &ids {
            let Some(state) = self.spaces.get_mut(space) else { continue };
            for intent in std::mem::take(&mut state.pending) {
                if let Stage::Queued { .. } = intent.stage {
                    self.outputs.push_back(Output::Settled { write: intent.write, result: Err(why.clone()) });
                }
            }
            (state.client, state.next_write, state.handled) = (self.config.client.clone(), 1, 0);
        }
        for (&id, session) in &mut self.sessions {
            session.cursor = None;
            if let Some(base) = self
                .spaces
                .get_mut(&session.query.space)
                .and_then(|space| space.base.get_mut(session.collection))
            {
                base.begin_snapshot(id);
                base.finish_snapshot(id);
            }
        }
        for space in &ids {
            self.commit(space);
        }
        self.link.restart(now, self.config.client.clone(), out)
    }

    pub(super) fn unsend_writes(&mut self) {
        let ids: Vec<_> = self.spaces.keys().cloned().collect();
        for space in ids {
            self.unsend_from(&space, 0);
        }
    }

    fn unsend_from(&mut self, space: &SpaceId, first: WriteId) {
        let Some(state) = self.spaces.get_mut(space) else { return };
        for intent in &mut state.pending {
            if let Stage::Queued { id, sent, .. } = &mut intent.stage
                && *id >= first
            {
                *sent = None;
            }
        }
    }

    fn queued(&self) -> impl Iterator<Item = Option<Duration>> + '_ {
        self.spaces.values().flat_map(|space| &space.pending).filter_map(|intent| match intent.stage {
            Stage::Queued { sent, .. } => Some(sent),
            Stage::Applied | Stage::Refused { .. } | Stage::Local { .. } => None,
        })
    }

    pub(super) fn pending_writes(&self) -> usize {
        self.queued().count()
    }

    pub(super) fn has_queued_writes(&self) -> bool {
        self.queued().next().is_some()
    }

    fn in_flight(&self) -> usize {
        self.queued().flatten().count()
    }

    /// When the answer to the oldest write is overdue.
    pub(super) fn oldest_unanswered_write(&self) -> Option<Duration> {
        self.queued().flatten().min().map(|sent| sent + self.config.answer_within * 3)
    }
}

fn queued_id(intent: &Pending) -> Option<WriteId> {
    match intent.stage {
        Stage::Queued { id, .. } => Some(id),
        Stage::Applied | Stage::Refused { .. } | Stage::Local { .. } => None,
    }
}

/// A gap is mended by sending again; a server that could not store is given a moment.
fn resend_after(error: &Error) -> Duration {
    Duration::from_millis(if error.code() == code::WRITE_GAP { 200 } else { 1_000 })
}
