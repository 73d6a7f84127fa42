//! The query of a hook, as a signal.

use std::panic::Location;
use std::rc::Rc;

use dioxus::core::{ReactiveContext, current_scope_id};
use dioxus::prelude::*;
use futures::Stream;
use syncline::hook::{IntoQuery, latest};
use syncline::{Query, Record};

/// What a hook is asked to show now.
///
/// Not a `Memo`: one that reads other memos learns of a change only after they have run again, and would give the old
/// query to somebody who has seen the new room already. The closure is cheap, so whoever asks runs it.
pub(crate) struct QuerySignal<R: Record> {
    source: CopyValue<Rc<dyn IntoQuery<R>>>,
    /// Tracks for whoever follows the query.
    follower: ReactiveContext,
    /// Tracks for nobody.
    untracked: ReactiveContext,
}

impl<R: Record> QuerySignal<R> {
    /// The signal, and a stream that has an item whenever what its follower read may have changed.
    #[track_caller]
    pub(crate) fn new(source: Rc<dyn IntoQuery<R>>) -> (Self, impl Stream<Item = ()> + 'static) {
        let (change, changed) = latest();
        let follower = ReactiveContext::new_with_callback(
            move || change.set(()),
            current_scope_id(),
            Location::caller(),
        );
        let untracked = ReactiveContext::new_with_callback(|| {}, current_scope_id(), Location::caller());
        (Self { source: CopyValue::new(source), follower, untracked }, changed)
    }

    /// Asks another source from now on.
    pub(crate) fn set_source(&self, source: Rc<dyn IntoQuery<R>>) {
        let mut current = self.source;
        current.set(source);
        self.follower.mark_dirty();
    }

    /// Reads on behalf of the follower.
    pub(crate) fn follow<T>(&self, read: impl FnOnce() -> T) -> T {
        self.follower.reset_and_run_in(read)
    }

    /// The query, tracked; none once the component is gone.
    pub(crate) fn get(&self) -> Option<Query<R>> {
        let source = self.source.try_peek().ok().map(|source| Rc::clone(&source))?;
        source.query()
    }

    /// The query, not tracked; none once the component is gone.
    pub(crate) fn get_untracked(&self) -> Option<Query<R>> {
        self.untracked(|| self.get()).flatten()
    }

    /// Reads without tracking; nothing once the component is gone.
    pub(crate) fn untracked<T>(&self, read: impl FnOnce() -> T) -> Option<T> {
        self.source.try_peek().ok()?;
        let value = self.untracked.run_in(read);
        self.untracked.clear_subscribers();
        Some(value)
    }
}

impl<R: Record> Clone for QuerySignal<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Record> Copy for QuerySignal<R> {}

impl<R: Record> PartialEq for QuerySignal<R> {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}
