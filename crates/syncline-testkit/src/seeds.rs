//! Which seeds a test runs with.

use std::env;

/// Runs `test` with the seeds 0 to `count`; with `SYNCLINE_SEEDS=N` in the environment with N of them, with
/// `SYNCLINE_SEED=S` with that one only, as a failure says.
///
/// ```
/// use syncline_testkit::{Sim, for_each_seed};
///
/// for_each_seed(20, |seed| {
///     let mut sim = Sim::builder(seed).client("a", "ann").build();
///     sim.settle();
/// });
/// ```
///
/// # Panics
/// When one of the variables is not a number.
#[track_caller]
pub fn for_each_seed(count: u64, mut test: impl FnMut(u64)) {
    match number("SYNCLINE_SEED") {
        Some(seed) => test(seed),
        None => (0..number("SYNCLINE_SEEDS").unwrap_or(count)).for_each(test),
    }
}

#[track_caller]
pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{variable} is to be a number, not {text:?}"),
    }
}
