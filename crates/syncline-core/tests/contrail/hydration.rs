//! Records with their children.

use serde_json::{Value, json};
use syncline_core::client::contrail::record_uri;
use syncline_core::client::{TransportPreference, WatchId};
use syncline_core::ops::Put;
use syncline_core::{Query, Record};

use crate::rig::{ALICE, Asked, BOB, Message, NSID, Reaction, Rig, SPACE, live, newest, record};

fn with_reactions() -> Query<Message> {
    newest(SPACE).include(Reaction::subject.children().limit(10).counted())
}

fn parent(rkey: &str, reactions: &[Reaction]) -> Value {
    let mut record = record(rkey, 1);
    record["reactions"] = reactions.iter().map(Reaction::record).collect();
    record["reactionsCount"] = json!(reactions.len());
    record
}

fn added(rig: &mut Rig, stream: &Asked, reaction: &Reaction) {
    let data = json!({"parentUri": reaction.subject, "relation": "reactions", "child": reaction.record()});
    rig.event(stream, "hydration.added", data);
}

fn removed(rig: &mut Rig, stream: &Asked, message: &str, rkey: &str) {
    let parent = record_uri(ALICE, NSID, message);
    let data = json!({"parentUri": parent, "relation": "reactions", "childRkey": rkey, "childDid": ALICE});
    rig.event(stream, "hydration.removed", data);
}

#[test]
fn children_come_with_their_parents_and_one_by_one() {
    let mut rig = Rig::new();
    let watch = rig.watch(&with_reactions());
    let stream = rig.asked();
    assert_eq!(stream.param("hydrateReactions").as_deref(), Some("10"));
    rig.opened(&stream);
    let first = Reaction::to("a", "r1", "👍");
    rig.snapshot(&stream, &[parent("a", &[first]), parent("b", &[])], None);
    assert_eq!(rig.reactions(watch, "a"), ("👍".into(), 1));
    assert_eq!(rig.reactions(watch, "b"), (String::new(), 0));
    added(&mut rig, &stream, &Reaction::to("b", "r2", "🎉"));
    added(&mut rig, &stream, &Reaction::to("a", "r3", "❤"));
    assert_eq!(rig.reactions(watch, "a"), ("👍❤".into(), 2));
    assert_eq!(rig.reactions(watch, "b"), ("🎉".into(), 1));
    // a child that is put again comes again
    added(&mut rig, &stream, &Reaction::to("a", "r3", "💔"));
    assert_eq!(rig.reactions(watch, "a"), ("👍💔".into(), 2));
    removed(&mut rig, &stream, "a", "r1");
    assert_eq!(rig.reactions(watch, "a"), ("💔".into(), 1));
    // a change of the parent says nothing of its children
    rig.created(&stream, live("a", 1));
    assert_eq!(rig.reactions(watch, "a"), ("💔".into(), 1));
}

/// One ticket is good for one query, relations included: whoever mints it has to know them.
#[test]
fn a_ticket_is_asked_for_with_what_is_watched() {
    let mut rig = Rig::with_tickets(|_| {});
    let query = with_reactions().filter(Message::n.eq(3)).limit(2);
    rig.watch(&newest(SPACE));
    rig.watch(&query);
    assert_eq!(rig.requests.len(), 2);
    assert_ne!(rig.requests[0], rig.requests[1]);
    assert_eq!(rig.requests[0].relations, []);
    let relation = rig.requests[1].relations.remove(0);
    let names = [relation.name.as_str(), &relation.collection, &relation.field];
    assert_eq!((names, relation.limit), (["reactions", "reaction", "subject"], 10));
    // what is asked for with the ticket, but for the ticket; and the same for another page
    rig.give_ticket("first");
    rig.give_ticket("second");
    let params = rig.requests[1].params.clone();
    let stream = rig.open[1].clone();
    let address = format!("xrpc/test.rt.message.watchRecords?{params}&ticket=second");
    assert_eq!(stream.call.address.as_str(), address);
    rig.opened(&stream);
    rig.snapshot(&stream, &[parent("a", &[])], Some("c1"));
    assert_eq!(rig.requests[2].params, params);
}

#[test]
fn nothing_that_lets_somebody_in_is_said_of_what_a_ticket_is_for() {
    let mut rig = Rig::with_tickets(|config| {
        config.contrail.as_mut().unwrap().invite = Some("secret".into());
    });
    rig.watch(&with_reactions());
    assert!(!format!("{:?}", rig.requests).contains("secret"));
}

