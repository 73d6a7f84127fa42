//! Actions: what a handler writes is one change, what it gives back reaches whoever asked, and both happen once.

use serde_json::{Value, json};
use syncline_core::channel::ActionError;
use syncline_core::space::{Config, Input};
use syncline_core::wire::{Limits, ServerMessage};
use syncline_core::{Error, code};

use crate::channel::{Act, ActError};
use crate::rig::{Rig, SPACE, note, notes, secrets};

const ADA: &str = "client-ada";

/// Ada acts, Bob watches; there is a note "a" of 1.
fn rig() -> Rig {
    with(Config::default())
}

fn with(config: Config) -> Rig {
    let mut rig = Rig::with(config);
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.subscribe(1, 1, notes());
    rig.subscribe(2, 1, notes());
    rig.act(1, ADA, &Act::Add("a".into(), 1));
    rig.heard(1);
    rig.heard(2);
    rig
}

fn n(rig: &Rig, conn: u64, key: &str) -> i64 {
    rig.page(conn).subs[&1].rows[key]["n"].as_i64().unwrap()
}

fn refusal(rig: &Rig, id: u64) -> Error {
    rig.page(1).verdicts[&(SPACE.to_owned(), ADA.to_owned(), id)].clone().unwrap_err()
}

fn names(rig: &Rig) -> Vec<String> {
    rig.disk[SPACE].jobs.iter().map(|job| format!("{} {}", job.name, job.payload)).collect()
}

