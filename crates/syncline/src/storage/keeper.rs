//! The one task that uses a client's storage: answers what the core asks for, stores what it says.
//!
//! Nothing waits for this task: the core goes on without what does not come in time. Whatever fails here, a client goes on
//! with storage in memory and says so, [`ConnectionState::storage_degraded`](crate::ConnectionState::storage_degraded). The
//! failed one is tried again after a while; when it works, it is given what memory holds, and the client goes on with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::channel::{mpsc, oneshot};
use futures::future::{Either, join_all, select, try_join};
use futures::{FutureExt as _, StreamExt as _};
use syncline_core::client::{Input, StoredWrite, WriteName};
use syncline_core::{ClientId, QuerySpec, UserId};

use super::fallback::{Fallback, contents, pause};
use super::lists::{Lists, server_key};
use super::{CacheLimits, Claim, Database, MemoryStorage, Step, Storage, Table, writes};
use crate::platform::{SystemTime, sleep};
use crate::shared::Shared;
use crate::{BoxFuture, Error, code};

/// Storage that takes longer than this is given up. The core has long gone on without it.
const WITHIN: Duration = Duration::from_secs(3);

/// What storage is to do.
pub(crate) enum Command {
    /// See [`Output::Load`](syncline_core::client::Output::Load).
    Load { load: u64, user: Option<UserId>, query: QuerySpec },
    /// See [`Output::Store`](syncline_core::client::Output::Store).
    Store { user: UserId, lists: Vec<(QuerySpec, Option<Vec<u8>>)> },
    /// See [`Output::StoreWrites`](syncline_core::client::Output::StoreWrites).
    StoreWrites { batch: u64, user: UserId, put: Vec<StoredWrite>, del: Vec<WriteName> },
    /// See [`Output::Adopt`](syncline_core::client::Output::Adopt).
    Adopt { user: Option<UserId> },
    /// Somebody leaves.
    Part { wipe: bool, done: oneshot::Sender<Result<(), Error>> },
}

/// See the [module](self).
pub(crate) struct Keeper {
    shared: Weak<Shared>,
    storage: Arc<dyn Storage>,
    limits: CacheLimits,
    server: String,
    commands: mpsc::UnboundedReceiver<Command>,
    open: Option<Open>,
    /// What is open is in memory only.
    fallback: Option<Fallback>,
    /// How often storage has failed since something was last stored in it.
    failures: u32,
    /// The authors whose writes this client looks after: its own, and those that it has adopted. Each with the person whose
    /// they are: a client does nothing for anybody but who is here.
    claims: BTreeMap<ClientId, (UserId, Claim)>,
    /// What has not been answered in time. It is not waited for once more, and nothing else is asked for before.
    unanswered: Option<Unanswered>,
}

/// A claim that was asked for: for this person, on the writes of this author.
struct Unanswered {
    user: UserId,
    client: ClientId,
    asked: BoxFuture<Option<Claim>>,
}

pub(super) struct Open {
    pub(super) database: Box<dyn Database>,
    lost: BoxFuture<Error>,
    pub(super) lists: Lists,
    /// Who was here last; somebody else may have been since, unless it has just been opened.
    last: Option<Option<UserId>>,
}

