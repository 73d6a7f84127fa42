//! Nothing is left behind, and everything ends in peace.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use reqwest::StatusCode;
use serde_json::json;
use syncline_server::{
    Commit, Config, Error, Gauges, JobTurn, Memory, SpaceId, SpaceImage, Storage, StoredJob,
};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::support::http::{Sse, post, refusal};
use crate::support::ws::Ws;
use crate::support::{Server, hello, note, notes, put, soon, subscribe};

fn alive_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

async fn tasks_are_back_to(count: usize) {
    let back = async {
        while alive_tasks() > count {
            tokio::task::yield_now().await;
        }
    };
    soon(back).await;
}

#[tokio::test]
async fn nothing_is_left_of_connections_that_have_gone() {
    let server = Server::start().await;
    Ws::open(&server, "client-0").await.close().await;
    soon(server.syncline.gauges_when(|gauges| gauges.connections == 0)).await;
    let before = alive_tasks();
    for round in 0..25 {
        let (polite, _) = Ws::watch(&server, &format!("polite-{round:03}"), "list").await;
        let (abrupt, _) = Ws::watch(&server, &format!("abrupt-{round:03}"), "list").await;
        let silent = Ws::connect(&server).await;
        let mut stream = Sse::open(&server, &format!("stream-{round:03}")).await;
        stream.say(&[subscribe(1, "list")]).await;
        stream.hear().await;
        polite.close().await;
        drop((abrupt, silent, stream));
    }
    // gauges are some moments old: nobody but a newcomer has three subscriptions on one connection
    let (mut newcomer, _) = Ws::watch(&server, "newcomer", "list").await;
    newcomer.say(&subscribe(2, "list")).await;
    newcomer.say(&subscribe(3, "list")).await;
    let alone = |gauges: &Gauges| (gauges.connections, gauges.subscriptions) == (1, 3);
    let gauges = soon(server.syncline.gauges_when(alone)).await;
    assert_eq!(gauges.writes_waiting, 0);
    newcomer.close().await;
    tasks_are_back_to(before).await;
}

#[tokio::test]
async fn a_server_that_is_let_go_of_ends() {
    let before = alive_tasks();
    let syncline = notes(Memory::new()).build().await.unwrap();
    let router: Router = syncline.router();
    assert!(alive_tasks() > before);
    drop((syncline, router));
    tasks_are_back_to(before).await;
}

#[tokio::test]
async fn a_shutdown_says_goodbye_to_everyone() {
    let server = Server::start().await;
    let before = alive_tasks();
    let (watcher, _) = Ws::watch(&server, "client-a", "list").await;
    let silent = Ws::connect(&server).await;
    let mut stream = Sse::open(&server, "client-b").await;
    let hearing = async {
        let (heard, close) = watcher.hear_to_the_end().await;
        assert_eq!(heard.last().unwrap().code(), "connection");
        assert_eq!(close, Some((1001, "connection".into())));
        assert_eq!(silent.hear_to_the_end().await.1, Some((1001, "connection".into())));
        assert_eq!(stream.hear().await.code(), "connection");
        assert!(stream.next_event().await.is_none());
        drop(stream);
    };
    tokio::join!(server.stop(), hearing);
    // the hub, the committer and the accepting task are gone, too
    tasks_are_back_to(before - 3).await;
}

#[tokio::test]
async fn nobody_new_is_let_in_after_a_shutdown() {
    let server = Server::start().await;
    server.syncline.shutdown().await;
    server.syncline.shutdown().await;
    let refused = refusal(post(&server, "stream").body(hello("client-a").to_string())).await;
    assert_eq!(refused, (StatusCode::SERVICE_UNAVAILABLE, "connection".into()));
    assert!(Ws::connect_with(&server, &[]).await.is_err());
}

/// Jobs are where the storage within keeps them.
macro_rules! jobs_within {
    () => {
        async fn jobs(&self, names: &[Box<str>], most: usize) -> Result<Vec<StoredJob>, Error> {
            self.storage.jobs(names, most).await
        }

        async fn job_names(&self) -> Result<Vec<Box<str>>, Error> {
            self.storage.job_names().await
        }

        async fn turn_jobs(&self, turns: Vec<JobTurn>) -> Result<(), Error> {
            self.storage.turn_jobs(turns).await
        }
    };
}

