//! What every storage keeps to. One suite, run on each of them.

use std::sync::Arc;

use syncline_core::id::Incarnation;
use syncline_core::wire::{Refusal, WriteOutput};
use syncline_core::{SpaceId, Version, code};
use syncline_server::{
    ClientRecord, Commit, Error, JobFate, JobId, JobTurn, LogEntry, Memory, NewJob, RowChange, SpaceImage,
    Sqlite, Storage, StoredJob, StoredRow,
};
use tempfile::TempDir;

/// Somewhere a storage can be opened again and again.
trait Place {
    type Storage: Storage;
    fn new() -> Self;
    fn open(&self) -> Self::Storage;
}

struct OnDisk(TempDir);

impl Place for OnDisk {
    type Storage = Sqlite;

    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn open(&self) -> Sqlite {
        Sqlite::open(self.0.path().join("spaces.db")).unwrap()
    }
}

struct InMemory(Memory);

impl Place for InMemory {
    type Storage = Memory;

    fn new() -> Self {
        Self(Memory::new())
    }

    fn open(&self) -> Memory {
        self.0.clone()
    }
}

macro_rules! contract {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[tokio::test] async fn $test() { super::$test(<super::OnDisk as super::Place>::new()).await; })*
        }
        mod memory {
            $(#[tokio::test] async fn $test() { super::$test(<super::InMemory as super::Place>::new()).await; })*
        }
    };
}

contract! {
    a_space_that_was_never_written_is_empty
    what_is_committed_is_loaded_back
    rows_are_replaced_and_deleted
    counters_move_without_a_version
    a_refused_commit_leaves_no_part_of_it
    a_commit_follows_the_stored_version
    a_commit_belongs_to_the_stored_history
    a_history_is_renewed_by_who_knows_it
    a_refused_commit_takes_no_other_with_it
    two_commits_of_a_group_may_follow_each_other
    the_log_is_trimmed
    clients_are_forgotten
    spaces_are_apart
    everything_survives_being_opened_again
    a_second_process_cannot_overwrite
    the_largest_numbers_fit
    what_actions_gave_back_is_kept_with_the_counter
    jobs_come_with_their_commit_or_not_at_all
    jobs_wait_until_they_are_done
    a_job_is_tried_again_when_it_is_due
    a_job_that_failed_is_kept_and_waits_no_more
    jobs_are_found_by_their_names
}

const HISTORY: Incarnation = Incarnation(0xfedc_ba98_7654_3210);

/// A commit of one row for each version from `from + 1` to `to`.
fn commit(space: &str, from: Version, to: Version) -> Commit {
    let versions = from + 1..=to;
    Commit {
        id: to,
        space: space.into(),
        incarnation: HISTORY,
        renews: None,
        from,
        to,
        rows: versions
            .clone()
            .map(|version| put(&format!("row-{version}"), version, "{\"text\":\"Milch für Ä\"}"))
            .collect(),
        log: versions.map(entry).collect(),
        clients: vec![client("client-a", to, &[])],
        forgotten: Vec::new(),
        jobs: Vec::new(),
        log_floor: 0,
    }
}

fn put(key: &str, version: Version, json: &str) -> RowChange {
    RowChange {
        collection: "notes",
        key: key.into(),
        version,
        json: Some(Arc::from(json.as_bytes())),
        before: None,
    }
}

fn entry(version: Version) -> LogEntry {
    LogEntry {
        version,
        client: "client-a".into(),
        write: version,
        user: "ada".into(),
        at: 1_700_000_000_000,
        kind: "rows".into(),
        touched: vec![("notes".into(), format!("row-{version}"))],
    }
}

fn client(id: &str, last: u64, refused: &[u64]) -> ClientRecord {
    let refuse = |&id| Refusal { id, error: Error::new("no_text", "There is no text.").with_field("text") };
    ClientRecord {
        client: id.into(),
        user: "ada".into(),
        last,
        refused: refused.iter().map(refuse).collect(),
        outputs: Vec::new(),
        seen: 1_700_000_000_000,
    }
}

