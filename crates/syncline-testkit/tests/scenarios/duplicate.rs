use std::time::Duration;

use syncline_testkit::{Direction, Fault, Faults, for_each_seed};

use crate::model::{HOME, all_todos, ann_and_bob, todo};

#[test]
fn a_write_that_arrives_twice_happens_once() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        sim.settle();
        sim.client("a").meddle(Direction::ToServer, "write", Fault::Duplicate);
        sim.client("a").put(HOME, &todo(1));
        let deleted = sim.client("a").delete::<crate::model::Todo>(HOME, "1");
        sim.until(|sim| sim.verdict(deleted).is_some());
        sim.run_for(Duration::from_secs(2));
        // the second copy of the put has come after the delete, and has not brought the row back
        assert!(sim.rows(at_a).is_empty());
        assert_eq!(sim.server_version(HOME), 2);
        sim.settle();
    });
}

#[test]
fn every_frame_twice_makes_no_difference() {
    for_each_seed(20, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        sim.settle();
        sim.set_faults(Faults { duplicate: 1.0, ..Faults::default() });
        for id in 0..20 {
            let author = if id % 2 == 0 { "a" } else { "b" };
            sim.client(author).put(HOME, &todo(id));
            sim.run_for(Duration::from_millis(20));
        }
        sim.settle();
        assert_eq!((sim.rows(at_a).len(), sim.rows(at_b).len()), (20, 20));
        assert_eq!(sim.server_version(HOME), 20);
    });
}