/// Grouped relations carry no group in live events: a child says itself what it is.
#[test]
fn groups_make_no_difference() {
    let mut rig = Rig::new();
    let watch = rig.watch(&with_reactions());
    let stream = rig.asked();
    rig.opened(&stream);
    let (thumb, heart) = (Reaction::to("a", "r1", "👍"), Reaction::to("a", "r2", "❤"));
    let mut grouped = parent("a", &[]);
    grouped["reactions"] = json!({"👍": [thumb.record()], "❤": [heart.record()]});
    grouped["reactionsCount"] = json!(2);
    rig.snapshot(&stream, &[grouped], None);
    added(&mut rig, &stream, &Reaction::to("a", "r3", "🎉"));
    assert_eq!(rig.reactions(watch, "a"), ("👍❤🎉".into(), 3));
}

#[test]
fn children_that_a_fresh_snapshot_lacks_are_gone() {
    let mut rig = Rig::new();
    let watch = rig.watch(&with_reactions());
    let stream = rig.asked();
    rig.opened(&stream);
    let [one, two] = ["r1", "r2"].map(|rkey| Reaction::to("a", rkey, rkey));
    rig.snapshot(&stream, &[parent("a", &[one, two.clone()])], None);
    rig.closed(&stream, None);
    assert_eq!(rig.reactions(watch, "a"), ("r1r2".into(), 2));
    rig.wait_for_deadline();
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[parent("a", &[two])], None);
    assert_eq!(rig.reactions(watch, "a"), ("r2".into(), 1));
}

/// A deleted record takes its children with it; nothing is said of them.
#[test]
fn children_go_with_their_parents() {
    let mut rig = Rig::new();
    let watch = rig.watch(&with_reactions());
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[parent("a", &[Reaction::to("a", "r1", "👍")])], None);
    rig.deleted(&stream, "a");
    assert_eq!(rig.reactions(watch, "a"), (String::new(), 0));
    // and what is said of somebody's children who is not there is let pass
    added(&mut rig, &stream, &Reaction::to("a", "r2", "👍"));
    removed(&mut rig, &stream, "zzz", "r9");
    assert_eq!(rig.reactions(watch, "a"), (String::new(), 0));
}

#[test]
fn a_record_that_was_deleted_meanwhile_comes_back_without_its_old_children() {
    let mut rig = Rig::new();
    let watch = rig.watch(&with_reactions());
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[parent("a", &[Reaction::to("a", "r1", "👍")])], None);
    rig.closed(&stream, None);
    rig.wait_for_deadline();
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[], None);
    rig.created(&stream, live("a", 1));
    assert_eq!(rig.reactions(watch, "a"), (String::new(), 0));
}

/// Two people's children may have the same key.
#[test]
fn a_child_is_told_by_its_author_too() {
    let mut rig = Rig::new();
    let watch = rig.watch(&with_reactions());
    let stream = rig.asked();
    rig.opened(&stream);
    let (mine, mut theirs) = (Reaction::to("a", "r1", "👍"), Reaction::to("a", "r1", "❤"));
    theirs.uri = record_uri(BOB, "app.event.reaction", "r1");
    rig.snapshot(&stream, &[parent("a", &[mine, theirs])], None);
    removed(&mut rig, &stream, "a", "r1");
    assert_eq!(rig.reactions(watch, "a"), ("❤".into(), 1));
}

#[test]
fn a_child_that_is_gone_goes_though_somebody_else_looks_at_it() {
    let mut rig = Rig::new();
    let watch = rig.watch(&with_reactions());
    let stream = rig.asked();
    rig.opened(&stream);
    let first = Reaction::to("a", "r1", "👍");
    rig.snapshot(&stream, &[parent("a", std::slice::from_ref(&first))], None);
    rig.core.watch(rig.now, &Reaction::in_space(SPACE));
    rig.drain();
    let beside = rig.asked();
    rig.opened(&beside);
    let mut alone = first.record();
    alone["value"]["subject"] = json!(first.subject);
    rig.snapshot(&beside, &[alone], None);
    removed(&mut rig, &stream, "a", "r1");
    assert_eq!(rig.reactions(watch, "a"), (String::new(), 0));
}

