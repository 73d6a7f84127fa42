//! What is said on a room's socket.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// What a server says. Fields that are not known are of no interest: a server may add to what partysync says.
#[derive(Debug)]
pub(super) enum Frame<'a> {
    /// All rows of a channel, as an answer to [`sync`].
    Sync { channel: Cow<'a, str>, rows: Vec<&'a RawValue> },
    /// Somebody has changed rows, or none.
    Update { channel: Cow<'a, str>, rows: Vec<&'a RawValue> },
    /// Somebody has deleted all rows.
    DeleteAll { channel: Cow<'a, str> },
    /// An action was done.
    Success {
        id: Cow<'a, str>,
        channel: Option<Cow<'a, str>>,
        rows: Vec<&'a RawValue>,
        result: Option<&'a RawValue>,
    },
    /// The rows of a channel are refused, as only servers of Syncline say.
    NoSync { channel: Cow<'a, str>, words: Vec<String>, code: Option<Cow<'a, str>> },
    /// An action was not done. Servers of Syncline have a code for it, and the handler's own error where it was the handler.
    Error { id: Cow<'a, str>, words: Vec<String>, code: Option<Cow<'a, str>>, data: Option<&'a RawValue> },
    /// Something of what was sent could not be read. It is not said what.
    Exception { words: Vec<String> },
    /// Nothing of interest: something that the application says for itself, say.
    Other,
}

type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

impl<'a> Frame<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Self {
        Self::of(bytes).unwrap_or(Self::Other)
    }

    fn of(bytes: &'a [u8]) -> Option<Self> {
        let fields: Fields<'a> = serde_json::from_slice(bytes).ok()?;
        let field = |name: &str| fields.get(name).copied();
        let channel = || text(field("channel")?);
        let kind = field("type").and_then(text);
        let code = || field("code").and_then(text).filter(|code| !code.is_empty());
        if field("sync").is_some_and(|sync| sync.get() == "true") {
            let channel = channel()?;
            return Some(match kind.as_deref() {
                Some("error") => Self::NoSync { channel, words: words(field("error")), code: code() },
                _ => Self::Sync { channel, rows: rows(field("payload"))? },
            });
        }
        Some(match &*kind? {
            "update" => Self::Update { channel: channel()?, rows: rows(field("payload"))? },
            "delete-all" => Self::DeleteAll { channel: channel()? },
            "success" => {
                let result = field("result");
                let rows = rows(result).unwrap_or_default();
                Self::Success { id: text(field("id")?)?, channel: channel(), rows, result }
            }
            "error" => {
                let id = text(field("id")?)?;
                Self::Error { id, words: words(field("error")), code: code(), data: field("data") }
            }
            "exception" => Self::Exception { words: words(field("exception")) },
            _ => Self::Other,
        })
    }
}

fn text(json: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(json.get()).ok().map(|text| text.0)
}

fn rows(json: Option<&RawValue>) -> Option<Vec<&RawValue>> {
    serde_json::from_str(json?.get()).ok()
}

/// What somebody is told of a failure, usually one sentence in a list.
fn words(json: Option<&RawValue>) -> Vec<String> {
    let word = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    match json.and_then(|json| serde_json::from_str(json.get()).ok()) {
        Some(Value::Array(all)) => all.into_iter().map(word).collect(),
        Some(Value::Null) | None => Vec::new(),
        Some(one) => vec![word(one)],
    }
}

/// Asks for all rows of a channel. An answer from a point in time on would be shorter, and lack what was deleted.
pub(super) fn sync(channel: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Sync<'a> {
        channel: &'a str,
        sync: bool,
        from: (),
    }
    // texts and constants can always be written as JSON
    serde_json::to_vec(&Sync { channel, sync: true, from: () }).unwrap_or_default()
}

/// Asks for an action.
pub(super) fn action(id: &str, channel: &str, action: &RawValue) -> Vec<u8> {
    #[derive(Serialize)]
    struct Action<'a> {
        id: &'a str,
        channel: &'a str,
        rpc: bool,
        action: &'a RawValue,
    }
    // what is JSON already can be written as such
    serde_json::to_vec(&Action { id, channel, rpc: true, action }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_looks_as_partysync_has_it() {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert_eq!(text(sync("todos")), r#"{"channel":"todos","sync":true,"from":null}"#);
        let json = RawValue::from_string(r#"{"type":"clear","payload":null}"#.into()).unwrap();
        let expected = r#"{"id":"r1","channel":"todos","rpc":true,"action":{"type":"clear","payload":null}}"#;
        assert_eq!(text(action("r1", "todos", &json)), expected);
    }

    #[test]
    fn odd_frames_say_nothing() {
        for frame in [
            "",
            "hello",
            "[]",
            "null",
            "{}",
            r#"{"type":7}"#,
            r#"{"type":"welcome"}"#,
            r#"{"type":"update","payload":[]}"#,
            r#"{"type":"update","channel":"todos"}"#,
            r#"{"type":"update","channel":"todos","payload":{"rows":[]}}"#,
            r#"{"type":"update","channel":7,"payload":[]}"#,
            r#"{"type":"success","result":[]}"#,
            r#"{"type":"success","id":7,"result":[]}"#,
            r#"{"type":"error","error":["x"]}"#,
            r#"{"sync":true,"payload":[]}"#,
            r#"{"sync":true,"channel":"todos","payload":null}"#,
            r#"{"sync":"true","channel":"todos","payload":[]}"#,
        ] {
            assert!(matches!(Frame::parse(frame.as_bytes()), Frame::Other), "{frame}");
        }
        assert!(matches!(Frame::parse(b"{\"type\":\"upd\xff\"}"), Frame::Other));
    }

    #[test]
    fn failures_may_be_worded_in_several_ways() {
        let said = |frame: &str| match Frame::parse(frame.as_bytes()) {
            Frame::Error { words, .. } | Frame::Exception { words } => words,
            other => panic!("{other:?}"),
        };
        assert_eq!(said(r#"{"type":"error","id":"r1","error":["a","b"]}"#), ["a", "b"]);
        assert_eq!(said(r#"{"type":"error","id":"r1","error":"a"}"#), ["a"]);
        assert_eq!(said(r#"{"type":"exception","exception":[{"message":"a"}]}"#), [r#"{"message":"a"}"#]);
        assert!(said(r#"{"type":"exception"}"#).is_empty());
    }
}
