//! A SQLite file, and what can happen to it.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use rusqlite::Connection;
use syncline::storage::{Database, SqliteStorage, Step, Storage as _, Table};
use syncline::{Client, Query, Record as _, Status, code};
use tempfile::TempDir;

use crate::contract;
use crate::server::Server;
use crate::{Todo, shown, soon, stands, todo};

/// A folder of its own.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("syncline.db");
    (folder, path)
}

fn put(key: &str, value: &[u8]) -> Step {
    Step::Put { table: Table::Lists, key: key.into(), value: value.into() }
}

async fn number(database: &dyn Database, table: Table, key: &str) -> u32 {
    let found = database.get(table, key.into()).await.unwrap();
    found.map_or(0, |value| u32::from_be_bytes(value.try_into().unwrap()))
}

#[tokio::test]
async fn it_does_what_every_storage_does() {
    let (_folder, path) = place();
    contract::holds_for(&SqliteStorage::new(path)).await;
}

#[tokio::test]
async fn a_full_file_takes_nothing_of_a_transaction_and_gives_room_back() {
    let (_folder, path) = place();
    contract::holds_when_full(&SqliteStorage::new(path).max_bytes(256 << 10), 512 << 10).await;
    let (_folder, path) = place();
    contract::room_is_given_back(&SqliteStorage::new(&path).max_bytes(1 << 20), 32 << 10).await;
    assert!(path.metadata().unwrap().len() <= 1 << 20);
}

/// The way into the other process of a test: the same test, with this in its environment.
const CHILD: &str = "SYNCLINE_TEST_CHILD";

/// The path that a test is given when it is the other process.
fn as_child() -> Option<PathBuf> {
    env::var_os(CHILD).map(PathBuf::from)
}

fn start_child(test: &str, path: &Path) -> Child {
    let mut child = Command::new(env::current_exe().unwrap());
    // with one thread, as on a machine with one processor, the harness begins a line that the process would go on with
    child.args([&format!("storing::{test}"), "--exact", "--nocapture", "--test-threads=2"]).env(CHILD, path);
    child.stdout(Stdio::piped()).spawn().unwrap()
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_kill_and_whole() {
    if let Some(path) = as_child() {
        let database = SqliteStorage::new(path).open().await.unwrap();
        for count in number(&*database, Table::Lists, "count").await + 1.. {
            let value = count.to_be_bytes();
            let steps = vec![
                put("count", &value),
                // large enough for a kill to find it half written
                put(&format!("row{count:06}"), &[7; 40_000]),
                Step::Put { table: Table::Uses, key: "count".into(), value: value.into() },
            ];
            database.commit(steps).await.unwrap();
            println!("committed {count}");
        }
    }
    let (_folder, path) = place();
    let mut said = 0;
    for _ in 0..5 {
        let mut child = start_child("what_was_committed_is_there_after_a_kill_and_whole", &path);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut counts = lines.filter_map(|line| line.split_once("committed ")?.1.parse().ok());
        let until = said + 20;
        said = counts.find(|count| *count >= until).unwrap();
        child.kill().unwrap();
        // what it still said before it was gone
        said = counts.last().unwrap_or(said);
        child.wait().unwrap();

        let database = SqliteStorage::new(&path).open().await.unwrap();
        let count = number(&*database, Table::Lists, "count").await;
        assert!(count >= said, "{said} was said to be committed, and {count} is there");
        assert_eq!(number(&*database, Table::Uses, "count").await, count);
        let rows = database.scan(Table::Lists, "row".into()).await.unwrap();
        assert_eq!(rows.len(), count as usize);
        assert!(rows.iter().all(|(_, value)| value.len() == 40_000));
        said = count;
    }
}

#[tokio::test]
async fn several_processes_use_one_file_at_once() {
    const EACH: u32 = 25;
    if let Some(path) = as_child() {
        let database = SqliteStorage::new(path).open().await.unwrap();
        let who = std::process::id();
        for count in 0..EACH {
            database.commit(vec![put(&format!("{who}-{count}"), b"1")]).await.unwrap();
        }
        return;
    }
    let (_folder, path) = place();
    let children: Vec<_> =
        (0..3).map(|_| start_child("several_processes_use_one_file_at_once", &path)).collect();
    let ended: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    assert!(ended.iter().all(|ended| ended.status.success()), "{ended:?}");
    let database = SqliteStorage::new(&path).open().await.unwrap();
    assert_eq!(database.scan(Table::Lists, String::new()).await.unwrap().len(), 3 * EACH as usize);
}

#[tokio::test]
async fn a_claim_is_let_go_by_a_process_that_is_killed() {
    if let Some(path) = as_child() {
        let claim = SqliteStorage::new(path).claim("queue".into()).await;
        println!("claimed {}", claim.is_some());
        std::future::pending::<()>().await;
    }
    let (_folder, path) = place();
    let mut child = start_child("a_claim_is_let_go_by_a_process_that_is_killed", &path);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.ends_with("claimed true")));
    let storage = SqliteStorage::new(&path);
    assert!(storage.claim("queue".into()).await.is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    let claim = storage.claim("queue".into()).await.unwrap();
    // by another way to the same file
    let other = SqliteStorage::new(
        path.parent().unwrap().join("../").join(path.strip_prefix(path.ancestors().nth(2).unwrap()).unwrap()),
    );
    drop(storage.open().await.unwrap());
    assert!(other.claim("queue".into()).await.is_none());
    drop(claim);
    drop(other.claim("queue".into()).await.unwrap());
    // nothing piles up
    #[cfg(unix)]
    assert_eq!(std::fs::read_dir(path.with_extension("db-claims")).unwrap().count(), 0);
}

