//! Longer stories, as people live them.

use std::time::Duration;

use syncline_core::RowState;
use syncline_core::client::Status;
use syncline_testkit::{Direction, for_each_seed};

use crate::model::{HOME, Todo, all_todos, ann_and_bob, ids, todo};

#[test]
fn an_optimistic_row_is_on_the_screen_while_the_answer_is_held_back() {
    for_each_seed(5, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        sim.settle();
        sim.client("a").hold(Direction::ToClient);
        sim.client("a").put(HOME, &todo(1));
        sim.until(|sim| sim.rows(at_b).len() == 1);
        assert_eq!(sim.entries(at_a)[0].state, RowState::Pending);
        sim.client("a").release(Direction::ToClient);
        sim.until(|sim| sim.entries(at_a)[0].state == RowState::Confirmed);
        sim.settle();
    });
}

#[test]
fn a_train_ride_with_ten_edits_two_of_them_on_one_row() {
    for_each_seed(20, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos().order_by(Todo::position));
        let at_b = sim.client("b").watch(all_todos().order_by(Todo::position));
        for id in 0..8 {
            sim.client("a").put(HOME, &Todo { position: id, ..todo(id) });
        }
        sim.settle();
        // into the tunnel: cleanly or without a word
        if seed % 2 == 0 {
            sim.client("a").cut()
        } else {
            sim.client("a").half_open()
        }
        sim.client("a").partition();
        for id in 0..5 {
            sim.client("a")
                .update::<Todo>(HOME, &id.to_string(), |todo| todo.text = format!("a {id}"))
                .unwrap();
            sim.client("b").update::<Todo>(HOME, &(7 - id).to_string(), |todo| todo.done = true).unwrap();
            sim.run_for(Duration::from_secs(5));
        }
        // both on one row, both on one field
        sim.client("a").update::<Todo>(HOME, "6", |todo| todo.text = "a at last".into()).unwrap();
        sim.client("b").update::<Todo>(HOME, "6", |todo| todo.text = "b before".into()).unwrap();
        sim.run_for(Duration::from_secs(60));
        assert_eq!(sim.status(at_a), Status::Reconnecting);
        sim.client("a").heal();
        sim.settle();
        assert_eq!(sim.rows(at_a), sim.rows(at_b));
        let rows = sim.rows(at_a);
        assert_eq!(rows[6].text, "a at last");
        assert!((3..8).all(|id| rows[id].done));
        assert!((0..5).all(|id| rows[id].text == format!("a {id}")));
    });
}

#[test]
fn hundreds_of_writes_wait_offline_and_arrive_in_order() {
    for_each_seed(3, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_b = sim.client("b").watch(all_todos());
        sim.settle();
        sim.client("a").go_offline();
        // more than may be in flight at a time
        for id in 0..600 {
            sim.client("a").put(HOME, &todo(format!("{id:03}")));
        }
        sim.client("a").delete::<Todo>(HOME, "000");
        sim.client("a").go_online();
        sim.settle();
        assert_eq!(sim.server_version(HOME), 601);
        assert_eq!(ids(&sim, at_b).len(), 599);
    });
}
