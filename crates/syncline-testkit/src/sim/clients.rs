//! What a test does with one client: the acts of an application and of the person at it, and the faults of its network.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use syncline_core::channel::ActionPayload;
use syncline_core::client::{
    Applied, ClientCore, ConnectionState, Input, Status, Transport, WatchId, WatchState, WriteRef,
};
use syncline_core::ops::{RowOp, RowOps};
use syncline_core::{Channel, Entry, Error, Query, Record, SpaceId, Version};

use crate::connection::End;
use crate::faults::{Direction, Fault, Path};
use crate::mirror::Mirror;
use crate::node::{Meddling, Watched, Written};
use crate::related::RelatedMirror;
use crate::sim::Sim;
use crate::trace::Who;

/// A watch of one client, see [`SimClient::watch`].
pub struct Watch<R> {
    pub(super) client: usize,
    pub(super) id: WatchId,
    _row: PhantomData<fn() -> R>,
}

impl<R> Clone for Watch<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Watch<R> {}

impl<R> fmt::Debug for Watch<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("client", &self.client).field("id", &self.id).finish()
    }
}

/// A write of one client, before and after its verdict; see [`Sim::verdict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Write {
    client: usize,
    write: WriteRef,
}

/// One client of a simulation, to act with. See [`Sim::client`].
pub struct SimClient<'a> {
    sim: &'a mut Sim,
    index: usize,
}

