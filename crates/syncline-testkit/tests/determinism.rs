//! A run can be had again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test panics where it fails")]

#[path = "scenarios/model.rs"]
#[allow(dead_code, reason = "shared with tests that use more of it")]
mod model;
#[path = "random/plan.rs"]
mod plan;

use syncline_testkit::Sim;

use model::{HOME, ann_and_bob, todo};

fn trace(seed: u64) -> u64 {
    plan::run(seed).trace_hash()
}

#[test]
fn the_same_seed_gives_the_same_run_to_the_last_byte() {
    for seed in [0, 1, 77, u64::MAX] {
        assert_eq!(trace(seed), trace(seed));
    }
}

#[test]
fn another_seed_gives_another_run() {
    assert_ne!(trace(1), trace(2));
}

fn broken(seed: u64) -> Sim {
    let mut sim = ann_and_bob(seed);
    sim.client("a").put(HOME, &todo("a telling name"));
    sim
}

#[test]
#[should_panic(expected = "SYNCLINE_SEED=4242")]
fn a_failure_says_how_to_see_it_again() {
    let mut sim = broken(4242);
    sim.always("nothing is ever stored", |sim| match sim.server_version(HOME) {
        0 => Ok(()),
        more => Err(format!("there is version {more}")),
    });
    sim.settle();
}

#[test]
#[should_panic(expected = "a telling name")]
fn a_failure_shows_what_happened_last() {
    let mut sim = broken(1);
    sim.until(|_| false);
}

#[test]
#[should_panic(expected = "it does not become quiet: something is on its way")]
fn what_does_not_become_quiet_is_named() {
    let mut sim = broken(1);
    // every answer comes after the client has given up on it
    sim.client("a").set_path(syncline_testkit::Path {
        to_server: std::time::Duration::from_secs(60),
        ..syncline_testkit::Path::default()
    });
    sim.settle();
}
