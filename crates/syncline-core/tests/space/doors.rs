//! Writes of people who may not open the space.

use syncline_core::code;
use syncline_core::space::Config;

use crate::channel::Act;
use crate::rig::{Rig, note};
use crate::rules::Rules;

const GUESTS: &str = "guests";
const EVE: &str = "client-eve";

fn verdict(rig: &Rig, conn: u64, client: &str, id: u64) -> Option<Result<(), String>> {
    let verdict = rig.page(conn).verdicts.get(&(GUESTS.to_owned(), client.to_owned(), id))?;
    Some(verdict.clone().map_err(|error| error.code().to_owned()))
}

fn put(rig: &mut Rig, conn: u64, client: &str, id: u64) {
    rig.write_as(conn, GUESTS, client, id, vec![note(&format!("{client}-{id}"), "", 1)]);
}

/// Eve is not let in; Ada is.
fn rig() -> Rig {
    let mut rig = Rig::new();
    Rules::ban("eve", true);
    rig.join(1, "eve");
    rig.join(2, "ada");
    rig
}

fn forbidden() -> Option<Result<(), String>> {
    Some(Err(code::FORBIDDEN.to_owned()))
}

#[test]
fn who_may_not_open_a_space_leaves_nothing_there() {
    let mut rig = rig();
    rig.disk_waits = true;
    for client in 0..300 {
        rig.write_as(1, "closed", &format!("client-{client:04}"), 1, vec![note("a", "", 1)]);
        put(&mut rig, 1, &format!("client-{client:04}"), 1);
    }
    assert!(rig.loads.is_empty() && rig.commits.is_empty(), "nothing is read or stored");
    assert_eq!(rig.engine.gauges().spaces, 0);
    assert_eq!(rig.page(1).verdicts.len(), 600);
    rig.disk_waits = false;
    put(&mut rig, 2, "client-ada", 1);
    put(&mut rig, 1, EVE, 1);
    assert_eq!(verdict(&rig, 1, EVE, 1), forbidden());
    assert_eq!(rig.disk[GUESTS].clients.keys().collect::<Vec<_>>(), ["client-ada"]);
    assert!(!rig.disk.contains_key("closed"));
}

#[test]
fn a_refusal_that_no_account_tells_of_is_not_lost() {
    let mut rig = rig();
    rig.subscribe(1, 1, crate::rig::notes());
    rig.lag(1);
    put(&mut rig, 1, EVE, 1);
    assert_eq!(verdict(&rig, 1, EVE, 1), forbidden());
    rig.catch_up(1);
    put(&mut rig, 2, "client-ada", 1);
    assert_eq!(verdict(&rig, 2, "client-ada", 1), Some(Ok(())));
}

#[test]
fn who_may_not_open_a_space_holds_up_nobody_there() {
    let mut rig = Rig::with(Config { queue_writes: 5, ..Config::default() });
    Rules::ban("eve", true);
    rig.join(1, "eve");
    rig.join(2, "ada");
    rig.disk_waits = true;
    put(&mut rig, 2, "client-ada", 1);
    for client in 0..5 {
        put(&mut rig, 1, &format!("client-{client:04}"), 1);
    }
    put(&mut rig, 2, "client-ada", 2);
    assert!(rig.page(2).not_handled.is_empty());
}

#[test]
fn a_refusal_that_is_not_counted_says_so_and_what_comes_after_it_happens_once() {
    let mut rig = rig();
    put(&mut rig, 1, EVE, 1);
    assert!(rig.page(1).uncounted.contains(&(GUESTS.to_owned(), EVE.to_owned(), 1)));
    Rules::ban("eve", false);
    put(&mut rig, 1, EVE, 2);
    assert_eq!(rig.page(1).not_handled, [(2, code::WRITE_GAP.to_owned(), 1)]);
    put(&mut rig, 1, EVE, 1);
    put(&mut rig, 1, EVE, 1);
    assert_eq!(rig.history[GUESTS], [(EVE.to_owned(), 1)]);
    assert_eq!(rig.disk[GUESTS].version, 1);
}

#[test]
fn what_was_done_before_its_author_was_put_out_is_not_said_to_be_refused() {
    let mut rig = rig();
    Rules::ban("eve", false);
    rig.disk_waits = true;
    put(&mut rig, 1, EVE, 1);
    // while it waits for the space, and for the disk
    for (conn, step) in [(3, Rig::load as fn(&mut Rig)), (4, Rig::commit)] {
        Rules::ban("eve", true);
        rig.join(conn, "eve");
        put(&mut rig, conn, EVE, 1);
        assert_eq!(verdict(&rig, conn, EVE, 1), None);
        Rules::ban("eve", false);
        step(&mut rig);
        rig.disconnect(conn);
    }
    Rules::ban("eve", true);
    rig.join(5, "eve");
    put(&mut rig, 5, EVE, 1);
    put(&mut rig, 5, EVE, 2);
    rig.commit();
    assert_eq!((verdict(&rig, 5, EVE, 1), verdict(&rig, 5, EVE, 2)), (Some(Ok(())), forbidden()));
    rig.act_as(5, GUESTS, EVE, 3, &Act::Count);
    rig.commit();
    let named = rig.page(5).verdicts[&(GUESTS.to_owned(), EVE.to_owned(), 3)].clone().unwrap_err();
    assert_eq!(named.field(), Some("notes/count"));
    assert_eq!(rig.history[GUESTS], [(EVE.to_owned(), 1)]);
    put(&mut rig, 5, "client-ada", 1);
    assert_eq!(verdict(&rig, 5, "client-ada", 1), forbidden(), "somebody else's");
}

#[test]
fn who_is_put_out_while_their_write_waits_is_refused() {
    let mut rig = rig();
    Rules::ban("eve", false);
    rig.disk_waits = true;
    put(&mut rig, 1, EVE, 1);
    put(&mut rig, 2, "client-ada", 1);
    Rules::ban("eve", true);
    rig.rights_changed("eve");
    rig.load();
    rig.commit_all();
    assert_eq!((verdict(&rig, 1, EVE, 1), verdict(&rig, 2, "client-ada", 1)), (forbidden(), Some(Ok(()))));
    // behind a commit that the disk is at work on
    put(&mut rig, 2, "client-ada", 2);
    Rules::ban("eve", false);
    put(&mut rig, 1, EVE, 2);
    put(&mut rig, 1, EVE, 3);
    Rules::ban("eve", true);
    rig.commit_all();
    assert_eq!((verdict(&rig, 1, EVE, 2), verdict(&rig, 1, EVE, 3)), (forbidden(), forbidden()));
    let ada = |id| ("client-ada".to_owned(), id);
    assert_eq!(rig.history[GUESTS], [ada(1), ada(2)]);
}

#[test]
fn who_is_put_out_while_their_action_from_inside_waits_may_do_it_once_they_are_let_in() {
    let mut rig = rig();
    rig.disk_waits = true;
    rig.act_inside(1, GUESTS, Some(("key:1", 1)), &Act::Count);
    Rules::ban("ada", true);
    rig.load();
    let error = rig.acted[&1].clone().unwrap_err();
    assert_eq!((error.code(), error.field()), (code::FORBIDDEN, Some("notes/count")));
    assert!(rig.commits.is_empty());
    Rules::ban("ada", false);
    rig.act_inside(2, GUESTS, Some(("key:1", 1)), &Act::Count);
    rig.commit_all();
    assert!(rig.acted[&2].is_ok());
}