#[test]
fn what_a_handler_writes_and_gives_back_come_together_at_one_version() {
    let mut rig = rig();
    rig.act(1, ADA, &Act::Bump("a".into()));
    let heard = rig.heard(1);
    let [ServerMessage::Changes(changes)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((changes.from, changes.to, changes.parts.len()), (1, 2, 1));
    assert_eq!(changes.acks[0].output.as_ref().unwrap().get(), "2");
    assert_eq!((n(&rig, 1, "a"), n(&rig, 2, "a")), (2, 2), "who watches sees it too");
    let entry = rig.disk[SPACE].log.last().unwrap();
    assert_eq!((entry.version, &*entry.kind, entry.client.as_str(), entry.write), (2, "action", ADA, 2));
    assert_eq!(entry.touched, [("notes".to_owned(), "a".to_owned())]);
}

#[test]
fn one_that_gives_nothing_back_says_nothing_of_it() {
    let rig = &mut rig();
    rig.act(1, ADA, &Act::Add("b".into(), 1));
    let heard = rig.heard_text(1);
    assert!(!heard.contains("output"), "{heard}");
    assert_eq!(rig.disk[SPACE].clients[ADA].outputs, []);
}

#[test]
fn one_that_changes_no_row_is_a_version_all_the_same() {
    let mut rig = rig();
    let id = rig.act(1, ADA, &Act::Count);
    assert_eq!((rig.verdict(1, ADA, id), rig.output(1, ADA, id)), (Some(Ok(())), Some("1")));
    let stored = &rig.disk[SPACE];
    assert_eq!((stored.version, stored.clients[ADA].last), (2, id));
    assert_eq!(stored.log[1].touched, []);
    assert_eq!(rig.heard_kinds(2), [""; 0], "there is nothing to tell others");
}

#[test]
fn a_row_that_could_not_be_read_back_is_refused_and_the_one_before_it_stays() {
    let mut rig = rig();
    let kept = |rig: &Rig| rig.disk[SPACE].rows[&("gauges".to_owned(), "g".to_owned())].clone();
    let first = rig.act(1, ADA, &Act::Gauge(1.0, 2.0, 1, 100));
    assert_eq!(rig.verdict(1, ADA, first), Some(Ok(())));
    let before = kept(&rig);
    // NaN is null in JSON, marks that are left out do not come back, and nobody reads what is so deep
    for act in [Act::Gauge(0.0, 0.0, 1, 1), Act::Gauge(1.0, 1.0, 0, 1), Act::Gauge(1.0, 1.0, 1, 130)] {
        let id = rig.act(1, ADA, &act);
        let error = refusal(&rig, id);
        assert_eq!((error.code(), error.field()), (code::BAD_ROW, Some("gauges")), "{act:?}");
        assert_eq!(kept(&rig), before);
    }
    let patch = json!({"ops": [{"patch": ["gauges", "g", {"level": 2.5}]}]});
    rig.say(1, json!({"write": {"space": SPACE, "client": ADA, "id": 6, "kind": "rows", "payload": patch}}));
    assert_eq!(rig.verdict(1, ADA, 6), Some(Ok(())), "it can be changed");
    assert_eq!(rig.disk[SPACE].version, 3);
}

#[test]
fn it_builds_on_the_ones_before_it_in_the_same_commit() {
    let mut rig = rig();
    rig.disk_waits = true;
    let ids = [1, 2, 3].map(|_| rig.act(1, ADA, &Act::Bump("a".into())));
    let last = rig.act(1, ADA, &Act::Count);
    rig.commit();
    assert_eq!(rig.commits.len(), 1);
    rig.commit();
    assert_eq!(ids.map(|id| rig.output(1, ADA, id).unwrap().to_owned()), ["2", "3", "4"]);
    assert_eq!((rig.output(1, ADA, last), n(&rig, 2, "a")), (Some("1"), 4));
}

#[test]
fn the_rules_for_rows_do_not_bind_a_handler_and_who_may_see_a_row_stays_as_it_is() {
    let mut rig = rig();
    rig.subscribe(2, 2, secrets());
    rig.write(1, ADA, vec![note("b", "rude", 1)]);
    assert_eq!(rig.verdict(1, ADA, 2), Some(Err("rude".into())));
    rig.heard(2);
    let id = rig.act(1, ADA, &Act::Rude("cem".into()));
    assert_eq!(rig.verdict(1, ADA, id), Some(Ok(())));
    assert_eq!(rig.stored("secrets"), ["planted"]);
    assert!(!rig.heard_text(2).contains("planted"), "it is Cem's alone");
    assert_eq!(rig.page(2).keys(1), ["a", "rude"]);
}

#[test]
fn a_handler_is_told_who_acts_where_and_when() {
    let mut rig = rig();
    let id = rig.act(1, ADA, &Act::Who);
    assert_eq!(rig.output(1, ADA, id), Some(&*json!(["ada", SPACE, rig.now]).to_string()));
}

#[test]
fn one_that_is_refused_counts_leaves_no_trace_and_is_told_as_it_is() {
    let mut rig = rig();
    let id = rig.act(1, ADA, &Act::Refuse(2));
    let error = refusal(&rig, id);
    assert_eq!(error.to_string(), "There is room for 3. (full: notes/refuse)");
    assert_eq!(ActionError::<ActError>::from(error).refusal(), Some(&ActError::Full { most: 3 }));
    assert_eq!((rig.stored("notes"), names(&rig)), (vec!["a"], vec![]));
    let stored = &rig.disk[SPACE];
    assert_eq!((stored.version, stored.clients[ADA].last), (1, id));
    assert_eq!(rig.heard_kinds(2), [""; 0]);

    rig.crash();
    rig.join(1, "ada");
    rig.act_as(1, SPACE, ADA, id, &Act::Count);
    assert_eq!(rig.verdict(1, ADA, id), Some(Err("full".into())), "asked again, it says the same");
    assert!(refusal(&rig, id).data().is_some());
}

#[test]
fn a_field_that_a_handler_names_itself_stays() {
    let mut rig = rig();
    let id = rig.act(1, ADA, &Act::Bump("z".into()));
    assert_eq!(refusal(&rig, id).to_string(), "It is gone. (gone: z)");
}

#[test]
fn nobody_gets_through_with_what_is_no_action() {
    let mut rig = rig();
    let mut id = 1;
    let mut refused = |rig: &mut Rig, payload: Value| {
        id += 1;
        let write = json!({"space": SPACE, "client": ADA, "id": id, "kind": "action", "payload": payload});
        rig.say(1, json!({ "write": write }));
        let error = refusal(rig, id);
        (error.code().to_owned(), error.field().unwrap_or_default().to_owned())
    };
    let of = |code: &str, field: &str| (code.to_owned(), field.to_owned());
    let action = |channel: &str, action: Value| json!({"channel": channel, "action": action});
    assert_eq!(refused(&mut rig, action("nope", json!("count"))), of(code::UNKNOWN_CHANNEL, "nope/count"));
    let table = "notes; DROP TABLE space";
    let expected = of(code::UNKNOWN_CHANNEL, &format!("{table}/count"));
    assert_eq!(refused(&mut rig, action(table, json!("count"))), expected);
    assert_eq!(refused(&mut rig, action("notes", json!("fly"))), of(code::BAD_ACTION, "notes/fly"));
    assert_eq!(refused(&mut rig, action("notes", json!({"bump": 5}))), of(code::BAD_ACTION, "notes/bump"));
    assert_eq!(refused(&mut rig, action("notes", json!(17))), of(code::BAD_ACTION, "notes"));
    assert_eq!(refused(&mut rig, action("notes", json!("long_key"))), of(code::BAD_KEY, "notes/long_key"));
    assert_eq!(refused(&mut rig, json!({"channel": "notes"})), of(code::BAD_WRITE, "action"));
    assert_eq!(refused(&mut rig, json!("count")).0, code::BAD_WRITE);
    let long = "l".repeat(100_000);
    let (code, field) = refused(&mut rig, action(&long, json!(long)));
    assert_eq!((&*code, field.len() <= 512), (code::UNKNOWN_CHANNEL, true));
    let leave = |jobs: usize| action("notes", json!({ "leave": jobs }));
    assert_eq!(refused(&mut rig, leave(101)), of(code::TOO_MANY, "later"));
    assert_eq!((rig.stored("notes"), names(&rig)), (vec!["a"], vec![]));
    rig.act_as(1, SPACE, ADA, id + 1, &Act::Count);
    assert_eq!(rig.verdict(1, ADA, id + 1), Some(Ok(())), "and the space goes on");
}

#[test]
fn who_may_not_enter_is_told_which_action_they_may_not_do() {
    let mut rig = rig();
    for (space, code) in [("closed", code::FORBIDDEN), ("nowhere", code::UNKNOWN_SPACE)] {
        rig.act_as(1, space, ADA, 1, &Act::Count);
        let verdict = &rig.page(1).verdicts[&(space.to_owned(), ADA.to_owned(), 1)];
        let error = verdict.clone().unwrap_err();
        assert_eq!((error.code(), error.field()), (code, Some("notes/count")));
    }
    assert!(!rig.disk.contains_key("nowhere"));
}

#[test]
fn what_is_stored_there_and_cannot_be_read_stays() {
    let mut rig = rig();
    let stored = rig.disk.get_mut(SPACE).unwrap();
    stored.rows.insert(("notes".into(), "odd".into()), b"{}".to_vec());
    rig.crash();
    rig.join(1, "ada");
    rig.act_as(1, SPACE, ADA, 2, &Act::Add("odd".into(), 1));
    assert_eq!(rig.verdict(1, ADA, 2), Some(Err(code::UNREADABLE_ROW.into())));
    assert_eq!(rig.disk[SPACE].rows[&("notes".to_owned(), "odd".to_owned())], b"{}");
}

#[test]
fn one_whose_acknowledgement_was_lost_happens_once_and_gives_the_same_back() {
    let mut rig = rig();
    rig.disk_waits = true;
    rig.act_as(1, SPACE, ADA, 2, &Act::Bump("a".into()));
    rig.store();
    rig.crash();
    rig.disk_waits = false;
    rig.join(1, "ada");
    rig.act_as(1, SPACE, ADA, 2, &Act::Bump("a".into()));
    assert_eq!((rig.verdict(1, ADA, 2), rig.output(1, ADA, 2)), (Some(Ok(())), Some("2")));
    rig.subscribe(1, 1, notes());
    assert_eq!(n(&rig, 1, "a"), 2);
    assert_eq!(names(&rig), [r#"even ["a",2]"#]);
}

#[test]
fn who_comes_back_is_told_what_their_actions_gave_back() {
    let mut rig = rig();
    rig.act(1, ADA, &Act::Bump("a".into()));
    rig.act(1, ADA, &Act::Refuse(0));
    rig.act(1, ADA, &Act::Count);
    rig.crash();
    rig.join(1, "ada");
    rig.join(2, "bob");
    rig.subscribe(1, 1, notes());
    rig.subscribe(2, 1, notes());
    let told = [1, 2, 3, 4].map(|id| rig.output(1, ADA, id).map(str::to_owned));
    assert_eq!(told, [None, Some("2".into()), None, Some("1".into())]);
    assert_eq!(rig.verdict(1, ADA, 3), Some(Err("full".into())));
    assert!(rig.page(2).outputs.is_empty(), "and nobody else is");
}

#[test]
fn what_a_client_has_heard_of_is_not_kept() {
    let mut rig = rig();
    rig.act(1, ADA, &Act::Count);
    rig.act(1, ADA, &Act::Count);
    let payload = json!({"channel": "notes", "action": "count"});
    let write =
        json!({"space": SPACE, "client": ADA, "id": 4, "settled": 2, "kind": "action", "payload": payload});
    rig.say(1, json!({ "write": write }));
    let kept: Vec<_> = rig.disk[SPACE].clients[ADA].outputs.iter().map(|output| output.id).collect();
    assert_eq!(kept, [3, 4]);
}

#[test]
fn as_many_outputs_are_kept_as_may_be_in_flight_and_a_mebibyte_of_them() {
    let limits = Limits { writes_in_flight: 3, ..Limits::default() };
    let mut rig = with(Config { limits, ..Config::default() });
    let kept = |rig: &Rig| rig.disk[SPACE].clients[ADA].outputs.iter().map(|it| it.id).collect::<Vec<_>>();
    for _ in 0..5 {
        rig.act(1, ADA, &Act::Count);
    }
    assert_eq!(kept(&rig), [4, 5, 6]);

    let mut rig = with(Config::default());
    for _ in 0..5 {
        rig.act(1, ADA, &Act::Say(250 * 1024));
    }
    assert_eq!(kept(&rig), [3, 4, 5, 6]);
    rig.crash();
    rig.join(1, "ada");
    rig.act_as(1, SPACE, ADA, 2, &Act::Count);
    assert_eq!((rig.verdict(1, ADA, 2), rig.output(1, ADA, 2)), (Some(Ok(())), None), "done, and lost");
}

#[test]
fn one_that_gives_back_too_much_is_refused() {
    let mut rig = rig();
    let most = 256 * 1024 - 2;
    let id = rig.act(1, ADA, &Act::Say(most));
    assert_eq!(rig.output(1, ADA, id).map(str::len), Some(most + 2));
    let id = rig.act(1, ADA, &Act::Say(most + 1));
    let error = refusal(&rig, id);
    assert_eq!((error.code(), error.field()), (code::VALUE_TOO_LARGE, Some("notes/say")));
}

#[test]
fn much_that_is_given_back_at_a_time_comes_in_frames_that_fit() {
    let mut rig = rig();
    rig.disk_waits = true;
    let ids = [1, 2, 3, 4, 5, 6, 7, 8].map(|_| rig.act(1, ADA, &Act::Say(200 * 1024)));
    rig.commit_all();
    assert_eq!(rig.page(1).resets, 0);
    assert!(ids.iter().all(|&id| rig.output(1, ADA, id).is_some()));
    assert!(rig.line(1).heard.iter().all(|frame| frame.len() < 600 * 1024));

    // and so does all that is kept, to somebody who comes back
    rig.crash();
    rig.disk_waits = false;
    rig.join(1, "ada");
    rig.subscribe(1, 1, notes());
    assert!(ids[3..].iter().all(|&id| rig.output(1, ADA, id).is_some()));
    assert!(rig.line(1).heard.iter().all(|frame| frame.len() < 300 * 1024));
}

#[test]
fn a_frame_stays_what_it_is_however_an_output_is_laid_out() {
    let mut rig = rig();
    let id = rig.act(1, ADA, &Act::Lines);
    assert_eq!(rig.output(1, ADA, id), Some(r#"{  "a": "\n"}"#));
}

#[test]
fn jobs_are_stored_with_what_was_written_and_have_ids_of_their_own() {
    let mut rig = rig();
    rig.disk_waits = true;
    rig.act(1, ADA, &Act::Leave(2));
    rig.act(1, ADA, &Act::Refuse(2));
    rig.act(1, ADA, &Act::Bump("a".into()));
    rig.commit_all();
    assert_eq!(names(&rig), ["later 0", "later 1", r#"even ["a",2]"#]);
    let stored = &rig.disk[SPACE];
    let ids: Vec<_> = stored.jobs.iter().map(|job| (job.id.version, job.id.index)).collect();
    assert_eq!(ids, [(2, 0), (2, 1), (3, 0)]);
    let job = &stored.jobs[2];
    assert_eq!(Some(job.id.incarnation), stored.incarnation);
    assert_eq!((job.user.as_str(), job.at), ("ada", rig.now));
    assert_eq!(job.id.to_string(), format!("{}-3-0", job.id.incarnation));
}

#[test]
fn what_cannot_be_stored_has_not_happened_and_happens_when_it_is_sent_again() {
    let mut rig = rig();
    rig.disk_waits = true;
    rig.act_as(1, SPACE, ADA, 2, &Act::Bump("a".into()));
    rig.act_inside(7, SPACE, None, &Act::Bump("a".into()));
    rig.fail_commit();
    assert_eq!(rig.page(1).not_handled, [(2, code::STORAGE.to_owned(), 2)]);
    rig.disk_waits = false;
    rig.commit_all();
    assert_eq!((n(&rig, 2, "a"), rig.acted[&7].as_ref().unwrap().1.as_deref()), (2, Some("2")));
    rig.act_as(1, SPACE, ADA, 2, &Act::Bump("a".into()));
    assert_eq!((rig.output(1, ADA, 2), n(&rig, 2, "a")), (Some("3"), 3));
    assert_eq!(names(&rig), [r#"even ["a",2]"#]);
}

#[test]
fn an_action_from_inside_goes_the_same_way() {
    let mut rig = rig();
    rig.act_inside(7, SPACE, None, &Act::Bump("a".into()));
    assert_eq!(rig.acted[&7], Ok((2, Some("2".into()))));
    assert_eq!((n(&rig, 1, "a"), n(&rig, 2, "a")), (2, 2));
    let entry = rig.disk[SPACE].log.last().unwrap();
    assert_eq!((entry.client.as_str(), entry.write, entry.user.as_str()), ("inside", 0, "ada"));
    rig.act_inside(8, SPACE, None, &Act::Bump("a".into()));
    assert_eq!(rig.acted[&8], Ok((3, Some("3".into()))), "and happens as often as it is asked for");
    rig.act_inside(9, SPACE, None, &Act::Refuse(1));
    let error = rig.acted[&9].clone().unwrap_err();
    assert_eq!((error.code(), error.field(), error.data().is_some()), ("full", Some("notes/refuse"), true));
    assert_eq!(rig.disk[SPACE].clients.len(), 1, "nothing is kept of who has no number");
}

#[test]
fn one_from_inside_with_a_number_happens_once_whatever_crashes() {
    let mut rig = rig();
    rig.disk_waits = true;
    rig.act_inside(7, SPACE, Some(("job:1", 1)), &Act::Bump("a".into()));
    rig.store();
    rig.crash();
    rig.disk_waits = false;
    rig.act_inside(8, SPACE, Some(("job:1", 1)), &Act::Bump("a".into()));
    assert_eq!(rig.acted[&8], Ok((2, Some("2".into()))));
    assert!(!rig.acted.contains_key(&7));
    rig.act_inside(9, SPACE, Some(("job:1", 3)), &Act::Bump("a".into()));
    assert_eq!(rig.acted[&9].as_ref().unwrap_err().code(), code::WRITE_GAP);
    rig.act_inside(10, SPACE, Some(("job:1", 0)), &Act::Bump("a".into()));
    assert_eq!(rig.acted[&10].as_ref().unwrap_err().code(), code::BAD_WRITE);
    assert_eq!(rig.disk[SPACE].version, 2);
}

#[test]
fn one_from_inside_waits_for_a_space_that_is_not_in_memory() {
    let mut rig = Rig::new();
    rig.disk_waits = true;
    rig.act_inside(1, "elsewhere", None, &Act::Count);
    rig.act_inside(2, "elsewhere", None, &Act::Count);
    assert!(rig.acted.is_empty());
    rig.fail_load();
    let codes: Vec<_> = rig.acted.values().map(|it| it.as_ref().unwrap_err().code().to_owned()).collect();
    assert_eq!(codes, [code::STORAGE, code::STORAGE]);
    rig.act_inside(3, "elsewhere", None, &Act::Count);
    rig.load();
    rig.commit();
    assert_eq!(rig.acted[&3], Ok((1, Some("0".into()))));
    rig.wait(60_000);
    assert_eq!(rig.engine.gauges().spaces, 0, "it is not held in memory");
}

#[test]
fn one_from_inside_is_refused_by_the_same_bounds_and_doors() {
    let mut rig = Rig::with(Config { queue_writes: 2, ..Config::default() });
    rig.disk_waits = true;
    for call in 1..=3 {
        rig.act_inside(call, SPACE, None, &Act::Count);
    }
    let error = rig.acted[&3].clone().unwrap_err();
    assert_eq!((error.code(), error.field()), (code::TOO_MANY, Some("notes/count")));
    rig.act_inside(4, "closed", Some(("job:1", 1)), &Act::Count);
    rig.act_inside(5, "nowhere", None, &Act::Count);
    rig.act_inside(6, "no such space", None, &Act::Count);
    rig.act_inside(7, SPACE, None, &Act::Add("x".repeat(3_000_000), 1));
    let codes: Vec<_> = (4..=7).map(|call| rig.acted[&call].as_ref().unwrap_err().code()).collect();
    let expected = [code::FORBIDDEN, code::UNKNOWN_SPACE, code::UNKNOWN_SPACE, code::VALUE_TOO_LARGE];
    assert_eq!(codes, expected);
    assert_eq!(rig.loads, [SPACE], "and nothing is loaded for them");
}

#[test]
fn a_server_that_stops_does_what_it_has_taken_in_and_takes_in_nothing_more() {
    let mut rig = Rig::new();
    rig.disk_waits = true;
    rig.act_inside(1, SPACE, None, &Act::Add("a".into(), 1));
    rig.feed(Input::Shutdown);
    rig.act_inside(2, SPACE, None, &Act::Count);
    assert_eq!(rig.acted[&2].as_ref().unwrap_err().code(), code::CONNECTION);
    rig.load();
    rig.commit();
    assert_eq!(rig.acted[&1], Ok((1, None)));
    assert_eq!(rig.engine.gauges().writes_waiting, 0);
}

#[test]
fn what_is_kept_of_refusals_has_a_bound_and_the_newest_are_kept_whole() {
    let mut rig = rig();
    for n in 0..100 {
        rig.act(1, ADA, &Act::Bump(format!("{n}{}", "x".repeat(10_000))));
    }
    let refused = &rig.disk[SPACE].clients[ADA].refused;
    assert_eq!(refused.len(), 100);
    assert!(refused.iter().all(|refusal| refusal.error.code() == "gone"));
    let whole = refused.iter().filter(|refusal| refusal.error.data().is_some()).count();
    assert_eq!((whole, refused[99].error.data().is_some()), (6, true));
    assert!(
        refused.iter().map(|refusal| serde_json::to_vec(refusal).unwrap().len()).sum::<usize>() < 80 * 1024
    );
}

#[test]
fn what_is_kept_of_clients_counts_in_a_batch() {
    let mut rig = rig();
    let client = |n: u64| format!("client-{n:04}");
    for n in 0..12 {
        (1..=4).for_each(|id| rig.act_as(1, SPACE, &client(n), id, &Act::Say(250_000)));
    }
    rig.disk_waits = true;
    rig.act(1, ADA, &Act::Count);
    (0..12).for_each(|n| rig.act_as(1, SPACE, &client(n), 5, &Act::Count));
    rig.commit();
    let clients = rig.commits[0].clients.len();
    assert!((4..=5).contains(&clients), "{clients} of a megabyte each");
    rig.commit_all();
    assert!((0..12).all(|n| rig.verdict(1, &client(n), 5) == Some(Ok(()))));
}