#[test]
fn an_optimistic_child_shows_under_its_parent_and_settles() {
    let mut rig = Rig::new();
    let watch = rig.watch(&with_reactions());
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[parent("a", &[])], None);
    let mine = Reaction::to("a", "r1", "👍");
    rig.core.add_optimistic(rig.now, &SPACE.into(), Put::new(&mine).unwrap()).unwrap();
    assert_eq!(rig.reactions(watch, "a"), ("👍?".into(), 1));
    added(&mut rig, &stream, &mine);
    assert_eq!(rig.reactions(watch, "a"), ("👍".into(), 1));
}

#[test]
fn a_service_may_call_a_relation_otherwise() {
    let mut rig = Rig::with(|config| {
        let relations = &mut config.contrail.as_mut().unwrap().relations;
        relations.insert("reaction".into(), "emojis".into());
    });
    let watch = rig.watch(&with_reactions());
    let stream = rig.asked();
    assert_eq!(stream.param("hydrateEmojis").as_deref(), Some("10"));
    rig.opened(&stream);
    let mut one = record("a", 1);
    (one["emojis"], one["emojisCount"]) = (json!([Reaction::to("a", "r1", "👍").record()]), json!(7));
    rig.snapshot(&stream, &[one], None);
    assert_eq!(rig.reactions(watch, "a"), ("👍".into(), 7));
}

#[test]
fn a_child_that_cannot_be_read_is_left_out_and_said() {
    let mut rig = Rig::new();
    let watch = rig.watch(&with_reactions());
    let stream = rig.asked();
    rig.opened(&stream);
    let mut strange = Reaction::to("a", "r1", "👍").record();
    strange["value"] = json!({"emoji": 7});
    let mut one = record("a", 1);
    one["reactions"] = json!([strange, Reaction::to("a", "r2", "🎉").record()]);
    rig.snapshot(&stream, &[one], None);
    assert_eq!(rig.reactions(watch, "a").0, "🎉");
    assert_eq!((rig.status(watch), rig.error(watch).as_deref()), ("live", Some("bad_row")));
}

/// Live events ignore what the relation asks for, as they ignore the query.
#[test]
fn live_children_obey_the_limit_and_the_filter() {
    let mut rig = Rig::new();
    let hearts = Reaction::subject.children().filter(Reaction::emoji.eq("❤")).limit(2);
    let watch = rig.watch(&newest(SPACE).include(hearts));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(
        &stream,
        &[parent("a", &[Reaction::to("a", "r5", "❤"), Reaction::to("a", "r0", "👍")])],
        None,
    );
    assert_eq!(rig.reactions(watch, "a").0, "❤");
    for n in 1..=4 {
        added(&mut rig, &stream, &Reaction::to("a", &format!("r{n}"), if n == 2 { "👍" } else { "❤" }));
    }
    let children = rig.core.children::<Reaction>(watch, 0, &record_uri(ALICE, NSID, "a"));
    let keys: Vec<_> = children.iter().map(|child| child.record.uri.rsplit('/').next().unwrap()).collect();
    assert_eq!(keys, ["r1", "r3"]);
    // one that is no heart any more goes
    added(&mut rig, &stream, &Reaction::to("a", "r1", "👍"));
    assert_eq!(rig.reactions(watch, "a").0, "❤");
}

#[test]
fn children_that_are_only_counted_do_not_come() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE).include(Reaction::subject.children().limit(0).counted()));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[parent("a", &[Reaction::to("a", "r1", "❤")])], None);
    added(&mut rig, &stream, &Reaction::to("a", "r2", "❤"));
    assert_eq!(rig.reactions(watch, "a"), (String::new(), 2));
}

/// A service says nothing of the children of a record that has none.
#[test]
fn a_count_that_is_left_out_is_none() {
    let mut rig = Rig::new();
    let watch = rig.watch(&with_reactions());
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[parent("a", &[Reaction::to("a", "r1", "❤")])], None);
    rig.snapshot(&stream, &[record("a", 1)], None);
    assert_eq!(rig.reactions(watch, "a"), (String::new(), 0));
}