async fn refused(path: impl AsRef<Path>) -> String {
    let error = soon(SqliteStorage::new(path).open()).await.err().unwrap();
    error.code().to_owned()
}

#[tokio::test]
async fn what_cannot_be_a_file_of_ours_is_unavailable_and_stays_as_it_is() {
    let (folder, path) = place();
    std::fs::write(&path, "this is no database, and longer than the header of one".repeat(100)).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert_eq!(refused(&path).await, code::STORAGE_UNAVAILABLE);
    assert_eq!(std::fs::read(&path).unwrap(), before);

    let (_other_folder, other) = place();
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE accounts (id)").unwrap();
    let before = std::fs::read(&other).unwrap();
    assert_eq!(refused(&other).await, code::STORAGE_UNAVAILABLE);
    assert_eq!(std::fs::read(&other).unwrap(), before);

    let (_newer_folder, newer) = place();
    drop(SqliteStorage::new(&newer).open().await.unwrap());
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 2).unwrap();
    assert_eq!(refused(&newer).await, code::STORAGE_UNAVAILABLE);

    assert_eq!(refused(folder.path()).await, code::STORAGE_UNAVAILABLE);
    assert_eq!(refused(folder.path().join("no such folder/x.db")).await, code::STORAGE_UNAVAILABLE);
    assert_eq!(refused(path.join("x.db")).await, code::STORAGE_UNAVAILABLE);
    assert_eq!(refused("").await, code::STORAGE_UNAVAILABLE);
    assert_eq!(refused(":memory:").await, code::STORAGE_UNAVAILABLE);
    // nobody may make a file there, whoever they are
    #[cfg(target_os = "linux")]
    assert_eq!(refused("/proc/syncline.db").await, code::STORAGE_UNAVAILABLE);
}

#[tokio::test]
async fn a_file_that_may_only_be_read_is_unavailable() {
    let (_folder, path) = place();
    drop(SqliteStorage::new(&path).open().await.unwrap());
    let file = std::fs::File::open(&path).unwrap();
    let mut permissions = file.metadata().unwrap().permissions();
    permissions.set_readonly(true);
    file.set_permissions(permissions).unwrap();
    // whoever is above permissions may write it all the same
    if std::fs::OpenOptions::new().append(true).open(&path).is_err() {
        assert_eq!(refused(&path).await, code::STORAGE_UNAVAILABLE);
    } else {
        drop(SqliteStorage::new(&path).open().await.unwrap());
    }
}

#[tokio::test]
async fn who_stands_in_the_way_is_waited_for_and_not_for_ever() {
    let (_folder, path) = place();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(refused(&path).await, code::STORAGE_BLOCKED);
    other.execute_batch("ROLLBACK").unwrap();

    let database = SqliteStorage::new(&path).open().await.unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = soon(database.commit(vec![put("a", b"1")])).await.unwrap_err();
    assert_eq!(error.code(), code::STORAGE_LOST);
    // whoever reads does not wait
    assert_eq!(soon(database.get(Table::Lists, "a".into())).await.unwrap(), None);
    let mut commit = database.commit(vec![put("b", b"1")]);
    assert!(commit.as_mut().now_or_never().is_none());
    other.execute_batch("ROLLBACK").unwrap();
    soon(commit).await.unwrap();
    assert!(database.get(Table::Lists, "a".into()).await.unwrap().is_none(), "what has failed is not there");
}