impl Keeper {
    /// The task. It ends when nobody can give commands any more, and has then done all that were given.
    pub(crate) fn start(
        shared: Weak<Shared>,
        storage: Arc<dyn Storage>,
        limits: CacheLimits,
        server: &str,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> BoxFuture<()> {
        let server = server_key(server);
        let (open, fallback, failures) = (None, None, 0);
        let (claims, unanswered) = (BTreeMap::new(), None);
        let keeper =
            Self { shared, storage, limits, server, commands, open, fallback, failures, claims, unanswered };
        Box::pin(keeper.run())
    }

    async fn run(mut self) {
        let mut next = self.commands.next().await;
        self.make_sure_of_storage().await;
        while let Some(command) = next.take() {
            match command {
                Command::Load { load, user, query } => {
                    // lists that are asked for together come together
                    let mut loads = vec![(load, user, query)];
                    while let Some(command) = self.commands.next().now_or_never().flatten() {
                        match command {
                            Command::Load { load, user, query } => loads.push((load, user, query)),
                            other => {
                                next = Some(other);
                                break;
                            }
                        }
                    }
                    self.load(loads).await;
                }
                Command::Store { user, lists } => {
                    self.store(&user, lists).await;
                    self.tell(Input::Stored);
                }
                Command::StoreWrites { batch, user, put, del } => {
                    let result = self.store_writes(&user, &put, &del).await;
                    self.tell(Input::WritesStored { batch, result });
                }
                Command::Adopt { user } => {
                    let user = self.adopt(user).await;
                    self.tell(Input::AdoptDone { user });
                }
                Command::Part { wipe, done } => {
                    let parted = self.part(wipe).await;
                    // whoever asked may have gone on
                    let _ = done.send(parted);
                }
            }
            if next.is_none() {
                next = self.wait().await;
                if let Some(open) = &mut self.open {
                    open.last = None;
                }
            }
        }
    }

    /// The next command. What goes by itself meanwhile is opened again, once, and what has failed after a while.
    async fn wait(&mut self) -> Option<Command> {
        loop {
            if let Some(fallback) = &mut self.fallback {
                match select(self.commands.next(), &mut fallback.again).await {
                    Either::Left((command, _)) => return command,
                    Either::Right((opened, _)) => self.try_again(opened).await,
                }
                continue;
            }
            let Some(open) = &mut self.open else { return self.commands.next().await };
            match select(self.commands.next(), &mut open.lost).await {
                Either::Left((command, _)) => return command,
                Either::Right(_) => {
                    self.open = None;
                    self.tell(Input::StorageReplaced);
                    self.make_sure_of_storage().await;
                }
            }
        }
    }

    fn tell(&self, input: Input<'_>) {
        if let Some(shared) = self.shared.upgrade() {
            shared.act(|state, now| state.core.handle(now, input));
        }
    }

    async fn make_sure_of_storage(&mut self) {
        if self.open.is_some() || self.fallback.is_some() {
            return;
        }
        match self.opening(Arc::clone(&self.storage)).await {
            // what was asked of it before may never be answered
            Ok(open) => (self.open, self.unanswered) = (Some(open), None),
            Err(error) => self.fall_back(error).await,
        }
    }

    fn opening(&self, storage: Arc<dyn Storage>) -> BoxFuture<Result<Open, Error>> {
        Box::pin(open(storage, self.server.clone(), self.limits.clone()))
    }

    /// Goes on in memory, and says so.
    async fn fall_back(&mut self, why: Error) {
        let why = in_storage(why);
        let again = self.opening_after_a_pause();
        self.fallback = Some(Fallback::new(why.clone(), again));
        // opening it cannot fail
        self.open = self.opening(Arc::new(MemoryStorage::new())).await.ok();
        self.tell(Input::StorageDegraded(Some(why)));
    }

    fn opening_after_a_pause(&mut self) -> BoxFuture<Result<Open, Error>> {
        self.failures = self.failures.saturating_add(1);
        let (pause, opening) = (sleep(pause(self.failures)), self.opening(Arc::clone(&self.storage)));
        Box::pin(async move {
            pause.await;
            opening.await
        })
    }

    /// Storage that had failed has been opened, or not: goes back to it if it takes what memory holds.
    async fn try_again(&mut self, opened: Result<Open, Error>) {
        let (Some(fallback), Some(memory)) = (&mut self.fallback, &self.open) else { return };
        let brought_up = match opened {
            Ok(mut open) => {
                let contents = contents(&*memory.database, &self.server);
                let now = unix_ms();
                let written = fallback.bring_up(&mut open, contents, &self.server, &self.limits, now).await;
                written.map(|()| open)
            }
            Err(error) => Err(error),
        };
        let why = match brought_up {
            Ok(open) => {
                (self.open, self.fallback, self.unanswered) = (Some(open), None, None);
                None
            }
            Err(error) => {
                let (why, again) = (in_storage(error), self.opening_after_a_pause());
                if let Some(fallback) = &mut self.fallback {
                    (fallback.why, fallback.again) = (why.clone(), again);
                }
                Some(why)
            }
        };
        if why.is_none() {
            self.tell(Input::StorageReplaced);
        }
        self.tell(Input::StorageDegraded(why));
    }

    /// Does something, with the storage opened again once if it fails, then in memory. Nothing is tried again that there
    /// is no room for.
    async fn attempt<T>(
        &mut self,
        act: impl Fn(&dyn Database) -> BoxFuture<Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut opened_again = false;
        loop {
            self.make_sure_of_storage().await;
            let Some(open) = &self.open else { return Err(gone()) };
            let asked = act(&*open.database);
            let error = match within(asked).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if self.fallback.is_some() || error.code() == code::STORAGE_FULL {
                return Err(error);
            }
            self.open = None;
            // what does not answer will not do so the second time
            if std::mem::replace(&mut opened_again, true) || error.code() == code::TIMEOUT {
                self.fall_back(error).await;
            } else {
                self.tell(Input::StorageReplaced);
            }
        }
    }

    async fn load(&mut self, loads: Vec<(u64, Option<UserId>, QuerySpec)>) {
        let last = match loads.iter().any(|(_, user, _)| user.is_none()) {
            true => self.last_user().await,
            false => None,
        };
        let now = unix_ms();
        self.make_sure_of_storage().await;
        let Some(open) = &mut self.open else { return };
        let wanted = loads.into_iter().map(|(load, user, query)| {
            let user = user.or_else(|| last.clone());
            let key = user.as_ref().map(|user| open.lists.key(user, &query));
            if let Some(key) = &key {
                open.lists.note_use(key, now);
            }
            (load, user, key)
        });
        let wanted: Vec<_> = wanted.collect();
        let keys: Vec<_> = wanted.iter().map(|(_, _, key)| key.clone()).collect();
        let found = self.attempt(|database| {
            let get = |key: &Option<String>| {
                let found = key.clone().map(|key| database.get(Table::Lists, key));
                async move { if let Some(found) = found { found.await } else { Ok(None) } }
            };
            let all = join_all(keys.iter().map(get));
            Box::pin(async move { all.await.into_iter().collect::<Result<Vec<_>, _>>() })
        });
        // without storage it is as if nothing had been stored
        let found = found.await.unwrap_or_default().into_iter().chain(std::iter::repeat(None));
        for ((load, user, _), stored) in wanted.into_iter().zip(found) {
            self.tell(Input::Loaded { load, user, stored: stored.as_deref() });
        }
    }

    async fn last_user(&mut self) -> Option<UserId> {
        self.make_sure_of_storage().await;
        if let Some(last) = self.open.as_mut().and_then(|open| open.last.take()) {
            return last;
        }
        let server = self.server.clone();
        let found = self.attempt(|database| database.get(Table::People, server.clone())).await;
        person(found.ok().flatten())
    }

    async fn store(&mut self, user: &UserId, lists: Vec<(QuerySpec, Option<Vec<u8>>)>) {
        self.make_sure_of_storage().await;
        let Some(open) = &mut self.open else { return };
        let (now, person) = (unix_ms(), user.as_str().as_bytes().to_vec());
        let mut steps = vec![Step::Put { table: Table::People, key: self.server.clone(), value: person }];
        let mut kept = BTreeSet::new();
        for (query, stored) in lists {
            let key = open.lists.key(user, &query);
            match stored {
                Some(stored) => {
                    kept.insert(key.clone());
                    open.lists.put(key, stored, now, &mut steps);
                }
                None => open.lists.delete(key, &mut steps),
            }
        }
        open.lists.prune(&self.limits, now, &mut steps);
        if self.commit_and_make_room(&steps, &kept).await.is_err() {
            return;
        }
        if let Some(open) = &mut self.open {
            // it may have been opened anew meanwhile
            open.lists.remember(kept, now);
        }
    }

    /// Takes these steps, in storage or where that fails in memory. Lists that are not to be `kept` make room.
    async fn commit_and_make_room(&mut self, steps: &[Step], kept: &BTreeSet<String>) -> Result<(), Error> {
        while let Err(error) = self.attempt(|database| database.commit(steps.to_vec())).await {
            if error.code() != code::STORAGE_FULL || self.fallback.is_some() {
                return Err(error);
            }
            let mut room = Vec::new();
            let there_was = self.open.as_mut().is_some_and(|open| open.lists.make_room(kept, &mut room));
            let made = self.open.as_ref().filter(|_| there_was).map(|open| open.database.commit(room));
            match made {
                // if it fails, so does the next attempt
                Some(made) => drop(within(made).await),
                None => self.fall_back(error).await,
            }
        }
        match &mut self.fallback {
            Some(fallback) => fallback.note(steps),
            None => self.failures = 0,
        }
        Ok(())
    }

    /// Keeps writes, and lets others go. What is in memory only does not count as kept.
    async fn store_writes(
        &mut self,
        user: &UserId,
        put: &[StoredWrite],
        del: &[WriteName],
    ) -> Result<(), Error> {
        self.release_others(user);
        // before anybody can find them
        let authors: BTreeSet<_> = put.iter().map(|write| &write.name.client).collect();
        for author in authors {
            if self.claim(user, author).await.is_err() {
                break;
            }
        }
        let steps = writes::steps(&self.server, user, put, del);
        // every list may go before a write does
        self.commit_and_make_room(&steps, &BTreeSet::new()).await?;
        self.fallback.as_ref().map_or(Ok(()), |fallback| Err(fallback.why.clone()))
    }

    /// Whether the writes of an author are this client's to look after; an error where nobody says so in time, and there is
    /// no use in asking for others.
    async fn claim(&mut self, user: &UserId, client: &ClientId) -> Result<bool, Error> {
        if let Some(Unanswered { user, client, mut asked }) = self.unanswered.take() {
            match (&mut asked).now_or_never() {
                Some(answer) => self.claims.extend(answer.map(|claim| (client, (user, claim)))),
                None => self.unanswered = Some(Unanswered { user, client, asked }),
            }
        }
        if !self.claims.contains_key(client) {
            if self.unanswered.is_some() {
                return Err(silent());
            }
            let asked = self.storage.claim(writes::claim(&self.server, client));
            match select(asked, sleep(WITHIN)).await {
                Either::Left((None, _)) => return Ok(false),
                Either::Left((Some(claim), _)) => {
                    self.claims.insert(client.clone(), (user.clone(), claim));
                }
                Either::Right((_, asked)) => {
                    let (user, client) = (user.clone(), client.clone());
                    self.unanswered = Some(Unanswered { user, client, asked });
                    return Err(silent());
                }
            }
        }
        Ok(true)
    }

    /// What others have left waits for wherever they come next.
    fn release_others(&mut self, user: &UserId) {
        self.claims.retain(|_, (claimed_for, _)| claimed_for == user);
        self.unanswered.take_if(|unanswered| unanswered.user != *user);
    }

    /// Brings up the writes that pages have left behind which are gone, and says whose.
    async fn adopt(&mut self, user: Option<UserId>) -> Option<UserId> {
        let user = match user {
            Some(user) => user,
            None => self.last_user().await?,
        };
        self.release_others(&user);
        let prefix = writes::writes_of(&self.server, &user);
        let found = self.attempt(|database| database.scan(Table::Writes, prefix.clone())).await;
        for (client, writes) in writes::by_client(found.unwrap_or_default()) {
            match self.claim(&user, &client).await {
                Ok(true) => self.tell(Input::Adopted { user: user.clone(), client, writes }),
                Ok(false) => {}
                Err(_) => break,
            }
        }
        Some(user)
    }

    /// Nobody who comes is shown anything before the server has said who it is; with `wipe` there is nothing to be shown.
    async fn part(&mut self, wipe: bool) -> Result<(), Error> {
        let mut steps = vec![Step::Delete { table: Table::People, key: self.server.clone() }];
        if wipe {
            // other tabs may have stored more than this one knows of
            let server = self.server.clone();
            let all = self.attempt(|database| database.scan(Table::Uses, server.clone())).await?;
            Lists::new(&self.server, all).clear(&mut steps);
            let server = self.server.clone();
            let writes = self.attempt(|database| database.scan(Table::Writes, server.clone())).await?;
            steps.extend(writes.into_iter().map(|(key, _)| Step::Delete { table: Table::Writes, key }));
        }
        let parted = self.attempt(|database| database.commit(steps.clone())).await;
        // whoever it is that comes takes them anew
        (self.claims, self.unanswered) = (BTreeMap::new(), None);
        if let Some(open) = self.open.as_mut().filter(|_| wipe) {
            open.lists.clear(&mut Vec::new());
        }
        let Some(fallback) = &mut self.fallback else { return parted };
        fallback.note(&steps);
        if wipe {
            fallback.owe_all();
        }
        // what could not be reached may still hold everything
        Err(fallback.why.clone())
    }
}

/// Opens storage, and lets go of what need not be there any more.
async fn open(storage: Arc<dyn Storage>, server: String, limits: CacheLimits) -> Result<Open, Error> {
    let database = within(storage.open()).await?;
    // both are asked for before either is there: each is a way to another process
    let uses = database.scan(Table::Uses, server.clone());
    let last = database.get(Table::People, server.clone());
    let (uses, last) = within(Box::pin(try_join(uses, last))).await?;
    let lost = database.lost();
    let mut open = Open { database, lost, lists: Lists::new(&server, uses), last: Some(person(last)) };
    let mut steps = Vec::new();
    open.lists.prune(&limits, unix_ms(), &mut steps);
    if !steps.is_empty() {
        let pruned = open.database.commit(steps);
        within(pruned).await?;
    }
    Ok(open)
}

/// Whose id is stored there.
fn person(stored: Option<Vec<u8>>) -> Option<UserId> {
    String::from_utf8(stored?).ok().map(UserId::from)
}

/// What is asked of storage, or that it took too long.
pub(super) async fn within<T>(asked: BoxFuture<Result<T, Error>>) -> Result<T, Error> {
    match select(asked, sleep(WITHIN)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(silent()),
    }
}

fn silent() -> Error {
    Error::new(code::TIMEOUT, "storage does not answer")
}

fn in_storage(error: Error) -> Error {
    match error.code() {
        code::TIMEOUT => Error::new(code::STORAGE_LOST, "storage does not answer"),
        _ => error,
    }
}

fn gone() -> Error {
    Error::new(code::STORAGE_LOST, "there is no storage")
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}
