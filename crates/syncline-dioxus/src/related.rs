//! The children of a hook's rows, as signals.

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use syncline::hook::{Families, Family, FollowsRelation, Relations};
use syncline::{Field, Record, WriteHandle};

use crate::signals::RcSignal;
use crate::{Row, UseWatch};

/// How a hook keeps a relation.
pub(crate) type AnyRelation = dyn FollowsRelation;

/// The rows of another collection that belong to the rows of a [`UseWatch`]: made by [`UseWatch::related`]. What reads
/// the children of one parent, or their number, runs again when these change, and nothing else does.
///
/// ```no_run
/// # use dioxus::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # use syncline::Record;
/// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// # #[record(collection = "messages", key = id)]
/// # struct Message { id: String }
/// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// # #[record(collection = "reactions", key = id)]
/// # struct Reaction { id: String, message: String, emoji: String }
/// use syncline_dioxus::{Row, UseWatch};
///
/// // of a watch of `Message::in_space(room).include(Reaction::message)`
/// #[component]
/// fn Reactions(messages: UseWatch<Message>, message: Row<Message>) -> Element {
///     let reactions = messages.related(Reaction::message);
///     rsx! {
///         for row in reactions.of(&message.key()) {
///             span { key: "{row.key()}", {row.get().emoji} }
///         }
///     }
/// }
/// ```
pub struct UseRelated<R: Record, C> {
    watch: UseWatch<R>,
    field: &'static str,
    _child: PhantomData<fn() -> C>,
}

impl<R: Record, C: Record> UseRelated<R, C> {
    pub(crate) fn new<T>(watch: UseWatch<R>, field: Field<C, T>) -> Self {
        Self { watch, field: field.name(), _child: PhantomData }
    }

    /// The children of one row, in the relation's order, for a keyed list. Tracks which children there are and in which
    /// order, not what is in them. There are none where the query does not include the relation.
    pub fn of(&self, parent: impl AsRef<str>) -> Vec<Row<C>> {
        self.children(parent.as_ref()).map(|children| children.0.rows.get()).unwrap_or_default()
    }

    /// How many children one row has, whatever the relation's limit, if the relation is
    /// [counted](syncline::Relation::counted): as many as the server says, with what was written here and is not in its
    /// number yet, as far as the rows concerned are known. A refused write does not count. Tracks this number.
    pub fn count(&self, parent: impl AsRef<str>) -> u64 {
        self.children(parent.as_ref()).map(|children| children.0.count.get()).unwrap_or_default()
    }

    /// Puts a child in the place of whatever has its key, in the query's space. See [`UseWatch::put`].
    pub fn put(&self, child: C) -> WriteHandle {
        self.watch.place_of().put(child)
    }

    /// Changes the child at a key. See [`UseWatch::update`].
    pub fn update(&self, key: impl AsRef<str>, change: impl FnOnce(&mut C)) -> WriteHandle {
        self.watch.place_of().update(key, change)
    }

    /// Removes the child at a key.
    pub fn delete(&self, key: impl AsRef<str>) -> WriteHandle {
        self.watch.place_of::<C>().delete(key)
    }

    /// Sends the refused writes of a child again. Says how many there were.
    pub fn retry(&self, key: impl AsRef<str>) -> usize {
        self.watch.place_of::<C>().retry(key)
    }

    /// Gives up the refused writes of a child; what the server holds shows again. Says how many there were.
    pub fn dismiss(&self, key: impl AsRef<str>) -> usize {
        self.watch.place_of::<C>().dismiss(key)
    }

    fn children(&self, parent: &str) -> Option<Children<C>> {
        let relations: Relations<AnyRelation> = self.watch.relations()?;
        Some(relations.family(self.field, parent, |families: Families<C, Children<C>>| {
            Arc::new(families) as Arc<AnyRelation>
        }))
    }
}

/// The children of one parent.
struct Children<C: Record>(Rc<Signals<C>>);

struct Signals<C: Record> {
    rows: RcSignal<Vec<Row<C>>>,
    count: RcSignal<u64>,
}

impl<C: Record> Family<C> for Children<C> {
    type Row = Row<C>;

    fn new(rows: Vec<Row<C>>, count: u64) -> Self {
        Self(Rc::new(Signals { rows: RcSignal::new(rows), count: RcSignal::new(count) }))
    }

    fn set_rows(&self, rows: Vec<Row<C>>) {
        self.0.rows.set(rows);
    }

    fn set_count(&self, count: u64) {
        self.0.count.set(count);
    }
}

impl<C: Record> Clone for Children<C> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<R: Record, C> Clone for UseRelated<R, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Record, C> Copy for UseRelated<R, C> {}

impl<R: Record, C> PartialEq for UseRelated<R, C> {
    fn eq(&self, other: &Self) -> bool {
        self.watch == other.watch && self.field == other.field
    }
}

impl<R: Record, C> fmt::Debug for UseRelated<R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UseRelated").field("field", &self.field).finish_non_exhaustive()
    }
}
