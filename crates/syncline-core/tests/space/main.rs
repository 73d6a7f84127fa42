//! The space engine, driven as a server drives it: connections, a disk in memory, and a clock that the tests move.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what is not there fails the test")]

mod accounts;
mod channel;
mod packed;
mod page;
mod rig;
mod rules;

mod actions;
mod bad_input;
mod broadcast;
mod conflicts;
mod doors;
mod forgotten;
mod handshake;
mod held;
mod model;
mod private_rows;
mod relations;
mod restored;
mod resume;
mod slow_readers;
mod spaces;
mod subscriptions;
mod windows;
mod writes;
