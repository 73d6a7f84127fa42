//! A collection whose row type is not known, and what local writes make of its rows.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::{Began, Most};
use crate::client::WatchId;
use crate::client::export::Form;
use crate::client::session::SessionId;
use crate::diff::RowState;
use crate::error::Error;
use crate::id::{Key, Version};
use crate::query::{CompiledRelation, QuerySpec};
use crate::record::AnyRow;
use crate::schema::Undecodable;
use crate::wire::EncodedRow;

/// What local writes make of one row.
pub(crate) struct Overlaid {
    /// The row with their effects; `None` when they delete it.
    pub(crate) row: Option<Arc<dyn AnyRow>>,
    /// How the latest of them stands.
    pub(crate) state: RowState,
    /// The server has done the latest of them, as of this version; lists that are behind do not know it yet.
    pub(crate) applied: Option<Version>,
}

/// The local effects on one collection, by key.
pub(crate) type Overlay = HashMap<Key, Overlaid, FixedState>;

/// The sessions whose views a commit has changed.
pub(crate) type Changed = SmallVec<[SessionId; 4]>;

/// A collection whose row type is behind it. All methods that change rows only prepare; [`commit`](Self::commit) shows
/// it, so that nobody sees half of a change.
pub(crate) trait AnyCollection: Send {
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;

    /// The confirmed row at a key.
    fn confirmed(&self, key: &str) -> Option<Arc<dyn AnyRow>>;

    /// All confirmed rows of lists that follow the server; where all are stopped, of those.
    fn all_confirmed(&self) -> Vec<Arc<dyn AnyRow>>;

