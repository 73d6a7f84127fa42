//! What of the pending queue is kept in storage, so that it outlives the page: a write is there from the moment it is made
//! until it has its verdict.
//!
//! ```text
//!  a write ──StoreWrites{put}──▶ storage ──WritesStored──▶ it outlives the page
//!     └──────────▶ server ──▶ verdict ──StoreWrites{del}──▶ storage
//!
//!  a page that is gone: its writes ──Adopted──▶ the queue of another page ──▶ server
//! ```
//!
//! A write is sent whether or not it has been stored yet, unless storage has it under another number than it has now: the
//! server takes each number of a client once, whoever brings it. So a queue that is adopted keeps its client id and its
//! numbers, and never gets a write more: a page makes its own writes under its own id. Writes are stored under the person
//! who made them and are given back to nobody else. They were made before what this page makes: until storage has said
//! whether there are any, nothing is sent, and as long as nothing of the space has been, they take their place before it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::channel::ACTION;
use crate::client::core::ClientCore;
use crate::client::pending::{Kept, Letter, Stage};
use crate::client::short_map::ValuesMut as _;
use crate::client::space::Space;
use crate::client::{Output, WriteRef};
use crate::error::{Error, code};
use crate::id::{ClientId, SpaceId, UserId, WriteId};
use crate::ops::ROWS;

/// A write as storage keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredWrite {
    /// Which one.
    #[serde(flatten)]
    pub name: WriteName,
    /// Its kind.
    pub kind: Box<str>,
    /// What it carries.
    pub payload: Box<RawValue>,
}

/// Names a write for ever: its number in the sequence of a client, in a space.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WriteName {
    /// The space it is for.
    pub space: SpaceId,
    /// Whose sequence it belongs to.
    pub client: ClientId,
    /// Its number there.
    pub id: WriteId,
}

/// How long queues that others have left behind are not looked for again: up to twice as long.
const ADOPT_EVERY: Duration = Duration::from_secs(10);

/// How long writes wait for those that were made before them, on a page that is gone.
const ADOPT_WITHIN: Duration = Duration::from_secs(2);

/// Storage that does not answer for so long has not kept what it was given.
const STORED_WITHIN: Duration = Duration::from_secs(30);

/// How long storage is left alone that did not take a batch.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Durable {
    batches: u64,
    /// Nothing more is stored before this: storage is at work on the last batch, or has just failed.
    busy_until: Option<Duration>,
    /// The person whose writes are in the queue.
    owner: Option<UserId>,
    /// For whom queues have been looked for; the inner `None` is whoever was here last.
    adopted: Option<Option<UserId>>,
    /// When they are to be looked for again.
    adopt_at: Option<Duration>,
    /// How many times storage has been asked for them and has not answered.
    adopting: usize,
    /// Until when it may answer about a person for whom it was asked the first time.
    held_until: Option<Duration>,
}

impl ClientCore {
    /// Writes that wait for a verdict and would be lost if the page went away now, though there is storage for them.
    pub(super) fn unsaved_writes(&self) -> usize {
        if !self.keeps() {
            return 0;
        }
        self.spaces.values().map(|space| space.queue.unkept()).sum()
    }

    /// Whether the queue is to outlive the page at all.
    fn keeps(&self) -> bool {
        self.config.cache.is_some() && self.streams.is_none() && self.rooms.is_none()
    }

    /// Whose writes are made now, as far as that is known.
    fn author(&self) -> Option<&UserId> {
        self.link.user().map(|user| &user.id).or(self.cache.assumed())
    }

    /// The person whose writes are in the queue, if there are any.
    pub(super) fn owner_of_queue(&self) -> Option<&UserId> {
        let is_empty = self.spaces.values().all(|space| space.queue.is_empty());
        self.durable.owner.as_ref().filter(|_| !is_empty)
    }

    /// The queue has got a write.
    pub(super) fn note_owner(&mut self) {
        if self.owner_of_queue().is_none() {
            self.durable.owner = self.author().cloned();
        }
    }

    /// The server has said who is here, and the queue is theirs.
    pub(super) fn own_queue(&mut self, user: &UserId) {
        self.durable.owner = Some(user.clone());
    }

    /// Somebody else is here: what was kept waits in storage for its author.
    pub(super) fn park_queue(&mut self) -> Vec<(WriteRef, Error)> {
        self.keep_for_their_author();
        (self.durable.owner, self.durable.adopted) = (None, None);
        let mut ended = Vec::new();
        for space in self.spaces.values_mut() {
            ended.extend(space.queue.clear().into_iter().map(|(write, kept)| (write, ended_as(kept))));
        }
        ended
    }

