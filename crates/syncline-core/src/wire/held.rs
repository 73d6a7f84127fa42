//! Which rows a client holds, in few bytes.

use std::collections::HashMap;
use std::hash::Hasher;

use crate::wire::MAX_QUERY_BYTES;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

/// The keys of rows that a client holds, each as its SipHash-2-4 of 64 bits: what lets a server find out which rows of
/// a result the client lacks and which it has too many of, where the log alone cannot tell.
///
/// On the wire: `{"seed":"00000000000000aa","keys":"…","related":[{"keys":"…","counts":"…"}]}`, where `keys` is base64
/// (RFC 4648 §4, without padding) of the hashes, 8 bytes each, little-endian, and `counts` the same of the counts that
/// the client holds of each parent, in the order of the outer `keys`, 4 bytes each. `related` has one entry for each
/// relation of the query. The client draws the seed afresh for each question, so that nobody can make two keys meet; it is
/// both halves of the hash's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Held {
    seed: u64,
    hashes: Vec<u64>,
    related: Vec<HeldChildren>,
}

/// What a client holds of one relation; part of a [`Held`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldChildren {
    hashes: Vec<u64>,
    /// How many children each parent has, as far as the client knows.
    counts: Vec<u32>,
}

/// The most keys of one [`Held`], children and counts included: 1.07 MB on the wire, half of what a frame may be. A client
/// that holds more comes back without it, and gets a snapshot.
pub const MAX_HELD: usize = 100_000;

#[derive(Serialize, Deserialize)]
struct Wire {
    seed: String,
    keys: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    related: Vec<WireChildren>,
}

#[derive(Serialize, Deserialize)]
struct WireChildren {
    keys: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    counts: String,
}

impl Held {
    /// Says that these keys are held.
    pub fn new<'a>(seed: u64, keys: impl IntoIterator<Item = &'a str>) -> Self {
        let hashes = keys.into_iter().map(|key| hash(seed, key)).collect();
        Self { seed, hashes, related: Vec::new() }
    }

    /// Says that these children are held of the next relation, and these counts, one for each parent; none where nothing is
    /// counted.
    #[must_use]
    pub fn with_children<'a>(
        mut self,
        keys: impl IntoIterator<Item = &'a str>,
        counts: impl IntoIterator<Item = u64>,
    ) -> Self {
        let hashes = keys.into_iter().map(|key| hash(self.seed, key)).collect();
        // a count beyond 32 bits is told again
        let counts = counts.into_iter().map(|count| u32::try_from(count).unwrap_or(u32::MAX)).collect();
        self.related.push(HeldChildren { hashes, counts });
        self
    }

    /// How many keys and counts there are.
    pub fn len(&self) -> usize {
        let related = self.related.iter().map(|children| children.hashes.len() + children.counts.len());
        self.hashes.len() + related.sum::<usize>()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What its keys and counts take of a frame, in bytes.
    pub(crate) fn frame_bytes(&self) -> usize {
        let counts = self.related.iter().map(|children| children.counts.len()).sum::<usize>();
        let hashes = self.len() - counts;
        ((hashes * 8 + counts * 4) * 4).div_ceil(3)
    }

    /// How many keys and counts fit into a `subscribe` of at most so many bytes, whatever its query is; never more than
    /// [`MAX_HELD`].
    pub fn fitting(frame_bytes: usize) -> usize {
        (frame_bytes.saturating_sub(MAX_QUERY_BYTES) / (8 * 4) * 3).min(MAX_HELD)
    }

    /// For looking keys up, one after the other.
    pub(crate) fn checklist(&self) -> Checklist {
        Checklist::new(self.seed, &self.hashes)
    }

    /// The same for each relation, with the counts that are held of it.
    pub(crate) fn children(&self) -> Vec<(Checklist, &[u32])> {
        let children = self.related.iter();
        children.map(|held| (Checklist::new(self.seed, &held.hashes), &*held.counts)).collect()
    }
}

/// The keys that a client holds, ticked off one by one.
pub(crate) struct Checklist {
    seed: u64,
    left: HashMap<u64, u32>,
}

impl Checklist {
    fn new(seed: u64, hashes: &[u64]) -> Self {
        let places = hashes.iter().enumerate();
        Self { seed, left: places.map(|(place, &hash)| (hash, place as u32)).collect() }
    }

    /// The place of the key, when it is held and was not asked for before.
    pub(crate) fn take(&mut self, key: &str) -> Option<u32> {
        self.left.remove(&hash(self.seed, key))
    }

