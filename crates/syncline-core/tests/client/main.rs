//! The client core, driven by hand: no socket, no clock but the one in the test.

mod link;
mod model;
mod rig;
mod sessions;
mod writes;