    /// Whoever was here has left: there is no other time for what waits to be stored, and for what is settled to be let go.
    fn keep_for_their_author(&mut self) {
        if self.keeps() {
            self.give_batch(self.may_keep());
        }
    }

    /// Storage is emptied: what still waits is to be stored anew, once it may.
    pub(super) fn forget_kept_writes(&mut self) {
        self.spaces.values_mut().for_each(|space| space.queue.forget_kept());
    }

    /// Where storage is not given anything now, no write waits for it. To be called when that may have become so, and when
    /// writes have other numbers.
    pub(super) fn hold_nothing_in_vain(&mut self) {
        if self.may_keep() {
            return;
        }
        self.spaces.values_mut().for_each(|space| space.queue.stop_holding());
    }

    /// Storage may have none of what it has said to have: it is given all again.
    pub(super) fn storage_replaced(&mut self, now: Duration) {
        self.spaces.values_mut().for_each(|space| space.queue.keep_again());
        self.store_again(now);
    }

    /// Has stored what is new in the queue, and removed what has left it: one batch at a time, with all that has come
    /// while storage was at work on the one before.
    pub(super) fn keep_writes(&mut self, now: Duration) {
        if !self.may_keep() {
            return;
        }
        match self.durable.busy_until {
            Some(until) if now < until => return,
            Some(_) => self.give_batches_up(),
            None => {}
        }
        self.keep_now(now);
    }

    /// The client may end here, or its person leaves, and no other batch may follow: this one does not wait for storage to be
    /// done with the one before.
    pub(super) fn keep_last_writes(&mut self, now: Duration) {
        if self.may_keep() {
            self.keep_now(now);
        }
    }

    /// Whether storage is given anything now.
    fn may_keep(&self) -> bool {
        self.keeps() && !self.cache.is_paused() && self.cache.degraded().is_none()
    }

    fn keep_now(&mut self, now: Duration) {
        if self.give_batch(true) {
            self.durable.busy_until = Some(now + STORED_WITHIN);
        }
    }

    /// Has storage let go what has left the queue, and with `puts` keep what is new in it. Says whether there was anything.
    fn give_batch(&mut self, puts: bool) -> bool {
        let Some(user) = self.durable.owner.clone() else { return false };
        let batch = self.durable.batches + 1;
        let (mut put, mut del) = (Vec::new(), Vec::new());
        for (id, space) in &mut self.spaces {
            let name = |(client, write)| WriteName { space: id.clone(), client, id: write };
            del.extend(space.queue.take_gone(batch).into_iter().map(name));
            let unkept = if puts { space.queue.take_unkept(batch) } else { Vec::new() };
            for (client, write, Letter { kind, payload }) in unkept {
                let name = WriteName { space: id.clone(), client, id: write };
                put.push(StoredWrite { name, kind: kind.into(), payload: (*payload).to_owned() });
            }
        }
        let has_any = !put.is_empty() || !del.is_empty();
        if has_any {
            self.durable.batches = batch;
            self.outputs.push_back(Output::StoreWrites { batch, user, put, del });
        }
        has_any
    }

    /// Storage has answered.
    pub(super) fn writes_stored(&mut self, now: Duration, batch: u64, result: Result<(), Error>) {
        if batch == self.durable.batches {
            self.durable.busy_until = result.is_err().then_some(now + AFTER_FAILURE);
        }
        for space in self.spaces.values_mut() {
            space.queue.batches_were_kept(batch..=batch, result.is_ok());
        }
    }

    /// Storage has not answered, as to the last batch and to those that it was given before without an answer to the others.
    fn give_batches_up(&mut self) {
        let all = 0..=self.durable.batches;
        self.durable.busy_until = None;
        self.spaces.values_mut().for_each(|space| space.queue.batches_were_kept(all.clone(), false));
    }

    /// When storage is to be given something again that it did not take.
    pub(super) fn keep_at(&self) -> Option<Duration> {
        let waits = |space: &Space| space.queue.unkept() > 0 || space.queue.has_gone();
        let waits = self.may_keep() && self.spaces.values().any(waits);
        self.durable.busy_until.filter(|_| waits)
    }

