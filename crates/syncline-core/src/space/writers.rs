//! Whose writes came over a connection.

use std::collections::BTreeMap;

use crate::id::{ClientId, SpaceId};

/// The clients that wrote over a connection, by space: those that have to be told what became of their writes when
/// acknowledgements may have been lost. No more than the newest few are kept: as many as writes may be unacknowledged.
pub(super) struct Writers {
    latest: BTreeMap<(SpaceId, ClientId), u64>,
    turn: u64,
    keep: usize,
}

impl Writers {
    pub(super) fn new(keep: usize) -> Self {
        Self { latest: BTreeMap::new(), turn: 0, keep }
    }

    pub(super) fn note(&mut self, space: &SpaceId, client: &ClientId) {
        self.turn += 1;
        self.latest.insert((space.clone(), client.clone()), self.turn);
        if self.latest.len() > self.keep {
            let oldest = self.latest.iter().min_by_key(|(_, turn)| **turn).map(|(pair, _)| pair.clone());
            oldest.and_then(|pair| self.latest.remove(&pair));
        }
    }

    /// The clients that wrote to a space.
    pub(super) fn of<'a>(&'a self, space: &'a SpaceId) -> impl Iterator<Item = &'a ClientId> {
        self.latest.keys().filter(move |(of, _)| of == space).map(|(_, client)| client)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &ClientId> {
        self.latest.keys().map(|(_, client)| client)
    }

    /// The spaces, each once.
    pub(super) fn spaces(&self) -> Vec<SpaceId> {
        let mut spaces: Vec<_> = self.latest.keys().map(|(space, _)| space.clone()).collect();
        spaces.dedup();
        spaces
    }
}