/// Lets a commit through only when it is told to.
#[derive(Clone)]
struct Gated {
    storage: Memory,
    asked: Arc<Semaphore>,
    gate: Arc<Semaphore>,
}

impl Gated {
    fn new() -> Self {
        let closed = || Arc::new(Semaphore::new(0));
        Self { storage: Memory::new(), asked: closed(), gate: closed() }
    }
}

impl Storage for Gated {
    async fn load(&self, space: &SpaceId) -> Result<SpaceImage, Error> {
        self.storage.load(space).await
    }

    async fn commit(&self, commits: Vec<Commit>) -> Vec<Result<(), Error>> {
        self.asked.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        self.storage.commit(commits).await
    }

    jobs_within!();
}

#[tokio::test]
async fn a_shutdown_waits_for_what_is_being_stored() {
    let storage = Gated::new();
    let server = Server::of(notes(storage.clone()).build().await.unwrap()).await;
    let (mut ws, _) = Ws::watch(&server, "client-a", "list").await;
    ws.say(&put("client-a", 1, "list", &note("n1", "stored in time"))).await;
    soon(storage.asked.acquire()).await.unwrap().forget();
    let hearing = async {
        soon(server.syncline.gauges_when(|gauges| gauges.writes_waiting == 1)).await;
        storage.gate.add_permits(1);
        assert_eq!(ws.hear_one("changes").await.body["acks"][0]["id"], 1);
        let (heard, close) = ws.hear_to_the_end().await;
        assert_eq!((heard.last().unwrap().code(), close), ("connection", Some((1001, "connection".into()))));
    };
    tokio::join!(server.syncline.shutdown(), hearing);
    assert_eq!(storage.storage.load(&"list".into()).await.unwrap().version, 1);
}

/// Takes a commit and is not heard of again.
#[derive(Clone)]
struct Stuck {
    storage: Memory,
    asked: Arc<Semaphore>,
}

impl Storage for Stuck {
    async fn load(&self, _: &SpaceId) -> Result<SpaceImage, Error> {
        Ok(SpaceImage::default())
    }

    async fn commit(&self, _: Vec<Commit>) -> Vec<Result<(), Error>> {
        self.asked.add_permits(1);
        std::future::pending().await
    }

    jobs_within!();

