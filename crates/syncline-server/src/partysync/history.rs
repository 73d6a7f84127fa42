//! What the face remembers of a space: when rows came and changed, which action did it, what deleted rows were.
//!
//! One for each space in which somebody speaks partysync, however many they are. The hub tells it of each commit before
//! anybody is shown it. Who may see what is not its business: it is asked about rows that the engine has shown, or
//! has told of the end of.

mod entry;
mod following;
mod resting;

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use syncline_core::space::{ConnId, SpaceImage};
use syncline_core::{ClientId, Error, Key, Version, WriteId};
use tokio::sync::watch;

use crate::partysync::history::entry::Touch;
pub(super) use crate::partysync::history::entry::{Asked, Entry, Gone};
pub(crate) use crate::partysync::history::following::{Following, Histories, Landing};
pub(super) use crate::partysync::history::resting::InUse;
use crate::partysync::layout::Times;

/// Bytes of deleted rows that are kept, so that it can be said what they were.
const GONE_BYTES: usize = 1024 * 1024;
/// Bytes of broadcasts that are kept for those who have not asked for them yet.
const MADE_BYTES: usize = 256 * 1024;

/// Actions whose senders have gone that are told of, if they change nothing.
const FORSAKEN: usize = 1_024;

/// How much of the past is kept; no more than the engine keeps of its log.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) versions: u64,
    pub(super) keys: usize,
}

/// Whether it can be asked yet.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    Loading,
    Ready,
    Failed(Error),
}