/// What there is to see.
impl Sim {
    /// The client of this name.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn client(&mut self, name: &str) -> SimClient<'_> {
        let index = self.index(name);
        SimClient { sim: self, index }
    }

    /// The names of all clients, those that are gone too.
    pub fn client_names(&self) -> Vec<String> {
        self.clients.iter().map(|client| client.name.clone()).collect()
    }

    pub(super) fn client_at(&mut self, index: usize) -> SimClient<'_> {
        SimClient { sim: self, index }
    }

    #[track_caller]
    fn index(&self, name: &str) -> usize {
        let index = self.clients.iter().position(|client| client.name == name);
        index.unwrap_or_else(|| self.fail(format_args!("there is no client {name:?}")))
    }

    #[track_caller]
    fn mirror<R: Record>(&self, watch: Watch<R>) -> Option<&Mirror<R>> {
        self.clients[watch.client].watches.get(&watch.id)?.mirror.as_any().downcast_ref()
    }

    /// The rows of a watch as the person sees them, in order; what a stopped one has shown last. None once it is
    /// unwatched.
    pub fn rows<R: Record>(&self, watch: Watch<R>) -> Vec<R> {
        self.entries(watch).iter().map(|entry| R::clone(&entry.record)).collect()
    }

    /// As [`rows`](Self::rows), with the state of each row.
    pub fn entries<R: Record>(&self, watch: Watch<R>) -> &[Entry<R>] {
        self.mirror(watch).map_or(&[], |mirror| &mirror.entries)
    }

    /// The children of one row of a watch, in one of its query's relations, as somebody sees them who follows what the
    /// watch says.
    pub fn children<R: Record, C: Record>(&self, watch: Watch<R>, relation: usize, parent: &str) -> Vec<C> {
        let watched = self.clients[watch.client].watches.get(&watch.id);
        let related = watched.and_then(|watched| watched.related.get(relation));
        let mirror = related.and_then(|related| related.as_any().downcast_ref::<RelatedMirror<C>>());
        let entries = mirror.and_then(|mirror| mirror.children.get(parent)).into_iter().flatten();
        entries.map(|entry| C::clone(&entry.record)).collect()
    }

    /// How many children one row of a watch has, in one of its query's relations.
    pub fn count<R: Record>(&self, watch: Watch<R>, relation: usize, parent: &str) -> u64 {
        let watched = self.clients[watch.client].watches.get(&watch.id);
        let related = watched.and_then(|watched| watched.related.get(relation));
        related.map_or(0, |related| related.count(parent))
    }

    /// How a watch stands, in one word.
    pub fn status<R: Record>(&self, watch: Watch<R>) -> Status {
        self.watch_state(watch).status
    }

    /// How a watch stands.
    pub fn watch_state<R: Record>(&self, watch: Watch<R>) -> WatchState {
        self.clients[watch.client].core.watch_state(watch.id)
    }

    /// What became of a write; `None` while that is open.
    pub fn verdict(&self, write: Write) -> Option<&Result<Version, Error>> {
        self.clients[write.client].writes.get(&write.write)?.verdict.as_ref()
    }

    /// What a channel's handler gave back for an action; `None` while that is open, when it was refused, and when what it
    /// gave back is not known or not of this type.
    pub fn output<C: Channel>(&self, write: Write) -> Option<C::Output> {
        let written = self.clients[write.client].writes.get(&write.write)?;
        if !matches!(written.verdict, Some(Ok(_))) {
            return None;
        }
        serde_json::from_str(written.output.as_deref().unwrap_or("null")).ok()
    }

    /// How a client's connection stands.
    ///
    /// # Panics
    /// When there is no such client.
    #[track_caller]
    pub fn connection(&self, client: &str) -> ConnectionState {
        self.clients[self.index(client)].core.connection()
    }

    /// How often a client has tried to connect in the last minute.
    ///
    /// # Panics
    /// When there is no such client.
    #[track_caller]
    pub fn attempts_in_the_last_minute(&self, client: &str) -> usize {
        let (since, client) =
            (self.now.saturating_sub(Duration::from_secs(60)), &self.clients[self.index(client)]);
        client.attempts.iter().filter(|at| **at >= since).count()
    }

    pub(super) fn pull(&mut self, index: usize, watch: WatchId) {
        self.changed = true;
        let client = &mut self.clients[index];
        let Some(watched) = client.watches.get_mut(&watch) else { return };
        watched.changed = true;
        let mut pulled = watched.mirror.pull(&mut client.core, watch, watched.stopped);
        for related in &mut watched.related {
            pulled = pulled.and_then(|()| related.pull(&mut client.core, watch, watched.stopped));
        }
        if let Err(violation) = pulled {
            let what = format!("{}, watching {:?}: {violation}", client.name, watched.mirror.query());
            self.fail(what);
        }
    }

    pub(super) fn settled(&mut self, index: usize, write: WriteRef, result: Result<Applied, Error>) {
        self.changed = true;
        self.trace.note(self.now, Who::Client(index), format!("has its verdict on {write:?}: {result:?}"));
        let Some(written) = self.clients[index].writes.get_mut(&write) else {
            if self.clients[index].browser.is_some() {
                // made by a client that is gone
                return;
            }
            self.fail(format_args!("{write:?} was never made and has a verdict"));
        };
        written.output = result.as_ref().ok().and_then(|it| it.output.as_ref().map(|it| it.get().to_owned()));
        if written.verdict.replace(result.map(|applied| applied.version)).is_some() {
            self.fail(format_args!("{write:?} has a second verdict"));
        }
    }
}

impl<'a> SimClient<'a> {
    pub(super) fn new(sim: &'a mut Sim, index: usize) -> Self {
        Self { sim, index }
    }

    /// Acts on the core, then does what it says. For what this handle has no method for.
    pub fn with<T>(&mut self, act: impl FnOnce(&mut ClientCore, Duration) -> T) -> T {
        let client = &mut self.sim.clients[self.index];
        if client.gone {
            self.sim.fail("a client that is gone does nothing any more");
        }
        let now = client.time(self.sim.now);
        let result = act(&mut client.core, now);
        self.sim.pump_client(self.index);
        result
    }

    fn note(&mut self, what: impl Into<Box<str>>) {
        self.sim.trace.note(self.sim.now, Who::Client(self.index), what);
    }

    /// Watches a query.
    pub fn watch<R: Record>(&mut self, query: Query<R>) -> Watch<R> {
        self.note(format!("watches {query:?}"));
        let client = &mut self.sim.clients[self.index];
        let now = client.time(self.sim.now);
        let id = client.core.watch(now, &query);
        let relations = query.spec().relations.iter().enumerate();
        let related = relations.filter_map(|(place, spec)| {
            let relate = self.sim.relate.get(&*spec.collection)?;
            Some(relate(place))
        });
        let related = related.collect();
        let space = &query.spec().space;
        if client.watches.values().any(|other| other.mirror.query().space == *space) {
            client.shared.insert(space.clone());
        }
        let watched =
            Watched { mirror: Box::new(Mirror::new(query)), related, stopped: false, changed: true };
        client.watches.insert(id, watched);
        self.sim.pump_client(self.index);
        Watch { client: self.index, id, _row: PhantomData }
    }

