//! Channels of a room, and the queries that look at them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use syncline_core::client::ClientCore;
use syncline_core::{Channel, Draft, Error, Field, FieldDef, Query, Record, ScalarRef};

use crate::rig::{Rig, Todo, Todos, all, create, gone, list, row};

/// A record whose rows come as objects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    #[serde(default)]
    pub(crate) deleted_at: Option<i64>,
}

impl Note {
    const TEXT: Field<Self, String> = Field::new(1);
}

impl Record for Note {
    const COLLECTION: &'static str = "note";
    const FIELDS: &'static [FieldDef] = &[
        FieldDef { name: "id", queryable: true, aliases: &[] },
        FieldDef { name: "text", queryable: true, aliases: &[] },
        FieldDef { name: "created_at", queryable: true, aliases: &[] },
        FieldDef { name: "updated_at", queryable: true, aliases: &[] },
        FieldDef { name: "deleted_at", queryable: false, aliases: &[] },
    ];
    const KEY_FIELD: &'static str = "id";

    fn key(&self) -> &str {
        &self.id
    }

    fn field(&self, index: usize) -> ScalarRef<'_> {
        match index {
            0 => ScalarRef::Text(&self.id),
            1 => ScalarRef::Text(&self.text),
            2 => ScalarRef::Int(self.created_at),
            3 => ScalarRef::Int(self.updated_at),
            _ => ScalarRef::Null,
        }
    }
}

/// A channel whose output is nothing.
pub(crate) struct Notes;

impl Channel for Notes {
    const NAME: &'static str = "notes";
    type Record = Note;
    type Action = String;
    type Output = ();
    type Error = Error;

    fn reduce(_: &mut Draft<'_, Note>, _: &String) {}
}

fn notes(core: &ClientCore, watch: syncline_core::client::WatchId) -> Vec<String> {
    core.entries::<Note>(watch).iter().map(|entry| entry.record.text.clone()).collect()
}

#[test]
fn channels_and_queries_of_a_room_share_one_socket() {
    let mut rig = Rig::new();
    rig.core.register_channel::<Notes>();
    let all_todos = rig.watch(&all());
    let open_todos = rig.watch(&all().filter(Todo::completed.eq(0)));
    let again = rig.watch(&all());
    let all_notes = rig.core.watch(rig.now, &Note::in_space("list"));
    let socket = rig.join();
    let mut syncs = rig.syncs();
    syncs.sort();
    assert_eq!(syncs, ["notes", "todos"]);
    rig.say(&socket, json!({"sync": true, "channel": "notes", "payload": [["n", "hi", 1, 1, null]]}));
    assert_eq!((rig.status(all_notes), rig.status(all_todos)), ("live", "snapshot"));
    let payload = [row("a", "one", 1_000), json!(["b", "two", 1, 1, 1, null])];
    rig.say(&socket, json!({"sync": true, "channel": "todos", "payload": payload}));
    assert_eq!(
        (rig.shown(all_todos), rig.shown(again)),
        (vec!["a".into(), "b".into()], vec!["a".into(), "b".into()])
    );
    assert_eq!((rig.shown(open_todos), notes(&rig.core, all_notes)), (vec!["a".into()], vec!["hi".into()]));
    // what concerns one leaves the other alone
    rig.delete_all(&socket);
    assert_eq!((rig.shown(all_todos).len(), notes(&rig.core, all_notes).len()), (0, 1));
    // whoever comes later gets what is there, without a question
    let more = rig.watch(&all().limit(1).order_by(Todo::text));
    assert_eq!((rig.status(more), rig.sent().len(), rig.open.len()), ("live", 0, 1));
}

#[test]
fn filter_order_and_limit_are_seen_to_here() {
    let mut rig = Rig::new();
    let first = rig.watch(&all().filter(Todo::completed.eq(0)).order_by(Todo::text.desc()).limit(2));
    let socket = rig.join();
    rig.answer_sync(&socket, &[row("a", "1", 1), row("b", "3", 1), row("c", "2", 1)]);
    assert_eq!(rig.texts(first), ["3", "2"]);
    rig.update(&socket, &[row("d", "4", 2)]);
    assert_eq!(rig.texts(first), ["4", "3"]);
    // a window: what leaves it is replaced by the next one
    rig.update(&socket, &[gone("d", "4", 2, 3), json!(["b", "3", 1, 1, 3, null])]);
    assert_eq!(rig.texts(first), ["2", "1"]);
    rig.update(&socket, &[row("b", "0", 4)]);
    assert_eq!(rig.texts(first), ["2", "1"]);
    rig.delete_all(&socket);
    assert!(rig.texts(first).is_empty());
}

#[test]
fn rows_may_be_objects() {
    let mut rig = Rig::new();
    rig.core.register_channel::<Notes>();
    let watch = rig.core.watch(rig.now, &Note::in_space("list").order_by(Note::TEXT));
    rig.drain();
    let socket = rig.join();
    let note =
        |id: &str, text: &str, at: &str| json!({"id": id, "text": text, "created_at": 1, "updated_at": at});
    let (a, b) = (note("a", "one", "2026-11-20 08:57:01"), note("b", "two", "2026-11-20 08:57:02"));
    rig.say(&socket, json!({"sync": true, "channel": "notes", "payload": [a, b]}));
    assert_eq!(notes(&rig.core, watch), ["one", "two"]);
    assert_eq!(rig.core.entries::<Note>(watch)[0].record.updated_at, 1_795_165_021_000);
    let mut changed = note("a", "zwei", "2026-11-20 08:57:03");
    let update = |row| json!({"broadcast": true, "type": "update", "channel": "notes", "payload": [row]});
    rig.say(&socket, update(changed.clone()));
    assert_eq!(notes(&rig.core, watch), ["two", "zwei"]);
    changed["deleted_at"] = json!("2026-11-20 08:57:04");
    rig.say(&socket, update(changed));
    // an older state does not bring it back
    rig.say(&socket, update(note("a", "one", "2026-11-20 08:57:02")));
    assert_eq!(notes(&rig.core, watch), ["two"]);
}

#[test]
fn a_watch_waits_for_its_channel_to_become_known() {
    let mut rig = Rig::new();
    let watch = rig.core.watch(rig.now, &Note::in_space("list"));
    rig.drain();
    assert_eq!((rig.status(watch), rig.error_of(watch).as_deref()), ("failed", Some("unknown_channel")));
    assert!(rig.asks_nothing());
    assert_eq!(rig.core.deadline(), None);
    rig.core.register_channel::<Notes>();
    assert_eq!(rig.wait_for_deadline(), Duration::ZERO);
    let socket = rig.join();
    assert_eq!((rig.syncs(), rig.status(watch)), (vec!["notes".into()], "snapshot"));
    rig.say(&socket, json!({"sync": true, "channel": "notes", "payload": []}));
    assert_eq!((rig.status(watch), rig.error_of(watch)), ("live", None));
}

/// Another channel with the same rows.
struct Others;

impl Channel for Others {
    const NAME: &'static str = "others";
    type Record = Todo;
    type Action = String;
    type Output = ();
    type Error = Error;