async fn store(storage: &impl Storage, commit: Commit) -> Result<(), Error> {
    let mut results = storage.commit(vec![commit]).await;
    assert_eq!(results.len(), 1);
    results.remove(0)
}

async fn load(storage: &impl Storage, space: &str) -> SpaceImage {
    let mut image = storage.load(&SpaceId::from(space)).await.unwrap();
    image.rows.sort_by(|a, b| (&a.collection, &a.key).cmp(&(&b.collection, &b.key)));
    image
}

fn keys(image: &SpaceImage) -> Vec<&str> {
    image.rows.iter().map(|row| row.key.as_str()).collect()
}

#[track_caller]
fn assert_refused(result: Result<(), Error>) {
    assert_eq!(result.unwrap_err().code(), code::CONFLICT);
}

#[track_caller]
fn assert_same(image: &SpaceImage, expected: &SpaceImage) {
    assert_eq!(format!("{image:#?}"), format!("{expected:#?}"));
}

async fn a_space_that_was_never_written_is_empty(place: impl Place) {
    assert_same(&load(&place.open(), "nowhere").await, &SpaceImage::default());
}

async fn what_is_committed_is_loaded_back(place: impl Place) {
    let storage = place.open();
    let mut first = commit("list", 0, 2);
    first.clients.push(client("client-b", 3, &[1, 3]));
    store(&storage, first).await.unwrap();
    let row = |version| StoredRow {
        collection: "notes".into(),
        key: format!("row-{version}"),
        version,
        json: "{\"text\":\"Milch für Ä\"}".into(),
    };
    let expected = SpaceImage {
        incarnation: Some(HISTORY),
        version: 2,
        rows: vec![row(1), row(2)],
        log: vec![entry(1), entry(2)],
        clients: vec![client("client-a", 2, &[]), client("client-b", 3, &[1, 3])],
    };
    assert_same(&load(&storage, "list").await, &expected);
}

async fn rows_are_replaced_and_deleted(place: impl Place) {
    let storage = place.open();
    store(&storage, commit("list", 0, 3)).await.unwrap();
    let mut second = commit("list", 3, 5);
    second.rows = vec![
        put("row-1", 4, "{}"),
        RowChange { collection: "notes", key: "row-2".into(), version: 5, json: None, before: None },
        RowChange { collection: "notes", key: "never-was".into(), version: 5, json: None, before: None },
    ];
    store(&storage, second).await.unwrap();
    let image = load(&storage, "list").await;
    assert_eq!(keys(&image), ["row-1", "row-3"]);
    assert_eq!((image.rows[0].version, &*image.rows[0].json), (4, &b"{}"[..]));
}

async fn counters_move_without_a_version(place: impl Place) {
    let storage = place.open();
    let counted = |last, refused: &[u64], from| Commit {
        clients: vec![client("client-a", last, refused)],
        ..commit("list", from, from)
    };
    store(&storage, counted(1, &[1], 0)).await.unwrap();
    store(&storage, commit("list", 0, 1)).await.unwrap();
    store(&storage, counted(4, &[3, 4], 1)).await.unwrap();
    let image = load(&storage, "list").await;
    assert_eq!((image.version, image.incarnation), (1, Some(HISTORY)));
    assert_eq!(image.clients, [client("client-a", 4, &[3, 4])]);
}

async fn a_refused_commit_leaves_no_part_of_it(place: impl Place) {
    let storage = place.open();
    store(&storage, commit("list", 0, 1)).await.unwrap();
    let before = load(&storage, "list").await;
    assert_refused(store(&storage, commit("list", 2, 3)).await);
    assert_refused(store(&storage, commit("other", 2, 3)).await);
    assert_same(&load(&storage, "list").await, &before);
    assert_same(&load(&storage, "other").await, &SpaceImage::default());
    store(&storage, commit("other", 0, 1)).await.unwrap();
}

async fn a_commit_follows_the_stored_version(place: impl Place) {
    let storage = place.open();
    store(&storage, commit("list", 0, 2)).await.unwrap();
    for from in [0, 1, 3] {
        assert_refused(store(&storage, commit("list", from, from + 1)).await);
    }
    store(&storage, commit("list", 2, 3)).await.unwrap();
    assert_eq!(load(&storage, "list").await.version, 3);
}

