//! What clients are told, as text.

use serde_json::value::RawValue;
use serde_json::{Value, json};
use syncline_core::Error;

/// A reply to a sync is sent as it is made: this is how it begins, rows follow with commas between them, and it ends with
/// [`SYNC_END`].
pub(super) fn sync_begin(channel: &str) -> String {
    format!(r#"{{"sync":true,"channel":{},"payload":["#, text(channel))
}

pub(super) const SYNC_END: &str = "]}";

pub(super) fn success(channel: &str, id: &RawValue, rows: &[String]) -> String {
    let (channel, id, rows) = (text(channel), id.get(), rows.join(","));
    format!(r#"{{"type":"success","rpc":true,"channel":{channel},"id":{id},"result":[{rows}]}}"#)
}

pub(super) fn update(channel: &str, rows: &[String]) -> String {
    let (channel, rows) = (text(channel), rows.join(","));
    format!(r#"{{"broadcast":true,"type":"update","channel":{channel},"payload":[{rows}]}}"#)
}

pub(super) fn delete_all(channel: &str) -> String {
    format!(r#"{{"broadcast":true,"type":"delete-all","channel":{}}}"#, text(channel))
}

/// The error's sentence, as partysync has it, and beside it what that does not have: the code, the action, and the
/// handler's own error.
pub(super) fn call_error(channel: &str, id: &RawValue, error: &Error) -> String {
    let (channel, id) = (text(channel), id.get());
    let (message, code) = (text(error.message()), text(error.code()));
    let field = error.field().map(|field| format!(r#","field":{}"#, text(field))).unwrap_or_default();
    let data = error.data().map(|data| format!(r#","data":{data}"#)).unwrap_or_default();
    format!(
        r#"{{"type":"error","rpc":true,"channel":{channel},"id":{id},"error":[{message}],"code":{code}{field}{data}}}"#
    )
}

pub(super) fn sync_error(channel: &str, error: &Error) -> String {
    json!({ "type": "error", "sync": true, "channel": channel, "error": [error.message()], "code": error.code() })
        .to_string()
}

pub(super) fn exception(why: &str) -> String {
    json!({ "type": "exception", "rpc": true, "exception": [why] }).to_string()
}

fn text(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_read_as_partysyncs_do() {
        let id = RawValue::from_string(r#""r1""#.into()).unwrap();
        let rows = [r#"["t1",1]"#.to_owned(), r#"["t2",2]"#.to_owned()];
        assert_eq!(
            success("todos", &id, &rows),
            r#"{"type":"success","rpc":true,"channel":"todos","id":"r1","result":[["t1",1],["t2",2]]}"#
        );
        assert_eq!(
            update("todos", &rows[..1]),
            r#"{"broadcast":true,"type":"update","channel":"todos","payload":[["t1",1]]}"#
        );
        assert_eq!(
            update("todos", &[]),
            r#"{"broadcast":true,"type":"update","channel":"todos","payload":[]}"#
        );
        assert_eq!(delete_all("todos"), r#"{"broadcast":true,"type":"delete-all","channel":"todos"}"#);
        assert_eq!(sync_begin("todos") + SYNC_END, r#"{"sync":true,"channel":"todos","payload":[]}"#);
        let error = Error::new("gone", "id is required");
        assert_eq!(
            call_error("todos", &id, &error),
            r#"{"type":"error","rpc":true,"channel":"todos","id":"r1","error":["id is required"],"code":"gone"}"#
        );
        let error = error.with_field("todos/delete").with_data(json!({ "Gone": "x" }));
        assert_eq!(
            call_error("todos", &id, &error),
            r#"{"type":"error","rpc":true,"channel":"todos","id":"r1","error":["id is required"],"code":"gone","field":"todos/delete","data":{"Gone":"x"}}"#
        );
    }
}
