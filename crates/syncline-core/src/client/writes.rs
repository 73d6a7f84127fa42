//! Writes: on the screen at once, queued, sent in order, sent again until they have a verdict.

use std::sync::Arc;
use std::time::Duration;

use crate::channel::{ACTION, ActionPayload, Channel, Typed};
use crate::client::core::ClientCore;
use crate::client::link::Event;
use crate::client::pending::{Effect, Letter, Pending, Stage};
use crate::client::queue::{IntentId, Outgoing, Trace};
use crate::client::short_map::ValuesMut as _;
use crate::client::{Applied, Output, WriteRef, partysync};
use crate::diff::Entry;
use crate::error::{Error, code};
use crate::id::{ClientId, SpaceId, Version, WriteId, check_space};
use crate::ops::{Put, RowOp, RowOps};
use crate::record::Record;
use crate::rng::Rng;
use crate::wire::{Ack, SentWrite, WriteState, check_depth};

/// What the envelope takes of a frame, at the most.
const ENVELOPE_BYTES: usize = 1024;
/// How deep a payload stands in its frame: `{"write":{"payload":`.
const ENVELOPE_DEPTH: usize = 2;
/// The most local intents of one space: writes that wait for a verdict or, refused, for a person; optimistic rows.
const MAX_INTENTS: usize = 10_000;

impl ClientCore {
    /// Writes rows: visible at once, sent when there is a connection, applied by the server once.
    ///
    /// # Errors
    /// What would be refused in any case: `unknown_space`, `unknown_collection`, `bad_row`, `bad_key`, `bad_write`,
    /// `value_too_large`, `frame_too_large` when it is nested too deep; `too_many` when 10,000 writes of the space wait
    /// for the server or, refused, for a person.
    pub fn write_rows(&mut self, now: Duration, space: &SpaceId, ops: &RowOps) -> Result<WriteRef, Error> {
        let effect = Effect::of_rows(ops, &self.schema)?;
        self.write(now, space, effect, Letter::rows(ops)?)
    }

    /// Puts one row: [`register`](Self::register), and what [`write_rows`](Self::write_rows) does with
    /// [`RowOp::put`](crate::ops::RowOp::put).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// When two Rust types share the collection's name: a mistake in the program.
    #[track_caller]
    pub fn put<R: Record>(&mut self, now: Duration, space: &SpaceId, put: Put<R>) -> Result<WriteRef, Error> {
        self.register::<R>();
        let effect = Effect::of_put(&put, &self.schema)?;
        self.write(now, space, effect, Letter::put(put))
    }

    /// Sends an action: what its reducer makes of it is visible at once, the server handles it once. See [`Channel`].
    ///
    /// # Errors
    /// `unknown_space`; `bad_write` at a contrail service; `bad_action` when it cannot be written as JSON; `frame_too_large` when it is nested too deep,
    /// `value_too_large` when it is larger than the server takes; `too_many` when 10,000 writes of the space wait.
    ///
    /// # Panics
    /// When two Rust types share the channel's or its collection's name: a mistake in the program.
    #[track_caller]
    pub fn send_action<C: Channel>(
        &mut self,
        now: Duration,
        space: &SpaceId,
        action: C::Action,
    ) -> Result<WriteRef, Error> {
        self.register_channel::<C>();
        let letter = Letter::action(&ActionPayload::of::<C>(&action)?)?;
        self.write(now, space, Effect::Action(Arc::new(Typed::<C>(action))), letter)
    }

    /// Makes a channel known, so that its actions can be shown that were sent on an earlier visit.
    ///
    /// # Panics
    /// As [`send_action`](Self::send_action).
    #[track_caller]
    pub fn register_channel<C: Channel>(&mut self) {
        if self.schema.add_channel::<C>() {
            self.learn();
            self.channel_has_come(C::Record::COLLECTION);
        }
    }

    /// What was sent on an earlier visit may be shown now that more is known.
    pub(super) fn learn(&mut self) {
        // before every write, and there may be many that nobody knows how to show
        if std::mem::replace(&mut self.learnt, self.schema.len()) == self.schema.len() {
            return;
        }
        let schema = &self.schema;
        let learnt = self.spaces.iter_mut().filter_map(|(id, space)| space.queue.learn(schema).then_some(id));
        let learnt: Vec<_> = learnt.cloned().collect();
        learnt.iter().for_each(|id| self.commit(id));
    }