async fn a_commit_belongs_to_the_stored_history(place: impl Place) {
    let storage = place.open();
    store(&storage, commit("list", 0, 1)).await.unwrap();
    let foreign = Commit { incarnation: Incarnation(7), ..commit("list", 1, 2) };
    assert_refused(store(&storage, foreign).await);
    assert_eq!(load(&storage, "list").await.incarnation, Some(HISTORY));
}

async fn a_history_is_renewed_by_who_knows_it(place: impl Place) {
    let storage = place.open();
    store(&storage, commit("list", 0, 1)).await.unwrap();
    let renewal = |renews| Commit {
        incarnation: Incarnation(8),
        renews: Some(renews),
        clients: Vec::new(),
        ..commit("list", 1, 1)
    };
    assert_refused(store(&storage, renewal(Incarnation(7))).await);
    store(&storage, renewal(HISTORY)).await.unwrap();
    let image = load(&storage, "list").await;
    assert_eq!((image.incarnation, image.version), (Some(Incarnation(8)), 1));
    assert_refused(store(&storage, commit("list", 1, 2)).await);
    store(&storage, Commit { incarnation: Incarnation(8), ..commit("list", 1, 2) }).await.unwrap();
}

#[tokio::test]
async fn a_file_that_was_restored_begins_new_histories() {
    let folder = OnDisk::new();
    let storage = folder.open();
    storage.commit(vec![commit("one", 0, 2), commit("two", 0, 1)]).await;
    let before = load(&storage, "one").await;
    storage.close().await;
    let storage = Sqlite::restored(folder.0.path().join("spaces.db")).unwrap();
    let [one, two] = [load(&storage, "one").await, load(&storage, "two").await];
    assert_ne!(one.incarnation, Some(HISTORY));
    assert!(two.incarnation != Some(HISTORY) && two.incarnation != one.incarnation);
    assert_same(&SpaceImage { incarnation: Some(HISTORY), ..one.clone() }, &before);
    storage.close().await;
    assert_eq!(load(&folder.open(), "one").await.incarnation, one.incarnation, "once and for all");
}

async fn a_refused_commit_takes_no_other_with_it(place: impl Place) {
    let storage = place.open();
    let group = vec![commit("one", 0, 1), commit("two", 5, 6), commit("three", 0, 1)];
    let results = storage.commit(group).await;
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(load(&storage, "one").await.version, 1);
    assert_eq!(load(&storage, "two").await.version, 0);
    assert_eq!(load(&storage, "three").await.version, 1);
}

async fn two_commits_of_a_group_may_follow_each_other(place: impl Place) {
    let storage = place.open();
    let results = storage.commit(vec![commit("list", 0, 1), commit("list", 1, 3)]).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(load(&storage, "list").await.version, 3);
}

async fn the_log_is_trimmed(place: impl Place) {
    let storage = place.open();
    store(&storage, commit("list", 0, 4)).await.unwrap();
    store(&storage, Commit { log_floor: 3, ..commit("list", 4, 5) }).await.unwrap();
    let image = load(&storage, "list").await;
    assert_eq!(image.log, [entry(4), entry(5)]);
    assert_eq!(image.rows.len(), 5);
}

async fn clients_are_forgotten(place: impl Place) {
    let storage = place.open();
    let clients = ["client-a", "client-b", "client-c"].map(|id| client(id, 1, &[])).to_vec();
    store(&storage, Commit { clients: clients.clone(), ..commit("list", 0, 1) }).await.unwrap();
    store(&storage, Commit { clients, ..commit("other", 0, 1) }).await.unwrap();
    let forgotten = vec!["client-b".into(), "client-x".into()];
    store(&storage, Commit { forgotten, ..commit("list", 1, 2) }).await.unwrap();
    let image = load(&storage, "list").await;
    assert_eq!(image.clients, [client("client-a", 2, &[]), client("client-c", 1, &[])]);
    assert_eq!(load(&storage, "other").await.clients.len(), 3);
}

