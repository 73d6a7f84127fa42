//! Hello, credentials, and what follows from who somebody is.

use std::sync::Arc;

use crate::error::{Error, code};
use crate::id::{ClientId, UserId};
use crate::space::connection::{Connection, Session, Subscription};
use crate::space::engine::Engine;
use crate::space::engine::clock::ms;
use crate::space::io::{ConnId, Identity, Output};
use crate::wire::{Auth, Expired, Hello, JSON, JSON_BYTES, PACKED, PROTOCOL, ServerMessage, SubId, Welcome};

/// How often in a row credentials may be refused.
const MAX_REFUSALS: u32 = 3;

impl Engine {
    /// The first frame of a connection.
    pub(super) fn hello(&mut self, conn: ConnId, hello: Hello) {
        if hello.protocol != PROTOCOL {
            let text = format!("this server speaks version {PROTOCOL} of the protocol");
            return self.end(conn, Error::new(code::UNSUPPORTED_PROTOCOL, text));
        }
        if let Err(error) = ClientId::checked(hello.client.as_str()) {
            return self.end(conn, error);
        }
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.session = Some(Session {
            client: hello.client,
            encoding: encoding(&hello.encodings, connection.link.is_some()),
            user: None,
            good: false,
            asked: true,
            newer: None,
            refusals: 0,
            until: Some(self.now + ms(self.config.hello_within)),
        });
        self.outputs.push_back(Output::Authenticate { conn, token: hello.token });
        self.look_after(conn);
    }

    /// Fresh credentials.
    pub(super) fn auth(&mut self, conn: ConnId, auth: Auth) {
        let Some(session) = self.connections.get_mut(&conn).and_then(|it| it.session.as_mut()) else {
            return;
        };
        if session.asked {
            session.newer = Some(auth.token);
        } else {
            session.asked = true;
            self.outputs.push_back(Output::Authenticate { conn, token: auth.token });
        }
    }

    pub(super) fn authenticated(&mut self, conn: ConnId, result: Result<Identity, Error>) {
        let Some(session) = self.connections.get_mut(&conn).and_then(|it| it.session.as_mut()) else {
            return;
        };
        if !std::mem::take(&mut session.asked) {
            return;
        }
        if let Some(token) = session.newer.take() {
            // the newest credentials decide
            session.asked = true;
            self.outputs.push_back(Output::Authenticate { conn, token });
            return;
        }
        let expired = |identity: &Identity| identity.expires_at.is_some_and(|at| at <= self.now);
        match result {
            Ok(identity) if expired(&identity) => {
                self.refuse(conn, Error::new(code::UNAUTHENTICATED, "the credentials have expired"));
            }
            Ok(identity) => self.accept(conn, identity),
            Err(error) if error.is_unauthenticated() => self.refuse(conn, error),
            Err(error) => self.end(conn, error),
        }
    }

    fn accept(&mut self, conn: ConnId, identity: Identity) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let Some(session) = connection.session.as_mut() else { return };
        let user = Arc::new(identity.user);
        let before = session.user.replace(Arc::clone(&user));
        if before.as_ref().is_some_and(|before| before.id != user.id) {
            let text = "these are the credentials of somebody else, who needs a connection of their own";
            return self.end(conn, Error::new(code::CONNECTION, text));
        }
        session.good = true;
        session.refusals = 0;
        session.until = identity.expires_at;
        let welcome = ServerMessage::Welcome(Welcome {
            protocol: PROTOCOL,
            user: (*user).clone(),
            encoding: session.encoding.to_owned(),
            heartbeat_ms: ms(self.config.heartbeat),
            limits: self.config.limits.clone(),
            link: connection.link.clone(),
        });
        connection.feed.control(&welcome, &mut self.outputs);
        self.look_after(conn);
        if let Some(before) = before {
            self.check_rights(conn, *before != *user);
        }
        self.resume(conn);
    }

    fn refuse(&mut self, conn: ConnId, error: Error) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let Some(session) = connection.session.as_mut() else { return };
        session.refusals += 1;
        if session.refusals >= MAX_REFUSALS {
            return self.end(conn, error);
        }
        if std::mem::take(&mut session.good) {
            session.until = Some(self.now + ms(self.config.hello_within));
        }
        connection.feed.hold();
        let expired = ServerMessage::Expired(Expired { error: Some(error) });
        connection.feed.control(&expired, &mut self.outputs);
        self.look_after(conn);
    }

    /// Somebody known has authenticated again: they may have lost or gained rights, and `changed` says that the rules
    /// may see somebody else in them.
    fn check_rights(&mut self, conn: ConnId, changed: bool) {
        let Some(connection) = self.connections.get(&conn) else { return };
        let access = &*self.access;
        let selective = || connection.subs.values().any(|subscription| subscription.is_selective(access));
        let other = changed && selective();
        if other || self.closed_to(connection).next().is_some() {
            self.show_anew(conn);
        }
    }

    /// The application knows that somebody's rights are others now.
    pub(super) fn rights_changed(&mut self, user: &UserId) {
        let is_theirs = |connection: &Connection| {
            let known = connection.session.as_ref().and_then(|session| session.user.as_ref());
            known.is_some_and(|known| known.id == *user)
        };
        let all = self.connections.iter();
        let theirs: Vec<_> =
            all.filter(|(_, connection)| is_theirs(connection)).map(|(&conn, _)| conn).collect();
        // all leave before one comes back: what is shown to several connections of a person is worked out once
        theirs.iter().for_each(|&conn| self.show_anew(conn));
        theirs.into_iter().for_each(|conn| self.pump(conn));
    }

    /// The subscriptions to spaces that the person at the other end may not open.
    fn closed_to<'a>(&'a self, connection: &'a Connection) -> impl Iterator<Item = (SubId, Error)> + 'a {
        let user = connection.session.as_ref().and_then(|session| session.user.as_ref());
        user.into_iter().flat_map(|user| {
            let refused =
                |subscription: &Subscription| self.access.open(user, &subscription.spec.space).err();
            connection.subs.iter().filter_map(move |(&sub, subscription)| Some((sub, refused(subscription)?)))
        })
    }

    /// Everything that a connection is shown is worked out anew; what it may not open any more fails.
    fn show_anew(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get(&conn) else { return };
        let lost: Vec<_> = self.closed_to(connection).collect();
        if let Some(connection) = self.connections.get_mut(&conn) {
            // what is on its way was made for the rights they had
            connection.feed.abandon();
        }
        self.fall_behind(conn);
        for (sub, error) in lost {
            self.fail(conn, sub, error);
        }
    }

    /// Goes on with what had to wait for good credentials.
    fn resume(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.feed.release(&mut self.outputs);
        while let Some(connection) = self.connections.get_mut(&conn)
            && let Some((request, bytes)) = connection.waiting.pop_front()
        {
            self.request(conn, request, bytes);
        }
        self.pump(conn);
    }
}

/// The client's first choice among what there is. An event stream, which is what a link belongs to, is text.
fn encoding(read: &[String], is_stream: bool) -> &'static str {
    let known = [JSON, JSON_BYTES, PACKED].into_iter().filter(|&encoding| encoding == JSON || !is_stream);
    let choice =
        |known: &&'static str| read.iter().position(|encoding| encoding == known).unwrap_or(usize::MAX);
    known.min_by_key(choice).unwrap_or(JSON)
}
