//! What it means that a socket was closed.

use crate::{Error, code};

/// The meaning of a close code and its reason.
pub(super) type Closed = fn(u16, &str) -> Error;

/// What it means where a Syncline server is at the other end.
pub(super) fn closed_by(code: u16, reason: &str) -> Error {
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Error::new(code::CONNECTION, format!("the WebSocket was closed with {code}{reason}"))
}
