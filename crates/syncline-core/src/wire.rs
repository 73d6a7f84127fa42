//! The frames that travel between a Syncline client and a Syncline server.
//!
//! A frame is one or more lines of JSON. The first line is the message: an object with one key that names it. Frames
//! that carry rows have them below, one row a line. So a frame can be read by eye, a row is decoded straight into its
//! type, and the encoded row is the same bytes for every subscriber.
//!
//! ```text
//! {"changes":{"space":"list-42","from":41,"to":42,"parts":[{"sub":1,"put":[0]}]}}
//! {"id":"t1","text":"Milk","done":true}
//! ```

mod frame;
mod head;
mod held;
mod nesting;
mod packed;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use frame::encode_within;
pub use frame::{Frame, encode, parse_client};
pub use held::{Held, HeldChildren, MAX_HELD};
pub use nesting::{MAX_DEPTH, check_depth};
pub(crate) use nesting::{behind_text, hides_json, with_nothing_hidden};
pub use packed::EncodedRow;
pub(crate) use packed::{pack, push as push_row, push_for_its_type, rows as packed_rows, unpack};

use crate::error::{Error, code};
use crate::id::{ClientId, Cursor, SpaceId, UserId, Version, WriteId, is_zero};
use crate::query::QuerySpec;

/// The protocol version of this crate.
pub const PROTOCOL: u32 = 1;

/// The encoding that is always understood: JSON, in text messages where there are messages.
pub const JSON: &str = "json";

/// The same JSON in binary messages: a browser copies them into wasm as they are and need not transcode them.
pub const JSON_BYTES: &str = "json-bytes";

/// The same, and the rows of snapshots and resumes are [packed](EncodedRow::Packed): a third of the time to read, and two thirds of
/// the bytes. Everything else is JSON, the same bytes for all subscribers.
pub const PACKED: &str = "packed";

/// The largest `subscribe` without what it says is [held](Held), in bytes: a server keeps queries in memory as long as they
/// are watched.
pub const MAX_QUERY_BYTES: usize = 64 * 1024;

/// Why a longer one is refused.
pub(crate) fn query_too_long() -> Error {
    Error::new(code::BAD_QUERY, "a query is at most 64 KiB")
}

/// The number a client gives to a subscription; never used twice on one connection.
pub type SubId = u32;

/// What a client says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientMessage {
    /// The first frame of a connection.
    Hello(Hello),
    /// Fresh credentials on the same connection, for the same person.
    Auth(Auth),
    /// Asks for a query's rows, now and from now on.
    Subscribe(Subscribe),
    /// Ends a subscription.
    Unsubscribe(Unsubscribe),
    /// A write.
    Write(Write),
    /// Asks for a `pong` with the same number.
    Ping(u64),
    /// Answers a `ping`.
    Pong(u64),
}

/// See [`ClientMessage::Hello`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol version the client speaks.
    pub protocol: u32,
    /// The application's schema version.
    #[serde(default)]
    pub schema: u32,
    /// Who writes on this connection.
    pub client: ClientId,
    /// The encodings the client reads, best first; [`JSON`] is always understood.
    #[serde(default)]
    pub encodings: Vec<String>,
    /// Credentials, when they are not in a cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// See [`ClientMessage::Auth`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Auth {
    /// The credentials; `None` asks the server to look at the connection's cookies again.
    pub token: Option<String>,
}

/// See [`ClientMessage::Subscribe`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscribe {
    /// The client's number for it.
    pub sub: SubId,
    /// What to watch.
    pub query: QuerySpec,
    /// Where the client stands, when it already holds rows of the query's result as of then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// Which rows it holds: to be said with a cursor where a [`Snapshot`] was `selective`, and for queries with a limit
    /// or relations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

/// See [`ClientMessage::Unsubscribe`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unsubscribe {
    /// The subscription.
    pub sub: SubId,
}

