//! What storage keeps of a space, and what one commit changes of it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::id::{ClientId, Incarnation, Key, SpaceId, UserId, Version, WriteId};
use crate::wire::{Refusal, WriteOutput};

/// A space as storage has it.
#[derive(Clone, Debug, Default)]
pub struct SpaceImage {
    /// The id of its history; `None` when nothing was ever committed to it.
    pub incarnation: Option<Incarnation>,
    /// The last version.
    pub version: Version,
    /// All rows, in any order.
    pub rows: Vec<StoredRow>,
    /// The newest entries of the log, in the order of their versions, without gaps, up to `version`. How many is
    /// storage's choice: clients whose cursor is older load all rows.
    pub log: Vec<LogEntry>,
    /// Everyone who ever wrote here.
    pub clients: Vec<ClientRecord>,
}

/// A row as storage has it.
#[derive(Clone, Debug)]
pub struct StoredRow {
    /// Its collection.
    pub collection: String,
    /// Its key.
    pub key: String,
    /// The version that wrote it last.
    pub version: Version,
    /// Its encoding.
    pub json: Vec<u8>,
}

/// The client that a [`LogEntry`] names where an action was done from inside the process and has no number. No client from
/// outside can be called that.
pub const INSIDE: &str = "inside";

/// What one write did to a space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The version it made.
    pub version: Version,
    /// Whose write it was; [`INSIDE`] when nobody sent it.
    pub client: ClientId,
    /// Which one; 0 when it has no number.
    pub write: WriteId,
    /// The person behind it.
    pub user: UserId,
    /// When, in Unix ms.
    pub at: u64,
    /// Its kind.
    pub kind: String,
    /// The rows it put or deleted, as collection and key.
    pub touched: Vec<(String, String)>,
}

/// How far a client's writes have come in a space: what makes a write that is sent twice happen once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRecord {
    /// The client.
    pub client: ClientId,
    /// The person who used it first; nobody else may.
    pub user: UserId,
    /// All writes up to this one have been handled.
    pub last: WriteId,
    /// Those of them that were refused and that the client has not said to have heard of, by id.
    pub refused: Vec<Refusal>,
    /// What those of them gave back that were applied, likewise, by id.
    pub outputs: Vec<WriteOutput>,
    /// When it last wrote, in Unix ms.
    pub seen: u64,
}

/// What a batch of writes changes in a space: to be stored as a whole or not at all, and to be reported as
/// [`Committed`](crate::space::Input::Committed) only when it would survive the loss of power.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The engine's number for it.
    pub id: u64,
    /// The space.
    pub space: SpaceId,
    /// The id of its history; new when storage has none.
    pub incarnation: Incarnation,
    /// The id that storage has, where it is to be replaced by `incarnation`: clients hold versions of that history which
    /// storage has lost, as happens when a database is restored from a copy.
    pub renews: Option<Incarnation>,
    /// The version in storage.
    pub from: Version,
    /// The version afterwards; the same when all writes of the batch were refused and only counters moved.
    pub to: Version,
    /// The rows put and deleted, each key once.
    pub rows: Vec<RowChange>,
    /// One entry for each version from `from + 1` to `to`.
    pub log: Vec<LogEntry>,
    /// The clients whose counters moved, whole.
    pub clients: Vec<ClientRecord>,
    /// Clients that have not written for so long that nothing is kept of them any more; none of those above.
    pub forgotten: Vec<ClientId>,
    /// Work that actions have left, in the order in which they did.
    pub jobs: Vec<NewJob>,
    /// Log entries of this version and below are of no use any more.
    pub log_floor: Version,
}

/// A row put or deleted by a [`Commit`].
#[derive(Clone, Debug)]
pub struct RowChange {
    /// Its collection.
    pub collection: &'static str,
    /// Its key.
    pub key: Key,
    /// The version that did it.
    pub version: Version,
    /// Its encoding; `None` when it was deleted.
    pub json: Option<Arc<[u8]>>,
    /// Its encoding before the commit, when it was there: not to be stored, but to be told of.
    pub before: Option<Arc<[u8]>>,
}

/// A [`Job`](crate::tx::Job) to be kept until it is done.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its id, for ever.
    pub id: JobId,
    /// The name of the handler that does it.
    pub name: Box<str>,
    /// What the handler is given.
    pub payload: Box<RawValue>,
    /// The person whose action left it.
    pub user: UserId,
    /// When that was, in Unix ms.
    pub at: u64,
}

/// The id of a job: which of those that one version of a space's history left. No other job of any space has it, but for one
/// of a history that went on from an older copy of a database without being [renewed](Commit::renews).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId {
    /// The space's history.
    pub incarnation: Incarnation,
    /// The version that left it.
    pub version: Version,
    /// Its place among those, from 0.
    pub index: u32,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.incarnation, self.version, self.index)
    }
}
