use syncline_core::client::Status;
use syncline_testkit::{Sim, for_each_seed};

use crate::model::{HOME, all_todos, ann_and_bob, ids, todo};

fn puts(sim: &mut Sim, client: &str, todos: std::ops::RangeInclusive<u32>) {
    for id in todos {
        sim.client(client).put(HOME, &todo(id));
        sim.settle();
    }
}

#[test]
fn nobody_is_left_with_rows_that_a_restored_database_lost() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        puts(&mut sim, "a", 1..=2);
        sim.back_up_disk();
        puts(&mut sim, "a", 3..=6);
        sim.client("b").go_offline();
        sim.restore_disk();
        sim.start_server();
        // the space is written past the version that b has seen, under the same numbers
        puts(&mut sim, "a", 10..=20);
        sim.client("b").go_online();
        sim.settle();
        assert_eq!(ids(&sim, at_b), ids(&sim, at_a));
        assert!(!ids(&sim, at_b).contains(&"3".to_owned()), "what was lost is lost");
        assert_eq!((sim.status(at_a), sim.status(at_b)), (Status::Live, Status::Live));
        // and it is known for good
        sim.crash_server();
        sim.start_server();
        puts(&mut sim, "b", 30..=30);
        assert_eq!(ids(&sim, at_a), ids(&sim, at_b));
    });
}