/// See the [module](self).
pub(crate) struct History {
    /// The collections it looks after.
    collections: Arc<[&'static str]>,
    bounds: Bounds,
    state: Mutex<State>,
    pub(super) stage: watch::Sender<Stage>,
    /// The last version that an action of this face made without touching the rows of its channel.
    pub(super) quiet: watch::Sender<Version>,
}

#[derive(Default)]
struct State {
    version: Version,
    /// Those that lead up to `version`, without a gap.
    entries: VecDeque<Arc<Entry>>,
    /// The known versions that touched each row, by collection: oldest first.
    touched: Vec<BTreeMap<Key, VecDeque<Version>>>,
    keys: usize,
    /// Of the last one; times never go back from one version to the next, whatever the clock did.
    at: u64,
    /// The rows there are, by collection.
    rows: Vec<BTreeMap<Key, Dated>>,
    /// The rows there are not any more, and which version deleted them.
    gone: Vec<BTreeMap<Key, Version>>,
    gone_bytes: usize,
    /// The versions that may hold what a deleted row was.
    gone_with_content: VecDeque<Version>,
    /// Actions of this face that are on their way.
    sent: BTreeMap<(ClientId, WriteId), Sent>,
    forsaken: VecDeque<((ClientId, WriteId), ConnId)>,
    made: VecDeque<Made>,
    made_bytes: usize,
}

#[derive(Clone, Copy)]
struct Dated {
    times: Times,
    version: Version,
}

#[derive(Clone, Copy)]
struct Sent {
    conn: ConnId,
    channel: Asked,
}

/// A broadcast that is the same for everybody.
struct Made {
    version: Version,
    channel: &'static str,
    message: Bytes,
}

impl History {
    pub(super) fn new(collections: Arc<[&'static str]>, bounds: Bounds) -> Self {
        let state = Mutex::new(State::of(collections.len()));
        Self {
            collections,
            bounds,
            state,
            stage: watch::Sender::new(Stage::Loading),
            quiet: watch::Sender::new(0),
        }
    }

    /// The number of a collection.
    pub(super) fn collection(&self, name: &str) -> Option<usize> {
        number_of(&self.collections, name)
    }

    /// An action of a connection is on its way.
    pub(super) fn sending(&self, client: &ClientId, id: WriteId, conn: ConnId, channel: Asked) {
        self.lock().sent.insert((client.clone(), id), Sent { conn, channel });
    }

    /// It was answered.
    pub(super) fn sent(&self, client: &ClientId, id: WriteId, conn: ConnId) {
        self.lock().forget_sent(&(client.clone(), id), conn);
    }

    /// Who sent it has gone. Others are told of it still, if it was not refused.
    pub(super) fn forsake(&self, client: &ClientId, id: WriteId, conn: ConnId) {
        let mut state = self.lock();
        state.forsaken.push_back(((client.clone(), id), conn));
        if state.forsaken.len() > FORSAKEN
            && let Some((author, conn)) = state.forsaken.pop_front()
        {
            state.forget_sent(&author, conn);
        }
    }

    /// What the versions after `from`, up to `to`, did, as far as that is known.
    pub(super) fn between(&self, from: Version, to: Version) -> Vec<(Version, Arc<Entry>)> {
        let state = self.lock();
        let first = state.first();
        let versions = (from + 1).max(first)..=to.min(state.version);
        versions.filter_map(|version| Some((version, Arc::clone(state.entry(version)?)))).collect()
    }

    /// When a row, as it is at `version`, came to be and was changed last.
    pub(super) fn times(&self, collection: usize, key: &str, version: Version) -> Times {
        self.lock().times(collection, key, version)
    }

    /// What is known of a row that is not there any more, and when it was deleted.
    pub(super) fn gone(&self, collection: usize, key: &str) -> Option<(Option<Gone>, u64)> {
        let state = self.lock();
        let entry = state.entry(*state.gone.get(collection)?.get(key)?)?;
        Some((entry.touch(collection, key).and_then(|touch| touch.gone.clone()), entry.at))
    }

    /// The time of a version, or of the nearest one that is known.
    pub(super) fn at(&self, version: Version) -> u64 {
        let state = self.lock();
        state.entry(version).map_or(state.at, |entry| entry.at)
    }

    /// The version that has everything of a collection that somebody has whose newest row is from this time. `None` when
    /// the log does not reach back to it.
    pub(super) fn version_at(&self, collection: usize, time: &RangeInclusive<u64>) -> Option<Version> {
        self.lock().version_at(collection, time)
    }

    /// A broadcast that somebody else has made.
    pub(super) fn made(&self, version: Version, channel: &'static str) -> Option<Bytes> {
        let state = self.lock();
        let mut all = state.made.iter().rev();
        all.find(|made| (made.version, made.channel) == (version, channel)).map(|made| made.message.clone())
    }

    /// Keeps one for others.
    pub(super) fn keep(&self, version: Version, channel: &'static str, message: &Bytes) {
        let mut state = self.lock();
        state.made_bytes += message.len();
        state.made.push_back(Made { version, channel, message: message.clone() });
        while state.made_bytes > MADE_BYTES
            && let Some(oldest) = state.made.pop_front()
        {
            state.made_bytes -= oldest.message.len();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what storage has.
    pub(super) fn load(&self, image: &SpaceImage) {
        self.take_up(self.reading().read(image));
    }

    /// How what storage has is to be read, by whoever has the time for it.
    fn reading(&self) -> Reading {
        Reading { collections: Arc::clone(&self.collections), bounds: self.bounds }
    }

    /// Begins with what was read.
    fn take_up(&self, read: Recalled) {
        let mut state = self.lock();
        let (sent, forsaken) = (std::mem::take(&mut state.sent), std::mem::take(&mut state.forsaken));
        let before = std::mem::replace(&mut *state, State { sent, forsaken, ..read.0 });
        drop(state);
        // of all rows, perhaps: nobody need wait for that
        drop(before);
    }

    /// Takes in a commit that storage has taken.
    pub(super) fn land(&self, landing: &Landing) {
        let mut quiet = None;
        let mut state = self.lock();
        if landing.to <= state.version {
            return state.remember(landing, self);
        }
        for logged in &landing.log {
            let version = logged.version;
            state.go_to(version);
            let sent = state.sent.remove(&(logged.client.clone(), logged.write));
            let at = logged.at.max(state.at);
            let (mut touched, mut deleted) = (Vec::new(), Vec::new());
            for (collection, key) in &logged.touched {
                let Some(collection) = self.collection(collection) else { continue };
                let key = Key::from(key.as_str());
                let gone = state.turn(landing, collection, &key, version, at);
                if gone.is_some() {
                    deleted.push(collection);
                }
                touched.push(Touch { collection, key, gone });
            }
            let mut entry = Entry::by(logged, touched);
            entry.at = at;
            (entry.sender, entry.channel) = (sent.map(|sent| sent.conn), sent.map(|sent| sent.channel));
            let is_emptied = |collection: &usize| {
                let several = deleted.iter().filter(|it| *it == collection).count() > 1;
                several && state.rows.get(*collection).is_some_and(BTreeMap::is_empty)
            };
            entry.emptied = (0..self.collections.len()).filter(is_emptied).collect();
            if entry.is_quiet() {
                quiet = Some(version);
            }
            state.push(entry, self.bounds);
            state.forget_contents();
        }
        drop(state);
        if let Some(version) = quiet {
            self.quiet.send_replace(version);
        }
    }
}

/// See [`History::reading`].
#[derive(Clone)]
pub(crate) struct Reading {
    collections: Arc<[&'static str]>,
    bounds: Bounds,
}

/// What a space was when it was read.
pub(crate) struct Recalled(State);

impl Reading {
    /// Reads all rows there are, and what the log says of them.
    pub(crate) fn read(&self, image: &SpaceImage) -> Recalled {
        let mut state = State::of(self.collections.len());
        for logged in &image.log {
            let touched = logged.touched.iter().filter_map(|(collection, key)| {
                Some(Touch {
                    collection: number_of(&self.collections, collection)?,
                    key: key.as_str().into(),
                    gone: None,
                })
            });
            let entry = Entry::by(logged, touched.collect());
            state.go_to(logged.version);
            state.push(entry, self.bounds);
        }
        state.go_to(image.version + 1);
        state.version = image.version;
        let oldest = state.entries.front().map_or(0, |entry| entry.at);
        for row in &image.rows {
            let Some(collection) = number_of(&self.collections, &row.collection) else { continue };
            let updated = state.entry(row.version).map_or(oldest, |entry| entry.at);
            let dated =
                Dated { times: Times { created: oldest.min(updated), updated }, version: row.version };
            if let Some(rows) = state.rows.get_mut(collection) {
                rows.insert(row.key.as_str().into(), dated);
            }
        }
        // the oldest change of a row that is known stands for its beginning
        let State { entries, rows, gone, .. } = &mut state;
        let first = first_of(image.version, entries);
        for (place, entry) in entries.iter().enumerate().rev() {
            for Touch { collection, key, .. } in entry.touched() {
                let (Some(rows), Some(gone)) = (rows.get_mut(*collection), gone.get_mut(*collection)) else {
                    continue;
                };
                match rows.get_mut(key) {
                    Some(dated) => dated.times.created = entry.at,
                    None => {
                        gone.entry(key.clone()).or_insert(first + place as u64);
                    }
                }
            }
        }
        Recalled(state)
    }
}

fn number_of(collections: &[&'static str], name: &str) -> Option<usize> {
    collections.iter().position(|collection| *collection == name)
}

impl State {
    /// Of nothing, in so many collections.
    fn of(collections: usize) -> Self {
        Self {
            touched: vec![BTreeMap::new(); collections],
            rows: vec![BTreeMap::new(); collections],
            gone: vec![BTreeMap::new(); collections],
            ..Self::default()
        }
    }

    /// The first version that is known.
    fn first(&self) -> Version {
        first_of(self.version, &self.entries)
    }

    fn entry(&self, version: Version) -> Option<&Arc<Entry>> {
        self.entries.get(usize::try_from(version.checked_sub(self.first())?).ok()?)
    }

    fn entry_mut(&mut self, version: Version) -> Option<&mut Entry> {
        let place = usize::try_from(version.checked_sub(self.first())?).ok()?;
        self.entries.get_mut(place).map(Arc::make_mut)
    }

    fn forget_sent(&mut self, author: &(ClientId, WriteId), conn: ConnId) {
        if self.sent.get(author).is_some_and(|sent| sent.conn == conn) {
            self.sent.remove(author);
        }
    }

    /// The next entry is of this version. Of a log with a gap in it only what follows is of use.
    fn go_to(&mut self, version: Version) {
        if version != self.version + 1 {
            self.entries.clear();
            self.touched.iter_mut().for_each(BTreeMap::clear);
            self.gone.iter_mut().for_each(BTreeMap::clear);
            self.gone_with_content.clear();
            (self.keys, self.gone_bytes) = (0, 0);
        }
        self.version = version;
    }

    fn push(&mut self, mut entry: Entry, bounds: Bounds) {
        entry.at = entry.at.max(self.at);
        self.at = entry.at;
        self.keys += entry.touched().len();
        for touch in entry.touched() {
            if let Some(rows) = self.touched.get_mut(touch.collection) {
                rows.entry(touch.key.clone()).or_default().push_back(self.version);
            }
        }
        self.entries.push_back(Arc::new(entry));
        while (self.entries.len() as u64 > bounds.versions || self.keys > bounds.keys)
            && let Some(oldest) = self.entries.pop_front()
        {
            let version = self.first() - 1;
            while self.gone_with_content.front().is_some_and(|gone| *gone <= version) {
                self.gone_with_content.pop_front();
            }
            self.keys -= oldest.touched().len();
            for touch in oldest.touched() {
                self.gone_bytes -= touch.gone.as_ref().map_or(0, Gone::bytes);
                if let Some(rows) = self.touched.get_mut(touch.collection)
                    && let Some(versions) = rows.get_mut(&touch.key)
                {
                    versions.pop_front();
                    if versions.is_empty() {
                        rows.remove(&touch.key);
                    }
                }
                if let Some(gone) = self.gone.get_mut(touch.collection)
                    && gone.get(&touch.key) == Some(&version)
                {
                    gone.remove(&touch.key);
                }
            }
        }
    }

    /// A row has changed, or is gone now; what it was then. What a later version of the same commit touched again is
    /// that one's.
    fn turn(
        &mut self,
        landing: &Landing,
        collection: usize,
        key: &Key,
        version: Version,
        at: u64,
    ) -> Option<Gone> {
        let change = landing.change(collection, key).filter(|change| change.version == version)?;
        let (rows, deleted) = (self.rows.get_mut(collection)?, self.gone.get_mut(collection)?);
        if change.is_there {
            let created = rows.get(key).map_or(at, |dated| dated.times.created);
            rows.insert(key.clone(), Dated { times: Times { created, updated: at }, version });
            deleted.remove(key);
            return None;
        }
        let times = rows.remove(key).map_or(Times::at(at), |dated| dated.times);
        deleted.insert(key.clone(), version);
        let gone = Gone { times, json: change.before.clone() };
        self.gone_bytes += gone.bytes();
        self.gone_with_content.push_back(version);
        Some(gone)
    }

    /// What the oldest deleted rows were is forgotten.
    fn forget_contents(&mut self) {
        while self.gone_bytes > GONE_BYTES
            && self.gone_with_content.len() > 1
            && let Some(version) = self.gone_with_content.pop_front()
        {
            let mut bytes = 0;
            let Some(entry) = self.entry_mut(version) else { continue };
            for gone in entry.touched_mut().iter_mut().filter_map(|touch| touch.gone.as_mut()) {
                bytes += gone.bytes();
                gone.json = None;
            }
            self.gone_bytes -= bytes;
        }
    }

    /// A commit that storage gave away already: what it deleted was not in there.
    fn remember(&mut self, landing: &Landing, history: &History) {
        for logged in &landing.log {
            let sent = self.sent.remove(&(logged.client.clone(), logged.write));
            let (mut bytes, mut deletions) = (0, 0);
            let Some(entry) = self.entry_mut(logged.version) else { continue };
            (entry.sender, entry.channel) = (sent.map(|sent| sent.conn), sent.map(|sent| sent.channel));
            let at = entry.at;
            for touch in entry.touched_mut() {
                let change = landing.change(touch.collection, &touch.key);
                let deleted = change.filter(|it| it.version == logged.version && !it.is_there);
                if let Some(change) = deleted {
                    let gone = Gone { times: Times::at(at), json: change.before.clone() };
                    (bytes, deletions) = (bytes + gone.bytes(), deletions + 1);
                    touch.gone = Some(gone);
                }
            }
            if entry.is_quiet() {
                history.quiet.send_replace(logged.version);
            }
            self.gone_bytes += bytes;
            self.gone_with_content.extend(std::iter::repeat_n(logged.version, deletions));
        }
        self.forget_contents();
    }

    fn times(&self, collection: usize, key: &str, version: Version) -> Times {
        let oldest = self.entries.front().map_or(0, |entry| entry.at);
        let dated = self.rows.get(collection).and_then(|rows| rows.get(key));
        if let Some(dated) = dated
            && dated.version <= version
        {
            return dated.times;
        }
        // it has changed since, or is gone: how it was then is in the log
        let touched = self.touched.get(collection).and_then(|rows| rows.get(key));
        let last = touched.and_then(|versions| {
            let before = versions.partition_point(|touched| *touched <= version);
            versions.get(before.checked_sub(1)?)
        });
        let updated = last.and_then(|last| self.entry(*last)).map_or(oldest, |entry| entry.at);
        let created = dated.map_or(updated, |dated| dated.times.created.min(updated));
        Times { created, updated }
    }

    fn version_at(&self, collection: usize, time: &RangeInclusive<u64>) -> Option<Version> {
        let first = self.first();
        let before = self.entries.partition_point(|entry| entry.at < *time.start());
        let through = self.entries.partition_point(|entry| entry.at <= *time.end());
        if before == 0 && first > 1 {
            return None;
        }
        let of_that_time = self.entries.range(before..through.max(before));
        let changes = of_that_time.filter(|entry| entry.touches(collection)).count();
        // one change alone is the one that they have; of several at one time they may have some
        let has = if changes > 1 { before } else { through };
        Some(first - 1 + has as u64)
    }
}

fn first_of(version: Version, entries: &VecDeque<Arc<Entry>>) -> Version {
    version + 1 - entries.len() as u64
}

#[cfg(test)]
mod tests;
