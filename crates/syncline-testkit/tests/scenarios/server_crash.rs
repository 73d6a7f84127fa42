use std::time::Duration;

use syncline_core::client::Status;
use syncline_testkit::{CrashPoint, for_each_seed};

use crate::model::{HOME, all_todos, ann_and_bob, ids, todo};

fn crash_around_a_commit(point: CrashPoint) {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_a = sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        let kept = sim.client("a").put(HOME, &todo(1));
        sim.settle();
        assert_eq!(sim.verdict(kept), Some(&Ok(1)));

        sim.crash_at_next_commit(point);
        let write = sim.client("a").put(HOME, &todo(2));
        sim.until(|sim| !sim.server_is_up());
        assert_eq!(sim.server_version(HOME), if point == CrashPoint::AfterDurable { 2 } else { 1 });
        sim.until(|sim| sim.status(at_a) == Status::Reconnecting && sim.status(at_b) == Status::Reconnecting);
        sim.run_for(Duration::from_secs(3));
        assert_eq!(sim.verdict(write), None);
        assert_eq!(ids(&sim, at_a), ["1", "2"]);
        assert_eq!(ids(&sim, at_b), ["1"]);

        sim.start_server();
        sim.settle();
        assert_eq!(sim.verdict(write), Some(&Ok(2)));
        assert_eq!(sim.server_version(HOME), 2);
        assert_eq!(ids(&sim, at_b), ["1", "2"]);
    });
}

#[test]
fn a_commit_that_did_not_reach_the_disk_is_made_after_the_restart() {
    crash_around_a_commit(CrashPoint::BeforeDurable);
}

#[test]
fn a_commit_that_reached_the_disk_unheard_is_not_made_twice() {
    crash_around_a_commit(CrashPoint::AfterDurable);
}

#[test]
fn two_hundred_writes_of_two_people_survive_a_kill_each_once() {
    for_each_seed(20, |seed| {
        let mut sim = ann_and_bob(seed);
        sim.client("a").watch(all_todos());
        sim.client("b").watch(all_todos());
        let mut writes = Vec::new();
        for id in 0..100 {
            for author in ["a", "b"] {
                writes.push(sim.client(author).put(HOME, &todo(format!("{author}{id}"))));
            }
            let wait = sim.rng().duration(Duration::from_millis(4));
            sim.run_for(wait);
            if id == 50 {
                if seed % 2 == 0 { sim.crash_server() } else { sim.crash_server_silently() }
            }
            if id == 70 {
                sim.start_server();
            }
        }
        sim.settle();
        assert!(writes.iter().all(|write| matches!(sim.verdict(*write), Some(Ok(_)))));
        assert_eq!(sim.server_version(HOME), 200);
        assert_eq!(sim.server_rows(&all_todos()).len(), 200);
    });
}

#[test]
fn a_server_that_is_asked_to_stop_answers_everything_it_has_taken_in() {
    for_each_seed(10, |seed| {
        let mut sim = ann_and_bob(seed);
        let at_b = sim.client("b").watch(all_todos());
        sim.client("a").watch(all_todos());
        sim.settle();
        sim.slow_disk(Duration::from_millis(300));
        let write = sim.client("a").put(HOME, &todo(1));
        sim.until(|sim| sim.gauges().writes_waiting == 1);
        sim.stop_server();
        sim.until(|sim| sim.verdict(write).is_some());
        assert_eq!(sim.verdict(write), Some(&Ok(1)));
        sim.until(|sim| sim.status(at_b) == Status::Reconnecting);
        sim.settle();
    });
}