    /// The places of those that nobody asked for, in order.
    pub(crate) fn left(self) -> Vec<u32> {
        let mut left: Vec<_> = self.left.into_values().collect();
        left.sort_unstable();
        left
    }
}

fn hash(seed: u64, key: &str) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(seed, seed);
    hasher.write(key.as_bytes());
    hasher.finish()
}

impl TryFrom<Wire> for Held {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let seed = u64::from_str_radix(&wire.seed, 16).map_err(|_| "a seed is 16 hex digits")?;
        let children = |wire: &WireChildren| {
            Ok(HeldChildren {
                hashes: numbers(&wire.keys)?.into_iter().map(u64::from_le_bytes).collect(),
                counts: numbers(&wire.counts)?.into_iter().map(u32::from_le_bytes).collect(),
            })
        };
        let related = wire.related.iter().map(children).collect::<Result<_, Self::Error>>()?;
        let hashes = numbers(&wire.keys)?.into_iter().map(u64::from_le_bytes).collect();
        let held = Self { seed, hashes, related };
        if held.len() > MAX_HELD { Err("no more than 100,000 keys") } else { Ok(held) }
    }
}

fn numbers<const BYTES: usize>(base64: &str) -> Result<Vec<[u8; BYTES]>, &'static str> {
    let bytes = STANDARD_NO_PAD.decode(base64).map_err(|_| "keys are base64 without padding")?;
    let (numbers, rest) = bytes.as_chunks::<BYTES>();
    if rest.is_empty() { Ok(numbers.to_vec()) } else { Err("a hashed key is 8 bytes long, a count 4") }
}

impl From<Held> for Wire {
    fn from(held: Held) -> Self {
        let keys = |hashes: &[u64]| {
            STANDARD_NO_PAD.encode(hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect::<Vec<_>>())
        };
        let counts = |counts: &[u32]| {
            STANDARD_NO_PAD.encode(counts.iter().flat_map(|count| count.to_le_bytes()).collect::<Vec<_>>())
        };
        let related = held.related.iter();
        Self {
            seed: format!("{:016x}", held.seed),
            keys: keys(&held.hashes),
            related: related
                .map(|held| WireChildren { keys: keys(&held.hashes), counts: counts(&held.counts) })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_ticked_off_and_the_rest_is_named_by_its_place() {
        let held = Held::new(7, ["a", "b", "c"]);
        let mut list = held.checklist();
        assert_eq!((list.take("b"), list.take("b"), list.take("x")), (Some(1), None, None));
        assert_eq!(list.left(), [0, 2]);
    }

    #[test]
    fn the_wire_form_is_what_other_clients_can_make() {
        // SipHash-2-4 of "a" under the key 07 00 … 07 00 …
        let held = Held::new(7, ["a", "b"]);
        let json = serde_json::to_string(&held).unwrap();
        assert!(json.starts_with(r#"{"seed":"0000000000000007","keys":""#), "{json}");
        assert_eq!(serde_json::from_str::<Held>(&json).unwrap(), held);
        let held = held.with_children(["x"], [3, 0]).with_children([], []);
        let json = serde_json::to_string(&held).unwrap();
        assert!(json.ends_with(r#"","counts":"AwAAAAAAAAA"},{"keys":""}]}"#), "{json}");
        assert_eq!(serde_json::from_str::<Held>(&json).unwrap(), held);
    }

    #[test]
    fn what_it_takes_of_a_frame_is_what_its_keys_and_counts_do() {
        let few = |number: usize| (0..number).map(|_| "a");
        let empty = Held::new(7, []).with_children([], []);
        let bare = serde_json::to_string(&empty).unwrap().len() + r#","counts":"""#.len();
        for (keys, children, counts) in [(0, 0, 1), (1, 0, 1_000), (1_000, 1, 1), (50, 5_000, 50)] {
            let held = Held::new(7, few(keys)).with_children(few(children), (0..).take(counts));
            let taken = serde_json::to_string(&held).unwrap().len() - bare;
            // each of the three texts is rounded up by itself
            assert!(
                held.frame_bytes() <= taken && taken <= held.frame_bytes() + 3,
                "{keys} {children} {counts}"
            );
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for (seed, keys) in [("x", ""), ("7", "AAA"), ("7", "!!!!"), ("", "")] {
            let json = serde_json::json!({"seed": seed, "keys": keys});
            assert!(serde_json::from_value::<Held>(json).is_err(), "{seed} {keys}");
        }
        let many = Held::new(7, (0..=MAX_HELD).map(|_| "a"));
        assert!(serde_json::from_str::<Held>(&serde_json::to_string(&many).unwrap()).is_err());
    }
}
