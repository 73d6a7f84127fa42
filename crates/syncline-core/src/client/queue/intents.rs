//! The intents of a queue by their names, and sets of such names.
//!
//! Names grow, most intents leave in the order in which they came, and most of the time there are none or one: so both
//! are deques, which keep a little memory when they are empty.

use std::collections::VecDeque;

use super::SPARE;
use crate::client::pending::Pending;

/// The names of intents that are [early](super::Queue::push_kept) are at most this.
pub(super) const EARLY: u64 = 1 << 32;

/// Names an intent of one queue; the order of the names is the order of the intents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IntentId(pub(super) u64);

impl IntentId {
    /// Whether it was made on a page that is gone, before all that were made here.
    pub(super) fn is_early(self) -> bool {
        self.0 <= EARLY
    }
}

/// Intents, in the order of their names.
#[derive(Default)]
pub(super) struct Intents(VecDeque<(IntentId, Box<Pending>)>);

impl Intents {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, id: IntentId) -> Result<usize, usize> {
        find(&self.0, id, |(other, _)| *other)
    }

    pub(super) fn get(&self, id: IntentId) -> Option<&Pending> {
        self.find(id).ok().map(|at| &*self.0[at].1)
    }

    pub(super) fn get_mut(&mut self, id: IntentId) -> Option<&mut Pending> {
        self.find(id).ok().map(|at| &mut *self.0[at].1)
    }

    /// Puts in an intent whose name is new.
    pub(super) fn insert(&mut self, id: IntentId, intent: Pending) {
        let at = self.find(id).unwrap_or_else(|at| at);
        self.0.insert(at, (id, Box::new(intent)));
    }

    pub(super) fn remove(&mut self, id: IntentId) -> Option<Pending> {
        let at = self.find(id).ok()?;
        let intent = self.0.remove(at).map(|(_, intent)| *intent);
        give_back(&mut self.0);
        intent
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = IntentId> {
        self.0.iter().map(|(id, _)| *id)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (IntentId, &mut Pending)> {
        self.0.iter_mut().map(|(id, intent)| (*id, &mut **intent))
    }

    /// Those from this name on.
    pub(super) fn since(&self, first: IntentId) -> impl Iterator<Item = &Pending> {
        let start = self.find(first).unwrap_or_else(|at| at);
        self.0.range(start..).map(|(_, intent)| &**intent)
    }
}

/// Names of intents, in order, each once.
#[derive(Default)]
pub(super) struct Names(VecDeque<IntentId>);

impl Names {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = IntentId> {
        self.0.iter().copied()
    }

    pub(super) fn insert(&mut self, id: IntentId) {
        if let Err(at) = find(&self.0, id, |other| *other) {
            self.0.insert(at, id);
        }
    }

    pub(super) fn remove(&mut self, id: IntentId) {
        if let Ok(at) = find(&self.0, id, |other| *other) {
            self.0.remove(at);
            give_back(&mut self.0);
        }
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&IntentId) -> bool) {
        self.0.retain(keep);
        give_back(&mut self.0);
    }

    /// Takes them all out.
    pub(super) fn take<T: FromIterator<IntentId>>(&mut self) -> T {
        let taken = self.0.drain(..).collect();
        give_back(&mut self.0);
        taken
    }
}

/// Keeps the memory of a few when all have left, and not that of a long time without a connection.
pub(crate) fn give_back<T>(deque: &mut VecDeque<T>) {
    if deque.is_empty() {
        deque.shrink_to(SPARE);
    }
}

/// Where a name stands, or would. Most come at one end or leave at the other.
fn find<T>(sorted: &VecDeque<T>, id: IntentId, name: impl Fn(&T) -> IntentId) -> Result<usize, usize> {
    match (sorted.front().map(&name), sorted.back().map(&name)) {
        (_, None) => Err(0),
        (_, Some(last)) if id > last => Err(sorted.len()),
        (Some(first), _) if id == first => Ok(0),
        _ => sorted.binary_search_by_key(&id, name),
    }
}
