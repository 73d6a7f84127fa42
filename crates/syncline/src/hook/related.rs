//! The children of a hook's rows: for each parent on the screen their handles and their number, kept in line with the
//! watch.
//!
//! What a parent's children are is remembered for all parents; a *family*, which is what signals are made of, only for
//! those that somebody has asked about. It is let go of when its parent is gone and no handle of the parent's row is
//! left, so that a list that runs for a day keeps no more than it shows.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Handles, RowHandle};
use crate::related::{Related, WatchRef};
use crate::{Diff, Entry, Key, Record, RelatedDiff};

/// The children of one parent on the screen, read as signals: their handles, and how many there are, each tracked by
/// itself. A clone is the same family.
pub trait Family<C: Record>: Clone + 'static {
    /// How a child is shown.
    type Row: RowHandle<C> + 'static;

    /// A new family.
    fn new(rows: Vec<Self::Row>, count: u64) -> Self;
    /// Shows other children, or the same in another order, and tells those who read them.
    fn set_rows(&self, rows: Vec<Self::Row>);
    /// Shows another number, and tells those who read it.
    fn set_count(&self, count: u64);
}

/// One relation that a hook shows, without the type of its children.
pub trait FollowsRelation {
    /// From now on it belongs to this watch, or to none.
    fn begin(&self, watch: Option<&WatchRef>);
    /// Takes what has changed. `is_alive` says whether a row of the watch is still on the screen, and there are about so
    /// many `rows` there.
    fn refresh(&self, is_alive: &dyn Fn(&str) -> bool, rows: usize);
    /// Empties it, for another query.
    fn clear(&self);
    /// Itself, to be downcast.
    fn as_any(&self) -> &dyn Any;
}

/// The relations that a hook shows. A clone is the same. `D` is [`FollowsRelation`], with whatever else an adapter needs of
/// it.
pub struct Relations<D: ?Sized>(Arc<Mutex<Shown<D>>>);

struct Shown<D: ?Sized> {
    watch: Option<WatchRef>,
    /// By collection and field.
    all: Vec<((&'static str, &'static str), Arc<D>)>,
}

impl<D: FollowsRelation + ?Sized> Relations<D> {
    /// The family of a parent, in the relation by a field of `C`. `as_dyn` makes of a relation what the adapter keeps.
    pub fn family<C, F>(
        &self,
        field: &'static str,
        parent: &str,
        as_dyn: impl FnOnce(Families<C, F>) -> Arc<D>,
    ) -> F
    where
        C: Record,
        F: Family<C>,
    {
        let name = (C::COLLECTION, field);
        let (relation, is_new) = {
            let mut shown = lock(&self.0);
            match shown.all.iter().find(|(other, _)| *other == name) {
                Some((_, relation)) => (Arc::clone(relation), None),
                None => {
                    let relation = as_dyn(Families::new(field));
                    shown.all.push((name, Arc::clone(&relation)));
                    (relation, Some(shown.watch.clone()))
                }
            }
        };
        if let Some(watch) = is_new {
            relation.begin(watch.as_ref());
            relation.refresh(&|_| true, usize::MAX / 4);
        }
        match relation.as_any().downcast_ref::<Families<C, F>>() {
            Some(families) => families.of(parent),
            // a collection has one row type, and an adapter one kind of family
            None => F::new(Vec::new(), 0),
        }
    }

    pub(super) fn begin(&self, watch: Option<WatchRef>) {
        let all = self.set_watch(watch.clone());
        all.iter().for_each(|relation| relation.begin(watch.as_ref()));
    }

    fn set_watch(&self, watch: Option<WatchRef>) -> Vec<Arc<D>> {
        let mut shown = lock(&self.0);
        shown.watch = watch;
        shown.all.iter().map(|(_, relation)| Arc::clone(relation)).collect()
    }

    pub(super) fn each(&self, act: impl Fn(&D)) {
        let all: Vec<_> = lock(&self.0).all.iter().map(|(_, relation)| Arc::clone(relation)).collect();
        all.iter().for_each(|relation| act(relation));
    }
}

/// One relation that a hook shows: the families of its parents. A clone is the same.
pub struct Families<C: Record, F: Family<C>> {
    field: &'static str,
    state: Arc<Mutex<State<C, F>>>,
}

struct State<C: Record, F: Family<C>> {
    related: Option<Related<C>>,
    /// Parents that have children, or that somebody has asked about.
    known: HashMap<Key, Known<C, F>>,
}

