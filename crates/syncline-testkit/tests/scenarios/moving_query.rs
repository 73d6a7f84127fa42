use syncline_core::client::Status;
use syncline_core::{Query, Record};
use syncline_testkit::for_each_seed;

use crate::model::{HOME, Todo, all_todos, ann_and_bob, ids, todo};

fn open_todos() -> Query<Todo> {
    all_todos().filter(Todo::done.eq(false)).order_by(Todo::position)
}

#[test]
fn a_row_enters_and_leaves_a_view_as_it_changes_and_moves_with_its_order() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_b = sim.client("b").watch(open_todos());
        sim.client("a").watch(all_todos());
        for id in 1..=3 {
            sim.client("a").put(HOME, &Todo { position: id, ..todo(id) });
        }
        sim.settle();
        assert_eq!(ids(&sim, at_b), ["1", "2", "3"]);
        sim.client("a").update::<Todo>(HOME, "1", |todo| todo.position = 9).unwrap();
        sim.client("a").update::<Todo>(HOME, "2", |todo| todo.done = true).unwrap();
        sim.settle();
        assert_eq!(ids(&sim, at_b), ["3", "1"]);
        sim.client("a").update::<Todo>(HOME, "2", |todo| todo.done = false).unwrap();
        sim.settle();
        assert_eq!(ids(&sim, at_b), ["2", "3", "1"]);
    });
}

#[test]
fn switched_back_and_forth_under_latency_the_last_query_wins_and_no_rows_of_another_show() {
    for_each_seed(20, |seed| {
        let mut sim = ann_and_bob(seed);
        for room in 0..3 {
            sim.client("a").put(format!("room-{room}"), &todo(room));
        }
        sim.settle();
        let room = |room: u64| Todo::in_space(format!("room-{room}"));
        let mut now = sim.client("b").watch(room(0));
        for _ in 0..30 {
            let next = sim.rng().below(3);
            sim.client("b").unwatch(now);
            now = sim.client("b").watch(room(next));
            assert!(ids(&sim, now).iter().all(|id| *id == next.to_string()));
            let wait = sim.rng().duration(std::time::Duration::from_millis(60));
            sim.run_for(wait);
            assert!(ids(&sim, now).iter().all(|id| *id == next.to_string()));
        }
        sim.settle();
        assert_eq!((sim.status(now), sim.rows(now).len()), (Status::Live, 1));
        assert_eq!(sim.gauges().subscriptions, 1);
    });
}

#[test]
fn a_query_the_server_cannot_answer_fails_alone() {
    for_each_seed(5, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        let bad = sim.client("a").watch(Todo::in_space("no such space!"));
        sim.client("b").put(HOME, &todo(1));
        sim.until(|sim| sim.status(bad) == Status::Failed);
        assert_eq!(sim.watch_state(bad).error.unwrap().code(), "unknown_space");
        sim.settle();
        assert_eq!(ids(&sim, at_a), ["1"]);
    });
}
