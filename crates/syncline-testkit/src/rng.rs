//! The one source of chance of a simulation.

use std::time::Duration;

/// A seeded generator (SplitMix64, by Sebastiano Vigna, public domain): the same seed, the same run. For the plans of
/// tests too, see [`Sim::rng`](crate::Sim::rng).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`; 0 when there is nothing below it.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        // no draw where there is no choice: switching one fault on leaves the others as they were
        probability > 0.0 && ((self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64) < probability
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        assert!(!choices.is_empty(), "there is nothing to pick from");
        &choices[self.below(choices.len() as u64) as usize]
    }

    /// From zero up to `longest`, in microseconds.
    pub fn duration(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.below(longest.as_micros() as u64 + 1))
    }
}