struct Known<C: Record, F: Family<C>> {
    entries: Vec<Entry<C>>,
    count: u64,
    family: Option<F>,
    /// The family's rows; away while they are being told.
    rows: Rows<C, F::Row>,
}

/// The handles of a family's rows, and the list that it was told last.
struct Rows<C: Record, H: RowHandle<C>> {
    handles: Handles<C, H>,
    list: Vec<H>,
}

impl<C: Record, H: RowHandle<C>> Rows<C, H> {
    /// Shows these, and no others; gives the list when it has become another one.
    fn show(&mut self, entries: Vec<Entry<C>>) -> Option<Vec<H>> {
        let edits = self.handles.apply([Diff::Reset(entries)]);
        if !edits.reorder::<C>(&self.list) {
            return None;
        }
        drop(edits.apply(&mut self.list));
        self.handles.forget(self.list.len());
        Some(self.list.clone())
    }
}

impl<C: Record, H: RowHandle<C>> Default for Rows<C, H> {
    fn default() -> Self {
        Self { handles: Handles::new(), list: Vec::new() }
    }
}

/// What a family is to be told.
struct News<C: Record, F: Family<C>> {
    parent: Key,
    family: F,
    rows: Rows<C, F::Row>,
    entries: Vec<Entry<C>>,
    count: Option<u64>,
}

impl<C: Record, F: Family<C>> Known<C, F> {
    fn new() -> Self {
        Self { entries: Vec::new(), count: 0, family: None, rows: Rows::default() }
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.count == 0
    }
}

impl<C: Record, F: Family<C>> Families<C, F> {
    fn new(field: &'static str) -> Self {
        Self { field, state: Arc::new(Mutex::new(State { related: None, known: HashMap::new() })) }
    }

    fn of(&self, parent: &str) -> F {
        let mut state = lock(&self.state);
        if !state.known.contains_key(parent) {
            state.known.insert(parent.into(), Known::new());
        }
        let Some(known) = state.known.get_mut(parent) else { return F::new(Vec::new(), 0) };
        let Known { entries, count, family, rows } = known;
        let make = || F::new(rows.show(entries.clone()).unwrap_or_default(), *count);
        family.get_or_insert_with(make).clone()
    }

    /// Takes over what has changed; gives what families are to be told of it.
    fn take_over(state: &mut State<C, F>, diff: RelatedDiff<C>) -> Vec<News<C, F>> {
        let RelatedDiff { reset_children, children, reset_counts, counts } = diff;
        let mut children: HashMap<Key, Vec<Entry<C>>> = children.into_iter().collect();
        let mut counts: HashMap<Key, u64> = counts.into_iter().collect();
        if reset_children || reset_counts {
            for (parent, known) in &state.known {
                if reset_children && !known.entries.is_empty() {
                    children.entry(parent.clone()).or_default();
                }
                if reset_counts && known.count > 0 {
                    counts.entry(parent.clone()).or_default();
                }
            }
        }
        let parents: Vec<Key> = children.keys().chain(counts.keys()).cloned().collect();
        let mut news = Vec::new();
        for parent in parents {
            let (entries, count) = (children.remove(&parent), counts.remove(&parent));
            if entries.is_none() && count.is_none() {
                continue;
            }
            let known = state.known.entry(parent.clone()).or_insert_with(Known::new);
            let count = count.filter(|count| std::mem::replace(&mut known.count, *count) != *count);
            if let Some(entries) = entries {
                known.entries = entries;
            }
            if let Some(family) = known.family.clone() {
                let (rows, entries) = (std::mem::take(&mut known.rows), known.entries.clone());
                news.push(News { parent, family, rows, entries, count });
            } else if known.is_empty() {
                state.known.remove(&parent);
            }
        }
        news
    }

    fn apply(&self, diff: RelatedDiff<C>) {
        let news = Self::take_over(&mut lock(&self.state), diff);
        // told while nothing is locked: whoever is told may ask at once
        for News { parent, family, mut rows, entries, count } in news {
            if let Some(list) = rows.show(entries) {
                family.set_rows(list);
            }
            if let Some(count) = count {
                family.set_count(count);
            }
            if let Some(known) = lock(&self.state).known.get_mut(&parent) {
                known.rows = rows;
            }
        }
    }