/// A child may be said to be gone twice, and without ever having been there.
#[test]
fn what_was_not_there_is_not_counted_down() {
    let mut rig = Rig::new();
    let watch = rig.watch(&with_reactions());
    let stream = rig.asked();
    rig.opened(&stream);
    let [one, two] = ["r1", "r2"].map(|rkey| Reaction::to("a", rkey, rkey));
    rig.snapshot(&stream, &[parent("a", &[one, two])], None);
    for rkey in ["r1", "r1", "never"] {
        removed(&mut rig, &stream, "a", rkey);
    }
    assert_eq!(rig.reactions(watch, "a"), ("r2".into(), 1));
}

#[test]
fn a_record_that_comes_back_into_the_filter_has_its_children() {
    let mut rig = Rig::new();
    let watch = rig.watch(&with_reactions().filter(Message::n.lt(100)));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[parent("a", &[Reaction::to("a", "r1", "❤")])], None);
    let mut changed = live("a", 1);
    changed["value"]["n"] = json!(300);
    rig.created(&stream, changed);
    assert!(rig.shown(watch).is_empty());
    rig.created(&stream, live("a", 1));
    assert_eq!(rig.reactions(watch, "a"), ("❤".into(), 1));
}

/// A watch over a socket, a look on its way, and what it is going to bring: as it was before.
fn looked_at(limit: u32, reactions: &[Reaction]) -> (Rig, WatchId, [Asked; 2], Vec<Value>) {
    let mut rig = Rig::with(|config| config.transport = TransportPreference::WebSocket);
    let query = newest(SPACE).include(Reaction::subject.children().limit(limit).counted());
    let watch = rig.watch(&query);
    let ask = rig.asked();
    let before = vec![parent("a", reactions)];
    rig.handshake(&ask, &before, None, "/socket");
    let socket = rig.asked();
    rig.opened(&socket);
    rig.wait_for_deadline();
    let look = rig.asked();
    (rig, watch, [socket, look], before)
}

/// A look is as of when it was asked for, or a little later.
#[test]
fn a_look_does_not_undo_what_was_told_live_of_children() {
    let [one, two, three, four] = ["1", "2", "3", "4"].map(|n| Reaction::to("a", &format!("r{n}"), n));
    let (mut rig, watch, [socket, look], before) = looked_at(10, &[one.clone(), two.clone()]);
    removed(&mut rig, &socket, "a", "r1");
    added(&mut rig, &socket, &three);
    added(&mut rig, &socket, &Reaction { emoji: "5".into(), ..two });
    added(&mut rig, &socket, &four);
    removed(&mut rig, &socket, "a", "r4");
    rig.handshake(&look, &before, None, "/socket");
    assert_eq!(rig.reactions(watch, "a"), ("53".into(), 2));
    // the next one is newer than all of it
    rig.wait_for_deadline();
    let look = rig.asked();
    rig.handshake(&look, &[parent("a", &[one])], None, "/socket");
    assert_eq!(rig.reactions(watch, "a"), ("1".into(), 1));
}

#[test]
fn a_look_does_not_undo_what_was_told_live_behind_the_limit() {
    let [one, two, three] = ["1", "2", "3"].map(|n| Reaction::to("a", &format!("r{n}"), n));
    // as many as are wanted are there, and one more comes before, or behind them
    for (before, live, shown) in [([&two, &three], &one, "12"), ([&one, &two], &three, "12")] {
        let (mut rig, watch, [socket, look], before) = looked_at(2, &before.map(Clone::clone));
        added(&mut rig, &socket, live);
        assert_eq!(rig.reactions(watch, "a"), (shown.into(), 3));
        rig.handshake(&look, &before, None, "/socket");
        assert_eq!(rig.reactions(watch, "a"), (shown.into(), 3));
    }
    // the same where the look does not name all
    let (mut rig, watch, [socket, look], _) = looked_at(1, &[one.clone(), two]);
    added(&mut rig, &socket, &three);
    assert_eq!(rig.reactions(watch, "a"), ("1".into(), 3));
    let mut before = parent("a", std::slice::from_ref(&one));
    before["reactionsCount"] = json!(2);
    rig.handshake(&look, &[before], None, "/socket");
    assert_eq!(rig.reactions(watch, "a"), ("1".into(), 3));
    // and one that is only counted goes
    let (mut rig, watch, [socket, look], before) = looked_at(0, &[one]);
    removed(&mut rig, &socket, "a", "r1");
    rig.handshake(&look, &before, None, "/socket");
    assert_eq!(rig.reactions(watch, "a"), (String::new(), 0));
}

