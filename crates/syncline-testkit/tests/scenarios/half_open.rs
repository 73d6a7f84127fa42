use std::time::Duration;

use syncline_core::client::Status;
use syncline_testkit::for_each_seed;

use crate::model::{HOME, all_todos, ann_and_bob, ids, todo};

#[test]
fn a_connection_that_has_died_in_silence_is_found_out_by_the_heartbeat() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        sim.settle();

        sim.client("b").half_open();
        sim.client("a").put(HOME, &todo(1));
        // 30 s to the next heartbeat, 10 s without an answer, a moment to connect
        assert!(sim.until_within(Duration::from_secs(45), |sim| ids(sim, at_b) == ["1"]));
        sim.settle();
    });
}

#[test]
fn a_write_into_the_void_is_sent_again() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        sim.settle();

        sim.client("a").half_open();
        let write = sim.client("a").put(HOME, &todo(1));
        assert_eq!(ids(&sim, at_a), ["1"]);
        // who has asked for an answer does not wait for the heartbeat
        assert!(sim.until_within(Duration::from_secs(15), |sim| sim.verdict(write) == Some(&Ok(1))));
        sim.settle();
        assert_eq!(sim.server_version(HOME), 1);
    });
}

#[test]
fn the_server_does_not_keep_the_silent_ones() {
    for_each_seed(5, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos());
        sim.client("b").watch(all_todos());
        sim.settle();
        assert_eq!(sim.gauges().connections, 2);
        sim.client("b").half_open();
        sim.client("b").leave();
        assert!(sim.until_within(Duration::from_secs(80), |sim| sim.gauges().connections == 1));
        assert_eq!(sim.gauges().subscriptions, 1);
    });
}

#[test]
fn a_long_partition_ends_without_a_stampede() {
    for_each_seed(5, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        sim.settle();
        sim.client("a").partition();
        sim.client("a").put(HOME, &todo(1));
        sim.run_for(Duration::from_secs(600));
        assert_eq!(sim.status(at_a), Status::Reconnecting);
        assert!(sim.attempts_in_the_last_minute("a") <= 6);
        assert_eq!(ids(&sim, at_a), ["1"]);
        sim.client("a").heal();
        assert!(sim.until_within(Duration::from_secs(45), |sim| sim.status(at_a) == Status::Live));
        sim.settle();
        assert_eq!(ids(&sim, at_a), ["1"]);
    });
}
