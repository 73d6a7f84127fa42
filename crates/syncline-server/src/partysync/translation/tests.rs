//! What one channel of a client is told of a frame.

use std::collections::VecDeque;

use syncline_core::QuerySpec;
use syncline_core::record::FieldDef;
use syncline_core::space::{Commit, LogEntry, RowChange};
use syncline_core::wire::Part;

use super::*;
use crate::partysync::history::{Asked, Bounds, Landing};
use crate::partysync::layout::Layout;

const FIELDS: &[FieldDef] = &[FieldDef { name: "id", queryable: true, aliases: &[] }];

fn spoke() -> Spoke {
    let records = |space| QuerySpec {
        space,
        collection: "todos".into(),
        filter: None,
        order: Vec::new(),
        limit: None,
        relations: Vec::new(),
    };
    Spoke { name: "todos", collection: 0, layout: Layout::new(FIELDS, "id"), records, is_open: true }
}

/// One change of one row.
fn history(key: &str) -> History {
    let history = History::new(["todos"].into(), Bounds { versions: 10, keys: 10 });
    history.load(&syncline_core::space::SpaceImage::default());
    let json: std::sync::Arc<[u8]> = format!(r#"{{"id":"{key}"}}"#).as_bytes().into();
    let row = RowChange { collection: "todos", key: key.into(), version: 1, json: Some(json), before: None };
    let logged = LogEntry {
        version: 1,
        client: "client-a".into(),
        write: 1,
        user: "ada".into(),
        at: 5,
        kind: "action".into(),
        touched: vec![("todos".into(), key.into())],
    };
    let commit = Commit {
        id: 1,
        space: "list".into(),
        incarnation: syncline_core::Incarnation(1),
        renews: None,
        from: 0,
        to: 1,
        rows: vec![row],
        log: vec![logged],
        clients: Vec::new(),
        forgotten: Vec::new(),
        jobs: Vec::new(),
        log_floor: 0,
    };
    history.sending(&"client-a".into(), 1, 7, Asked { name: "todos", collection: 0 });
    history.land(&Landing::of(&commit, &["todos"].into()));
    history
}

/// What a client is told of a frame about its only subscription.
fn told(history: &History, changes: &Changes, lines: &[&[u8]]) -> Vec<String> {
    let (spoke, mut pieces) = (spoke(), Vec::new());
    let followed = Followed { sub: 1, is_live: true, is_whole: true, syncs: VecDeque::new() };
    let entries = history.between(changes.from, changes.to);
    let mut channel = Channel {
        number: 0,
        spoke: &spoke,
        followed: &followed,
        changes,
        lines,
        entries: &entries,
        history,
        news: None,
    };
    for (version, entry) in &entries {
        channel.tell(*version, entry, &[], &mut pieces);
    }
    pieces.iter().map(|piece| String::from_utf8(piece.bytes.to_vec()).unwrap()).collect()
}

/// A slow client is answered anew, channel by channel; the one whose turn has not come is not in the frames.
#[test]
fn what_a_client_is_not_told_yet_is_kept_from_nobody_else() {
    let history = history("t1");
    let without = Changes::new("list".into(), 0, 1);
    told(&history, &without, &[]);
    let part = Part { sub: 1, put: vec![0], ..Part::default() };
    let with = Changes { parts: vec![part], ..without };
    let row: &[u8] = br#"{"id":"t1"}"#;
    let update = r#"{"broadcast":true,"type":"update","channel":"todos","payload":[["t1",5,5,null]]}"#;
    assert_eq!(told(&history, &with, &[row]), [update]);
    // and what was made for one is for all
    assert_eq!(told(&history, &Changes { parts: Vec::new(), ..with }, &[]), [update]);
}