/// A record of a later page is not known yet when something is told of it, or of its children.
#[test]
fn what_is_told_live_of_a_page_to_come_is_not_lost() {
    let mut rig = Rig::new();
    let watch = rig.watch(&with_reactions());
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[parent("b", &[])], Some("c1"));
    let page = rig.asked();
    added(&mut rig, &stream, &Reaction::to("a", "r2", "2"));
    rig.created(&stream, live("a", 7));
    rig.opened(&page);
    rig.snapshot(&page, &[parent("a", &[Reaction::to("a", "r1", "1")])], None);
    assert_eq!(rig.reactions(watch, "a"), ("12".into(), 2));
    let shown = rig.core.entries::<Message>(watch);
    assert_eq!(shown.iter().filter(|entry| entry.record.n == 7).count(), 1, "as it is now");
}

#[test]
fn a_child_that_a_look_does_not_count_is_counted_when_it_comes_back() {
    let [one, two] = ["1", "2"].map(|n| Reaction::to("a", &format!("r{n}"), n));
    let (mut rig, watch, [socket, look], before) = looked_at(1, &[one]);
    rig.handshake(&look, &before, None, "/socket");
    added(&mut rig, &socket, &two);
    assert_eq!(rig.reactions(watch, "a"), ("1".into(), 2));
    rig.wait_for_deadline();
    let look = rig.asked();
    rig.handshake(&look, &[parent("a", &[])], None, "/socket");
    added(&mut rig, &socket, &two);
    assert_eq!(rig.reactions(watch, "a"), ("2".into(), 1));
}

#[test]
fn a_child_that_is_put_again_is_counted_once_also_where_it_is_not_shown() {
    for limit in [0, 1] {
        let mut rig = Rig::new();
        let watch = rig.watch(&newest(SPACE).include(Reaction::subject.children().limit(limit).counted()));
        let stream = rig.asked();
        rig.opened(&stream);
        rig.snapshot(&stream, &[parent("a", &[Reaction::to("a", "r1", "1")])], None);
        for emoji in ["2", "3", "4"] {
            added(&mut rig, &stream, &Reaction::to("a", "r2", emoji));
        }
        assert_eq!(rig.reactions(watch, "a").1, 2, "at most {limit}");
        // one that comes to stand before another one pushes it out, and that one comes again
        added(&mut rig, &stream, &Reaction::to("a", "r0", "0"));
        added(&mut rig, &stream, &Reaction::to("a", "r1", "1"));
        assert_eq!(rig.reactions(watch, "a").1, 3);
        removed(&mut rig, &stream, "a", "r2");
        added(&mut rig, &stream, &Reaction::to("a", "r2", "5"));
        assert_eq!(rig.reactions(watch, "a").1, 3);
    }
}

#[test]
fn a_record_that_is_made_again_has_other_children() {
    let mut rig = Rig::new();
    let watch = rig.watch(&newest(SPACE).include(Reaction::subject.children().limit(0).counted()));
    let stream = rig.asked();
    rig.opened(&stream);
    rig.snapshot(&stream, &[parent("a", &[])], None);
    added(&mut rig, &stream, &Reaction::to("a", "r1", "1"));
    rig.deleted(&stream, "a");
    rig.created(&stream, live("a", 1));
    added(&mut rig, &stream, &Reaction::to("a", "r1", "1"));
    assert_eq!(rig.reactions(watch, "a"), (String::new(), 1));
}

/// Live, nothing is said of a child's time.
#[test]
fn a_child_that_is_put_again_keeps_its_time() {
    let mut rig = Rig::new();
    let watch = rig.watch(&with_reactions());
    let stream = rig.asked();
    rig.opened(&stream);
    let one = Reaction::to("a", "r1", "1");
    let mut record = parent("a", std::slice::from_ref(&one));
    record["reactions"][0]["time_us"] = json!(1_795_165_400_956_000_i64);
    rig.snapshot(&stream, &[record], None);
    added(&mut rig, &stream, &Reaction { emoji: "2".into(), ..one.clone() });
    let children = rig.core.children::<Reaction>(watch, 0, &one.subject);
    let seen: Vec<_> = children.iter().map(|one| (&*one.record.emoji, one.record.time_us)).collect();
    assert_eq!(seen, [("2", 1_795_165_400_956_000)]);
}
