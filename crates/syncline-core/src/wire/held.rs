//! Which rows a client holds, in few bytes.

use std::collections::HashMap;
use std::hash::Hasher;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

/// The keys of rows that a client holds, each as its SipHash-2-4 of 64 bits: what lets a server find out which rows of
/// a result the client lacks and which it has too many of, where the log alone cannot tell.
///
/// On the wire: `{"seed":"00000000000000aa","keys":"…"}`, where `keys` is base64 (RFC 4648 §4, without padding) of the
/// hashes, 8 bytes each, little-endian. The client draws the seed afresh for each question, so that nobody can make two
/// keys meet; it is both halves of the hash's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Held {
    seed: u64,
    hashes: Vec<u64>,
}

/// The most keys of one [`Held`]: 107 KB on the wire. A client that holds more comes back without it, and gets a snapshot.
pub const MAX_HELD: usize = 10_000;

#[derive(Serialize, Deserialize)]
struct Wire {
    seed: String,
    keys: String,
}

impl Held {
    /// Says that these keys are held.
    pub fn new<'a>(seed: u64, keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self { seed, hashes: keys.into_iter().map(|key| hash(seed, key)).collect() }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// What it takes of a frame, in bytes.
    pub(crate) fn frame_bytes(&self) -> usize {
        self.hashes.len() * 8 * 4 / 3
    }

    /// For looking keys up, one after the other.
    pub(crate) fn checklist(&self) -> Checklist {
        let places = self.hashes.iter().enumerate();
        Checklist { seed: self.seed, left: places.map(|(place, &hash)| (hash, place as u32)).collect() }
    }
}

/// The keys that a client holds, ticked off one by one.
pub(crate) struct Checklist {
    seed: u64,
    left: HashMap<u64, u32>,
}

impl Checklist {
    /// Whether the key is held and was not asked for before.
    pub(crate) fn take(&mut self, key: &str) -> bool {
        self.left.remove(&hash(self.seed, key)).is_some()
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
        let bytes = STANDARD_NO_PAD.decode(wire.keys).map_err(|_| "keys are base64 without padding")?;
        let (hashes, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err("a hashed key is 8 bytes long");
        }
        if hashes.len() > MAX_HELD {
            return Err("no more than 10,000 keys");
        }
        Ok(Self { seed, hashes: hashes.iter().map(|&hash| u64::from_le_bytes(hash)).collect() })
    }
}

impl From<Held> for Wire {
    fn from(held: Held) -> Self {
        let bytes: Vec<u8> = held.hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
        Self { seed: format!("{:016x}", held.seed), keys: STANDARD_NO_PAD.encode(bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_ticked_off_and_the_rest_is_named_by_its_place() {
        let held = Held::new(7, ["a", "b", "c"]);
        let mut list = held.checklist();
        assert!(list.take("b") && !list.take("b") && !list.take("x"));
        assert_eq!(list.left(), [0, 2]);
    }

    #[test]
    fn the_wire_form_is_what_other_clients_can_make() {
        // SipHash-2-4 of "a" under the key 07 00 … 07 00 …
        let held = Held::new(7, ["a", "b"]);
        let json = serde_json::to_string(&held).unwrap();
        assert!(json.starts_with(r#"{"seed":"0000000000000007","keys":""#), "{json}");
        assert_eq!(serde_json::from_str::<Held>(&json).unwrap(), held);
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
