//! What the engine knows of one connection.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::id::{ClientId, Cursor};
use crate::query::{CompiledQuery, CompiledRelation, QuerySpec};
use crate::space::access::Access;
use crate::space::families::RelationKey;
use crate::space::feed::Feed;
use crate::space::io::ConnId;
use crate::space::request::Request;
use crate::space::shape::ShapeKey;
use crate::space::timers::Alarm;
use crate::space::writers::Writers;
use crate::wire::{Held, PACKED, SubId, User};

/// All of them. Boxed: numbers that only grow leave the nodes of a map half empty.
pub(super) type Connections = BTreeMap<ConnId, Box<Connection>>;

/// One connection.
pub(super) struct Connection {
    /// The secret told in `welcome`.
    pub(super) link: Option<String>,
    /// `None` until it says hello.
    pub(super) session: Option<Session>,
    /// Boxed: a map has room for eleven as soon as there is one.
    pub(super) subs: BTreeMap<SubId, Box<Subscription>>,
    pub(super) feed: Feed,
    pub(super) writers: Writers,
    /// Its writes that are not yet answered, and their bytes.
    pub(super) writes: usize,
    pub(super) write_bytes: usize,
    /// What it asked for while it was not authenticated, each with its size.
    pub(super) waiting: VecDeque<(Request, usize)>,
    /// When it was made.
    pub(super) since: u64,
    /// When a frame last came from it.
    pub(super) heard: u64,
    /// It was pinged since.
    pub(super) pinged: bool,
    pub(super) alarm: Alarm,
}

/// Who is at the other end.
pub(super) struct Session {
    /// The client that said hello.
    pub(super) client: ClientId,
    /// How frames travel to it.
    pub(super) encoding: &'static str,
    /// The person, once known; for good, though their name may change.
    pub(super) user: Option<Arc<User>>,
    /// The credentials are good, so data may flow.
    pub(super) good: bool,
    /// The driver has been asked and has not answered yet.
    pub(super) asked: bool,
    /// Newer credentials that came while it was asked.
    pub(super) newer: Option<Option<String>>,
    /// How often in a row credentials were refused.
    pub(super) refusals: u32,
    /// When good credentials grow old, or until when they must come. Unix ms.
    pub(super) until: Option<u64>,
}

/// One subscription of a connection.
pub(super) struct Subscription {
    pub(super) spec: QuerySpec,
    pub(super) collection: &'static str,
    pub(super) query: Arc<CompiledQuery>,
    pub(super) relations: Vec<(RelationKey, Arc<CompiledRelation>)>,
    /// Where the client stood when it subscribed; taken by the first answer.
    pub(super) cursor: Option<Cursor>,
    /// The rows it held then; taken by the first answer.
    pub(super) holds: Holds,
    /// The shape whose changes it is told; `None` as long as an answer is owed.
    pub(super) shape: Option<ShapeKey>,
}

/// The rows that a client holds.
#[derive(Default)]
pub(super) enum Holds {
    /// It did not say.
    #[default]
    Unsaid,
    Said(Held),
    /// It said more than is remembered: it is sent all rows.
    TooMuch,
}

impl Holds {
    /// How many keys are remembered.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Said(held) => held.len(),
            Self::Unsaid | Self::TooMuch => 0,
        }
    }
}

impl Subscription {
    /// Whether what the result holds depends on who asks.
    pub(super) fn is_selective(&self, access: &dyn Access) -> bool {
        let children = self.relations.iter().map(|(key, _)| key.children.collection);
        std::iter::once(self.collection)
            .chain(children)
            .any(|collection| !access.reads_everything(collection))
    }
}

impl Connection {
    pub(super) fn new(link: Option<String>, feed: Feed, writers: Writers, now: u64) -> Self {
        Self {
            link,
            session: None,
            subs: BTreeMap::new(),
            feed,
            writers,
            writes: 0,
            write_bytes: 0,
            waiting: VecDeque::new(),
            since: now,
            heard: now,
            pinged: false,
            alarm: Alarm::default(),
        }
    }

    /// Whether the client reads packed rows.
    pub(super) fn packs(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.encoding == PACKED)
    }

    /// Who may be given data; `None` while nobody is.
    pub(super) fn user(&self) -> Option<&Arc<User>> {
        let session = self.session.as_ref().filter(|session| session.good)?;
        session.user.as_ref()
    }
}
