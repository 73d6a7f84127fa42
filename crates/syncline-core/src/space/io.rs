//! What goes into the engine and what comes out of it.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::channel::ActionPayload;
use crate::error::Error;
use crate::id::{ClientId, SpaceId, UserId, Version, WriteId};
use crate::space::image::{Commit, SpaceImage};
use crate::wire::User;

/// The number the driver gives to a connection; never used twice.
pub type ConnId = u64;

/// The number the driver gives to an action of its own; never used twice.
pub type CallId = u64;

/// Something that happened. What concerns a connection or space that the engine no longer knows is ignored, so a
/// driver need not mind what crosses on the way.
#[derive(Debug)]
pub enum Input {
    /// A connection was made.
    Connected {
        /// Its number.
        conn: ConnId,
        /// The secret to be told in `welcome`, where frames cannot travel both ways on one connection.
        link: Option<String>,
    },
    /// A frame came. One over `Limits::frame_bytes` may be fed too, so that it can be refused by name; the driver
    /// ends the connection only when it is larger than it wants to hold in memory.
    Frame {
        /// Where.
        conn: ConnId,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Answers [`Output::Authenticate`].
    Authenticated {
        /// Who was to be authenticated.
        conn: ConnId,
        /// Who they are. With code `unauthenticated` the client may try again with other credentials; any other
        /// error ends the connection.
        result: Result<Identity, Error>,
    },
    /// Everything handed over for this connection, up to the [`Output::Send`] that asked, has left. Also said once
    /// after `Lagged`, as soon as the connection can take frames again.
    Drained {
        /// Which.
        conn: ConnId,
    },
    /// So much waited for this connection that the driver threw away all its [`lossy`](Output::Send::lossy) frames.
    /// From then until it has fed this, it must throw away further ones too.
    Lagged {
        /// Which.
        conn: ConnId,
    },
    /// A connection is gone. Not needed after [`Output::Close`].
    Disconnected {
        /// Which.
        conn: ConnId,
    },
    /// Answers [`Output::Load`].
    Loaded {
        /// The space.
        space: SpaceId,
        /// What storage has of it; an empty image when it has nothing.
        result: Result<SpaceImage, Error>,
    },
    /// Answers [`Output::Commit`].
    Committed {
        /// The space.
        space: SpaceId,
        /// The number of the commit.
        commit: u64,
        /// An error says for certain that nothing was stored. With code `conflict` storage has another version than the
        /// commit was made for, and the space is loaded anew.
        result: Result<(), Error>,
    },
    /// Somebody may enter or see other things than before, by what the application knows: everything that they are
    /// shown is looked at anew.
    RightsChanged {
        /// Who.
        user: UserId,
    },
    /// An action from inside the process: a job, an HTTP handler. It waits for its turn like any write, and is answered
    /// by [`Output::Acted`].
    Act {
        /// The number of the answer.
        call: CallId,
        /// Who is said to act.
        user: User,
        /// Where.
        space: SpaceId,
        /// With a place in a client's sequence it happens once, and whoever acts again under it is told what came of it
        /// then. An id that no client from outside can have (it is not [checked](ClientId::checked)) keeps those from
        /// coming first.
        write: Option<(ClientId, WriteId)>,
        /// What is to be done.
        action: ActionPayload,
    },
    /// The time that [`Engine::deadline`](crate::space::Engine::deadline) asked for has come.
    Tick,
    /// The server is to stop: nothing more is taken in, the writes that have been are committed and acknowledged,
    /// then every connection is closed.
    Shutdown,
}

/// Who somebody is, and for how long the proof is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The person.
    pub user: User,
    /// When fresh credentials are needed, in Unix ms.
    pub expires_at: Option<u64>,
}

impl From<User> for Identity {
    fn from(user: User) -> Self {
        Self { user, expires_at: None }
    }
}

/// Something to be done.
#[derive(Debug)]
pub enum Output {
    /// Find out who this is, from the token or, when there is none, from the cookies the connection came with; then
    /// feed [`Input::Authenticated`].
    Authenticate {
        /// The connection.
        conn: ConnId,
        /// What the client sent.
        token: Option<String>,
    },
    /// Hand this frame to a connection, in order.
    Send {
        /// The connection.
        conn: ConnId,
        /// The frame; connections that are told the same share one.
        frame: Arc<[u8]>,
        /// May be thrown away when too much waits for this connection, together with all other lossy frames (see
        /// [`Input::Lagged`]). A connection that is over its bound without any of them is to be closed.
        lossy: bool,
        /// Feed [`Input::Drained`] once this one has left. A `Lagged` meanwhile makes up for it.
        drained: bool,
    },
    /// End a connection, once what was handed over before has left or has waited long enough.
    Close {
        /// The connection; the engine has forgotten it.
        conn: ConnId,
        /// Why; `None` when the client is to blame for nothing and simply gone.
        error: Option<Error>,
    },
    /// Read a space from storage, then feed [`Input::Loaded`].
    Load {
        /// The space.
        space: SpaceId,
    },
    /// Store this, then feed [`Input::Committed`]. There is never a second one for a space before the answer.
    Commit(Box<Commit>),
    /// What came of [`Input::Act`]. An action that was not looked at leaves no trace and may be tried again under the same
    /// number: the codes of that are `storage`, `too_many`, `write_gap` and `connection`, and whatever refuses to open
    /// the space. Every other error is final.
    Acted {
        /// Which.
        call: CallId,
        /// A version that has what it did, and what the handler gave back.
        result: Result<(Version, Option<Box<RawValue>>), Error>,
    },
    /// A stored row cannot be read: for the server's log. It stays in storage as it is, is shown to nobody, and puts and
    /// deletes of it are refused with `unreadable_row`, as long as the space is in memory.
    Unreadable {
        /// The space.
        space: SpaceId,
        /// The row's collection.
        collection: String,
        /// The row's key.
        key: String,
        /// What is wrong, without any of the row's contents.
        code: &'static str,
    },
}

/// What the engine holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Connections, whether or not they have said hello.
    pub connections: usize,
    /// Open subscriptions of all connections.
    pub subscriptions: usize,
    /// Spaces in memory, or being loaded.
    pub spaces: usize,
    /// Writes that were received and are not yet acknowledged.
    pub writes_waiting: usize,
}
