//! Spaces kept in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syncline_core::id::{ClientId, Incarnation, SpaceId, Version};
use syncline_core::space::{ClientRecord, Commit, LogEntry, NewJob, RowChange, SpaceImage, StoredRow};
use syncline_core::{Error, Key};

use crate::storage::{JobFate, JobTurn, Storage, StoredJob, conflict};

/// Spaces kept in memory, for tests and trials: gone with the process. Clones share what they keep.
#[derive(Clone, Default)]
pub struct Memory {
    kept: Arc<Mutex<All>>,
}

#[derive(Default)]
struct All {
    spaces: BTreeMap<SpaceId, Kept>,
    /// In the order in which they were left.
    jobs: Vec<(StoredJob, Option<String>)>,
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

    fn lock(&self) -> MutexGuard<'_, All> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for Memory {
    async fn load(&self, space: &SpaceId) -> Result<SpaceImage, Error> {
        Ok(self.lock().spaces.get(space).map(Kept::image).unwrap_or_default())
    }

    async fn commit(&self, commits: Vec<Commit>) -> Vec<Result<(), Error>> {
        let mut all = self.lock();
        commits.into_iter().map(|commit| all.apply(commit)).collect()
    }

    async fn jobs(&self, names: &[Box<str>], most: usize) -> Result<Vec<StoredJob>, Error> {
        let all = self.lock();
        let of = |name: &str| {
            let waiting = all.jobs.iter().filter(|(job, failed)| *job.name == *name && failed.is_none());
            let mut jobs: Vec<_> = waiting.map(|(job, _)| job.clone()).collect();
            jobs.sort_by_key(|job| job.due);
            jobs.truncate(most);
            jobs
        };
        Ok(names.iter().flat_map(|name| of(name)).collect())
    }

    async fn job_names(&self) -> Result<Vec<Box<str>>, Error> {
        let all = self.lock();
        let waiting = all.jobs.iter().filter(|(_, failed)| failed.is_none());
        let names: BTreeSet<_> = waiting.map(|(job, _)| job.name.clone()).collect();
        Ok(names.into_iter().collect())
    }

    async fn turn_jobs(&self, turns: Vec<JobTurn>) -> Result<(), Error> {
        let mut all = self.lock();
        for JobTurn { id, fate } in turns {
            let Some(at) = all.jobs.iter().position(|(job, _)| job.id == id) else { continue };
            let (job, failed) = &mut all.jobs[at];
            match fate {
                JobFate::Done => drop(all.jobs.remove(at)),
                JobFate::Again { tries, due } => (job.tries, job.due) = (tries, due),
                JobFate::Failed { tries, why } => (job.tries, *failed) = (tries, Some(why)),
            }
        }
        Ok(())
    }
}

impl All {
    fn apply(&mut self, mut commit: Commit) -> Result<(), Error> {
        let (space, jobs) = (commit.space.clone(), std::mem::take(&mut commit.jobs));
        self.spaces.entry(space.clone()).or_default().apply(commit)?;
        self.jobs.extend(jobs.into_iter().map(|job| {
            let NewJob { id, name, payload, user, at } = job;
            let (id, space) = (id.to_string().into(), space.clone());
            (StoredJob { id, space, name, payload, user, at, tries: 0, due: at }, None)
        }));
        Ok(())
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
            let RowChange { collection, key, version, json, .. } = row;
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
