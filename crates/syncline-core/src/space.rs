//! The space engine: the server's half, without its sockets and its disk.

mod access;
mod config;
mod engine;
mod image;
mod io;

pub use access::Access;
pub use config::Config;
pub use engine::Engine;
pub use image::{ClientRecord, Commit, LogEntry, RowChange, SpaceImage, StoredRow};
pub use io::{ConnId, Gauges, Identity, Input, Output};
