//! Writes come in.

use std::collections::BTreeSet;

use crate::error::{Error, code};
use crate::id::{ClientId, SpaceId, WriteId, check_space};
use crate::space::batch::{Asker, Batch, QueuedWrite, Workbench, not_handled, uncounted};
use crate::space::connection::Connections;
use crate::space::engine::Engine;
use crate::space::engine::clock::ms;
use crate::space::hosted::Hosted;
use crate::space::io::{ConnId, Output};
use crate::space::request::{Envelope, about};
use crate::wire::{Ack, Changes, ServerMessage};

impl Engine {
    /// Takes in a write of so many bytes. One that is refused for what it is waits for its turn like any other, so
    /// that those after it are not held up. One to a space that its author may not open is answered at once and leaves
    /// no trace, unless the space is in memory and knows the client: else ever new ids would fill the disk, and the
    /// queues of others.
    pub(super) fn write(&mut self, conn: ConnId, write: Envelope, bytes: usize) {
        let Some(connection) = self.connections.get(&conn) else { return };
        let Some(user) = connection.user().cloned() else { return };
        let Envelope { space, client, id, settled, intent } = write;
        if let Err(error) = check_envelope(&space, &client, id) {
            return self.turn_away(conn, &space, uncounted(client, id, error));
        }
        let intent = match self.access.open(&user, &space) {
            Ok(()) => intent,
            // it may be one that was done before
            Err(error) if self.spaces.get(&space).is_some_and(|space| space.knows(&client, &user.id)) => {
                Err(about(error, &intent))
            }
            Err(error) => {
                let error = about(error, &intent).shortened();
                return self.turn_away(conn, &space, uncounted(client, id, error));
            }
        };
        let limits = &self.config.limits;
        let full = |space: &Hosted| space.queue.is_full(&self.config);
        if connection.writes >= limits.writes_in_flight
            || connection.write_bytes + bytes > 4 * limits.frame_bytes
            || self.spaces.get(&space).is_some_and(full)
        {
            let error = Error::new(code::TOO_MANY, "too many writes wait already");
            return self.turn_away(conn, &space, not_handled(client, id, error, id));
        }
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.writes += 1;
            connection.write_bytes += bytes;
            connection.writers.note(&space, &client);
        }
        let asker = Asker::Connection(conn);
        self.queue(&space, QueuedWrite { asker, user, client, id, settled, intent, bytes });
    }

    /// Takes in a write that waits for its turn.
    pub(super) fn queue(&mut self, space: &SpaceId, write: QueuedWrite) {
        self.host(space).queue.push(write);
        self.commit_next(space);
        self.look_after_space(space);
    }

    /// Makes a batch of the writes that wait for a space, unless storage is still at work on the one before.
    pub(super) fn commit_next(&mut self, id: &SpaceId) {
        while let Some(space) = self.spaces.get_mut(id)
            && let Some(set) = &mut space.set
            && space.in_flight.is_none()
            && (space.queue.len() > 0 || space.renewed)
        {
            let bench = Workbench {
                schema: &self.schema,
                access: &*self.access,
                actions: &*self.actions,
                set,
                keep: self.config.limits.writes_in_flight,
                now: self.now,
            };
            let mut batch = Batch::take(&mut space.queue, &bench);
            // when it cannot be stored now, it goes with the next write
            if batch.changes_nothing() && !std::mem::take(&mut space.renewed) {
                self.settle(id, batch.answers);
                continue;
            }
            space.renewed = false;
            let unseen = set.clients.long_unseen(self.now, ms(self.config.client_retention));
            if !unseen.is_empty() {
                batch.forget(away(unseen, &self.connections));
            }
            self.commits += 1;
            let commit = batch.commit(self.commits, set);
            space.in_flight = Some((self.commits, batch));
            self.outputs.push_back(Output::Commit(Box::new(commit)));
        }
    }

    /// Answers a write that was not handled, or not counted. No account of the writes tells of it: so it must not get lost,
    /// passes everything that waits, and says nothing of where the space stands.
    pub(super) fn turn_away(&mut self, conn: ConnId, space: &SpaceId, ack: Ack) {
        let changes = Changes { acks: vec![ack], ..Changes::new(space.clone(), 0, 0) };
        if let Some(connection) = self.connections.get(&conn) {
            connection.feed.control(&ServerMessage::Changes(changes), &mut self.outputs);
        }
    }
}

/// Those of the clients that nobody is connected as. To the others it was promised that nothing they have been told is
/// forgotten as long as their connection lasts.
pub(super) fn away(mut clients: Vec<ClientId>, connections: &Connections) -> Vec<ClientId> {
    let sessions = connections.values().filter_map(|connection| connection.session.as_ref());
    let writers = connections.values().flat_map(|connection| connection.writers.all());
    let present: BTreeSet<&ClientId> = sessions.map(|session| &session.client).chain(writers).collect();
    clients.retain(|client| !present.contains(client));
    clients
}

fn check_envelope(space: &SpaceId, client: &ClientId, id: WriteId) -> Result<(), Error> {
    check_space(space.as_str())?;
    ClientId::checked(client.as_str())?;
    match id {
        0 => Err(Error::new(code::BAD_WRITE, "the ids of writes begin with 1").with_field("id")),
        _ => Ok(()),
    }
}
