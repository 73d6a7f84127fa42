//! What was acknowledged is there after `kill -9`.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use syncline_core::id::Incarnation;
use syncline_core::space::{ClientRecord, Commit, RowChange};
use syncline_server::{Error, Job, Sqlite, Storage, Syncline};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::support::channel::{NoteAction, NoteChannel, ada, with_channel};
use crate::support::soon;

/// With one thread, as on a machine with one processor, the harness begins a line that the process would go on with.
const WHOLE_LINES: &str = "--test-threads=2";

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
        .args(["durability::the_process_that_is_killed", "--exact", "--nocapture", WHOLE_LINES])
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
        before: None,
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

const JOBS_FILE: &str = "SYNCLINE_TEST_JOBS_FILE";

/// What a process that does jobs has said before it was killed.
#[derive(Default)]
struct Said {
    /// The numbers of actions that were acknowledged.
    acknowledged: BTreeSet<u64>,
    /// The jobs that were begun, each by its number and id.
    begun: Vec<(u64, String)>,
}

#[tokio::test]
async fn the_job_of_an_acknowledged_action_is_done_whatever_is_killed() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("spaces.db");
    let mut acknowledged = BTreeSet::new();
    let mut ids = std::collections::BTreeMap::<u64, BTreeSet<String>>::new();
    let mut begun = BTreeSet::new();
    for life in 0..3 {
        let said = act_until_killed(&file, life, 30);
        acknowledged.extend(said.acknowledged);
        for (number, id) in said.begun {
            // within one life nothing is done twice
            assert!(begun.insert((life, number)), "{number} was done twice");
            ids.entry(number).or_default().insert(id);
        }
    }
    // whatever is left is done by the next process; what was noted as done is not done again
    let (told, mut heard) = mpsc::unbounded_channel();
    let storage = Sqlite::open(&file).unwrap();
    let waiting = storage.jobs(&["count".into()], 10_000).await.unwrap();
    let builder = with_channel(storage).job("count", move |job: Job<u64>| {
        told.send((job.payload, job.id.to_string())).unwrap();
        std::future::ready(Ok::<_, Error>(()))
    });
    let syncline = builder.build().await.unwrap();
    let mut rest = BTreeSet::new();
    while rest.len() < waiting.len() {
        let (number, id) = soon(heard.recv()).await.unwrap();
        assert!(rest.insert(number), "{number} was done twice");
        ids.entry(number).or_default().insert(id);
    }
    syncline.shutdown().await;
    assert!(heard.recv().await.is_none(), "and nothing else is");
    for number in &acknowledged {
        let ids = ids.get(number).unwrap_or_else(|| panic!("job {number} was never done"));
        assert_eq!(ids.len(), 1, "a job has one id: {ids:?}");
    }
}

fn act_until_killed(file: &Path, life: u64, acknowledgements: usize) -> Said {
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .args(["durability::the_process_that_does_jobs", "--exact", "--nocapture", WHOLE_LINES])
        .env(JOBS_FILE, file)
        .env("SYNCLINE_TEST_LIFE", life.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Said::default();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["acknowledged", number] => drop(said.acknowledged.insert(number.parse().unwrap())),
            ["job", number, id] => said.begun.push((number.parse().unwrap(), id.to_owned())),
            _ => {}
        }
        if said.acknowledged.len() == acknowledgements {
            child.kill().unwrap();
        }
    }
    assert!(said.acknowledged.len() >= acknowledgements, "the process ended by itself");
    assert!(!child.wait().unwrap().success());
    said
}

/// The other process of the test above; without a file there is nothing for it to do.
#[test]
fn the_process_that_does_jobs() {
    let Some(file) = std::env::var_os(JOBS_FILE) else { return };
    let life: u64 = std::env::var("SYNCLINE_TEST_LIFE").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(act_for_ever(Sqlite::open(file).unwrap(), life * 1_000_000));
}

async fn act_for_ever(storage: Sqlite, first: u64) {
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").unwrap();
        out.flush().unwrap();
    };
    let builder = with_channel(storage).job("count", move |job: Job<u64>| {
        say(format!("job {} {}", job.payload, job.id));
        std::future::ready(Ok::<_, Error>(()))
    });
    let syncline: Syncline = builder.build().await.unwrap();
    for number in first.. {
        let action = NoteAction::Leave { job: "count".into(), payload: number.into() };
        syncline.send_action::<NoteChannel>(SPACES[number as usize % 3], ada(), action).await.unwrap();
        say(format!("acknowledged {number}"));
    }
}
