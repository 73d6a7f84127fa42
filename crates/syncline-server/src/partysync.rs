//! partysync's protocol, on the same engine: what speaks to a partysync server speaks to this one, unchanged.
//!
//! Every connection here is a connection of the engine with one subscription for each channel, so rights, windows, limits,
//! backpressure and the bound on connections are those of Syncline's own route, and so is the one log: what is done here is
//! seen by everybody else, and what they do is seen here.
//!
//! ```
//! use axum::Router;
//! use syncline_server::partysync::{Party, Partysync};
//! use syncline_server::{Memory, SpaceId, Syncline};
//! # use serde::{Deserialize, Serialize};
//! # use syncline_core::{Channel, Draft, Error, Record};
//! # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
//! # #[record(collection = "todos", key = id)]
//! # struct Todo { id: String, text: String, completed: u8 }
//! # #[derive(Serialize, Deserialize)]
//! # #[serde(tag = "type", content = "payload", rename_all = "snake_case")]
//! # enum TodoAction { Delete { id: String } }
//! # struct TodoChannel;
//! # impl Channel for TodoChannel {
//! #     const NAME: &'static str = "todos";
//! #     type Record = Todo;
//! #     type Action = TodoAction;
//! #     type Output = ();
//! #     type Error = Error;
//! #     fn reduce(_: &mut Draft<'_, Todo>, _: &TodoAction) {}
//! # }
//! # fn on_todo_action(_: &mut syncline_server::Tx<'_>, _: TodoAction, _: &syncline_server::Who<'_>) -> Result<(), Error> { Ok(()) }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let todos = Party::named("todos").rooms(|room| Some(SpaceId::new(format!("list-{room}"))));
//! let syncline = Syncline::builder()
//!     .storage(Memory::new())
//!     .channel::<TodoChannel>(on_todo_action)
//!     .partysync(Partysync::new().party(todos.channel::<TodoChannel>()))
//!     .build()
//!     .await?;
//! // ws://…/parties/todos/groceries
//! let app: Router = Router::new().nest("/sync", syncline.router()).nest("/parties", syncline.parties_router());
//! # Ok(())
//! # }
//! ```
//!
//! # Connecting
//!
//! `GET /{party}/{room}` becomes a WebSocket, or is refused with a status and `{"code", "message"}`: 404 for a party or room that
//! there is not, 401, 403, 426 for what is no WebSocket, 429, 503. Who it is comes from a cookie or an `Authorization: Bearer …`
//! header, by the builder's [`authenticate`](crate::Builder::authenticate). The query is not looked at: `_pk` is accepted and means nothing,
//! two sockets with one miss nothing of each other, and credentials in an address are none. Pages of other origins are
//! refused unless they are [allowed](crate::Builder::allowed_origins).
//!
//! # Messages
//!
//! JSON texts, here the client's (`>`) and the server's (`<`).
//!
//! ```text
//! > {"channel":C,"sync":true,"from":null | T}
//! < {"sync":true,"channel":C,"payload":[row…]}
//! > {"id":I,"channel":C,"rpc":true,"action":{"type":…,"payload":…}}
//! < {"type":"success","rpc":true,"channel":C,"id":I,"result":[row…]}        to the sender
//! < {"broadcast":true,"type":"update","channel":C,"payload":[row…]}         to all others
//! < {"broadcast":true,"type":"delete-all","channel":C}                      to all
//! < {"type":"error","rpc":true,"channel":C,"id":I,"error":[text],"code":code,"field":action,"data":data}
//! < {"type":"error","sync":true,"channel":C,"error":[text],"code":code}
//! < {"type":"exception","rpc":true,"exception":[text]}                      it was not understood
//! ```
//!
//! | field | what |
//! |---|---|
//! | `channel` | the name of a [channel](crate::Builder::channel) of the party. It is looked up in the list of those, and goes nowhere else |
//! | `from` | `null`, or what else is false to JavaScript, asks for everything. An `updated_at` that the server gave asks for what has changed since: a number of ms, or a text like `2026-11-20 08:57:48` (UTC; with `T`, a fraction, `Z`) |
//! | `id` | whatever the client likes, of at most 1 KiB; it comes back as it is |
//! | `action` | what the channel's action type reads: an enum with `#[serde(tag = "type", content = "payload")]` |
//! | `client`, `actionId` | optional, both or none: the client's own name (8 to 64 of `A–Z a–z 0–9 _ -`, random, its own) and the number of the action in its sequence in this room: 1, 2, 3, … |
//! | `result` | the rows of the channel that the action changed, as they are now; those that it deleted as tombstones |
//! | `payload` | the rows of a sync, or those that somebody else changed. Of an action that changed none it is empty |
//! | `error`, `exception` | one text for a person. Never SQL, never a path, and never what a panic said |
//! | `code` | the error's stable code |
//! | `field` | the action that the error is about, `todos/toggle`, unless the error names something itself |
//! | `data` | what the handler's own [error](Channel::Error) is as JSON, up to 16 KiB; left out where it was not the handler |
//!
//! A row is an array: the fields in the order of [`Record::FIELDS`](syncline_core::Record::FIELDS), then `created_at`,
//! `updated_at` and `deleted_at`, which is `null` for a row that is there. A *tombstone* is a row with a time there. Relations of the
//! channel's [`records`](Channel::records) are left out; its filter, order and limit hold.
//!
//! ## Times
//!
//! Fields of a record with these three names take these places and are not repeated. What such an `updated_at` says is the
//! application's word: a client that comes back asks with it for what is newer, so it should be [`Who::now`](crate::Who::now), of every change.
//! A row whose own `deleted_at` is set is a tombstone; a sync of everything leaves it out.
//!
//! Where a record has none, the server says, in Unix ms, when its log has the row changed last, and first. `updated_at` is exact as
//! long as the log reaches back to that change ([`log_retention`](syncline_core::space::Config::log_retention)); of rows that have not changed since, it is the time at
//! which the log begins. `created_at` is exact as long as the log reaches back to the row's beginning; otherwise it is
//! the oldest change that the log has of it, and after a restart that may also be one of an earlier row with the same key.
//! `updated_at` of one room never goes back, whatever the clock does. `deleted_at` of a tombstone is exact.
//!
//! ## Sync
//!
//! From `null` on, everything. From a time on, what has changed since, and tombstones of what was deleted since. Changes of the very
//! same time are told again where there were several of them, as the client may have some and not others.
//!
//! What cannot be told like that is told by a `delete-all` and everything: when the log does not reach back, when it is more than
//! fits into one [chunk](syncline_core::space::Config::chunk_bytes), or when [not everybody sees everything](crate::Visibility), as the keys of
//! deleted rows are not for everybody then. The same comes without having been asked for when a client read so slowly that what
//! waited for it was thrown away. A plain client need not do anything else than it always does: it empties its list and fills it.
//!
//! Of a deleted row the tombstone says what it was as long as that is remembered (1 MiB of a room, and not across restarts),
//! and otherwise its key alone: the other fields are `null`.
//!
//! ## Actions
//!
//! An action goes the way of all actions: through the channel's handler, as one change, answered once it is on disk. Without
//! `client` and `actionId` it is done at most once, and whether it was done is not known when the answer is lost. With them it is done exactly
//! once, however often it is sent, by whichever socket; who sends it again is told what came of it, with an empty `result`, as the rows come
//! with a sync. A number that skips one is refused (`write_gap`) and remains free, as may be one of somebody who may not be in the room (any more). A client
//! name belongs to the person who used it first.
//!
//! Others are told of each action by an `update`, also of one that changed nothing; of what other faces do, and of what changed rows
//! that they may not see, only when it changed something for them. One action has one `update`, with the rows as they are after all that was stored with it.
//!
//! `delete-all` is sent, to the sender before its `success`, when an action has deleted all rows there were, which were several, and
//! everybody sees all rows of the channel. Tombstones are then not needed and not sent. Where that is not so there are tombstones.
//!
//! # Bounds
//!
//! A message is at most [`frame_bytes`](syncline_core::wire::Limits::frame_bytes) long (2 MiB; the socket is closed with 1009) and 32 levels
//! deep (an `exception`). Of one client 64 requests are done at a time; further ones are not read before. What waits for a slow
//! reader is bounded as on Syncline's own route. The server pings a silent client and closes its socket when nothing comes back
//! ([`silence`](syncline_core::space::Config::silence)); browsers answer by themselves.
//!
//! A socket whose person may not be in the room any more is closed with **4003**; there is no use in connecting again. 1008: the
//! credentials are too old; 1001: the server stops; 1011 and others: try again later.
//!
//! For each room that somebody speaks partysync in, the server keeps the times of its rows in memory, about 100 bytes a row, and reads
//! the space from storage once more. What it knows then is kept for a minute after the last client has gone, of the last 32 such rooms.
//!
//! # What is different from partysync
//!
//! - Syncs tell of deletions.
//! - Everything is answered: an unknown channel, a message that is neither a sync nor a call, an action without an `id`.
//! - Errors have a `code`, and those of actions name the action.
//! - An action that deletes from a list that is empty changes nothing: there is no `delete-all`.
//! - A number in `from` is a time, even where rows have their times as text.
//! - Others are told of an action even when its sender hangs up at once.
//! - There are heartbeats, action ids and rights.

