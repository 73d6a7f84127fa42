//! What every storage has to do, run on each: they cannot be told apart.

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
    nothing_to_do_is_done(database).await;
    what_is_committed_stays(storage).await;
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
