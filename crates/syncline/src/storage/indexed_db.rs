//! Storage in a browser.

use std::cell::RefCell;
use std::future::pending;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{Either, select, try_join};
use futures::{FutureExt as _, StreamExt as _};
use indexed_db_futures::KeyRange;
use indexed_db_futures::database::{Database as Handle, VersionChangeListener};
use indexed_db_futures::error::{DomException, Error as IdbError, OpenDbError};
use indexed_db_futures::prelude::*;
use indexed_db_futures::transaction::{Transaction, TransactionFinishKind, TransactionMode};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast as _, JsValue};

use super::{Claim, Database, Step, Storage, Table, locks};
use crate::platform::{sleep, spawn_local};
use crate::{BoxFuture, Error, code};

/// The form of the database. Another table is another version; those that there are stay as they are.
const VERSION: u32 = 2;

/// How long another tab has to make way. One of this library does so at once.
const MAKE_WAY_WITHIN: Duration = Duration::from_secs(1);

/// IndexedDB: what a client in a browser keeps its rows in, unless told otherwise. It belongs to the page's origin.
#[derive(Clone, Debug)]
pub struct IndexedDb {
    name: String,
    version: u32,
}

impl IndexedDb {
    /// The database of this name. Clients of the same one share what they keep, each server's apart.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), version: VERSION }
    }

    /// As a tab with a later version of this library would open it; for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn with_version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }
}

impl Default for IndexedDb {
    /// The database `syncline`.
    fn default() -> Self {
        Self::new("syncline")
    }
}

impl Storage for IndexedDb {
    fn open(&self) -> BoxFuture<Result<Box<dyn Database>, Error>> {
        let (give, opened) = oneshot::channel();
        let Self { name, version } = self.clone();
        // a request cannot be taken back: whoever gives up waiting must not leave a database open that stands in others' way
        spawn_local(async move {
            let result = open(&name, version).await;
            if let Err(Ok(unwanted)) = give.send(result) {
                unwanted.close();
            }
        });
        Box::pin(async move {
            let handle = opened.await.unwrap_or_else(|_| Err(unavailable(&"nobody opens it")))?;
            Ok(Box::new(Open::new(handle)?) as Box<dyn Database>)
        })
    }

    fn claim(&self, name: String) -> BoxFuture<Option<Claim>> {
        Box::pin(locks::claim(format!("{name} in {}", self.name)))
    }
}

async fn open(name: &str, version: u32) -> Result<Handle, Error> {
    let (tell, blocked) = oneshot::channel();
    let request = Handle::open(name)
        .with_version(version)
        .with_on_blocked(move |_| {
            // nobody may be waiting for it any more
            let _ = tell.send(());
            Ok(())
        })
        .with_on_upgrade_needed(|_, database| {
            let there: Vec<String> = database.object_store_names().collect();
            for table in Table::ALL.into_iter().map(Table::as_str) {
                if !there.iter().any(|name| name == table) {
                    database.create_object_store(table).build()?;
                }
            }
            Ok(())
        })
        .build()
        .map_err(|error| cannot_open(&error))?;
    let in_the_way = async {
        match blocked.await {
            Ok(()) => sleep(MAKE_WAY_WITHIN).await,
            Err(_) => pending().await,
        }
    };
    match select(request, Box::pin(in_the_way)).await {
        Either::Left((opened, _)) => opened.map_err(|error| cannot_open(&error)),
        Either::Right(((), request)) => {
            // it may still open, when nobody needs it
            spawn_local(async move {
                if let Ok(unwanted) = request.await {
                    unwanted.close();
                }
            });
            Err(Error::new(code::STORAGE_BLOCKED, "another tab keeps storage from being opened"))
        }
    }
}

fn cannot_open(error: &OpenDbError) -> Error {
    unavailable(error)
}

fn unavailable(why: &dyn std::fmt::Display) -> Error {
    Error::new(code::STORAGE_UNAVAILABLE, format!("storage cannot be opened: {why}"))
}

/// What went wrong in a transaction.
fn failed(error: &IdbError) -> Error {
    let name = match error {
        IdbError::DomException(error) => name_of(error),
        _ => String::new(),
    };
    match &*name {
        "QuotaExceededError" => Error::new(code::STORAGE_FULL, "there is no room in storage"),
        _ => Error::new(code::STORAGE_LOST, format!("storage failed: {error}")),
    }
}

fn name_of(error: &DomException) -> String {
    web_sys::DomException::from(error.clone()).name()
}

/// An open database.
struct Open {
    handle: Handle,
    lost: RefCell<Option<oneshot::Receiver<Error>>>,
    /// Whoever looks out for others ends with it.
    _end: oneshot::Sender<()>,
}

impl Open {
    fn new(handle: Handle) -> Result<Self, Error> {
        let changes = handle.version_changes().map_err(|error| failed(&error))?;
        let (end, ended) = oneshot::channel();
        let (tell, lost) = oneshot::channel();
        spawn_local(look_out(handle.clone(), changes, tell, ended));
        Ok(Self { handle, lost: RefCell::new(Some(lost)), _end: end })
    }

    fn transaction<'a>(
        handle: &'a Handle,
        tables: &[Table],
        mode: TransactionMode,
    ) -> Result<Transaction<'a>, Error> {
        let names: Vec<String> = tables.iter().map(|table| table.as_str().to_owned()).collect();
        handle.transaction(names).with_mode(mode).build().map_err(|error| failed(&error))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.handle.clone().close();
    }
}

