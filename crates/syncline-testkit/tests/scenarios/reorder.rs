use std::time::Duration;

use syncline_testkit::{Direction, Fault, Faults, for_each_seed};

use crate::model::{HOME, all_todos, ann_and_bob, ids, todo};

#[test]
fn a_write_that_is_overtaken_waits_for_nobody_and_still_comes_first() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos());
        sim.settle();
        sim.client("a").meddle(Direction::ToServer, "write", Fault::Delay(Duration::from_secs(2)));
        let put = sim.client("a").put(HOME, &todo(1));
        let deleted = sim.client("a").delete::<crate::model::Todo>(HOME, "1");
        sim.until(|sim| sim.verdict(deleted).is_some());
        assert_eq!((sim.verdict(put), sim.verdict(deleted)), (Some(&Ok(1)), Some(&Ok(2))));
        sim.run_for(Duration::from_secs(3));
        assert!(sim.server_rows(&all_todos()).is_empty());
        sim.settle();
    });
}

#[test]
fn a_change_that_is_overtaken_is_never_shown_out_of_order() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        sim.settle();
        sim.always("the second todo is never seen without the first", move |sim| {
            let ids = ids(sim, at_b);
            if ids == ["2"] { Err(format!("{ids:?}")) } else { Ok(()) }
        });
        sim.client("b").meddle(Direction::ToClient, "changes", Fault::Delay(Duration::from_millis(500)));
        let first = sim.client("a").put(HOME, &todo(1));
        sim.until(|sim| sim.verdict(first).is_some());
        sim.client("a").put(HOME, &todo(2));
        sim.until(|sim| sim.rows(at_b).len() == 2);
        sim.settle();
    });
}

#[test]
fn frames_in_any_order_lead_to_the_same_rows() {
    for_each_seed(20, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos());
        sim.client("b").watch(all_todos());
        sim.set_faults(Faults { reorder: 0.3, ..Faults::default() });
        for id in 0..20 {
            let author = if id % 2 == 0 { "a" } else { "b" };
            sim.client(author).put(HOME, &todo(id));
            sim.run_for(Duration::from_millis(30));
        }
        sim.settle();
        assert_eq!(sim.server_rows(&all_todos()).len(), 20);
    });
}
