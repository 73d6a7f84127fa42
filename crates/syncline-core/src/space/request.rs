//! Frames from clients, read as far as they can be.
//!
//! A frame with wrong contents fails alone when it says which subscription or which write it is about; only a frame
//! that nobody can tell the meaning of ends the connection.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{Error, code};
use crate::id::{ClientId, SpaceId, WriteId};
use crate::wire::{ClientMessage, SubId, Write, parse_client};

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
            Ok(message) => return Ok(Self::Message(message)),
            Err(error) => error.shortened(),
        };
        let because = |code: &'static str| match error.code() {
            code::BAD_FRAME => Error::new(code, error.message().to_owned()),
            _ => error.clone(),
        };
        match serde_json::from_slice(bytes) {
            Ok(Outline::Subscribe { sub }) => Ok(Self::BadSubscribe { sub, error: because(code::BAD_QUERY) }),
            Ok(Outline::Write { space, client, id }) => {
                let intent = Err(because(code::BAD_WRITE));
                Ok(Self::BadWrite(Envelope { space, client, id, settled: 0, intent }))
            }
            Err(_) => Err(error),
        }
    }
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
