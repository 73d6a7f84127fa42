//! What happens because time passes.

use crate::error::{Error, code};
use crate::id::SpaceId;
use crate::space::config::Config;
use crate::space::connection::Connection;
use crate::space::engine::Engine;
use crate::space::io::ConnId;
use crate::wire::{Expired, ServerMessage};

impl Engine {
    pub(super) fn tick(&mut self) {
        while let Some(conn) = self.timers.pop(self.now) {
            self.check_connection(conn);
        }
        self.unload();
    }

    /// Sets the timer of a connection.
    pub(super) fn look_after(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let due = due(connection, &self.config);
        self.timers.set(conn, &mut connection.alarm, due);
    }

    /// Called wherever a space may have become one that nobody uses.
    pub(super) fn look_after_space(&mut self, id: &SpaceId) {
        let Some(space) = self.spaces.get_mut(id).filter(|space| space.is_unused()) else { return };
        if space.set.is_some() {
            if space.idle.is_none() {
                space.idle = Some(self.now);
                self.idle.add(self.now, id.clone());
                self.unload();
            }
        } else if let Some(ticket) = space.ticket {
            // what is under way already is let go of when it comes
            self.loads.leave(ticket);
            self.spaces.remove(id);
        }
    }

    /// Lets go of spaces that were idle for long enough, or that are too many.
    fn unload(&mut self) {
        let before = self.now.checked_sub(ms(self.config.idle_unload));
        while let Some(space) = self.idle.take(self.config.idle_spaces, before) {
            self.spaces.remove(&space);
        }
    }

    fn check_connection(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.alarm.reset();
        let now = self.now;
        if now >= connection.heard + ms(self.config.silence) {
            return self.close(conn, Some(Error::new(code::TIMEOUT, "nothing was heard of the client")));
        }
        match &mut connection.session {
            None if now >= connection.since + ms(self.config.hello_within) => {
                return self.end(conn, Error::new(code::TIMEOUT, "no hello came"));
            }
            Some(session) if session.until.is_some_and(|until| now >= until) => {
                if !session.good {
                    let error = Error::new(code::UNAUTHENTICATED, "no good credentials came in time");
                    return self.end(conn, error);
                }
                session.good = false;
                session.until = Some(now + ms(self.config.hello_within));
                connection.feed.hold();
                connection.feed.control(&ServerMessage::Expired(Expired::default()), &mut self.outputs);
            }
            _ => {}
        }
        if !connection.pinged
            && connection.session.is_some()
            && now >= connection.heard + ms(self.config.silence) / 2
        {
            connection.pinged = true;
            connection.feed.control(&ServerMessage::Ping(now), &mut self.outputs);
        }
        self.look_after(conn);
    }
}

/// When the connection has to be looked after next.
fn due(connection: &Connection, config: &Config) -> u64 {
    let quiet = if connection.pinged { ms(config.silence) } else { ms(config.silence) / 2 };
    match &connection.session {
        None => connection.since + ms(config.hello_within),
        Some(session) => (connection.heard + quiet).min(session.until.unwrap_or(u64::MAX)),
    }
}

pub(super) fn ms(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}
