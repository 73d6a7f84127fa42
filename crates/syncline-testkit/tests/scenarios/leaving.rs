use std::time::Duration;

use syncline_core::client::Status;
use syncline_core::space::Gauges;
use syncline_testkit::for_each_seed;

use crate::model::{HOME, Half, all_todos, ann_and_bob, todo};
use syncline_core::Record;

#[test]
fn after_many_visits_nothing_is_left_on_the_server() {
    for_each_seed(5, |seed| {
        let mut sim = ann_and_bob(seed);
        for round in 0..20 {
            let todos = sim.client("a").watch(all_todos());
            let again = sim.client("a").watch(all_todos());
            let halves = sim.client("a").watch(Half::in_space(format!("space-{round}")));
            let wait = sim.rng().duration(Duration::from_millis(200));
            sim.run_for(wait);
            sim.client("a").put(HOME, &todo(round));
            sim.client("a").unwatch(todos);
            sim.client("a").unwatch(halves);
            let wait = sim.rng().duration(Duration::from_millis(50));
            sim.run_for(wait);
            sim.client("a").unwatch(again);
        }
        sim.settle();
        // the connection lingers for 2 s, spaces stay in memory for 60 s
        sim.run_for(Duration::from_secs(3));
        let gauges = sim.gauges();
        assert_eq!((gauges.connections, gauges.subscriptions), (0, 0));
        sim.run_for(Duration::from_secs(65));
        assert_eq!(sim.gauges(), Gauges::default());
        assert_eq!(sim.connection("a").status, Status::Idle);
    });
}

#[test]
fn equal_queries_share_one_subscription_and_different_ones_one_connection() {
    for_each_seed(3, |seed| {
        let mut sim = ann_and_bob(seed);
        let first = sim.client("a").watch(all_todos());
        sim.client("a").watch(all_todos());
        sim.client("a").watch(all_todos().limit(5));
        sim.client("a").watch(Half::in_space("elsewhere"));
        sim.settle();
        assert_eq!((sim.gauges().connections, sim.gauges().subscriptions), (1, 3));
        sim.client("a").unwatch(first);
        sim.settle();
        assert_eq!(sim.gauges().subscriptions, 3);
    });
}

#[test]
fn a_stopped_watch_keeps_its_rows_and_a_started_one_catches_up() {
    for_each_seed(5, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        sim.client("b").put(HOME, &todo(1));
        sim.settle();
        sim.client("a").stop(at_a);
        sim.client("b").put(HOME, &todo(2));
        sim.settle();
        assert_eq!((sim.rows(at_a).len(), sim.status(at_a)), (1, Status::Closed));
        assert_eq!(sim.gauges().subscriptions, 0);
        sim.client("a").start(at_a);
        sim.settle();
        assert_eq!((sim.rows(at_a).len(), sim.status(at_a)), (2, Status::Live));
    });
}

#[test]
fn a_page_that_is_closed_takes_its_connection_with_it() {
    for_each_seed(3, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos());
        sim.settle();
        sim.client("a").leave();
        sim.settle();
        assert_eq!((sim.gauges().connections, sim.gauges().subscriptions), (0, 0));
    });
}

#[test]
fn writes_without_any_watch_are_sent_and_then_the_connection_ends() {
    for_each_seed(5, |seed| {
        let mut sim = ann_and_bob(seed);
        let write = sim.client("a").put(HOME, &todo(1));
        sim.settle();
        assert_eq!(sim.verdict(write), Some(&Ok(1)));
        sim.run_for(Duration::from_secs(3));
        assert_eq!(sim.gauges().connections, 0);
    });
}
