//! Histories by themselves.

use std::sync::Arc;

use syncline_core::space::{Commit, LogEntry, RowChange, SpaceImage, StoredRow};
use syncline_core::{Error, Incarnation, SpaceId, Version, code};

use super::*;
use crate::partysync::history::following::{Following, Landing};

const BOUNDS: Bounds = Bounds { versions: 100, keys: 1_000 };

fn collections() -> Arc<[&'static str]> {
    ["notes", "todos"].into()
}

fn history(bounds: Bounds) -> History {
    let history = History::new(collections(), bounds);
    history.load(&SpaceImage::default());
    history
}

fn logged(version: Version, at: u64, keys: &[&str]) -> LogEntry {
    LogEntry {
        version,
        client: "client-a".into(),
        write: version,
        user: "ada".into(),
        at,
        kind: "action".into(),
        touched: keys.iter().map(|key| ("todos".to_owned(), (*key).to_owned())).collect(),
    }
}

/// One version for each: when, which rows it put, and which it deleted.
fn landing(from: Version, versions: &[(u64, &[&str], &[&str])]) -> Landing {
    Landing::of(&commit(from, versions), &collections())
}

fn commit(from: Version, versions: &[(u64, &[&str], &[&str])]) -> Commit {
    let (mut log, mut rows) = (Vec::new(), BTreeMap::new());
    for (version, (at, put, del)) in (from + 1..).zip(versions) {
        log.push(logged(version, *at, &[*put, *del].concat()));
        let puts = put.iter().map(|key| (*key, Some(Arc::from(b"{}".as_slice()))));
        for (key, json) in puts.chain(del.iter().map(|key| (*key, None))) {
            let before = Some(Arc::from(format!("{{\"was\":{version}}}").as_bytes()));
            rows.insert(key, RowChange { collection: "todos", key: key.into(), version, json, before });
        }
    }
    Commit {
        id: 1,
        space: "list".into(),
        incarnation: Incarnation(1),
        renews: None,
        from,
        to: from + versions.len() as u64,
        rows: rows.into_values().collect(),
        log,
        clients: Vec::new(),
        forgotten: Vec::new(),
        jobs: Vec::new(),
        log_floor: 0,
    }
}

fn updated(history: &History, key: &str, version: Version) -> (u64, u64) {
    let Times { created, updated } = history.times(1, key, version);
    (created, updated)
}

