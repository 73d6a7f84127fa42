//! The query of a hook, as a signal.

use leptos::prelude::*;
use syncline::hook::IntoQuery;
use syncline::{Query, Record};

/// What a hook is asked to show now.
pub(crate) struct QuerySignal<R: Record>(Memo<Option<Query<R>>>);

impl<R: Record> QuerySignal<R> {
    pub(crate) fn new(source: impl IntoQuery<R> + Send + Sync + 'static) -> Self {
        Self(Memo::new(move |_| source.query()))
    }

    /// The query, tracked; none once the component is gone.
    #[track_caller]
    pub(crate) fn get(&self) -> Option<Query<R>> {
        self.0.try_get().flatten()
    }

    /// The query, not tracked; none once the component is gone.
    pub(crate) fn get_untracked(&self) -> Option<Query<R>> {
        self.0.try_get_untracked().flatten()
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
        self.0 == other.0
    }
}
