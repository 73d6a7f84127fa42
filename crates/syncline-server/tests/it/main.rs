//! The server from outside: through real sockets, real files and real processes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test panics where it fails")]

mod actions;
mod authentication;
mod durability;
mod event_stream;
mod hostile;
mod jobs;
mod lifecycle;
mod logs;
mod numbers;
mod origins;
mod partysync;
mod slow_reader;
mod storage_contract;
mod support;
mod watch_records;
mod websocket;
