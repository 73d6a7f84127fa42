//! Who may do what in a simulation.

use std::collections::BTreeMap;

use syncline_core::record::AnyRow;
use syncline_core::space::Access;
use syncline_core::wire::User;
use syncline_core::{Error, Record, SpaceId};

type Open = Box<dyn Fn(&User, &SpaceId) -> Result<(), Error> + Send + Sync>;
type Read = Box<dyn Fn(&User, &SpaceId, &dyn AnyRow) -> bool + Send + Sync>;
type Write =
    Box<dyn Fn(&User, &SpaceId, Option<&dyn AnyRow>, Option<&dyn AnyRow>) -> Result<(), Error> + Send + Sync>;

/// An [`Access`] made of closures. Without any, everybody may do everything.
///
/// ```
/// use syncline_core::{Error, Record};
/// use syncline_testkit::Policy;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// # #[record(collection = "notes", key = id)]
/// # struct Note { id: String, author: String }
///
/// let policy = Policy::new()
///     .read::<Note>(|user, _space, note| user.id == *note.author)
///     .write::<Note>(|user, _space, _before, after| match after {
///         Some(note) if user.id != *note.author => Err(Error::new("not_the_author", "This is not your note.")),
///         _ => Ok(()),
///     });
/// ```
#[derive(Default)]
pub struct Policy {
    open: Option<Open>,
    read: BTreeMap<&'static str, Read>,
    write: BTreeMap<&'static str, Write>,
}

impl Policy {
    /// Everybody may do everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Who may open which space.
    #[must_use]
    pub fn open(
        mut self,
        rule: impl Fn(&User, &SpaceId) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        self.open = Some(Box::new(rule));
        self
    }

    /// Who sees which rows of `R`'s collection.
    #[must_use]
    pub fn read<R: Record>(
        mut self,
        rule: impl Fn(&User, &SpaceId, &R) -> bool + Send + Sync + 'static,
    ) -> Self {
        let rule: Read =
            Box::new(move |user, space, row| typed(row).is_some_and(|row| rule(user, space, row)));
        self.read.insert(R::COLLECTION, rule);
        self
    }

    /// Who may make which row of `R`'s collection into which; no row on either side stands for "not there".
    #[must_use]
    pub fn write<R: Record>(
        mut self,
        rule: impl Fn(&User, &SpaceId, Option<&R>, Option<&R>) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        let rule: Write = Box::new(move |user, space, before, after| {
            rule(user, space, before.and_then(typed), after.and_then(typed))
        });
        self.write.insert(R::COLLECTION, rule);
        self
    }
}

fn typed<R: Record>(row: &dyn AnyRow) -> Option<&R> {
    row.as_any().downcast_ref()
}

impl Access for Policy {
    fn open(&self, user: &User, space: &SpaceId) -> Result<(), Error> {
        self.open.as_ref().map_or(Ok(()), |rule| rule(user, space))
    }

    fn read(&self, user: &User, space: &SpaceId, collection: &'static str, row: &dyn AnyRow) -> bool {
        self.read.get(collection).is_none_or(|rule| rule(user, space, row))
    }

    fn write(
        &self,
        user: &User,
        space: &SpaceId,
        collection: &'static str,
        before: Option<&dyn AnyRow>,
        after: Option<&dyn AnyRow>,
    ) -> Result<(), Error> {
        self.write.get(collection).map_or(Ok(()), |rule| rule(user, space, before, after))
    }

    fn reads_everything(&self, collection: &'static str) -> bool {
        !self.read.contains_key(collection)
    }
}
