use std::time::Duration;

use syncline_core::Record;
use syncline_core::client::Status;
use syncline_testkit::{Direction, Sim, for_each_seed};

use crate::model::{HOME, Note, all_todos, app, ids, note, todo};

/// Ann with tokens, Bob with a cookie.
fn with_tokens(seed: u64) -> Sim {
    let mut sim = app(seed).client("b", "bob").build();
    sim.add_client_with("a", "ann", |config| config.has_credentials = true);
    sim
}

#[test]
fn expired_credentials_are_renewed_on_the_open_connection() {
    for_each_seed(10, |seed| {
        let mut sim = with_tokens(seed);
        sim.client("a").credentials_last(Duration::from_secs(20));
        let at_a = sim.client("a").watch(all_todos());
        sim.settle();
        assert_eq!(sim.client("a").credentials_asked(), 1);
        for id in 0..12 {
            sim.client("b").put(HOME, &todo(format!("b{id:02}")));
            sim.client("a").put(HOME, &todo(format!("a{id:02}")));
            sim.run_for(Duration::from_secs(5));
        }
        assert!(sim.client("a").credentials_asked() >= 3);
        assert_eq!(sim.attempts_in_the_last_minute("a"), 0);
        sim.settle();
        assert_eq!(ids(&sim, at_a).len(), 24);
    });
}

#[test]
fn credentials_that_expire_while_new_ones_are_on_their_way_are_not_refused_ones() {
    for_each_seed(10, |seed| {
        let mut sim = with_tokens(seed);
        sim.client("a").credentials_last(Duration::from_secs(20));
        let at_a = sim.client("a").watch(all_todos());
        sim.settle();
        sim.client("a").hold(Direction::ToServer);
        sim.run_until(Duration::from_millis(19_900));
        sim.client("a").refresh_credentials();
        sim.run_for(Duration::from_secs(1));
        sim.client("a").release(Direction::ToServer);
        sim.until(|sim| sim.status(at_a) == Status::Live && sim.connection("a").status == Status::Live);
        assert_eq!(sim.client("a").credentials_asked(), 2);
        sim.settle();
        assert_eq!(sim.attempts_in_the_last_minute("a"), 1);
    });
}

#[test]
fn credentials_that_were_never_answered_and_have_grown_old_are_asked_for_again() {
    for_each_seed(5, |seed| {
        let mut sim = with_tokens(seed);
        sim.client("a").credentials_last(Duration::from_secs(20));
        let at_a = sim.client("a").watch(all_todos());
        sim.settle();
        sim.client("a").hold(Direction::ToServer);
        sim.client("a").refresh_credentials();
        sim.run_for(Duration::from_secs(1));
        sim.client("a").go_offline();
        sim.client("a").release(Direction::ToServer);
        sim.run_for(Duration::from_secs(60));
        sim.client("a").go_online();
        sim.until(|sim| sim.status(at_a) == Status::Live);
        assert_eq!(sim.client("a").credentials_asked(), 3);
    });
}

#[test]
fn revoked_credentials_are_asked_for_again_when_the_next_connection_is_made() {
    for_each_seed(10, |seed| {
        let mut sim = with_tokens(seed);
        let at_a = sim.client("a").watch(all_todos());
        sim.settle();
        sim.client("a").revoke_credentials();
        sim.client("a").cut();
        sim.until(|sim| sim.status(at_a) != Status::Live);
        sim.until(|sim| sim.status(at_a) == Status::Live);
        assert_eq!(sim.client("a").credentials_asked(), 2);
        assert_eq!(sim.attempts_in_the_last_minute("a"), 2);
        sim.settle();
    });
}

#[test]
fn without_credentials_to_be_had_it_says_so_keeps_the_writes_and_goes_on_when_there_are_some() {
    for_each_seed(5, |seed| {
        let mut sim = with_tokens(seed);
        let at_a = sim.client("a").watch(all_todos());
        sim.settle();
        // every token is refused from now on: it has none that is good for longer than no time
        sim.client("a").credentials_last(Duration::ZERO);
        sim.client("a").revoke_credentials();
        sim.client("a").cut();
        sim.until(|sim| sim.status(at_a) == Status::NeedsAuth);
        let write = sim.client("a").put(HOME, &todo(1));
        sim.run_for(Duration::from_secs(300));
        assert_eq!(sim.verdict(write), None);
        assert_eq!(sim.attempts_in_the_last_minute("a"), 0);

        sim.client("a").credentials_last(Duration::from_secs(3600));
        sim.client("a").refresh_credentials();
        sim.settle();
        assert_eq!(sim.verdict(write), Some(&Ok(1)));
    });
}

#[test]
fn an_application_that_fails_to_get_credentials_is_asked_again_later() {
    for_each_seed(5, |seed| {
        let mut sim = with_tokens(seed);
        sim.client("a").fail_credentials(true);
        let at_a = sim.client("a").watch(all_todos());
        sim.run_for(Duration::from_secs(120));
        assert!(sim.client("a").credentials_asked() <= 30);
        sim.client("a").fail_credentials(false);
        sim.settle();
        assert_eq!(sim.status(at_a), Status::Live);
    });
}

#[test]
fn somebody_else_at_the_same_screen_sees_and_sends_nothing_of_the_one_before() {
    for_each_seed(10, |seed| {
        let mut sim = with_tokens(seed);
        sim.client("a").put(HOME, &note("n", "ann", "ann's secret"));
        let at_a = sim.client("a").watch(Note::in_space(HOME));
        sim.settle();
        assert_eq!(sim.rows(at_a).len(), 1);
        sim.client("a").sign_in_as("eve");
        sim.until(|sim| sim.connection("a").user.is_some_and(|user| user.id == *"eve"));
        assert!(sim.rows(at_a).is_empty());
        sim.settle();
        assert!(sim.rows(at_a).is_empty());
        let write = sim.client("a").put(HOME, &note("e", "eve", "mine"));
        sim.settle();
        assert!(sim.verdict(write).unwrap().is_ok());
        assert_eq!(sim.rows(at_a), [note("e", "eve", "mine")]);
    });
}