    /// Looks for queues that others have left behind, where that is due.
    pub(super) fn look_for_queues(&mut self, now: Duration) {
        if self.durable.held_until.is_some_and(|until| now >= until) {
            // an answer that never comes holds nothing up the next time
            (self.durable.held_until, self.durable.adopting) = (None, 0);
        }
        let is_used = !self.watches.is_empty() || self.has_queued_writes();
        if !self.keeps() || self.cache.is_paused() || !is_used {
            return;
        }
        let author = self.author().cloned();
        let due = self.durable.adopt_at.is_none_or(|at| now >= at);
        let is_first = self.durable.adopted.as_ref() != Some(&author);
        if due || is_first {
            self.durable.adopting += 1;
            self.durable.held_until = is_first.then_some(now + ADOPT_WITHIN).or(self.durable.held_until);
            self.durable.adopted = Some(author.clone());
            self.durable.adopt_at = Some(now + ADOPT_EVERY.mul_f64(1.0 + self.rng.unit()));
            self.outputs.push_back(Output::Adopt { user: author });
        }
    }

    /// Storage has answered: what was left behind, if anything, is in the queue.
    pub(super) fn adopt_done(&mut self, user: Option<UserId>) {
        if let Some(user) = user.filter(|_| self.keeps() && !self.cache.is_paused()) {
            // what was made before anybody was known is theirs, and can be kept
            self.cache.assume(&user);
            self.note_owner();
            // this was the look for them
            self.durable.adopted = self.durable.adopted.take().map(|looked_for| looked_for.or(Some(user)));
        }
        self.durable.adopting = self.durable.adopting.saturating_sub(1);
        if self.durable.adopting == 0 {
            self.durable.held_until = None;
        }
    }

    /// Until when nothing is sent, while it is not known what was left behind.
    pub(super) fn held_until(&self) -> Option<Duration> {
        self.durable.held_until.filter(|_| self.may_keep() && self.has_queued_writes())
    }

    /// They are looked for the next time that anything happens.
    pub(super) fn look_for_queues_soon(&mut self) {
        self.durable.adopt_at = None;
    }

    /// When they are to be looked for again.
    pub(super) fn adopt_at(&self) -> Option<Duration> {
        let is_used = !self.watches.is_empty() || self.has_queued_writes();
        self.durable.adopt_at.filter(|_| self.keeps() && !self.cache.is_paused() && is_used)
    }

    /// The writes of a page that is gone take their place in the queue.
    pub(super) fn adopted(&mut self, user: &UserId, client: &ClientId, writes: Vec<StoredWrite>) {
        let others = |known: Option<&UserId>| known.is_some_and(|known| known != user);
        if !self.keeps()
            // asked for somebody who has left
            || self.cache.is_paused()
            || others(self.author())
            || others(self.owner_of_queue())
            || *client == self.config.client
        {
            return;
        }
        self.cache.assume(user);
        self.durable.owner = Some(user.clone());
        let mut spaces = BTreeMap::new();
        for StoredWrite { name, kind, payload } in writes {
            let kind = match &*kind {
                ROWS => ROWS,
                ACTION => ACTION,
                // of another version of this library
                _ => continue,
            };
            let is_known = self.spaces.get_mut(&name.space).is_some_and(|space| {
                // one that has its verdict may still lie in storage
                space.queue.is_gone(client, name.id)
                    || space.queue.sequence_mut(client).is_some_and(|sequence| sequence.has(name.id))
            });
            if name.client != *client || is_known {
                continue;
            }
            let letter = Letter { kind, payload: payload.into() };
            let effect = letter.effect(&self.schema);
            let write = WriteRef(self.next_id());
            let stage = Stage::Queued { client: client.clone(), id: name.id, letter };
            let queue = &mut self.space(&name.space).queue;
            // all of them go where the first one does
            let is_early = *spaces.entry(name.space).or_insert_with(|| queue.is_unsent());
            queue.push_kept(write, effect, stage, is_early);
        }
        for (space, is_early) in spaces {
            if is_early {
                self.space(&space).queue.mark_own();
            }
            self.commit(&space);
        }
        self.refuse_oversize();
    }
}

fn ended_as(kept: Kept) -> Error {
    match kept {
        // storage has it, or is about to: whoever made it will find it there
        Kept::Yes | Kept::Asked(_) | Kept::Before => {
            Error::new(code::PARKED, "it waits until the person who made it is back")
        }
        // what storage has failed to keep is not promised to anybody, though it may be there
        Kept::Perhaps | Kept::No => Error::new(code::FOREIGN_CLIENT, "made under another identity"),
    }
}
