//! What happens because time passes.

use crate::error::{Error, code};
use crate::id::SpaceId;
use crate::space::config::Config;
use crate::space::connection::Connection;
use crate::space::engine::Engine;
use crate::space::io::ConnId;
use crate::space::timers::Ward;
use crate::wire::{Expired, ServerMessage};

impl Engine {
    pub(super) fn tick(&mut self) {
        while let Some(ward) = self.timers.pop(self.now) {
            match ward {
                Ward::Connection(conn) => self.check_connection(conn),
                Ward::Space(space) => self.check_space(space),
            }
        }
    }

    /// Sets the timer of a connection.
    pub(super) fn look_after(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let due = due(connection, &self.config);
        self.timers.set(Ward::Connection(conn), &mut connection.alarm, due);
    }

    /// Sets the timer of a space that nobody uses; others need none. Called wherever a space may become idle.
    pub(super) fn look_after_space(&mut self, id: &SpaceId) {
        let Some(space) = self.spaces.get_mut(id) else { return };
        if space.is_idle() {
            let due = space.used + ms(self.config.idle_unload);
            self.timers.set(Ward::Space(id.clone()), &mut space.alarm, due);
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

    fn check_space(&mut self, id: SpaceId) {
        let Some(space) = self.spaces.get_mut(&id) else { return };
        space.alarm.reset();
        if space.is_idle() && self.now >= space.used + ms(self.config.idle_unload) {
            self.spaces.remove(&id);
        } else {
            self.look_after_space(&id);
        }
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
