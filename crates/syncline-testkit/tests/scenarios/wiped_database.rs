use syncline_core::client::Status;
use syncline_testkit::for_each_seed;

use crate::model::{HOME, all_todos, ann_and_bob, ids, todo};

#[test]
fn a_server_with_an_empty_database_takes_the_place_of_the_old_one() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        for id in 1..=3 {
            sim.client("a").put(HOME, &todo(id));
        }
        sim.settle();
        sim.wipe_disk();
        let waiting = sim.client("a").put(HOME, &todo(4));
        sim.settle();
        // what was lost is lost; what waited is written into the new history, numbered anew
        assert_eq!((ids(&sim, at_a), ids(&sim, at_b)), (vec!["4".to_owned()], vec!["4".to_owned()]));
        assert_eq!(sim.verdict(waiting), Some(&Ok(1)));
        assert_eq!(sim.status(at_b), Status::Live);
    });
}
