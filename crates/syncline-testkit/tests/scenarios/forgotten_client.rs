use std::time::Duration;

use syncline_core::space::Config;
use syncline_testkit::for_each_seed;

use crate::model::{HOME, all_todos, app, ids, todo};

#[test]
fn a_client_that_was_away_for_too_long_writes_on_all_the_same() {
    for_each_seed(10, |seed| {
        let config = Config { client_retention: Duration::from_secs(600), ..Config::default() };
        let mut sim = app(seed).config(config).client("a", "ann").client("b", "bob").build();
        let at_b = sim.client("b").watch(all_todos());
        sim.client("a").watch(all_todos());
        for id in 1..=3 {
            sim.client("a").put(HOME, &todo(id));
        }
        sim.settle();
        sim.client("a").go_offline();
        let late = sim.client("a").put(HOME, &todo(4));
        sim.run_for(Duration::from_secs(700));
        sim.client("b").put(HOME, &todo(5));
        sim.run_for(Duration::from_secs(5));
        sim.client("a").go_online();
        sim.settle();
        assert!(matches!(sim.verdict(late), Some(Ok(_))));
        assert_eq!(ids(&sim, at_b), ["1", "2", "3", "4", "5"]);
    });
}