    /// Ends a watch.
    pub fn unwatch<R>(&mut self, watch: Watch<R>) {
        self.note(format!("unwatches {:?}", watch.id));
        self.sim.clients[self.index].watches.remove(&watch.id);
        self.with(|core, now| core.unwatch(now, watch.id));
    }

    /// Stops a watch: it keeps what it has shown.
    pub fn stop<R>(&mut self, watch: Watch<R>) {
        self.note(format!("stops {:?}", watch.id));
        if let Some(watched) = self.sim.clients[self.index].watches.get_mut(&watch.id) {
            watched.stopped = true;
        }
        self.with(|core, now| core.stop(now, watch.id));
    }

    /// Starts a watch that was stopped.
    pub fn start<R>(&mut self, watch: Watch<R>) {
        self.note(format!("starts {:?}", watch.id));
        if let Some(watched) = self.sim.clients[self.index].watches.get_mut(&watch.id) {
            watched.stopped = false;
        }
        self.with(|core, now| core.start(now, watch.id));
    }

    /// Writes rows, all of them in one write.
    ///
    /// # Errors
    /// What the client refuses by itself.
    pub fn write(&mut self, space: impl Into<SpaceId>, ops: Vec<RowOp>) -> Result<Write, Error> {
        let space = space.into();
        self.note(format!("writes {ops:?} in {space}"));
        self.made(&space.clone(), |core, now| core.write_rows(now, &space, &RowOps { ops }).map(Some))
            .map(|write| write.unwrap_or_else(|| self.sim.fail("a write that is none")))
    }

    /// Sends an action.
    ///
    /// # Errors
    /// What the client refuses by itself.
    pub fn act<C: Channel>(&mut self, space: impl Into<SpaceId>, action: C::Action) -> Result<Write, Error> {
        let space = space.into();
        let name = ActionPayload::of::<C>(&action)?.name();
        self.note(format!("does {name} in {space}"));
        self.made(&space.clone(), |core, now| core.send_action::<C>(now, &space, action).map(Some))
            .map(|write| write.unwrap_or_else(|| self.sim.fail("an action that is none")))
    }

    /// Puts one row.
    ///
    /// # Panics
    /// When the client refuses it by itself.
    #[track_caller]
    pub fn put<R: Record>(&mut self, space: impl Into<SpaceId>, row: &R) -> Write {
        let written = RowOp::put(row).and_then(|op| self.write(space, vec![op]));
        self.unless_refused(written)
    }

    /// Puts several rows in one write.
    ///
    /// # Panics
    /// As [`put`](Self::put).
    #[track_caller]
    pub fn put_all<R: Record>(&mut self, space: impl Into<SpaceId>, rows: &[R]) -> Write {
        let ops: Result<Vec<_>, _> = rows.iter().map(RowOp::put).collect();
        let written = ops.and_then(|ops| self.write(space, ops));
        self.unless_refused(written)
    }

    /// Deletes the row at a key.
    ///
    /// # Panics
    /// As [`put`](Self::put).
    #[track_caller]
    pub fn delete<R: Record>(&mut self, space: impl Into<SpaceId>, key: &str) -> Write {
        let written = self.write(space, vec![RowOp::delete::<R>(key)]);
        self.unless_refused(written)
    }

    /// Changes the row at a key, starting from what the person sees of it; `None` when that changes nothing.
    ///
    /// # Errors
    /// `unknown_row` when no watch shows the row, and what the client refuses by itself.
    pub fn update<R: Record>(
        &mut self,
        space: impl Into<SpaceId>,
        key: &str,
        change: impl FnOnce(&mut R),
    ) -> Result<Option<Write>, Error> {
        let space = space.into();
        self.note(format!("updates {key} in {space}"));
        self.made(&space.clone(), |core, now| core.update::<R>(now, &space, key, change))
    }

