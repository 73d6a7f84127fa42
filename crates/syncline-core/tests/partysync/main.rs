//! Rooms of a partysync server, driven by hand: what real servers have said, what they are known to get wrong, and a
//! double of one that gets all of it wrong at once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test panics where it fails")]

mod actions;
mod channels;
mod defects;
mod double;
mod identity;
mod lines;
mod random;
mod rig;
mod traces;