    fn write(
        &mut self,
        now: Duration,
        space: &SpaceId,
        effect: Effect,
        letter: Letter,
    ) -> Result<WriteRef, Error> {
        if self.streams.is_some() {
            let message =
                "a contrail service takes no writes here: write by its own means, and add_optimistic";
            return Err(Error::new(code::BAD_WRITE, message));
        }
        if self.rooms.is_some() {
            partysync::check_write(space, letter.kind == ACTION)?;
        }
        check_space(space.as_str())?;
        check_depth(letter.payload.get().as_bytes(), ENVELOPE_DEPTH)?;
        if letter.payload.get().len() > self.largest_payload() {
            return Err(oversize());
        }
        self.check_room(space)?;
        self.note_owner();
        self.space(space).queue.amend(&effect);
        let write = WriteRef(self.next_id());
        self.enqueue(space, write, effect, letter);
        self.commit(space);
        self.after(now, Event::None, Vec::new());
        Ok(write)
    }

    /// The most bytes of a payload that the server takes.
    fn largest_payload(&self) -> usize {
        self.link.limits().frame_bytes.saturating_sub(ENVELOPE_BYTES)
    }

    fn check_room(&self, space: &SpaceId) -> Result<(), Error> {
        if self.spaces.get(space).is_some_and(|space| space.queue.len() >= MAX_INTENTS) {
            return Err(Error::new(code::TOO_MANY, "10,000 local writes of this space are not settled yet"));
        }
        Ok(())
    }

    /// A server's limits are known once it has said welcome. What it could only answer by ending the connection is
    /// refused here: then, and when something is queued that [`write`](Self::write) has not measured.
    pub(super) fn refuse_oversize(&mut self) {
        if !self.link.is_connected() {
            return;
        }
        let (limit, error) = (self.largest_payload(), oversize());
        let own = self.config.client.clone();
        let ids: Vec<_> = self.spaces.keys().cloned().collect();
        for id in ids {
            let refused = self.space(&id).queue.refuse_larger(limit, &own, &error);
            if !refused.is_empty() {
                for (write, trace) in refused {
                    if trace == Trace::Gone {
                        self.outputs.push_back(Output::Refused { write, error: error.clone() });
                    }
                    self.outputs.push_back(Output::Settled { write, result: Err(error.clone()) });
                }
                self.commit(&id);
            }
        }
        // those behind them have other numbers
        self.hold_nothing_in_vain();
    }

    fn enqueue(&mut self, space: &SpaceId, write: WriteRef, effect: Effect, letter: Letter) {
        let client = self.config.client.clone();
        self.space(space).queue.push_write(write, effect, &client, letter);
    }

