//! Who is in the rooms. A line is whoever its cookie said when it was made, and nothing on it says who that is: what one
//! person did must not wait for a line that may be another's.

use std::time::Duration;

use super::room::Phase;
use crate::client::core::ClientCore;
use crate::client::link::Event;
use crate::id::{SpaceId, UserId};

impl ClientCore {
    /// Says who is here. Of somebody else than before nothing stays.
    pub(in crate::client) fn identify_in_rooms(&mut self, now: Duration, user: Option<&UserId>) {
        if !self.has_open_rooms() || self.cache.assumed() == user {
            return;
        }
        self.cache.identify(user.cloned());
        for space in self.places_with_rooms() {
            self.end_room(now, &space);
        }
        self.forget_person();
        self.begin_rooms_anew(now);
    }

    /// Somebody leaves: all lines are theirs, and what waits is not for anybody else's. The rows stay until others come.
    pub(in crate::client) fn part_from_rooms(&mut self, now: Duration) {
        if !self.has_open_rooms() {
            return;
        }
        for space in self.places_with_rooms() {
            self.with_room(now, &space, |core, room| {
                core.leave_line(now, &space, room);
                (room.phase, room.failures) = (Phase::Off, 0);
                Ok(())
            });
        }
        self.end_queue();
        self.commit_all();
        self.begin_rooms_anew(now);
    }

    fn begin_rooms_anew(&mut self, now: Duration) {
        if let Some(rooms) = &mut self.rooms {
            rooms.last_error = None;
        }
        self.after(now, Event::None, Vec::new());
    }

    fn has_open_rooms(&self) -> bool {
        self.rooms.as_ref().is_some_and(|rooms| !rooms.closed)
    }

    fn places_with_rooms(&self) -> Vec<SpaceId> {
        self.rooms.iter().flat_map(|rooms| rooms.rooms.keys().cloned()).collect()
    }
}