#[test]
fn a_row_has_the_times_of_its_changes_whichever_version_is_asked_for() {
    let history = history(BOUNDS);
    history.land(&landing(0, &[(10, &["a"], &[]), (20, &["b"], &[])]));
    history.land(&landing(2, &[(30, &["a"], &[])]));
    assert_eq!(updated(&history, "a", 3), (10, 30));
    assert_eq!(updated(&history, "a", 2), (10, 10));
    assert_eq!(updated(&history, "b", 3), (20, 20));
    history.land(&landing(3, &[(40, &[], &["a"])]));
    assert_eq!(updated(&history, "a", 3), (30, 30), "when it was there");
    let (gone, at) = history.gone(1, "a").unwrap();
    let gone = gone.unwrap();
    assert_eq!((gone.times, at), (Times { created: 10, updated: 30 }, 40));
    assert_eq!(&**gone.json.as_ref().unwrap(), br#"{"was":4}"#);
    // it comes back as another one
    history.land(&landing(4, &[(50, &["a"], &[])]));
    assert_eq!(updated(&history, "a", 5), (50, 50));
    assert!(history.gone(1, "a").is_none());
}

#[test]
fn times_never_go_back() {
    let history = history(BOUNDS);
    history.land(&landing(0, &[(100, &["a"], &[])]));
    history.land(&landing(1, &[(50, &["b"], &[])]));
    assert_eq!(updated(&history, "b", 2), (100, 100));
    assert_eq!(history.version_at(1, &(99..=99)), Some(0));
}

#[test]
fn of_one_change_at_a_time_it_is_known_who_has_it_and_of_several_not() {
    let history = history(BOUNDS);
    let versions: [(u64, &[&str], &[&str]); 4] =
        [(10, &["a"], &[]), (20, &["b"], &[]), (20, &["c"], &[]), (30, &[], &["a"])];
    history.land(&landing(0, &versions));
    let version_at = |from, to| history.version_at(1, &(from..=to));
    assert_eq!(version_at(9, 9), Some(0));
    assert_eq!(version_at(10, 10), Some(1));
    assert_eq!(version_at(11, 19), Some(1));
    assert_eq!(version_at(20, 20), Some(1), "they may have one of the two");
    assert_eq!(version_at(30, 30), Some(4));
    assert_eq!(version_at(10, 20), Some(0));
    assert_eq!(version_at(99, 99), Some(4));
    // in another collection nothing happened
    assert_eq!(history.version_at(0, &(20..=20)), Some(3));
}

#[test]
fn beyond_what_is_kept_nothing_is_known() {
    let history = history(Bounds { versions: 2, keys: 1_000 });
    for (from, at) in [(0, 10), (1, 20), (2, 30), (3, 40)] {
        let key = format!("k{at}");
        history.land(&landing(from, &[(at, &[&key], &[])]));
    }
    let versions: Vec<_> = history.between(0, 4).into_iter().map(|(version, _)| version).collect();
    assert_eq!(versions, [3, 4]);
    assert_eq!(history.version_at(1, &(20..=20)), None);
    assert_eq!(history.version_at(1, &(30..=30)), None, "another one of that time may be forgotten");
    assert_eq!(history.version_at(1, &(35..=35)), Some(3));
    // what is deleted is forgotten with its version
    history.land(&landing(4, &[(50, &[], &["k10"])]));
    assert!(history.gone(1, "k10").is_some());
    history.land(&landing(5, &[(60, &[], &[]), (70, &[], &[])]));
    assert!(history.gone(1, "k10").is_none());
    // and by the number of rows, too
    let history = self::history(Bounds { versions: 100, keys: 3 });
    let versions: [(u64, &[&str], &[&str]); 2] = [(10, &["a", "b"], &[]), (20, &["c", "d"], &[])];
    history.land(&landing(0, &versions));
    assert_eq!(history.between(0, 2).len(), 1);
}

#[test]
fn what_deleted_rows_were_has_a_bound() {
    let history = history(BOUNDS);
    let keys: Vec<String> = (0..40).map(|number| format!("k{number}")).collect();
    let all: Vec<&str> = keys.iter().map(String::as_str).collect();
    history.land(&landing(0, &[(10, &all, &[])]));
    for (from, key) in (1..).zip(&all) {
        let mut landing = landing(from, &[(20, &[], &[key])]);
        landing.make_large(100_000);
        history.land(&landing);
    }
    let known = |key: &str| history.gone(1, key).unwrap().0.unwrap().json.is_some();
    let kept = all.iter().filter(|key| known(key)).count();
    assert!((9..=10).contains(&kept), "{kept}");
    assert!(known("k39") && !known("k0"));
    assert!(history.lock().gone_bytes <= GONE_BYTES);
}

#[test]
fn deletions_whose_versions_are_forgotten_leave_nothing_behind() {
    let history = history(BOUNDS);
    for from in 0..5_000 {
        let key = format!("k{}", from / 2);
        let (put, del): (&[&str], &[&str]) = if from % 2 == 0 { (&[&key], &[]) } else { (&[], &[&key]) };
        history.land(&landing(from, &[(10, put, del)]));
    }
    let state = history.lock();
    assert_eq!(state.entries.len(), 100);
    assert!(state.gone_with_content.len() <= 100, "{}", state.gone_with_content.len());
    assert!(state.gone[1].len() <= 100);
}

/// Work that grew with the square of a change would take minutes here.
#[test]
fn a_large_change_is_told_of_in_a_time_that_grows_with_its_rows() {
    const ROWS: usize = 60_000;
    let history = history(Bounds { versions: 1_000, keys: 10 * ROWS });
    let keys: Vec<String> = (0..ROWS).map(|number| format!("key-number-{number:06}")).collect();
    let all: Vec<&str> = keys.iter().map(String::as_str).collect();
    history.land(&landing(0, &[(10, &all, &[])]));
    history.land(&landing(1, &[(20, &all, &[])]));
    history.land(&landing(2, &[(30, &[], &all)]));
    let began = std::time::Instant::now();
    for key in &all {
        assert_eq!(updated(&history, key, 1), (10, 10));
        assert_eq!(history.gone(1, key).unwrap().1, 30);
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn what_storage_has_says_as_much_as_its_log() {
    let stored = |key: &str, version| StoredRow {
        collection: "todos".into(),
        key: key.into(),
        version,
        json: b"{}".to_vec(),
    };
    let history = History::new(collections(), BOUNDS);
    history.load(&SpaceImage {
        incarnation: Some(Incarnation(1)),
        version: 9,
        rows: vec![stored("old", 3), stored("a", 9), stored("b", 8)],
        log: vec![logged(7, 70, &["a", "gone"]), logged(8, 80, &["b"]), logged(9, 90, &["a"])],
        clients: Vec::new(),
    });
    assert_eq!(updated(&history, "a", 9), (70, 90));
    assert_eq!(updated(&history, "b", 9), (80, 80));
    assert_eq!(updated(&history, "old", 9), (70, 70), "no later than that");
    let (gone, at) = history.gone(1, "gone").unwrap();
    assert_eq!((gone.is_none(), at), (true, 70));
    assert_eq!(history.version_at(1, &(75..=75)), Some(7));
    assert_eq!(history.version_at(1, &(60..=60)), None);
    // a commit that it had already, and the next one
    history.land(&landing(8, &[(90, &["a"], &[])]));
    history.land(&landing(9, &[(100, &[], &["b"])]));
    assert_eq!(history.between(6, 10).len(), 4);
    // one is missing: what was before is not known any more
    history.land(&landing(20, &[(200, &["c"], &[])]));
    assert_eq!(history.between(0, 21).len(), 1);
    assert_eq!(history.version_at(1, &(100..=100)), None);
}

#[test]
fn an_action_that_left_its_channel_alone_is_told_of() {
    let history = history(BOUNDS);
    let asked = Asked { name: "notes", collection: 0 };
    let client = ClientId::from("client-a");
    history.sending(&client, 1, 7, asked);
    history.sending(&client, 2, 7, asked);
    history.land(&landing(0, &[(10, &["a"], &[])]));
    assert_eq!(*history.quiet.borrow(), 1);
    let (_, entry) = history.between(0, 1).remove(0);
    assert!(entry.is_quiet() && entry.sender == Some(7));
    // one that was answered otherwise, or is not of this face, is not
    history.sent(&client, 2, 7);
    history.land(&landing(1, &[(20, &[], &[])]));
    assert_eq!(*history.quiet.borrow(), 1);
    assert!(history.lock().sent.is_empty());
    // of those that nobody waits for only so many are remembered
    for write in 10..2_000 {
        history.sending(&client, write, 7, asked);
        history.forsake(&client, write, 7);
    }
    assert_eq!(history.lock().sent.len(), FORSAKEN);
}

#[test]
fn a_list_is_emptied_by_what_deletes_all_of_it() {
    let history = history(BOUNDS);
    history.land(&landing(0, &[(10, &["a", "b", "c"], &[])]));
    history.land(&landing(1, &[(20, &[], &["a"]), (30, &[], &["b", "c"]), (40, &["d"], &[])]));
    let emptied: Vec<_> = history.between(0, 4).into_iter().map(|(_, entry)| entry.emptied.clone()).collect();
    assert_eq!(emptied, [vec![], vec![], vec![1], vec![]]);
    history.land(&landing(4, &[(50, &[], &["d"])]));
    assert!(history.between(4, 5)[0].1.emptied.is_empty(), "one row is told of by its tombstone");
}

#[test]
fn a_history_that_could_not_be_read_is_told_of_nothing_more() {
    let space = SpaceId::from("list");
    let mut following = Following::default();
    // the guest that waits for it still holds it
    let history = Arc::new(History::new(collections(), BOUNDS));
    following.begin(space.clone(), Arc::downgrade(&history));
    following.commits(&commit(0, &[(10, &["a"], &[])]));
    assert!(!following.loaded(&space, Err(Error::new(code::STORAGE, "the disk is gone"))));
    assert!(matches!(&*history.stage.borrow(), Stage::Failed(error) if error.code() == code::STORAGE));
    assert!(!following.committed(&space, 1, true));
    assert!(history.between(0, 9).is_empty());
    // the next one to ask begins anew
    let history = Arc::new(History::new(collections(), BOUNDS));
    following.begin(space.clone(), Arc::downgrade(&history));
    let read = following.reading(&space).unwrap().read(&SpaceImage { version: 1, ..SpaceImage::default() });
    assert!(!following.loaded(&space, Ok(read)));
    following.commits(&commit(1, &[(20, &["b"], &["a"])]));
    assert!(!following.committed(&space, 1, true));
    assert_eq!((updated(&history, "b", 2), history.between(0, 9).len()), ((20, 20), 1));
}

#[test]
fn one_that_has_not_read_anything_takes_in_what_comes() {
    let history = History::new(collections(), BOUNDS);
    history.land(&landing(0, &[(10, &["a", "b"], &[]), (20, &[], &["a", "b"])]));
    assert_eq!(history.between(0, 2).len(), 2);
}
