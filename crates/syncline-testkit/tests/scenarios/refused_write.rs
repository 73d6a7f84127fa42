use syncline_core::RowState;
use syncline_testkit::{Sim, Watch, for_each_seed};

use crate::model::{FORBIDDEN, HOME, Todo, all_todos, ann_and_bob, ids, todo};

/// Both watch; a writes what the server refuses, and hears of it.
fn refused(seed: u64) -> (Sim, Watch<Todo>, Watch<Todo>) {
    let mut sim = ann_and_bob(seed);
    let at_a = sim.client("a").watch(all_todos());
    let at_b = sim.client("b").watch(all_todos());
    sim.settle();
    sim.client("b").must_never_be_sent(FORBIDDEN);
    let write = sim.client("a").put(HOME, &Todo { text: FORBIDDEN.into(), ..todo(1) });
    assert_eq!(sim.entries(at_a)[0].state, RowState::Pending);
    sim.until(|sim| sim.verdict(write).is_some());
    assert_eq!(sim.verdict(write).unwrap().as_ref().unwrap_err().code(), "not_allowed");
    (sim, at_a, at_b)
}

fn is_failed(sim: &Sim, watch: Watch<Todo>, code: &str) -> bool {
    matches!(&sim.entries(watch)[0].state, RowState::Failed(error) if error.code() == code)
}

#[test]
fn a_refused_write_is_marked_for_its_author_and_never_seen_by_others() {
    for_each_seed(10, |seed| {
        let (mut sim, at_a, at_b) = refused(seed);
        assert!(is_failed(&sim, at_a, "not_allowed"));
        sim.settle();
        assert!(is_failed(&sim, at_a, "not_allowed"));
        assert!(sim.rows(at_b).is_empty());
        assert_eq!(sim.server_version(HOME), 0);
    });
}

#[test]
fn a_refused_write_does_not_hold_up_later_ones() {
    for_each_seed(10, |seed| {
        let (mut sim, at_a, at_b) = refused(seed);
        let next = sim.client("a").put(HOME, &todo(2));
        sim.settle();
        assert_eq!(sim.verdict(next), Some(&Ok(1)));
        assert_eq!(ids(&sim, at_a), ["1", "2"]);
        assert_eq!(ids(&sim, at_b), ["2"]);
    });
}

#[test]
fn dismissed_it_is_gone() {
    for_each_seed(5, |seed| {
        let (mut sim, at_a, _) = refused(seed);
        assert_eq!(sim.client("a").dismiss::<Todo>(HOME, "1"), 1);
        assert!(sim.rows(at_a).is_empty());
        sim.settle();
    });
}

#[test]
fn retried_it_is_pending_and_refused_again_or_accepted_with_a_correction() {
    for_each_seed(5, |seed| {
        let (mut sim, at_a, at_b) = refused(seed);
        let again = sim.client("a").retry::<Todo>(HOME, "1");
        assert_eq!(again.len(), 1);
        assert_eq!(sim.entries(at_a)[0].state, RowState::Pending);
        sim.until(|sim| sim.verdict(again[0]).is_some());
        assert!(is_failed(&sim, at_a, "not_allowed"));

        assert_eq!(sim.client("a").dismiss::<Todo>(HOME, "1"), 1);
        sim.client("a").put(HOME, &todo(1));
        sim.settle();
        assert_eq!(sim.entries(at_a)[0].state, RowState::Confirmed);
        assert_eq!(sim.rows(at_a), sim.rows(at_b));
    });
}

#[test]
fn a_refused_change_of_a_row_leaves_the_row_as_it_was_for_others() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        sim.client("a").put(HOME, &todo(1));
        sim.settle();
        sim.client("a").update::<Todo>(HOME, "1", |todo| todo.text = FORBIDDEN.into()).unwrap();
        sim.settle();
        assert_eq!(sim.rows(at_a)[0].text, FORBIDDEN);
        assert!(is_failed(&sim, at_a, "not_allowed"));
        assert_eq!(sim.rows(at_b)[0].text, "todo 1");
        sim.client("a").dismiss::<Todo>(HOME, "1");
        assert_eq!(sim.rows(at_a), sim.rows(at_b));
        assert_eq!(sim.entries(at_a)[0].state, RowState::Confirmed);
    });
}
