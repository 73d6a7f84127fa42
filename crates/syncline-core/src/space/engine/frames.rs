//! Frames from clients: what is asked, and whether it is time to ask it.

use crate::error::{Error, code};
use crate::space::connection::Connection;
use crate::space::engine::Engine;
use crate::space::io::ConnId;
use crate::space::request::Request;
use crate::wire::{ClientMessage, Limits, ServerMessage};

impl Engine {
    pub(super) fn frame(&mut self, conn: ConnId, bytes: &[u8]) {
        if self.stopping {
            return;
        }
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.heard = self.now;
        connection.pinged = false;
        let request = match Request::read(bytes, self.config.limits.frame_bytes) {
            Ok(request) => request,
            Err(error) => return self.end(conn, error),
        };
        match (&connection.session, request) {
            (None, Request::Message(ClientMessage::Hello(hello))) => self.hello(conn, hello),
            (None, _) | (Some(_), Request::Message(ClientMessage::Hello(_))) => {
                self.end(
                    conn,
                    Error::new(code::BAD_FRAME, "`hello` is the first message, and only the first"),
                );
            }
            (_, Request::Message(ClientMessage::Ping(number))) => {
                connection.feed.control(&ServerMessage::Pong(number), &mut self.outputs);
            }
            (_, Request::Message(ClientMessage::Pong(_))) => {}
            (_, Request::Message(ClientMessage::Auth(auth))) => self.auth(conn, auth),
            (_, request) if connection.user().is_some() => self.request(conn, request, bytes.len()),
            (_, request) => {
                connection.waiting.push_back((request, bytes.len()));
                if waits_too_long(connection, &self.config.limits) {
                    self.end(conn, Error::new(code::TOO_MANY, "too much was asked before authentication"));
                }
            }
        }
    }

    /// Does what somebody authenticated asks.
    pub(super) fn request(&mut self, conn: ConnId, request: Request, bytes: usize) {
        match request {
            Request::Message(ClientMessage::Subscribe(subscribe)) => self.subscribe(conn, subscribe),
            Request::Message(ClientMessage::Unsubscribe(unsubscribe)) => {
                self.unsubscribe(conn, unsubscribe.sub)
            }
            Request::Message(ClientMessage::Write(write)) => self.write(conn, write.into(), bytes),
            Request::BadSubscribe { sub, error } => self.fail(conn, sub, error),
            Request::BadWrite(envelope) => self.write(conn, envelope, bytes),
            Request::Message(
                ClientMessage::Hello(_)
                | ClientMessage::Auth(_)
                | ClientMessage::Ping(_)
                | ClientMessage::Pong(_),
            ) => {}
        }
    }
}

/// What waits for credentials is no more than what a client may have under way, and while nobody knows yet who it is, no more
/// than one frame holds.
fn waits_too_long(connection: &Connection, limits: &Limits) -> bool {
    let is_known = connection.session.as_ref().is_some_and(|session| session.user.is_some());
    let most = if is_known { 4 * limits.frame_bytes } else { limits.frame_bytes };
    let bytes: usize = connection.waiting.iter().map(|(_, bytes)| bytes).sum();
    connection.waiting.len() > limits.writes_in_flight + 2 * limits.subscriptions || bytes > most
}
