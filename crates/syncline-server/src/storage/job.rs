//! Jobs as storage keeps them.

use serde_json::value::RawValue;
use syncline_core::{SpaceId, UserId};

/// A job that waits for its turn, as storage has it.
#[derive(Clone, Debug)]
pub struct StoredJob {
    /// Its id, the [`JobId`](crate::JobId) as text.
    pub id: Box<str>,
    /// The space whose action left it.
    pub space: SpaceId,
    /// The name of its handler.
    pub name: Box<str>,
    /// What the handler is given.
    pub payload: Box<RawValue>,
    /// The person whose action left it.
    pub user: UserId,
    /// When that was, in Unix ms.
    pub at: u64,
    /// How often it has been tried in vain.
    pub tries: u32,
    /// When it is to be tried next, in Unix ms. One that was not tried yet has its place in line by that, and is due at once
    /// when its place has come: the clock that it was left by may have been ahead.
    pub due: u64,
}

/// What has become of a job that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobTurn {
    /// Which one.
    pub id: Box<str>,
    /// What has become of it.
    pub fate: JobFate,
}

/// See [`JobTurn`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobFate {
    /// It is done, and not kept any more.
    Done,
    /// It is to be tried again.
    Again {
        /// How often it has been tried.
        tries: u32,
        /// When it is due, in Unix ms.
        due: u64,
    },
    /// It is not tried any more, and kept for people to look at.
    Failed {
        /// How often it has been tried.
        tries: u32,
        /// What went wrong last.
        why: String,
    },
}
