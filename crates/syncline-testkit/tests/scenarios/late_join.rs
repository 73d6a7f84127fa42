use syncline_core::client::Status;
use syncline_testkit::for_each_seed;

use crate::model::{HOME, all_todos, ann_and_bob, ids, todo};

#[test]
fn who_comes_later_sees_what_was_there_and_what_follows() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        for id in 1..=5 {
            sim.client("a").put(HOME, &todo(id));
        }
        sim.settle();

        let at_c = sim.add_client("c", "cat").watch(all_todos());
        assert_eq!(sim.status(at_c), Status::Connecting);
        sim.until(|sim| sim.status(at_c) == Status::Live);
        assert_eq!(ids(&sim, at_c), ["1", "2", "3", "4", "5"]);

        sim.client("a").put(HOME, &todo(6));
        sim.until(|sim| sim.rows(at_c).len() == 6);
        sim.settle();
        assert_eq!(sim.rows(at_a), sim.rows(at_c));
    });
}

#[test]
fn who_joins_in_the_middle_of_a_busy_hour_misses_nothing() {
    for_each_seed(20, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos());
        for id in 1..=60 {
            sim.client("a").put(HOME, &todo(id));
            let wait = sim.rng().duration(std::time::Duration::from_millis(8));
            sim.run_for(wait);
            if id == 30 {
                sim.client("b").watch(all_todos());
            }
        }
        // the views are held against the server's storage by every step on the way
        sim.settle();
        assert_eq!(sim.server_rows(&all_todos()).len(), 60);
    });
}
