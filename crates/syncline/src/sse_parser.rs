//! Server-sent events out of bytes that arrive in arbitrary pieces.
//!
//! What the HTML standard says of `text/event-stream`, as far as a client of its own needs it: events with their names
//! and data, in any of the three line endings. Ids and retry times are read over.

use std::collections::VecDeque;

use crate::{Error, code};

/// The most that one event may hold. The largest frame is a run of rows of 1 MB each.
const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;

/// One thing that the stream said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SseItem {
    /// An event, with its name if it has one.
    Event { name: Option<Vec<u8>>, data: Vec<u8> },
    /// A comment: the server is there.
    Comment,
}

/// See the [module](self).
#[derive(Default)]
pub(crate) struct SseParser {
    /// The line so far that has not ended yet.
    line: Vec<u8>,
    /// The data lines so far of the event that has not ended yet.
    data: Option<Vec<u8>>,
    /// The name of that event.
    name: Option<Vec<u8>>,
    items: VecDeque<SseItem>,
    after_cr: bool,
    started: bool,
}

impl SseParser {
    /// Takes in the next piece.
    ///
    /// # Errors
    /// `frame_too_large` when an event grows beyond all bounds.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (piece, ending) = (&bytes[..end], bytes[end]);
            bytes = &bytes[end + 1..];
            let second_half = std::mem::replace(&mut self.after_cr, ending == b'\r') && ending == b'\n';
            if second_half && piece.is_empty() {
                continue;
            }
            self.line.extend_from_slice(piece);
            let line = std::mem::take(&mut self.line);
            self.end_of_line(&line);
            self.check_size()?;
        }
        if !bytes.is_empty() {
            self.after_cr = false;
            self.line.extend_from_slice(bytes);
        }
        self.check_size()
    }

    /// The next complete event or comment.
    pub(crate) fn next_item(&mut self) -> Option<SseItem> {
        self.items.pop_front()
    }

    fn end_of_line(&mut self, line: &[u8]) {
        let started = std::mem::replace(&mut self.started, true);
        let line = if started { line } else { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) };
        if line.is_empty() {
            let name = self.name.take();
            self.items.extend(self.data.take().map(|data| SseItem::Event { name, data }));
            return;
        }
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"" if self.items.back() != Some(&SseItem::Comment) => self.items.push_back(SseItem::Comment),
            b"event" => self.name = (!value.is_empty()).then(|| value.to_vec()),
            b"data" => match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.data = Some(value.to_vec()),
            },
            _ => {}
        }
    }

    fn check_size(&self) -> Result<(), Error> {
        if self.line.len() + self.data.as_ref().map_or(0, Vec::len) > MAX_EVENT_BYTES {
            return Err(Error::new(code::FRAME_TOO_LARGE, "an event of the stream has no end"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<SseItem> {
        let mut parser = SseParser::default();
        let mut items = Vec::new();
        for piece in pieces {
            parser.push(piece).unwrap();
            items.extend(std::iter::from_fn(|| parser.next_item()));
        }
        items
    }

    fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let data = |item| match item {
            SseItem::Event { data, .. } => Some(String::from_utf8(data).unwrap()),
            SseItem::Comment => None,
        };
        items(pieces).into_iter().filter_map(data).collect()
    }

    #[test]
    fn events_have_names_and_comments_are_told() {
        let event = |name: Option<&str>, data: &str| SseItem::Event {
            name: name.map(|name| name.as_bytes().to_vec()),
            data: data.as_bytes().to_vec(),
        };
        let stream =
            b": keepalive\n\nevent: record.created\ndata: 1\n\ndata: 2\n\nevent: lost\n\nevent:\ndata: 3\n\n";
        let expected =
            [SseItem::Comment, event(Some("record.created"), "1"), event(None, "2"), event(None, "3")];
        assert_eq!(items([&stream[..]]), expected);
    }

    const STREAM: &[u8] = "\u{feff}: hello\ndata: one\n\nevent: frame\r\nid: 7\r\ndata: {\"a\":1}\r\ndata:two\r\n\r\n: keepalive\n\ndata\rdata:  ü\r\rretry: 5\n\ndata: never ends".as_bytes();
    const EVENTS: [&str; 3] = ["one", "{\"a\":1}\ntwo", "\n ü"];

    #[test]
    fn events_are_their_data_lines_whatever_the_line_ending() {
        assert_eq!(parse([STREAM]), EVENTS);
    }

    #[test]
    fn it_does_not_matter_where_the_pieces_are_cut() {
        for cut in 0..=STREAM.len() {
            assert_eq!(parse([&STREAM[..cut], &STREAM[cut..]]), EVENTS, "cut at {cut}");
        }
        assert_eq!(parse(STREAM.chunks(1)), EVENTS);
    }

    #[test]
    fn comments_and_other_fields_make_no_events() {
        assert_eq!(parse([&b": a\n\n:\n\nevent: x\n\nid\n\nretry: 1\n\n\n\n"[..]]), Vec::<String>::new());
    }

    #[test]
    fn an_empty_data_line_is_an_event() {
        assert_eq!(parse([&b"data:\n\n"[..]]), [""]);
        assert_eq!(parse([&b"data: a\ndata:\n\n"[..]]), ["a\n"]);
    }

    #[test]
    fn fields_are_told_by_their_whole_name() {
        assert_eq!(parse([&b"data2: x\ndat: y\n data: z\n\n"[..]]), Vec::<String>::new());
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut parser = SseParser::default();
        let mega = [b'x'; 1024 * 1024];
        parser.push(b"data: ").unwrap();
        let refused = (0..70).find_map(|_| parser.push(&mega).err()).unwrap();
        assert_eq!(refused.code(), code::FRAME_TOO_LARGE);
    }
}
