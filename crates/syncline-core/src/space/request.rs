//! Frames from clients, read as far as they can be.
//!
//! A frame with wrong contents fails alone when it says which subscription or which write it is about; only a frame
//! that nobody can tell the meaning of ends the connection.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::{Error, code};
use crate::id::{ClientId, SpaceId, WriteId};
use crate::wire::{ClientMessage, SubId, parse_client};

/// What a client asks.
#[derive(Debug)]
pub(super) enum Request {
    /// A message as it should be.
    Message(ClientMessage),
    /// A `subscribe` that cannot be understood, but for its number.
    BadSubscribe { sub: SubId, error: Error },
    /// A `write` that cannot be understood, but for which one it is.
    BadWrite { space: SpaceId, client: ClientId, id: WriteId, error: Error },
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
                Ok(Self::BadWrite { space, client, id, error: because(code::BAD_WRITE) })
            }
            Ok(Outline::Other(_)) | Err(_) => Err(error),
        }
    }
}

/// The part of a message that says what it is about.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outline {
    Subscribe {
        sub: SubId,
    },
    Write {
        space: SpaceId,
        client: ClientId,
        id: WriteId,
    },
    #[serde(untagged)]
    Other(IgnoredAny),
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
        let Ok(Request::BadWrite { id: 3, error, .. }) = Request::read(frame, 1000) else { panic!() };
        assert_eq!(error.code(), code::BAD_WRITE);
    }

    #[test]
    fn a_write_that_is_too_large_or_too_deep_is_known_by_its_id() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        let frame = format!(
            r#"{{"write":{{"space":"s","client":"client-a","id":3,"kind":"rows","payload":{deep}}}}}"#
        );
        for limit in [100, 100_000] {
            let Ok(Request::BadWrite { id: 3, error, .. }) = Request::read(frame.as_bytes(), limit) else {
                panic!()
            };
            assert_eq!(error.code(), code::FRAME_TOO_LARGE);
        }
    }

    #[test]
    fn anything_else_cannot_fail_alone() {
        for frame in [&b"{"[..], b"[]", b"{\"write\":{}}", b"{\"subscribe\":{\"sub\":-1}}", b"{\"what\":1}"] {
            assert_eq!(Request::read(frame, 1000).unwrap_err().code(), code::BAD_FRAME);
        }
    }
}