    /// Sends the refused writes of a row again, as new ones.
    pub fn retry<R: Record>(&mut self, space: impl Into<SpaceId>, key: &str) -> Vec<Write> {
        let space = space.into();
        self.note(format!("retries {key} in {space}"));
        let client = &mut self.sim.clients[self.index];
        let now = client.time(self.sim.now);
        let writes = client.core.retry(now, &space, R::COLLECTION, key);
        let writes: Vec<_> = writes.into_iter().map(|write| self.remember(&space, write)).collect();
        self.sim.pump_client(self.index);
        writes
    }

    /// Gives up the refused writes of a row. Says how many there were.
    pub fn dismiss<R: Record>(&mut self, space: impl Into<SpaceId>, key: &str) -> usize {
        let space = space.into();
        self.note(format!("dismisses {key} in {space}"));
        self.with(|core, now| core.dismiss(now, &space, R::COLLECTION, key))
    }

    #[track_caller]
    fn unless_refused(&self, written: Result<Write, Error>) -> Write {
        written.unwrap_or_else(|error| self.sim.fail(format_args!("the client refuses a write: {error}")))
    }

    /// Makes a write, so that it is known before anything is said about it.
    fn made(
        &mut self,
        space: &SpaceId,
        make: impl FnOnce(&mut ClientCore, Duration) -> Result<Option<WriteRef>, Error>,
    ) -> Result<Option<Write>, Error> {
        let client = &mut self.sim.clients[self.index];
        if client.gone {
            self.sim.fail("a client that is gone does nothing any more");
        }
        let now = client.time(self.sim.now);
        let made = make(&mut client.core, now);
        let write = made.map(|write| write.map(|write| self.remember(space, write)));
        self.sim.pump_client(self.index);
        write
    }

    fn remember(&mut self, space: &SpaceId, write: WriteRef) -> Write {
        let client = &mut self.sim.clients[self.index];
        let author = client.core.client().clone();
        let written =
            Written { space: space.clone(), client: author, verdict: None, output: None, uncertain: false };
        client.writes.insert(write, written);
        Write { client: self.index, write }
    }

    /// The person switches the connection off.
    pub fn go_offline(&mut self) {
        self.note("goes offline");
        self.sim.clients[self.index].online = false;
        self.with(|core, now| core.set_enabled(now, false));
    }

    /// The person switches the connection on again.
    pub fn go_online(&mut self) {
        self.note("goes online");
        self.sim.clients[self.index].online = true;
        self.with(|core, now| core.set_enabled(now, true));
    }

    /// The person does not want to wait for the next attempt to connect.
    pub fn retry_now(&mut self) {
        self.with(|core, now| core.retry_now(now));
    }

    /// The platform's hint that it is online or not.
    pub fn hint_online(&mut self, online: bool) {
        self.sim.feed_client(self.index, Input::Online(online));
    }

    /// The platform's hint that the page is visible or not.
    pub fn hint_visible(&mut self, visible: bool) {
        self.sim.feed_client(self.index, Input::Visible(visible));
    }

    /// The page is closed: the client is gone, and what it had not sent with it.
    pub fn leave(&mut self) {
        self.note("leaves");
        let client = &mut self.sim.clients[self.index];
        client.gone = true;
        client.deadline = None;
        client.watches.clear();
        client.writes.values_mut().for_each(|write| write.uncertain = true);
        if let Some(id) = self.open_connection() {
            self.sim.cut_connection(id);
        }
    }

    /// Somebody else is at this client from now on; it asks for credentials anew.
    pub fn sign_in_as(&mut self, user: &str) {
        self.note(format!("is {user} from now on"));
        let client = &mut self.sim.clients[self.index];
        client.user.id = user.into();
        client.user.name = Some(user.to_owned());
        // what was on its way under the old name has an outcome that nobody will hear of
        client
            .writes
            .values_mut()
            .filter(|write| write.verdict.is_none())
            .for_each(|write| write.uncertain = true);
        self.with(|core, now| core.refresh_credentials(now));
    }