#[tokio::test]
#[cfg(unix)]
async fn a_file_that_was_deleted_is_lost_and_made_anew() {
    let (_folder, path) = place();
    let storage = SqliteStorage::new(&path);
    let database = storage.open().await.unwrap();
    let mut lost = database.lost();
    database.commit(vec![put("a", b"1")]).await.unwrap();
    assert!(lost.as_mut().now_or_never().is_none());
    std::fs::remove_file(&path).unwrap();
    let error = database.commit(vec![put("b", b"1")]).await.unwrap_err();
    assert_eq!((error.code(), soon(lost).await.code()), (code::STORAGE_LOST, code::STORAGE_LOST));
    assert_eq!(database.get(Table::Lists, "a".into()).await.unwrap_err().code(), code::STORAGE_LOST);

    let anew = storage.open().await.unwrap();
    assert!(anew.scan(Table::Lists, String::new()).await.unwrap().is_empty());
    anew.commit(vec![put("c", b"1")]).await.unwrap();
    // another file at its place is not the one that was
    assert_eq!(database.get(Table::Lists, "c".into()).await.unwrap_err().code(), code::STORAGE_LOST);
    assert!(anew.get(Table::Lists, "c".into()).await.unwrap().is_some());
}

/// Waits until nobody has the file open: the last one takes the log with it.
async fn closed(path: &Path) {
    let log = path.with_extension("db-wal");
    soon(async {
        while log.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_left_open() {
    let (_folder, path) = place();
    let storage = SqliteStorage::new(&path);
    let database = storage.open().await.unwrap();
    // what was handed over is done, though nobody waits
    let mut commit = database.commit(vec![put("a", b"1")]);
    let _ = commit.as_mut().now_or_never();
    drop((commit, database));
    closed(&path).await;
    for _ in 0..10 {
        let mut opening = storage.open();
        let _ = opening.as_mut().now_or_never();
        drop(opening);
    }
    let database = storage.open().await.unwrap();
    assert!(database.get(Table::Lists, "a".into()).await.unwrap().is_some());
    drop(database);
    closed(&path).await;
}

fn list() -> Query<Todo> {
    Todo::in_space("l")
}

#[tokio::test]
async fn the_next_visit_begins_where_the_last_one_ended() {
    let (_folder, path) = place();
    let server = Server::start().await;
    let url = server.url();
    let client = Client::builder(&url).storage(SqliteStorage::new(&path)).build();
    let watch = client.watch(list());
    for id in ["a", "b"] {
        soon(client.put("l", todo(id))).await.unwrap();
    }
    shown(&watch, &["a", "b"]).await;
    let database = SqliteStorage::new(&path).open().await.unwrap();
    soon(async {
        let is_last = |value: &[u8]| value.windows(9).any(|part| part == b"text of b");
        while !database
            .scan(Table::Lists, String::new())
            .await
            .unwrap()
            .iter()
            .any(|(_, value)| is_last(value))
        {}
    })
    .await;
    drop((watch, client, database));
    drop(server);
    closed(&path).await;

    let client = Client::builder(&url).storage(SqliteStorage::new(&path)).build();
    let watch = client.watch(list());
    soon(watch.loaded()).await.unwrap();
    shown(&watch, &["a", "b"]).await;
    assert!(watch.state().cached);
    assert_eq!(client.connection().storage_degraded, None);
}

#[tokio::test]
async fn a_client_without_its_file_goes_on_and_says_so() {
    let (folder, _) = place();
    let server = Server::start().await;
    let client = Client::builder(server.url()).storage(SqliteStorage::new(folder.path())).build();
    let watch = client.watch(list());
    soon(client.put("l", todo("a"))).await.unwrap();
    shown(&watch, &["a"]).await;
    let state = stands(&client, |state| state.storage_degraded.is_some()).await;
    assert_eq!(state.storage_degraded.unwrap().code(), code::STORAGE_UNAVAILABLE);
    let mut updates = watch.updates();
    soon(async {
        while watch.status() != Status::Live {
            updates.next().await.unwrap();
        }
    })
    .await;
}
