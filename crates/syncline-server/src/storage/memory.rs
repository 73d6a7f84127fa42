//! Spaces kept in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use syncline_core::id::{ClientId, Incarnation, SpaceId, Version};
use syncline_core::space::{ClientRecord, Commit, LogEntry, RowChange, SpaceImage, StoredRow};
use syncline_core::{Error, Key};

use crate::storage::{Storage, conflict};

/// Spaces kept in memory, for tests and trials: gone with the process. Clones share what they keep.
#[derive(Clone, Default)]
pub struct Memory {
    spaces: Arc<Mutex<BTreeMap<SpaceId, Kept>>>,
}

#[derive(Default)]
struct Kept {
    incarnation: Option<Incarnation>,
    version: Version,
    rows: BTreeMap<(&'static str, Key), StoredRow>,
    log: Vec<LogEntry>,
    clients: BTreeMap<ClientId, ClientRecord>,
}

impl Memory {
    /// Keeps nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Storage for Memory {
    async fn load(&self, space: &SpaceId) -> Result<SpaceImage, Error> {
        let spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(spaces.get(space).map(Kept::image).unwrap_or_default())
    }

    async fn commit(&self, commits: Vec<Commit>) -> Vec<Result<(), Error>> {
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        commits
            .into_iter()
            .map(|commit| spaces.entry(commit.space.clone()).or_default().apply(commit))
            .collect()
    }
}

impl Kept {
    fn image(&self) -> SpaceImage {
        SpaceImage {
            incarnation: self.incarnation,
            version: self.version,
            rows: self.rows.values().cloned().collect(),
            log: self.log.clone(),
            clients: self.clients.values().cloned().collect(),
        }
    }

    fn apply(&mut self, commit: Commit) -> Result<(), Error> {
        let follows = commit.renews.unwrap_or(commit.incarnation);
        let is_next = self.incarnation.is_none_or(|incarnation| incarnation == follows);
        if !is_next || self.version != commit.from {
            return Err(conflict());
        }
        self.incarnation = Some(commit.incarnation);
        self.version = commit.to;
        for row in commit.rows {
            let RowChange { collection, key, version, json } = row;
            match json {
                Some(json) => {
                    let (name, text, json) = (collection.to_owned(), key.as_str().to_owned(), json.to_vec());
                    self.rows
                        .insert((collection, key), StoredRow { collection: name, key: text, version, json })
                }
                None => self.rows.remove(&(collection, key)),
            };
        }
        self.log.extend(commit.log);
        self.log.retain(|entry| entry.version > commit.log_floor);
        for client in &commit.forgotten {
            self.clients.remove(client);
        }
        self.clients.extend(commit.clients.into_iter().map(|record| (record.client.clone(), record)));
        Ok(())
    }
}