    /// Takes the families out of which nothing is left on the screen, when they are the most of what is known.
    fn forget(&self, is_alive: &dyn Fn(&str) -> bool, rows: usize) -> Vec<F> {
        let mut state = lock(&self.state);
        if state.known.len() <= rows.saturating_mul(2).saturating_add(32) {
            return Vec::new();
        }
        let mut gone = Vec::new();
        state.known.retain(|parent, known| {
            let stays = !known.is_empty() || is_alive(parent.as_str());
            if !stays {
                gone.extend(known.family.take());
            }
            stays
        });
        gone
    }
}

impl<C: Record, F: Family<C>> FollowsRelation for Families<C, F> {
    fn begin(&self, watch: Option<&WatchRef>) {
        lock(&self.state).related = watch.map(|watch| watch.related(self.field));
    }

    fn refresh(&self, is_alive: &dyn Fn(&str) -> bool, rows: usize) {
        let Some(diff) = lock(&self.state).related.as_ref().map(Related::take) else { return };
        self.apply(diff);
        // whoever still reads one of these asks again, and is given another
        for family in self.forget(is_alive, rows) {
            family.set_rows(Vec::new());
            family.set_count(0);
        }
    }

    fn clear(&self) {
        if F::Row::STAYS {
            // whoever shows a parent in the next list shows this family of it
            self.apply(RelatedDiff { reset_children: true, reset_counts: true, ..RelatedDiff::default() });
            return;
        }
        let known = std::mem::take(&mut lock(&self.state).known);
        for known in known.into_values() {
            if let Some(family) = known.family {
                family.set_rows(Vec::new());
                family.set_count(0);
            }
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // a panic in the code of a record type must not take every other reader with it
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<D: ?Sized> Clone for Relations<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: ?Sized> Default for Relations<D> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Shown { watch: None, all: Vec::new() })))
    }
}

