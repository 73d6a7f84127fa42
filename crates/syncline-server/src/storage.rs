//! Where spaces are kept.

mod job;
mod memory;
mod sqlite;

use std::future::Future;

use syncline_core::space::{Commit, SpaceImage};
use syncline_core::{Error, SpaceId, code};

pub use job::{JobFate, JobTurn, StoredJob};
pub use memory::Memory;
pub use sqlite::Sqlite;

/// Where spaces are kept.
///
/// Back ends cannot be told apart: the same suite of tests runs on each. What they all keep to:
///
/// - a commit is all there or not at all: rows, log, jobs and the clients' counters together;
/// - a commit that was answered `Ok` is there after a crash of the process or of the machine ([`Memory`] is for tests
///   and forgets everything instead);
/// - a commit whose `from` and `incarnation` (or `renews`, where it has that) are not what is stored is refused. So two processes on one database cannot
///   overwrite each other's writes;
/// - errors carry the code `storage`, or `conflict` where a commit is refused for that reason, and a message that people may see: no paths, no rows.
pub trait Storage: Send + Sync + 'static {
    /// Everything that is kept of a space, as of one version. Of a space that was never written that is
    /// [`SpaceImage::default`].
    ///
    /// # Errors
    /// `storage`.
    fn load(&self, space: &SpaceId) -> impl Future<Output = Result<SpaceImage, Error>> + Send;

    /// Stores commits of different spaces, and answers for each of them, in their order, once it is on disk.
    ///
    /// Whatever waits is handed over together, so that one flush of the disk can serve them all.
    fn commit(&self, commits: Vec<Commit>) -> impl Future<Output = Vec<Result<(), Error>>> + Send;

    /// The jobs that wait for the handlers of these names: of each name the first `most`, by when they are due and then by
    /// when they were left, whether or not they are due yet.
    ///
    /// # Errors
    /// `storage`.
    fn jobs(
        &self,
        names: &[Box<str>],
        most: usize,
    ) -> impl Future<Output = Result<Vec<StoredJob>, Error>> + Send;

    /// The names of all jobs that wait, each once, in order.
    ///
    /// # Errors
    /// `storage`.
    fn job_names(&self) -> impl Future<Output = Result<Vec<Box<str>>, Error>> + Send;

    /// Notes what has become of jobs: of all of them or of none, and for good once it is `Ok`. What is not there is passed
    /// over.
    ///
    /// # Errors
    /// `storage`.
    fn turn_jobs(&self, turns: Vec<JobTurn>) -> impl Future<Output = Result<(), Error>> + Send;

    /// Lets go of files and connections. Nothing is asked for afterwards.
    fn close(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// Nothing was changed, for a reason that is in the log and not for everybody.
pub(crate) fn failed() -> Error {
    Error::new(code::STORAGE, "the server could not reach its storage; nothing was changed")
}

/// The commit was made for another version than the one stored.
fn conflict() -> Error {
    Error::new(code::CONFLICT, "the space was changed by another process; nothing was changed")
}
