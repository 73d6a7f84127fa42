//! How rows of queries lie in storage: under which keys, and which of them go when there are too many.
//!
//! Keys are made of JSON texts, one behind the other: of the server's address, of the person's id, then the query. A JSON
//! text ends where it says so, whatever an address or an id is made of, so nobody's key can pass for another one's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use syncline_core::{QuerySpec, UserId};

use super::{CacheLimits, Step, Table};

/// What is in storage for one server, as far as it takes to know what may go.
#[derive(Debug, Default)]
pub(super) struct Lists {
    server: String,
    uses: BTreeMap<String, Use>,
}

/// When a list was used last, in ms since 1970. Orders lists, those that go first first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    at: u64,
}

impl Use {
    fn encode(self) -> Vec<u8> {
        self.at.to_string().into_bytes()
    }

    /// What cannot be read was used long ago.
    fn decode(bytes: &[u8]) -> Self {
        let at = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
        Self { at: at.unwrap_or_default() }
    }
}

/// What all keys of a server begin with.
pub(super) fn server_key(url: &str) -> String {
    json(url)
}

pub(super) fn json(text: &str) -> String {
    // writing a text to memory cannot fail
    serde_json::to_string(text).unwrap_or_default()
}

impl Lists {
    /// From what the table of uses holds.
    pub(super) fn new(server: &str, uses: Vec<(String, Vec<u8>)>) -> Self {
        let uses = uses.into_iter().map(|(key, value)| (key, Use::decode(&value))).collect();
        Self { server: server.to_owned(), uses }
    }

    pub(super) fn key(&self, user: &UserId, query: &QuerySpec) -> String {
        // a map with text keys: writing it to memory cannot fail either
        let query = serde_json::to_string(query).unwrap_or_default();
        format!("{}{}{query}", self.server, json(user.as_str()))
    }

    /// It has been looked at.
    pub(super) fn note_use(&mut self, key: &str, now: u64) {
        if let Some(used) = self.uses.get_mut(key) {
            used.at = now;
        }
    }

    pub(super) fn put(&mut self, key: String, value: Vec<u8>, now: u64, steps: &mut Vec<Step>) {
        let used = Use { at: now };
        self.uses.insert(key.clone(), used);
        steps.push(Step::Put { table: Table::Uses, key: key.clone(), value: used.encode() });
        steps.push(Step::Put { table: Table::Lists, key, value });
    }

    /// These are in storage.
    pub(super) fn remember(&mut self, keys: BTreeSet<String>, now: u64) {
        self.uses.extend(keys.into_iter().map(|key| (key, Use { at: now })));
    }

    pub(super) fn delete(&mut self, key: String, steps: &mut Vec<Step>) {
        self.uses.remove(&key);
        steps.push(Step::Delete { table: Table::Uses, key: key.clone() });
        steps.push(Step::Delete { table: Table::Lists, key });
    }

    /// Lets those go that are too old, and those that are too many.
    pub(super) fn prune(&mut self, limits: &CacheLimits, now: u64, steps: &mut Vec<Step>) {
        let oldest = now.saturating_sub(Duration::as_millis(&limits.age).try_into().unwrap_or(u64::MAX));
        let too_old = self.uses.iter().filter(|(_, used)| used.at < oldest);
        let too_old: Vec<_> = too_old.map(|(key, _)| key.clone()).collect();
        too_old.into_iter().for_each(|key| self.delete(key, steps));
        let too_many = self.uses.len().saturating_sub(limits.queries);
        self.oldest(too_many, &BTreeSet::new()).into_iter().for_each(|key| self.delete(key, steps));
    }

    /// Lets the older half of all lists go that are not to be kept, to make room. Says whether there was any.
    pub(super) fn make_room(&mut self, keep: &BTreeSet<String>, steps: &mut Vec<Step>) -> bool {
        let others = self.uses.keys().filter(|key| !keep.contains(*key)).count();
        self.oldest(others.div_ceil(2), keep).into_iter().for_each(|key| self.delete(key, steps));
        others > 0
    }

    /// Lets all of them go.
    pub(super) fn clear(&mut self, steps: &mut Vec<Step>) {
        let keys: Vec<_> = self.uses.keys().cloned().collect();
        keys.into_iter().for_each(|key| self.delete(key, steps));
    }

    fn oldest(&self, count: usize, keep: &BTreeSet<String>) -> Vec<String> {
        let mut all: Vec<_> = self.uses.iter().filter(|(key, _)| !keep.contains(*key)).collect();
        all.sort_by_key(|(_, used)| **used);
        all.into_iter().take(count).map(|(key, _)| key.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CacheLimits =
        CacheLimits { rows: 200, bytes: 1 << 20, queries: 3, age: Duration::from_millis(1_000) };

    fn lists(uses: &[(&str, u64)]) -> Lists {
        let uses = uses.iter().map(|(key, at)| ((*key).to_owned(), at.to_string().into_bytes()));
        Lists::new("", uses.collect())
    }

    fn left(lists: &Lists) -> Vec<&str> {
        lists.uses.keys().map(String::as_str).collect()
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut lists = lists(&[("a", 5_000), ("b", 4_999), ("c", 5_001), ("d", 5_002)]);
        let mut steps = Vec::new();
        lists.prune(&LIMITS, 5_100, &mut steps);
        assert_eq!((left(&lists), steps.len()), (vec!["a", "c", "d"], 2));
        lists.note_use("a", 6_001);
        lists.prune(&LIMITS, 6_002, &mut steps);
        assert_eq!(left(&lists), ["a", "d"], "a second has passed for c");
    }

    #[test]
    fn room_is_made_by_halves_and_not_with_what_is_to_be_stored() {
        let mut lists = lists(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]);
        let keep = BTreeSet::from(["a".to_owned()]);
        assert!(lists.make_room(&keep, &mut Vec::new()));
        assert_eq!(left(&lists), ["a", "d"]);
        assert!(lists.make_room(&keep, &mut Vec::new()));
        assert!(!lists.make_room(&keep, &mut Vec::new()));
        assert_eq!(left(&lists), ["a"]);
    }

    #[test]
    fn nobodys_key_passes_for_another_ones() {
        let query: QuerySpec = serde_json::from_str(r#"{"space":"s","collection":"c"}"#).unwrap();
        let key = |url: &str, user: &str| Lists::new(&server_key(url), Vec::new()).key(&user.into(), &query);
        let names = ["a", "b", "", "\"", "a\"", "\"\"", "a\"\"b", "\\", "\n", "\u{1f}"];
        let mut keys = BTreeSet::new();
        for url in names {
            for user in names {
                assert!(keys.insert(key(url, user)), "{url:?} {user:?}");
                // what begins with one server's key belongs to that server
                let others = names.iter().filter(|other| **other != url);
                assert!(others.into_iter().all(|other| !key(url, user).starts_with(&server_key(other))));
            }
        }
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_the_oldest() {
        let mut lists =
            Lists::new("", vec![("a".into(), b"nonsense".to_vec()), ("b".into(), b"900".to_vec())]);
        lists.prune(&LIMITS, 1_001, &mut Vec::new());
        assert_eq!(left(&lists), ["b"]);
    }
}
