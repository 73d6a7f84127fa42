use std::time::Duration;

use syncline_core::Record;
use syncline_core::client::Status;
use syncline_core::space::Config;
use syncline_testkit::{Sim, for_each_seed};

use crate::model::{HOME, Note, Todo, all_todos, ann_and_bob, app, ids, note, todo};

fn delete_while_b_is_away(mut sim: Sim) {
    let at_b = sim.client("b").watch(all_todos());
    for id in 1..=4 {
        sim.client("a").put(HOME, &todo(id));
    }
    sim.settle();
    assert_eq!(ids(&sim, at_b), ["1", "2", "3", "4"]);

    sim.client("b").go_offline();
    for id in ["2", "3"] {
        sim.client("a").delete::<Todo>(HOME, id);
        sim.run_for(Duration::from_secs(1));
    }
    // what was there stays on the screen meanwhile
    assert_eq!(ids(&sim, at_b), ["1", "2", "3", "4"]);
    assert_eq!(sim.status(at_b), Status::Closed);
    sim.client("b").go_online();
    sim.until(|sim| sim.status(at_b) == Status::Live);
    assert_eq!(ids(&sim, at_b), ["1", "4"]);
    sim.settle();
}

#[test]
fn a_row_deleted_while_a_client_was_away_is_gone_when_it_comes_back() {
    for_each_seed(10, |seed| delete_while_b_is_away(ann_and_bob(seed)));
}

#[test]
fn and_also_when_the_log_does_not_reach_back_that_far() {
    for_each_seed(10, |seed| {
        let config = Config { log_retention: 1, ..Config::default() };
        delete_while_b_is_away(app(seed).config(config).client("a", "ann").client("b", "bob").build());
    });
}

#[test]
fn and_also_when_the_server_has_forgotten_the_space_meanwhile() {
    for_each_seed(5, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_b = sim.client("b").watch(all_todos());
        sim.client("a").put(HOME, &todo(1));
        sim.settle();
        sim.client("b").go_offline();
        sim.client("a").delete::<Todo>(HOME, "1");
        sim.run_for(Duration::from_secs(200));
        assert_eq!(sim.gauges().spaces, 0);
        sim.client("b").go_online();
        sim.until(|sim| sim.status(at_b) == Status::Live);
        assert_eq!(ids(&sim, at_b), [""; 0]);
    });
}

#[test]
fn a_private_row_deleted_elsewhere_is_gone_too() {
    for_each_seed(5, |seed| {
        let mut sim = app(seed).client("phone", "ann").client("desk", "ann").build();
        let on_phone = sim.client("phone").watch(Note::in_space(HOME));
        sim.client("desk").put(HOME, &note("n", "ann", "secret"));
        sim.settle();
        sim.client("phone").partition();
        sim.client("desk").delete::<Note>(HOME, "n");
        sim.run_for(Duration::from_secs(60));
        assert_eq!(sim.rows(on_phone).len(), 1);
        sim.settle();
        assert!(sim.rows(on_phone).is_empty());
    });
}
