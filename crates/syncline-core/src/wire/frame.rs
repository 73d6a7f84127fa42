//! Frames as bytes.

use std::iter;

use memchr::memchr;
use serde::Serialize;

use crate::error::{Error, code};
use crate::read_json::read_json;
use crate::wire::head;
use crate::wire::nesting::check_depth;
use crate::wire::packed::{self, EncodedRow};
use crate::wire::{ClientMessage, Resume, ServerMessage, Snapshot};

/// A frame from the server: the message, and the lines of its rows, undecoded.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// The first line.
    pub message: ServerMessage,
    rows: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads the first line; the rows are left as they are.
    ///
    /// # Errors
    /// `bad_frame`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (line, rows) = first_line(bytes);
        let message = match head::changes(line) {
            Some(changes) => ServerMessage::Changes(changes),
            None => read_json(line).map_err(|error| bad_frame(&error))?,
        };
        Ok(Self { message, rows })
    }

    /// The rows of a snapshot or a resume, each in the form it came in; none of another message.
    ///
    /// # Errors
    /// `bad_frame`.
    pub fn encoded_rows(&self) -> Result<Vec<EncodedRow<'a>>, Error> {
        match &self.message {
            ServerMessage::Snapshot(Snapshot { fields, .. })
            | ServerMessage::Resume(Resume { fields, .. }) => match &fields[..] {
                [] => Ok(self.rows().map(EncodedRow::Json).collect()),
                _ => packed::rows(self.rows),
            },
            _ => Ok(Vec::new()),
        }
    }

    /// The rows, each as the JSON it stands in.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.rows;
        let lines = iter::from_fn(move || {
            let line;
            (line, rest) = (!rest.is_empty()).then(|| first_line(rest))?;
            Some(line)
        });
        lines.filter(|line| !line.is_empty())
    }
}

/// Up to the first line break, and what is behind it.
fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr(b'\n', bytes).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

/// Writes a message and the rows below it.
pub fn encode<'a>(message: &impl Serialize, rows: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = encode_within(message, 128);
    for row in rows {
        bytes.push(b'\n');
        bytes.extend_from_slice(row);
    }
    bytes
}

/// Writes a message into memory for so many bytes, or more where it takes them.
pub(crate) fn encode_within(message: &impl Serialize, capacity: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(capacity);
    // every message is made of maps with text keys: writing it to memory cannot fail
    if serde_json::to_writer(&mut bytes, message).is_err() {
        bytes.clear();
    }
    bytes
}

/// Reads a frame from a client.
///
/// # Errors
/// `frame_too_large` over `limit` bytes or nested deeper than [`MAX_DEPTH`](crate::wire::MAX_DEPTH); `bad_frame` when it is not a message.
pub fn parse_client(bytes: &[u8], limit: usize) -> Result<ClientMessage, Error> {
    if bytes.len() > limit {
        return Err(Error::new(code::FRAME_TOO_LARGE, format!("a frame is at most {limit} bytes")));
    }
    check_depth(bytes, 0)?;
    serde_json::from_slice(bytes).map_err(|error| bad_frame(&error))
}

fn bad_frame(error: &serde_json::Error) -> Error {
    // whatever is there instead is quoted in it
    Error::new(code::BAD_FRAME, format!("not a message: {error}")).shortened()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_its_message_and_its_rows() {
        let message = ServerMessage::Ping(7);
        let bytes = encode(&message, [&br#"{"id":"a"}"#[..], br#"{"id":"b"}"#]);
        assert_eq!(bytes, b"{\"ping\":7}\n{\"id\":\"a\"}\n{\"id\":\"b\"}");
        let frame = Frame::parse(&bytes).unwrap();
        assert!(matches!(frame.message, ServerMessage::Ping(7)));
        assert_eq!(frame.rows().collect::<Vec<_>>(), [&br#"{"id":"a"}"#[..], br#"{"id":"b"}"#]);
    }

    #[test]
    fn what_is_not_a_message_is_a_bad_frame() {
        for bytes in [&b""[..], b"{", b"null", b"{\"hello\":{}}", b"{\"nonsense\":1}", b"\xff\xfe"] {
            assert_eq!(parse_client(bytes, 1000).unwrap_err().code(), code::BAD_FRAME);
        }
        let quoted = [b"\"", &[0x7f; 100_000][..], b"\""].concat();
        assert!(parse_client(&quoted, 1 << 20).unwrap_err().message().len() < 1_000);
        assert!(Frame::parse(&quoted).unwrap_err().message().len() < 1_000);
        assert_eq!(parse_client(&[b' '; 20], 10).unwrap_err().code(), code::FRAME_TOO_LARGE);
    }
}