    fn reduce(_: &mut Draft<'_, Todo>, _: &String) {}
}

#[test]
fn what_a_room_cannot_answer_is_refused() {
    let mut rig = Rig::new();
    let refused = |rig: &mut Rig, query: &Query<Todo>| {
        let watch = rig.watch(query);
        (rig.status(watch), rig.error_of(watch).unwrap())
    };
    let with_children = all().include(Todo::text.children());
    assert_eq!(refused(&mut rig, &with_children), ("failed", "bad_query".into()));
    for room in ["..", "größe", ""] {
        assert_eq!(refused(&mut rig, &Todo::in_space(room)), ("failed", "unknown_space".into()));
        let refused = rig.core.send_action::<Todos>(rig.now, &room.into(), create("a")).unwrap_err();
        assert_eq!(refused.code(), "unknown_space");
    }
    // whose rows would these be
    rig.core.register_channel::<Others>();
    assert_eq!(refused(&mut rig, &all()), ("failed", "bad_query".into()));
    assert!(rig.asks_nothing());
}

#[test]
fn a_channel_is_left_a_while_after_its_last_query() {
    let mut rig = Rig::new();
    rig.core.register_channel::<Notes>();
    let todos = rig.watch(&all());
    let all_notes = rig.core.watch(rig.now, &Note::in_space("list"));
    rig.drain();
    let socket = rig.join();
    rig.syncs();
    rig.say(&socket, json!({"sync": true, "channel": "todos", "payload": [row("a", "one", 1_000)]}));
    rig.say(&socket, json!({"sync": true, "channel": "notes", "payload": [["n", "hi", 1, 1, null]]}));
    rig.core.unwatch(rig.now, all_notes);
    rig.wait(Duration::from_secs(1));
    // somebody else comes in time: the rows are there at once
    let again = rig.core.watch(rig.now, &Note::in_space("list").limit(5));
    rig.drain();
    assert_eq!((rig.status(again), notes(&rig.core, again).len(), rig.sent().len()), ("live", 1, 0));
    rig.core.unwatch(rig.now, again);
    rig.wait(Duration::from_secs(2));
    // and nobody is told of it any more
    rig.say(
        &socket,
        json!({"broadcast": true, "type": "update", "channel": "notes", "payload": [["m", "x", 1, 1, null]]}),
    );
    let late = rig.core.watch(rig.now, &Note::in_space("list"));
    rig.drain();
    assert_eq!((rig.syncs(), notes(&rig.core, late).len()), (vec!["notes".into()], 0));
    rig.core.unwatch(rig.now, late);
    rig.core.unwatch(rig.now, todos);
    rig.drain();
    assert_eq!((rig.open.len(), rig.wait_for_deadline().as_secs()), (1, 2));
    assert_eq!((rig.open.len(), rig.core.deadline()), (0, None));
    assert_eq!(rig.core.connection().status.as_str(), "idle");
}

#[test]
fn a_stopped_watch_keeps_its_rows_and_starts_again() {
    let (mut rig, _, watch) = Rig::live(&[row("a", "one", 1_000), row("b", "two", 1_000)]);
    rig.core.stop(rig.now, watch);
    rig.drain();
    rig.wait_for_deadline();
    assert_eq!((rig.open.len(), rig.status(watch), rig.shown(watch).len()), (0, "closed", 2));
    rig.core.start(rig.now, watch);
    rig.drain();
    let socket = rig.join();
    assert_eq!(rig.shown(watch), ["a", "b"]);
    rig.answer_sync(&socket, &[row("b", "two", 1_000)]);
    assert_eq!((rig.status(watch), rig.shown(watch)), ("live", vec!["b".into()]));
    // as does one that nobody had to ask for again
    rig.core.stop(rig.now, watch);
    rig.update(&socket, &[row("c", "three", 2_000)]);
    rig.core.start(rig.now, watch);
    rig.drain();
    assert_eq!(
        (rig.status(watch), rig.shown(watch), rig.sent().len()),
        ("live", vec!["b".into(), "c".into()], 0)
    );
    let _ = list();
}