mod guest;
mod history;
mod layout;
mod moment;
mod reply;
mod request;
mod routes;
mod socket;
mod translation;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use syncline_core::space::Access;
use syncline_core::{Channel, Error, QuerySpec, Record as _, SpaceId, code};

use crate::config::Config;
use crate::partysync::history::Histories;
use crate::partysync::layout::Layout;

pub(crate) use history::{Following, History, Recalled};
pub(crate) use routes::router;

type Rooms = Arc<dyn Fn(&str) -> Option<SpaceId> + Send + Sync>;

/// The parties that clients may name.
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct Partysync {
    parties: Vec<Party>,
}

impl Partysync {
    /// No party yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A party; others are unknown (404).
    pub fn party(mut self, party: Party) -> Self {
        self.parties.push(party);
        self
    }
}

/// A kind of rooms, by the name that stands in front of the room's in the address.
#[must_use]
#[derive(Clone)]
pub struct Party {
    name: String,
    rooms: Rooms,
    /// All that the server has, when none is named.
    channels: Vec<&'static str>,
}

impl Party {
    /// A party whose rooms are spaces by their own names, in which all of the server's channels are spoken. Where there is
    /// no channel, there is no room either (404).
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), rooms: Arc::new(|room| Some(SpaceId::from(room))), channels: Vec::new() }
    }

    /// Which space a room is; `None` for a name that is no room's (404). Whether it may be opened is up to the [rule of
    /// spaces](crate::Builder::spaces), as always.
    ///
    /// ```
    /// use syncline_server::SpaceId;
    /// use syncline_server::partysync::Party;
    ///
    /// let todos = Party::named("todos").rooms(|room| Some(SpaceId::new(format!("list-{room}"))));
    /// ```
    pub fn rooms(mut self, rooms: impl Fn(&str) -> Option<SpaceId> + Send + Sync + 'static) -> Self {
        self.rooms = Arc::new(rooms);
        self
    }

    /// Only this channel, and others that are named so. Each client is told of all channels of its party: name those that
    /// are meant for it where the server has more.
    pub fn channel<C: Channel>(mut self) -> Self {
        self.channels.push(C::NAME);
        self
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, channels, .. } = self;
        f.debug_struct("Party").field("name", name).field("channels", channels).finish_non_exhaustive()
    }
}

