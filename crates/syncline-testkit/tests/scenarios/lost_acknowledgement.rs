use syncline_core::RowState;
use syncline_core::client::Status;
use syncline_testkit::{Direction, Fault, for_each_seed};

use crate::model::{FORBIDDEN, HOME, Todo, all_todos, ann_and_bob, ids, todo};

#[test]
fn a_write_whose_acknowledgement_was_lost_is_settled_and_not_repeated() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        sim.settle();

        sim.client("a").meddle(Direction::ToClient, "changes", Fault::Cut);
        let write = sim.client("a").put(HOME, &todo(1));
        sim.until(|sim| sim.server_version(HOME) == 1);
        sim.until(|sim| sim.status(at_a) != Status::Live);
        assert_eq!(sim.verdict(write), None);
        assert_eq!(sim.entries(at_a)[0].state, RowState::Pending);
        sim.until(|sim| sim.verdict(write).is_some());
        assert_eq!(sim.verdict(write), Some(&Ok(1)));
        assert_eq!(sim.entries(at_a)[0].state, RowState::Confirmed);
        sim.settle();
        assert_eq!(sim.server_version(HOME), 1);
    });
}

#[test]
fn a_refusal_that_was_lost_arrives_all_the_same() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        sim.settle();

        sim.client("a").meddle(Direction::ToClient, "changes", Fault::Cut);
        let write = sim.client("a").put(HOME, &Todo { text: FORBIDDEN.into(), ..todo(1) });
        sim.until(|sim| sim.verdict(write).is_some());
        let code = sim.verdict(write).unwrap().as_ref().unwrap_err().code().to_owned();
        assert_eq!(code, "not_allowed");
        assert!(matches!(sim.entries(at_a)[0].state, RowState::Failed(_)));
        sim.settle();
    });
}

#[test]
fn a_client_that_only_writes_hears_its_verdicts_after_a_lost_connection_too() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").meddle(Direction::ToClient, "changes", Fault::Cut);
        let writes: Vec<_> = (0..10).map(|id| sim.client("a").put(HOME, &todo(id))).collect();
        sim.settle();
        assert!(writes.iter().all(|write| matches!(sim.verdict(*write), Some(Ok(_)))));
        let at_b = sim.client("b").watch(all_todos());
        sim.settle();
        assert_eq!(ids(&sim, at_b).len(), 10);
        assert_eq!(sim.server_version(HOME), 10);
    });
}
