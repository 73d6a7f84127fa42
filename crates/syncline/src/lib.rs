//! The Syncline client: a live, optimistic store for the browser and for native programs.
//!
//! A [`Client`] watches queries and writes rows; what it shows is the server's confirmed rows with the person's own
//! writes on top, at once and without a round trip. See [`Client`] for a first example; `syncline-leptos` and
//! `syncline-dioxus` bring it into components.
//!
//! A client connects by itself, over a WebSocket or, where that is refused, over streaming fetch. In a browser its address
//! may be relative to the page. Natively it runs on tokio, and needs a whole address, `https://…`, or a
//! [`Connector`](transport::Connector) of the application's own; without either, as when an app is rendered on a server, it
//! stays [idle](Status::Idle) and does nothing at all.
//!
//! # A native program
//!
//! The same client, without a browser:
//!
#![cfg_attr(all(feature = "net", feature = "sqlite"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "net", feature = "sqlite")), doc = "```ignore")]
#![doc = include_str!("../examples/headless.rs")]
//! ```
//!
//! # Features
//!
//! | feature | natively | in a browser |
//! |---|---|---|
//! | `net`, by default | connects by itself: WebSockets and streaming fetch, TLS by rustls on ring | nothing: it has its own |
//! | `sqlite`, by default | [`storage`] in a file; compiles SQLite | nothing: there is IndexedDB |

mod action;
mod builder;
mod client;
mod connection;
pub mod contrail;
mod credentials;
mod driver;
pub mod hook;
mod notify;
pub mod partysync;
mod platform;
mod related;
mod shared;
#[cfg(any(test, target_arch = "wasm32", feature = "net"))]
mod sse_parser;
pub mod storage;
pub mod transport;
mod watch;
mod write;

pub use action::ActionHandle;
pub use builder::ClientBuilder;
pub use client::Client;
pub use connection::ConnectionChanges;
pub use credentials::IntoCredentials;
pub use platform::{BoxFuture, FrameSink, FrameStream, MaybeSend};
pub use related::Related;
pub use storage::CacheLimits;
pub use syncline_core::channel::{ActionError, Channel, ChannelQuery};
pub use syncline_core::client::{
    Backoff, ConnectionState, Export, Status, Transport, TransportPreference, WatchState,
};
pub use syncline_core::diff::{Diff, Entry, RelatedDiff, RowState};
pub use syncline_core::ops::{RowOp, RowOps};
pub use syncline_core::record::Record;
pub use syncline_core::scalar::ToScalar;
pub use syncline_core::wire::User;
pub use syncline_core::{
    ClientId, Direction, Draft, Error, Field, FieldDef, Filter, Key, OrderBy, Query, QuerySpec, Relation,
    Scalar, ScalarRef, SpaceId, UserId, Version, code,
};
/// `#[derive(Record)]`.
#[doc(inline)]
pub use syncline_macros::RecordOfSyncline as Record;
pub use watch::{Updates, Watch};
pub use write::{IntoError, WriteHandle};

#[doc(hidden)]
pub use syncline_core::__private;
