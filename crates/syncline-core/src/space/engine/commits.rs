//! Commits are done: what was committed is shown, and whoever wrote it is told.

use std::collections::BTreeMap;

use crate::error::{Error, code};
use crate::id::{SpaceId, Version};
use crate::space::batch::{Answer, Asker};
use crate::space::broadcast::Broadcast;
use crate::space::engine::Engine;
use crate::space::engine::writes::away;
use crate::space::io::{ConnId, Output};
use crate::space::shape::Delta;
use crate::space::working_set::Told;
use crate::wire::Ack;

impl Engine {
    pub(super) fn committed(&mut self, id: &SpaceId, commit: u64, result: Result<(), Error>) {
        let Some(space) = self.spaces.get_mut(id) else { return };
        let Some((_, mut batch)) = space.in_flight.take_if(|(number, _)| *number == commit) else { return };
        let Some(set) = space.set.as_mut() else { return };
        match result {
            Ok(()) => {
                // whoever has come meanwhile was told how far their writes had come
                batch.remember(|forgotten| away(forgotten, &self.connections));
                let (version, turns, answers) = batch.land(set);
                let (deltas, told) = set.advance(version, turns, &*self.access);
                self.tell(id, &deltas, &told, answers);
            }
            Err(error) if error.code() == code::CONFLICT => {
                let error = Error::new(code::STORAGE, error.message().to_owned());
                let answers = batch.fail(&set.clients, &error);
                self.settle(id, answers);
                return self.reload(id);
            }
            Err(error) => {
                let answers = batch.fail(&set.clients, &error);
                self.settle(id, answers);
            }
        }
        self.commit_next(id);
        self.look_after_space(id);
    }

    /// Answers writes that changed nothing.
    pub(super) fn settle(&mut self, id: &SpaceId, answers: Vec<Answer>) {
        self.tell(id, &[], &[], answers);
    }

    /// Tells everyone concerned in one frame each: what changed in their subscriptions, what became of their writes.
    fn tell(&mut self, id: &SpaceId, deltas: &[Delta], told: &[Told], answers: Vec<Answer>) {
        let version = self.spaces.get(id).and_then(|space| space.set.as_ref()).map(|set| set.version);
        let mut acks = self.acks(id, version.unwrap_or_default(), answers);
        let Some(set) = self.spaces.get_mut(id).and_then(|space| space.set.as_mut()) else { return };
        let mut broadcast = Broadcast::new(id, set.version, deltas, self.config.backlog_bytes);
        let mut behind = Vec::new();
        let mut send = |conn: ConnId, parts: &[Told], acks: Vec<Ack>| {
            let Some(connection) = self.connections.get_mut(&conn) else { return };
            let frame = broadcast.frame(set.tell(conn), parts, acks);
            let sent = frame.map(|frame| connection.feed.changes(id, frame, &mut self.outputs));
            if !matches!(sent, Some(Ok(()))) {
                behind.push(conn);
            }
        };
        for parts in told.chunk_by(|a, b| a.0 == b.0) {
            let conn = parts[0].0;
            send(conn, parts, acks.remove(&conn).unwrap_or_default());
        }
        for (conn, acks) in acks {
            send(conn, &[], acks);
        }
        for conn in behind {
            self.fall_behind(conn);
            self.pump(conn);
        }
    }

    /// The acknowledgements for each connection that is still there. Calls are answered at once, and so are writes that were
    /// not handled.
    fn acks(&mut self, id: &SpaceId, version: Version, answers: Vec<Answer>) -> BTreeMap<ConnId, Vec<Ack>> {
        let mut acks: BTreeMap<ConnId, Vec<Ack>> = BTreeMap::new();
        for Answer { asker, bytes, ack, .. } in answers {
            match asker {
                Asker::Call(call) => {
                    let result = ack.error.map_or(Ok((version, ack.output)), Err);
                    self.outputs.push_back(Output::Acted { call, result });
                }
                Asker::Connection(conn) => {
                    let Some(connection) = self.connections.get_mut(&conn) else { continue };
                    connection.writes -= 1;
                    connection.write_bytes -= bytes;
                    match ack.expected {
                        Some(_) => self.turn_away(conn, id, ack),
                        None => acks.entry(conn).or_default().push(ack),
                    }
                }
            }
        }
        acks
    }
}
