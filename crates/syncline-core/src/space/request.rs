//! Frames from clients, read as far as they can be.
//!
//! A frame with wrong contents fails alone when it says which subscription or which write it is about; only a frame
//! that nobody can tell the meaning of ends the connection.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use crate::channel::{ACTION, ActionPayload};
use crate::error::{Error, code};
use crate::id::{ClientId, SpaceId, WriteId};
use crate::wire::{
    ClientMessage, Held, MAX_QUERY_BYTES, SubId, Subscribe, Write, parse_client, query_too_long,
};

/// What a client asks.
#[derive(Debug)]
pub(super) enum Request {
    /// A message as it should be.
    Message(ClientMessage),
    /// A `subscribe` that cannot be understood, but for its number.
    BadSubscribe { sub: SubId, error: Error },
    /// A `write` that cannot be understood, but for which one it is.
    BadWrite(Envelope),
}

/// A write, understood or not.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) space: SpaceId,
    pub(super) client: ClientId,
    pub(super) id: WriteId,
    pub(super) settled: WriteId,
    pub(super) intent: Intent,
}

/// The kind and payload of a write, or why it is refused whatever they are.
pub(super) type Intent = Result<(Box<str>, Box<RawValue>), Error>;

impl From<Write> for Envelope {
    fn from(write: Write) -> Self {
        let Write { space, client, id, settled, kind, payload } = write;
        Self { space, client, id, settled, intent: Ok((kind, payload)) }
    }
}

impl Request {
    /// Reads a frame of at most `limit` bytes.
    ///
    /// # Errors
    /// `frame_too_large` or `bad_frame`, when there is not even a part that could fail alone.
    pub(super) fn read(bytes: &[u8], limit: usize) -> Result<Self, Error> {
        let error = match parse_client(bytes, limit) {
            // before it waits for anything: in memory a condition may be many times its size here
            Ok(ClientMessage::Subscribe(subscribe)) if query_bytes(&subscribe, bytes) > MAX_QUERY_BYTES => {
                return Ok(Self::BadSubscribe { sub: subscribe.sub, error: query_too_long() });
            }
            Ok(message) => return Ok(Self::Message(message)),
            Err(error) => error,
        };
        let because = |code: &'static str| match error.code() {
            code::BAD_FRAME => Error::new(code, error.message().to_owned()),
            _ => error.clone(),
        };
        match serde_json::from_slice(bytes) {
            Ok(Outline::Subscribe { sub }) => {
                let error = because(code::BAD_QUERY);
                let error = match bad_part(bytes).filter(|_| error.code() == code::BAD_QUERY) {
                    Some(part) => error.with_field(part).shortened(),
                    None => error,
                };
                Ok(Self::BadSubscribe { sub, error })
            }
            Ok(Outline::Write { space, client, id }) => {
                let intent = Err(because(code::BAD_WRITE));
                Ok(Self::BadWrite(Envelope { space, client, id, settled: 0, intent }))
            }
            Err(_) => Err(error),
        }
    }
}

/// The refusal of somebody who may not enter, naming what they wanted to do there.
pub(super) fn about(error: Error, intent: &Intent) -> Error {
    match intent {
        Ok((kind, payload)) if **kind == *ACTION => match ActionPayload::parse(payload.get()) {
            Ok(action) => error.about(|| action.name()),
            Err(_) => error,
        },
        Ok(_) | Err(_) => error,
    }
}

/// What a `subscribe` takes of its frame beside the rows that it says the client holds.
fn query_bytes(subscribe: &Subscribe, frame: &[u8]) -> usize {
    let held = subscribe.held.as_ref().map_or(0, Held::frame_bytes);
    frame.len().saturating_sub(held)
}

/// The name of the part that a `subscribe` cannot be read for: one of its query's, or of its own.
fn bad_part(bytes: &[u8]) -> Option<String> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let error = serde_path_to_error::deserialize::<_, ClientMessage>(&mut json).err()?;
    let mut names = error.path().iter().filter_map(|segment| match segment {
        Segment::Map { key } => Some(key.as_str()),
        _ => None,
    });
    let own = names.next()?;
    let part = names.next().filter(|_| own == "query").unwrap_or(own);
    Some(part.to_owned())
}

