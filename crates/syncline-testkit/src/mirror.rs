//! A watch as an application keeps it: a list that follows the diffs and nothing else.

use std::any::Any;

use syncline_core::client::{ClientCore, Status, WatchId, WatchState};
use syncline_core::query::CompiledQuery;
use syncline_core::record::AnyRow;
use syncline_core::{Cursor, Diff, Entry, Query, QuerySpec, Record, RowState};

/// A [`Mirror`] whose row type is behind it.
pub(crate) trait AnyMirror {
    fn as_any(&self) -> &dyn Any;
    fn query(&self) -> &QuerySpec;
    fn state(&self) -> &WatchState;
    /// Takes the diffs and what has become of the watch. What a stopped one has shown stays.
    ///
    /// # Errors
    /// What is wrong with them.
    fn pull(&mut self, core: &mut ClientCore, id: WatchId, stopped: bool) -> Result<(), String>;
    /// The rows, without their type, and whether they are confirmed.
    fn rows(&self) -> Vec<(&dyn AnyRow, bool)>;
    /// Whether two rows, both of this collection, are equal.
    fn equal(&self, a: &dyn AnyRow, b: &dyn AnyRow) -> bool;
}

/// See the [module](self).
pub(crate) struct Mirror<R> {
    query: Query<R>,
    compiled: Option<CompiledQuery>,
    pub(crate) entries: Vec<Entry<R>>,
    state: WatchState,
    cursor: Option<Cursor>,
}

impl<R: Record> Mirror<R> {
    pub(crate) fn new(query: Query<R>) -> Self {
        Self {
            compiled: CompiledQuery::new(query.spec(), R::FIELDS).ok(),
            query,
            entries: Vec::new(),
            state: WatchState { status: Status::Idle, error: None, loaded: false, cached: false },
            cursor: None,
        }
    }

    fn apply(&mut self, diff: Diff<R>) -> Result<(), String> {
        let len = self.entries.len();
        match diff {
            Diff::Reset(entries) => self.entries = entries,
            Diff::Insert { index, entry } if index <= len => self.entries.insert(index, entry),
            Diff::Update { entry } => match self.entries.iter_mut().find(|old| old.key() == entry.key()) {
                Some(old) => *old = entry,
                None => return Err(format!("an update of {}, which is not there", entry.key())),
            },
            Diff::Remove { index, key } if index < len && self.entries[index].key() == key.as_str() => {
                self.entries.remove(index);
            }
            Diff::Move { from, to, entry }
                if from < len && to < len && self.entries[from].key() == entry.key() =>
            {
                self.entries.remove(from);
                self.entries.insert(to, entry);
            }
            Diff::Insert { index, entry } => {
                return Err(format!("{} inserted at {index} of {len}", entry.key()));
            }
            Diff::Remove { index, key } => {
                return Err(format!("{key} removed at {index} of {len}, where it is not"));
            }
            Diff::Move { from, to, entry } => {
                return Err(format!("{} moved from {from} to {to} of {len}", entry.key()));
            }
        }
        Ok(())
    }

    /// The list must be what the client says it shows, sorted, every key once.
    fn check(&self, shown: &[Entry<R>]) -> Result<(), String> {
        let same =
            self.entries.len() == shown.len() && self.entries.iter().zip(shown).all(|(a, b)| a.same(b));
        if !same {
            let keys =
                |entries: &[Entry<R>]| entries.iter().map(|entry| entry.key().to_owned()).collect::<Vec<_>>();
            let (followed, shown) = (keys(&self.entries), keys(shown));
            return Err(format!("who followed the diffs sees {followed:?} where the client shows {shown:?}"));
        }
        let Some(query) = &self.compiled else { return Ok(()) };
        for pair in self.entries.windows(2) {
            if query.compare(&*pair[0].record, &*pair[1].record).is_ge() {
                return Err(format!("{} stands before {}", pair[0].key(), pair[1].key()));
            }
        }
        Ok(())
    }
}

impl<R: Record> AnyMirror for Mirror<R> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn query(&self) -> &QuerySpec {
        self.query.spec()
    }

    fn state(&self) -> &WatchState {
        &self.state
    }

    fn pull(&mut self, core: &mut ClientCore, id: WatchId, stopped: bool) -> Result<(), String> {
        for diff in core.take::<R>(id) {
            self.apply(diff)?;
        }
        self.state = core.watch_state(id);
        let cursor = core.cursor(id);
        if let (Some(before), Some(now)) = (self.cursor, cursor)
            && before.incarnation == now.incarnation
            && before.version > now.version
        {
            return Err(format!("the version went back from {} to {}", before.version, now.version));
        }
        self.cursor = cursor;
        if stopped { Ok(()) } else { self.check(&core.entries::<R>(id)) }
    }

    fn rows(&self) -> Vec<(&dyn AnyRow, bool)> {
        let row = |entry: &'_ Entry<R>| entry.state == RowState::Confirmed;
        self.entries.iter().map(|entry| (&*entry.record as &dyn AnyRow, row(entry))).collect()
    }

    fn equal(&self, a: &dyn AnyRow, b: &dyn AnyRow) -> bool {
        match (a.as_any().downcast_ref::<R>(), b.as_any().downcast_ref::<R>()) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        }
    }
}
