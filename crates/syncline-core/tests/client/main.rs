//! The client core, driven by hand: no socket, no clock but the one in the test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test panics where it fails")]

mod actions;
mod cache;
mod durable;
mod link;
mod model;
mod overlapping;
mod related;
mod returning;
mod rig;
mod sessions;
mod storage;
mod writes;
