use std::time::Duration;

use syncline_core::client::Status;
use syncline_core::{Record, RowState, code};
use syncline_testkit::{Faults, for_each_seed};

use crate::model::{HOME, Todo, all_todos, ann_and_bob, ids, todo};

#[test]
fn a_write_that_could_not_be_stored_waits_and_is_stored_when_the_disk_works_again() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        sim.settle();

        sim.fail_disk(true);
        let first = sim.client("a").put(HOME, &todo(1));
        let second = sim.client("a").put(HOME, &todo(2));
        sim.run_for(Duration::from_secs(20));
        assert_eq!((sim.verdict(first), sim.verdict(second)), (None, None));
        assert_eq!(sim.entries(at_a)[0].state, RowState::Pending);
        assert!(ids(&sim, at_b).is_empty());
        assert_eq!(sim.status(at_a), Status::Live);

        sim.fail_disk(false);
        sim.until(|sim| sim.verdict(second).is_some());
        assert_eq!((sim.verdict(first), sim.verdict(second)), (Some(&Ok(1)), Some(&Ok(2))));
        sim.settle();
        assert_eq!(ids(&sim, at_b), ["1", "2"]);
    });
}

#[test]
fn a_disk_that_fails_every_third_commit_loses_and_doubles_nothing() {
    for_each_seed(20, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos());
        sim.set_faults(Faults { disk_failure: 0.3, ..Faults::default() });
        for id in 0..30 {
            sim.client(if id % 2 == 0 { "a" } else { "b" }).put(HOME, &todo(id));
            let wait = sim.rng().duration(Duration::from_millis(300));
            sim.run_for(wait);
        }
        sim.settle();
        assert_eq!(sim.server_version(HOME), 30);
        assert_eq!(sim.server_rows(&all_todos()).len(), 30);
    });
}

#[test]
fn a_space_that_cannot_be_read_fails_its_watch_with_the_reason_and_no_other() {
    for_each_seed(5, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        sim.settle();
        sim.fail_disk_reads(true);
        let elsewhere = sim.client("a").watch(Todo::in_space("elsewhere"));
        sim.until(|sim| sim.watch_state(elsewhere).error.is_some());
        assert_eq!(sim.watch_state(elsewhere).error.unwrap().code(), code::STORAGE);
        assert_eq!(sim.status(at_a), Status::Live);

        sim.fail_disk_reads(false);
        sim.client("a").stop(elsewhere);
        sim.client("a").start(elsewhere);
        sim.until(|sim| sim.status(elsewhere) == Status::Live);
    });
}
