//! What was acknowledged is there after `kill -9`.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use syncline_core::id::Incarnation;
use syncline_core::space::{ClientRecord, Commit, RowChange};
use syncline_server::{Sqlite, Storage};
use tempfile::TempDir;

const FILE: &str = "SYNCLINE_TEST_FILE";
const SPACES: [&str; 3] = ["one", "two", "three"];

#[tokio::test]
async fn what_was_acknowledged_survives_kill_dash_nine() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("spaces.db");
    for _ in 0..3 {
        let acknowledged = commit_until_killed(&file, 40);
        let storage = Sqlite::open(&file).unwrap();
        for (space, versions) in SPACES.iter().zip(acknowledged) {
            let image = storage.load(&(*space).into()).await.unwrap();
            let stored: BTreeSet<_> = image.rows.iter().map(|row| row.version).collect();
            assert!(versions.is_subset(&stored), "{space} lost an acknowledged version");
            // rows and counter came together
            assert_eq!(stored, (1..=image.version).collect());
            assert_eq!(image.clients[0].last, image.version);
        }
        storage.close().await;
    }
}

/// Starts a process that commits, kills it after some acknowledgements, and gives the versions it acknowledged.
fn commit_until_killed(file: &Path, acknowledgements: usize) -> [BTreeSet<u64>; 3] {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["durability::the_process_that_is_killed", "--exact", "--nocapture"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = <[BTreeSet<u64>; 3]>::default();
    let mut count = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let mut words = line.split(' ');
        if words.next() != Some("acknowledged") {
            continue;
        }
        let [space, version] = [words.next(), words.next()].map(|word| word.unwrap().parse::<u64>().unwrap());
        acknowledged[space as usize].insert(version);
        count += 1;
        if count == acknowledgements {
            child.kill().unwrap();
        }
    }
    assert!(count >= acknowledgements, "the process ended by itself");
    assert!(!child.wait().unwrap().success());
    acknowledged
}

/// The other process of the test above; without a file there is nothing for it to do.
#[test]
fn the_process_that_is_killed() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(commit_for_ever(&Sqlite::open(file).unwrap()));
}

async fn commit_for_ever(storage: &Sqlite) {
    let mut images = Vec::new();
    for space in SPACES {
        images.push(storage.load(&space.into()).await.unwrap());
    }
    loop {
        let group = SPACES.iter().zip(&images).map(|(space, image)| {
            let incarnation = image.incarnation.unwrap_or(Incarnation(7));
            commit(space, incarnation, image.version)
        });
        let results = storage.commit(group.collect()).await;
        let mut out = std::io::stdout().lock();
        for (number, (image, result)) in images.iter_mut().zip(results).enumerate() {
            result.unwrap();
            image.version += 1;
            image.incarnation = Some(Incarnation(7));
            writeln!(out, "acknowledged {number} {}", image.version).unwrap();
        }
        out.flush().unwrap();
    }
}

fn commit(space: &str, incarnation: Incarnation, from: u64) -> Commit {
    let version = from + 1;
    let json = format!("{{\"number\":{version}}}").into_bytes();
    let row = RowChange {
        collection: "notes",
        key: format!("row-{version}").into(),
        version,
        json: Some(json.into()),
    };
    let client = ClientRecord {
        client: "client-a".into(),
        user: "ada".into(),
        last: version,
        refused: Vec::new(),
        outputs: Vec::new(),
        seen: 0,
    };
    Commit {
        id: version,
        space: space.into(),
        incarnation,
        renews: None,
        from,
        to: version,
        rows: vec![row],
        log: Vec::new(),
        clients: vec![client],
        forgotten: Vec::new(),
        jobs: Vec::new(),
        log_floor: 0,
    }
}
