//! How the hub keeps histories up to date, and where connections find them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use syncline_core::space::{Commit, LogEntry, SpaceImage};
use syncline_core::{Error, Key, SpaceId, Version};

use crate::config::Config;
use crate::connection::{Shared, stopping};
use crate::hub::Event;
use crate::partysync::history::resting::{InUse, Resting};
use crate::partysync::history::{Bounds, History, Reading, Recalled, Stage};

/// What is to be known of a commit once it is stored.
pub(crate) struct Landing {
    pub(super) to: Version,
    pub(super) log: Vec<LogEntry>,
    rows: BTreeMap<(&'static str, Key), Changed>,
    collections: Arc<[&'static str]>,
}

pub(super) struct Changed {
    pub(super) version: Version,
    pub(super) is_there: bool,
    pub(super) before: Option<Arc<[u8]>>,
}

impl Landing {
    pub(in crate::partysync) fn of(commit: &Commit, collections: &Arc<[&'static str]>) -> Self {
        let rows = commit.rows.iter().filter(|row| collections.contains(&row.collection)).map(|row| {
            let changed =
                Changed { version: row.version, is_there: row.json.is_some(), before: row.before.clone() };
            ((row.collection, row.key.clone()), changed)
        });
        let (rows, log) = (rows.collect(), commit.log.clone());
        Self { to: commit.to, log, rows, collections: Arc::clone(collections) }
    }

    pub(super) fn change(&self, collection: usize, key: &Key) -> Option<&Changed> {
        self.rows.get(&(*self.collections.get(collection)?, key.clone()))
    }
}

/// The histories that connections hold, by space.
pub(crate) struct Histories {
    collections: Arc<[&'static str]>,
    bounds: Bounds,
    spaces: Mutex<BTreeMap<SpaceId, Weak<History>>>,
    resting: Arc<Resting>,
}

impl Histories {
    pub(in crate::partysync) fn new(collections: Vec<&'static str>, config: &Config) -> Self {
        let bounds = Bounds { versions: config.engine.log_retention, keys: config.engine.log_keys };
        Self { collections: collections.into(), bounds, spaces: Mutex::default(), resting: Arc::default() }
    }

    /// The number that histories give a collection.
    pub(in crate::partysync) fn collection(&self, name: &str) -> Option<usize> {
        self.collections.iter().position(|collection| *collection == name)
    }

    /// The history of a space, read from storage for the first who asks.
    ///
    /// # Errors
    /// `storage`, `connection`.
    pub(in crate::partysync) async fn of(&self, shared: &Shared, space: &SpaceId) -> Result<InUse, Error> {
        let history = self.join(shared, space)?;
        let mut stage = history.stage.subscribe();
        let stage = stage.wait_for(|stage| !matches!(stage, Stage::Loading)).await.map_err(|_| stopping())?;
        match &*stage {
            Stage::Failed(error) => Err(error.clone()),
            Stage::Loading | Stage::Ready => Ok(InUse::new(Arc::clone(&history), &self.resting)),
        }
    }

    fn join(&self, shared: &Shared, space: &SpaceId) -> Result<Arc<History>, Error> {
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(history) = spaces.get(space).and_then(Weak::upgrade)
            && !matches!(*history.stage.borrow(), Stage::Failed(_))
        {
            return Ok(history);
        }
        spaces.retain(|_, history| history.strong_count() > 0);
        let history = Arc::new(History::new(Arc::clone(&self.collections), self.bounds));
        spaces.insert(space.clone(), Arc::downgrade(&history));
        let follow = Event::Follow { space: space.clone(), history: Arc::downgrade(&history) };
        shared.events.send(follow).map_err(|_| stopping())?;
        Ok(history)
    }
}

/// The hub's side: the histories that it tells of commits.
#[derive(Default)]
pub(crate) struct Following {
    spaces: HashMap<SpaceId, Followed>,
}

struct Followed {
    history: Weak<History>,
    /// The commit that storage is at work on.
    landing: Option<(u64, Landing)>,
    /// What was stored while what storage had before is being read.
    early: Option<Vec<Landing>>,
    /// A commit that was under way when this began was stored: what is being read may be without it.
    missed: bool,
}

// whoever waits for it waits no longer
impl Drop for Followed {
    fn drop(&mut self) {
        if self.early.is_some()
            && let Some(history) = self.history.upgrade()
        {
            history.stage.send_replace(Stage::Failed(stopping()));
        }
    }
}

impl Following {
    /// Begins to follow a space. What storage has of it is to be [told](Self::loaded).
    pub(crate) fn begin(&mut self, space: SpaceId, history: Weak<History>) {
        self.spaces.retain(|_, followed| followed.history.strong_count() > 0);
        let followed = Followed { history, landing: None, early: Some(Vec::new()), missed: false };
        self.spaces.insert(space, followed);
    }

    /// How what storage has of a space is to be read for its history; `None` when nobody wants it any more.
    pub(crate) fn reading(&self, space: &SpaceId) -> Option<Reading> {
        Some(self.spaces.get(space)?.history.upgrade()?.reading())
    }

    /// What storage has, as it was [read](Self::reading). Comes back with `true` when it is to be read again.
    pub(crate) fn loaded(&mut self, space: &SpaceId, result: Result<Recalled, Error>) -> bool {
        let Some(followed) = self.spaces.get_mut(space) else { return false };
        let Some(history) = followed.history.upgrade() else { return false };
        match result {
            Ok(_) if std::mem::take(&mut followed.missed) => return true,
            Ok(read) => {
                history.take_up(read);
                followed.early.take().into_iter().flatten().for_each(|landing| history.land(&landing));
                history.stage.send_replace(Stage::Ready);
            }
            Err(error) => {
                followed.early = None;
                // who asks again begins with another one
                self.spaces.remove(space);
                history.stage.send_replace(Stage::Failed(error));
            }
        }
        false
    }

    /// A space has been read anew, because somebody else had written to it.
    pub(crate) fn reloaded(&mut self, space: &SpaceId, image: &SpaceImage) {
        let followed = self.spaces.get(space).filter(|followed| followed.early.is_none());
        if let Some(history) = followed.and_then(|followed| followed.history.upgrade())
            && history.lock().version != image.version
        {
            history.load(image);
        }
    }

    /// A commit goes to storage.
    pub(crate) fn commits(&mut self, commit: &Commit) {
        let Some(followed) = self.spaces.get_mut(&commit.space) else { return };
        match followed.history.upgrade() {
            Some(history) => followed.landing = Some((commit.id, Landing::of(commit, &history.collections))),
            None => {
                self.spaces.remove(&commit.space);
            }
        }
    }

    /// Storage has answered for a commit. To be told before the engine is. Comes back with `true` when what storage has
    /// is to be read again.
    pub(crate) fn committed(&mut self, space: &SpaceId, commit: u64, is_stored: bool) -> bool {
        let Some(followed) = self.spaces.get_mut(space) else { return false };
        let landing = followed.landing.take_if(|(id, _)| *id == commit).map(|(_, landing)| landing);
        if !is_stored {
            return false;
        }
        match (landing, &mut followed.early) {
            (Some(landing), Some(early)) => early.push(landing),
            (Some(landing), None) => {
                if let Some(history) = followed.history.upgrade() {
                    history.land(&landing);
                }
            }
            (None, Some(_)) => followed.missed = true,
            // it was under way when this began, and what was read may be without it
            (None, None) => {
                followed.early = Some(Vec::new());
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
impl Landing {
    /// As if its rows had been so large.
    pub(super) fn make_large(&mut self, bytes: usize) {
        for changed in self.rows.values_mut() {
            changed.before = Some(vec![b' '; bytes].into());
        }
    }
}
