//! What a service says: events, handshakes, refusals. Its records become rows of one flat shape.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::{Error, code};
use crate::wire::with_nothing_hidden;

/// A close code that a socket's server uses to say that somebody may not read any more.
const MEMBERSHIP_REVOKED: u16 = 4003;
/// What a service says where it has no such method.
const NO_ROUTE: &[u8] = b"404 Not Found";
/// A time below this is in ms: as µs it would be a day of 1973.
pub(super) const FIRST_MICROSECONDS: i64 = 100_000_000_000_000;

/// A record, as a row.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    /// Its key.
    pub(super) uri: String,
    /// JSON of one flat object.
    pub(super) json: Vec<u8>,
    /// Its time in µs, where it says one.
    pub(super) time: Option<i64>,
    /// What is said of its children, relation by relation. A live event says nothing of them.
    pub(super) families: Vec<Family>,
}

/// The children of a record in one relation.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Family {
    pub(super) children: Vec<Map<String, Value>>,
    /// How many there are, whatever the limit.
    pub(super) count: Option<u64>,
}

/// The kinds of events that are of interest.
const KINDS: [&str; 9] = [
    "snapshot.start",
    "snapshot.record",
    "snapshot.end",
    "record.created",
    "record.deleted",
    "hydration.added",
    "hydration.removed",
    "member.removed",
    "error",
];

/// Whether an event of this kind is of interest. The data of others need not be JSON.
pub fn is_event(kind: &str) -> bool {
    KINDS.contains(&kind)
}

/// One event of a stream.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    /// A snapshot begins.
    Start,
    /// A record of it, or one that was created or changed: an upsert in any case.
    Record { row: Row, live: bool },
    /// The snapshot is complete; there is more behind the cursor.
    End { cursor: Option<String> },
    /// A record is gone. It may never have been there.
    Deleted { uri: String },
    /// A record has a child more, or another one in its place.
    ChildAdded { parent: String, relation: String, child: Map<String, Value> },
    /// A record has a child less.
    ChildRemoved { parent: String, relation: String, did: String, rkey: String },
    /// Somebody may not read any more, and the stream ends.
    MemberRemoved,
    /// The server failed, and the stream ends.
    Error { message: String },
    /// A kind of event that is of no interest.
    Other,
}

/// What a socket's handshake answers; as an answer to a page it is the snapshot that counts.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(super) struct Handshake {
    pub(super) rows: Vec<Row>,
    pub(super) cursor: Option<String>,
    pub(super) socket: String,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct WithRecord {
    record: Map<String, Value>,
}

