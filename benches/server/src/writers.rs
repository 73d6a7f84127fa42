//! Actions acknowledged on disk, with more and more senders, beside transactions of the same rows by SQLite alone.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rusqlite::Connection;
use tokio::task::JoinSet;

use crate::process::Server;
use crate::report::Report;
use crate::serve::Contender;
use crate::socket::Socket;
use crate::text;

/// How many senders, into how many spaces.
const PLANS: [(usize, usize); 4] = [(1, 1), (8, 1), (64, 1), (64, 64)];
const FOR: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (senders, spaces) in PLANS {
        let (mut ours, mut alone) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            alone.push(sqlite(senders)?);
            ours.push(runtime.block_on(syncline(senders, spaces))?);
        }
        let what = format!("{senders} senders into {spaces} spaces: acknowledged");
        report.add(what.clone(), "sqlite", alone, "/s");
        report.add(what, "syncline", ours, "/s");
    }
    Ok(())
}

async fn syncline(senders: usize, spaces: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bench.db");
    let server = Server::start(Contender::Syncline, file.to_str())?;
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for sender in 0..senders {
        let mut socket = Socket::connect(server.address).await?;
        tasks.spawn(async move {
            let client = format!("bench-{sender:06}");
            socket.send(&format!(r#"{{"hello":{{"protocol":1,"client":"{client}"}}}}"#)).await?;
            socket.next().await?;
            let mut done = 0;
            while start.elapsed() < FOR {
                let id = done + 1;
                let action = format!(r#"{{"Put":{{"id":"{sender}-{id}","text":"{}"}}}}"#, text(id));
                let payload = format!(r#"{{"channel":"items","action":{action}}}"#);
                let space = format!("bench-{}", sender % spaces);
                socket
                    .send(&format!(
                        r#"{{"write":{{"space":"{space}","client":"{client}","id":{id},"settled":{done},"kind":"action","payload":{payload}}}}}"#
                    ))
                    .await?;
                let answer = socket.next().await?;
                anyhow::ensure!(
                    answer.windows(6).any(|bytes| bytes == b"\"acks\"")
                        && !answer.windows(7).any(|bytes| bytes == b"\"error\""),
                    "not acknowledged: {}",
                    String::from_utf8_lossy(answer)
                );
                done = id;
            }
            Ok::<_, anyhow::Error>(done)
        });
    }
    let mut done = 0;
    while let Some(task) = tasks.join_next().await {
        done += task??;
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

/// As many threads, each with a connection of its own, each row in a transaction of its own, on disk before the next.
fn sqlite(threads: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bench.db");
    let open = || -> Result<Connection> {
        let connection = Connection::open(&file)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.busy_timeout(Duration::from_secs(30))?;
        Ok(connection)
    };
    open()?.execute_batch(
        "CREATE TABLE row (space TEXT, collection TEXT, key TEXT, json TEXT, PRIMARY KEY (space, collection, key)) WITHOUT ROWID",
    )?;
    let (done, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let start = Instant::now();
    std::thread::scope(|scope| -> Result<()> {
        let write = |thread: usize| -> Result<()> {
            let connection = open()?;
            let mut insert = connection.prepare("INSERT INTO row VALUES ('bench-0', 'items', ?, ?)")?;
            for id in 1.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                insert.execute((format!("{thread}-{id}"), text(id)))?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || write(thread))).collect();
        std::thread::sleep(FOR);
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().try_for_each(|thread| thread.join().ok().context("a thread panicked")?)
    })?;
    Ok(done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
}