/// The one envelope of every intent: who, which one, what kind, with what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Write {
    /// The space it is for.
    pub space: SpaceId,
    /// Whose sequence it belongs to.
    pub client: ClientId,
    /// Its number in that sequence, in this space: 1, 2, 3, …
    pub id: WriteId,
    /// The client has the verdicts of all writes up to this one; the server may forget them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub settled: WriteId,
    /// The kind: `rows` or `action`.
    pub kind: Box<str>,
    /// What a write of this kind carries.
    pub payload: Box<RawValue>,
}

/// A [`ClientMessage::Write`] as it is sent: its parts stay where they are.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Sent<'a> {
    Write(&'a SentWrite<'a>),
}

/// See [`Write`].
#[derive(Serialize)]
pub(crate) struct SentWrite<'a> {
    pub(crate) space: &'a SpaceId,
    pub(crate) client: &'a ClientId,
    pub(crate) id: WriteId,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) settled: WriteId,
    pub(crate) kind: &'a str,
    pub(crate) payload: &'a RawValue,
}

impl SentWrite<'_> {
    /// The frame.
    pub(crate) fn encode(&self) -> Vec<u8> {
        // names and numbers take less than 128 more
        let around = self.space.as_str().len() + self.client.as_str().len() + 128;
        encode_within(&Sent::Write(self), around + self.payload.get().len())
    }
}

/// What a server says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerMessage {
    /// Answers `hello`; also an `auth` that was accepted.
    Welcome(Welcome),
    /// A chunk of a subscription's rows. Rows follow.
    Snapshot(Snapshot),
    /// A chunk of what a subscription missed since the cursor it came with. Rows follow.
    Resume(Resume),
    /// A run of versions of one space. Rows follow.
    Changes(Changes),
    /// The connection fell behind and was not told everything. What it holds of these subscriptions is out of date, and
    /// a fresh answer to each of them follows, as if it had been subscribed anew without a cursor. Writes that have not
    /// been acknowledged are to be sent again, as after a reconnect.
    Reset(Reset),
    /// A subscription failed, alone. It is closed.
    Failed(Failed),
    /// The credentials are missing, refused or no longer good; the connection waits for an `auth` and carries no data
    /// until it has a good one.
    Expired(Expired),
    /// The connection is of no use any more and ends.
    Error(Error),
    /// Asks for a `pong` with the same number.
    Ping(u64),
    /// Answers a `ping`.
    Pong(u64),
}

/// See [`ServerMessage::Welcome`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol version both speak.
    pub protocol: u32,
    /// Who the client is, as the server sees it.
    pub user: User,
    /// The encoding of the frames that follow, one of those in `hello`.
    pub encoding: String,
    /// The client pings when it has heard nothing for this long, ms.
    pub heartbeat_ms: u64,
    /// What the client must keep to.
    pub limits: Limits,
    /// The secret that names this connection in `POST /send`, where frames cannot travel both ways on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// A person, as an application's `authenticate` names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Stable and unique.
    pub id: UserId,
    /// For display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What one connection may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of one frame towards the server.
    pub frame_bytes: usize,
    /// Writes sent but not yet acknowledged.
    pub writes_in_flight: usize,
    /// Open subscriptions.
    pub subscriptions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame_bytes: 2 * 1024 * 1024, writes_in_flight: 256, subscriptions: 256 }
    }
}

