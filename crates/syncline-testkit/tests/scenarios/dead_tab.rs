//! A tab dies with work that the server has not answered: another tab of the browser brings it up, once.

use std::time::Duration;

use syncline_testkit::{Direction, Fault, for_each_seed};

use crate::model::{HOME, all_todos, ann_and_bob, ids, todo};

/// Long enough for a tab to look for what others have left behind.
const A_WHILE: Duration = Duration::from_secs(60);

#[test]
fn what_was_written_offline_reaches_the_server_by_the_next_tab() {
    for_each_seed(20, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_b = sim.client("b").watch(all_todos());
        // the browser knows who is here
        let at_first = sim.add_client_in("home", "first", "ann").watch(all_todos());
        sim.settle();
        sim.client("first").go_offline();
        for id in 0..5 {
            sim.client("first").put(HOME, &todo(id));
        }
        sim.run_for(Duration::from_secs(1));
        assert_eq!(sim.entries(at_first).len(), 5);
        sim.client("first").leave();

        let at_second = sim.add_client_in("home", "second", "ann").watch(all_todos());
        sim.settle();
        assert_eq!(ids(&sim, at_b), (0..5).map(|id| id.to_string()).collect::<Vec<_>>());
        assert_eq!(ids(&sim, at_second), (0..5).map(|id| id.to_string()).collect::<Vec<_>>());
        assert_eq!(sim.server_version(HOME), 5, "each of them once");
    });
}

#[test]
fn a_tab_that_dies_mid_send_has_sent_everything_once() {
    for_each_seed(40, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_b = sim.client("b").watch(all_todos());
        let _first = sim.add_client_in("home", "first", "ann").watch(all_todos());
        let at_second = sim.add_client_in("home", "second", "ann").watch(all_todos());
        sim.settle();
        // the server does some of it, and nobody hears of that
        sim.client("first").meddle(Direction::ToClient, "changes", Fault::Cut);
        for id in 0..5 {
            sim.client("first").put(HOME, &todo(id));
        }
        // what storage has not said to have yet dies with the tab
        sim.until(|sim| sim.connection("first").unsaved == 0);
        sim.run_for(Duration::from_millis(10 * (seed % 20)));
        sim.client("first").leave();
        sim.run_for(A_WHILE);
        sim.settle();
        assert_eq!(ids(&sim, at_b), (0..5).map(|id| id.to_string()).collect::<Vec<_>>());
        assert_eq!(ids(&sim, at_second), (0..5).map(|id| id.to_string()).collect::<Vec<_>>());
        assert_eq!(sim.server_version(HOME), 5, "each of them once");
    });
}

#[test]
fn nobody_else_at_the_same_browser_brings_up_what_somebody_left() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let _first = sim.add_client_in("home", "first", "ann").watch(all_todos());
        sim.settle();
        sim.client("first").go_offline();
        sim.client("first").put(HOME, &todo(1));
        sim.run_for(Duration::from_secs(1));
        sim.client("first").leave();

        let at_other = sim.add_client_in("home", "other", "bob").watch(all_todos());
        sim.run_for(A_WHILE);
        sim.settle();
        assert!(ids(&sim, at_other).is_empty());
        assert_eq!(sim.server_version(HOME), 0);

        sim.client("other").leave();
        let at_next = sim.add_client_in("home", "next", "ann").watch(all_todos());
        sim.run_for(A_WHILE);
        sim.settle();
        assert_eq!((ids(&sim, at_next), sim.server_version(HOME)), (vec!["1".to_owned()], 1));
    });
}
