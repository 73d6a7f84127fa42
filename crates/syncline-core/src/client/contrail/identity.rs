//! Who looks at a service. It does not say so itself: the application does.

use std::time::Duration;

use crate::client::core::ClientCore;
use crate::client::link::Event;
use crate::client::session::Session;
use crate::id::UserId;

impl ClientCore {
    /// Says who is here, where the server is a contrail service or speaks partysync; one of Syncline's own says so itself,
    /// and then this does nothing.
    ///
    /// When it is somebody else than before, nothing of that person may be seen or sent any more: rows go, and what waits on
    /// top of them, and every stream begins again, with what was kept of this person. With `None` nothing is kept. Rooms are
    /// left and entered again; what waited there is `foreign_client`.
    pub fn set_identity(&mut self, now: Duration, user: Option<UserId>) {
        self.identify_in_rooms(now, user.as_ref());
        let Some(streams) = self.streams.as_ref().filter(|streams| !streams.closed) else { return };
        if self.cache.assumed() == user.as_ref() {
            return;
        }
        let ids = streams.streams.keys().copied().collect();
        // what they have seen is still theirs
        self.store(now, true);
        self.cache.identify(user);
        self.end_streams(ids);
        if let Some(streams) = &mut self.streams {
            streams.last_error = None;
        }
        self.forget_person();
        let asks = |session: &Session| session.is_without_rows() && !session.watches.is_empty();
        let asking = self.sessions.iter().filter(|(_, session)| asks(session));
        let asking: Vec<_> = asking.map(|(&id, _)| id).collect();
        for id in asking {
            self.load(now, id);
        }
        self.after(now, Event::None, Vec::new());
    }
}
