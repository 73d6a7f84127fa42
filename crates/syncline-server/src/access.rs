//! The application's rules as the engine asks for them: without the types of the rows.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use syncline_core::record::AnyRow;
use syncline_core::space::Access;
use syncline_core::wire::User;
use syncline_core::{Error, Record, SpaceId, code};

use crate::problem::INTERNAL;
use crate::rules::{Change, Rules, Visibility};

/// Whether a person may open a space.
pub(crate) type SpaceRule = Box<dyn Fn(&User, &SpaceId) -> Result<(), Error> + Send + Sync>;

/// What the application permits.
#[derive(Default)]
pub(crate) struct AppAccess {
    /// Every space with a well-formed name exists and is open to everybody when there is no rule.
    pub(crate) spaces: Option<SpaceRule>,
    collections: BTreeMap<&'static str, Box<dyn RowRules>>,
}

impl AppAccess {
    pub(crate) fn has(&self, collection: &str) -> bool {
        self.collections.contains_key(collection)
    }

    pub(crate) fn add<R: Record>(&mut self, rules: impl Rules<R>) {
        let visibility = rules.visibility();
        self.collections.insert(R::COLLECTION, Box::new(Typed { rules, visibility }));
    }
}

// a rule that panics refuses this one request; the task that runs all spaces goes on
impl Access for AppAccess {
    fn open(&self, user: &User, space: &SpaceId) -> Result<(), Error> {
        match &self.spaces {
            Some(rule) => guard(|| rule(user, space)).unwrap_or_else(|| Err(internal())),
            None => Ok(()),
        }
    }

    fn read(&self, user: &User, space: &SpaceId, collection: &'static str, row: &dyn AnyRow) -> bool {
        let rules = self.collections.get(collection);
        rules.is_some_and(|rules| guard(|| rules.read(user, space, row)).unwrap_or(false))
    }

    fn write(
        &self,
        user: &User,
        space: &SpaceId,
        collection: &'static str,
        before: Option<&dyn AnyRow>,
        after: Option<&dyn AnyRow>,
    ) -> Result<(), Error> {
        let Some(rules) = self.collections.get(collection) else {
            return Err(Error::new(code::UNKNOWN_COLLECTION, "there is no such collection"));
        };
        guard(|| rules.write(user, space, before, after)).unwrap_or_else(|| Err(internal()))
    }

    fn reads_everything(&self, collection: &'static str) -> bool {
        self.collections.get(collection).is_some_and(|rules| rules.reads_everything())
    }
}

/// [`Rules`] for rows of whatever type.
trait RowRules: Send + Sync {
    fn read(&self, user: &User, space: &SpaceId, row: &dyn AnyRow) -> bool;
    fn write(
        &self,
        user: &User,
        space: &SpaceId,
        before: Option<&dyn AnyRow>,
        after: Option<&dyn AnyRow>,
    ) -> Result<(), Error>;
    fn reads_everything(&self) -> bool;
}

struct Typed<R, T> {
    rules: T,
    visibility: Visibility<R>,
}

impl<R: Record, T: Rules<R>> Typed<R, T> {
    fn sees(&self, user: &User, space: &SpaceId, row: &R) -> bool {
        match &self.visibility {
            Visibility::Everyone => true,
            Visibility::ByRow(test) => test(user, space, row),
        }
    }
}

impl<R: Record, T: Rules<R>> RowRules for Typed<R, T> {
    fn read(&self, user: &User, space: &SpaceId, row: &dyn AnyRow) -> bool {
        typed::<R>(row).is_ok_and(|row| self.sees(user, space, row))
    }

    fn write(
        &self,
        user: &User,
        space: &SpaceId,
        before: Option<&dyn AnyRow>,
        after: Option<&dyn AnyRow>,
    ) -> Result<(), Error> {
        let before = before.map(typed::<R>).transpose()?;
        let after = after.map(typed::<R>).transpose()?;
        let change = match (before, after) {
            (None, None) => return Ok(()),
            (Some(before), _) if !self.sees(user, space, before) => {
                return Err(Error::new(code::FORBIDDEN, "this row is not yours to change"));
            }
            (None, Some(after)) => Change::Insert(after),
            (Some(before), Some(after)) => Change::Update { before, after },
            (Some(before), None) => Change::Delete(before),
        };
        self.rules.write(user, space, change)
    }

    fn reads_everything(&self) -> bool {
        matches!(self.visibility, Visibility::Everyone)
    }
}

fn typed<R: Record>(row: &dyn AnyRow) -> Result<&R, Error> {
    row.as_any().downcast_ref().ok_or_else(internal)
}

fn guard<T>(rule: impl FnOnce() -> T) -> Option<T> {
    let answer = catch_unwind(AssertUnwindSafe(rule)).ok();
    if answer.is_none() {
        tracing::error!("a rule of the application panicked; the request is refused");
    }
    answer
}

fn internal() -> Error {
    Error::new(INTERNAL, "the server failed to decide whether this is permitted")
}
