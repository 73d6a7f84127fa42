//! What several lists have in common: the rows.

use serde_json::json;
use syncline_core::Record;

use crate::rig::{Message, Reaction, Rig, SPACE, live, newest, record};

/// Two lists, one of all records and one of those with `n` 3, both live.
fn two_lists() -> (Rig, [syncline_core::client::WatchId; 2], [crate::rig::Asked; 2]) {
    let mut rig = Rig::new();
    let lists = [newest(SPACE), newest(SPACE).filter(Message::n.eq(3))].map(|query| {
        let watch = rig.watch(&query);
        let stream = rig.asked();
        rig.opened(&stream);
        rig.snapshot(&stream, &[record("a", 3)], None);
        (watch, stream)
    });
    let (watches, streams) = (lists.clone().map(|(watch, _)| watch), lists.map(|(_, stream)| stream));
    (rig, watches, streams)
}

/// The rows are shared, the streams are not, and neither waits for the other.
#[test]
fn a_record_that_another_stream_changes_leaves_a_list_that_does_not_want_it() {
    let (mut rig, [all, threes], [first, second]) = two_lists();
    rig.created(&first, live("a", 4));
    assert_eq!((rig.shown(all), rig.shown(threes).len()), (vec!["a".into()], 0));
    // it may be back before its own stream has said anything
    rig.created(&first, live("a", 3));
    assert_eq!(rig.shown(threes), ["a"]);
    // and its own stream, which is late, changes nothing in the end
    rig.created(&second, live("a", 4));
    rig.created(&second, live("a", 3));
    assert_eq!((rig.shown(all), rig.shown(threes)), (vec!["a".into()], vec!["a".into()]));
}

#[test]
fn children_may_be_watched_by_themselves_too() {
    let mut rig = Rig::new();
    let messages = rig.core.watch(rig.now, &newest(SPACE).include(Reaction::subject));
    rig.drain();
    let stream = rig.asked();
    rig.opened(&stream);
    let up = Reaction::to("a", "1", "up");
    let mut message = record("a", 1);
    message["reactions"] = json!([up.record()]);
    rig.snapshot(&stream, &[message], None);
    let reactions = rig.core.watch(rig.now, &Reaction::in_space(SPACE));
    rig.drain();
    let own = rig.asked();
    rig.opened(&own);
    // as a record of its own it has the whole reference
    let mut alone = up.record();
    alone["value"]["subject"] = json!({"uri": up.subject, "cid": "bafy"});
    rig.snapshot(&own, &[alone.clone()], None);
    let rows = rig.core.entries::<Reaction>(reactions);
    assert_eq!((&*rows[0].record, rig.error(reactions)), (&up, None));
    assert_eq!(rig.reactions(messages, "a").0, "up");
    // what is wrong with a row is still said
    alone["value"]["emoji"] = json!({"uri": 7});
    rig.created(&own, alone);
    assert_eq!(rig.error(reactions).as_deref(), Some("bad_row"));
}
