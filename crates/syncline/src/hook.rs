//! For adapters to user interface frameworks: all of a hook that is not signals.
//!
//! [`follow`] moves a subscription along with a changing query and keeps the hook's signals in line with it,
//! [`Handles`] keeps one handle per row, [`Relations`] one [`Family`] per parent, and a [`Place`] is where the hook writes. What is left to an adapter is what
//! differs between frameworks: how a signal is made, read and set ([`RowHandle`], [`WatchSignals`]), and when a
//! component comes and goes.

mod follow;
mod latest;
mod place;
mod related;
mod rows;
mod waiters;

pub use follow::{Wanted, WatchSignals, follow, is_same_list};
pub use latest::{Latest, Setter, latest};
pub use place::Place;
pub use related::{Families, Family, FollowsRelation, Relations};
pub use rows::{Edits, Handles, RowHandle};
pub use waiters::Waiters;

#[cfg(target_arch = "wasm32")]
pub use crate::platform::spawn_local;
use crate::{Channel, ChannelQuery, Query};

/// What a hook takes for a query: a [`Query`], an `Option` of one where `None` is "not yet", or a closure over signals
/// that gives either.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use syncline::Record;
/// # #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
/// # #[record(collection = "todos", key = id)]
/// # struct Todo { id: String }
/// use syncline::hook::IntoQuery;
///
/// let groceries = Todo::in_space("groceries");
/// let list = Some("groceries");
/// assert_eq!(groceries.query(), Some(groceries.clone()));
/// assert_eq!((move || Some(Todo::in_space(list?))).query(), Some(groceries));
/// ```
pub trait IntoQuery<R> {
    /// The query now. A closure's signals are read, and so tracked.
    fn query(&self) -> Option<Query<R>>;
}

impl<R> IntoQuery<R> for Query<R> {
    fn query(&self) -> Option<Query<R>> {
        Some(self.clone())
    }
}

impl<R> IntoQuery<R> for Option<Query<R>> {
    fn query(&self) -> Option<Query<R>> {
        self.clone()
    }
}

impl<R, F, Q> IntoQuery<R> for F
where
    F: Fn() -> Q,
    Q: Into<Option<Query<R>>>,
{
    fn query(&self) -> Option<Query<R>> {
        self().into()
    }
}

/// What a hook takes for a channel: a [`ChannelQuery`], an `Option` of one where `None` is "not yet", or a closure over
/// signals that gives either.
pub trait IntoChannel<C: Channel> {
    /// The channel now. A closure's signals are read, and so tracked.
    fn channel(&self) -> Option<ChannelQuery<C>>;
}

impl<C: Channel> IntoChannel<C> for ChannelQuery<C> {
    fn channel(&self) -> Option<ChannelQuery<C>> {
        Some(self.clone())
    }
}

impl<C: Channel> IntoChannel<C> for Option<ChannelQuery<C>> {
    fn channel(&self) -> Option<ChannelQuery<C>> {
        self.clone()
    }
}

impl<C: Channel, F, Q> IntoChannel<C> for F
where
    F: Fn() -> Q,
    Q: Into<Option<ChannelQuery<C>>>,
{
    fn channel(&self) -> Option<ChannelQuery<C>> {
        self().into()
    }
}
