use std::time::Duration;

use syncline_core::client::Status;
use syncline_core::space::Config;
use syncline_testkit::{Direction, Fault, Path, Sim, for_each_seed};

use crate::model::{HOME, Todo, all_todos, app, long_todo};

const ROWS: u64 = 120;

/// 120 rows of 1 kB in chunks of 8 kB, and a line to b that takes half a second for all of them.
fn a_large_list(seed: u64) -> Sim {
    let config = Config { chunk_bytes: 8 * 1024, ..Config::default() };
    let mut sim = app(seed).config(config).client("a", "ann").client("b", "bob").build();
    let todos: Vec<_> = (0..ROWS).map(long_todo).collect();
    sim.client("a").put_all(HOME, &todos);
    let path = Path { bytes_per_second: Some(250_000), ..Path::default() };
    sim.client("b").set_path(path);
    sim.settle();
    sim
}

fn is_half_way(status: Status) -> bool {
    matches!(status, Status::Snapshot { done, total } if done > total / 3 && done < total)
}

#[test]
fn a_snapshot_comes_in_many_chunks_with_progress_and_shows_at_once() {
    for_each_seed(5, |seed| {
        let mut sim = a_large_list(seed);
        let at_b = sim.client("b").watch(all_todos());
        sim.always("a part of the rows is never shown", move |sim| match sim.rows(at_b).len() as u64 {
            0 | ROWS => Ok(()),
            some => Err(format!("{some} rows")),
        });
        sim.until(|sim| is_half_way(sim.status(at_b)));
        sim.until(|sim| sim.status(at_b) == Status::Live);
        assert_eq!(sim.rows(at_b).len() as u64, ROWS);
        sim.settle();
    });
}

#[test]
fn a_connection_lost_between_two_chunks_starts_the_snapshot_anew() {
    for_each_seed(10, |seed| {
        let mut sim = a_large_list(seed);
        let at_b = sim.client("b").watch(all_todos());
        for _ in 0..3 {
            sim.until(|sim| is_half_way(sim.status(at_b)));
            if sim.rng().chance(0.5) {
                sim.client("b").cut();
            } else {
                sim.client("b").half_open();
            }
            sim.until(|sim| !matches!(sim.status(at_b), Status::Snapshot { .. }));
            assert!(sim.rows(at_b).is_empty());
        }
        sim.settle();
        assert_eq!(sim.rows(at_b).len() as u64, ROWS);
    });
}

#[test]
fn what_is_written_while_the_chunks_come_in_is_there_when_they_are() {
    for_each_seed(20, |seed| {
        let mut sim = a_large_list(seed);
        sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        sim.until(|sim| matches!(sim.status(at_b), Status::Snapshot { .. }));
        for id in 0..20 {
            match id % 3 {
                0 => sim.client("a").delete::<Todo>(HOME, &format!("{id:05}")),
                1 => sim.client("a").put(HOME, &Todo { done: true, ..long_todo(id) }),
                _ => sim.client("a").put(HOME, &long_todo(1_000 + id)),
            };
            let wait = sim.rng().duration(Duration::from_millis(20));
            sim.run_for(wait);
            if id == 10 && seed % 2 == 0 {
                sim.client("b").cut();
            }
        }
        sim.settle();
        assert_eq!(sim.rows(at_b).len() as u64, ROWS - 7 + 6);
    });
}

#[test]
fn a_chunk_that_gets_lost_is_not_left_out() {
    for_each_seed(10, |seed| {
        let mut sim = a_large_list(seed);
        let at_b = sim.client("b").watch(all_todos());
        sim.until(|sim| is_half_way(sim.status(at_b)));
        sim.client("b").meddle(Direction::ToClient, "snapshot", Fault::Drop);
        sim.until(|sim| sim.status(at_b) == Status::Live);
        assert_eq!(sim.rows(at_b).len() as u64, ROWS);
        sim.settle();
    });
}