async fn spaces_are_apart(place: impl Place) {
    let storage = place.open();
    store(&storage, commit("one", 0, 1)).await.unwrap();
    store(&storage, commit("two", 0, 2)).await.unwrap();
    let emptied =
        RowChange { collection: "notes", key: "row-1".into(), version: 2, json: None, before: None };
    store(&storage, Commit { rows: vec![emptied], ..commit("one", 1, 2) }).await.unwrap();
    assert_eq!(keys(&load(&storage, "one").await), Vec::<&str>::new());
    assert_eq!(keys(&load(&storage, "two").await), ["row-1", "row-2"]);
}

async fn everything_survives_being_opened_again(place: impl Place) {
    let storage = place.open();
    store(&storage, commit("list", 0, 3)).await.unwrap();
    let before = load(&storage, "list").await;
    storage.close().await;
    drop(storage);
    let storage = place.open();
    assert_same(&load(&storage, "list").await, &before);
    store(&storage, commit("list", 3, 4)).await.unwrap();
}

async fn a_second_process_cannot_overwrite(place: impl Place) {
    let (one, other) = (place.open(), place.open());
    store(&one, commit("list", 0, 1)).await.unwrap();
    assert_refused(store(&other, commit("list", 0, 1)).await);
    // it sees what the first one did, and may go on from there
    assert_eq!(load(&other, "list").await.version, 1);
    store(&other, commit("list", 1, 2)).await.unwrap();
    assert_refused(store(&one, commit("list", 1, 2)).await);
}

async fn the_largest_numbers_fit(place: impl Place) {
    let storage = place.open();
    let last = ClientRecord { seen: u64::MAX, ..client("client-a", u64::MAX, &[u64::MAX]) };
    let largest =
        Commit { incarnation: Incarnation(u64::MAX), clients: vec![last.clone()], ..commit("list", 0, 1) };
    store(&storage, largest).await.unwrap();
    let image = load(&storage, "list").await;
    assert_eq!((image.incarnation, image.clients), (Some(Incarnation(u64::MAX)), vec![last]));
}

async fn what_actions_gave_back_is_kept_with_the_counter(place: impl Place) {
    let storage = place.open();
    let gave = |ids: &[u64]| {
        let output =
            |&id| WriteOutput { id, output: serde_json::value::to_raw_value(&("Ä\n", id)).unwrap() };
        ClientRecord { outputs: ids.iter().map(output).collect(), ..client("client-a", 9, &[3]) }
    };
    store(&storage, Commit { clients: vec![gave(&[2, 4])], ..commit("list", 0, 1) }).await.unwrap();
    assert_eq!(load(&storage, "list").await.clients, [gave(&[2, 4])]);
    store(&storage, Commit { clients: vec![gave(&[4, 5])], ..commit("list", 1, 2) }).await.unwrap();
    storage.close().await;
    assert_eq!(load(&place.open(), "list").await.clients, [gave(&[4, 5])]);
}

fn job(name: &str, version: Version, index: u32) -> NewJob {
    NewJob {
        id: JobId { incarnation: HISTORY, version, index },
        name: name.into(),
        payload: serde_json::value::to_raw_value(&(name, "Ä", index)).unwrap(),
        user: "ada".into(),
        at: 1_000 * version,
    }
}

/// A commit of one version that leaves jobs.
fn leaves(space: &str, from: Version, jobs: &[(&str, u32)]) -> Commit {
    let jobs = jobs.iter().map(|&(name, index)| job(name, from + 1, index)).collect();
    Commit { jobs, ..commit(space, from, from + 1) }
}

async fn jobs(storage: &impl Storage, names: &[&str], most: usize) -> Vec<StoredJob> {
    let names: Vec<Box<str>> = names.iter().map(|&name| name.into()).collect();
    storage.jobs(&names, most).await.unwrap()
}

fn ids(jobs: &[StoredJob]) -> Vec<String> {
    let short = |job: &StoredJob| job.id.strip_prefix(&format!("{HISTORY}-")).unwrap().to_owned();
    jobs.iter().map(short).collect()
}

