//! What clients ask for, and the words for what is wrong with it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use syncline_core::wire::check_depth;
use syncline_core::{ClientId, Error, WriteId, code};

use crate::partysync::moment::From;

/// The longest `id` of a request that is answered, in bytes of its JSON.
const MAX_ID_BYTES: usize = 1024;
/// The longest name of a channel that is named in an answer.
const MAX_CHANNEL_BYTES: usize = 256;
/// How deep an action stands in the frame in which it travels to the engine.
const OUTER_DEPTH: usize = 3;

/// What a client asks for.
#[derive(Debug)]
pub(super) enum Request {
    Sync {
        channel: String,
        /// `None` for what is no time.
        from: Option<From>,
    },
    Act(Act),
    /// It is not understood, for this reason.
    Unclear(Cow<'static, str>),
}

/// An action.
#[derive(Debug)]
pub(super) struct Act {
    /// To be answered with.
    pub(super) id: Box<RawValue>,
    pub(super) channel: String,
    pub(super) action: Box<RawValue>,
    /// Whose action it is and which one, where the client counts them.
    pub(super) once: Option<Result<(ClientId, WriteId), Error>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    sync: Option<bool>,
    #[serde(borrow, default)]
    from: Option<&'a RawValue>,
    #[serde(default)]
    rpc: Option<bool>,
    #[serde(borrow, default)]
    action: Option<&'a RawValue>,
    #[serde(default)]
    client: Option<String>,
    #[serde(borrow, default, rename = "actionId")]
    action_id: Option<&'a RawValue>,
}

impl Request {
    /// Reads a message.
    pub(super) fn read(message: &[u8]) -> Self {
        let unclear = |why: &'static str| Self::Unclear(why.into());
        let unparsed = |why: String| {
            // whatever is there instead is quoted in it
            let error = Error::new(code::BAD_FRAME, format!("Failed to parse message: {why}")).shortened();
            Self::Unclear(error.message().to_owned().into())
        };
        if let Err(error) = check_depth(message, 0) {
            return unparsed(error.message().to_owned());
        }
        let message: Message<'_> = match serde_json::from_slice(message) {
            Ok(message) => message,
            Err(error) => return unparsed(error.to_string()),
        };
        let Some(channel) = message.channel else { return unclear("A message names its channel") };
        if channel.len() > MAX_CHANNEL_BYTES {
            return unclear("No channel has so long a name");
        }
        match (message.sync, message.rpc) {
            (Some(true), _) => Self::Sync { channel, from: From::read(message.from) },
            (_, Some(true)) => {
                let Some(id) = message.id.filter(|id| id.get().len() <= MAX_ID_BYTES) else {
                    return unclear("A call has an id, of at most 1 KiB");
                };
                let Some(action) = message.action else { return unclear("A call has an action") };
                if check_depth(action.get().as_bytes(), OUTER_DEPTH).is_err() {
                    return unclear("Failed to parse message: it is nested too deep");
                }
                let once = once(message.client, message.action_id);
                Self::Act(Act { id: id.to_owned(), channel, action: action.to_owned(), once })
            }
            _ => unclear("A message is either `sync` or `rpc`"),
        }
    }
}

fn once(client: Option<String>, action_id: Option<&RawValue>) -> Option<Result<(ClientId, WriteId), Error>> {
    let bad = || {
        Error::new(
            "bad_action_id",
            "an action that is to be done once has a `client` and an `actionId`, which is a number from 1 on",
        )
    };
    match (client, action_id) {
        (None, None) => None,
        (Some(client), Some(id)) => Some(ClientId::checked(&client).and_then(|client| {
            let id = id.get().parse().ok().filter(|&id: &WriteId| id > 0).ok_or_else(bad)?;
            Ok((client, id))
        })),
        _ => Some(Err(bad())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unclear(text: &str) -> String {
        match Request::read(text.as_bytes()) {
            Request::Unclear(why) => why.into_owned(),
            other => panic!("{other:?} of {text}"),
        }
    }

    #[test]
    fn a_sync_and_a_call_are_understood() {
        let Request::Sync { channel, from } =
            Request::read(br#"{"channel":"todos","sync":true,"from":null}"#)
        else {
            panic!()
        };
        assert_eq!((channel.as_str(), from), ("todos", Some(From::Nothing)));
        let text =
            r#"{"id":"r1","channel":"todos","rpc":true,"action":{"type":"clear","payload":null},"more":[1]}"#;
        let Request::Act(act) = Request::read(text.as_bytes()) else { panic!() };
        assert_eq!((act.id.get(), act.channel.as_str()), (r#""r1""#, "todos"));
        assert_eq!(act.action.get(), r#"{"type":"clear","payload":null}"#);
        assert!(act.once.is_none());
    }

    #[test]
    fn a_counted_action_has_both_its_numbers() {
        let once = |more: &str| {
            let text = format!(r#"{{"id":1,"channel":"c","rpc":true,"action":{{}}{more}}}"#);
            match Request::read(text.as_bytes()) {
                Request::Act(act) => act.once,
                other => panic!("{other:?}"),
            }
        };
        let (client, id) = once(r#","client":"client-a","actionId":7"#).unwrap().unwrap();
        assert_eq!((client.as_str(), id), ("client-a", 7));
        for wrong in [
            r#","client":"client-a""#,
            r#","actionId":1"#,
            r#","client":"client-a","actionId":0"#,
            r#","client":"client-a","actionId":"1""#,
            r#","client":"client-a","actionId":-1"#,
            r#","client":"short","actionId":1"#,
            r#","client":"key:ABCDEF","actionId":1"#,
        ] {
            assert!(once(wrong).unwrap().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_understood_is_not_repeated_at_length() {
        let long = "\u{7f}".repeat(1 << 20);
        for text in [format!(r#"{{"channel":"c","sync":"{long}"}}"#), format!(r#"{{"channel":"c","{long}"#)] {
            let why = unclear(&text);
            assert!(why.starts_with("Failed to parse message: ") && why.len() <= 1024, "{} bytes", why.len());
        }
    }

    #[test]
    fn what_is_not_understood_is_said_in_a_sentence() {
        assert!(unclear("{not json").starts_with("Failed to parse message: "));
        assert!(unclear(&"[".repeat(100_000)).starts_with("Failed to parse message: "));
        let deep =
            format!(r#"{{"id":1,"channel":"c","rpc":true,"action":{}{}}}"#, "[".repeat(30), "]".repeat(30));
        assert!(unclear(&deep).starts_with("Failed to parse message: "));
        for text in [
            "[]",
            "null",
            "17",
            r#""sync""#,
            "{}",
            r#"{"channel":"c"}"#,
            r#"{"channel":5,"sync":true}"#,
            r#"{"channel":"c","rpc":true,"action":{}}"#,
            r#"{"channel":"c","rpc":true,"id":"r"}"#,
            r#"{"channel":"c","rpc":"yes","id":"r","action":{}}"#,
            r#"{"sync":true,"from":null}"#,
        ] {
            assert!(!unclear(text).is_empty());
        }
        let long = format!(r#"{{"id":"{}","channel":"c","rpc":true,"action":{{}}}}"#, "x".repeat(2_000));
        assert!(unclear(&long).contains("id"));
    }
}
