//! The Syncline server: routes for an axum application, over spaces kept in SQLite.
//!
//! ```no_run
//! use std::future::IntoFuture as _;
//! use std::time::Duration;
//!
//! use axum::Router;
//! use syncline_server::{Sqlite, Syncline};
//! # use serde::{Deserialize, Serialize};
//! # use syncline_macros::Record;
//! # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
//! # #[record(collection = "todos", key = id)]
//! # struct Todo { id: String, text: String, done: bool }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let syncline = Syncline::builder()
//!     .storage(Sqlite::open("app.db")?)
//!     .collection::<Todo>(())
//!     .build()
//!     .await?;
//! let app = Router::new().nest("/sync", syncline.router());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!
//! // on Ctrl-C everybody is told and everything stored, and nobody who does not listen holds that up
//! let handle = syncline.clone();
//! let stop = async move {
//!     let _ = tokio::signal::ctrl_c().await;
//!     handle.shutdown().await;
//! };
//! let patience = async {
//!     syncline.ended().await;
//!     tokio::time::sleep(Duration::from_secs(5)).await;
//! };
//! tokio::select! {
//!     served = axum::serve(listener, app).with_graceful_shutdown(stop).into_future() => served?,
//!     () = patience => {}
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A client then connects to `/sync`. Who people are is said by [`authenticate`](Builder::authenticate), what they
//! may open by [`spaces`](Builder::spaces), what they may read and write by the [`Rules`] of each collection, and
//! what keeps it all by [`Storage`]. End it with [`shutdown`](Syncline::shutdown).
//!
//! # Routes
//!
//! | route | what |
//! |---|---|
//! | `GET /ws` | a WebSocket; each message is a frame |
//! | `POST /stream` | where a WebSocket is refused: the body is the `hello` frame, the answer a stream of frames |
//! | `POST /send` | towards the server then: frames, one a line; the header `x-syncline-link` names the stream |
//!
//! What watches a contrail service can watch this server, too: see [`watch_records`], whose routes are apart. So can what speaks
//! to a partysync server: see [`partysync`].
//!
//! A refusal is JSON, `{"code", "message", "field"?}`, with the HTTP status that fits the code. Pages of other origins
//! are refused unless they are [allowed](Builder::allowed_origins).
//!
//! # Latency
//!
//! Frames are small and wanted at once, and TCP likes to wait for more to send with them: up to 40 ms. Tell it not to:
//!
//! ```
//! use axum::serve::ListenerExt as _;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?.tap_io(|connection| {
//!     // slower is better than not at all
//!     let _ = connection.set_nodelay(true);
//! });
//! # drop(listener);
//! # Ok(())
//! # }
//! ```
//!
//! # Bounds
//!
//! Nothing waits without one: a connection has a budget for what it sends and an outbox for what it receives
//! ([`Config`]). Who sends faster than the server works waits alone; who reads too slowly loses what waits and gets
//! fresh snapshots, and slows nobody.
//!
//! The number of connections has a bound, and so have the spaces that are read from storage at a time, those that stay
//! in memory without anyone who uses them, the history of a space, and the time for which it is remembered how far the
//! writes of a client had come.
//!
//! # Logs
//!
//! By [`tracing`], without rows, cookies or tokens.

mod access;
mod act;
mod actions;
mod builder;
mod config;
mod connection;
mod credentials;
mod hub;
mod jobs;
mod origin;
mod outbox;
pub mod partysync;
mod problem;
mod routes;
mod rules;
mod storage;
mod syncline;
pub mod ticket;
pub mod watch_records;

pub use builder::{Builder, NoStorage};
pub use config::{Config, JobConfig};
pub use credentials::{AuthError, Credentials};
pub use jobs::Job;
pub use rules::{Change, RowTest, Rules, Visibility};
pub use storage::{JobFate, JobTurn, Memory, Sqlite, Storage, StoredJob};
pub use syncline::Syncline;
pub use syncline_core::space::{
    ClientRecord, Commit, Gauges, Identity, JobId, LogEntry, NewJob, RowChange, SpaceImage, StoredRow, Who,
};
pub use syncline_core::wire::User;
pub use syncline_core::{ActionError, Channel, Error, Record, SpaceId, Tx, code};
