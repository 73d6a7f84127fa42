//! The space engine: the server's half of Syncline, without its sockets and its disk.
//!
//! # The invariant
//!
//! **What anyone is shown is what storage has.** A write changes nothing that can be seen, and is not acknowledged,
//! before the commit that carries it is reported as done. Then, in one step, its rows are the rows of the space, its
//! author's counter has moved, and everyone who watches is told: of each commit once, in order, only what they may
//! see, and only what they asked for. Whoever cannot be told in time is told less often, never less.
//!
//! The engine reads no clock, opens no socket, touches no disk and draws no random number. The same inputs and seed
//! give the same outputs.
//!
//! # The canonical loop
//!
//! 1. [`handle`](Engine::handle) what happened, with the time.
//! 2. [`poll_output`](Engine::poll_output) until there is none, and do what it says: hand frames to connections, ask
//!    who somebody is, read a space, store a commit. The answers are inputs again; they may take their time.
//! 3. Wait for the next thing to happen, or for the [`deadline`](Engine::deadline), which is an [`Input::Tick`].
//!
//! ```
//! use std::sync::Arc;
//! use syncline_core::record::AnyRow;
//! use syncline_core::space::{Access, Config, Engine, Identity, Input, Output};
//! use syncline_core::wire::User;
//! use syncline_core::{Error, Schema, SpaceId};
//!
//! struct Everyone;
//!
//! impl Access for Everyone {
//!     fn open(&self, _: &User, _: &SpaceId) -> Result<(), Error> {
//!         Ok(())
//!     }
//!     fn read(&self, _: &User, _: &SpaceId, _: &'static str, _: &dyn AnyRow) -> bool {
//!         true
//!     }
//!     fn write(
//!         &self, _: &User, _: &SpaceId, _: &'static str, _: Option<&dyn AnyRow>, _: Option<&dyn AnyRow>,
//!     ) -> Result<(), Error> {
//!         Ok(())
//!     }
//! }
//!
//! let mut engine = Engine::new(Config::default(), Schema::default(), Arc::new(Everyone), 42);
//! let now = 1_700_000_000_000;
//! engine.handle(now, Input::Connected { conn: 1, link: None });
//! let hello = br#"{"hello":{"protocol":1,"client":"tab-7f3a"}}"#;
//! engine.handle(now, Input::Frame { conn: 1, bytes: hello.to_vec() });
//! assert!(matches!(engine.poll_output(), Some(Output::Authenticate { conn: 1, .. })));
//!
//! let user = User { id: "ada".into(), name: None };
//! engine.handle(now, Input::Authenticated { conn: 1, result: Ok(Identity { user, expires_at: None }) });
//! let Some(Output::Send { conn: 1, frame, .. }) = engine.poll_output() else { panic!() };
//! assert!(frame.starts_with(br#"{"welcome":"#));
//! assert!(engine.poll_output().is_none());
//! ```
//!
//! # How it is made
//!
//! A space that somebody asks for is loaded into a *working set*: its rows, its log, its clients' counters. Writes wait
//! in its *queue*; when storage is free, the head of the queue is made into one *batch*, each write on a draft of its
//! own over the ones before it, and the batch into one [`Commit`]. When that is done, the *listings* (rows that a
//! filter wants, in an order) and *children* (the same by parent) follow the rows, the *shapes* (a listing as one kind of
//! viewer sees it, up to a limit, with the children of its rows) follow those, and a *broadcast* makes each distinct
//! frame once. What is on its way to a connection is its
//! *feed*: answers in turn, a snapshot in chunks, the changes that wait behind it, all of it bounded.

mod access;
mod actions;
mod batch;
mod broadcast;
mod children;
mod clients;
mod config;
mod connection;
mod engine;
mod families;
mod feed;
mod hosted;
mod image;
mod io;
mod listing;
mod loads;
mod log;
mod request;
mod rows;
mod shape;
mod stream;
mod timers;
mod window;
mod working_set;
mod writers;

pub use access::Access;
pub use actions::{Actions, Channels, Who};
pub use batch::MAX_OUTPUT_BYTES;
pub use config::Config;
pub use engine::Engine;
pub use image::{ClientRecord, Commit, INSIDE, JobId, LogEntry, NewJob, RowChange, SpaceImage, StoredRow};
pub use io::{CallId, ConnId, Gauges, Identity, Input, Output};