/// See [`ServerMessage::Snapshot`]. Chunks come in order, 0, 1, 2, …; the rows count when the last one is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The subscription.
    pub sub: SubId,
    /// Where the client stands once it has all of it.
    pub cursor: Cursor,
    /// The number of this chunk.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub chunk: u32,
    /// The rows of all chunks together, children included.
    pub total: u64,
    /// No chunk follows.
    #[serde(default, skip_serializing_if = "is_false")]
    pub last: bool,
    /// What the result holds depends on who asks. To resume, the client has to say which rows it holds.
    #[serde(default, skip_serializing_if = "is_false")]
    pub selective: bool,
    /// The rows are packed, and these are the names of their fields: of those of the result, then of the children of each
    /// relation. Each row has its length before it, in bytes, doubled, and one more when it is packed, as a LEB128 number. Without names
    /// rows are JSON, one a line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Vec<Box<str>>>,
    /// The rows at the end of this chunk that are children, in runs; those before are the result itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Run>,
    /// How many children parents have; none where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<Count>,
    /// What became of the writes in the space, as of the cursor: of the client that said `hello`, and of every other
    /// one that has written there over this connection; nothing of one whose first write has not been handled. In the last chunk; what would make that too large follows in
    /// `changes` of the same version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<WriteState>,
}

/// See [`ServerMessage::Resume`]. Takes the place of a snapshot when the log reaches back to the client's cursor. Chunks
/// come in order, 0, 1, 2, …; all of it counts when the last one is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resume {
    /// The subscription.
    pub sub: SubId,
    /// Where the client stands once it has all of it. The rows below are now in the result; others that the client holds
    /// are as they were, but for those of `del` and `gone`.
    pub cursor: Cursor,
    /// The number of this chunk.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub chunk: u32,
    /// No chunk follows.
    #[serde(default, skip_serializing_if = "is_false")]
    pub last: bool,
    /// Keys that are not in the result, though the client may still hold them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub del: Vec<Box<str>>,
    /// The same, by their places in what the client said it [holds](Held): a server does not name a row to somebody who
    /// may not see it any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<u32>,
    /// As in a [`Snapshot`]: the rows are packed, and these are the names of their fields. One row alone is JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Vec<Box<str>>>,
    /// As in a [`Snapshot`]: the rows at the end that are children.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Run>,
    /// Children that the client held and is to let go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone_children: Vec<GoneChildren>,
    /// Counts that are others than the client said it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<Count>,
    /// As in a [`Snapshot`]: in the last chunk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<WriteState>,
}

/// So many rows in a row that are children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Which of the query's relations they belong to, counted from 0.
    pub relation: usize,
    /// How many rows.
    pub rows: usize,
}

/// Children to let go; see [`Resume`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneChildren {
    /// Which of the query's relations.
    pub relation: usize,
    /// Their places in what the client said it [holds](HeldChildren) of it.
    pub gone: Vec<u32>,
}

/// How many children a parent has that the client may see, whatever the relation's limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Which of the query's relations.
    pub relation: usize,
    /// The parent's key.
    pub parent: Box<str>,
    /// How many.
    pub n: u64,
}

/// What a server knows of one client's writes in one space. It stands for all the acknowledgements that may have been
/// lost on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteState {
    /// Whose writes.
    pub client: ClientId,
    /// All up to this one have been handled. Where there is much to be told, an earlier account says less than a later
    /// one.
    pub last: WriteId,
    /// Which of them were refused, among those the client had not yet settled; the others were applied. The server
    /// remembers at least as many as may be in flight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refusal>,
    /// What those of them gave back that were applied, gave something back, and that the client had not yet settled. The
    /// server remembers as many as may be in flight, of 1 MiB together; an older one is lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<WriteOutput>,
}

/// What a write gave back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WriteOutput {
    /// Which write.
    pub id: WriteId,
    /// What its handler gave.
    pub output: Box<RawValue>,
}

/// Equal when they say the same in the same words.
impl PartialEq for WriteOutput {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.output.get() == other.output.get()
    }
}

impl Eq for WriteOutput {}

/// A write that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which one.
    pub id: WriteId,
    /// Why.
    pub error: Error,
}