    /// Opens a view for a session.
    fn open_view(&mut self, session: SessionId, query: &QuerySpec) -> Result<(), Error>;
    /// Opens a view of children.
    fn open_children(&mut self, view: SessionId, relation: CompiledRelation);
    /// Makes those confirmed rows of other views of children that belong to these parents members; see
    /// [`begin_from`](Self::begin_from).
    fn begin_children_from(
        &mut self,
        view: SessionId,
        others: &[SessionId],
        parents: &BTreeSet<Key>,
        shown: bool,
    );
    /// What local effects add to the numbers of children that the server counts in a view, and take away from them, by
    /// parent. Those that it has `applied` up to the version of which its numbers are `told` are in them.
    fn adjustments(&self, view: SessionId, overlay: &Overlay, told: Option<Version>) -> BTreeMap<Key, i64>;
    /// Makes those confirmed rows of other views members that the query wants, as many as it wants. Unless they are
    /// `shown`, they are not before the view is complete.
    fn begin_from(&mut self, session: SessionId, others: &[SessionId], shown: bool);
    /// Makes rows of an earlier visit, and no others, members of a view that has had no answer. Those that others look at
    /// stay as they are there, be they newer or older.
    fn begin_stored(&mut self, session: SessionId, rows: &[EncodedRow<'_>], fields: &[Box<str>]) -> Began;
    /// The names of the fields of its packed rows.
    fn field_names(&self) -> Vec<Box<str>>;
    /// Writes the confirmed rows of a view in its order. Says how many there are, and whether these are all of them.
    fn write_members(&self, session: SessionId, most: Most, form: Form, into: &mut Vec<u8>) -> (usize, bool);
    /// The keys of the first confirmed rows of a view in its order.
    fn first_keys(&self, session: SessionId, count: usize) -> BTreeSet<Key>;
    /// Writes the confirmed children of these parents. Says how many there are, and whether these are all of them.
    fn write_children(
        &self,
        view: SessionId,
        parents: &BTreeSet<Key>,
        most: Most,
        form: Form,
        into: &mut Vec<u8>,
    ) -> (usize, bool);
    /// Shows rows of a view only as long as its query wants them, whoever changes them.
    fn hold_to_query(&mut self, view: SessionId);
    /// Nobody looks at it for a while: the same until it is complete once more.
    fn park_view(&mut self, view: SessionId);
    /// Closes it; rows that no other view holds go with it at the next commit.
    fn close_view(&mut self, session: SessionId);
    fn observe(&mut self, session: SessionId, watch: WatchId);
    fn unobserve(&mut self, session: SessionId, watch: WatchId);

    /// Starts to collect the rows of an answer that comes in chunks.
    fn begin_incoming(&mut self, session: SessionId);
    /// Decodes one row of it; `fields` are those of packed rows.
    fn incoming_row(
        &mut self,
        session: SessionId,
        row: EncodedRow<'_>,
        fields: &[Box<str>],
    ) -> Result<(), Undecodable>;
    /// The rest of it does not come.
    fn drop_incoming(&mut self, session: SessionId);
    /// The answer is a snapshot and complete: its rows, and no others, are the view's members.
    fn finish_snapshot(&mut self, session: SessionId);
    /// The answer is a resume and complete: its rows are members too. Gives their slots.
    fn finish_resume(&mut self, session: SessionId) -> Vec<u32>;
    /// What the server has said of a view is complete, without a snapshot.
    fn complete_view(&mut self, session: SessionId);
    /// None of its rows are members any more.
    fn clear_view(&mut self, session: SessionId) {
        self.begin_incoming(session);
        self.finish_snapshot(session);
    }

    /// Decodes a row and makes it the confirmed one; gives its slot.
    fn upsert(&mut self, json: &[u8]) -> Result<u32, Undecodable>;
    /// The same of a row that is known already. Nothing, where it is of another type.
    fn upsert_known(&mut self, row: Arc<dyn AnyRow>) -> Option<u32>;
    /// The slots of the rows that the server has said are in a view's result.
    fn members(&self, session: SessionId) -> Vec<u32>;
    /// The key of the row in a slot.
    fn key(&self, slot: u32) -> &str;
    /// The row in this slot is now in the view's result. Says whether it was not before.
    fn add_member(&mut self, session: SessionId, slot: u32) -> bool;
    /// The row at this key is no longer in the view's result. Says whether it was.
    fn remove_member(&mut self, session: SessionId, key: &str) -> bool;
    /// Whether its members are not to be shown before it is complete.
    fn is_hidden(&self, view: SessionId) -> bool;
    /// Whether the server has said that the row at this key is in the view's result.
    fn is_member(&self, session: SessionId, key: &str) -> bool;
    /// The keys of one parent's children among a view's members, in their order.
    fn family(&self, view: SessionId, parent: &str) -> Vec<Box<str>>;
    /// The same of all parents.
    fn families(&self, view: SessionId) -> BTreeMap<Box<str>, Vec<Box<str>>>;
    /// The last one of these confirmed rows, in the order of a view's query.
    fn last_of(&self, session: SessionId, slots: &[u32]) -> Option<Arc<dyn AnyRow>>;
    /// Whether a confirmed row stands behind another one there.
    fn is_behind(&self, session: SessionId, slot: u32, other: &dyn AnyRow) -> bool;
    /// Whether the view's query wants the confirmed row in this slot.
    fn wants(&self, session: SessionId, slot: u32) -> bool;
    /// Makes those members of another view that this one's query wants, as many as it wants, its members.
    fn choose_members(&mut self, session: SessionId, from: SessionId);
    /// Whether the server has said of a row that it is there.
    fn holds(&self, key: &str) -> bool;
    /// Whether the confirmed row at a key is another one than this was, or only one of them is there.
    fn is_news(&self, key: &str, before: Option<&dyn AnyRow>) -> bool;
    /// The keys of which the server has said something since the last commit. Some more than once.
    fn each_heard(&self, look: &mut dyn FnMut(&str));
    /// The keys whose confirmed rows may have changed since the last commit. Some more than once.
    fn each_touched(&self, look: &mut dyn FnMut(&str));

    /// Lets go of confirmed rows that no view holds any more. To be called before local effects are replayed.
    fn evict(&mut self);
    /// Shows all that was prepared, under these local effects, which may be others than at the last commit for the
    /// rows that were `replayed`. Adds to `changed`.
    fn commit(&mut self, overlay: &Overlay, replayed: &mut dyn Iterator<Item = &Key>, changed: &mut Changed);

    /// Whether there is neither a row nor a view.
    fn is_empty(&self) -> bool;
}
