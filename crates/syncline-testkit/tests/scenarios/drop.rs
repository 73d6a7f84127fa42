use std::time::Duration;

use syncline_core::client::Status;
use syncline_testkit::{Direction, Fault, for_each_seed};

use crate::model::{HOME, all_todos, ann_and_bob, ids, todo};

#[test]
fn a_lost_change_is_noticed_by_the_next_one_and_made_good() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        sim.settle();

        sim.client("b").meddle(Direction::ToClient, "changes", Fault::Drop);
        sim.client("a").put(HOME, &todo(1));
        sim.run_for(Duration::from_secs(1));
        assert_eq!(ids(&sim, at_b), [""; 0]);
        sim.client("a").put(HOME, &todo(2));
        // seen neither alone nor out of order: only together, once the connection is made anew
        sim.until(|sim| !sim.rows(at_b).is_empty());
        assert_eq!(ids(&sim, at_b), ["1", "2"]);
        sim.settle();
    });
}

#[test]
fn a_lost_change_is_noticed_by_the_snapshot_of_another_query_too() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_b = sim.client("b").watch(all_todos());
        sim.settle();
        sim.client("b").meddle(Direction::ToClient, "changes", Fault::Drop);
        sim.client("a").put(HOME, &todo(1));
        sim.run_for(Duration::from_secs(1));
        let others = sim.client("b").watch(all_todos().limit(7));
        sim.until(|sim| sim.status(others) == Status::Live);
        sim.until(|sim| ids(sim, at_b) == ["1"]);
        assert_eq!(ids(&sim, others), ["1"]);
        sim.settle();
    });
}

#[test]
fn a_lost_write_is_sent_again_and_later_ones_do_not_overtake_it() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        sim.settle();

        sim.client("a").meddle(Direction::ToServer, "write", Fault::Drop);
        let first = sim.client("a").put(HOME, &todo(1));
        let second = sim.client("a").put(HOME, &todo(2));
        sim.until(|sim| sim.verdict(second).is_some());
        assert_eq!(sim.verdict(first), Some(&Ok(1)));
        assert_eq!(sim.verdict(second), Some(&Ok(2)));
        assert_eq!(ids(&sim, at_a), ["1", "2"]);
        sim.settle();
    });
}

#[test]
fn a_lost_write_with_nothing_behind_it_is_missed_by_its_answer() {
    for_each_seed(5, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos());
        sim.settle();

        sim.client("a").meddle(Direction::ToServer, "write", Fault::Drop);
        let write = sim.client("a").put(HOME, &todo(1));
        assert!(sim.until_within(Duration::from_secs(60), |sim| sim.verdict(write) == Some(&Ok(1))));
    });
}

#[test]
fn whichever_frame_of_the_handshake_or_the_first_answer_is_lost_the_client_gets_there() {
    use Direction::{ToClient, ToServer};
    for (direction, message) in
        [(ToServer, "hello"), (ToClient, "welcome"), (ToServer, "subscribe"), (ToClient, "snapshot")]
    {
        for_each_seed(3, |seed| {
            let mut sim = ann_and_bob(seed);
            sim.client("a").put(HOME, &todo(1));
            sim.settle();
            sim.client("b").meddle(direction, message, Fault::Drop);
            let at_b = sim.client("b").watch(all_todos());
            assert!(sim.until_within(Duration::from_secs(60), |sim| sim.status(at_b) == Status::Live));
            assert_eq!(ids(&sim, at_b), ["1"]);
        });
    }
}