/// What is to be known of a channel to speak of it.
#[derive(Clone, Copy)]
pub(crate) struct Spoken {
    name: &'static str,
    collection: &'static str,
    layout: fn() -> Layout,
    records: fn(SpaceId) -> QuerySpec,
}

impl Spoken {
    pub(crate) fn of<C: Channel>() -> Self {
        Self {
            name: C::NAME,
            collection: C::Record::COLLECTION,
            layout: || Layout::new(C::Record::FIELDS, C::Record::KEY_FIELD),
            // children are nothing that a client of partysync knows of
            records: |space| QuerySpec { relations: Vec::new(), ..C::records(space).spec().clone() },
        }
    }
}

/// A channel as a party speaks of it.
struct Spoke {
    name: &'static str,
    /// Its number in histories.
    collection: usize,
    layout: Layout,
    records: fn(SpaceId) -> QuerySpec,
    /// Everybody who may enter sees all of its rows.
    is_open: bool,
}

/// The channels of a party, by name.
type Spokes = Arc<[Spoke]>;

/// The face as it runs.
pub(crate) struct Face {
    parties: BTreeMap<String, (Rooms, Spokes)>,
    histories: Histories,
}

impl Face {
    /// # Errors
    /// `bad_config`, `unknown_channel`.
    pub(crate) fn new(
        settings: Partysync,
        spoken: &BTreeMap<&'static str, Spoken>,
        access: &dyn Access,
        config: &Config,
    ) -> Result<Self, Error> {
        let bad = |message: String| Error::new("bad_config", message).with_field("partysync");
        let mut collections: Vec<_> = spoken.values().map(|spoken| spoken.collection).collect();
        collections.sort_unstable();
        collections.dedup();
        let histories = Histories::new(collections, config);
        let mut parties = BTreeMap::new();
        for Party { name, rooms, channels } in settings.parties {
            let channels = if channels.is_empty() { spoken.keys().copied().collect() } else { channels };
            let spoke = |channel: &str| {
                let unknown = || {
                    let message = format!("the party {name:?} speaks of a channel that is not there");
                    Error::new(code::UNKNOWN_CHANNEL, message).with_field(channel)
                };
                let Spoken { name, collection, layout, records } =
                    *spoken.get(channel).ok_or_else(unknown)?;
                let number = histories.collection(collection).ok_or_else(unknown)?;
                let is_open = access.reads_everything(collection);
                Ok(Spoke { name, collection: number, layout: layout(), records, is_open })
            };
            let spokes: Spokes = channels.into_iter().map(spoke).collect::<Result<Vec<_>, Error>>()?.into();
            if spokes.len() + guest::IN_FLIGHT > config.engine.limits.subscriptions {
                return Err(bad(format!(
                    "the party {name:?} has more channels than a connection has subscriptions"
                )));
            }
            if parties.insert(name.clone(), (rooms, spokes)).is_some() {
                return Err(bad(format!("there is more than one party {name:?}")));
            }
        }
        Ok(Self { parties, histories })
    }
}
