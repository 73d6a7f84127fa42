//! Who may do what.

use crate::error::Error;
use crate::id::SpaceId;
use crate::record::AnyRow;
use crate::wire::User;

/// Who may open, read and write what. The engine asks it for every subscription, every row and every write.
///
/// The answers may depend on the arguments only: the engine does not ask again about a row until the row changes, nor
/// about a person until they authenticate again, or until it is told that [their rights have
/// changed](crate::space::Input::RightsChanged).
pub trait Access: Send + Sync {
    /// Whether this person may open the space.
    ///
    /// # Errors
    /// `unknown_space` when it does not exist, or why not. Nothing is loaded or stored for who may not open it: a
    /// subscription fails, and a write is refused, without being counted unless the space is in memory and knows the
    /// client. It is asked when a write comes, and again when its turn has come.
    fn open(&self, user: &User, space: &SpaceId) -> Result<(), Error>;

    /// Whether this person may see the row. What they may not see never leaves the engine for them.
    fn read(&self, user: &User, space: &SpaceId, collection: &'static str, row: &dyn AnyRow) -> bool;

    /// Whether this person may make `before` into `after`; no row on either side stands for "not there".
    ///
    /// # Errors
    /// Whatever the person is to be told. The whole write is refused.
    fn write(
        &self,
        user: &User,
        space: &SpaceId,
        collection: &'static str,
        before: Option<&dyn AnyRow>,
        after: Option<&dyn AnyRow>,
    ) -> Result<(), Error>;

    /// Whether everybody who may open a space sees every row of this collection. Then subscribers are told apart by
    /// their query only, whoever they are; and the log alone says what a client has missed. Otherwise a list of deleted
    /// keys would tell of rows it was never to know of, and the client has to say which rows it holds.
    fn reads_everything(&self, collection: &'static str) -> bool {
        let _ = collection;
        false
    }
}