#[derive(Deserialize)]
struct End {
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Deleted {
    uri: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChildAdded {
    parent_uri: String,
    relation: String,
    child: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChildRemoved {
    parent_uri: String,
    relation: String,
    child_did: String,
    child_rkey: String,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Snapshot {
    records: Vec<Map<String, Value>>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HandshakeBody {
    snapshot: Snapshot,
    ws_url: String,
}

impl Event {
    /// Reads an event in the form it has on a socket, `{"kind":…,"data":…}`. Records come with these relations.
    ///
    /// # Errors
    /// `bad_frame`.
    pub(super) fn parse(bytes: &[u8], relations: &[String]) -> Result<Self, Error> {
        let bytes = &*with_nothing_hidden(bytes);
        let frame: Frame<'_> = read(bytes)?;
        let data = frame.data.get().as_bytes();
        Ok(match &*frame.kind {
            "snapshot.start" => Self::Start,
            "snapshot.record" => Self::record(data, relations, false)?,
            "snapshot.end" => Self::End { cursor: read::<End>(data)?.cursor },
            "record.created" => Self::record(data, &[], true)?,
            "record.deleted" => Self::Deleted { uri: read::<Deleted>(data)?.uri },
            "hydration.added" => {
                let ChildAdded { parent_uri, relation, child } = read(data)?;
                Self::ChildAdded { parent: parent_uri, relation, child }
            }
            "hydration.removed" => {
                let ChildRemoved { parent_uri, relation, child_did, child_rkey } = read(data)?;
                Self::ChildRemoved { parent: parent_uri, relation, did: child_did, rkey: child_rkey }
            }
            "member.removed" => Self::MemberRemoved,
            "error" => Self::Error { message: read::<Failure>(data)?.message },
            _ => Self::Other,
        })
    }

    fn record(data: &[u8], relations: &[String], live: bool) -> Result<Self, Error> {
        Ok(Self::Record { row: Row::of(read::<WithRecord>(data)?.record, relations)?, live })
    }
}

impl Handshake {
    /// Reads the answer to a request with `mode=ws`.
    ///
    /// # Errors
    /// `bad_frame`.
    pub(super) fn parse(bytes: &[u8], relations: &[String]) -> Result<Self, Error> {
        let HandshakeBody { snapshot, ws_url } = read(&with_nothing_hidden(bytes))?;
        let rows = snapshot.records.into_iter().map(|record| Row::of(record, relations));
        let rows = rows.collect::<Result<_, _>>()?;
        Ok(Self { rows, cursor: snapshot.cursor, socket: ws_url })
    }
}

impl Row {
    fn of(mut record: Map<String, Value>, relations: &[String]) -> Result<Self, Error> {
        let families = relations.iter().map(|name| Family::take_from(&mut record, name)).collect();
        let uri = record.get("uri").and_then(Value::as_str).unwrap_or_default().to_owned();
        let time = record.get("time_us").and_then(Value::as_i64).map(microseconds);
        Ok(Self { uri, json: flattened(record)?, time, families })
    }

    /// The same at another time.
    pub(super) fn json_at(&self, time: i64) -> Option<Vec<u8>> {
        let mut row: Map<String, Value> = serde_json::from_slice(&self.json).ok()?;
        row.insert("time_us".to_owned(), time.into());
        serde_json::to_vec(&row).ok()
    }
}

impl Family {
    /// Takes what a record says of one of its relations out of it: a list of children, or lists by group. A child says
    /// itself what group it is in.
    fn take_from(record: &mut Map<String, Value>, name: &str) -> Self {
        let count = record.remove(&format!("{name}Count")).and_then(|count| count.as_u64());
        let lists = match record.remove(name) {
            Some(Value::Array(list)) => vec![Value::Array(list)],
            Some(Value::Object(groups)) => groups.into_iter().map(|(_, list)| list).collect(),
            _ => Vec::new(),
        };
        let children = lists.into_iter().flat_map(|list| match list {
            Value::Array(list) => list,
            _ => Vec::new(),
        });
        let children = children.filter_map(|child| match child {
            Value::Object(child) => Some(child),
            _ => None,
        });
        Self { children: children.collect(), count }
    }
}

/// A child as a row: it holds its parent's uri in the relation's field, wherever its body has it.
pub(super) fn child_row(mut child: Map<String, Value>, field: &str, parent: &str) -> Result<Vec<u8>, Error> {
    child.insert(field.to_owned(), parent.into());
    flattened(child)
}

/// The same row with the records that it refers to, `{"uri":…,"cid":…}` in a body, named by their uris alone, as children
/// name their parents; `None` where it refers to none.
pub(super) fn with_plain_references(row: &[u8]) -> Option<Vec<u8>> {
    let mut row: Map<String, Value> = serde_json::from_slice(row).ok()?;
    let mut any = false;
    for (_, field) in row.iter_mut().filter(|(name, _)| *name != "value") {
        if let Some(Value::String(uri)) = field.as_object_mut().and_then(|object| object.remove("uri")) {
            (*field, any) = (Value::String(uri), true);
        }
    }
    if any { serde_json::to_vec(&row).ok() } else { None }
}

/// A record as the JSON of a row: the fields of its body stand beside those of the envelope, which win; the body stands
/// under `value` too, wherever the server put it; the time is in µs, whatever the server counts in.
fn flattened(mut record: Map<String, Value>) -> Result<Vec<u8>, Error> {
    let body = match record.remove("value") {
        Some(body) => body,
        // where the socket of a Durable Object has it
        None => record.remove("record").unwrap_or_default(),
    };
    if let Some(time) = record.get_mut("time_us")
        && let Some(known) = time.as_i64()
    {
        *time = microseconds(known).into();
    }
    if let Value::Object(fields) = &body {
        for (name, value) in fields {
            if !record.contains_key(name) {
                record.insert(name.clone(), value.clone());
            }
        }
    }
    record.insert("value".to_owned(), body);
    serde_json::to_vec(&record).map_err(|error| bad_frame(&error))
}

/// A time in µs, whether it is counted in them or in ms.
fn microseconds(time: i64) -> i64 {
    if time < FIRST_MICROSECONDS { time.saturating_mul(1000) } else { time }
}

/// What a service's refusal means, by its status and body. Its own words are kept.
pub fn refusal(status: u16, body: &[u8]) -> Error {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Refusal {
        error: String,
        reason: Option<String>,
        message: Option<String>,
    }
    let said: Option<Refusal> = serde_json::from_slice(body).ok();
    // what is said by something on the way, a proxy or a hotel's network, may be another thing the next time
    let is_its_own = said.is_some() || (status == 404 && body == NO_ROUTE);
    let said = said.unwrap_or_default();
    let code = match status {
        _ if said.error == "NotSupported" => code::UNSUPPORTED_PROTOCOL,
        400 | 403 | 404 if !is_its_own => code::CONNECTION,
        400 => code::BAD_QUERY,
        401 => code::UNAUTHENTICATED,
        403 => code::FORBIDDEN,
        404 => code::UNKNOWN_SPACE,
        426 | 501 => code::UNSUPPORTED_PROTOCOL,
        429 => code::TOO_MANY,
        _ => code::CONNECTION,
    };
    let words = [Some(said.error), said.reason, said.message];
    let words: Vec<_> = words.into_iter().flatten().filter(|word| !word.is_empty()).collect();
    let message = match words.is_empty() {
        true => format!("the service answered {status}"),
        false => format!("the service answered {status}: {}", words.join(", ")),
    };
    Error::new(code, message).shortened()
}

/// What it means that a socket was closed with this code.
pub fn socket_closed(close_code: u16, reason: &str) -> Error {
    let code = if close_code == MEMBERSHIP_REVOKED { code::FORBIDDEN } else { code::CONNECTION };
    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Error::new(code, format!("the service closed the socket with {close_code}{reason}")).shortened()
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| bad_frame(&error))
}

fn bad_frame(error: &serde_json::Error) -> Error {
    Error::new(code::BAD_FRAME, format!("not what a contrail service says: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flat(record: Value) -> Value {
        let frame = json!({"kind": "snapshot.record", "data": {"record": record}}).to_string();
        let Ok(Event::Record { row, live: false }) = Event::parse(frame.as_bytes(), &[]) else {
            panic!("{frame}")
        };
        serde_json::from_slice(&row.json).unwrap()
    }

    #[test]
    fn the_body_stands_beside_the_envelope_and_under_value() {
        let body = json!({"text": "hi", "did": "not the author"});
        let row = json!({"uri": "at://a/m/1", "did": "did:plc:a", "text": "hi", "value": body});
        assert_eq!(flat(json!({"uri": "at://a/m/1", "did": "did:plc:a", "value": body})), row);
        // a Durable Object has it under `record`
        assert_eq!(flat(json!({"uri": "at://a/m/1", "did": "did:plc:a", "record": body})), row);
        assert_eq!(flat(json!({"uri": "at://a/m/1"})), json!({"uri": "at://a/m/1", "value": null}));
    }

    #[test]
    fn times_are_in_microseconds() {
        for time in [1_795_165_400_956_i64, 1_795_165_400_956_000] {
            assert_eq!(flat(json!({"time_us": time}))["time_us"], 1_795_165_400_956_000_i64);
        }
    }

    #[test]
    fn what_hides_in_a_record_is_none_of_its_fields() {
        let hidden = json!({"$serde_json::private::RawValue": "[[1]]"});
        let named = json!({"": "[[1]]"});
        let record = json!({"uri": "at://a/m/1", "value": {"text": "hi", "odd": hidden}});
        let row =
            json!({"uri": "at://a/m/1", "text": "hi", "odd": named, "value": {"text": "hi", "odd": named}});
        assert_eq!(flat(record.clone()), row);
        let answer =
            json!({"snapshot": {"records": [record], "cursor": null}, "wsUrl": "wss://x"}).to_string();
        let read = Handshake::parse(answer.as_bytes(), &[]).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&read.rows[0].json).unwrap(), row);
    }

    #[test]
    fn a_refusal_keeps_the_words_of_the_service() {
        let error = refusal(403, br#"{"error":"Forbidden","reason":"not-member"}"#);
        assert_eq!(error.code(), code::FORBIDDEN);
        assert!(error.to_string().contains("Forbidden, not-member"));
        assert_eq!(refusal(401, b"").code(), code::UNAUTHENTICATED);
        assert_eq!(refusal(404, b"404 Not Found").code(), code::UNKNOWN_SPACE);
        for status in [400, 403, 404] {
            assert_eq!(refusal(status, b"<h1>Sign in to the hotel's network</h1>").code(), code::CONNECTION);
            assert_ne!(refusal(status, b"{}").code(), code::CONNECTION);
        }
        assert_eq!(refusal(426, b"{}").code(), code::UNSUPPORTED_PROTOCOL);
        assert_eq!(refusal(400, br#"{"error":"NotSupported"}"#).code(), code::UNSUPPORTED_PROTOCOL);
        assert_eq!(refusal(502, b"<html>").code(), code::CONNECTION);
        assert_eq!(socket_closed(4003, "membership-revoked").code(), code::FORBIDDEN);
        assert_eq!(socket_closed(1006, "").code(), code::CONNECTION);
    }

    #[test]
    fn what_is_no_event_is_a_bad_frame() {
        for bytes in
            [&b"hello"[..], b"{}", br#"{"kind":"record.created","data":{}}"#, br#"{"kind":7,"data":{}}"#]
        {
            assert_eq!(Event::parse(bytes, &[]).unwrap_err().code(), code::BAD_FRAME, "{bytes:?}");
        }
        assert_eq!(Event::parse(br#"{"kind":"pong","data":1}"#, &[]), Ok(Event::Other));
        assert_eq!(Handshake::parse(b"{}", &[]).unwrap_err().code(), code::BAD_FRAME);
    }
}
