//! Who may do what with the rows of a collection.

use std::fmt;
use std::sync::Arc;

use syncline_core::wire::User;
use syncline_core::{Error, Record, SpaceId, code};

/// What people may do with the rows of one collection, asked after whether they may open the space at all.
///
/// Without a line of its own it lets everybody who may open a space read and write there. The functions are called
/// on the task that runs all spaces: they look at what they are given and do not wait for anything.
///
/// ```
/// use syncline_server::{Change, Error, Rules, SpaceId, User, Visibility};
/// # use serde::{Deserialize, Serialize};
/// # use syncline_macros::Record;
/// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// # #[record(collection = "notes", key = id)]
/// # struct Note { id: String, author: String, is_draft: bool }
///
/// struct NoteRules;
///
/// impl Rules<Note> for NoteRules {
///     /// A draft is seen by its author only.
///     fn visibility(&self) -> Visibility<Note> {
///         Visibility::by_row(|user, _space, note: &Note| !note.is_draft || user.id == *note.author)
///     }
///
///     /// People write in their own name.
///     fn write(&self, user: &User, _space: &SpaceId, change: Change<'_, Note>) -> Result<(), Error> {
///         let (Change::Insert(note) | Change::Update { before: note, .. } | Change::Delete(note)) = change;
///         if user.id == *note.author { Ok(()) } else { Err(Error::new("not_the_author", "This is not your note.")) }
///     }
/// }
/// ```
pub trait Rules<R: Record>: Send + Sync + 'static {
    /// Which rows a person sees, among those of a space they may open. Asked once, when the server is built.
    fn visibility(&self) -> Visibility<R> {
        Visibility::Everyone
    }

    /// Whether a person may make this change. It is asked for every row that a write touches, before any of them is
    /// changed; one refusal refuses the whole write. Nobody gets as far as this with a row that they cannot see: to
    /// change or delete such a row is `forbidden`.
    ///
    /// # Errors
    /// The refusal, with a code of the application's choice. The writer gets it as it is.
    fn write(&self, user: &User, space: &SpaceId, change: Change<'_, R>) -> Result<(), Error> {
        let _ = (user, space, change);
        Ok(())
    }
}

/// No rules: everybody who may open a space reads and writes there.
impl<R: Record> Rules<R> for () {}

/// The rules of a collection of which nothing is known but that a channel has it: its handler is the only way to write.
pub(crate) struct ActionsOnly;

impl<R: Record> Rules<R> for ActionsOnly {
    fn write(&self, _: &User, _: &SpaceId, _: Change<'_, R>) -> Result<(), Error> {
        let error = Error::new(code::ACTIONS_ONLY, "these rows are changed by actions only");
        Err(error.with_field(R::COLLECTION))
    }
}

/// Which rows of a collection a person sees.
///
/// It is a value rather than a function with a default, so that the server knows when everybody sees the same: then one
/// evaluation of a query serves all who asked it.
pub enum Visibility<R> {
    /// Everybody who may open the space sees every row.
    Everyone,
    /// Asked for each person and row: see [`by_row`](Self::by_row).
    ByRow(RowTest<R>),
}

/// See [`Visibility::by_row`].
pub type RowTest<R> = Arc<dyn Fn(&User, &SpaceId, &R) -> bool + Send + Sync>;

impl<R> Visibility<R> {
    /// A person sees the rows for which `test` is true.
    ///
    /// It must give the same answer as long as person, space and row are the same.
    pub fn by_row(test: impl Fn(&User, &SpaceId, &R) -> bool + Send + Sync + 'static) -> Self {
        Self::ByRow(Arc::new(test))
    }
}

impl<R> Clone for Visibility<R> {
    fn clone(&self) -> Self {
        match self {
            Self::Everyone => Self::Everyone,
            Self::ByRow(test) => Self::ByRow(Arc::clone(test)),
        }
    }
}

impl<R> fmt::Debug for Visibility<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Everyone => "Everyone",
            Self::ByRow(_) => "ByRow",
        })
    }
}

/// What a write does to one row.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a, R> {
    /// There was no row at this key.
    Insert(&'a R),
    /// There was one.
    Update {
        /// As it is now.
        before: &'a R,
        /// As it is to be.
        after: &'a R,
    },
    /// The row goes.
    Delete(&'a R),
}
