//! Work that actions leave: done after they are stored, whatever crashes meanwhile.

mod runner;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use syncline_core::space::Commit;
use syncline_core::{SpaceId, UserId};
use tokio::sync::Notify;

use crate::storage::StoredJob;
use crate::syncline::Syncline;

pub(crate) use runner::{Jobs, Running, start};

/// A job on its way: what the handler of [`Builder::job`](crate::Builder::job) is given.
#[derive(Debug)]
#[non_exhaustive]
pub struct Job<P> {
    /// What the action left it with.
    pub payload: P,
    /// Its id: the same whenever it is tried, and that of no other job. What is done with it outside should happen once for each id.
    pub id: Box<str>,
    /// The space whose action left it.
    pub space: SpaceId,
    /// The person whose action left it.
    pub user: UserId,
    /// When that was, in Unix ms.
    pub at: u64,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// The server, for [actions](Syncline::send_action) that follow from it.
    pub syncline: Syncline,
}

/// Does a job, or says why not.
type Handler = Box<dyn Fn(StoredJob, Syncline) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The handlers of jobs, by name.
#[derive(Default)]
pub(crate) struct Handlers {
    handlers: BTreeMap<Box<str>, Handler>,
}

impl Handlers {
    #[track_caller]
    pub(crate) fn add<P, F, A, E>(&mut self, name: Box<str>, handler: F)
    where
        P: DeserializeOwned + Send + 'static,
        F: Fn(Job<P>) -> A + Send + Sync + 'static,
        A: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let run: Handler = Box::new(move |stored, syncline| {
            let StoredJob { id, space, payload, user, at, tries, .. } = stored;
            let payload = match serde_json::from_str(payload.get()) {
                Ok(payload) => payload,
                Err(error) => {
                    let why = format!("its payload is not what the handler takes: {error}");
                    return std::future::ready(Err(why)).boxed();
                }
            };
            let attempt = tries.saturating_add(1);
            let doing = handler(Job { payload, id, space, user, at, attempt, syncline });
            async move { doing.await.map_err(|error| error.to_string()) }.boxed()
        });
        assert!(!self.handlers.contains_key(&name), "there are two handlers of jobs with the name {name:?}");
        self.handlers.insert(name, run);
    }
}

/// What rings when jobs have been stored.
#[derive(Clone)]
pub(crate) struct Bell(Arc<Inner>);

struct Inner {
    stored: Notify,
    /// The jobs that somebody does.
    known: BTreeSet<Box<str>>,
    /// Those that nobody does and that the log has said so of.
    missed: Mutex<BTreeSet<Box<str>>>,
}

/// So many names of jobs that nobody does are told apart, at the most.
const MISSED: usize = 1_000;

impl Bell {
    fn new(known: BTreeSet<Box<str>>) -> Self {
        Self(Arc::new(Inner { stored: Notify::new(), known, missed: Mutex::default() }))
    }

    /// These commits have been stored.
    pub(crate) fn ring(&self, names: &[Box<str>]) {
        names.iter().for_each(|name| self.miss(name));
        if names.iter().any(|name| self.0.known.contains(name)) {
            self.0.stored.notify_one();
        }
    }

    /// Says in the log, once, that nobody does such jobs.
    fn miss(&self, name: &str) {
        if self.0.known.contains(name) {
            return;
        }
        let mut missed = self.0.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if missed.len() < MISSED && missed.insert(name.into()) {
            tracing::error!(job = name, "jobs of this name have no handler here; they stay stored");
        }
    }
}

/// The names of the jobs that a commit leaves.
pub(crate) fn names(commit: &Commit) -> Vec<Box<str>> {
    commit.jobs.iter().map(|job| job.name.clone()).collect()
}
