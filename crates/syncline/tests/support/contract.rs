//! What every storage has to do, run on each: they cannot be told apart.

use futures::future::{join, join_all};
use syncline::code;
use syncline::storage::{Database, Step, Storage, Table};

fn put(table: Table, key: &str, value: &[u8]) -> Step {
    Step::Put { table, key: key.into(), value: value.into() }
}

fn delete(table: Table, key: &str) -> Step {
    Step::Delete { table, key: key.into() }
}

async fn get(database: &dyn Database, table: Table, key: &str) -> Option<Vec<u8>> {
    database.get(table, key.into()).await.unwrap()
}

async fn keys(database: &dyn Database, table: Table, prefix: &str) -> Vec<String> {
    let found = database.scan(table, prefix.into()).await.unwrap();
    found.into_iter().map(|(key, _)| key).collect()
}

/// Runs all of it on a storage with nothing in it.
pub(crate) async fn holds_for(storage: &dyn Storage) {
    let database = storage.open().await.unwrap();
    let database = &*database;
    values_come_back_as_they_were(database).await;
    tables_are_apart(database).await;
    steps_are_taken_in_order(database).await;
    a_scan_gives_what_begins_so_in_order(database).await;
    odd_keys_are_keys(database).await;
    large_values_and_many_steps_are_taken(database).await;
    nothing_to_do_is_done(database).await;
    what_is_committed_stays(storage).await;
    a_transaction_is_seen_whole_or_not_at_all(storage).await;
    several_write_at_once(storage).await;
    a_claim_has_one_owner(storage).await;
    assert!(keys(database, Table::Lists, "").await.is_empty(), "the suite leaves nothing");
}

/// Runs what there is to be said of a storage in which there is room for a little, and none for `too_much` bytes.
pub(crate) async fn holds_when_full(storage: &dyn Storage, too_much: usize) {
    let database = storage.open().await.unwrap();
    let database = &*database;
    database.commit(vec![put(Table::Lists, "a", b"1"), put(Table::Uses, "a", b"1")]).await.unwrap();
    let steps = vec![
        put(Table::Lists, "b", b"2"),
        delete(Table::Lists, "a"),
        put(Table::Uses, "a", b"2"),
        put(Table::Lists, "large", &vec![7; too_much]),
        put(Table::People, "c", b"2"),
    ];
    for _ in 0..2 {
        let error = database.commit(steps.clone()).await.unwrap_err();
        assert_eq!(error.code(), code::STORAGE_FULL, "{error}");
        // nothing of it is there, here or elsewhere
        let other = storage.open().await.unwrap();
        for database in [database, &*other] {
            assert_eq!(keys(database, Table::Lists, "").await, ["a"]);
            assert_eq!(get(database, Table::Uses, "a").await.as_deref(), Some(&b"1"[..]));
            assert!(keys(database, Table::People, "").await.is_empty());
        }
    }
    // and what there is room for is stored as before
    database.commit(vec![put(Table::Lists, "b", b"2"), delete(Table::Lists, "a")]).await.unwrap();
    assert_eq!(keys(database, Table::Lists, "").await, ["b"]);
}

