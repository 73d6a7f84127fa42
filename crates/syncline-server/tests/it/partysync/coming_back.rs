//! What it costs that a client goes and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use syncline_core::space::{Commit, SpaceImage};
use syncline_server::{Error, JobTurn, Memory, SpaceId, Storage, StoredJob};

use crate::support::party::{PartyClient, create, delete, ids, todos};
use crate::support::{Server, soon};

/// Counts how often a space is read.
#[derive(Clone)]
struct Counting {
    storage: Memory,
    reads: Arc<AtomicUsize>,
}

impl Storage for Counting {
    async fn load(&self, space: &SpaceId) -> Result<SpaceImage, Error> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.storage.load(space).await
    }

    async fn commit(&self, commits: Vec<Commit>) -> Vec<Result<(), Error>> {
        self.storage.commit(commits).await
    }

    async fn jobs(&self, names: &[Box<str>], most: usize) -> Result<Vec<StoredJob>, Error> {
        self.storage.jobs(names, most).await
    }

    async fn job_names(&self) -> Result<Vec<Box<str>>, Error> {
        self.storage.job_names().await
    }

    async fn turn_jobs(&self, turns: Vec<JobTurn>) -> Result<(), Error> {
        self.storage.turn_jobs(turns).await
    }
}

#[tokio::test]
async fn the_space_is_not_read_again_for_a_lone_client_that_comes_back_soon() {
    let storage = Counting { storage: Memory::new(), reads: Arc::default() };
    let server = Server::of(todos(storage.clone()).build().await.unwrap()).await;
    let reads = || storage.reads.load(Ordering::Relaxed);
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    ada.call(&create("t1")).await;
    ada.call(&create("t2")).await;
    ada.close().await;
    soon(server.syncline.gauges_when(|gauges| gauges.connections == 0)).await;
    let before = reads();
    for _ in 0..5 {
        let mut ada = PartyClient::open(&server, "a", "ada").await;
        assert_eq!(ids(&ada.sync(Value::Null).await), ["t1", "t2"]);
        ada.close().await;
        soon(server.syncline.gauges_when(|gauges| gauges.connections == 0)).await;
    }
    assert_eq!(reads(), before);
    // what happened in between is known
    let mut ada = PartyClient::open(&server, "a", "ada").await;
    let mut bob = PartyClient::open(&server, "a", "bob").await;
    ada.call(&delete("t1")).await;
    assert_eq!(ids(&bob.hear().await), ["-t1"]);
    let mut told = ids(&bob.sync(1).await);
    told.sort();
    assert_eq!(told, ["-t1", "t2"]);
}
