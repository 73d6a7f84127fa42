//! The head of the frame that comes most often, `changes`, read without serde where it stands as servers write it: a third
//! of what one changed row costs would be that line, and most of it the comparing of names.
//!
//! Whatever is written in another way, or says more than that rows come and go and that writes were applied, is left to
//! serde. So nothing has to be understood here, and nothing is refused here.

use crate::id::{ClientId, SpaceId};
use crate::wire::{Ack, Changes, Part, SubId};

/// The message of this line; `None` where serde is to read it.
pub(super) fn changes(line: &[u8]) -> Option<Changes> {
    let mut line = Line(line);
    line.skip(br#"{"changes":{"space":"#)?;
    let space = SpaceId::from(line.text()?);
    line.skip(br#","from":"#)?;
    let from = line.number()?;
    line.skip(br#","to":"#)?;
    let mut changes = Changes::new(space, from, line.number()?);
    if line.has(br#","parts":"#) {
        changes.parts = line.list(Line::part)?;
    }
    if line.has(br#","acks":"#) {
        changes.acks = line.list(Line::ack)?;
    }
    line.skip(b"}}")?;
    line.0.is_empty().then_some(changes)
}

/// What is left of the line.
struct Line<'a>(&'a [u8]);

impl<'a> Line<'a> {
    fn has(&mut self, token: &[u8]) -> bool {
        let rest = self.0.strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn skip(&mut self, token: &[u8]) -> Option<()> {
        self.has(token).then_some(())
    }

    fn part(&mut self) -> Option<Part> {
        self.skip(br#"{"sub":"#)?;
        let mut part = Part { sub: SubId::try_from(self.number()?).ok()?, ..Part::default() };
        if self.has(br#","put":"#) {
            part.put = self.list(|line| usize::try_from(line.number()?).ok())?;
        }
        if self.has(br#","del":"#) {
            part.del = self.list(|line| line.text().map(Box::from))?;
        }
        self.skip(b"}")?;
        Some(part)
    }

    fn ack(&mut self) -> Option<Ack> {
        self.skip(br#"{"client":"#)?;
        let client = ClientId::from(self.text()?);
        self.skip(br#","id":"#)?;
        let id = self.number()?;
        self.skip(b"}")?;
        Some(Ack { client, id, error: None, expected: None, output: None, uncounted: false })
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.skip(b"[")?;
        let mut list = Vec::new();
        if self.has(b"]") {
            return Some(list);
        }
        // most often there is one
        list.reserve_exact(1);
        loop {
            list.push(item(self)?);
            if self.has(b"]") {
                return Some(list);
            }
            self.skip(b",")?;
        }
    }

    /// A text without escapes.
    fn text(&mut self) -> Option<&'a str> {
        self.skip(b"\"")?;
        let end = self.0.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest;
        self.skip(b"\"")?;
        std::str::from_utf8(text).ok()
    }

    /// A whole number as JSON has it: without a sign, and without a zero before it.
    fn number(&mut self) -> Option<u64> {
        let end = self.0.iter().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at(end);
        if digits.is_empty() || (digits.len() > 1 && digits.starts_with(b"0")) {
            return None;
        }
        self.0 = rest;
        let digit = |number: u64, &digit: &u8| number.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
        digits.iter().try_fold(0, digit)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics where it fails")]

    use proptest::prelude::*;

    use super::*;
    use crate::error::{Error, code};
    use crate::wire::{Count, RelatedPart, ServerMessage};

    fn by_serde(line: &[u8]) -> Option<String> {
        match serde_json::from_slice(line) {
            Ok(ServerMessage::Changes(changes)) => Some(format!("{changes:?}")),
            _ => None,
        }
    }

    fn written(changes: Changes) -> Vec<u8> {
        serde_json::to_vec(&ServerMessage::Changes(changes)).unwrap()
    }

    #[test]
    fn what_servers_write_most_is_read_here() {
        let mut plain = Changes::new("list-42".into(), 41, u64::MAX);
        assert!(changes(&written(plain.clone())).is_some());
        let del = vec!["a".into(), "ä \u{1f600}".into()];
        plain.parts = vec![Part { sub: 1, put: vec![0, 12], del, ..Part::default() }, Part::default()];
        let client = ClientId::from("client-1");
        plain.acks = vec![Ack { client, id: 7, error: None, expected: None, output: None, uncounted: false }];
        let line = written(plain);
        assert_eq!(changes(&line).map(|read| format!("{read:?}")), by_serde(&line));
    }

    #[test]
    fn what_says_more_is_left_to_serde() {
        let plain = Changes::new("list-42".into(), 41, 42);
        let related = vec![RelatedPart { relation: 0, put: vec![0], del: Vec::new() }];
        let counts = vec![Count { relation: 0, parent: "a".into(), n: 3 }];
        for part in [Part { related, ..Part::default() }, Part { counts, ..Part::default() }] {
            assert!(changes(&written(Changes { parts: vec![part], ..plain.clone() })).is_none());
        }
        let error = Some(Error::new(code::FORBIDDEN, "no"));
        let ack =
            Ack { client: "client-1".into(), id: 7, error, expected: None, output: None, uncounted: false };
        assert!(changes(&written(Changes { acks: vec![ack], ..plain.clone() })).is_none());
        let part = Part { del: vec!["a\"b".into()], ..Part::default() };
        assert!(changes(&written(Changes { parts: vec![part], ..plain })).is_none());
    }

    #[test]
    fn what_is_not_json_is_left_to_serde() {
        for line in [
            r#"{"changes":{"space":"s","from":01,"to":2}}"#,
            r#"{"changes":{"space":"s","from":,"to":2}}"#,
            r#"{"changes":{"space":"s","from":1,"to":18446744073709551616}}"#,
            r#"{"changes":{"space":"s","from":1,"to":2}} "#,
            r#"{"changes":{"space":"s","from":1,"to":2,"parts":[,]}}"#,
            r#"{"changes":{"space":"s","from":1,"to":2,"parts":[{"sub":4294967296}]}}"#,
            r#"{"changes":{"space":"s","from":1"#,
        ] {
            assert!(changes(line.as_bytes()).is_none(), "{line}");
        }
    }

    proptest! {
        /// Whatever is read here is what serde reads.
        #[test]
        fn both_ways_read_the_same(line in r#"\{"changes":\{"space":"[a-zé\\"]{0,2}","from":[0-9.e-]{0,3},"to":[0-9]{1,20}(,"parts":\[(\{"sub":[0-9]{1,11}(,"put":\[[0-9,]{0,4}\])?(,"del":\["[a\\n]{0,3}"\])?\},?){0,3}\])?(,"acks":\[\{"client":"[ab\\]{0,3}","id":[0-9]{1,2}\}?\])?\}{1,3}"#) {
            if let Some(read) = changes(line.as_bytes()) {
                prop_assert_eq!(Some(format!("{read:?}")), by_serde(line.as_bytes()));
            }
        }
    }
}
