//! Random plans under random faults, as many as there is patience for: `SYNCLINE_SEEDS=10000 cargo test --release -p
//! syncline-testkit --test random`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test panics where it fails")]

#[path = "scenarios/model.rs"]
#[allow(dead_code, reason = "shared with tests that use more of it")]
mod model;
#[path = "random/plan.rs"]
mod plan;

use syncline_testkit::for_each_seed;

/// The seeds are dealt to several tests, so that they share the processors.
fn deal(hand: u64) {
    for_each_seed(75, |seed| {
        let replayed = std::env::var_os("SYNCLINE_SEED").is_some();
        plan::run(if replayed { seed } else { seed * 4 + hand });
    });
}

#[test]
fn everything_at_once_converges() {
    deal(0);
}

#[test]
fn everything_at_once_converges_again() {
    deal(1);
}

#[test]
fn everything_at_once_converges_a_third_time() {
    deal(2);
}

#[test]
fn everything_at_once_converges_a_fourth_time() {
    deal(3);
}
