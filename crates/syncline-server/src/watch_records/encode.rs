//! Records and events as text.

use axum::body::Bytes;
use data_encoding::BASE32_NOPAD;
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use syncline_core::client::contrail::record_uri;

use crate::watch_records::mapping::{Collection, Facts};
use crate::watch_records::place::Place;

/// The hash of a row.
pub(super) type Digest = [u8; 32];

pub(super) fn digest(row: &[u8]) -> Digest {
    Sha256::digest(row).into()
}

/// A content identifier, version 1: of raw bytes, by their SHA-256, in base 32.
fn cid(digest: &Digest) -> String {
    let mut bytes = vec![0x01, 0x55, 0x12, 0x20];
    bytes.extend_from_slice(digest);
    format!("b{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
}

/// An event: its name, and its data as JSON.
pub(super) struct Event {
    pub(super) kind: &'static str,
    pub(super) data: String,
}

impl Event {
    pub(super) fn new(kind: &'static str, data: &impl Serialize) -> Self {
        Self { kind, data: json(data) }
    }

    /// One whose data is a record, given as JSON.
    pub(super) fn record(kind: &'static str, record: &str) -> Self {
        Self { kind, data: format!(r#"{{"record":{record}}}"#) }
    }

    /// As one text message of a socket.
    pub(super) fn message(&self) -> Bytes {
        format!(r#"{{"kind":"{}","data":{}}}"#, self.kind, self.data).into()
    }
}

fn json(data: &impl Serialize) -> String {
    // maps with text keys, written to memory: that cannot fail
    serde_json::to_string(data).unwrap_or_default()
}

/// As server-sent events.
pub(super) fn stream(events: &[Event]) -> Bytes {
    let length = events.iter().map(|event| event.data.len() + event.kind.len() + 16).sum();
    let mut text = String::with_capacity(length);
    for Event { kind, data } in events {
        for part in ["event: ", kind, "\ndata: ", data, "\n\n"] {
            text.push_str(part);
        }
    }
    text.into()
}

#[derive(Serialize)]
struct Told<T> {
    record: T,
}

#[derive(Serialize)]
struct Listed<'a> {
    uri: String,
    cid: String,
    value: &'a RawValue,
    did: &'a str,
    collection: &'a str,
    rkey: &'a str,
    time_us: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<&'a str>,
}

#[derive(Serialize)]
struct Created<'a> {
    uri: String,
    did: &'a str,
    rkey: &'a str,
    collection: &'a str,
    cid: String,
    value: &'a RawValue,
    time_us: i64,
    /// Milliseconds, as contrail has it.
    indexed_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<&'a str>,
}

#[derive(Serialize)]
struct Deleted<'a> {
    uri: String,
    did: &'a str,
    rkey: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Added<'a> {
    parent_uri: &'a str,
    relation: &'a str,
    child: Child<'a>,
}

#[derive(Serialize)]
struct Child<'a> {
    uri: String,
    did: &'a str,
    rkey: &'a str,
    collection: &'a str,
    cid: String,
    value: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Removed<'a> {
    parent_uri: &'a str,
    relation: &'a str,
    child_rkey: &'a str,
    child_did: &'a str,
}

/// What makes records of rows.
pub(super) struct Encoder<'a> {
    pub(super) collection: &'a Collection,
    pub(super) place: &'a Place,
}

/// A row, and what records need of it.
pub(super) struct Row<'a> {
    pub(super) json: &'a RawValue,
    pub(super) digest: Digest,
    pub(super) facts: Facts,
}

impl<'a> Encoder<'a> {
    /// Reads a row of the list that is ordered by `sort`.
    pub(super) fn row(&self, json: &'a [u8], sort: &str) -> Option<Row<'a>> {
        let facts = self.collection.read(json, sort)?;
        Some(Row { json: serde_json::from_slice(json).ok()?, digest: digest(json), facts })
    }

    /// The record as snapshots have it, as JSON.
    pub(super) fn listed(&self, row: &Row<'_>) -> String {
        let Facts { did, rkey, time_us, .. } = &row.facts;
        let collection = self.collection.nsid.as_str();
        let record = Listed {
            uri: record_uri(did, collection, rkey),
            cid: cid(&row.digest),
            value: row.json,
            did,
            collection,
            rkey,
            time_us: *time_us,
            space: self.place.space(),
        };
        json(&record)
    }

    /// The record as it comes live, be it new or changed.
    pub(super) fn created(&self, row: &Row<'_>) -> Event {
        let Facts { did, rkey, time_us, .. } = &row.facts;
        let collection = self.collection.nsid.as_str();
        let record = Created {
            uri: record_uri(did, collection, rkey),
            did,
            rkey,
            collection,
            cid: cid(&row.digest),
            value: row.json,
            time_us: *time_us,
            indexed_at: time_us.div_euclid(1_000),
            space: self.place.space(),
        };
        Event::new("record.created", &Told { record })
    }

    /// The record as a new or changed child of another one.
    pub(super) fn added(&self, parent_uri: &str, relation: &str, row: &Row<'_>) -> Event {
        let Facts { did, rkey, .. } = &row.facts;
        let collection = self.collection.nsid.as_str();
        let child = Child {
            uri: record_uri(did, collection, rkey),
            did,
            rkey,
            collection,
            cid: cid(&row.digest),
            value: row.json,
            space: self.place.space(),
        };
        Event::new("hydration.added", &Added { parent_uri, relation, child })
    }

    /// A child that is not one of that record any more.
    pub(super) fn removed(&self, parent_uri: &str, relation: &str, did: &str, rkey: &str) -> Event {
        let removed = Removed { parent_uri, relation, child_rkey: rkey, child_did: did };
        Event::new("hydration.removed", &removed)
    }

    /// A record that is not in the list any more.
    pub(super) fn deleted(&self, did: &str, rkey: &str) -> Event {
        let uri = record_uri(did, &self.collection.nsid, rkey);
        Event::new("record.deleted", &Deleted { uri, did, rkey })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cid_is_one_that_other_programs_compute_too() {
        // printf 'hello' | ipfs add --cid-version=1 --raw-leaves
        assert_eq!(cid(&digest(b"hello")), "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq");
    }

    #[test]
    fn events_are_lines_in_one_form_and_an_object_in_the_other() {
        let event = Event::new("snapshot.end", &serde_json::json!({}));
        assert_eq!(event.message(), r#"{"kind":"snapshot.end","data":{}}"#);
        assert_eq!(stream(&[event]), "event: snapshot.end\ndata: {}\n\n");
    }
}