async fn turn(storage: &impl Storage, id: &str, fate: JobFate) {
    storage.turn_jobs(vec![JobTurn { id: format!("{HISTORY}-{id}").into(), fate }]).await.unwrap();
}

async fn jobs_come_with_their_commit_or_not_at_all(place: impl Place) {
    let storage = place.open();
    store(&storage, leaves("list", 0, &[("mail", 0), ("mail", 1)])).await.unwrap();
    assert_refused(store(&storage, leaves("list", 5, &[("mail", 0)])).await);
    assert_refused(store(&storage, leaves("other", 5, &[("mail", 0)])).await);
    let stored = jobs(&storage, &["mail"], 10).await;
    assert_eq!(ids(&stored), ["1-0", "1-1"]);
    let StoredJob { space, name, payload, user, at, tries, due, .. } = &stored[1];
    assert_eq!((space.as_str(), &**name, payload.get()), ("list", "mail", r#"["mail","Ä",1]"#));
    assert_eq!((user.as_str(), *at, *tries, *due), ("ada", 1_000, 0, 1_000));
}

async fn jobs_wait_until_they_are_done(place: impl Place) {
    let storage = place.open();
    store(&storage, leaves("list", 0, &[("mail", 0), ("mail", 1)])).await.unwrap();
    turn(&storage, "1-0", JobFate::Done).await;
    storage.close().await;
    let storage = place.open();
    assert_eq!(ids(&jobs(&storage, &["mail"], 10).await), ["1-1"]);
    turn(&storage, "1-0", JobFate::Done).await;
    turn(&storage, "1-1", JobFate::Done).await;
    assert_eq!(ids(&jobs(&storage, &["mail"], 10).await), [""; 0]);
    // a space goes on though nothing is left of its jobs
    store(&storage, leaves("list", 1, &[("mail", 0)])).await.unwrap();
    assert_eq!(ids(&jobs(&storage, &["mail"], 10).await), ["2-0"]);
}

async fn a_job_is_tried_again_when_it_is_due(place: impl Place) {
    let storage = place.open();
    store(&storage, leaves("list", 0, &[("mail", 0), ("mail", 1), ("mail", 2)])).await.unwrap();
    turn(&storage, "1-0", JobFate::Again { tries: 1, due: 9_000 }).await;
    turn(&storage, "1-1", JobFate::Again { tries: 7, due: 5_000 }).await;
    let stored = jobs(&storage, &["mail"], 10).await;
    assert_eq!(ids(&stored), ["1-2", "1-1", "1-0"]);
    let turns: Vec<_> = stored.iter().map(|job| (job.tries, job.due)).collect();
    assert_eq!(turns, [(0, 1_000), (7, 5_000), (1, 9_000)]);
}

async fn a_job_that_failed_is_kept_and_waits_no_more(place: impl Place) {
    let storage = place.open();
    store(&storage, leaves("list", 0, &[("mail", 0), ("mail", 1)])).await.unwrap();
    turn(&storage, "1-0", JobFate::Failed { tries: 20, why: "nobody answers".into() }).await;
    assert_eq!(ids(&jobs(&storage, &["mail"], 10).await), ["1-1"]);
    turn(&storage, "1-1", JobFate::Failed { tries: 20, why: "nobody answers".into() }).await;
    assert!(storage.job_names().await.unwrap().is_empty());
}

async fn jobs_are_found_by_their_names(place: impl Place) {
    let storage = place.open();
    store(&storage, leaves("list", 0, &[("old", 0), ("old", 1), ("mail", 2), ("call", 3)])).await.unwrap();
    store(&storage, leaves("list", 1, &[("call", 0), ("call", 1), ("'; --", 2)])).await.unwrap();
    assert_eq!(ids(&jobs(&storage, &["mail", "call", "none"], 2).await), ["1-2", "1-3", "2-0"]);
    assert_eq!(ids(&jobs(&storage, &["'; --"], 2).await), ["2-2"]);
    assert_eq!(ids(&jobs(&storage, &[], 2).await), [""; 0]);
    let names: Vec<Box<str>> = ["'; --", "call", "mail", "old"].map(Into::into).to_vec();
    assert_eq!(storage.job_names().await.unwrap(), names);
}