/// Fills a storage to its bound with values of so many bytes, and makes room in it again.
pub(crate) async fn room_is_given_back(storage: &dyn Storage, value: usize) {
    let database = storage.open().await.unwrap();
    let mut fitted = 0;
    let fill = async |prefix: &str| {
        for number in 0..1_000 {
            let step = put(Table::Lists, &format!("{prefix}{number:03}"), &vec![7; value]);
            match database.commit(vec![step]).await {
                Ok(()) => {}
                Err(error) if error.code() == code::STORAGE_FULL => return number,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("it has no bound");
    };
    for round in ["a", "b", "c"] {
        let count = fill(round).await;
        assert!(count > 0 && (fitted == 0 || fitted == count), "{fitted} fitted before, and {count} now");
        fitted = count;
        let all = keys(&*database, Table::Lists, "").await;
        assert_eq!(all.len(), count);
        database.commit(all.iter().map(|key| delete(Table::Lists, key)).collect()).await.unwrap();
    }
}

async fn odd_keys_are_keys(database: &dyn Database) {
    let all = [
        "",
        "\0",
        "\u{1}",
        "\u{7f}",
        "A",
        "a",
        "a\0",
        "a\0b",
        "a ",
        "a%",
        "a_",
        "aa",
        "a\u{7f}",
        "a\u{80}",
        "aß",
        "a\u{d7ff}",
        "a\u{e000}",
        "a\u{ffff}",
        "a\u{ffff}a",
        "a\u{10000}",
        "a\u{10ffff}",
        "a\u{10ffff}a",
        "a\u{10ffff}\u{10ffff}",
        "b",
        "ß",
        "ßa",
        "\u{ffff}",
        "\u{10ffff}",
        "e\u{301}",
        "é",
    ];
    database.commit(all.iter().map(|key| put(Table::Uses, key, key.as_bytes())).collect()).await.unwrap();
    for prefix in all.into_iter().chain(["c", "a\u{10ffff}b", "\u{10fffe}"]) {
        let found = database.scan(Table::Uses, prefix.into()).await.unwrap();
        assert!(found.iter().all(|(key, value)| key.as_bytes() == value), "{prefix:?}");
        let found: Vec<_> = found.into_iter().map(|(key, _)| key).collect();
        let (mut sorted, mut expected) = (found.clone(), Vec::from(all.map(str::to_owned)));
        expected.retain(|key| key.starts_with(prefix));
        sorted.sort_unstable();
        expected.sort_unstable();
        assert_eq!(sorted, expected, "{prefix:?}");
        // elsewhere than in ASCII storages have orders of their own
        let ascii = |keys: &[String]| keys.iter().filter(|key| key.is_ascii()).cloned().collect::<Vec<_>>();
        assert_eq!(ascii(&found), ascii(&expected), "{prefix:?}");
    }
    for key in all {
        assert_eq!(get(database, Table::Uses, key).await.as_deref(), Some(key.as_bytes()));
        database.commit(vec![delete(Table::Uses, key)]).await.unwrap();
        assert_eq!(get(database, Table::Uses, key).await, None, "{key:?}");
    }
    assert!(keys(database, Table::Uses, "").await.is_empty());
}

async fn large_values_and_many_steps_are_taken(database: &dyn Database) {
    let large =
        |number: u8| -> Vec<u8> { (0..4 << 20).map(|at: u32| (at >> 8) as u8 ^ at as u8 ^ number).collect() };
    let mut steps: Vec<_> =
        (0..3).map(|number| put(Table::Lists, &format!("large{number}"), &large(number))).collect();
    steps.extend((0..1_000).map(|number| put(Table::Uses, &format!("many{number:04}"), b"1")));
    database.commit(steps).await.unwrap();
    let found = database.scan(Table::Lists, "large".into()).await.unwrap();
    assert_eq!(found.len(), 3);
    assert!(found.into_iter().zip(0..).all(|((_, value), number)| value == large(number)));
    let many = keys(database, Table::Uses, "many").await;
    assert!(many.len() == 1_000 && many.is_sorted());
    let mut steps: Vec<_> = many.iter().map(|key| delete(Table::Uses, key)).collect();
    steps.extend((0..3).map(|number| delete(Table::Lists, &format!("large{number}"))));
    database.commit(steps).await.unwrap();
    assert!(
        keys(database, Table::Lists, "").await.is_empty() && keys(database, Table::Uses, "").await.is_empty()
    );
}

async fn a_transaction_is_seen_whole_or_not_at_all(storage: &dyn Storage) {
    const LAST: u8 = 40;
    let (writer, reader) = join(storage.open(), storage.open()).await;
    let (writer, reader) = (writer.unwrap(), reader.unwrap());
    let writing = async {
        for number in 1..=LAST {
            let both = ["whole1", "whole2"].map(|key| put(Table::Lists, key, &[number]));
            writer.commit(both.into()).await.unwrap();
        }
    };
    let reading = async {
        let mut seen = 0;
        while seen < LAST {
            let found = reader.scan(Table::Lists, "whole".into()).await.unwrap();
            let values: Vec<_> = found.iter().map(|(_, value)| value[0]).collect();
            let [one, other] = values[..] else {
                assert!(values.is_empty() && seen == 0, "{values:?}");
                continue;
            };
            assert!(one == other && one >= seen, "{values:?} after {seen}");
            seen = one;
        }
    };
    join(writing, reading).await;
    writer.commit(vec![delete(Table::Lists, "whole1"), delete(Table::Lists, "whole2")]).await.unwrap();
}

async fn several_write_at_once(storage: &dyn Storage) {
    const EACH: u8 = 20;
    let opened = join_all((0..4).map(|_| storage.open())).await;
    let databases: Vec<_> = opened.into_iter().map(Result::unwrap).collect();
    let writing = databases.iter().enumerate().map(|(who, database)| async move {
        for number in 0..EACH {
            let own = put(Table::Lists, &format!("of{who}-{number:02}"), &[number]);
            database.commit(vec![own, put(Table::Uses, "shared", &[number])]).await.unwrap();
        }
    });
    join_all(writing).await;
    for database in &databases {
        assert_eq!(keys(&**database, Table::Lists, "of").await.len(), 4 * usize::from(EACH));
        assert_eq!(get(&**database, Table::Uses, "shared").await, Some(vec![EACH - 1]));
    }
    let all = keys(&*databases[0], Table::Lists, "of").await;
    let mut steps: Vec<_> = all.iter().map(|key| delete(Table::Lists, key)).collect();
    steps.push(delete(Table::Uses, "shared"));
    databases[0].commit(steps).await.unwrap();
}

async fn values_come_back_as_they_were(database: &dyn Database) {
    let all: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let values: [(&str, &[u8]); 4] =
        [("", b"no key"), ("none", b""), ("all", &all), ("ключ \u{1f600}\u{ffff}\n\0", b"x")];
    for (key, value) in values {
        assert_eq!(get(database, Table::Lists, key).await, None);
        database.commit(vec![put(Table::Lists, key, value)]).await.unwrap();
        assert_eq!(get(database, Table::Lists, key).await.as_deref(), Some(value), "{key:?}");
    }
    database.commit(vec![put(Table::Lists, "all", b"less")]).await.unwrap();
    assert_eq!(get(database, Table::Lists, "all").await.as_deref(), Some(&b"less"[..]));
    database.commit(values.iter().map(|(key, _)| delete(Table::Lists, key)).collect()).await.unwrap();
    assert!(keys(database, Table::Lists, "").await.is_empty());
}

async fn tables_are_apart(database: &dyn Database) {
    for (n, table) in Table::ALL.into_iter().enumerate() {
        database.commit(vec![put(table, "same", &[n as u8])]).await.unwrap();
    }
    for (n, table) in Table::ALL.into_iter().enumerate() {
        assert_eq!(get(database, table, "same").await, Some(vec![n as u8]));
        database.commit(vec![delete(table, "same")]).await.unwrap();
        assert_eq!(get(database, table, "same").await, None);
    }
}

async fn steps_are_taken_in_order(database: &dyn Database) {
    let steps = vec![
        put(Table::Lists, "a", b"1"),
        delete(Table::Lists, "a"),
        put(Table::Lists, "a", b"2"),
        put(Table::Uses, "b", b"1"),
        put(Table::Uses, "b", b"2"),
        put(Table::Lists, "c", b"1"),
        delete(Table::Lists, "c"),
        delete(Table::People, "was never there"),
    ];
    database.commit(steps).await.unwrap();
    assert_eq!(get(database, Table::Lists, "a").await.as_deref(), Some(&b"2"[..]));
    assert_eq!(get(database, Table::Uses, "b").await.as_deref(), Some(&b"2"[..]));
    assert_eq!(get(database, Table::Lists, "c").await, None);
    database.commit(vec![delete(Table::Lists, "a"), delete(Table::Uses, "b")]).await.unwrap();
}

async fn a_scan_gives_what_begins_so_in_order(database: &dyn Database) {
    let all = ["\"a\"", "\"a\"1", "\"a\"10", "\"a\"2", "\"a\\\"\"3", "\"b\"1", "\"a\"~\u{ffff}\u{10ffff}"];
    database.commit(all.iter().map(|key| put(Table::Uses, key, key.as_bytes())).collect()).await.unwrap();
    assert_eq!(
        keys(database, Table::Uses, "\"a\"").await,
        ["\"a\"", "\"a\"1", "\"a\"10", "\"a\"2", "\"a\"~\u{ffff}\u{10ffff}"]
    );
    let found = database.scan(Table::Uses, "\"b".into()).await.unwrap();
    assert_eq!(found, [("\"b\"1".to_owned(), b"\"b\"1".to_vec())]);
    assert!(keys(database, Table::Uses, "\"c").await.is_empty());
    assert!(keys(database, Table::Lists, "").await.is_empty());
    database.commit(all.iter().map(|key| delete(Table::Uses, key)).collect()).await.unwrap();
}

async fn nothing_to_do_is_done(database: &dyn Database) {
    database.commit(Vec::new()).await.unwrap();
}

async fn what_is_committed_stays(storage: &dyn Storage) {
    let first = storage.open().await.unwrap();
    first.commit(vec![put(Table::People, "stays", b"1")]).await.unwrap();
    let second = storage.open().await.unwrap();
    assert_eq!(get(&*second, Table::People, "stays").await.as_deref(), Some(&b"1"[..]), "while it is open");
    drop(first);
    second.commit(vec![put(Table::People, "stays", b"2")]).await.unwrap();
    drop(second);
    let third = storage.open().await.unwrap();
    assert_eq!(get(&*third, Table::People, "stays").await.as_deref(), Some(&b"2"[..]), "when it was closed");
    third.commit(vec![delete(Table::People, "stays")]).await.unwrap();
}

async fn a_claim_has_one_owner(storage: &dyn Storage) {
    let claim = async |name: &str| storage.claim(name.into()).await;
    let first = claim("one").await.unwrap();
    assert!(claim("one").await.is_none());
    let others =
        [claim("another").await.unwrap(), claim("öne/../\0").await.unwrap(), claim("").await.unwrap()];
    drop(others);
    drop(first);
    // letting go may take a moment
    let mut again = claim("one").await;
    for _ in 0..10_000 {
        if again.is_some() {
            break;
        }
        again = claim("one").await;
    }
    assert!(again.is_some(), "it is never let go");
    assert!(claim("one").await.is_none());
}
