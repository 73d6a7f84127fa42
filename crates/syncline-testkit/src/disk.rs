//! The server's disk: what is durable, and every state that ever was, to hold views against.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use syncline_core::query::CompiledRelation;
use syncline_core::record::AnyRow;
use syncline_core::space::{ClientRecord, Commit, INSIDE, LogEntry, NewJob, SpaceImage, StoredRow};
use syncline_core::{
    ClientId, CollectionDef, Incarnation, Key, QuerySpec, RelationSpec, Schema, SpaceId, UserId, Version,
    WriteId,
};

/// The rows of a space at one version, by collection and key.
pub(crate) type State = BTreeMap<(&'static str, Key), Arc<dyn AnyRow>>;

/// How many versions of a space are remembered.
const REMEMBERED: usize = 2_000;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Disk {
    spaces: BTreeMap<SpaceId, Stored>,
    /// Commits that are being written; by the engine's number.
    pub(crate) writing: Vec<Commit>,
    /// Every commit fails.
    pub(crate) failing: bool,
    /// Nothing can be read.
    pub(crate) unreadable: bool,
    /// Spaces are being read.
    pub(crate) reading: usize,
    /// It was wiped or restored: what was durable need not be.
    lost: bool,
}

/// What was durable when it was made.
pub(crate) struct Copy(BTreeMap<SpaceId, Stored>);

/// What is durable of one space.
#[derive(Clone)]
struct Stored {
    incarnation: Incarnation,
    /// It was restored, and the history has not been renewed since: nobody can tell what its versions stand for.
    restored: bool,
    version: Version,
    rows: BTreeMap<(&'static str, Key), (Version, Arc<[u8]>)>,
    log: Vec<LogEntry>,
    clients: BTreeMap<ClientId, ClientRecord>,
    applied: BTreeMap<ClientId, u64>,
    /// When each person wrote each row last, by collection and key.
    written: BTreeMap<UserId, BTreeMap<(String, String), Version>>,
    jobs: Vec<NewJob>,
    states: BTreeMap<Version, Arc<State>>,
}

impl Disk {
    /// Makes a commit durable, all of it at once.
    ///
    /// # Errors
    /// What is wrong with it: the engine must never make such a commit.
    pub(crate) fn apply(&mut self, commit: &Commit, schema: &Schema) -> Result<(), String> {
        let stored =
            self.spaces.entry(commit.space.clone()).or_insert_with(|| Stored::new(commit.incarnation));
        stored.check(commit)?;
        stored.apply(commit, schema)
    }

    /// What storage gives of a space.
    pub(crate) fn image(&self, space: &SpaceId) -> SpaceImage {
        self.spaces.get(space).map(Stored::image).unwrap_or_default()
    }

    /// Forgets everything, as a database that was deleted.
    pub(crate) fn wipe(&mut self) {
        self.spaces.clear();
        self.writing.clear();
        self.lost = true;
    }

    /// A copy of everything.
    pub(crate) fn copy(&self) -> Copy {
        Copy(self.spaces.clone())
    }

    /// Goes back to what a copy has.
    pub(crate) fn restore(&mut self, copy: &Copy) {
        self.spaces.clone_from(&copy.0);
        self.spaces.values_mut().for_each(|stored| stored.restored = true);
        self.writing.clear();
        self.lost = true;
    }

    /// The rows as of the newest version.
    pub(crate) fn newest(&self, space: &SpaceId) -> Option<Arc<State>> {
        let stored = self.spaces.get(space)?;
        stored.states.get(&stored.version).cloned()
    }

    /// The rows as of a version, unless it is too long ago.
    pub(crate) fn at(
        &self,
        space: &SpaceId,
        incarnation: Incarnation,
        version: Version,
    ) -> Option<Arc<State>> {
        let stored = self.spaces.get(space)?;
        if stored.incarnation != incarnation || stored.restored {
            return None;
        }
        // a connection that is told nothing stands at a version within a run of them that changed nothing for it
        stored.states.range(..=version).next_back().map(|(_, state)| Arc::clone(state))
    }

    /// Nothing of a space was ever durable.
    pub(crate) fn never_had(&self, space: &SpaceId) -> bool {
        !self.lost && !self.spaces.contains_key(space)
    }

    /// The rows, by collection and key, that were written after a version: by this person, or by anybody.
    pub(crate) fn written_since(
        &self,
        space: &SpaceId,
        version: Version,
        user: Option<&UserId>,
    ) -> BTreeSet<(&str, &str)> {
        let written = self.spaces.get(space).into_iter().flat_map(|stored| &stored.written);
        written
            .filter(|(author, _)| user.is_none_or(|user| user == *author))
            .flat_map(|(_, rows)| rows)
            .filter(|(_, last)| **last > version)
            .map(|((collection, key), _)| (collection.as_str(), key.as_str()))
            .collect()
    }

    /// The last version of a space.
    pub(crate) fn version(&self, space: &SpaceId) -> Version {
        self.spaces.get(space).map_or(0, |stored| stored.version)
    }

    /// How many writes of a client have been applied in a space.
    pub(crate) fn applied(&self, space: &SpaceId, client: &ClientId) -> u64 {
        self.spaces.get(space).and_then(|stored| stored.applied.get(client)).copied().unwrap_or(0)
    }

    /// The jobs that were left in a space.
    pub(crate) fn jobs(&self, space: &SpaceId) -> &[NewJob] {
        self.spaces.get(space).map_or(&[], |stored| &stored.jobs)
    }

    /// Finds what a query wants of a space's newest rows.
    pub(crate) fn query(&self, query: &QuerySpec, schema: &Schema) -> Vec<Arc<dyn AnyRow>> {
        self.newest(&query.space).map(|state| evaluate(query, &state, schema, |_| true)).unwrap_or_default()
    }
}

impl Stored {
    fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            restored: false,
            version: 0,
            rows: BTreeMap::new(),
            log: Vec::new(),
            clients: BTreeMap::new(),
            applied: BTreeMap::new(),
            written: BTreeMap::new(),
            jobs: Vec::new(),
            states: BTreeMap::from([(0, Arc::default())]),
        }
    }

    fn check(&self, commit: &Commit) -> Result<(), String> {
        let follows = commit.renews.unwrap_or(commit.incarnation);
        if follows != self.incarnation || commit.from != self.version {
            let (incarnation, version) = (self.incarnation, self.version);
            return Err(format!(
                "a commit from version {} of {} came to a disk at version {version} of {incarnation}",
                commit.from, follows
            ));
        }
        if !commit.log.iter().map(|entry| entry.version).eq(commit.from + 1..=commit.to) {
            return Err(format!(
                "the log of a commit from {} to {} has other versions",
                commit.from, commit.to
            ));
        }
        let keys: BTreeSet<_> = commit.rows.iter().map(|row| (row.collection, &row.key)).collect();
        if keys.len() != commit.rows.len() {
            return Err("a commit has a row twice".into());
        }
        if let Some(row) =
            commit.rows.iter().find(|row| row.version <= commit.from || row.version > commit.to)
        {
            return Err(format!("row {} has version {}, which is not of its commit", row.key, row.version));
        }
        commit.clients.iter().try_for_each(|record| self.check_client(commit, record))?;
        for job in &commit.jobs {
            let of_this_commit = commit.from < job.id.version && job.id.version <= commit.to;
            if !of_this_commit || job.id.incarnation != commit.incarnation {
                return Err(format!("job {} is not of its commit", job.id));
            }
            if self.jobs.iter().any(|other| other.id == job.id) {
                return Err(format!("there are two jobs {}", job.id));
            }
        }
        for entry in commit.log.iter().filter(|entry| entry.client.as_str() != INSIDE) {
            if !commit.clients.iter().any(|record| record.client == entry.client) {
                return Err(format!(
                    "write {} of {} was applied, its counter was not",
                    entry.write, entry.client
                ));
            }
        }
        Ok(())
    }

    /// Every write once, in the order of the ids, none left out: each is either applied or refused.
    fn check_client(&self, commit: &Commit, record: &ClientRecord) -> Result<(), String> {
        let (client, before) = (&record.client, self.clients.get(&record.client));
        if before.is_some_and(|before| before.user != record.user) {
            return Err(format!("client {client} has changed hands"));
        }
        let last = before.map_or(0, |before| before.last);
        let applied = commit.log.iter().filter(|entry| entry.client == *client).map(|entry| entry.write);
        let applied: Vec<WriteId> = applied.collect();
        if !applied.is_sorted() {
            return Err(format!("writes {applied:?} of {client} were not applied in order"));
        }
        let refused = record.refused.iter().map(|refusal| refusal.id).filter(|id| *id > last);
        let mut handled: Vec<WriteId> = applied.into_iter().chain(refused).collect();
        handled.sort_unstable();
        if !handled.iter().copied().eq(last + 1..=record.last) {
            return Err(format!("of {client}, {handled:?} were handled between {last} and {}", record.last));
        }
        Ok(())
    }

    fn apply(&mut self, commit: &Commit, schema: &Schema) -> Result<(), String> {
        let mut state = self.states.get(&self.version).map(|state| State::clone(state)).unwrap_or_default();
        for row in &commit.rows {
            let at = (row.collection, row.key.clone());
            match &row.json {
                Some(json) => {
                    let def = schema.collection(row.collection).map_err(|error| error.to_string())?;
                    let decoded = def.decode(json).map_err(|error| format!("row {}: {error}", row.key))?;
                    if decoded.key() != row.key.as_str() {
                        return Err(format!("row {} is stored under key {}", decoded.key(), row.key));
                    }
                    state.insert(at.clone(), decoded);
                    self.rows.insert(at, (row.version, Arc::clone(json)));
                }
                None => {
                    state.remove(&at);
                    self.rows.remove(&at);
                }
            }
        }
        self.restored &= commit.renews.is_none();
        self.incarnation = commit.incarnation;
        self.version = commit.to;
        self.states.insert(commit.to, Arc::new(state));
        if self.states.len() > REMEMBERED {
            self.states.pop_first();
        }
        for entry in &commit.log {
            *self.applied.entry(entry.client.clone()).or_default() += 1;
            let written = self.written.entry(entry.user.clone()).or_default();
            written.extend(entry.touched.iter().map(|row| (row.clone(), entry.version)));
        }
        self.jobs.extend(commit.jobs.iter().cloned());
        self.log.extend(commit.log.iter().cloned());
        self.log.retain(|entry| entry.version > commit.log_floor);
        for client in &commit.forgotten {
            self.clients.remove(client);
        }
        for record in &commit.clients {
            self.clients.insert(record.client.clone(), record.clone());
        }
        Ok(())
    }

    fn image(&self) -> SpaceImage {
        let stored =
            |((collection, key), (version, json)): (&(&'static str, Key), &(Version, Arc<[u8]>))| StoredRow {
                collection: (*collection).to_owned(),
                key: key.as_str().to_owned(),
                version: *version,
                json: json.to_vec(),
            };
        SpaceImage {
            incarnation: Some(self.incarnation),
            version: self.version,
            rows: self.rows.iter().map(stored).collect(),
            log: self.log.clone(),
            clients: self.clients.values().cloned().collect(),
        }
    }
}

/// What a query wants of a state, as far as `visible` shows it: the plain way.
pub(crate) fn evaluate(
    query: &QuerySpec,
    state: &State,
    schema: &Schema,
    visible: impl Fn(&dyn AnyRow) -> bool,
) -> Vec<Arc<dyn AnyRow>> {
    let Ok(def) = schema.collection(&query.collection) else { return Vec::new() };
    let Ok(compiled) = syncline_core::query::CompiledQuery::new(query, def.fields) else { return Vec::new() };
    let rows = state.iter().filter(|((collection, _), _)| *collection == def.name).map(|(_, row)| row);
    let mut rows: Vec<_> =
        rows.filter(|row| compiled.matches(&***row) && visible(&***row)).cloned().collect();
    rows.sort_by(|a, b| compiled.compare(&**a, &**b));
    rows.truncate(compiled.limit.unwrap_or(usize::MAX));
    rows
}

/// What a relation wants of a state for one parent, whatever its limit: the plain way.
pub(crate) fn evaluate_children(
    spec: &RelationSpec,
    parent: &str,
    state: &State,
    def: &CollectionDef,
    visible: impl Fn(&dyn AnyRow) -> bool,
) -> Vec<Arc<dyn AnyRow>> {
    let Ok(relation) = CompiledRelation::new(spec, def.fields) else { return Vec::new() };
    let rows = state.iter().filter(|((collection, _), _)| *collection == def.name).map(|(_, row)| row);
    let is_child = |row: &dyn AnyRow| relation.parent(row) == Some(parent) && visible(row);
    let mut rows: Vec<_> = rows.filter(|row| is_child(&***row)).cloned().collect();
    rows.sort_by(|a, b| relation.query.compare(&**a, &**b));
    rows
}