impl<D: ?Sized> fmt::Debug for Relations<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relations").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::{Rc, Weak};

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::RowState;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Record)]
    #[record(collection = "reactions", key = id, crate = crate)]
    struct Reaction {
        id: String,
        message: String,
    }

    /// A handle that is nothing but itself, and stays in another list or not.
    #[derive(Clone)]
    struct Handle<const STAYS: bool>(Rc<RefCell<Entry<Reaction>>>);

    impl<const STAYS: bool> RowHandle<Reaction> for Handle<STAYS> {
        type Weak = Weak<RefCell<Entry<Reaction>>>;
        const STAYS: bool = STAYS;

        fn new(entry: Entry<Reaction>) -> Self {
            Self(Rc::new(RefCell::new(entry)))
        }

        fn entry(&self) -> Entry<Reaction> {
            self.0.borrow().clone()
        }

        fn set_record(&self, record: Arc<Reaction>) {
            self.0.borrow_mut().record = record;
        }

        fn set_state(&self, state: RowState) {
            self.0.borrow_mut().state = state;
        }

        fn downgrade(&self) -> Self::Weak {
            Rc::downgrade(&self.0)
        }

        fn upgrade(weak: &Self::Weak) -> Option<Self> {
            weak.upgrade().map(Self)
        }
    }

    /// A family that counts how often it was told something else.
    #[derive(Clone)]
    struct Shown<const STAYS: bool = false>(Rc<(RefCell<Vec<Handle<STAYS>>>, Cell<u64>, Cell<usize>)>);

    impl<const STAYS: bool> Family<Reaction> for Shown<STAYS> {
        type Row = Handle<STAYS>;

        fn new(rows: Vec<Handle<STAYS>>, count: u64) -> Self {
            Self(Rc::new((RefCell::new(rows), Cell::new(count), Cell::new(0))))
        }

        fn set_rows(&self, rows: Vec<Handle<STAYS>>) {
            *self.0.0.borrow_mut() = rows;
            self.0.2.set(self.0.2.get() + 1);
        }

        fn set_count(&self, count: u64) {
            self.0.1.set(count);
            self.0.2.set(self.0.2.get() + 1);
        }
    }

    impl<const STAYS: bool> Shown<STAYS> {
        fn keys(&self) -> Vec<String> {
            self.0.0.borrow().iter().map(|handle| handle.entry().key().to_owned()).collect()
        }

        fn told(&self) -> usize {
            self.0.2.get()
        }
    }

    fn families<const STAYS: bool>() -> Families<Reaction, Shown<STAYS>> {
        Families::new("message")
    }

    fn diff(reset: bool, children: &[(&str, &[&str])], counts: &[(&str, u64)]) -> RelatedDiff<Reaction> {
        let entry = |message: &str, id: &str| Entry {
            record: Arc::new(Reaction { id: id.into(), message: message.into() }),
            state: RowState::Confirmed,
        };
        let children = children.iter();
        RelatedDiff {
            reset_children: reset,
            children: children
                .map(|(parent, ids)| ((*parent).into(), ids.iter().map(|id| entry(parent, id)).collect()))
                .collect(),
            reset_counts: reset,
            counts: counts.iter().map(|(parent, n)| ((*parent).into(), *n)).collect(),
        }
    }

    #[test]
    fn a_change_tells_its_family_and_no_other() {
        let all = families::<false>();
        all.apply(diff(true, &[("a", &["1"]), ("b", &["2"])], &[("a", 1), ("b", 1)]));
        let (a, b, c) = (all.of("a"), all.of("b"), all.of("c"));
        assert_eq!(
            (a.keys(), a.0.1.get(), b.keys(), c.keys()),
            (vec!["1".into()], 1, vec!["2".into()], vec![])
        );
        all.apply(diff(false, &[("a", &["1", "3"]), ("c", &["4"])], &[("a", 2)]));
        assert_eq!((a.keys().len(), a.0.1.get(), c.keys().len()), (2, 2, 1));
        assert_eq!((a.told(), b.told(), c.told()), (2, 0, 1));
        // the same again tells nobody anything, and handles stay
        let before = a.0.0.borrow()[0].clone();
        all.apply(diff(false, &[("a", &["1", "3"])], &[("a", 2)]));
        assert_eq!(a.told(), 2);
        assert!(Rc::ptr_eq(&a.0.0.borrow()[0].0, &before.0));
        assert!(Rc::ptr_eq(&all.of("a").0, &a.0), "it is the same family for everybody");
    }

    #[test]
    fn what_a_reset_does_not_name_is_gone() {
        let all = families::<false>();
        all.apply(diff(true, &[("a", &["1"]), ("b", &["2"])], &[("a", 1), ("b", 7)]));
        let (a, b) = (all.of("a"), all.of("b"));
        all.apply(diff(true, &[("b", &["2"])], &[("b", 7)]));
        assert_eq!((a.keys().len(), a.0.1.get(), b.told()), (0, 0, 0));
        all.clear();
        assert_eq!((b.keys().len(), b.0.1.get()), (0, 0));
        assert!(!Rc::ptr_eq(&all.of("b").0, &b.0), "another query has families of its own");
    }

    #[test]
    fn where_handles_stay_the_next_query_has_the_families_of_the_one_before() {
        let all = families::<true>();
        all.apply(diff(true, &[("a", &["1"])], &[("a", 1)]));
        let a = all.of("a");
        let child = a.0.0.borrow()[0].clone();
        all.clear();
        assert_eq!((a.keys().len(), a.0.1.get()), (0, 0));
        all.apply(diff(true, &[("a", &["1"])], &[("a", 1)]));
        assert!(Rc::ptr_eq(&all.of("a").0, &a.0));
        assert!(Rc::ptr_eq(&a.0.0.borrow()[0].0, &child.0));
    }

    #[test]
    fn families_of_rows_that_are_gone_are_forgotten() {
        let all = families::<false>();
        for round in 0..10 {
            let parents: Vec<String> = (0..100).map(|n| format!("{round}-{n}")).collect();
            let children: Vec<(&str, &[&str])> =
                parents.iter().map(|parent| (parent.as_str(), &["1"][..])).collect();
            all.apply(diff(false, &children, &[]));
            let asked: Vec<Shown<false>> = parents.iter().map(|parent| all.of(parent)).collect();
            let gone: Vec<(&str, &[&str])> =
                parents.iter().map(|parent| (parent.as_str(), &[][..])).collect();
            all.apply(diff(false, &gone, &[]));
            // one of them is still on the screen
            let woken = all.forget(&|parent| parent.ends_with("-7"), 1);
            assert_eq!(woken.len(), 99);
            assert!(Rc::ptr_eq(&all.of(&parents[7]).0, &asked[7].0));
        }
        assert_eq!(lock(&all.state).known.len(), 10);
        // nobody has to ask for anything to be forgotten
        all.apply(diff(false, &[("x", &["1"])], &[("x", 1)]));
        all.apply(diff(false, &[("x", &[])], &[("x", 0)]));
        assert_eq!(lock(&all.state).known.len(), 10);
    }
}
