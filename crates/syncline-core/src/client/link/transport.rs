//! Which transport the connection is tried over: what has worked is kept to, and doubted only when it fails repeatedly.

use crate::client::{Transport, TransportPreference};

/// After so many attempts in a row that did not connect, a transport that has worked is doubted.
const DOUBT_AFTER: u32 = 4;
/// And one that worked the last time somebody was here.
const DOUBT_REMEMBERED_AFTER: u32 = 2;

/// See the [module](self).
pub(super) struct TransportChoice {
    preference: TransportPreference,
    current: Transport,
    /// The one that has worked, in this life of the client.
    proven: Option<Transport>,
    /// The other one has worked in its place, as it may have where both are cut off and one is tried when that is over.
    stood_in: bool,
    /// What the driver was told to remember.
    remembered: Option<Transport>,
    /// The platform believes to be offline: a failure says nothing of the transport.
    offline: bool,
    /// Attempts in a row that did not connect.
    refusals: u32,
}

impl TransportChoice {
    pub(super) fn new(preference: TransportPreference, remembered: Option<Transport>) -> Self {
        let current = match preference {
            TransportPreference::Auto => remembered.unwrap_or(Transport::WebSocket),
            TransportPreference::WebSocket => Transport::WebSocket,
            TransportPreference::Sse => Transport::Sse,
        };
        Self { preference, current, proven: None, stood_in: false, remembered, offline: false, refusals: 0 }
    }

    /// The one to use now.
    pub(super) fn current(&self) -> Transport {
        self.current
    }

    pub(super) fn set_offline(&mut self, offline: bool) {
        self.offline = offline;
    }

    /// It has brought a connection. One that stands in for another one is not preferred to it before it has done so twice
    /// in a row. Gives what is to be remembered from now on.
    pub(super) fn has_worked(&mut self) -> Option<Transport> {
        (self.refusals, self.offline) = (0, false);
        let stands_in = self.proven.is_some_and(|proven| proven != self.current);
        let did_before = std::mem::replace(&mut self.stood_in, stands_in);
        if stands_in && !did_before {
            return None;
        }
        (self.proven, self.stood_in) = (Some(self.current), false);
        let is_news = self.preference == TransportPreference::Auto
            && self.remembered.replace(self.current) != Some(self.current);
        is_news.then_some(self.current)
    }

    /// The connection failed, `connecting` or later. Says whether the next one, over the other transport, is to be tried at
    /// once: where WebSockets are refused nobody should wait for that.
    pub(super) fn has_failed(&mut self, connecting: bool) -> bool {
        let refused = connecting && !self.offline;
        self.refusals = self.refusals.saturating_add(u32::from(refused));
        let doubt_after = match self.remembered {
            _ if self.proven.is_some() => DOUBT_AFTER,
            Some(_) => DOUBT_REMEMBERED_AFTER,
            None => 1,
        };
        let switches = refused
            && self.preference == TransportPreference::Auto
            && self.refusals.is_multiple_of(doubt_after);
        match self.proven {
            // the other one was tried, or was a help until now
            Some(proven) if proven != self.current => self.current = proven,
            _ if switches => self.current = self.current.other(),
            _ => {}
        }
        switches && self.proven.is_none() && self.refusals == doubt_after
    }
}