    /// Changes the row at a key, starting from what a person sees of it now. Only the fields that `change` changes are
    /// written; others keep what somebody else gives them meanwhile. `None` when it changed nothing.
    ///
    /// A refused write of the row that wrote no other fields is made good by that, and given up. Where all of the row was
    /// put and refused, all of it is put again, as it is now.
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
        match RowOp::change(&*before.record, &after, self.is_put_in_vain::<R>(space, key))? {
            Some(op) => self.write_rows(now, space, &RowOps { ops: vec![op] }).map(Some),
            None => Ok(None),
        }
    }

    /// Whether the row at a key stands as a refused write has put it: then an [`update`](Self::update) puts all of it again.
    pub fn is_put_in_vain<R: Record>(&self, space: &SpaceId, key: &str) -> bool {
        self.spaces.get(space).is_some_and(|space| space.queue.is_put_in_vain(R::COLLECTION, key))
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
        self.learn();
    }

    /// Sends the refused writes of a row again, as new ones. Gives the writes that now stand in their place.
    pub fn retry(&mut self, now: Duration, space: &SpaceId, collection: &str, key: &str) -> Vec<WriteRef> {
        let mut writes = Vec::new();
        for id in self.intents_about(space, collection, key, Pending::has_failed) {
            let Some(intent) = self.spaces.get_mut(space).and_then(|space| space.queue.remove(id)) else {
                continue;
            };
            if let Stage::Refused { letter, .. } = intent.stage {
                let write = WriteRef(self.next_id());
                self.enqueue(space, write, intent.effect, letter);
                writes.push(write);
            } else {
                let space = self.space(space);
                let over = space.base.row_of(collection, key);
                space.queue.push_local(intent.write, intent.effect, over);
                writes.push(intent.write);
            }
        }
        self.refuse_oversize();
        self.commit(space);
        self.after(now, Event::None, Vec::new());
        writes
    }

    /// Gives up the refused writes of a row; its confirmed state shows again. Says how many there were.
    pub fn dismiss(&mut self, now: Duration, space: &SpaceId, collection: &str, key: &str) -> usize {
        self.drop_intents(now, space, collection, key, Pending::has_failed)
    }

    /// Shows a row that the application writes by its own means, until the row comes from the server: over what is
    /// confirmed of it now, until that becomes another one. To be called before it is written.
    ///
    /// # Errors
    /// `unknown_space`, `bad_row`, `bad_key`, `value_too_large`, `too_many`; `bad_write` at a partysync server.
    pub fn add_optimistic<R: Record>(
        &mut self,
        now: Duration,
        space: &SpaceId,
        put: Put<R>,
    ) -> Result<(), Error> {
        if self.rooms.is_some() {
            partysync::check_write(space, false)?;
        }
        if self.streams.is_none() {
            // what a contrail service calls its own is for it to say
            check_space(space.as_str())?;
        }
        self.check_room(space)?;
        self.schema.add::<R>();
        let effect = Effect::of_put(&put, &self.schema)?;
        let write = WriteRef(self.next_id());
        let at = self.space(space);
        let over = effect.put_at().and_then(|(collection, key)| at.base.row_of(collection, key));
        at.queue.push_local(write, effect, over);
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
        let found = self.intents_about(space, collection, key, Pending::is_local);
        for &id in &found {
            self.space(space).queue.set_stage(id, Stage::Local { error: Some(Arc::clone(&error)) });
        }
        self.commit(space);
        self.after(now, Event::None, Vec::new());
        !found.is_empty()
    }

    /// Takes an optimistic row away. Says whether there was one.
    pub fn remove_optimistic(&mut self, now: Duration, space: &SpaceId, collection: &str, key: &str) -> bool {
        self.drop_intents(now, space, collection, key, Pending::is_local) > 0
    }

    fn drop_intents(
        &mut self,
        now: Duration,
        space: &SpaceId,
        collection: &str,
        key: &str,
        which: fn(&Pending) -> bool,
    ) -> usize {
        let ids = self.intents_about(space, collection, key, which);
        for &id in &ids {
            self.space(space).queue.remove(id);
        }
        self.commit(space);
        self.after(now, Event::None, Vec::new());
        ids.len()
    }

    fn intents_about(
        &self,
        space: &SpaceId,
        collection: &str,
        key: &str,
        which: fn(&Pending) -> bool,
    ) -> Vec<IntentId> {
        let Some(space) = self.spaces.get(space) else { return Vec::new() };
        space.queue.about(collection, key).filter(|(_, intent)| which(intent)).map(|(id, _)| id).collect()
    }

    /// Sends what has not been sent on this connection, in order, as far as the server's limit allows.
    pub(super) fn send_writes(&mut self, now: Duration) {
        if self.resend_at.is_some() || self.held_until().is_some_and(|until| now < until) {
            return;
        }
        let mut room = self.link.limits().writes_in_flight.saturating_sub(self.in_flight());
        for space in self.spaces.values_mut() {
            while room > 0
                && let Some(Outgoing { client, id, settled, letter }) = space.queue.send_next(now)
            {
                room -= 1;
                let Letter { kind, payload } = &letter;
                let write = SentWrite { space: &space.id, client: &client, id, settled, kind, payload };
                self.outputs.push_back(self.link.asking(now, write.encode()));
                // what leaves at once is not looked for once more
                let leaves_at = self.link.left_at(now);
                if leaves_at > now {
                    space.queue.leaves_at(&client, id, leaves_at);
                }
            }
        }
    }

    /// The verdict on one write has come.
    pub(super) fn acknowledge(&mut self, now: Duration, space: &SpaceId, ack: &Ack, version: Version) {
        let sending = self.spaces.get(space).filter(|_| self.link.left_at(now) > now);
        let leaves = sending.and_then(|space| space.queue.leaves(&ack.client, ack.id));
        if let Some(leaves) = leaves.filter(|leaves| *leaves > now) {
            let sooner = self.link.has_left(now, leaves);
            self.spaces.values_mut().for_each(|space| space.queue.leaves_sooner(now, sooner));
        }
        let Some(sequence) =
            self.spaces.get_mut(space).and_then(|space| space.queue.sequence_mut(&ack.client))
        else {
            return;
        };
        if ack.uncounted && !sequence.is_in_flight(ack.id) {
            // what it was about has another number by now, and is answered under that
            return;
        }
        if ack.expected.is_none() && !ack.uncounted {
            sequence.handled = sequence.handled.max(ack.id);
        }
        match &ack.error {
            None => {
                let output = ack.output.clone();
                self.settle(space, &ack.client, ack.id, Ok(Applied { version, output }));
            }
            Some(error) => match ack.expected {
                // overtaken on the way: while a connection lasts, the server forgets nothing it has answered on it
                Some(expected) if expected <= sequence.handled => {}
                // not handled at all: it will be, when the ones before it have been
                Some(expected) => {
                    if sequence.first_unanswered().is_some_and(|first| expected < first) {
                        // part of this client's sequence is forgotten (the database was restored from an older copy):
                        // what has no verdict continues from where it stands now
                        self.space(space).queue.renumber(&ack.client, expected);
                        self.hold_nothing_in_vain();
                    } else {
                        sequence.unsend_from(expected);
                    }
                    let wait = resend_after(error, &mut self.rng);
                    self.resend_at.get_or_insert(now + wait);
                }
                None => self.settle(space, &ack.client, ack.id, Err(error.clone())),
            },
        }
    }

    /// All writes up to one have been handled.
    pub(super) fn settle_up_to(&mut self, space: &SpaceId, writes: &[WriteState], version: Version) {
        for WriteState { client, last, refused, outputs } in writes {
            let Some(state) = self.spaces.get_mut(space) else { return };
            let Some(sequence) = state.queue.sequence_mut(client) else { continue };
            sequence.handled = sequence.handled.max(*last);
            for id in sequence.unanswered_up_to(*last) {
                let refusal = refused.iter().find(|refusal| refusal.id == id);
                let output =
                    outputs.iter().find(|output| output.id == id).map(|output| output.output.clone());
                let applied = Applied { version, output };
                self.settle(
                    space,
                    client,
                    id,
                    refusal.map_or(Ok(applied), |refusal| Err(refusal.error.clone())),
                );
            }
        }
    }

    /// A write has its verdict.
    pub(super) fn settle(
        &mut self,
        space: &SpaceId,
        client: &ClientId,
        id: WriteId,
        result: Result<Applied, Error>,
    ) {
        let is_own = *client == self.config.client;
        let Some(state) = self.spaces.get_mut(space) else { return };
        if let Some((write, trace)) =
            state.queue.settle(client, id, result.as_ref().map(|applied| applied.version))
        {
            if let (Err(error), Trace::Gone) = (&result, trace) {
                self.outputs.push_back(Output::Refused { write, error: error.clone() });
            }
            self.outputs.push_back(Output::Settled { write, result });
        }
        if !is_own {
            // who made these is gone and makes no more
            state.queue.forget_sequence(client);
        }
    }

    /// Somebody else is at the screen: nothing of the person before may be seen or sent any more.
    pub(super) fn change_identity(&mut self, now: Duration, out: &mut Vec<Output>) -> Event {
        self.forget_person();
        self.link.restart(now, self.config.client.clone(), out)
    }

    /// Nothing of the person before is left; the connection is another matter.
    pub(super) fn forget_person(&mut self) {
        self.end_queue();
        self.forget_everybody();
        self.commit_all();
    }

    /// What waits is not sent any more, and what is made from now on is another author's.
    pub(super) fn end_queue(&mut self) {
        self.config.client =
            ClientId::from(format!("{:016x}{:016x}", self.rng.next_u64(), self.rng.next_u64()));
        let ended = self.park_queue().into_iter();
        self.outputs.extend(ended.map(|(write, why)| Output::Settled { write, result: Err(why) }));
        self.ask_refused_again();
    }

    pub(super) fn commit_all(&mut self) {
        let ids: Vec<_> = self.spaces.keys().cloned().collect();
        ids.iter().for_each(|space| self.commit(space));
    }

    pub(super) fn unsend_writes(&mut self) {
        self.spaces.values_mut().for_each(|space| space.queue.unsend());
    }

    pub(super) fn pending_writes(&self) -> usize {
        self.spaces.values().map(|space| space.queue.unanswered()).sum()
    }

    pub(super) fn has_queued_writes(&self) -> bool {
        self.spaces.values().any(|space| space.queue.unanswered() > 0)
    }

    fn in_flight(&self) -> usize {
        self.spaces.values().map(|space| space.queue.in_flight()).sum()
    }

    /// When the answer to the oldest write is overdue.
    pub(super) fn oldest_unanswered_write(&self) -> Option<Duration> {
        let oldest = self.spaces.values().filter_map(|space| space.queue.oldest_sent()).min();
        oldest.map(|sent| sent + self.config.answer_within * 3)
    }
}

fn oversize() -> Error {
    Error::new(code::VALUE_TOO_LARGE, "the write is larger than the server takes")
}

/// A gap is mended by sending again. A server that could not store is given a moment: 1 to 3 s, so that those who were turned
/// away together do not come back together.
fn resend_after(error: &Error, rng: &mut Rng) -> Duration {
    match error.code() {
        code::WRITE_GAP => Duration::from_millis(200),
        _ => Duration::from_secs(1).mul_f64(1.0 + 2.0 * rng.unit()),
    }
}
