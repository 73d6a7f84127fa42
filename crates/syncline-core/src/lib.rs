//! The sans-IO heart of Syncline.
//!
//! # The invariant
//!
//! Nothing in this crate reads a clock, opens a socket, starts a task or draws a random number. Whoever drives it
//! calls [`handle`](client::ClientCore::handle) with the time and one input, then drains the outputs until there is none:
//! what they say is all that has to be done. The same inputs and the same seed give the same outputs.
//!
//! # The canonical loop
//!
//! The client's ([`client`]) and the server's ([`space`]) are driven alike:
//!
//! 1. feed what happened, `core.handle(now, input)`, or call one of the methods with which an application acts;
//! 2. `while let Some(output) = core.poll_output()`, do what it says;
//! 3. sleep until `core.deadline()` or until something happens; then start again.
//!
//! # What is where
//!
//! Shared by both ends: rows and their fields ([`record`]), queries ([`query`]), channels and their actions ([`channel`]), what
//! writes write into ([`tx`], [`draft`]), the frames of the wire ([`wire`]). The client's half is [`client`]: link, sessions, base and overlay, views. The server's half is
//! [`space`]: working set, versions, log, subscriptions.

pub mod channel;
pub mod client;
pub mod diff;
pub mod draft;
pub mod error;
mod fields;
pub mod id;
mod one_line;
pub mod ops;
pub mod query;
mod read_json;
pub mod record;
mod rng;
pub mod scalar;
pub mod schema;
pub mod space;
pub mod tx;
pub mod wire;

pub use channel::{ActionError, Channel, ChannelQuery};
pub use diff::{Diff, Entry, RelatedDiff, RowState};
pub use draft::Draft;
pub use error::{Error, code};
pub use id::{ClientId, Cursor, Incarnation, Key, SpaceId, UserId, Version, WriteId};
pub use query::{Direction, Filter, OrderBy, Query, QuerySpec, Relation, RelationSpec};
pub use record::{Field, FieldDef, Record};
pub use scalar::{Scalar, ScalarRef};
pub use schema::{CollectionDef, Schema};
pub use tx::Tx;

#[cfg(feature = "derive")]
pub use syncline_macros::Record;

/// What the code that `#[derive(Record)]` writes refers to.
#[doc(hidden)]
pub mod __private {
    pub use crate::record::{Field, FieldDef, Record};
    pub use crate::scalar::{ScalarRef, ToScalar};
}