    /// How long the tokens are good for that this client gets from now on. An hour.
    pub fn credentials_last(&mut self, time: Duration) {
        self.sim.clients[self.index].credentials.last = time;
    }

    /// From now on there are no credentials to be had for this client, or there are again.
    pub fn fail_credentials(&mut self, fail: bool) {
        self.sim.clients[self.index].credentials.fail = fail;
    }

    /// How often this client has asked for credentials.
    pub fn credentials_asked(&self) -> u64 {
        self.sim.clients[self.index].credentials.asked
    }

    /// No token that this person has got is good any more.
    pub fn revoke_credentials(&mut self) {
        let user = self.sim.clients[self.index].user.clone();
        self.sim.server.revoke(&user);
    }

    /// Asks for credentials anew.
    pub fn refresh_credentials(&mut self) {
        self.with(|core, now| core.refresh_credentials(now));
    }

    /// How frames travel to and from this client.
    pub fn set_path(&mut self, path: Path) {
        self.sim.clients[self.index].path = path;
    }

    fn open_connection(&self) -> Option<u64> {
        let id = self.sim.clients[self.index].conn?;
        self.sim.connections.get(&id).is_some_and(|conn| conn.client_end != End::Closed).then_some(id)
    }

    /// Breaks the connection; both ends learn of it.
    pub fn cut(&mut self) {
        if let Some(id) = self.open_connection() {
            self.sim.cut_connection(id);
        }
    }

    /// Makes the connection lose everything from now on; nobody learns of it.
    pub fn half_open(&mut self) {
        if let Some(id) = self.open_connection() {
            self.sim.silence(id);
        }
    }

    /// Cuts the client off without a word: its connection falls silent and attempts to connect are not answered.
    pub fn partition(&mut self) {
        self.note("is partitioned from the server");
        self.sim.clients[self.index].partitioned = true;
        self.half_open();
    }

    /// Ends a [`partition`](Self::partition). The old connection stays silent.
    pub fn heal(&mut self) {
        self.note("can reach the server again");
        self.sim.clients[self.index].partitioned = false;
    }

    /// The network refuses connections over this transport, or takes them again.
    pub fn refuse(&mut self, transport: Transport, refuse: bool) {
        let refused = &mut self.sim.clients[self.index].refused;
        refused.retain(|one| *one != transport);
        if refuse {
            refused.push(transport);
        }
    }

    /// Keeps back what travels this way, until it is [released](Self::release).
    pub fn hold(&mut self, direction: Direction) {
        self.note(format!("has frames held back {direction:?}"));
        let held = &mut self.sim.clients[self.index].held;
        if !held.contains(&direction) {
            held.push(direction);
        }
    }

    /// Ends a [`hold`](Self::hold): all that was kept back arrives, in order.
    pub fn release(&mut self, direction: Direction) {
        self.note(format!("gets what was held back {direction:?}"));
        self.sim.clients[self.index].held.retain(|one| *one != direction);
        self.sim.release_frames(self.index, direction);
    }

    /// The client stops to read from its connection: what the server sends waits there.
    pub fn stop_reading(&mut self) {
        self.note("stops reading");
        self.sim.clients[self.index].reading = false;
    }

    /// The client reads again.
    pub fn read_again(&mut self) {
        self.note("reads again");
        self.sim.clients[self.index].reading = true;
        for id in self.sim.connections_of(self.index) {
            self.sim.pump_outbox(id);
        }
    }

    /// Does something to the next frame of this kind (`changes`, `write`, `snapshot`, …) that travels this way. Said
    /// twice, to the next two.
    pub fn meddle(&mut self, direction: Direction, message: &str, fault: Fault) {
        let meddling = Meddling { direction, message: message.to_owned(), fault };
        self.sim.clients[self.index].meddling.push(meddling);
    }

    /// Ends the run as soon as a frame to this client contains these bytes.
    pub fn must_never_be_sent(&mut self, secret: impl AsRef<[u8]>) {
        self.sim.clients[self.index].secrets.push(secret.as_ref().to_vec());
    }

    /// The transport that worked, as the client would remember it for its next start.
    pub fn remembered(&self) -> Option<Transport> {
        self.sim.clients[self.index].remembered
    }
}
