use std::time::Duration;

use syncline_core::client::Status;
use syncline_core::space::Config;
use syncline_testkit::{Path, Sim, for_each_seed};

use crate::model::{HOME, Todo, all_todos, app, long_todo};

/// A server that lets 32 kB wait for a client.
fn tight(seed: u64) -> Sim {
    let config = Config { chunk_bytes: 8 * 1024, backlog_bytes: 24 * 1024, ..Config::default() };
    app(seed).config(config).outbox_bytes(32 * 1024).client("a", "ann").client("b", "bob").build()
}

#[test]
fn a_client_that_does_not_read_is_given_the_newest_rows_when_it_does() {
    for_each_seed(10, |seed| {
        let mut sim = tight(seed);
        sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        sim.client("a").put(HOME, &long_todo(0));
        sim.settle();
        sim.client("b").stop_reading();
        for round in 0..100 {
            sim.client("a").put(HOME, &Todo { position: round, ..long_todo(round as u64 % 7) });
            sim.run_for(Duration::from_millis(50));
        }
        // nobody else waits for it
        assert_eq!(sim.server_version(HOME), 101);
        sim.client("b").read_again();
        sim.until(|sim| sim.rows(at_b).iter().any(|todo| todo.position == 99));
        sim.settle();
    });
}

#[test]
fn a_thin_line_gets_there_while_others_write_on() {
    for_each_seed(10, |seed| {
        let mut sim = tight(seed);
        sim.client("a").watch(all_todos());
        let path = Path { bytes_per_second: Some(20_000), ..Path::default() };
        sim.client("b").set_path(path);
        let at_b = sim.client("b").watch(all_todos());
        for round in 0..200_u64 {
            sim.client("a").put(HOME, &Todo { position: round as i64, ..long_todo(round % 30) });
            sim.run_for(Duration::from_millis(20));
        }
        sim.settle();
        assert_eq!(sim.status(at_b), Status::Live);
        assert_eq!(sim.rows(at_b).len(), 30);
    });
}

#[test]
fn own_writes_are_settled_even_if_their_acknowledgements_were_thrown_away() {
    for_each_seed(10, |seed| {
        let mut sim = tight(seed);
        sim.client("a").watch(all_todos());
        let at_b = sim.client("b").watch(all_todos());
        // a second space, which b writes to and does not watch
        sim.settle();
        sim.client("b").stop_reading();
        let own = sim.client("b").put(HOME, &long_todo(1));
        let elsewhere = sim.client("b").put("elsewhere", &long_todo(1));
        for round in 0..60 {
            sim.client("a").put(HOME, &long_todo(round));
            sim.run_for(Duration::from_millis(20));
        }
        sim.client("b").read_again();
        // told with the new snapshots, not found out when an answer is overdue
        let told = |sim: &Sim| sim.verdict(own).is_some() && sim.verdict(elsewhere).is_some();
        assert!(sim.until_within(Duration::from_secs(5), told));
        assert!(sim.verdict(own).unwrap().is_ok() && sim.verdict(elsewhere).unwrap().is_ok());
        sim.settle();
        assert_eq!(sim.rows(at_b).len(), 60);
    });
}
