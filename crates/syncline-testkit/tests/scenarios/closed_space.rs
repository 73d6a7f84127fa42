//! A space that is closed to somebody for a while, who writes there all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use syncline_core::{Error, code};
use syncline_testkit::{Policy, Sim, for_each_seed};

use crate::model::{HOME, Todo, all_todos, ids, todo};

/// Ann, whom the space is closed to as long as that is so, and Bob, whom it never is.
fn app(seed: u64) -> (Sim, Arc<AtomicBool>) {
    let is_closed = Arc::new(AtomicBool::new(false));
    let rule = Arc::clone(&is_closed);
    let policy = Policy::new().open(move |user, _| match user.id == "ann" && rule.load(Ordering::Relaxed) {
        true => Err(Error::new(code::FORBIDDEN, "not now")),
        false => Ok(()),
    });
    let sim =
        Sim::builder(seed).record::<Todo>().access(policy).client("a", "ann").client("b", "bob").build();
    (sim, is_closed)
}

#[test]
fn what_is_written_once_it_is_open_is_done_once_and_soon() {
    for_each_seed(20, |seed| {
        let (mut sim, is_closed) = app(seed);
        is_closed.store(true, Ordering::Relaxed);
        let refused: Vec<_> = (1..=3).map(|id| sim.client("a").put(HOME, &todo(id))).collect();
        sim.settle();
        assert!(refused.iter().all(|write| sim.verdict(*write).unwrap().is_err()));
        assert_eq!(sim.server_version(HOME), 0);
        is_closed.store(false, Ordering::Relaxed);
        let done: Vec<_> = (4..=6).map(|id| sim.client("a").put(HOME, &todo(id))).collect();
        sim.run_for(Duration::from_secs(5));
        assert!(done.iter().all(|write| sim.verdict(*write).is_some_and(Result::is_ok)));
        assert_eq!(sim.server_version(HOME), 3);
        let at_b = sim.client("b").watch(all_todos());
        sim.settle();
        assert_eq!(ids(&sim, at_b), ["4", "5", "6"]);
    });
}

#[test]
fn whatever_is_refused_and_whatever_is_lost_on_the_way_a_write_is_done_once_if_it_is_said_to_be_done() {
    for_each_seed(60, |seed| {
        let (mut sim, is_closed) = app(seed);
        let at_b = sim.client("b").watch(all_todos());
        sim.settle();
        let mut writes = Vec::new();
        for id in 1..=30 {
            let turn = seed.wrapping_mul(31).wrapping_add(id * 7);
            is_closed.store(turn % 3 == 0, Ordering::Relaxed);
            writes.push((id, sim.client("a").put(HOME, &todo(id))));
            if turn % 11 == 0 {
                sim.client("a").cut();
            }
            sim.run_for(Duration::from_millis(turn % 90));
        }
        is_closed.store(false, Ordering::Relaxed);
        sim.settle();
        let done = writes.iter().filter(|(_, write)| sim.verdict(*write).unwrap().is_ok());
        let mut done: Vec<_> = done.map(|(id, _)| id.to_string()).collect();
        done.sort();
        let mut seen = ids(&sim, at_b);
        seen.sort();
        assert_eq!(seen, done);
        assert_eq!(sim.server_version(HOME), done.len() as u64, "each once");
    });
}
