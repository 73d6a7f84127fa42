//! Watching a contrail service, driven by hand: what real services have said, and what they are known to get wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test panics where it fails")]

mod defects;
mod hydration;
mod keeping;
mod looks;
mod pages;
mod races;
mod rig;
mod sharing;
mod streams;
mod traces;