/// The part of a message that says what it is about. The rest is skipped without being read into anything, so that it
/// may be as large and as deep as it likes.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outline {
    Subscribe { sub: SubId },
    Write { space: SpaceId, client: ClientId, id: WriteId },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscribe_with_wrong_contents_is_known_by_its_number() {
        let frame = br#"{"subscribe":{"sub":7,"query":{"space":"s","collection":"c","nonsense":1}}}"#;
        let Ok(Request::BadSubscribe { sub: 7, error }) = Request::read(frame, 1000) else { panic!() };
        assert_eq!(error.code(), code::BAD_QUERY);
        assert!(error.message().contains("nonsense"), "{error}");
    }

    #[test]
    fn a_query_that_is_too_large_is_not_kept() {
        let frame = |conditions: usize| {
            let all = vec![r#"{"and":[]}"#; conditions].join(",");
            format!(
                r#"{{"subscribe":{{"sub":7,"query":{{"space":"s","collection":"c","where":{{"and":[{all}]}}}}}}}}"#
            )
        };
        let read = |frame: String| Request::read(frame.as_bytes(), 2_000_000);
        assert!(matches!(read(frame(5_900)), Ok(Request::Message(_))));
        let Ok(Request::BadSubscribe { sub: 7, error }) = read(frame(6_000)) else { panic!() };
        assert_eq!(error.code(), code::BAD_QUERY);
    }

    #[test]
    fn the_part_of_a_subscribe_that_is_wrong_is_named() {
        let query = |more: &str| format!(r#""query":{{"space":"s","collection":"c"{more}}}"#);
        for (parts, field) in [
            (query(r#","limit":-1"#), "limit"),
            (query(r#","order":[["n","upward"]]"#), "order"),
            (query(r#","where":{"like":["n","x"]}"#), "where"),
            (query(r#","nonsense":1"#), "nonsense"),
            (query(r#","relations":[{"collection":"d","field":"c","limit":"all"}]"#), "relations"),
            (r#""query":{"space":"s"}"#.to_owned(), "query"),
            (format!(r#"{},"cursor":{{"version":"?"}}"#, query("")), "cursor"),
            (format!(r#"{},"held":{{"seed":"?","keys":""}}"#, query("")), "held"),
        ] {
            let frame = format!(r#"{{"subscribe":{{"sub":7,{parts}}}}}"#);
            let read = Request::read(frame.as_bytes(), 1000);
            let Ok(Request::BadSubscribe { sub: 7, error }) = read else { panic!("{frame}: {read:?}") };
            assert_eq!((error.code(), error.field()), (code::BAD_QUERY, Some(field)), "{frame}: {error}");
        }
    }

    #[test]
    fn a_write_with_wrong_contents_is_known_by_its_id() {
        let frame = br#"{"write":{"space":"s","client":"client-a","id":3,"kind":5}}"#;
        let Ok(Request::BadWrite(write)) = Request::read(frame, 1000) else { panic!() };
        assert_eq!((write.id, write.intent.unwrap_err().code()), (3, code::BAD_WRITE));
    }

    #[test]
    fn a_write_that_is_too_large_or_too_deep_is_known_by_its_id() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        let write = format!(r#"{{"space":"s","client":"client-a","id":3,"kind":"rows","payload":{deep}}}"#);
        let frame = format!(r#"{{"write":{write}}}"#);
        for limit in [100, 100_000] {
            let Ok(Request::BadWrite(write)) = Request::read(frame.as_bytes(), limit) else { panic!() };
            assert_eq!((write.id, write.intent.unwrap_err().code()), (3, code::FRAME_TOO_LARGE));
        }
    }

    #[test]
    fn anything_else_cannot_fail_alone() {
        for frame in [&b"{"[..], b"[]", b"{\"write\":{}}", b"{\"subscribe\":{\"sub\":-1}}", b"{\"what\":1}"] {
            assert_eq!(Request::read(frame, 1000).unwrap_err().code(), code::BAD_FRAME);
        }
    }
}
