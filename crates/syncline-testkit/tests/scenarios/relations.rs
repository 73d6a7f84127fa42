use std::time::Duration;

use syncline_core::Query;
use syncline_testkit::{CrashPoint, for_each_seed};

use crate::model::{HOME, Reply, Todo, all_todos, ann_and_bob, reply, todo};

fn with_replies() -> Query<Todo> {
    let replies = Reply::todo.children().order_by(Reply::at).limit(2).counted();
    all_todos().order_by(Todo::position).limit(3).include(replies)
}

#[test]
fn replies_are_under_their_todos_on_every_screen() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let (at_a, at_b) = (sim.client("a").watch(with_replies()), sim.client("b").watch(with_replies()));
        for id in 1..=4 {
            sim.client("a").put(HOME, &Todo { position: id * 10, ..todo(id) });
        }
        for at in 1..=3 {
            sim.client("a").put(HOME, &reply(at, 1, at));
            let own = sim.children::<_, Reply>(at_a, 0, "1");
            assert!(own.iter().any(|reply| reply.at == at), "the own one shows at once");
        }
        sim.settle();
        for watch in [at_a, at_b] {
            let ids: Vec<_> = sim.children::<_, Reply>(watch, 0, "1").into_iter().map(|it| it.id).collect();
            assert_eq!((ids, sim.count(watch, 0, "1")), (vec!["1".to_owned(), "2".to_owned()], 3));
        }
        sim.client("b").go_offline();
        sim.client("a").delete::<Reply>(HOME, "1");
        sim.client("a").delete::<Todo>(HOME, "2");
        sim.client("a").put(HOME, &reply(4, 4, 1));
        sim.run_for(Duration::from_secs(5));
        sim.client("b").go_online();
        sim.settle();
        assert_eq!(sim.children::<_, Reply>(at_b, 0, "1").len(), 2);
        assert_eq!((sim.count(at_b, 0, "1"), sim.count(at_b, 0, "4")), (2, 1));
    });
}

#[test]
fn relations_stay_right_whatever_moves_through_them() {
    for_each_seed(30, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos().include(Reply::todo));
        sim.client("b").watch(with_replies());
        sim.client("b").watch(all_todos().include(Reply::todo.children().limit(0).counted()));
        for _ in 0..80 {
            let name = *sim.rng().pick(&["a", "b"]);
            let (id, other) = (sim.rng().below(6), sim.rng().below(6));
            let owner = if sim.rng().chance(0.2) { "ann".to_owned() } else { String::new() };
            match sim.rng().below(6) {
                0 => sim.client(name).delete::<Todo>(HOME, &id.to_string()),
                1 => sim.client(name).put(HOME, &Todo { position: other as i64, ..todo(id) }),
                2 => sim.client(name).delete::<Reply>(HOME, &other.to_string()),
                _ => sim.client(name).put(HOME, &Reply { owner, ..reply(other, id, id as i64) }),
            };
            let wait = sim.rng().duration(Duration::from_millis(15));
            sim.run_for(wait);
            match sim.rng().below(30) {
                0 => sim.client("b").cut(),
                1 => {
                    sim.crash_at_next_commit(CrashPoint::AfterDurable);
                    sim.plan(Duration::from_secs(1), syncline_testkit::Sim::start_server);
                }
                _ => {}
            }
        }
        sim.settle();
    });
}
