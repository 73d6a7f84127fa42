//! Spaces come into memory.

use crate::error::Error;
use crate::id::{Incarnation, SpaceId};
use crate::space::batch::{Asker, not_handled};
use crate::space::engine::Engine;
use crate::space::hosted::Hosted;
use crate::space::image::SpaceImage;
use crate::space::io::Output;
use crate::space::log::Bounds;
use crate::space::working_set::WorkingSet;

impl Engine {
    /// The space, which is loaded when it is not in memory.
    pub(super) fn host(&mut self, id: &SpaceId) -> &mut Hosted {
        let space = self.spaces.entry(id.clone()).or_insert_with(|| {
            let ticket = self.loads.begin(id);
            if ticket.is_none() {
                self.outputs.push_back(Output::Load { space: id.clone() });
            }
            Hosted::loading(ticket)
        });
        if let Some(since) = space.idle.take() {
            self.idle.remove(since, id);
        }
        space
    }

    pub(super) fn loaded(&mut self, id: &SpaceId, result: Result<SpaceImage, Error>) {
        let is_loading = |space: &&mut Hosted| space.set.is_none() && space.ticket.is_none();
        if self.spaces.get_mut(id).filter(is_loading).is_none() {
            return;
        }
        self.load_next();
        let Some(space) = self.spaces.get_mut(id) else { return };
        if space.is_unused() {
            self.spaces.remove(id);
            return;
        }
        let image = match result {
            Ok(image) => image,
            Err(error) => return self.not_loaded(id, &error),
        };
        let fresh = Incarnation(self.rng.next_u64());
        let keep_log = Bounds::of(&self.config);
        let (mut set, unreadable) = WorkingSet::new(id.clone(), image, fresh, &self.schema, keep_log);
        // what was in memory was told to clients; a storage that has less was restored
        if let Some(lost) = space.lost.take()
            && set.is_behind(&lost)
        {
            set.renew(Incarnation(self.rng.next_u64()));
            space.renewed = true;
        }
        space.set = Some(set);
        for row in unreadable {
            let (space, collection, key) = (id.clone(), row.collection, row.key);
            self.outputs.push_back(Output::Unreadable { space, collection, key, code: row.code });
        }
        self.commit_next(id);
        for conn in self.spaces.get(id).map(Hosted::connections).unwrap_or_default() {
            self.pump(conn);
        }
        self.look_after_space(id);
    }

    /// Somebody else has written to the space: what is in memory is not what storage has. It is loaded anew, and
    /// whoever watches it gets fresh answers.
    pub(super) fn reload(&mut self, id: &SpaceId) {
        let Some(space) = self.spaces.get_mut(id) else { return };
        space.lost = space.set.take().map(|set| set.cursor());
        space.renewed = false;
        if space.is_unused() {
            self.spaces.remove(id);
            return;
        }
        space.ticket = self.loads.begin(id);
        if space.ticket.is_none() {
            self.outputs.push_back(Output::Load { space: id.clone() });
        }
        for conn in space.connections() {
            self.fall_behind(conn);
            self.pump(conn);
        }
    }

    /// A load has ended; the next one in line begins.
    fn load_next(&mut self) {
        if let Some(next) = self.loads.end() {
            if let Some(space) = self.spaces.get_mut(&next) {
                space.ticket = None;
            }
            self.outputs.push_back(Output::Load { space: next });
        }
    }

    /// Whoever waits for the space is told that it cannot be had now. The next one to ask for it tries again.
    fn not_loaded(&mut self, id: &SpaceId, error: &Error) {
        let Some(mut space) = self.spaces.remove(id) else { return };
        while let Some(write) = space.queue.pop() {
            let conn = match write.asker {
                Asker::Connection(conn) => conn,
                Asker::Call(call) => {
                    self.outputs.push_back(Output::Acted { call, result: Err(error.clone()) });
                    continue;
                }
            };
            let Some(connection) = self.connections.get_mut(&conn) else { continue };
            connection.writes -= 1;
            connection.write_bytes -= write.bytes;
            self.turn_away(conn, id, not_handled(write.client, write.id, error.clone(), write.id));
        }
        for (conn, sub) in space.subs {
            self.fail(conn, sub, error.clone());
        }
        for conn in space.asking {
            // it can only learn what became of its writes by sending them again
            self.end(conn, error.clone());
        }
    }
}
