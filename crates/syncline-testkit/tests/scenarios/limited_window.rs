use std::time::Duration;

use syncline_core::Query;
use syncline_testkit::for_each_seed;

use crate::model::{HOME, Todo, all_todos, ann_and_bob, ids, todo};

fn first_three() -> Query<Todo> {
    all_todos().order_by(Todo::position).limit(3)
}

#[test]
fn a_window_shows_the_first_rows_and_is_filled_from_behind() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_b = sim.client("b").watch(first_three());
        sim.client("a").watch(all_todos());
        for id in 1..=6 {
            sim.client("a").put(HOME, &Todo { position: id * 10, ..todo(id) });
        }
        sim.settle();
        assert_eq!(ids(&sim, at_b), ["1", "2", "3"]);
        sim.client("a").delete::<Todo>(HOME, "2");
        sim.settle();
        assert_eq!(ids(&sim, at_b), ["1", "3", "4"]);
        sim.client("a").put(HOME, &Todo { position: 5, ..todo(7) });
        sim.settle();
        assert_eq!(ids(&sim, at_b), ["7", "1", "3"]);
        sim.client("a").update::<Todo>(HOME, "7", |todo| todo.position = 35).unwrap();
        sim.settle();
        assert_eq!(ids(&sim, at_b), ["1", "3", "7"]);
        sim.client("a").update::<Todo>(HOME, "1", |todo| todo.position = 99).unwrap();
        sim.settle();
        assert_eq!(ids(&sim, at_b), ["3", "7", "4"]);
    });
}

#[test]
fn a_window_stays_right_whatever_moves_through_it() {
    for_each_seed(30, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos());
        sim.client("b").watch(first_three());
        sim.client("b").watch(all_todos().order_by(Todo::position.desc()).limit(2));
        sim.client("b").watch(all_todos().filter(Todo::done.eq(false)).limit(4));
        for _ in 0..60 {
            let (id, position) = (sim.rng().below(9), sim.rng().below(12) as i64);
            match sim.rng().below(4) {
                0 => sim.client("a").delete::<Todo>(HOME, &id.to_string()),
                choice => sim.client("a").put(HOME, &Todo { position, done: choice == 1, ..todo(id) }),
            };
            let wait = sim.rng().duration(Duration::from_millis(15));
            sim.run_for(wait);
            if sim.rng().chance(0.04) {
                sim.client("b").cut();
            }
        }
        sim.settle();
    });
}
