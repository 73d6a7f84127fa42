//! Maps and sets of the few things that every frame has to look through: the spaces, queries and watches of a page. A sorted
//! list is walked through in a tenth of the time that a tree takes, and that is done a dozen times for each frame.

use std::collections::VecDeque;

use litemap::LiteMap;

/// A map of a few.
pub(crate) type ShortMap<K, V> = LiteMap<K, V>;

/// What [`LiteMap`] has no method for.
pub(crate) trait ValuesMut<V> {
    /// The values, to be changed.
    fn values_mut<'a>(&'a mut self) -> impl Iterator<Item = &'a mut V>
    where
        V: 'a;
}

impl<K: Ord, V> ValuesMut<V> for ShortMap<K, V> {
    fn values_mut<'a>(&'a mut self) -> impl Iterator<Item = &'a mut V>
    where
        V: 'a,
    {
        self.iter_mut().map(|(_, value)| value)
    }
}

/// A set of a few, which keeps its memory when it becomes empty.
pub(crate) struct ShortSet<T>(VecDeque<T>);

impl<T: Ord> ShortSet<T> {
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(crate) fn insert(&mut self, one: T) {
        if let Err(place) = self.0.binary_search(&one) {
            self.0.insert(place, one);
        }
    }

    pub(crate) fn remove(&mut self, one: &T) {
        if let Ok(place) = self.0.binary_search(one) {
            self.0.remove(place);
        }
    }

    pub(crate) fn pop_first(&mut self) -> Option<T> {
        self.0.pop_front()
    }
}

impl<'a, T: Ord + Copy + 'a> Extend<&'a T> for ShortSet<T> {
    fn extend<I: IntoIterator<Item = &'a T>>(&mut self, more: I) {
        more.into_iter().for_each(|one| self.insert(*one));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_in_order_and_has_each_once() {
        let mut set = ShortSet::new();
        set.extend(&[3, 1, 2, 3, 1]);
        set.remove(&2);
        set.remove(&7);
        assert_eq!(std::iter::from_fn(|| set.pop_first()).collect::<Vec<_>>(), [1, 3]);
        set.insert(5);
        assert_eq!((set.pop_first(), set.pop_first()), (Some(5), None));
    }
}