/// See [`ServerMessage::Changes`]. All of it counts at once or not at all.
///
/// The frames of one space make a chain. It begins with the first snapshot or resume of a subscription to the space
/// and lasts as long as the connection holds the rows of one: while it does, `from` is the `to` of the frame before,
/// or the version the chain began with. One from 0 to 0 without parts stands outside of it. A client that stands elsewhere has missed something and connects anew. While
/// it holds none, `from` says nothing. A snapshot within a chain is always of the version the chain stands at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changes {
    /// The space.
    pub space: SpaceId,
    /// Where the client stands before.
    pub from: Version,
    /// Where the client stands afterwards.
    pub to: Version,
    /// What it means for each subscription it touches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// Verdicts on writes sent over this connection, in the order of their ids, but for those with `expected` or `uncounted`:
    /// these may come before others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acks: Vec<Ack>,
    /// After a `reset`, for spaces without a subscription: what became of the writes sent over this connection. Also
    /// what did not fit into the snapshot or resume before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<WriteState>,
}

impl Changes {
    /// Nothing happened from one version to another, so far.
    pub fn new(space: SpaceId, from: Version, to: Version) -> Self {
        Self { space, from, to, parts: Vec::new(), acks: Vec::new(), writes: Vec::new() }
    }
}

/// The rows of a [`Changes`] frame that one subscription gains, changes and loses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The subscription.
    pub sub: SubId,
    /// Rows now in its result, by the number of their line below, counted from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub put: Vec<usize>,
    /// Keys no longer in its result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub del: Vec<Box<str>>,
    /// The same of children.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<RelatedPart>,
    /// How many children parents have now, where that has changed. A parent that comes into the result has none until
    /// something else is said; of one that leaves it, nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<Count>,
}

/// The children that come and go in one relation of a subscription. Those of a parent that leaves the result are named
/// like all others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelatedPart {
    /// Which of the query's relations, counted from 0.
    pub relation: usize,
    /// Children now in the result, by the number of their line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub put: Vec<usize>,
    /// Keys of children no longer in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub del: Vec<Box<str>>,
}

/// The answer to one write.
///
/// Without `expected` it is the verdict, and final: the write was applied (no `error`) or refused, and its id is used
/// up. With `expected` the write was *not handled* and its id is free: the client keeps it and sends again, from the
/// write with that id. The codes of that are `write_gap` (an earlier one is missing: send again at once), `storage`
/// (it could not be stored, nothing was changed: later) and `too_many` (more than the limits allow: later).
///
/// A final refusal that is `uncounted` leaves the id free as well: the server keeps nothing of it.
///
/// An `expected` below everything the client still holds comes from a server that has lost part of its memory (a
/// database restored from an older copy): the client numbers what it holds anew, from there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ack {
    /// Whose write it is.
    pub client: ClientId,
    /// Which one.
    pub id: WriteId,
    /// Why it was refused or not handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// The write was not handled; the id to send again from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<WriteId>,
    /// What an action that was applied gives back; nothing where that is `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Box<RawValue>>,
    /// It was refused without being counted, as a write to a space is that its author may not open: the next write that
    /// is taken in has this id.
    #[serde(default, skip_serializing_if = "is_false")]
    pub uncounted: bool,
}

/// See [`ServerMessage::Reset`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// The subscriptions. Those not named go on as they are.
    pub subs: Vec<SubId>,
}

/// See [`ServerMessage::Failed`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failed {
    /// The subscription.
    pub sub: SubId,
    /// Why.
    pub error: Error,
}

/// See [`ServerMessage::Expired`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Expired {
    /// Why, when credentials were refused rather than grew old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

    use super::*;

    #[test]
    fn a_write_is_sent_as_the_message_that_it_is() {
        let payload = RawValue::from_string("{\"ops\":[]}".into()).unwrap();
        for settled in [0, 6] {
            let (space, client) = (SpaceId::from("list-42"), ClientId::from("client-1"));
            let sent =
                SentWrite { space: &space, client: &client, id: 7, settled, kind: "rows", payload: &payload };
            let bytes = sent.encode();
            let write =
                Write { space, client, id: 7, settled, kind: "rows".into(), payload: payload.clone() };
            assert_eq!(bytes, encode(&ClientMessage::Write(write), []));
        }
    }
}
