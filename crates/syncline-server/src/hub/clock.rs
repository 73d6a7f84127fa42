//! The engine's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The longest nap: what the engine waits for may be centuries away.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Unix time that never goes back: where the system's clock is set back, the monotonic one carries on; where it is
/// ahead, because the machine slept or the clock was set, it counts.
pub(crate) struct Clock {
    start: Instant,
    start_ms: u64,
    last_ms: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let start_ms = wall_ms();
        Self { start: Instant::now(), start_ms, last_ms: start_ms }
    }

    /// Unix ms.
    pub(crate) fn now(&mut self) -> u64 {
        let carried_on = self.start_ms.saturating_add(millis(self.start.elapsed()));
        self.last_ms = self.last_ms.max(carried_on).max(wall_ms());
        self.last_ms
    }

    /// When a deadline in Unix ms is due, or earlier.
    pub(crate) fn instant(&mut self, deadline: Option<u64>) -> Instant {
        let now = self.now();
        let wait = deadline.map_or(LONGEST, |deadline| Duration::from_millis(deadline.saturating_sub(now)));
        Instant::now() + wait.min(LONGEST)
    }
}

fn wall_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