    async fn close(&self) {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_shutdown_has_one_deadline_even_for_storage() {
    let storage = Stuck { storage: Memory::new(), asked: Arc::new(Semaphore::new(0)) };
    let config = Config { shutdown_within: Duration::from_secs(2), ..Config::default() };
    let server = Server::of(notes(storage.clone()).config(config).build().await.unwrap()).await;
    let mut ws = Ws::open(&server, "client-a").await;
    ws.say(&put("client-a", 1, "list", &note("n1", "never stored"))).await;
    soon(storage.asked.acquire()).await.unwrap().forget();
    let began = Instant::now();
    soon(server.syncline.shutdown()).await;
    assert!(began.elapsed() < Duration::from_millis(3_500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_waits_while_storage_is_busy_is_committed_together() {
    let storage = Gated::new();
    let server = Server::of(notes(storage.clone()).build().await.unwrap()).await;
    let mut ws = Ws::open(&server, "client-a").await;
    ws.say(&put("client-a", 1, "first", &note("n1", "alone"))).await;
    soon(storage.asked.acquire()).await.unwrap().forget();
    let spaces = ["a", "b", "c", "d", "e"];
    for space in spaces {
        ws.say(&put("client-a", 1, space, &note("n1", "together"))).await;
    }
    soon(server.syncline.gauges_when(|gauges| gauges.writes_waiting == 6)).await;
    // a pong comes after whatever was sent before its ping was handled, commits included
    ws.say(&json!({ "ping": 1 })).await;
    ws.hear_one("pong").await;
    storage.gate.add_permits(2);
    for _ in 0..6 {
        ws.hear_one("changes").await;
    }
    assert_eq!(storage.asked.available_permits(), 1, "five spaces took one commit");
}

/// The storage fails until it is mended.
#[derive(Clone)]
struct Failing {
    storage: Memory,
    failures: Arc<Semaphore>,
}

impl Failing {
    fn fails(&self) -> Result<(), Error> {
        match self.failures.try_acquire() {
            Ok(failure) => {
                failure.forget();
                Err(Error::new("storage", "the disk is full"))
            }
            Err(_) => Ok(()),
        }
    }
}

impl Storage for Failing {
    async fn load(&self, space: &SpaceId) -> Result<SpaceImage, Error> {
        self.fails()?;
        self.storage.load(space).await
    }

    async fn commit(&self, commits: Vec<Commit>) -> Vec<Result<(), Error>> {
        match self.fails() {
            Ok(()) => self.storage.commit(commits).await,
            Err(error) => commits.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    jobs_within!();
}

#[tokio::test]
async fn what_storage_refuses_can_be_asked_for_again() {
    let storage = Failing { storage: Memory::new(), failures: Arc::new(Semaphore::new(1)) };
    let server = Server::of(notes(storage.clone()).build().await.unwrap()).await;
    let mut ws = Ws::open(&server, "client-a").await;
    ws.say(&subscribe(1, "list")).await;
    assert_eq!(ws.hear_one("failed").await.code(), "storage");
    ws.say(&subscribe(2, "list")).await;
    ws.hear_one("snapshot").await;

    storage.failures.add_permits(1);
    let write = put("client-a", 1, "list", &note("n1", "Milk"));
    ws.say(&write).await;
    let ack = &ws.hear_one("changes").await.body["acks"][0];
    assert_eq!((&ack["error"]["code"], &ack["expected"]), (&json!("storage"), &json!(1)));
    ws.say(&write).await;
    assert_eq!(ws.hear_one("changes").await.texts(), ["Milk"]);
}

#[tokio::test]
async fn what_another_process_wrote_is_found_out_at_the_next_write() {
    let storage = Memory::new();
    let one = Server::of(notes(storage.clone()).build().await.unwrap()).await;
    let other = Server::of(notes(storage).build().await.unwrap()).await;
    let (mut ada, _) = Ws::watch(&one, "client-a", "list").await;
    let (mut bob, _) = Ws::watch(&other, "client-b", "list").await;
    ada.say(&put("client-a", 1, "list", &note("n1", "Milk"))).await;
    ada.hear_one("changes").await;

    let write = put("client-b", 1, "list", &note("n2", "Bread"));
    bob.say(&write).await;
    let ack = &bob.hear_one("changes").await.body["acks"][0];
    assert_eq!((&ack["error"]["code"], &ack["expected"]), (&json!("storage"), &json!(1)));
    bob.hear_one("reset").await;
    assert_eq!(bob.hear_one("snapshot").await.texts(), ["Milk"]);
    bob.say(&write).await;
    assert_eq!(bob.hear_one("changes").await.texts(), ["Bread"]);
}

#[tokio::test]
async fn there_are_only_so_many_connections_at_a_time() {
    let config = Config { connections: 2, ..Config::default() };
    let server = Server::of(notes(Memory::new()).config(config).build().await.unwrap()).await;
    let socket = Ws::open(&server, "client-a").await;
    let stream = Sse::open(&server, "client-b").await;
    let refused = || async { refusal(post(&server, "stream").body(hello("client-c").to_string())).await };
    assert_eq!(refused().await, (StatusCode::TOO_MANY_REQUESTS, "too_many".into()));
    assert!(Ws::connect_with(&server, &[]).await.is_err());
    drop(stream);
    soon(server.syncline.gauges_when(|gauges| gauges.connections == 1)).await;
    let _third = Sse::open(&server, "client-c").await;
    assert_eq!(refused().await.1, "too_many");
    drop(socket);
}

#[tokio::test]
async fn it_mounts_in_a_router_with_a_state() {
    let syncline = notes(Memory::new()).build().await.unwrap();
    let app: Router = Router::new()
        .route("/", get(async |State(greeting): State<&'static str>| greeting))
        .nest("/sync", syncline.router())
        .with_state("hello");
    drop(app);
    // twice, and beside other routers
    let _: Router =
        Router::new().nest("/a", syncline.router()).nest("/b", syncline.router()).merge(syncline.router());
    // and where the application answers unknown paths itself
    let _: Router = Router::new().fallback(async || "lost?").merge(syncline.router().reset_fallback());
}