/// Closes the database at once when somebody wants to delete it or to open it in a newer form: they wait for that.
async fn look_out(
    handle: Handle,
    mut changes: VersionChangeListener,
    tell: oneshot::Sender<Error>,
    mut ended: oneshot::Receiver<()>,
) {
    let why = futures::select_biased! {
        _ = ended => return,
        event = changes.next() => match event.map(|event| event.new_version()) {
            Some(Some(_)) => "another tab uses a newer version of storage",
            Some(None) => "storage is being deleted",
            None => "the browser has closed storage",
        },
    };
    handle.close();
    // nobody may be interested
    let _ = tell.send(Error::new(code::STORAGE_LOST, why));
}

impl Database for Open {
    fn get(&self, table: Table, key: String) -> BoxFuture<Result<Option<Vec<u8>>, Error>> {
        let handle = self.handle.clone();
        Box::pin(async move {
            let transaction = Self::transaction(&handle, &[table], TransactionMode::Readonly)?;
            let found = async {
                let store = transaction.object_store(table.as_str())?;
                let found: Option<JsValue> = store.get(key).primitive()?.await?;
                Ok(found)
            };
            let found = found.await.map_err(|error| failed(&error))?;
            end(transaction);
            Ok(found.map(|value| bytes(&value)))
        })
    }

    fn scan(&self, table: Table, prefix: String) -> BoxFuture<Result<Vec<(String, Vec<u8>)>, Error>> {
        let handle = self.handle.clone();
        Box::pin(async move {
            let transaction = Self::transaction(&handle, &[table], TransactionMode::Readonly)?;
            let found = async {
                let store = transaction.object_store(table.as_str())?;
                // both are asked for before either is awaited: it is one look
                let keys =
                    store.get_all_keys::<String>().with_query::<String, _>(range(&prefix)).primitive()?;
                let values =
                    store.get_all::<JsValue>().with_query::<String, _>(range(&prefix)).primitive()?;
                let (keys, values) = try_join(keys, values).await?;
                let mut found = Vec::new();
                for (key, value) in keys.zip(values) {
                    let (key, value): (String, JsValue) = (key?, value?);
                    if key.starts_with(&prefix) {
                        found.push((key, bytes(&value)));
                    }
                }
                Ok(found)
            };
            let found = found.await.map_err(|error: IdbError| failed(&error))?;
            end(transaction);
            Ok(found)
        })
    }

    fn commit(&self, steps: Vec<Step>) -> BoxFuture<Result<(), Error>> {
        let handle = self.handle.clone();
        Box::pin(async move {
            let mut tables: Vec<Table> = steps.iter().map(Step::table).collect();
            tables.sort_unstable();
            tables.dedup();
            if tables.is_empty() {
                return Ok(());
            }
            let transaction = Self::transaction(&handle, &tables, TransactionMode::Readwrite)?;
            write(&transaction, steps).await
        })
    }

    fn lost(&self) -> BoxFuture<Error> {
        let lost = self.lost.borrow_mut().take();
        Box::pin(async move {
            match lost {
                Some(lost) => {
                    lost.await.unwrap_or_else(|_| Error::new(code::STORAGE_LOST, "storage is closed"))
                }
                None => pending().await,
            }
        })
    }
}

/// Nothing more is asked in a transaction that only reads. Dropped, it would be undone, which costs more.
fn end(transaction: Transaction<'_>) {
    // that it has been told is enough
    let _ = transaction.commit().now_or_never();
}

/// Takes all steps; ready when the transaction is. Nothing else is awaited in it, or it would end by itself.
async fn write(transaction: &Transaction<'_>, steps: Vec<Step>) -> Result<(), Error> {
    let asked = || -> indexed_db_futures::Result<_> {
        let done = transaction.on_done()?;
        let mut requests: Vec<BoxFuture<indexed_db_futures::Result<()>>> = Vec::with_capacity(steps.len());
        for step in steps {
            let store = transaction.object_store(step.table().as_str())?;
            requests.push(match step {
                Step::Put { key, value, .. } => {
                    let value: JsValue = Uint8Array::from(&*value).into();
                    let put = store.put(value).with_key(key).without_key_type().primitive()?;
                    Box::pin(put.map(|put| put.map(drop)))
                }
                Step::Delete { key, .. } => Box::pin(store.delete(key).primitive()?),
            });
        }
        Ok((done, requests))
    };
    // dropped without having been completed, a transaction is undone
    let (done, requests) = asked().map_err(|error| failed(&error))?;
    if done.await == TransactionFinishKind::Ok {
        return Ok(());
    }
    // the request that failed says why, or the transaction, when it could not be completed
    for request in requests {
        match request.await {
            Err(IdbError::DomException(DomException::AbortError(_))) | Ok(()) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    let error = transaction.error();
    Err(error
        .map_or_else(|| Error::new(code::STORAGE_LOST, "a transaction was undone"), |error| failed(&error)))
}

/// Where keys that begin like this stand, and perhaps others behind them.
fn range(prefix: &str) -> KeyRange<String> {
    let mut end = prefix.to_owned();
    match end.pop() {
        Some(last) if last.is_ascii() => {
            end.push(char::from(last as u8 + 1));
            KeyRange::Bound(prefix.to_owned(), false, end, true)
        }
        _ => KeyRange::LowerBound(prefix.to_owned(), false),
    }
}

/// What this library has stored there; something else is as good as nothing.
fn bytes(value: &JsValue) -> Vec<u8> {
    value.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec).unwrap_or_default()
}
