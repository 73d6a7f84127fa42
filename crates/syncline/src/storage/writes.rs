//! How writes that wait for a verdict lie in storage: each under its person, its author, its space and its number, so that
//! a scan gives a person's writes by author, and in order.

use std::collections::BTreeMap;

use syncline_core::client::{StoredWrite, WriteName};
use syncline_core::{ClientId, UserId};

use super::lists::json;
use super::{Step, Table};

/// What all keys of a person's writes begin with.
pub(super) fn writes_of(server: &str, user: &UserId) -> String {
    format!("{server}{}", json(user.as_str()))
}

fn key(server: &str, user: &UserId, name: &WriteName) -> String {
    let WriteName { space, client, id } = name;
    format!("{}{}{}{id:020}", writes_of(server, user), json(client.as_str()), json(space.as_str()))
}

/// The name under which a page claims the writes of an author.
pub(super) fn claim(server: &str, client: &ClientId) -> String {
    format!("syncline {server}{}", json(client.as_str()))
}

/// The steps that keep some writes, and let others go.
pub(super) fn steps(server: &str, user: &UserId, put: &[StoredWrite], del: &[WriteName]) -> Vec<Step> {
    let del = del.iter().map(|name| Step::Delete { table: Table::Writes, key: key(server, user, name) });
    let put = put.iter().map(|write| Step::Put {
        table: Table::Writes,
        key: key(server, user, &write.name),
        // a map with text keys and raw JSON: writing it to memory cannot fail
        value: serde_json::to_vec(write).unwrap_or_default(),
    });
    del.chain(put).collect()
}

/// What a scan has found, by author. What cannot be read is of another version of this library, and stays where it is.
pub(super) fn by_client(found: Vec<(String, Vec<u8>)>) -> BTreeMap<ClientId, Vec<StoredWrite>> {
    let mut queues = BTreeMap::<ClientId, Vec<StoredWrite>>::new();
    for write in found.iter().filter_map(|(_, value)| serde_json::from_slice::<StoredWrite>(value).ok()) {
        queues.entry(write.name.client.clone()).or_default().push(write);
    }
    queues
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(client: &str, space: &str, id: u64) -> StoredWrite {
        let name = WriteName { space: space.into(), client: client.into(), id };
        let payload = serde_json::value::RawValue::from_string(format!("[{id}]")).unwrap();
        StoredWrite { name, kind: "action".into(), payload }
    }

    #[test]
    fn a_scan_gives_queues_in_order() {
        let user = UserId::from("ann");
        let writes = [write("client-b", "s", 10), write("client-a", "s", 2), write("client-b", "s", 9)];
        let mut kept = BTreeMap::new();
        for step in steps("\"/sync\"", &user, &writes, &[]) {
            let Step::Put { key, value, .. } = step else { panic!() };
            assert!(key.starts_with(&writes_of("\"/sync\"", &user)));
            kept.insert(key, value);
        }
        let queues = by_client(kept.into_iter().collect());
        let ids = |client: &str| -> Vec<_> {
            queues[&ClientId::from(client)].iter().map(|write| (write.name.id, write.payload.get())).collect()
        };
        assert_eq!((ids("client-a"), ids("client-b")), (vec![(2, "[2]")], vec![(9, "[9]"), (10, "[10]")]));
    }

    #[test]
    fn nobody_finds_the_writes_of_somebody_whose_name_begins_alike() {
        let (ann, anna) = (UserId::from("ann"), UserId::from("anna"));
        assert!(!writes_of("\"/sync\"", &anna).starts_with(&writes_of("\"/sync\"", &ann)));
    }
}
