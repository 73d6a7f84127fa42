//! What browsers keep between visits: storage that the clients of one browser share, one after the other or beside each
//! other.

use std::collections::BTreeMap;
use std::time::Duration;

use syncline_core::client::{CacheConfig, Config, Input, StoredWrite, WriteName};
use syncline_core::{ClientId, QuerySpec, SpaceId, UserId};

use crate::sim::event::Event;
use crate::sim::{Sim, SimClient};
use crate::trace::Who;

/// How long storage takes, at most.
const LATENCY: Duration = Duration::from_millis(40);

/// What one browser keeps.
#[derive(Default)]
pub(crate) struct Browser {
    last: Option<UserId>,
    lists: BTreeMap<(UserId, QuerySpec), Vec<u8>>,
    /// Writes that wait for a verdict.
    writes: BTreeMap<UserId, BTreeMap<(ClientId, SpaceId, u64), StoredWrite>>,
    /// Which client looks after the writes of which author.
    claims: BTreeMap<ClientId, usize>,
}

/// What storage answers.
pub(crate) enum Answer {
    Loaded { load: u64, user: Option<UserId>, stored: Option<Vec<u8>> },
    Stored,
    WritesStored { batch: u64 },
    Adopted { user: UserId, queues: BTreeMap<ClientId, Vec<StoredWrite>> },
    NothingToAdopt,
}

impl Sim {
    /// Adds a client in a browser, and the person at it. It keeps rows there, and begins with those that an earlier client
    /// in the same browser has left.
    ///
    /// # Panics
    /// As [`add_client`](Self::add_client).
    #[track_caller]
    pub fn add_client_in(&mut self, browser: &str, name: &str, user: &str) -> SimClient<'_> {
        self.add_client_in_with(browser, name, user, |_| {})
    }

    /// As [`add_client_in`](Self::add_client_in), for a client that is set up in its own way.
    ///
    /// # Panics
    /// As [`add_client`](Self::add_client).
    #[track_caller]
    pub fn add_client_in_with(
        &mut self,
        browser: &str,
        name: &str,
        user: &str,
        setup: impl FnOnce(&mut Config),
    ) -> SimClient<'_> {
        self.add_client_with(name, user, |config| {
            config.cache = Some(CacheConfig::default());
            setup(config);
        });
        let index = self.clients.len() - 1;
        self.clients[index].browser = Some(browser.to_owned());
        SimClient::new(self, index)
    }

    fn browser(&mut self, index: usize) -> Option<&mut Browser> {
        let name = self.clients[index].browser.clone()?;
        Some(self.browsers.entry(name).or_default())
    }

    pub(super) fn client_loads(&mut self, index: usize, load: u64, user: Option<UserId>, query: QuerySpec) {
        let Some(browser) = self.browser(index) else { return };
        let user = user.or_else(|| browser.last.clone());
        let stored = user.clone().and_then(|user| browser.lists.get(&(user, query)).cloned());
        self.trace.note(self.now, Who::Client(index), format!("loads for {user:?}: {}", stored.is_some()));
        self.storage_answers(index, Answer::Loaded { load, user, stored });
    }

    pub(super) fn client_stores(
        &mut self,
        index: usize,
        user: UserId,
        lists: Vec<(QuerySpec, Option<Vec<u8>>)>,
    ) {
        self.trace.note(self.now, Who::Client(index), format!("stores {} lists for {user}", lists.len()));
        let Some(browser) = self.browser(index) else { return };
        browser.last = Some(user.clone());
        for (query, stored) in lists {
            match stored {
                Some(bytes) => drop(browser.lists.insert((user.clone(), query), bytes)),
                None => drop(browser.lists.remove(&(user.clone(), query))),
            }
        }
        self.storage_answers(index, Answer::Stored);
    }

    pub(super) fn client_stores_writes(
        &mut self,
        index: usize,
        batch: u64,
        user: UserId,
        put: Vec<StoredWrite>,
        del: Vec<WriteName>,
    ) {
        let what = format!("stores {} writes for {user} and lets {} go", put.len(), del.len());
        self.trace.note(self.now, Who::Client(index), what);
        let Some(browser) = self.browser(index) else { return };
        let writes = browser.writes.entry(user).or_default();
        for WriteName { space, client, id } in del {
            writes.remove(&(client, space, id));
        }
        for write in put {
            let WriteName { space, client, id } = write.name.clone();
            browser.claims.entry(client.clone()).or_insert(index);
            writes.insert((client, space, id), write);
        }
        self.storage_answers(index, Answer::WritesStored { batch });
    }

    /// Writes of clients that are gone are this one's from now on.
    pub(super) fn client_adopts(&mut self, index: usize, user: Option<UserId>) {
        let gone: Vec<_> = self.clients.iter().map(|client| client.gone).collect();
        let Some(browser) = self.browser(index) else { return };
        let Some(user) = user.or_else(|| browser.last.clone()) else {
            return self.storage_answers(index, Answer::NothingToAdopt);
        };
        let mut queues = BTreeMap::<ClientId, Vec<StoredWrite>>::new();
        for ((client, ..), write) in browser.writes.get(&user).into_iter().flatten() {
            let claim = browser.claims.entry(client.clone()).or_insert(index);
            if gone[*claim] {
                *claim = index;
            }
            if *claim == index {
                queues.entry(client.clone()).or_default().push(write.clone());
            }
        }
        for (client, writes) in &queues {
            let what = format!("looks after {} writes of {client:?}", writes.len());
            self.trace.note(self.now, Who::Client(index), what);
        }
        self.storage_answers(index, Answer::Adopted { user, queues });
    }

    fn storage_answers(&mut self, index: usize, answer: Answer) {
        let takes = self.rng.duration(LATENCY);
        self.push(takes, Event::Storage { client: index, answer });
    }

    pub(super) fn storage_has_answered(&mut self, client: usize, answer: Answer) {
        match answer {
            Answer::Loaded { load, user, stored } => {
                self.feed_client(client, Input::Loaded { load, user, stored: stored.as_deref() });
            }
            Answer::Stored => self.feed_client(client, Input::Stored),
            Answer::WritesStored { batch } => {
                self.feed_client(client, Input::WritesStored { batch, result: Ok(()) });
            }
            Answer::Adopted { user, queues } => {
                for (author, writes) in queues {
                    self.feed_client(client, Input::Adopted { user: user.clone(), client: author, writes });
                }
                self.feed_client(client, Input::AdoptDone { user: Some(user) });
            }
            Answer::NothingToAdopt => self.feed_client(client, Input::AdoptDone { user: None }),
        }
    }
}
