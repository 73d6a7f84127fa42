//! The waits between attempts.

use std::time::Duration;

use crate::rng::Rng;

/// Exponential backoff with full jitter: after *n* failures in a row a client waits a random time between zero and
/// `base · 2ⁿ⁻¹`, at most `cap`, so that a server that comes back is not met by everybody at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    /// The longest first wait.
    pub base: Duration,
    /// The longest wait of all.
    pub cap: Duration,
    /// Give up after so many failures in a row; never, when there is none.
    pub attempts: Option<u32>,
}

impl Default for Backoff {
    /// 1 s → 30 s, without end.
    fn default() -> Self {
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(30), attempts: None }
    }
}

impl Backoff {
    /// The wait after `failures` failures in a row; `None` when it is time to give up.
    pub(crate) fn wait(&self, failures: u32, rng: &mut Rng) -> Option<Duration> {
        if self.attempts.is_some_and(|attempts| failures >= attempts) {
            return None;
        }
        let doublings = failures.saturating_sub(1).min(31);
        let longest = self.base.saturating_mul(1 << doublings).min(self.cap);
        Some(longest.mul_f64(rng.unit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_spread_over_the_whole_range() {
        let (backoff, mut rng) = (Backoff::default(), Rng::new(7));
        for (failures, longest) in [(1, 1), (2, 2), (5, 16), (6, 30), (40, 30)] {
            let waits: Vec<_> = (0..1000).filter_map(|_| backoff.wait(failures, &mut rng)).collect();
            let longest = Duration::from_secs(longest);
            assert!(waits.iter().all(|wait| *wait <= longest));
            assert!(waits.iter().any(|wait| *wait > longest.mul_f64(0.9)));
            assert!(waits.iter().any(|wait| *wait < longest.mul_f64(0.1)));
        }
    }

    #[test]
    fn gives_up_after_the_attempts_it_was_given() {
        let backoff = Backoff { attempts: Some(3), ..Backoff::default() };
        assert!(backoff.wait(2, &mut Rng::new(1)).is_some());
        assert!(backoff.wait(3, &mut Rng::new(1)).is_none());
    }
}
